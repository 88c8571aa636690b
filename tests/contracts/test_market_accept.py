from eth_utils.crypto import keccak

from contracts import delivery_digest
from tests.contracts.stage import KEY, WINDOWS, StageAt


def test_accepting_starts_the_reveal_window(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    accepted = stage.event(stage.accept(), "Accepted")
    assert accepted == {"tradeId": 1, "deadline": stage.now + WINDOWS.reveal_seconds}
    assert stage.state() == "Accepted"


def test_a_delivery_is_accepted_by_what_it_is(stage_at: StageAt) -> None:
    """After a reorganisation the seller may have proven again, with a ciphertext that nobody but it has."""
    stage = stage_at("Purchased")
    with stage.restored():
        stage.prove(root=keccak(b"downloaded"))
        downloaded = stage.trade()["digest"]
        assert downloaded == delivery_digest(keccak(b"downloaded"), keccak(KEY))
        stage.accept(delivery=downloaded)
    stage.prove(root=keccak(b"known to the seller alone"))
    with stage.refused("UnexpectedDigest", digest=downloaded, expected=stage.trade()["digest"]):
        stage.accept(delivery=downloaded)


def test_whoever_names_what_the_chain_says_by_then_accepts_anything(stage_at: StageAt) -> None:
    """The control: a move that named nothing but the trade's number would have meant this."""
    stage = stage_at("Purchased")
    stage.prove(root=keccak(b"known to the seller alone"))
    stage.accept(delivery=stage.trade()["digest"])
    assert stage.state() == "Accepted"


def test_only_the_buyer_accepts(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    for caller in (stage.seller, stage.stranger):
        with stage.refused("NotBuyer", caller=caller.lower()):
            stage.accept(sender=caller)
