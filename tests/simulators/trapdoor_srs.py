"""A structured reference string whose trapdoor the test knows, and commitments made with it.

With τ at hand a commitment is one scalar multiplication, Σ v_t L_t(τ) · G1, and an independent check of what ezkl makes.
"""

from dataclasses import dataclass
from pathlib import Path

from py_ecc.optimized_bn128 import G1, G2, field_modulus, multiply, normalize

from zk.circuits.audit import BLINDING_ROWS
from zk.commitments.merkle import keccak256
from zk.commitments.sums import root_of_unity
from zk.field import MODULUS
from zk.srs import Srs


@dataclass(frozen=True)
class TrapdoorSrs:
    logrows: int
    trapdoor: int
    srs: Srs

    @classmethod
    def make(cls, folder: Path, logrows: int, trapdoor: int = 0xC0FFEE) -> "TrapdoorSrs":
        rows = 1 << logrows
        powers = [pow(trapdoor, i, MODULUS) for i in range(rows)]
        points = [multiply(G1, scalar) for scalar in powers + lagrange_at(trapdoor, logrows)]
        words = [int(word) for point in points for word in normalize(point)]
        for point in (G2, multiply(G2, trapdoor)):
            words += [int(word) for coordinate in normalize(point) for word in coordinate.coeffs]
        montgomery = b"".join((word * (1 << 256) % field_modulus).to_bytes(32, "little") for word in words)
        data = logrows.to_bytes(4, "little") + montgomery
        path = folder / f"trapdoor-{logrows}.srs"
        path.write_bytes(data)
        return cls(logrows, trapdoor, Srs(path, logrows, keccak256(data), development=True))

    def commit(self, elements: list[int]) -> bytes:
        """Commit to up to 2^logrows - 6 values, with 1 in the last 6 rows, as ezkl does."""
        rows = 1 << self.logrows
        values = list(elements) + [0] * (rows - BLINDING_ROWS - len(elements)) + [1] * BLINDING_ROWS
        scalar = sum(v * l for v, l in zip(values, lagrange_at(self.trapdoor, self.logrows), strict=True)) % MODULUS
        x, y = normalize(multiply(G1, scalar))
        return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


def lagrange_at(point: int, logrows: int) -> list[int]:
    """L_t(point) for every row t, by the definition: Π_{s≠t} (point - ω^s)/(ω^t - ω^s)."""
    rows = 1 << logrows
    omega = root_of_unity(logrows)
    roots = [pow(omega, t, MODULUS) for t in range(rows)]
    values = []
    for t in range(rows):
        numerator = denominator = 1
        for s in range(rows):
            if s != t:
                numerator = numerator * (point - roots[s]) % MODULUS
                denominator = denominator * (roots[t] - roots[s]) % MODULUS
        values.append(numerator * pow(denominator, -1, MODULUS) % MODULUS)
    return values
