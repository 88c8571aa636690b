"""Curve arithmetic in Python that remembers its results; importing this makes embedded chains use it.

A proof's verification takes seconds of it, and the same proofs and listings are verified in many tests. Remembered are
pure functions of points and numbers, no verdict of this project's code.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from py_ecc import optimized_bn128

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def remember(module: ModuleType, *names: str) -> None:
    """From now on these functions of the module compute once for the same points and numbers."""
    for name in names:
        setattr(module, name, _remembering(getattr(module, name)))


def _remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    results: dict[Any, Any] = {}

    def remembering(*arguments: Any, **options: Any) -> Any:
        key = (*map(_key, arguments), *options.items())
        if key not in results:
            results[key] = function(*arguments, **options)  # an error is raised each time
        return results[key]

    return remembering


def _key(argument: Any) -> Any:
    """What says which argument it is: py_ecc's field elements can't be hashed, nor can views of memory."""
    if isinstance(argument, tuple):
        return tuple(map(_key, argument))
    if isinstance(argument, bytes | memoryview):
        return bytes(argument)
    return tuple(map(int, getattr(argument, "coeffs", (argument,))))


remember(optimized_bn128, "multiply")  # with it, ecpairing finds for each proof that the SRS is in the group
remember(import_module("eth.precompiles.ecmul"), "_ecmull")  # the package has functions of these names
remember(import_module("eth.precompiles.ecpairing"), "_ecpairing")
