"""Which branches of the contracts the tests take: `python -m tests.contracts.quality.branches [pytest's arguments]`.

Runs the tests of `tests/contracts` on a build whose conditional jumps are those of the source, watches them in
py-evm, and writes `docs/reference/coverage.md`. A branch is one way out of an `if`, a `require`, a loop, a choice, a
short circuit or a `try`. What no test takes is listed.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from eth.vm.forks.prague.computation import PragueComputation  # what eth-tester's chains run

from tests.contracts.quality.builds import Build, Code, Solc, extent, is_own, nodes, own_sources

PAGE_PATH = Path(__file__).parents[3] / "docs" / "reference" / "coverage.md"
TESTS = Path(__file__).parents[1]
JUMPI, JUMPDEST = 0x57, 0x5B
_OPCODES = PragueComputation.opcodes
Place = tuple[str, int]
"""A contract, and where its code is."""
Ways = Mapping[Place, set[bool]]
"""By conditional jump: whether it jumped, whether it did not."""


@dataclass
class Recorder:
    """Watches the conditional jumps of contracts in py-evm.

    Attributes:
        names: The contracts, by the length of their code: immutables are filled in.
        ways: What was seen, by where the jump stands.
        entered: Where the blocks of code begin that were entered.
    """

    names: Mapping[int, str]
    ways: dict[Place, set[bool]] = field(default_factory=lambda: defaultdict(set))
    entered: set[Place] = field(default_factory=set)

    @classmethod
    def of(cls, codes: Mapping[str, Code]) -> "Recorder":
        """Return one that watches all of these contracts."""
        names = {len(code.runtime): name for name, code in codes.items()}
        assert len(names) == len(codes), "two contracts have code of one length"
        return cls(names)

    def start(self) -> None:
        """Watch from now on."""
        opcodes = dict(_OPCODES)
        opcodes[JUMPI] = self._watching_jump(opcodes[JUMPI])
        opcodes[JUMPDEST] = self._watching_entry(opcodes[JUMPDEST])
        PragueComputation.opcodes = opcodes

    def stop(self) -> None:
        """Watch no longer."""
        PragueComputation.opcodes = _OPCODES

    def _watching_jump(self, jump: Any) -> Any:
        def watching(computation: Any) -> Any:
            name = self.names.get(len(computation.code))
            if name is None:
                return jump(computation=computation)
            at = computation.code.program_counter - 1
            result = jump(computation=computation)
            after = computation.code.program_counter
            self.ways[name, at].add(after != at + 1)
            self.entered.add((name, after))
            return result

        return _like(jump, watching)

    def _watching_entry(self, entry: Any) -> Any:
        def watching(computation: Any) -> Any:
            name = self.names.get(len(computation.code))
            if name is not None:
                self.entered.add((name, computation.code.program_counter - 1))
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
        jumps: The conditional jumps that it was compiled to; code that several contracts share is in each of them, and
            counts once.
    """

    unit: str
    start: int
    end: int
    kind: str
    jumps: tuple[tuple[Place, ...], ...]

    def missing(self, ways: Ways) -> int:
        """Return how many of its ways no test has taken."""
        return sum(2 - len(set[bool]().union(*(ways.get(place, ()) for place in places))) for places in self.jumps)


def branches(build: Build) -> Iterator[Branch]:
    """Yield every branch of the contracts, their bases and libraries."""
    jumps: dict[tuple[str, int, int], dict[str, list[Place]]] = defaultdict(lambda: defaultdict(list))
    for name, code in build.codes.items():
        for instruction in code.instructions:
            if instruction.opcode == JUMPI:
                found = jumps[instruction.unit, instruction.start, instruction.end]
                found[name].append((name, instruction.pc))
    for unit, tree in build.asts.items():
        if is_own(unit):
            for node in nodes(tree):
                if _branches(node):
                    start, end = extent(node)
                    shared = zip_longest(*jumps.get((unit, start, end), {}).values())
                    places = tuple(tuple(place for place in same if place) for same in shared)
                    yield Branch(unit, start, end, node["nodeType"], places)


def _branches(node: Mapping[str, Any]) -> bool:
    if node["nodeType"] == "FunctionCall":
        return bool(node["expression"].get("name") == "require")
    if node["nodeType"] == "BinaryOperation":
        return node["operator"] in ("&&", "||")
    return node["nodeType"] in ("IfStatement", "Conditional", "ForStatement", "WhileStatement", "TryStatement")


def page(found: list[Branch], ways: Ways, sources: Mapping[str, str]) -> str:
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

`make coverage` prints this page; it takes about three minutes.

The tests in `tests/contracts` take **{share}** of the branches of the contracts, their bases and libraries: {taken}
of {total}. A branch is one way out of an `if`, a `require`, a loop, a choice, a short circuit or a `try`. The contracts
are compiled without optimizer for it, so that each is a conditional jump of its own, and py-evm says which ways were
taken (`tests/contracts/quality/branches.py`). Functions of a library that several contracts use count once;
constructors, which run before there is a contract, don't count (mutation testing has them).

Left out is `src/vendor`, the verifier: another project's, nearly all of it assembly in one straight line. What it
accepts and refuses is shown by tests with real and with damaged proofs (`test_market_prove.py`,
`test_vendored_verifier.py`). OpenZeppelin's contracts have tests of their own.

| source | branches | taken |
|---|---|---|
{rows}

## Taken by no test

{left}
"""


def main(arguments: list[str]) -> int:
    """Run the tests and write the page; return the exit status of pytest."""
    sources = own_sources()
    with Solc() as solc:
        build = solc.build(sources)
    build.install()
    recorder = Recorder.of(build.codes)
    recorder.start()
    status = pytest.main(
        ["-n0", "-q", "-p", "no:cacheprovider", *(arguments or [str(TESTS), "-m", "not slow and not published"])]
    )
    PAGE_PATH.write_text(page(list(branches(build)), recorder.ways, sources))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
