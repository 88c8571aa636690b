"""Knows the Solidity sources and how to compile them: `python -m contracts.compiler [--check]`.

Writes `artifacts/contracts.json`, the only thing that the rest of the package reads; it is committed, so that running a
trade never needs a compiler. Start at `compile_artifacts`.

The compiler is the pinned solc, native where py-solc-x has it or can install it, else the npm package behind
`solc-npm.js`. Solidity's releases hold the two to the same bytecode.
"""

import argparse
import hashlib
import json
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import solcx
from solcx.exceptions import SolcError, SolcInstallationError

from contracts.errors import CompilerError
from contracts.published import ARTIFACTS_PATH

SOLC_VERSION = "0.8.37"

_ROOT = Path(__file__).parent
_NODE_MODULES = _ROOT / "node_modules"
_NPM_WRAPPER = _ROOT / "solc-npm.js"
_TYPES = "src/types/"
_IMPORT = re.compile(r'^\s*(?:import|\})[^;"]*"([^"]+)"\s*;', re.MULTILINE)

# The verifier addresses memory by fixed numbers, assuming that the vka is the first thing allocated: that holds in the
# legacy pipeline only. The market gains in size and gas from the new one.
_JOBS: Mapping[str, Mapping[str, Any]] = {
    "market": {
        "contracts": {
            "src/ModelMarket.sol": "ModelMarket",
            "src/Directory.sol": "Directory",
            "test/FickleWallet.sol": "FickleWallet",
            "test/ReenteringReceiver.sol": "ReenteringReceiver",
            "test/TestPolicy.sol": "TestPolicy",
            "test/TestToken.sol": "TestToken",
            "test/WritingPolicy.sol": "WritingPolicy",
        },
        "viaIR": True,
        "runs": 1_000,
    },
    "periphery": {
        "contracts": {
            "src/periphery/AuditAnchor.sol": "AuditAnchor",
            "src/periphery/Deposits.sol": "Deposits",
            "src/periphery/JobEvaluator.sol": "JobEvaluator",
            "src/periphery/ListingPolicy.sol": "ListingPolicy",
            "src/periphery/ModelRequests.sol": "ModelRequests",
            "src/periphery/SettlementAttester.sol": "SettlementAttester",
            "test/standins/StandInEAS.sol": "StandInEAS",
            "test/standins/StandInJobs.sol": "StandInJobs",
            "test/standins/StandInMarket.sol": "StandInMarket",
            "test/standins/StandInToken.sol": "StandInToken",
            "test/standins/StandInVault.sol": "StandInVault",
            "test/standins/StandInVkaStore.sol": "StandInVkaStore",
            "test/standins/StandInWallet.sol": "StandInWallet",
        },
        "viaIR": True,
        "runs": 1_000,
    },
    "verifier": {
        "contracts": {"src/vendor/Halo2VerifierReusable.sol": "Halo2VerifierReusable"},
        "viaIR": False,
        "runs": 1,
    },
}


def compiled_contracts() -> dict[str, str]:
    """Return the names of all contracts that are compiled, by their sources; those of the tests among them."""
    return {unit: name for job in _JOBS.values() for unit, name in job["contracts"].items()}


def read_sources(entries: Mapping[str, str]) -> dict[str, str]:
    """Read the entry files and everything that they import, by source unit name (`src/…` or `@openzeppelin/…`)."""
    sources: dict[str, str] = {}
    waiting = list(entries)
    while waiting:
        unit = waiting.pop()
        if unit in sources:
            continue
        path = (_NODE_MODULES if unit.startswith("@") else _ROOT) / unit
        try:
            sources[unit] = path.read_text(encoding="utf-8")
        except OSError as error:
            raise CompilerError(f"cannot read {path}: {error.strerror}. Run `npm ci` in {_ROOT}.") from error
        waiting += [_resolve(unit, imported) for imported in _IMPORT.findall(sources[unit])]
    return dict(sorted(sources.items()))


def _resolve(importer: str, imported: str) -> str:
    if not imported.startswith("."):
        return imported
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), imported))


