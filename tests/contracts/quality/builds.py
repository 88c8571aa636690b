"""The market compiled for measurements: by the legacy pipeline without optimizer, so that code follows its source.

Each `if`, `require`, loop and short circuit of the source is then one conditional jump, which the source map names.
What runs is not what is published: figures of gas mean nothing here, and the code is larger than a chain would take.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any

from contracts.compiler import read_sources
from contracts.published import ARTIFACTS_PATH, read_artifacts

UNIT, CONTRACT = "src/ModelMarket.sol", "ModelMarket"
ROOT = ARTIFACTS_PATH.parents[1]
SOLC = ROOT / "solc-npm.js"
SETTINGS: Mapping[str, Any] = {
    "optimizer": {"enabled": False},
    "viaIR": False,
    "evmVersion": "cancun",
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}
OWN = ("src/ModelMarket.sol", "src/base/", "src/libraries/")
"""What is measured: the market and its libraries; OpenZeppelin's contracts have tests of their own."""


class CompilationError(Exception):
    """The compiler refused the sources."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of the runtime code.

    Attributes:
        pc: Where it stands.
        opcode: Which one it is.
        unit: The source that it comes from; empty for code that the compiler made.
        start: First character of the source that it comes from.
        end: The one after its last.
    """

    pc: int
    opcode: int
    unit: str
    start: int
    end: int


@dataclass(frozen=True)
class Build:
    """A compiled market.

    Attributes:
        bytecode: What a deployment carries.
        runtime: What the chain holds.
        source_map: Solidity's compressed one.
        units: Names of the sources, by their number in the source map.
        asts: Syntax trees by source.
    """

    bytecode: bytes
    runtime: bytes
    source_map: str
    units: Mapping[int, str]
    asts: Mapping[str, Any]

    @cached_property
    def instructions(self) -> list[Instruction]:
        """All instructions in order."""
        return list(self._read_instructions())

    def _read_instructions(self) -> Iterator[Instruction]:
        pc, fields = 0, ["0", "0", "-1"]
        for entry in self.source_map.split(";"):
            given = entry.split(":")
            fields = [new or old for new, old in zip([*given, "", "", ""], fields, strict=False)]
            start, length, file = map(int, fields)
            opcode = self.runtime[pc]
            yield Instruction(pc, opcode, self.units.get(file, ""), start, start + length)
            pc += opcode - 0x5E if 0x60 <= opcode <= 0x7F else 1

    def install(self) -> None:
        """Let the tests of this process deploy it in the place of the published market."""
        for fork in ("spurious_dragon", "shanghai"):  # EIP-170 and EIP-3860: what a chain takes at most
            constants = import_module(f"eth.vm.forks.{fork}.computation")
            for name in ("EIP170_CODE_SIZE_LIMIT", "MAX_INITCODE_SIZE"):
                if hasattr(constants, name):
                    setattr(constants, name, 1 << 20)
        published: dict[str, Any] = read_artifacts().contracts  # type: ignore[assignment]
        published[CONTRACT] = replace(published[CONTRACT], bytecode=self.bytecode, runtime=self.runtime)


class Solc(AbstractContextManager["Solc"]):
    """The pinned compiler from npm, kept running."""

    def __init__(self) -> None:
        command = ["node", str(SOLC), "--json-lines"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()

    def build(self, sources: Mapping[str, str]) -> Build:
        """Compile the market.

        Raises:
            CompilationError: The compiler refused the sources.
        """
        output = self._compile(sources)
        errors = [error["formattedMessage"] for error in output.get("errors", ()) if error["severity"] == "error"]
        if errors:
            raise CompilationError(errors[0])
        code = output["contracts"][UNIT][CONTRACT]["evm"]
        # A contract without immutables that were filled in: the source map is of the same instructions.
        return Build(
            bytecode=bytes.fromhex(code["bytecode"]["object"]),
            runtime=bytes.fromhex(code["deployedBytecode"]["object"]),
            source_map=code["deployedBytecode"]["sourceMap"],
            units={source["id"]: unit for unit, source in output["sources"].items()},
            asts={unit: source["ast"] for unit, source in output["sources"].items()},
        )

    def _compile(self, sources: Mapping[str, str]) -> dict[str, Any]:
        code = ["evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap"]
        selection = {UNIT: {CONTRACT: code}, "*": {"": ["ast"]}}
        request = {
            "language": "Solidity",
            "sources": {unit: {"content": text} for unit, text in sources.items()},
            "settings": {**SETTINGS, "outputSelection": selection},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def market_sources() -> dict[str, str]:
    """Return the market's sources and all that they import."""
    return read_sources({UNIT: CONTRACT})


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a syntax tree, parents first."""
    if isinstance(tree, list):
        for element in tree:
            yield from nodes(element)
    elif isinstance(tree, dict):
        if "nodeType" in tree:
            yield tree
        for child in tree.values():
            yield from nodes(child)


def extent(node: Mapping[str, Any]) -> tuple[int, int]:
    """Return where a node begins and ends in its source, in bytes."""
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length
