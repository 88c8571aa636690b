"""Do the tests notice small faults? `python -m tests.contracts.quality.mutation`, or `make mutants`.

Each fault of `mutants.py` is compiled, and the tests that run the code in question are run against it, the quickest
first, until one fails: the mutant is killed. Which tests run which code is recorded before, on the faultless market.
Writes the score and what killed the sample that CI replays to `mutants.json`, and `docs/reference/mutation.md`.

Compiling takes a second or two and the tests a few, so a full run takes an hour; one that was interrupted goes on
where it stood. A child process per mutant inherits the loaded tests and the curve arithmetic that they remember.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.quality.branches import JUMPDEST, JUMPI, Recorder
from tests.contracts.quality.builds import OWN, Build, CompilationError, Instruction, Solc, market_sources
from tests.contracts.quality.mutants import Mutant, mutants
from tests.contracts.quality.survivors import REASONS

TESTS = Path(__file__).parents[1]
RESULTS_PATH = Path(__file__).with_name("mutants.json")
PAGE_PATH = Path(__file__).parents[3] / "docs" / "reference" / "mutation.md"
PROGRESS = Path(__file__).parents[3] / "contracts" / "cache" / "mutation"
SAMPLE = 8
"""Mutants that CI replays, spread over the functions."""
ENDS_BLOCK = {0x00, 0x56, JUMPI, 0xF3, 0xFD, 0xFE}
PYTEST = ["-n0", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow and not published"]


@dataclass
class Runs:
    """What each test runs of the market, and how long it takes: a plugin of pytest.

    Attributes:
        recorder: Watches the chain.
        blocks: Where the blocks of code begin that a test has entered.
        seconds: How long it took.
    """

    recorder: Recorder
    blocks: dict[str, set[int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Let each test make its chains anew, but for the game tree, which is walked once."""
        forget_chains(but="leaves")
        self.recorder.entered, started = set(), time.monotonic()
        result = yield
        self.blocks[item.nodeid], self.seconds[item.nodeid] = self.recorder.entered, time.monotonic() - started
        return result


def forget_chains(but: str = "") -> None:
    """Clear what the tests keep, so that the next one deploys the market anew."""
    for module in [module for name, module in sys.modules.items() if name.startswith("tests.contracts")]:
        for name, value in vars(module).items():
            if hasattr(value, "cache_clear") and name != but and value.__module__.startswith("tests.contracts"):
                value.cache_clear()


@dataclass(frozen=True)
class Selection:
    """Which tests run which source."""

    build: Build
    runs: Runs

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run what the mutant changes, the quickest first; all, if the constructor does."""
        pcs = self._executed(mutant)
        found = [test for test, executed in self._pcs_of_tests.items() if executed & pcs]
        return sorted(found or self.runs.seconds, key=lambda test: self.runs.seconds[test])

    def _executed(self, mutant: Mutant) -> set[int]:
        """Return where the code of the mutant stands: within its text, or of the smallest node around it."""
        here = [instruction for instruction in self.build.instructions if instruction.unit == mutant.unit]
        within = {i.pc for i in here if i.start >= mutant.start and i.end <= mutant.end}
        around = [i for i in here if i.start <= mutant.start and i.end >= mutant.end]
        smallest = min((i.end - i.start for i in around), default=0)
        return within or {i.pc for i in around if i.end - i.start == smallest}

    @property
    def _pcs_of_tests(self) -> dict[str, set[int]]:
        blocks = _blocks(self.build.instructions)
        return {
            test: set().union(*(blocks.get(start, ()) for start in starts)) for test, starts in self.runs.blocks.items()
        }


def _blocks(instructions: Sequence[Instruction]) -> dict[int, list[int]]:
    """Return the instructions of each block of code, by where it begins."""
    blocks: dict[int, list[int]] = {}
    current: list[int] = []
    for instruction in instructions:
        if instruction.opcode == JUMPDEST or not current:
            current = blocks.setdefault(instruction.pc, [])
        current.append(instruction.pc)
        if instruction.opcode in ENDS_BLOCK:
            current = []
    return blocks


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        mutant: The fault.
        verdict: `killed`, `survived`, or `invalid` if it didn't compile.
        killer: The test that failed; empty for a time-out.
    """

    mutant: Mutant
    verdict: str
    killer: str = ""


