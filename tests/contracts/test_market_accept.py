from tests.contracts.stage import WINDOWS, StageAt


def test_accepting_starts_the_reveal_window(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    accepted = stage.event(stage.accept(), "Accepted")
    assert accepted == {"tradeId": 1, "deadline": stage.now + WINDOWS.reveal_seconds}
    assert stage.state() == "Accepted"


def test_only_the_buyer_accepts(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    for caller in (stage.seller, stage.stranger):
        with stage.refused("NotBuyer", caller=caller.lower()):
            stage.accept(sender=caller)
