"""What others' tools say of the contracts: `python -m tests.contracts.quality.analysis`, or `make analyse`.

Slither looks for known faults in the sources; what it finds has to be among `EXCEPTIONS`, which say why it is none, and
each of these has to be found. Halmos runs `contracts/symbolic`: what each move of a trade does for all arguments and
all that the market's storage may hold.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
CONTRACTS = ROOT / "contracts"
TOOLS = ROOT / ".venv-analysis" / "bin"
OUT = "out/analysis"
ANYWHERE = ""
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    (
        "low-level-calls",
        "Balances.withdraw",
    ): "Ether for whoever calls, maybe a contract: with all gas, checked.",
    ("low-level-calls", "ModelRequests.withdraw"): "As in the market.",
    (
        "msg-value-in-nonpayable",
        "Balances._pay",
    ): "The base has no payable function: the market has.",
    ("naming-convention", ANYWHERE): "Immutables have capital letters, like constants; so have their getters.",
    ("reentrancy-events", "SettlementAttester.attest"): "The event names the attestation, which the call makes.",
    ("reentrancy-no-eth", "SettlementAttester.attest"): "What is written after the call belongs to the service that is "
    "called: one that comes back in attests a trade twice at itself, and nowhere else.",
    ("timestamp", ANYWHERE): "Deadlines are what block.timestamp is for: windows are minutes and more, not the seconds "
    "that a block's maker may choose among.",
    ("unused-return", "Agreements._requireAcceptance"): "Where there is no signer it is the zero address, no buyer's.",
    ("unused-return", "SettlementAttester.registerSchema"): "The schema's name is known before: `schemaUid`.",
}
"""By slither's check and the function: why there is nothing to mend."""


def complaints(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what has no exception, and the exceptions that nothing needs any more."""
    needed = set()
    for finding in findings:
        keys = [(finding["check"], place) for place in (_place(finding), ANYWHERE)]
        if known := [key for key in keys if key in EXCEPTIONS]:
            needed.add(known[0])
        else:
            yield f"{keys[0]}: {finding['description'].strip()}"
    yield from (f"nothing needs the exception {key}" for key in EXCEPTIONS if key not in needed)


def _place(finding: Mapping[str, Any]) -> str:
    """Return the contract and function, or variable, that a finding is about."""
    element = finding["elements"][0]
    parent = element.get("type_specific_fields", {}).get("parent", {})
    return f"{parent.get('name', '')}.{element['name']}"


def slither() -> list[Mapping[str, Any]]:
    """Run slither on the sources; return its findings.

    Raises:
        RuntimeError: It could not finish.
    """
    _run(["forge", "build", "--build-info", "--force"])
    ignored = ["--filter-paths", "node_modules|src/vendor|symbolic", "--exclude-dependencies"]
    report = _run([TOOLS / "slither", ".", "--ignore-compile", "--foundry-out-directory", OUT, "--json", "-", *ignored])
    if not report.stdout:
        raise RuntimeError(report.stderr)
    document = json.loads(report.stdout)
    if not document["success"]:
        raise RuntimeError(document["error"])
    found: list[Mapping[str, Any]] = document["results"].get("detectors", [])
    return found


def halmos(function: str) -> bool:
    """Check the symbolic tests whose names match; return whether all hold."""
    options = ["--contract", "MarketStates", "--function", function, "--loop", "40", "--solver-timeout-assertion", "0"]
    command = [TOOLS / "halmos", "--root", ".", "--forge-build-out", OUT, *options]
    return _run(command, shown=True).returncode == 0


def _run(command: Sequence[Path | str], *, shown: bool = False) -> subprocess.CompletedProcess[str]:
    path = f"{CONTRACTS / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "FOUNDRY_PROFILE": "analysis", "PATH": path}
    environment.pop("PYTHONPATH", None)  # the tools have an environment of their own
    output = None if shown else subprocess.PIPE
    return subprocess.run(command, cwd=CONTRACTS, env=environment, text=True, check=False, stdout=output, stderr=output)


def main(arguments: Sequence[str]) -> int:
    """Run the tools; return the exit status."""
    parser = argparse.ArgumentParser(description="Static and symbolic analysis of the contracts")
    parser.add_argument("tool", nargs="?", choices=["slither", "halmos"], help="one of them alone")
    parser.add_argument("--function", default="check_", help="halmos: tests whose names match")
    options = parser.parse_args(arguments)
    wrong = []
    if options.tool != "halmos":
        wrong += list(complaints(slither()))
    if options.tool != "slither" and not halmos(options.function):
        wrong.append("halmos found a trade for which a check does not hold, or could not finish")
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
