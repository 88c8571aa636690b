"""The contracts compiled for measurements: by the legacy pipeline without optimizer, so that code follows its source.

Each `if`, `require`, loop and short circuit of the source is then one conditional jump, which the source map names.
What runs is not what is published: figures of gas mean nothing here, and the code is larger than a chain would take.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any

from contracts.compiler import compiled_contracts, read_sources
from contracts.published import ARTIFACTS_PATH, read_artifacts

ROOT = ARTIFACTS_PATH.parents[1]
SOLC = ROOT / "solc-npm.js"
SETTINGS: Mapping[str, Any] = {
    "optimizer": {"enabled": False},
    "viaIR": False,
    "evmVersion": "cancun",
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}


def is_own(unit: str) -> bool:
    """Whether a source is measured.

    OpenZeppelin's contracts have tests of their own. So has the verifier, which is another project's: halo2's generated
    code, nearly all of it assembly without branches; that it accepts what it should, and nothing else, is what tests
    with real and damaged proofs show.
    """
    return unit.startswith("src/") and not unit.startswith("src/vendor/")


CONTRACTS: Mapping[str, str] = {unit: name for unit, name in compiled_contracts().items() if is_own(unit)}
"""What is deployed, by source: all but the verifier, which is vendored."""


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
class Code:
    """A compiled contract.

    Attributes:
        bytecode: What a deployment carries.
        runtime: What the chain holds, but for immutables.
        source_map: Solidity's compressed one.
        units: Names of the sources, by their number in the source map.
        immutables: Where the words of each immutable stand in `runtime`, in the order of declaration.
    """

    bytecode: bytes
    runtime: bytes
    source_map: str
    units: Mapping[int, str]
    immutables: Sequence[Sequence[int]]

    def deployed_as(self, other: "Code", deployed: bytes) -> bytes:
        """Return what the chain would hold, had this been deployed in the place of other code with these immutables."""
        runtime = bytearray(self.runtime)
        for own, others in zip(self.immutables, other.immutables, strict=True):
            for start in own:
                runtime[start : start + 32] = deployed[others[0] : others[0] + 32]
        return bytes(runtime)

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


@dataclass(frozen=True)
class Build:
    """What the compiler made.

    Attributes:
        codes: Compiled contracts by name.
        asts: Syntax trees by source.
    """

    codes: Mapping[str, Code]
    asts: Mapping[str, Any]

    def install(self) -> None:
        """Let the tests of this process deploy the contracts in the place of the published ones."""
        for fork in ("spurious_dragon", "shanghai"):  # EIP-170 and EIP-3860: what a chain takes at most
            constants = import_module(f"eth.vm.forks.{fork}.computation")
            for name in ("EIP170_CODE_SIZE_LIMIT", "MAX_INITCODE_SIZE"):
                if hasattr(constants, name):
                    setattr(constants, name, 1 << 20)
        published: dict[str, Any] = read_artifacts().contracts  # type: ignore[assignment]
        for name, code in self.codes.items():
            published[name] = replace(published[name], bytecode=code.bytecode, runtime=code.runtime)


class Solc(AbstractContextManager["Solc"]):
    """The pinned compiler from npm, kept running."""

    def __init__(self) -> None:
        command = ["node", str(SOLC), "--json-lines"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()

    def build(
        self, sources: Mapping[str, str], contracts: Mapping[str, str] = CONTRACTS, *, trees: bool = True
    ) -> Build:
        """Compile the contracts, named by their sources; with or without the syntax trees of all sources.

        Raises:
            CompilationError: The compiler refused the sources.
        """
        output = self._compile(sources, contracts, trees)
        errors = [error["formattedMessage"] for error in output.get("errors", ()) if error["severity"] == "error"]
        if errors:
            raise CompilationError(errors[0])
        units = {source["id"]: unit for unit, source in output["sources"].items()}
        return Build(
            codes={name: _code(output["contracts"][unit][name]["evm"], units) for unit, name in contracts.items()},
            asts={unit: source["ast"] for unit, source in output["sources"].items()} if trees else {},
        )

    def _compile(self, sources: Mapping[str, str], contracts: Mapping[str, str], trees: bool) -> dict[str, Any]:
        code = ["evm.bytecode.object"]
        code += [f"evm.deployedBytecode.{part}" for part in ("object", "sourceMap", "immutableReferences")]
        selection: dict[str, Any] = {unit: {name: code} for unit, name in contracts.items()}
        if trees:
            selection["*"] = {"": ["ast"]}
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


def _code(compiled: Mapping[str, Any], units: Mapping[int, str]) -> Code:
    runtime = compiled["deployedBytecode"]
    references = sorted(runtime["immutableReferences"].items(), key=lambda item: int(item[0]))
    return Code(
        bytecode=bytes.fromhex(compiled["bytecode"]["object"]),
        runtime=bytes.fromhex(runtime["object"]),
        source_map=runtime["sourceMap"],
        units=units,
        immutables=[[place["start"] for place in places] for _, places in references],
    )


def own_sources(contracts: Mapping[str, str] = CONTRACTS) -> dict[str, str]:
    """Return the contracts' sources and all that they import."""
    return read_sources(contracts)


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
