"""Where settings come from: a TOML file and its profiles, the environment, flags; the later ones win."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from trader.settings.fields import SettingsError
from trader.variables import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STANDARD_VARIABLES: Final = {"ETH_RPC_URL": "chain"}
"""Names that other programs read as well; ours, where both are set, win."""
OWN_FILE: Final = "modelseal.toml"
PROJECT_FILE: Final = "pyproject.toml"
PROFILES: Final = "profiles"
MAX_FILE_BYTES: Final = 1 << 20


def find_file(start: Path) -> Path | None:
    """Find the settings of a folder: `modelseal.toml`, or a `pyproject.toml` with `[tool.modelseal]`, there or above.

    Raises:
        SettingsError: A file of these names is no TOML.
    """
    for folder in (start, *start.resolve().parents):
        if (folder / OWN_FILE).is_file():
            return folder / OWN_FILE
        project = folder / PROJECT_FILE
        if project.is_file() and "modelseal" in _load(project).get("tool", {}):
            return project
    return None


def read_document(path: Path, profile: str | None = None) -> dict[str, Any]:
    """Return the settings of a file: those at its top, and over them those of a profile.

    Args:
        path: The TOML file; of a `pyproject.toml` the table `[tool.modelseal]` counts.
        profile: A table under `profiles`; tables in both are merged key by key.

    Raises:
        SettingsError: The file can't be read, is no TOML, or has no such profile.
    """
    document = _load(path)
    if path.name == PROJECT_FILE:
        document = document.get("tool", {}).get("modelseal", {})
    profiles = document.pop(PROFILES, {})
    if profile is None:
        return document
    if not isinstance(profiles, dict) or profile not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise SettingsError(f"{path} has no profile {profile!r}; it has: {known}")
    return merge(document, profiles[profile])


def read_environment(environment: Mapping[str, str], keys: frozenset[str]) -> dict[str, Any]:
    """Return what the environment says of some keys: `MODELSEAL_KEYFILE` of `keyfile`, `ETH_RPC_URL` of `chain`."""
    standard = {key: environment[name] for name, key in STANDARD_VARIABLES.items() if environment.get(name)}
    own = {key: environment[PREFIX + key.upper()] for key in keys if environment.get(PREFIX + key.upper())}
    return {key: value for key, value in (standard | own).items() if key in keys}


def merge(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, where a key of `over` wins; of tables, key by key."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(f"{path} is larger than {MAX_FILE_BYTES} bytes: name the file with the settings")
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}. Name the file with the settings") from error
    except ValueError as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
