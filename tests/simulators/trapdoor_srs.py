"""A structured reference string whose trapdoor the test knows, and commitments made with it.

With τ at hand a commitment is one scalar multiplication, Σ v_t L_t(τ) · G1: an independent check of what the package
makes, and fast. The file holds only the points that `zk.binding.kzg` reads; the others are zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from py_ecc.optimized_bn128 import G1, G2, field_modulus, multiply, normalize

from zk.binding.merkle import keccak256
from zk.binding.sums import root_of_unity
from zk.circuits.audit import BLINDING_ROWS
from zk.field import MODULUS
from zk.setup.srs import Srs


@dataclass(frozen=True)
class TrapdoorSrs:
    srs: Srs
    lagrange: tuple[int, ...]

    @classmethod
    def make(cls, folder: Path, logrows: int, trapdoor: int = 0xC0FFEE) -> "TrapdoorSrs":
        lagrange = lagrange_at(trapdoor, logrows)
        blinding = [normalize(multiply(G1, scalar)) for scalar in lagrange[-BLINDING_ROWS:]]
        g2 = [normalize(point) for point in (G2, multiply(G2, trapdoor))]
        words = [int(word) for point in blinding for word in point]
        words += [int(word) for point in g2 for coordinate in point for word in coordinate.coeffs]
        unread = bytes(64 * (2 * len(lagrange) - BLINDING_ROWS))
        montgomery = b"".join((word * (1 << 256) % field_modulus).to_bytes(32, "little") for word in words)
        path = folder / f"trapdoor-{logrows}-{trapdoor}.srs"
        path.write_bytes(logrows.to_bytes(4, "little") + unread + montgomery)
        return cls(Srs(path, logrows, keccak256(path.read_bytes()), development=True), tuple(lagrange))

    def commit(self, elements: Sequence[int]) -> bytes:
        """Commit to up to 2^logrows - 6 values, with 1 in the last 6 rows, as ezkl does."""
        padding = [0] * (len(self.lagrange) - BLINDING_ROWS - len(elements))
        rows = [*(int(element) for element in elements), *padding, *[1] * BLINDING_ROWS]
        return self.commit_rows(rows)

    def commit_rows(self, rows: Sequence[int]) -> bytes:
        """Commit to any values on all rows, as a cheating prover may."""
        scalar = sum(value * weight for value, weight in zip(rows, self.lagrange, strict=True)) % MODULUS
        x, y = normalize(multiply(G1, scalar))
        return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


def lagrange_at(point: int, logrows: int) -> list[int]:
    """L_t(point) = ω^t (point^n - 1) / (n (point - ω^t)) for every row t."""
    rows = 1 << logrows
    omega = root_of_unity(logrows)
    scale = (pow(point, rows, MODULUS) - 1) * pow(rows, -1, MODULUS)
    roots = [pow(omega, t, MODULUS) for t in range(rows)]
    return [root * scale * pow(point - root, -1, MODULUS) % MODULUS for root in roots]
