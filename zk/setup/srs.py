"""Structured reference strings: KZG's public parameters, as files in ezkl's format.

A file holds `u32 k`, then n = 2^k points g = [τ^i]G1, n points g_lagrange = [L_i(τ)]G1, then G2 and [τ]G2. A
coordinate is 32 bytes, little-endian, in Montgomery form; points are uncompressed, and G2's coordinates have two
components. Whoever knows τ can forge proofs: a string that this machine made (`development_srs`) is for
development, and `Srs.development` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_ecc.optimized_bn128.optimized_curve import field_modulus

from zk.errors import SrsError
from zk.ezkl.worker import run_job
from zk.storage import cache_folder, scratch_folder

if TYPE_CHECKING:
    from pathlib import Path

COORDINATE_BYTES = 32
G1_BYTES = 2 * COORDINATE_BYTES
G2_BYTES = 4 * COORDINATE_BYTES
HEADER_BYTES = 4
MIN_LOGROWS = 4
MAX_LOGROWS = 26
"""Ceremonies go further, but 2^26 rows are a file of 8 GiB and more memory than provers have."""

_MONTGOMERY_INVERSE = pow(1 << 256, -1, field_modulus)

G1Point = tuple[int, int]
G2Point = tuple[tuple[int, int], tuple[int, int]]
"""x and y; each coordinate is a + b·u as (a, b)."""


@dataclass(frozen=True)
class Srs:
    """A structured reference string on disk.

    Attributes:
        path: The file, in ezkl's format, of exactly `logrows` (ezkl does not truncate when it commits).
        logrows: log2 of the number of rows.
        digest: keccak256 of the file's bytes.
        development: Made on a developer's machine: proofs against it prove nothing to a stranger.
    """

    path: Path
    logrows: int
    digest: bytes
    development: bool

    @property
    def tau_g1(self) -> G1Point:
        """[τ]G1."""
        return self._g1(1)

    def lagrange_g1(self, row: int) -> G1Point:
        """[L_row(τ)]G1, the commitment to the column that is 1 at `row` and 0 elsewhere."""
        return self._g1((1 << self.logrows) + row)

    @property
    def g2(self) -> G2Point:
        """The generator of G2."""
        return self._g2(0)

    @property
    def tau_g2(self) -> G2Point:
        """[τ]G2."""
        return self._g2(1)

    def _g1(self, index: int) -> G1Point:
        x, y = self._coordinates(HEADER_BYTES + index * G1_BYTES, 2)
        return x, y

    def _g2(self, index: int) -> G2Point:
        offset = HEADER_BYTES + 2 * (1 << self.logrows) * G1_BYTES + index * G2_BYTES
        a, b, c, d = self._coordinates(offset, 4)
        return (a, b), (c, d)

    def _coordinates(self, offset: int, count: int) -> list[int]:
        with self.path.open("rb") as file:
            file.seek(offset)
            data = file.read(count * COORDINATE_BYTES)
        if len(data) != count * COORDINATE_BYTES:
            raise SrsError(f"{self.path} is truncated: remove it and get it again")
        return [
            int.from_bytes(data[at : at + COORDINATE_BYTES], "little") * _MONTGOMERY_INVERSE % field_modulus
            for at in range(0, len(data), COORDINATE_BYTES)
        ]


SrsProvider = Callable[[int], Srs]
"""Gives the SRS for a number of logrows; `development_srs` is one."""


def srs_bytes(logrows: int) -> int:
    """Exact size of an SRS file."""
    return HEADER_BYTES + 2 * (1 << logrows) * G1_BYTES + 2 * G2_BYTES


def read_srs(path: Path, *, development: bool) -> Srs:
    """Read an SRS file's header and digest.

    Not checked: that its points are powers of one τ. A file is trusted for its digest, or because this machine made it.

    Raises:
        SrsError: The file is missing, or its size is not that of its number of rows.
    """
    from eth_utils.crypto import keccak  # slow to import, and `modelseal srs --help` needs the constants above

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            logrows = int.from_bytes(file.read(HEADER_BYTES), "little")
            if not MIN_LOGROWS <= logrows <= MAX_LOGROWS or size != srs_bytes(logrows):
                raise SrsError(f"{path} is not an SRS file: {size} bytes do not fit 2^{logrows} rows; get it again")
            file.seek(0)
            digest = keccak(file.read())
    except OSError as error:
        raise SrsError(f"the SRS file {path} cannot be read: {error.strerror}") from error
    return Srs(path, logrows, digest, development)


def development_srs(logrows: int) -> Srs:
    """Make, once, a structured reference string for development and keep it in the user's cache.

    Raises:
        SrsError: The number of logrows is out of range, or the cached file is corrupt.
        WorkerError: ezkl could not make it.
    """
    if not MIN_LOGROWS <= logrows <= MAX_LOGROWS:
        raise SrsError(f"2^{logrows} rows: an SRS has 2^{MIN_LOGROWS} to 2^{MAX_LOGROWS}")
    path = cache_folder("srs", f"development-{logrows}.srs")
    if not path.exists():
        with scratch_folder(path) as scratch:
            made = scratch / path.name
            run_job("make_srs", {"srs": made, "logrows": logrows})
            made.replace(path)
    return read_srs(path, development=True)
