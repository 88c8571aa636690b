from eth_utils.crypto import keccak

from contracts import session_digest
from tests.contracts.stage import FEE, REQUEST, SAMPLES, WINDOWS, Stage


def test_answering_earns_the_fee(stage: Stage) -> None:
    stage.open_session()
    answered = stage.event(stage.respond(), "Answered")
    deadline = stage.now + WINDOWS.decision_seconds
    assert answered == {"tradeId": 1, "responseDigest": keccak(b"response"), "deadline": deadline}
    assert (stage.state(), stage.deadline()) == ("Answered", deadline)
    assert (stage.credit(stage.seller), stage.credit(stage.buyer)) == (FEE, 0)


def test_an_answer_is_to_the_request_that_was_evaluated(stage: Stage) -> None:
    """After a reorganisation the trade's number may be another session's."""
    stage.open_session()
    offer, asked = stage.offered(), (stage.buyer, SAMPLES, REQUEST)
    session = session_digest(stage.buyer, offer, SAMPLES, REQUEST)
    assert stage.trade()["digest"] == session
    for buyer, samples, request in (
        (stage.stranger, *asked[1:]),
        (stage.buyer, SAMPLES // 2, REQUEST),
        (stage.buyer, SAMPLES, keccak(b"another request")),
    ):
        other = session_digest(buyer, offer, samples, request)
        with stage.refused("UnexpectedDigest", digest=other, expected=session):
            stage.respond(session=other)
    other = session_digest(stage.buyer, keccak(b"another offer"), SAMPLES, REQUEST)
    with stage.refused("UnexpectedDigest", digest=other, expected=session):
        stage.respond(session=other)
    stage.respond(session=session)


def test_only_the_seller_answers(stage: Stage) -> None:
    stage.open_session()
    for caller in (stage.buyer, stage.stranger):
        with stage.refused("NotSeller", caller=caller.lower(), seller=stage.seller.lower()):
            stage.respond(sender=caller)
