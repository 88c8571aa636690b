"""Whether a circuit's verification key artifact (vka) should be kept in code: `python -m tests.contracts.vka_storage`.

Compares what `prove` does (the words come with each call) with code storage (they are the code of a contract, which
each call reads), in gas on an EVM in this process, for circuits of growing models. Printed for each: what is paid once,
what each proof saves, and after how many proofs that is even.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zk
from contracts.published import read_artifacts
from tests.contracts.periphery import Ground, event
from tests.simulators.dense_model import SCALE_BITS, dense_architecture

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = ((3, 3), (64, 32, 10), (784, 64, 10))
"""Widths of dense networks."""
AUDIT_SAMPLES = 16


@dataclass(frozen=True)
class Comparison:
    """Gas of both ways.

    Attributes:
        words: Of the vka.
        store: Paid once: a transaction that creates the contract.
        calldata: Of a call that brings the words.
        code: Of a call that reads them.
    """

    words: int
    store: int
    calldata: int
    code: int

    @property
    def saved(self) -> int:
        """What a proof costs less."""
        return self.calldata - self.code

    @property
    def even(self) -> int:
        """The first number of proofs with which code storage costs no more."""
        return -(-self.store // self.saved)


def compare(vka: Sequence[bytes]) -> Comparison:
    """Measure both ways, with the words of a circuit."""
    chain = Ground()
    store = chain.create("StandInVkaStore")
    stored = chain.send(store.functions.store(list(vka)), chain.stranger)
    pointer = event(stored, store, "Stored")["pointer"]
    calls = (store.functions.fromCalldata(list(vka)), store.functions.fromCode(pointer))
    calldata, code = (int(chain.send(call, chain.stranger)["gasUsed"]) for call in calls)
    return Comparison(len(vka), int(stored["gasUsed"]), calldata, code)


def main() -> None:
    """Print a line per size."""
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.vka_storage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest model alone: seconds")
    sizes = SIZES[:1] if parser.parse_args().quick else SIZES
    assert "StandInVkaStore" in read_artifacts().contracts
    for widths in sizes:
        circuit = zk.build_audit_circuit(
            dense_architecture(*widths), audit_samples=AUDIT_SAMPLES, scale_bits=SCALE_BITS, srs=zk.development_srs
        )
        found = compare(circuit.vka)
        name, words = "-".join(map(str, widths)), f"{found.words} words"
        per_proof = f"{found.calldata:,} with calldata, {found.code:,} from code, {found.saved:,} less"
        print(f"{name:>10}: {words}; once {found.store:,}; a proof {per_proof}; even after {found.even}")  # noqa: T201


if __name__ == "__main__":
    main()
