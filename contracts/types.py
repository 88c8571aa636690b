"""What the market is told, as Python values.

A listing has `Terms` with `Windows` and the digest of a `Statement`, which a proof and each dispute show:
`ChunkEvidence`, `SumStepEvidence` or `RangeEvidence`.

Read `src/types/Types.sol` beside this file: fields stand in the same order (but for the windows, which Solidity packs
where they are needed), `as_abi` gives the tuples that web3 encodes, and `from_abi` reads them back. Parity with the
compiled ABI is tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from eth_abi.abi import encode
from eth_utils.crypto import keccak

ETH = "0x0000000000000000000000000000000000000000"
"""The token field of terms in ETH."""
NO_POLICY = ETH
"""The policy field of terms that have none."""
MOST_PROOF_FEES = 2**16 - 1
"""What a buyer names that would leave the whole price for a proof that it doesn't accept."""

_WORD_BYTES = 32
_TERMS_ABI = (
    "(bytes32,bytes32,bytes32,bytes32,uint96,uint96,uint24,uint24,uint16,uint96,uint24,uint24,uint24,uint24,uint32,uint32,"
    "uint96,uint128,uint32,address,address)"
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


@dataclass(frozen=True)
class Terms:
    """What a seller offers; fixed for the lifetime of the listing.

    Digests are 32 bytes, amounts in the smallest unit of the token: wei, if it is ETH.
    """

    manifest_hash: bytes
    statement: bytes
    """Digest of the `Statement` that is proven."""
    weights_root: bytes
    sums_root: bytes
    price_wei: int
    bond_wei: int
    audit_samples: int
    proof_fee_wei: int
    """What a proof that isn't accepted costs its buyer; after n such proofs the next risks n + 1 times as much."""
    listing_quota: int
    fee_wei: int
    """Of each answer of a buyer's first session; those of its n-th session cost n times as much."""
    tolerance: int
    """Distance of a proven output from the one seen at which both count as the same, in units of the instances."""
    buyer_quota: int
    """Answers: test samples and audit samples."""
    windows: Windows
    supersedes: int = 0
    """Number of the seller's listing that this one improves on; 0 if there is none."""
    token: str = ETH
    policy: str = NO_POLICY
    """The contract that admits buyers and names their prices (`src/interfaces/IListingPolicy.sol`)."""

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `Terms`."""
        return (
            self.manifest_hash,
            self.statement,
            self.weights_root,
            self.sums_root,
            self.price_wei,
            self.bond_wei,
            self.windows.proof_seconds,
            self.windows.acceptance_seconds,
            self.audit_samples,
            self.proof_fee_wei,
            self.windows.answer_seconds,
            self.windows.decision_seconds,
            self.windows.reveal_seconds,
            self.windows.dispute_seconds,
            self.listing_quota,
            self.supersedes,
            self.fee_wei,
            self.tolerance,
            self.buyer_quota,
            self.token,
            self.policy,
        )

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> Self:
        """Read the tuple that a contract call or event returns."""
        manifest_hash, statement, weights_root, sums_root, price, bond, proof, acceptance, audit_samples = values[:9]
        proof_fee, answer, decision, reveal, dispute, listing_quota, supersedes = values[9:16]
        fee, tolerance, buyer_quota, token, policy = values[16:]
        return cls(
            manifest_hash=manifest_hash,
            statement=statement,
            weights_root=weights_root,
            sums_root=sums_root,
            price_wei=price,
            bond_wei=bond,
            audit_samples=audit_samples,
            proof_fee_wei=proof_fee,
            listing_quota=listing_quota,
            fee_wei=fee,
            tolerance=tolerance,
            buyer_quota=buyer_quota,
            windows=Windows(answer, decision, proof, acceptance, reveal, dispute),
            supersedes=supersedes,
            token=token,
            policy=policy,
        )

    def ether_of(self, amount_wei: int) -> int:
        """Return how much ether is sent along with a move that costs an amount: all of it, or nothing for a token."""
        return amount_wei if self.token == ETH else 0

    def proof_fee_of(self, proof_fees: int) -> int:
        """Return what a buyer leaves that doesn't accept a proof, given it in listed proof fees: the price at most."""
        return min(self.proof_fee_wei * proof_fees, self.price_wei)

    def proof_fees_in(self, amount_wei: int, price_wei: int | None = None) -> int:
        """Return how many listed proof fees a buyer names that would leave as much as `amount_wei`, and no more.

        Args:
            amount_wei: The most that it would leave.
            price_wei: What it pays, if that is not the listed price: more is never lost.
        """
        price_wei = self.price_wei if price_wei is None else price_wei
        if amount_wei >= price_wei or self.proof_fee_wei == 0:
            return MOST_PROOF_FEES
        return min(amount_wei // self.proof_fee_wei, MOST_PROOF_FEES)


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
        """Return the Solidity struct `Layout`."""
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


@dataclass(frozen=True)
class Statement:
    """What a proof is about; a listing holds its digest alone."""

    circuit_digest: bytes
    """keccak256 of the verification key artifact (vka) of the audit circuit, 32 bytes."""
    parameter_commitment: bytes
    """keccak256 of the parameter columns' KZG commitments, 32 bytes."""
    layout: Layout

    @property
    def digest(self) -> bytes:
        """What `Terms.statement` holds: keccak256 of the two digests and the layout's, 32 bytes."""
        return keccak(self.circuit_digest + self.parameter_commitment + layout_hash(self.layout))

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `Statement`."""
        return (self.circuit_digest, self.parameter_commitment, self.layout.as_abi())


def offer_digest(seller: str, terms: Terms) -> bytes:
    """Return what a move that costs money names: keccak256(abi.encode(seller, terms)), 32 bytes."""
    return keccak(encode(["address", _TERMS_ABI], [seller, terms.as_abi()]))


def session_digest(buyer: str, offer: bytes, samples: int, request_digest: bytes) -> bytes:
    """Return what `respond` names: keccak256(abi.encode(buyer, offer, samples, requestDigest)), 32 bytes."""
    values = [buyer, offer, samples, request_digest]
    return keccak(encode(["address", "bytes32", "uint32", "bytes32"], values))


def answer_digest(session: bytes, response_digest: bytes) -> bytes:
    """Return what `purchase` names: keccak256(abi.encode(session, responseDigest)), 32 bytes."""
    return keccak(session + response_digest)


def outputs_digest(salt: bytes, outputs: Sequence[int]) -> bytes:
    """Return what a buyer commits to of the outputs that it saw: keccak256(abi.encode(salt, outputs)), 32 bytes.

    Args:
        salt: 32 random bytes, without which the digest could be tried out.
        outputs: k·O integers at the listing's commit scale, row by row.
    """
    return keccak(encode(["bytes32", "int64[]"], [salt, list(outputs)]))


def delivery_digest(ciphertext_root: bytes, key_hash: bytes) -> bytes:
    """Return what a trade commits to from `prove` on: keccak256(abi.encode(ciphertextRoot, keyHash)), 32 bytes."""
    return keccak(ciphertext_root + key_hash)


def layout_hash(layout: Layout) -> bytes:
    """Return keccak256(abi.encode(layout)), 32 bytes: a part of a statement's digest."""
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
    statement: Statement

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `ChunkEvidence`."""
        words = _words(self.ciphertext)
        paths = list(self.ciphertext_path), self.leaf, list(self.path)
        return (self.ciphertext_root, self.key, self.index, words, *paths, self.statement.as_abi())


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
    statement: Statement

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `SumStepEvidence`."""
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
            self.statement.as_abi(),
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
    statement: Statement

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `RangeEvidence`."""
        words, path = _words(self.parameters), list(self.weights_path)
        return (self.index, self.position, self.salt, words, path, self.statement.as_abi())


def _words(data: bytes) -> list[bytes]:
    return [data[start : start + _WORD_BYTES] for start in range(0, len(data), _WORD_BYTES)]