def run_against(build: Build, tests: Sequence[str], limit_seconds: float) -> tuple[str, str]:
    """Run the tests in a child process with this market; return the verdict and the test that failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(build, tests, writing)
    os.close(writing)
    timed_out = _wait(child, limit_seconds)
    with os.fdopen(reading) as pipe:
        failed = pipe.read()
    return ("killed", failed) if failed or timed_out else ("survived", "")


def _child(build: Build, tests: Sequence[str], writing: int) -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    forget_chains()
    build.install()
    failures = Failures()
    pytest.main([*PYTEST, *tests], plugins=[failures])
    os.write(writing, failures.first.encode())
    os._exit(0)


def _wait(child: int, limit_seconds: float) -> bool:
    """Return whether the child had to be ended."""
    until = time.monotonic() + limit_seconds
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


@dataclass
class Failures:
    """Remembers the first test that failed: a plugin of pytest."""

    first: str = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take note of a failure."""
        if report.failed and not self.first:
            self.first = report.nodeid


def record(build: Build, tests: Sequence[str]) -> Runs:
    """Run the tests on the faultless market.

    Raises:
        RuntimeError: Some fail.
    """
    build.install()
    runs = Runs(Recorder(build.runtime))
    runs.recorder.start()
    if pytest.main([*PYTEST, *tests], plugins=[runs]) != 0:
        raise RuntimeError("tests fail on the faultless market")
    runs.recorder.stop()
    return runs


def run(only: str, tests: Sequence[str]) -> Iterator[Outcome]:
    """Yield what becomes of each mutant whose name has this text; those that are known from an earlier run first."""
    sources = market_sources()
    progress = PROGRESS / f"{sources_digest(sources)}.jsonl"
    PROGRESS.mkdir(parents=True, exist_ok=True)
    known = dict(map(json.loads, progress.read_text().splitlines())) if progress.exists() else {}
    with Solc() as solc, progress.open("a") as notes:
        faultless = solc.build(sources)
        found = [mutant for mutant in mutants(faultless.asts, sources) if only in mutant.name]
        yield from (Outcome(mutant, *known[mutant.name]) for mutant in found if mutant.name in known)
        waiting = [mutant for mutant in found if mutant.name not in known]
        selection = Selection(faultless, record(faultless, tests)) if waiting else None
        for mutant in waiting:
            assert selection is not None
            outcome = judge(mutant, sources, solc, selection)
            notes.write(json.dumps([mutant.name, [outcome.verdict, outcome.killer]]) + "\n")
            notes.flush()
            yield outcome


def replay() -> list[str]:
    """Run the published sample again, each mutant against the test that killed it; return those that survive."""
    sources = market_sources()
    killers: dict[str, str] = json.loads(RESULTS_PATH.read_text())["sample"]
    with Solc() as solc:
        every = mutants(solc.build(sources).asts, sources)
        found = {mutant.name: mutant for mutant in every if mutant.name in killers}
        builds = {name: solc.build(mutant.applied(sources)) for name, mutant in found.items()}
    return [name for name in killers if run_against(builds[name], [killers[name]], 120)[0] != "killed"]


def judge(mutant: Mutant, sources: Mapping[str, str], solc: Solc, selection: Selection) -> Outcome:
    """Compile one mutant and run the tests against it."""
    try:
        build = solc.build(mutant.applied(sources))
    except CompilationError:
        return Outcome(mutant, "invalid")
    if build.runtime == selection.build.runtime and build.bytecode == selection.build.bytecode:
        return Outcome(mutant, "invalid")  # the same code: no fault
    tests = selection.tests_of(mutant)
    limit_seconds = 60 + 3 * sum(selection.runs.seconds[test] for test in tests)
    return Outcome(mutant, *run_against(build, tests, limit_seconds))


