"""What the chain holds of the market, and what a seller sends to it, as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts import Statement, Terms
    from trader.trade import Position
    from zk import AuditCircuit, Proof


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing as the chain holds it.

    Attributes:
        listing_id: Its number.
        seller: Address of its seller.
        open: Whether new sessions can be opened.
        terms: What it promises.
    """

    listing_id: int
    seller: str
    open: bool
    terms: Terms


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade as the chain holds it.

    Attributes:
        trade_id: Its number.
        listing_id: What is traded.
        buyer: Address of its buyer.
        samples: Test samples that the session is charged, a power of two.
        fee_wei: What the session was paid with.
        price_wei: The listing's; what its policy named, if it has one, from Purchased on.
        proof_fees: What letting the proof go to waste costs, in listed proof fees: at most (Purchased), exactly (from
            Proven on).
        position: State and deadline.
        digest: What it has committed to so far: `contracts.session_digest` (Testing), `contracts.answer_digest`
            (Answered), that and the purchase (Purchased), `contracts.delivery_digest` (from Proven on).
    """

    trade_id: int
    listing_id: int
    buyer: str
    samples: int
    fee_wei: int
    price_wei: int
    proof_fees: int
    position: Position
    digest: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """What a trade was opened for.

    Attributes:
        request_digest: Of the request that was paid for.
        digest: Of buyer, offer, samples and request (`contracts.session_digest`).
    """

    request_digest: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class ProofOffer:
    """What a seller sends with its proof.

    Attributes:
        proof: The audit proof.
        circuit: Its circuit, for challenge and verification key artifact.
        statement: What is proven, as the listing has it.
        answer: What was purchased (`contracts.answer_digest`).
        outputs_digest: The digest that the buyer gave with it.
        ciphertext_root: Root of the tree over the ciphertext chunks.
        key_hash: keccak256 of the delivery key.
    """

    proof: Proof
    circuit: AuditCircuit
    statement: Statement
    answer: bytes
    outputs_digest: bytes
    ciphertext_root: bytes
    key_hash: bytes
