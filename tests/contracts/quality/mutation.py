"""Do the tests notice small faults? `python -m tests.contracts.quality.mutation`, or `make mutants`.

Each fault of `mutants.py` is compiled, and the tests that run the code in question are run against it, the quickest
first, until one fails: the mutant is killed. What became of it is kept under a hash of the function's text and the
fault (`mutants.json`), so that after a change only the functions that changed are tried again, and those that survived
without a reason. `--again` believes nothing; `--publish` tries nothing, and writes what an interrupted run found.

The order is that of the hashes: what an interrupted run has tried is a random sample. `--check` is what CI does.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.contracts.quality.builds import CONTRACTS, Build, CompilationError, Solc, own_sources
from tests.contracts.quality.mutants import Mutant, mutants
from tests.contracts.quality.survivors import REASONS
from tests.contracts.quality.trials import Session

TESTS = Path(__file__).parents[1]
RESULTS_PATH = Path(__file__).with_name("mutants.json")
PAGE_PATH = Path(__file__).parents[3] / "docs" / "reference" / "mutation.md"
NOTES_PATH = Path(__file__).parents[3] / "contracts" / "cache" / "mutation.jsonl"
FLOOR = 0.9
"""Of the mutants that were tried, so many have to be killed; of all of today's too, once there was a full run."""
SAMPLE = 3
"""Killed mutants that CI kills again."""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        verdict: `killed`, `survived`, or `invalid` if it doesn't compile, or to the same code.
        killer: The test that failed.
    """

    verdict: str
    killer: str = ""


Outcomes = dict[str, Outcome]
"""By the mutant's identity."""


def judge(mutant: Mutant, solc: Solc, sources: Mapping[str, str], session: Session, hint: str = "") -> Outcome:
    """Compile one mutant and run the tests against it: the one that is likely to fail, then the others."""
    try:
        build = compiled(mutant, solc, sources)
    except CompilationError:
        return Outcome("invalid")
    codes = session.build.codes
    if all(codes[name].bytecode == code.bytecode for name, code in build.codes.items()):
        return Outcome("invalid")
    tests = session.tests_of(mutant)
    alike = all(len(codes[name].immutables) == len(code.immutables) for name, code in build.codes.items())
    likely = hint if hint in session.items else alike and session.trial(build, tests, cold=False)
    if likely and session.trial(build, [likely], cold=True):
        return Outcome("killed", likely)
    killer = "" if mutant.name in REASONS else session.trial(build, tests, cold=True)
    return Outcome("killed", killer) if killer else Outcome("survived")


def compiled(mutant: Mutant, solc: Solc, sources: Mapping[str, str]) -> Build:
    """Compile the contracts that have the mutant's code in them.

    Raises:
        CompilationError: The compiler refused it.
    """
    concerned = {unit: name for unit, name in CONTRACTS.items() if mutant.unit in own_sources({unit: name})}
    faulty = mutant.applied(sources)
    needed = {unit: faulty[unit] for unit in own_sources(concerned)}
    return solc.build(needed, concerned, trees=False)


def try_all(waiting: Sequence[Mutant], hints: Mapping[str, Outcome], tests: Sequence[str], workers: int) -> None:
    """Try the mutants in as many processes, and note what becomes of each."""
    sources = own_sources()
    NOTES_PATH.parent.mkdir(parents=True, exist_ok=True)
    with Solc() as solc:
        build = solc.build(sources)

    def try_share(session: Session, share: Sequence[Mutant]) -> None:
        with Solc() as solc, NOTES_PATH.open("a") as notes:
            for mutant in share:
                hint = hints.get(mutant.identity, Outcome("")).killer
                outcome = judge(mutant, solc, sources, session, hint)
                notes.write(json.dumps([mutant.identity, outcome.verdict, outcome.killer]) + "\n")
                notes.flush()
                sys.stderr.write(f"{outcome.verdict:9} {mutant.name}  {outcome.killer}\n")

    def then(session: Session) -> None:
        children = []
        for worker in range(workers):
            child = os.fork()
            if child == 0:
                try:
                    try_share(session, waiting[worker::workers])
                finally:
                    os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)

    Session(build, then).run(tests)