# ------------------------------------------------------------------------------------------------- what is published


def sources_digest(sources: Mapping[str, str]) -> str:
    """Return what says for which sources a score holds."""
    own = {unit: text for unit, text in sources.items() if unit.startswith(OWN)}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def sample(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return killed mutants spread over the functions, always the same for the same names."""
    places: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.killer:
            places[outcome.mutant.name.split()[0]].append(outcome)
    one_each = [min(found, key=_shuffled) for found in places.values()]
    return sorted(sorted(one_each, key=_shuffled)[:SAMPLE], key=lambda outcome: outcome.mutant.name)


def _shuffled(outcome: Outcome) -> bytes:
    return hashlib.sha256(outcome.mutant.name.encode()).digest()


def summary(outcomes: Sequence[Outcome], sources: Mapping[str, str]) -> dict[str, Any]:
    """Return what `mutants.json` holds."""
    valid = [outcome for outcome in outcomes if outcome.verdict != "invalid"]
    survivors = [outcome.mutant for outcome in valid if outcome.verdict == "survived"]
    return {
        "sources": sources_digest(sources),
        "mutants": len(valid),
        "killed": len(valid) - len(survivors),
        "survivors": {mutant.name: mutant.shown(sources) for mutant in survivors},
        "sample": {outcome.mutant.name: outcome.killer for outcome in sample(valid)},
    }


def page(results: Mapping[str, Any]) -> str:
    """Return the page of the documentation."""
    rows = "\n".join(
        f"| {name} | {shown} | {REASONS.get(name, 'not explained yet')} |"
        for name, shown in results["survivors"].items()
    )
    share = f"{100 * results['killed'] / results['mutants']:.1f} %"
    return _PAGE.format(
        share=share,
        rows=rows or "| none | | |",
        digest=results["sources"][:16],
        **{key: results[key] for key in ("mutants", "killed")},
    )


_PAGE = """<!-- Made by `make mutants`; do not edit. -->

# Mutation testing of the contracts

**{share}** of {mutants} small faults in the market and its libraries make a test fail ({killed}). Each fault replaces
one node of the syntax tree: a comparison, an operator, a constant, a condition, a statement, a state, the order of
two arguments (`tests/contracts/quality/mutants.py`). The tests of `tests/contracts` run against each, but for those
that measure gas and those that take long. CI replays eight of them, spread over the functions, and holds the score at
90 % at least. Measured for the sources with digest `{digest}…`.

## Survivors

| mutant | fault | why no test fails |
|---|---|---|
{rows}
"""


def main(arguments: Sequence[str]) -> int:
    """Run the mutants and publish the score of a full run, or replay its sample; return the exit status."""
    parser = argparse.ArgumentParser(description="Mutation testing of the market")
    parser.add_argument("--only", default="", help="mutants whose name has this text; nothing is published then")
    parser.add_argument("--sample", action="store_true", help="replay the published sample; fail if one survives")
    parser.add_argument("tests", nargs="*", default=[str(TESTS)], help="the tests that are to notice")
    options = parser.parse_args(arguments)
    if options.sample:
        survivors = replay()
        sys.stderr.write("".join(f"survived: {name}\n" for name in survivors))
        return 1 if survivors else 0
    outcomes = []
    for outcome in run(options.only, options.tests):
        outcomes.append(outcome)
        sys.stderr.write(f"{outcome.verdict:9} {outcome.mutant.name}  {outcome.killer}\n")
    results = summary(outcomes, market_sources())
    if options.only:
        sys.stderr.write(json.dumps(results, indent=1) + "\n")
    else:
        RESULTS_PATH.write_text(json.dumps(results, indent=1) + "\n")
        PAGE_PATH.write_text(page(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
