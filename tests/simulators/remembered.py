"""Curve arithmetic in Python that remembers its results; importing this makes embedded chains use it.

A proof's verification takes seconds of it, and the same proofs and listings are verified in many tests. Remembered are
pure functions of points and numbers, no verdict of this project's code. New points are multiplied on plain integers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eth._utils.bn128 import validate_point
from py_ecc import optimized_bn128
from py_ecc.optimized_bn128 import FQ

from tests.simulators.curve import multiply

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


def multiply_encoded(data: bytes) -> tuple[FQ, FQ]:
    """What the precompile multiplies (EIP-196): x, y, factor; refused where no such point is."""
    x, y, factor = (int.from_bytes(data[at : at + 32].ljust(32, b"\0"), "big") for at in (0, 32, 64))
    validate_point(x, y)
    multiple_x, multiple_y = multiply((x, y), factor)
    return FQ(multiple_x), FQ(multiple_y)


remember(optimized_bn128, "multiply")  # with it, ecpairing finds for each proof that the SRS is in the group
ecmul = import_module("eth.precompiles.ecmul")  # the package has functions of these names
ecmul._ecmull = multiply_encoded
remember(ecmul, "_ecmull")
remember(import_module("eth.precompiles.ecpairing"), "_ecpairing")