# ------------------------------------------------------------------------------------------------- what is published


def read_results() -> Outcomes:
    """Return what is published."""
    published = json.loads(RESULTS_PATH.read_text()) if RESULTS_PATH.exists() else {}
    killed = {one: Outcome("killed", test) for test, ones in published.get("killed", {}).items() for one in ones}
    others = {one: Outcome(kind) for kind in ("survived", "invalid") for one in published.get(kind, ())}
    return killed | others


def read_notes() -> Outcomes:
    """Return what was found since."""
    lines = NOTES_PATH.read_text().splitlines() if NOTES_PATH.exists() else []
    return {identity: Outcome(verdict, killer) for identity, verdict, killer in map(json.loads, lines)}


def read_floor() -> float:
    """Return the share of all mutants that has to be known as killed: what the last run has reached, up to `FLOOR`."""
    return float(json.loads(RESULTS_PATH.read_text())["floor"]) if RESULTS_PATH.exists() else 0.0


def write_results(outcomes: Mapping[str, Outcome], reached: float) -> None:
    """Publish what became of the mutants, and the share of all of them that is known as killed."""
    killed: dict[str, list[str]] = {}
    for identity, outcome in sorted(outcomes.items()):
        if outcome.verdict == "killed":
            killed.setdefault(outcome.killer, []).append(identity)
    others = {
        kind: sorted(one for one, outcome in outcomes.items() if outcome.verdict == kind)
        for kind in ("survived", "invalid")
    }
    floor = max(read_floor(), min(FLOOR, int(100 * reached) / 100))
    document = {"floor": floor, "killed": dict(sorted(killed.items())), **others}
    RESULTS_PATH.write_text(json.dumps(document, indent=1) + "\n")


@dataclass(frozen=True)
class Score:
    """Today's mutants, by what is known of them."""

    killed: Sequence[Mutant]
    survived: Sequence[Mutant]
    untried: Sequence[Mutant]

    @classmethod
    def of(cls, found: Iterable[Mutant], outcomes: Mapping[str, Outcome]) -> "Score":
        """Sort them."""
        lists: dict[str, list[Mutant]] = {"killed": [], "survived": [], "untried": [], "invalid": []}
        for mutant in found:
            lists[outcomes[mutant.identity].verdict if mutant.identity in outcomes else "untried"].append(mutant)
        return cls(lists["killed"], lists["survived"], lists["untried"])

    @property
    def of_tried(self) -> float:
        """The mutation score: killed ones among those that were tried."""
        return len(self.killed) / max(1, len(self.killed) + len(self.survived))

    @property
    def of_all(self) -> float:
        """Killed ones among all: what was not tried since its function changed counts as alive."""
        return len(self.killed) / max(1, len(self.killed) + len(self.survived) + len(self.untried))


def page(score: Score, sources: Mapping[str, str]) -> str:
    """Return the page of the documentation."""
    rows = [
        f"| {mutant.name} | {mutant.shown(sources)} | {REASONS.get(mutant.name, 'not explained yet')} |"
        for mutant in sorted(score.survived, key=lambda mutant: mutant.name)
    ]
    untried = len(score.untried)
    return _PAGE.format(
        share=f"{100 * score.of_tried:.1f} %",
        tried=len(score.killed) + len(score.survived),
        killed=len(score.killed),
        untried=f"{untried} others were not tried yet." if untried else "All were tried.",
        floor=f"{100 * read_floor():.0f} %",
        rows="\n".join(rows) or "| none | | |",
    )


