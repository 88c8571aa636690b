"""What the market is told, as Python values.

A listing has `Terms` with `Windows` and the hash of a `Layout`; a dispute has
`ChunkEvidence`, `SumStepEvidence` or `RangeEvidence`.

Read `src/types/Types.sol` beside this file: fields stand in the same order, `as_abi` gives the tuples that web3
encodes, and `from_abi` reads them back. Parity with the compiled ABI is tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from eth_abi.abi import encode
from eth_utils.crypto import keccak

ETH = "0x0000000000000000000000000000000000000000"
"""The token field of terms in ETH, the only currency so far."""

_WORD_BYTES = 32
_WINDOWS_ABI = "(uint32,uint32,uint32,uint32,uint32,uint32)"
_TERMS_ABI = (
    "(bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,address,uint96,uint128,uint128,uint128,uint16,uint128,uint32,uint32,"
    f"{_WINDOWS_ABI})"
)
_LAYOUT_ABI = "(uint32,uint32,uint32,uint32,uint32,uint8,uint8,uint32[])"


@dataclass(frozen=True)
class Windows:
    """How long each waiting state may last, in seconds."""

    answer_seconds: int
    decision_seconds: int
    proof_seconds: int
    acceptance_seconds: int
    reveal_seconds: int
    dispute_seconds: int

    def as_abi(self) -> tuple[int, ...]:
        """The Solidity struct `Windows`."""
        return (
            self.answer_seconds,
            self.decision_seconds,
            self.proof_seconds,
            self.acceptance_seconds,
            self.reveal_seconds,
            self.dispute_seconds,
        )

    @classmethod
    def from_abi(cls, values: Sequence[int]) -> Self:
        """Read the tuple that a contract call or event returns."""
        return cls(*values)


@dataclass(frozen=True)
class Terms:
    """What a seller offers; fixed for the lifetime of the listing. Digests are 32 bytes, amounts are in wei."""

    manifest_hash: bytes
    circuit_digest: bytes
    parameter_commitment: bytes
    weights_root: bytes
    sums_root: bytes
    layout_hash: bytes
    token: str
    fee_wei: int
    """Of each answer of a buyer's first session; those of its n-th session cost n times as much."""
    price_wei: int
    bond_wei: int
    tolerance: int
    """Distance of a proven output from the one seen at which both count as the same, in units of the instances."""
    audit_samples: int
    proof_fee_wei: int
    """What a proof that isn't accepted costs its buyer; after n such proofs the next risks n + 1 times as much."""
    buyer_quota: int
    """Answers: test samples and audit samples."""
    listing_quota: int
    windows: Windows

    def as_abi(self) -> tuple[Any, ...]:
        """The Solidity struct `Terms`."""
        return (
            self.manifest_hash,
            self.circuit_digest,
            self.parameter_commitment,
            self.weights_root,
            self.sums_root,
            self.layout_hash,
            self.token,
            self.fee_wei,
            self.price_wei,
            self.bond_wei,
            self.tolerance,
            self.audit_samples,
            self.proof_fee_wei,
            self.buyer_quota,
            self.listing_quota,
            self.windows.as_abi(),
        )

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> Self:
        """Read the tuple that a contract call or event returns."""
        return cls(*(*values[:-1], Windows.from_abi(values[-1])))


@dataclass(frozen=True)
class Layout:
    """How the audit circuit's commitments, proof, outputs and parameters are laid out (public)."""

    input_columns: int
    parameter_columns: int
    hidden_columns: int
    """Committed columns of layers' results; 0 if no layer is proven by a random check."""
    proof_bytes: int
    outputs: int
    """Per sample."""
    output_shift_bits: int
    """An instance is an output as the buyer saw it, shifted left by so many bits, up to the tolerance."""
    logrows: int
    column_lengths: tuple[int, ...]
    """Number of parameters in each parameter column, in order."""

    def as_abi(self) -> tuple[Any, ...]:
        """The Solidity struct `Layout`."""
        return (
            self.input_columns,
            self.parameter_columns,
            self.hidden_columns,
            self.proof_bytes,
            self.outputs,
            self.output_shift_bits,
            self.logrows,
            list(self.column_lengths),
        )


