"""Which branches of the market the tests take: `python -m tests.contracts.quality.branches [pytest's arguments]`.

Runs the tests of `tests/contracts` on a build whose conditional jumps are those of the source, watches them in
py-evm, and writes `docs/reference/coverage.md`. A branch is one way out of an `if`, a `require`, a loop, a choice, a
short circuit or a `try`. What no test takes is listed.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth.vm.forks.prague.computation import PragueComputation  # what eth-tester's chains run

from tests.contracts.quality.builds import OWN, Build, Solc, extent, market_sources, nodes

PAGE_PATH = Path(__file__).parents[3] / "docs" / "reference" / "coverage.md"
TESTS = Path(__file__).parents[1]
JUMPI, JUMPDEST = 0x57, 0x5B
_OPCODES = PragueComputation.opcodes
Ways = dict[int, set[bool]]
"""By conditional jump: whether it jumped, whether it did not."""


@dataclass
class Recorder:
    """Watches the conditional jumps of one contract in py-evm.

    Attributes:
        runtime: The contract's code; its immutables don't count.
        ways: What was seen, by where the jump stands.
        entered: Where the blocks of code begin that were entered.
    """

    runtime: bytes
    ways: Ways = field(default_factory=lambda: defaultdict(set))
    entered: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Watch from now on."""
        opcodes = dict(_OPCODES)
        opcodes[JUMPI] = self._watching_jump(opcodes[JUMPI])
        opcodes[JUMPDEST] = self._watching_entry(opcodes[JUMPDEST])
        PragueComputation.opcodes = opcodes

    def stop(self) -> None:
        """Watch no longer."""
        PragueComputation.opcodes = _OPCODES

    def _is_market(self, computation: Any) -> bool:
        return len(computation.code) == len(self.runtime)

    def _watching_jump(self, jump: Any) -> Any:
        def watching(computation: Any) -> Any:
            if not self._is_market(computation):
                return jump(computation=computation)
            at = computation.code.program_counter - 1
            result = jump(computation=computation)
            after = computation.code.program_counter
            self.ways[at].add(after != at + 1)
            self.entered.add(after)
            return result

        return _like(jump, watching)

    def _watching_entry(self, entry: Any) -> Any:
        def watching(computation: Any) -> Any:
            if self._is_market(computation):
                self.entered.add(computation.code.program_counter - 1)
            return entry(computation=computation)

        return _like(entry, watching)


def _like(opcode: Any, function: Any) -> Any:
    """Return a function that also has the attributes of the opcode."""
    function.mnemonic, function.gas_cost = opcode.mnemonic, opcode.gas_cost
    return function


@dataclass(frozen=True)
class Branch:
    """A place where the code goes one way or another.

    Attributes:
        unit: Its source.
        start: Where it stands in it.
        end: Where it ends.
        kind: The syntax node.
        jumps: The conditional jumps that it was compiled to.
    """

    unit: str
    start: int
    end: int
    kind: str
    jumps: tuple[int, ...]

    def missing(self, ways: Mapping[int, set[bool]]) -> int:
        """Return how many of its ways no test has taken."""
        return sum(2 - len(ways.get(jump, ())) for jump in self.jumps)


def branches(build: Build) -> Iterator[Branch]:
    """Yield every branch of the market and its libraries."""
    jumps: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for instruction in build.instructions:
        if instruction.opcode == JUMPI:
            jumps[instruction.unit, instruction.start, instruction.end].append(instruction.pc)
    for unit, tree in build.asts.items():
        if unit.startswith(OWN):
            for node in nodes(tree):
                if _branches(node):
                    start, end = extent(node)
                    yield Branch(unit, start, end, node["nodeType"], tuple(jumps.get((unit, start, end), ())))


def _branches(node: Mapping[str, Any]) -> bool:
    if node["nodeType"] == "FunctionCall":
        return bool(node["expression"].get("name") == "require")
    if node["nodeType"] == "BinaryOperation":
        return node["operator"] in ("&&", "||")
    return node["nodeType"] in ("IfStatement", "Conditional", "ForStatement", "WhileStatement", "TryStatement")


def page(found: list[Branch], ways: Mapping[int, set[bool]], sources: Mapping[str, str]) -> str:
    """Return the page of the documentation."""
    rows, missed, total = [], [], 0
    for unit in sorted({branch.unit for branch in found}):
        here = [branch for branch in found if branch.unit == unit]
        count, missing = sum(2 * len(branch.jumps) for branch in here), sum(branch.missing(ways) for branch in here)
        rows.append(f"| `{unit}` | {count} | {count - missing} |")
        total += count
        missed += [branch for branch in here if branch.missing(ways)]
    taken = total - sum(branch.missing(ways) for branch in missed)
    left = "\n".join(f"- `{branch.unit}`: `{_text(branch, sources)}`" for branch in missed)
    share = f"{100 * taken / total:.1f} %"
    return _PAGE.format(share=share, taken=taken, total=total, rows="\n".join(rows), left=left or "None.")


def _text(branch: Branch, sources: Mapping[str, str]) -> str:
    text = sources[branch.unit].encode()[branch.start : branch.end].decode()
    return " ".join(text.split())[:160]


_PAGE = """<!-- Made by `make coverage`; do not edit. -->

# Coverage of the contracts

The tests in `tests/contracts` take **{share}** of the branches of the market and its libraries: {taken} of {total}.
A branch is one way out of an `if`, a `require`, a loop, a choice, a short circuit or a `try`; the market is compiled
without optimizer for it, so that each is a conditional jump of its own, and py-evm says which ways were taken
(`tests/contracts/quality/branches.py`).

| source | branches | taken |
|---|---|---|
{rows}

## Taken by no test

{left}
"""


def main(arguments: list[str]) -> int:
    """Run the tests and write the page; return the exit status of pytest."""
    sources = market_sources()
    with Solc() as solc:
        build = solc.build(sources)
    build.install()
    recorder = Recorder(build.runtime)
    recorder.start()
    status = pytest.main(
        ["-n0", "-q", "-p", "no:cacheprovider", *(arguments or [str(TESTS), "-m", "not slow and not published"])]
    )
    PAGE_PATH.write_text(page(list(branches(build)), recorder.ways, sources))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
