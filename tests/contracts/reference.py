"""A slow, direct reading of the specification, against which the contract is tested: trees, cipher, running sums.

Written for these tests alone and on purpose without the product's own code, so that the two can disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from eth_utils.crypto import keccak

MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617
CHUNK_PARAMETERS = 240


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


@dataclass(frozen=True)
class Tree:
    """Binary keccak tree over leaves padded with zero words to the next power of two."""

    leaves: Sequence[bytes]

    @cached_property
    def levels(self) -> list[list[bytes]]:
        width = 1
        while width < len(self.leaves):
            width *= 2
        levels = [[*self.leaves, *[bytes(32)] * (width - len(self.leaves))]]
        while len(levels[-1]) > 1:
            below = levels[-1]
            levels.append([keccak(below[i] + below[i + 1]) for i in range(0, len(below), 2)])
        return levels

    @cached_property
    def root(self) -> bytes:
        return self.levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        return [level[(index >> depth) ^ 1] for depth, level in enumerate(self.levels[:-1])]


def pad(key: bytes, index: int) -> bytes:
    return b"".join(keccak(key + word(index) + word(i)) for i in range(32))


def apply_cipher(key: bytes, index: int, chunk: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(chunk, pad(key, index), strict=True))


def challenge(domain: bytes, weights_root: bytes, parameter_commitment: bytes, seller: bytes) -> int:
    return int.from_bytes(keccak(domain + weights_root + parameter_commitment + seller), "big") % MODULUS


def root_of_unity(logrows: int) -> int:
    return pow(7, (MODULUS - 1) >> logrows, MODULUS)


@dataclass(frozen=True)
class Model:
    """A model as it is delivered: columns of parameters, cut into salted chunks with running sums."""

    columns: Sequence[Sequence[int]]
    logrows: int
    parameter_commitment: bytes
    seller: bytes

    @cached_property
    def pieces(self) -> list[tuple[int, int, Sequence[int]]]:
        """(column, first row, parameters) of each chunk."""
        return [
            (c, start, column[start : start + CHUNK_PARAMETERS])
            for c, column in enumerate(self.columns)
            for start in range(0, len(column), CHUNK_PARAMETERS)
        ]

    def salt(self, index: int) -> bytes:
        return keccak(b"salt" + word(index))

    def parameters(self, index: int) -> bytes:
        values = self.pieces[index][2]
        return b"".join(v.to_bytes(4, "big", signed=True) for v in values).ljust(4 * CHUNK_PARAMETERS, b"\0")

    @cached_property
    def weights_tree(self) -> Tree:
        return Tree([keccak(self.salt(j) + self.parameters(j)) for j in range(len(self.pieces))])

    @cached_property
    def sums(self) -> list[int]:
        r = challenge(b"modelseal/r", self.weights_tree.root, self.parameter_commitment, self.seller)
        gamma = challenge(b"modelseal/gamma", self.weights_tree.root, self.parameter_commitment, self.seller)
        omega = root_of_unity(self.logrows)
        total, sums = 0, []
        for column, first_row, values in self.pieces:
            for row, value in enumerate(values, start=first_row):
                power = pow(omega, row, MODULUS)
                total += pow(gamma, column, MODULUS) * value * power * pow(r - power, -1, MODULUS)
            total %= MODULUS
            sums.append(total)
        return sums

    def sums_tree(self, sums: Sequence[int] | None = None) -> Tree:
        sums = self.sums if sums is None else sums
        return Tree([keccak(word(j) + word(s) + keccak(self.salt(j))) for j, s in enumerate(sums)])

    def chunk(self, index: int) -> bytes:
        return word(self.sums[index]) + self.salt(index) + self.parameters(index)


def delivered_tree(key: bytes, chunks: Sequence[bytes]) -> tuple[list[bytes], Tree]:
    """Ciphertext chunks and the tree over them."""
    ciphertext = [apply_cipher(key, j, chunk) for j, chunk in enumerate(chunks)]
    return ciphertext, Tree([keccak(chunk) for chunk in ciphertext])


def signed(element: int) -> int:
    return element - MODULUS if element > MODULUS // 2 else element


def committed_outputs(instances: Sequence[int], shift_bits: int) -> list[int]:
    """What an honest buyer saw: the proven outputs, rounded to the committed scale."""
    return [round(Fraction(signed(instance), 1 << shift_bits)) for instance in instances]
