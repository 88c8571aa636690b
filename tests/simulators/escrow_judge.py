"""What the escrow decides about a dispute, written down from the protocol, slowly and without the package's help."""

from dataclasses import dataclass

from Crypto.Hash import keccak

from trader.delivery import Claim, RangeClaim, SumStepClaim, WeightsChunkClaim

P = 21888242871839275222246405745257275088548364400416034343698204186575808495617


def hash_words(*parts: bytes | int) -> bytes:
    data = b"".join(part if isinstance(part, bytes) else part.to_bytes(32, "big") for part in parts)
    return keccak.new(digest_bits=256, data=data).digest()


class RefusedError(Exception):
    """The evidence is not authentic: the transaction reverts."""


@dataclass(frozen=True)
class Judge:
    """What the contract knows when it judges."""

    logrows: int
    lengths: tuple[int, ...]
    parameter_commitment: bytes
    seller: bytes
    weights_root: bytes
    sums_root: bytes
    ciphertext_root: bytes
    key: bytes

    def convicts(self, evidence: Claim) -> bool:
        """Whether the seller loses.

        Raises:
            RefusedError: The evidence is not about what both parties committed to.
        """
        if isinstance(evidence, SumStepClaim):
            return self._convicts_step(evidence)
        if isinstance(evidence, RangeClaim):
            return self._convicts_range(evidence)
        if evidence.ciphertext.root != self.ciphertext_root:
            raise RefusedError
        self._require(
            self.ciphertext_root, hash_words(evidence.ciphertext.data), evidence.index, evidence.ciphertext.path
        )
        stored, salt, values = self._decrypt(evidence.index, evidence.ciphertext.data)
        if isinstance(evidence, WeightsChunkClaim):
            self._require(self.weights_root, evidence.leaf, evidence.index, evidence.path)
            return hash_words(salt, values) != evidence.leaf
        self._require(self.sums_root, evidence.leaf, evidence.index, evidence.path)
        return hash_words(evidence.index, stored, hash_words(salt)) != evidence.leaf

    def _convicts_step(self, evidence: SumStepClaim) -> bool:
        index, current, before = evidence.index, evidence.current, 0
        leaf = hash_words(index, current.running_sum, hash_words(current.salt))
        self._require(self.sums_root, leaf, index, current.path)
        self._require(self.weights_root, hash_words(current.salt, evidence.parameters), index, evidence.weights_path)
        if index:
            previous = evidence.previous
            leaf = hash_words(index - 1, previous.running_sum, hash_words(previous.salt))
            self._require(self.sums_root, leaf, index - 1, previous.path)
            before = previous.running_sum
        return current.running_sum != (before + self._contribution(index, evidence.parameters)) % P

    def _convicts_range(self, evidence: RangeClaim) -> bool:
        leaf = hash_words(evidence.salt, evidence.parameters)
        self._require(self.weights_root, leaf, evidence.index, evidence.weights_path)
        if evidence.position >= 240:
            raise RefusedError
        value = evidence.parameters[4 * evidence.position : 4 * evidence.position + 4]
        return abs(int.from_bytes(value, "big", signed=True)) >= 2**24

    def _contribution(self, index: int, values: bytes) -> int:
        transcript = self.weights_root + self.parameter_commitment + self.seller
        r = int.from_bytes(hash_words(b"modelseal/r", transcript), "big") % P
        gamma = int.from_bytes(hash_words(b"modelseal/gamma", transcript), "big") % P
        omega = pow(7, (P - 1) // 2**self.logrows, P)
        column, first, length = self._locate(index)
        total = 0
        for k in range(length):
            theta = int.from_bytes(values[4 * k : 4 * k + 4], "big", signed=True)
            power = pow(omega, first + k, P)
            total += pow(gamma, column, P) * theta * power * pow(r - power, -1, P)
        return total % P

    def _locate(self, index: int) -> tuple[int, int, int]:
        """Column, first row and number of the parameters in a chunk."""
        positions = [
            (column, first, min(240, length - first))
            for column, length in enumerate(self.lengths)
            for first in range(0, length, 240)
        ]
        return positions[index]

    def _decrypt(self, index: int, data: bytes) -> tuple[int, bytes, bytes]:
        pads = [int.from_bytes(hash_words(self.key, index, i), "big") for i in range(32)]
        words = [int.from_bytes(data[32 * i : 32 * i + 32], "big") ^ pads[i] for i in range(32)]
        clear = b"".join(word.to_bytes(32, "big") for word in words)
        return words[0], clear[32:64], clear[64:]

    def _require(self, root: bytes, leaf: bytes, index: int, path: tuple[bytes, ...]) -> None:
        count = sum(-(-length // 240) for length in self.lengths)
        depth = 0
        while 2**depth < count:
            depth += 1
        if index >= count or len(path) != depth:
            raise RefusedError
        for level in range(depth):
            pair = (path[level], leaf) if index // 2**level % 2 else (leaf, path[level])
            leaf = hash_words(*pair)
        if leaf != root:
            raise RefusedError
