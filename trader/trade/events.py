"""What can happen to a trade: one frozen dataclass per event that the escrow emits.

Each says when it happened (`at_seconds`, the block's timestamp). Which role may cause which event, and when, is the
table of `trader.trade.machine`; amounts and digests are for the drivers, the machine reads none of them.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The buyer paid the query fee for an encrypted test that is charged as `samples` samples, a power of two."""

    at_seconds: int
    listing_id: int
    samples: int
    request_digest: bytes
    fee_wei: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The seller answered the test; the fee is its own."""

    at_seconds: int
    response_digest: bytes


@dataclass(frozen=True, slots=True)
class Purchased:
    """The buyer locked the price and committed to k inputs and the outputs that it saw for them.

    `outputs_digest` is salted (`contracts.outputs_digest`); `highest_proof_fees` is the most that the buyer leaves
    to the seller if it does not accept the proof, in listed proof fees.
    """

    at_seconds: int
    input_commitment: bytes
    outputs_digest: bytes
    price_wei: int
    highest_proof_fees: int


@dataclass(frozen=True, slots=True)
class Proven:
    """The seller proved the audit samples, locked its bond and offered the ciphertext under a root and a key hash.

    `proof_fees` is what the buyer leaves to it if it does not accept, in listed proof fees; at most the price.
    """

    at_seconds: int
    ciphertext_root: bytes
    key_hash: bytes
    bond_wei: int
    proof_fees: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The buyer holds the ciphertext and asks for the key."""

    at_seconds: int


@dataclass(frozen=True, slots=True)
class Revealed:
    """The seller published the key; it has the proven key hash."""

    at_seconds: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The buyer found the delivered model right; the price is the seller's."""

    at_seconds: int


@dataclass(frozen=True, slots=True)
class Refunded:
    """The buyer got a part of the price back, as both sides agreed; the rest is the seller's."""

    at_seconds: int
    amount_wei: int


@dataclass(frozen=True, slots=True)
class Slashed:
    """The buyer won a dispute; price and bond are its own."""

    at_seconds: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The dispute window passed in silence; the price is the seller's."""

    at_seconds: int


@dataclass(frozen=True, slots=True)
class Expired:
    """A deadline passed before the key was revealed; everybody gets back what they had locked, but for the stake."""

    at_seconds: int


Event: TypeAlias = (
    SessionOpened
    | Answered
    | Purchased
    | Proven
    | Accepted
    | Revealed
    | Confirmed
    | Refunded
    | Slashed
    | Settled
    | Expired
)