def offer_digest(seller: str, terms: Terms) -> bytes:
    """What a move that costs money names: keccak256(abi.encode(seller, terms)), 32 bytes."""
    return keccak(encode(["address", _TERMS_ABI], [seller, terms.as_abi()]))


def session_digest(buyer: str, offer: bytes, samples: int, request_digest: bytes) -> bytes:
    """What `respond` names: keccak256(abi.encode(buyer, offer, samples, requestDigest)), 32 bytes."""
    values = [buyer, offer, samples, request_digest]
    return keccak(encode(["address", "bytes32", "uint32", "bytes32"], values))


def answer_digest(session: bytes, response_digest: bytes) -> bytes:
    """What `purchase` names: keccak256(abi.encode(session, responseDigest)), 32 bytes."""
    return keccak(session + response_digest)


def outputs_digest(salt: bytes, outputs: Sequence[int]) -> bytes:
    """What a buyer commits to of the outputs that it saw: keccak256(abi.encode(salt, outputs)), 32 bytes.

    Args:
        salt: 32 random bytes, without which the digest could be tried out.
        outputs: k·O integers at the listing's commit scale, row by row.
    """
    return keccak(encode(["bytes32", "int64[]"], [salt, list(outputs)]))


def delivery_digest(ciphertext_root: bytes, key_hash: bytes) -> bytes:
    """What a trade commits to from `prove` on: keccak256(abi.encode(ciphertextRoot, keyHash)), 32 bytes."""
    return keccak(ciphertext_root + key_hash)


def layout_hash(layout: Layout) -> bytes:
    """The digest that `Terms.layout_hash` holds: keccak256(abi.encode(layout)), 32 bytes."""
    return keccak(encode([_LAYOUT_ABI], [layout.as_abi()]))


@dataclass(frozen=True)
class ChunkEvidence:
    """What `disputeWeightsChunk` and `disputeSumChunk` take: a delivered chunk, and the leaf that was listed for it."""

    ciphertext_root: bytes
    key: bytes
    index: int
    ciphertext: bytes
    """The 1,024 bytes of chunk `index` as delivered."""
    ciphertext_path: Sequence[bytes]
    leaf: bytes
    path: Sequence[bytes]
    layout: Layout

    def as_abi(self) -> tuple[Any, ...]:
        """The Solidity struct `ChunkEvidence`."""
        words = _words(self.ciphertext)
        layout = self.layout.as_abi()
        paths = list(self.ciphertext_path), self.leaf, list(self.path)
        return (self.ciphertext_root, self.key, self.index, words, *paths, layout)


@dataclass(frozen=True)
class SumStepEvidence:
    """What `disputeSumStep` takes: the committed sums of two successive chunks, and the parameters between them."""

    index: int
    previous_sum: int
    """S_{j-1} with its salt and path; zeros and no path for j = 0."""
    previous_salt: bytes
    previous_path: Sequence[bytes]
    sum: int
    salt: bytes
    sum_path: Sequence[bytes]
    parameters: bytes
    """The 960 bytes of chunk j's parameters, padding included."""
    weights_path: Sequence[bytes]
    layout: Layout

    def as_abi(self) -> tuple[Any, ...]:
        """The Solidity struct `SumStepEvidence`."""
        return (
            self.index,
            self.previous_sum,
            self.previous_salt,
            list(self.previous_path),
            self.sum,
            self.salt,
            list(self.sum_path),
            _words(self.parameters),
            list(self.weights_path),
            self.layout.as_abi(),
        )


@dataclass(frozen=True)
class RangeEvidence:
    """What `disputeRange` takes: a chunk of the weights tree, and which of its parameters is out of range."""

    index: int
    position: int
    """Of the parameter in the chunk, below 240."""
    salt: bytes
    parameters: bytes
    """The 960 bytes of chunk j's parameters, padding included."""
    weights_path: Sequence[bytes]
    layout: Layout

    def as_abi(self) -> tuple[Any, ...]:
        """The Solidity struct `RangeEvidence`."""
        words, path = _words(self.parameters), list(self.weights_path)
        return (self.index, self.position, self.salt, words, path, self.layout.as_abi())


def _words(data: bytes) -> list[bytes]:
    return [data[start : start + _WORD_BYTES] for start in range(0, len(data), _WORD_BYTES)]