_PAGE = """<!-- Made by `make mutants`; do not edit. -->

# Mutation testing of the contracts

`make mutants` prints this page. After a change it tries the functions that changed; all of them take an hour and more.

**{share}** of {tried} small faults in the contracts, their bases and libraries make a test fail ({killed}). {untried}
Each fault replaces one node of the syntax tree: a comparison, an operator, a constant, a condition, a statement, a
state, the order of two arguments (`tests/contracts/quality/mutants.py`). The tests of `tests/contracts` run against
each, but for those that measure gas, those that need the published bytecode and those that take long; forge's
invariants are not among them. What they don't notice within a limit of time counts as not noticed. Left out are the
vendored verifier and OpenZeppelin's contracts.

CI holds the share of those that were tried at 90 % at least, and that of *all* of today's faults at what the best run
knew to be noticed, now {floor}; and it tries a few of them again, others after each change
([why](../decisions/0070-a-floor-under-the-tests.md)).

## Survivors

| mutant | fault | why no test fails |
|---|---|---|
{rows}
"""


# ------------------------------------------------------------------------------------------------------ what CI checks


def complaints(score: Score, floor: float) -> list[str]:
    """Return what is too little in what is known of today's mutants."""
    run = "run `make mutants`, and write tests for what survives"
    found = []
    if score.of_tried < FLOOR:
        found.append(f"{score.of_tried:.1%} of the mutants that were tried are killed, not {FLOOR:.0%}: {run}")
    if score.of_all < floor:
        found.append(f"{score.of_all:.1%} of all mutants are known to be killed, not {floor:.0%}: {run}")
    return found


def sample(score: Score, sources: Mapping[str, str]) -> list[Mutant]:
    """Return a few killed mutants, others for other sources."""
    seed = hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()
    return sorted(score.killed, key=lambda mutant: hashlib.sha256((seed + mutant.identity).encode()).digest())[:SAMPLE]


def survivors_of(chosen: Sequence[Mutant], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Run the test that killed it against each mutant; return the names of those that survive."""
    sources, alive = own_sources(), []
    killers = {mutant.name: outcomes[mutant.identity].killer for mutant in chosen}

    def then(session: Session) -> None:
        with Solc() as solc:
            for mutant in chosen:
                build = compiled(mutant, solc, sources)
                if not session.trial(build, [killers[mutant.name]], cold=True):
                    alive.append(mutant.name)

    Session(Build({}, {}), then, watched=False).run(sorted(set(killers.values())))
    return alive


def main(arguments: Sequence[str]) -> int:
    """Try mutants and publish what is known, or check it; return the exit status."""
    parser = argparse.ArgumentParser(description="Mutation testing of the contracts")
    parser.add_argument("--only", default="", help="mutants whose name has this text")
    parser.add_argument("--again", action="store_true", help="also those that were tried")
    parser.add_argument("--publish", action="store_true", help="try nothing, write down what is known")
    parser.add_argument("--check", action="store_true", help="hold what is published against today's sources")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("tests", nargs="*", default=[str(TESTS)], help="the tests that are to notice")
    options = parser.parse_args(arguments)
    sources = own_sources()
    with Solc() as solc:
        found = sorted(mutants(solc.build(sources, {}).asts, sources), key=lambda mutant: mutant.identity)
    outcomes = read_results()
    if options.check:
        score = Score.of(found, outcomes)
        wrong = complaints(score, read_floor())
        wrong += [f"was killed, and survives: {name}" for name in survivors_of(sample(score, sources), outcomes)]
        sys.stderr.write("".join(f"{line}\n" for line in wrong))
        return 1 if wrong else 0
    outcomes |= read_notes()
    if not options.publish:
        waiting = [
            mutant for mutant in found if options.only in mutant.name and _waits(mutant, outcomes, options.again)
        ]
        try_all(waiting, outcomes, options.tests, options.workers)
        outcomes |= read_notes()
    today = {mutant.identity for mutant in found}
    score = Score.of(found, outcomes)
    write_results({one: outcome for one, outcome in outcomes.items() if one in today}, score.of_all)
    PAGE_PATH.write_text(page(score, sources))
    sys.stdout.write(PAGE_PATH.read_text())
    return 0


def _waits(mutant: Mutant, outcomes: Mapping[str, Outcome], again: bool) -> bool:
    known = outcomes.get(mutant.identity)
    return again or known is None or (known.verdict == "survived" and mutant.name not in REASONS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