def find_solc() -> Path:
    """Return the pinned solc: a native one if py-solc-x has it or can install it, else npm's wrapper."""
    try:
        if SOLC_VERSION not in {str(version) for version in solcx.get_installed_solc_versions()}:
            solcx.install_solc(SOLC_VERSION)
        return Path(solcx.install.get_executable(SOLC_VERSION))
    except (SolcInstallationError, OSError):  # connection errors of its HTTP client are OSErrors too
        if not (_NODE_MODULES / "solc").is_dir():
            raise CompilerError(
                f"no solc {SOLC_VERSION}: neither native nor from npm. Run `npm ci` in {_ROOT}."
            ) from None
        return _NPM_WRAPPER


def compile_artifacts() -> str:
    """Return the text of `artifacts/contracts.json`: a function of sources, settings and the pinned compiler alone."""
    solc = find_solc()
    artifacts: dict[str, Any] = {"compiler": SOLC_VERSION, "settings": {}, "sources": {}, "enums": {}, "contracts": {}}
    for name, job in _JOBS.items():
        sources, settings = read_sources(job["contracts"]), _settings(job)
        output = _compile(sources, settings, solc)
        artifacts["settings"][name] = {key: value for key, value in settings.items() if key != "outputSelection"}
        artifacts["sources"] |= {unit: hashlib.sha256(text.encode()).hexdigest() for unit, text in sources.items()}
        nodes = [node for unit in output["sources"].values() for node in _definitions(unit.get("ast", {}))]
        artifacts["enums"] |= {
            node["name"]: [member["name"] for member in node["members"]]
            for unit, source in output["sources"].items()
            if unit.startswith(_TYPES)
            for node in _definitions(source["ast"])
            if node["nodeType"] == "EnumDefinition"
        }
        names = {str(node["id"]): node["name"] for node in nodes if node["nodeType"] == "VariableDeclaration"}
        for unit, contract in job["contracts"].items():
            artifacts["contracts"][contract] = _artifact(output["contracts"][unit][contract], names)
    return json.dumps(artifacts, indent=1, sort_keys=True) + "\n"


def _settings(job: Mapping[str, Any]) -> dict[str, Any]:
    outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"]
    return {
        "optimizer": {"enabled": True, "runs": job["runs"]},
        "viaIR": job["viaIR"],
        "evmVersion": "cancun",
        # Code that does not depend on comments and paths: a codehash stands for what the contract does.
        "metadata": {"bytecodeHash": "none", "appendCBOR": False},
        "outputSelection": {
            "*": {"": ["ast"]},
            **{unit: {name: outputs} for unit, name in job["contracts"].items()},
        },
    }


def _compile(sources: Mapping[str, str], settings: Mapping[str, Any], solc: Path) -> dict[str, Any]:
    request = {
        "language": "Solidity",
        "sources": {unit: {"content": text} for unit, text in sources.items()},
        "settings": settings,
    }
    try:
        output: dict[str, Any] = solcx.compile_standard(request, solc_binary=solc)
    except SolcError as error:
        raise CompilerError(f"{solc.name} refused the sources: {error.message}") from error
    except OSError as error:
        raise CompilerError(f"{solc} cannot be run: {error.strerror}. Is Node.js installed?") from error
    return output


def _definitions(ast: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return the definitions of a source unit, and those inside its contracts."""
    for node in ast.get("nodes", []):
        yield node
        yield from _definitions(node)


def _artifact(compiled: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    runtime = compiled["evm"]["deployedBytecode"]
    return {
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "runtime": "0x" + runtime["object"],
        # Where the runtime code holds each immutable: byte offsets of 32-byte words, zero in the text above.
        "immutables": {
            names[node]: [reference["start"] for reference in references]
            for node, references in runtime["immutableReferences"].items()
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the artifacts, or with `--check` exit with 1 if the committed ones are stale."""
    parser = argparse.ArgumentParser(prog="python -m contracts.compiler", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the artifacts are stale")
    options = parser.parse_args(arguments)
    try:
        compiled = compile_artifacts()
    except CompilerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.check:
        if ARTIFACTS_PATH.read_text(encoding="utf-8") == compiled:
            return 0
        sys.stderr.write(f"{ARTIFACTS_PATH} is stale: run `make contracts` and commit it.\n")
        return 1
    temporary = ARTIFACTS_PATH.with_suffix(".tmp")
    temporary.write_text(compiled, encoding="utf-8")
    temporary.replace(ARTIFACTS_PATH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
