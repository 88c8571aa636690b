"""`tests/vectors/commitments.json` on the market's contract, which gets the same calldata as from the drivers."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contracts import MarketRevertedError
from tests.contracts.stage import FIRST, KEY, Stage, terms_of
from tests.vectors.make_commitments import TARGET, evidence_from_json
from trader.delivery import encode_dispute

VECTORS = json.loads(TARGET.read_text())
LENGTHS = tuple(int(length, 16) for length in VECTORS["column_lengths"])
AUDIT = replace(FIRST, layout=replace(FIRST.layout, logrows=int(VECTORS["logrows"], 16), column_lengths=LENGTHS))
DELIVERIES = {delivery["name"]: delivery for delivery in VECTORS["deliveries"]}


@pytest.fixture(scope="module")
def market() -> Stage:
    return Stage()


def reveal(stage: Stage, delivery: dict[str, str]) -> None:
    """List and deliver what the vectors say, with the real proof of `audit_proofs.json`."""
    roots = {name: bytes.fromhex(delivery[name][2:]) for name in ("weights_root", "sums_root", "ciphertext_root")}
    terms = terms_of(
        AUDIT,
        weights_root=roots["weights_root"],
        sums_root=roots["sums_root"],
    )
    assert VECTORS["parameter_commitment"] == "0x" + AUDIT.parameter_commitment.hex()
    assert VECTORS["seller"] == stage.seller.lower()
    assert VECTORS["key"] == "0x" + KEY.hex()
    stage.offer(terms)
    stage.bring_to("Revealed", listing=2, audit=AUDIT, root=roots["ciphertext_root"])


def outcome(stage: Stage, case: dict) -> str:
    """What the contract decides; nothing of it stays."""
    evidence = evidence_from_json(case["kind"], case["evidence"])
    function, calldata = encode_dispute(KEY, evidence, AUDIT.statement)
    with stage.restored():
        stage._refusing = True
        try:
            stage.dispute(function, calldata)
        except MarketRevertedError as error:
            return "unfounded" if error.name == "DisputeUnfounded" else "refused"
        finally:
            stage._refusing = False
        stage.dispute(function, calldata)
        assert stage.state() == "Slashed"
        return "convicts"


@pytest.fixture
def stage(market: Stage) -> Iterator[Stage]:
    with market.restored():
        yield market


@pytest.mark.slow
@pytest.mark.parametrize("name", DELIVERIES)
def test_the_contract_decides_as_the_protocol_says(stage: Stage, name: str) -> None:
    reveal(stage, DELIVERIES[name])
    for case in DELIVERIES[name]["disputes"]:
        assert (case["name"], outcome(stage, case)) == (case["name"], case["outcome"])
