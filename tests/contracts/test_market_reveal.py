from eth_utils.crypto import keccak

from contracts import delivery_digest
from tests.contracts.stage import KEY, WINDOWS, StageAt


def test_revealing_publishes_the_key(stage_at: StageAt) -> None:
    stage = stage_at("Accepted")
    revealed = stage.event(stage.reveal(), "Revealed")
    assert revealed == {"tradeId": 1, "key": KEY, "deadline": stage.now + WINDOWS.dispute_seconds}
    assert stage.state() == "Revealed"


def test_a_wrong_key_is_refused(stage_at: StageAt) -> None:
    stage = stage_at("Accepted")
    wrong, root = keccak(b"another key"), stage.ciphertext_tree.root
    proven = delivery_digest(root, keccak(KEY))
    with stage.refused("UnexpectedDigest", digest=delivery_digest(root, keccak(wrong)), expected=proven):
        stage.reveal(key=wrong)
    with stage.refused("UnexpectedDigest", digest=delivery_digest(wrong, keccak(KEY)), expected=proven):
        stage.reveal(root=wrong)
    assert stage.state() == "Accepted"


def test_only_the_seller_reveals(stage_at: StageAt) -> None:
    """Not even with the right key: it could be overheard in the seller's pending transaction."""
    stage = stage_at("Accepted")
    for caller in (stage.buyer, stage.stranger):
        with stage.refused("NotSeller", caller=caller.lower()):
            stage.reveal(sender=caller)
