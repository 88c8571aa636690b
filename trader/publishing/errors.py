"""What goes wrong between a folder and a registry."""

from __future__ import annotations

from trader.errors import CallerError, EnvironmentFaultError


class PublishingError(CallerError):
    """A bundle can't be made, signed or brought to a registry as asked; the message says what to change."""


class SourceError(CallerError):
    """A URL names no ONNX file that may be read: another form, too big, not there, or not allowed."""


class RegistryError(EnvironmentFaultError):
    """A registry doesn't answer, or refuses; nothing was half written here."""


def missing_library(error: ImportError) -> EnvironmentFaultError:
    """Return what to do where a library of `modelseal[publish]` is not installed."""
    return EnvironmentFaultError(f"{error.name} is missing; install it with: pip install 'modelseal[publish]'")
