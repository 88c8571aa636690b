"""Cheats that lead nowhere: the contract refuses each with the error named here, and nothing has changed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from eth_utils.crypto import keccak

from tests.contracts.game_tree import BUYER, CONVICTING, SELLER, Position, evidence
from tests.contracts.stage import BOND, FEE, FIRST, PRICE, Audit, Stage
from trader.trade import Role


@dataclass(frozen=True)
class Refusal:
    """A cheat that leads nowhere: the contract refuses it, and its sender has paid gas for nothing."""

    state: str
    side: Role
    name: str
    error: str
    send: Callable[[Stage], Any]


def _at_deadline(send: Callable[[Stage], Any]) -> Callable[[Stage], Any]:
    def late(stage: Stage) -> Any:
        stage.at(stage.deadline())
        return send(stage)

    return late


def _disputing(dispute: str) -> Callable[[Stage], Any]:
    return lambda stage: stage.dispute(dispute, evidence(Position("Revealed"), dispute))


ELSE = keccak(b"something else")
REFUSED = (
    Refusal("None", BUYER, "pays less than the fee", "UnexpectedPayment", lambda s: s.open_session(value=FEE - 1)),
    Refusal("None", BUYER, "opens a session on other terms", "UnexpectedOffer", lambda s: s.open_session(offer=ELSE)),
    Refusal("Testing", SELLER, "answers another session", "UnexpectedDigest", lambda s: s.respond(session=ELSE)),
    Refusal("Testing", SELLER, "answers when it is too late", "DeadlinePassed", _at_deadline(Stage.respond)),
    Refusal("Testing", BUYER, "takes the fee back early", "DeadlineNotReached", lambda s: s.expire(sender=s.buyer)),
    Refusal("Answered", BUYER, "names another price", "UnexpectedPrice", lambda s: s.purchase(value=PRICE - 1)),
    Refusal(
        "Answered",
        BUYER,
        "pays less than the price",
        "UnexpectedPayment",
        lambda s: s.purchase(value=PRICE - 1, price=PRICE),
    ),
    Refusal("Answered", BUYER, "purchases another answer", "UnexpectedDigest", lambda s: s.purchase(answer=ELSE)),
    Refusal("Answered", BUYER, "risks no proof fee", "ProofFeeTooHigh", lambda s: s.purchase(highest_proof_fees=0)),
    Refusal("Answered", BUYER, "purchases when it is too late", "DeadlinePassed", _at_deadline(Stage.purchase)),
    Refusal("Purchased", SELLER, "locks less than the bond", "UnexpectedPayment", lambda s: s.prove(value=BOND - 1)),
    Refusal(
        "Purchased",
        SELLER,
        "proves another statement",
        "UnexpectedStatement",
        lambda s: s.prove(audit=Audit.of("other_model")),
    ),
    Refusal(
        "Purchased",
        SELLER,
        "proves another model",
        "UnexpectedParameterCommitment",
        lambda s: s.prove(audit=replace(Audit.of("other_model"), parameters=FIRST.parameter_commitment)),
    ),
    Refusal(
        "Purchased", SELLER, "proves other inputs", "UnexpectedPurchase", lambda s: s.prove(audit=Audit.of("second"))
    ),
    Refusal(
        "Purchased",
        SELLER,
        "proves what was asked in another trade",
        "UnexpectedPurchase",
        lambda s: s.prove(audit=replace(FIRST, answer=ELSE)),
    ),
    Refusal(
        "Purchased",
        SELLER,
        "claims other outputs",
        "ProofRejected",
        lambda s: s.prove(audit=replace(FIRST, instances=[1, *FIRST.instances[1:]])),
    ),
    Refusal("Purchased", SELLER, "proves when it is too late", "DeadlinePassed", _at_deadline(Stage.prove)),
    Refusal("Purchased", BUYER, "takes the price back early", "DeadlineNotReached", lambda s: s.expire(sender=s.buyer)),
    Refusal("Proven", BUYER, "accepts another delivery", "UnexpectedDigest", lambda s: s.accept(delivery=ELSE)),
    Refusal("Proven", BUYER, "accepts when it is too late", "DeadlinePassed", _at_deadline(Stage.accept)),
    Refusal("Proven", SELLER, "reveals unasked", "UnexpectedState", Stage.reveal),
    Refusal(
        "Proven",
        SELLER,
        "signs the acceptance itself",
        "NotSignedBy",
        lambda s: s.reveal(acceptance=s.acceptance(account=s.seller)),
    ),
    Refusal(
        "Proven",
        SELLER,
        "shows the acceptance of another delivery",
        "NotSignedBy",
        lambda s: s.reveal(acceptance=s.acceptance(delivery=ELSE)),
    ),
    Refusal(
        "Proven",
        SELLER,
        "shows the acceptance of another trade",
        "NotSignedBy",
        lambda s: s.reveal(acceptance=s.acceptance(2, s.trade()["digest"])),
    ),
    Refusal(
        "Proven",
        SELLER,
        "reveals another key for an acceptance",
        "UnexpectedDigest",
        lambda s: s.reveal(key=ELSE, acceptance=s.acceptance()),
    ),
    Refusal("Proven", SELLER, "ends the trade early", "DeadlineNotReached", lambda s: s.expire(sender=s.seller)),
    Refusal("Accepted", SELLER, "reveals another key", "UnexpectedDigest", lambda s: s.reveal(key=ELSE)),
    Refusal("Accepted", SELLER, "reveals when it is too late", "DeadlinePassed", _at_deadline(Stage.reveal)),
    Refusal("Accepted", BUYER, "ends the trade early", "DeadlineNotReached", lambda s: s.expire(sender=s.buyer)),
    *(
        Refusal("Revealed", BUYER, f"`{dispute}` of an honest delivery", "DisputeUnfounded", _disputing(dispute))
        for dispute in CONVICTING.values()
    ),
    Refusal(
        "Revealed",
        BUYER,
        "signs a refund itself",
        "NotSignedBy",
        lambda s: s.refund(1, signature=s.refund_signature(1, account=s.buyer)),
    ),
    Refusal(
        "Revealed",
        BUYER,
        "takes back more than was signed",
        "NotSignedBy",
        lambda s: s.refund(2, signature=s.refund_signature(1)),
    ),
    Refusal("Revealed", BUYER, "takes back more than it paid", "AbovePrice", lambda s: s.refund(PRICE + 1)),
    Refusal(
        "Revealed",
        BUYER,
        "takes back a part when it is too late",
        "DeadlinePassed",
        _at_deadline(lambda s: s.refund(1)),
    ),
    Refusal("Revealed", SELLER, "takes the price early", "DeadlineNotReached", lambda s: s.settle(sender=s.seller)),
    Refusal("Revealed", BUYER, "lets it expire", "NothingToExpire", _at_deadline(Stage.expire)),
    Refusal(
        "Revealed",
        BUYER,
        "disputes when it is too late",
        "DeadlinePassed",
        _at_deadline(_disputing("disputeWeightsChunk")),
    ),
    Refusal("Settled", BUYER, "disputes after it has confirmed", "UnexpectedState", _disputing("disputeSumChunk")),
    Refusal("Settled", BUYER, "takes back a part afterwards", "UnexpectedState", lambda s: s.refund(1)),
    Refusal("Settled", SELLER, "settles twice", "UnexpectedState", lambda s: s.settle(sender=s.seller)),
    Refusal("Expired", BUYER, "takes its money back twice", "NothingToExpire", lambda s: s.expire(sender=s.buyer)),
    Refusal("Expired", SELLER, "reveals after the refund", "UnexpectedState", Stage.reveal),
)
"""In the order of a trade; each is refused with this error, from this state of an honest trade."""
