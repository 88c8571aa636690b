"""What the market's transactions cost; `python -m tests.contracts.gas` pins it in `contracts/artifacts/gas.json`.

The trade is of the committed proof vector (8 samples of 2 outputs), the disputes are about a model of 10⁶ parameters,
`verifier` is a bare call of the verifier with the same proof, and `trade_without_verifier` is purchase … confirm less
that call and the calldata that it shares with `prove`. The buyer accepts by signature: `accept`, the transaction that
it needs where the seller leaves the signature unused, is measured beside the trade.
"""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.disputes import Dispute, disputes
from contracts.published import ARTIFACTS_PATH
from tests.contracts.stage import FIRST, KEY, PRICE, Stage, terms_of

GAS_PATH: Path = ARTIFACTS_PATH.with_name("gas.json")
TRANSACTION = 21_000
PARAMETERS = 10**6


def measure_trade() -> dict[str, int]:
    """Gas of each move of a trade that settles."""
    stage = Stage()
    receipts = {"list": stage.offer(terms_of(FIRST)), "openSession": stage.open_session()}
    for name in ("respond", "purchase", "prove"):
        receipts[name] = getattr(stage, name)()
    with stage.restored():
        receipts["accept"] = stage.accept()
    receipts["reveal"] = stage.reveal(acceptance=stage.acceptance())
    with stage.restored():
        receipts["refund"] = stage.refund(PRICE // 2)
    receipts["confirm"] = stage.confirm()
    receipts["withdraw"] = stage.withdraw(stage.seller)
    function = stage.verifier.functions.verifyProof(FIRST.proof, list(FIRST.instances), list(FIRST.vka))
    receipts["verifier"] = stage.send(function, stage.seller)
    gas = {name: int(receipt["gasUsed"]) for name, receipt in receipts.items()}
    trade = sum(gas[name] for name in ("purchase", "prove", "reveal", "confirm"))
    return gas | {"trade_without_verifier": trade - (gas["verifier"] - TRANSACTION)}


def measure_disputes() -> dict[str, int]:
    """Gas of each dispute that a buyer wins."""
    return {dispute.function: measure_dispute(dispute) for dispute in disputes(PARAMETERS, FIRST.statement, KEY)}


def measure_dispute(dispute: Dispute) -> int:
    stage, audit = Stage(), replace(FIRST, layout=dispute.statement.layout)
    stage.offer(terms_of(audit, weights_root=dispute.weights_root, sums_root=dispute.sums_root))
    stage.bring_to("Revealed", listing=2, audit=audit, root=dispute.ciphertext_root)
    receipt = stage.dispute(dispute.function, dispute.evidence)
    assert stage.state() == "Slashed"
    return int(receipt["gasUsed"])


def measure() -> dict[str, int]:
    """All figures, in the order of a trade."""
    return measure_trade() | measure_disputes()


if __name__ == "__main__":
    GAS_PATH.write_text(json.dumps(measure(), indent=1) + "\n")
