"""Structured reference strings: KZG's public parameters, as files in ezkl's format.

A file holds ``u32 k``, then n = 2^k points g = [τ^i]G1, n points g_lagrange = [L_i(τ)]G1, then G2 and [τ]G2, each point
uncompressed with little-endian Montgomery coordinates. Whoever knows τ can forge proofs: a string that this machine
made (:func:`development_srs`) is for development, and :attr:`Srs.development` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Srs:
    """A structured reference string on disk.

    Attributes:
        path: The file, in ezkl's format, of exactly ``logrows`` (ezkl does not truncate when it commits).
        logrows: log2 of the number of rows.
        digest: keccak256 of the file's bytes.
        development: Made on a developer's machine: proofs against it prove nothing to a stranger.
    """

    path: Path
    logrows: int
    digest: bytes
    development: bool


SrsProvider = Callable[[int], Srs]
"""Gives the SRS for a number of logrows; :func:`development_srs` is one."""


def development_srs(logrows: int) -> Srs:
    """Make, once, a structured reference string for development and keep it in the user's cache.

    Raises:
        SrsError: The number of logrows is out of range, or the cached file is corrupt.
    """
    raise NotImplementedError
