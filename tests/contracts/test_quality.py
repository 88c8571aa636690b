"""The floor under these tests (docs/decisions/0070-a-floor-under-the-tests.md), and that it can be fallen through."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from contracts.published import ARTIFACTS_PATH
from tests.contracts.quality.analysis import EXCEPTIONS
from tests.contracts.quality.analysis import complaints as findings_without_exception
from tests.contracts.quality.mutants import Mutant
from tests.contracts.quality.mutation import Outcome, Score, complaints, sample

ROOT = ARTIFACTS_PATH.parents[2]
MUTANTS = [Mutant(f"Market.move comparison {i}", f"{i:02}", "src/Market.sol", i, i + 1, "<") for i in range(20)]
KILLED = Outcome("killed", "test")


@pytest.mark.slow
@pytest.mark.published
@pytest.mark.skipif(not (ROOT / "contracts/node_modules/solc").is_dir(), reason="needs `npm ci` in contracts/")
def test_faults_of_todays_contracts_are_known_to_be_noticed_and_some_are_noticed_again() -> None:
    command = [sys.executable, "-m", "tests.contracts.quality.mutation", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr[-4000:]


def outcomes(survivors: int = 0, verdict: str = "survived") -> dict[str, Outcome]:
    return {m.identity: Outcome(verdict) if i < survivors else KILLED for i, m in enumerate(MUTANTS)}


def test_the_floor_counts_what_was_not_tried_and_what_survives() -> None:
    assert complaints(Score.of(MUTANTS, outcomes()), 0.9) == []
    assert complaints(Score.of(MUTANTS, outcomes(2)), 0.9) == []
    assert len(complaints(Score.of(MUTANTS, outcomes(3)), 0.9)) == 2
    changed = [replace(mutant, identity="new" + mutant.identity) for mutant in MUTANTS[:3]]
    (too_few,) = complaints(Score.of([*changed, *MUTANTS[3:]], outcomes()), 0.9)
    assert "85.0% of all mutants" in too_few
    assert complaints(Score.of(MUTANTS, outcomes(3, "invalid")), 0.9) == []


def test_other_sources_draw_other_mutants() -> None:
    score = Score.of(MUTANTS, outcomes())
    drawn = [sample(score, {"src/Market.sol": text}) for text in ("one", "one", "another", "third")]
    assert drawn[0] == drawn[1]
    assert len({tuple(mutants) for mutants in drawn}) > 1


def finding(check: str, contract: str, function: str) -> dict[str, Any]:
    element = {"name": function, "type_specific_fields": {"parent": {"name": contract}}}
    return {"check": check, "description": "what was found", "elements": [element]}


def test_findings_have_exceptions_and_exceptions_findings() -> None:
    findings = [finding(check, *(place or "Market.move").split(".")) for check, place in EXCEPTIONS]
    assert list(findings_without_exception(findings)) == []
    assert len(list(findings_without_exception(findings[1:]))) == 1
    (new,) = findings_without_exception([*findings, {**findings[0], "check": "arbitrary-send-eth"}])
    assert "arbitrary-send-eth" in new
