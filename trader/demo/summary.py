"""What a demo shows in the end: the outcome, the model's quality, the times, the sizes, the gas, and the money."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ledger import EntryKind
from trader.demo.setup import WEI_PER_ETHER
from trader.model import evaluate_exact, output_scale_bits
from trader.report import describe_entry
from trader.trade import Role, State
from trader.verify.detection import detection_probability

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ledger import Entry
    from trader.demo.cheats import Casting
    from trader.demo.training import DemoModel
    from trader.package import SellerPackage
    from trader.parties.buyer import Buyer
    from trader.report.timeline import Timeline

_OUTCOMES = {State.SETTLED: "settled", State.EXPIRED: "refunded", State.SLASHED: "slashed"}
_PHASES = ("keygen", "encrypt", "evaluate", "decrypt", "prove", "verify")


@dataclass(frozen=True, slots=True)
class DemoReport:
    """How a demo went.

    Attributes:
        outcome: `settled`, `refunded`, `slashed`, or `rejected` (the buyer paid nothing).
        cheat: who cheated, and how; None if nobody did.
        noticed: how it came out, as the audit log tells it; None if nobody cheated.
        lost: who lost what, gas left out.
        dataset: name of the data set.
        samples: test samples.
        audit_samples: k.
        accuracy_encrypted: on the held-out rows, from the encrypted test; None if the seller never answered.
        accuracy_plain: of the canonical model in clear.
        max_output_error: largest difference between decrypted and canonical outputs; None if never answered.
        changeable_samples: test samples whose class could be another one within the tolerance; None if never answered.
        proven_changes: audit samples whose proven class differs from the class seen; None if nothing was proven.
        refusal: why the buyer did not pay after the test, or did not accept the proof; None where it refused neither.
        detection_probability: that an audit of k samples finds out a seller who answered with another model.
        seconds: wall time by phase.
        bytes: sizes of the messages.
        gas: by transaction.
        gas_by_role: of all transactions of a side.
        gas_cost: what that cost in wei, by role.
        balances: change in wei, gas left out, by role.
        delivered_model: path of the bought model; None if none was delivered.
        delivered_matches: whether that file computes exactly what the canonical model computes.
        ledger_head: head of the audit log.
    """

    outcome: str
    cheat: str | None
    noticed: str | None
    lost: str
    dataset: str
    samples: int
    audit_samples: int
    accuracy_encrypted: float | None
    accuracy_plain: float
    max_output_error: float | None
    changeable_samples: int | None
    proven_changes: int | None
    refusal: str | None
    detection_probability: float
    seconds: dict[str, float]
    bytes: dict[str, int]
    gas: dict[str, int]
    gas_by_role: dict[str, int]
    gas_cost: dict[str, int]
    balances: dict[str, int]
    delivered_model: str | None
    delivered_matches: bool
    ledger_head: str

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known when the trade is over.

    Attributes:
        played: who played, and how.
        state: final state of the trade; None if the buyer rejected the listing.
        gains: change of both balances in wei, gas left out.
        delivered: the bought model's file.
        entries: of the audit log, about the trade, and about transactions that failed.
        ledger_head: head of the audit log.
        seconds: wall time of it all.
    """

    played: Casting
    state: State | None
    gains: Mapping[Role, int]
    delivered: Path | None
    entries: tuple[Entry, ...]
    ledger_head: str
    seconds: float


def make_report(
    trained: DemoModel, package: SellerPackage, buyer: Buyer, timeline: Timeline, ending: Ending
) -> DemoReport:
    """Compare what was tested and delivered with the model itself, and sum up the timeline."""
    exact = _exact_outputs(trained, package)
    test = buyer.read_test() if buyer.was_answered() else None
    seen = None if test is None else test.outputs
    predict = package.manifest.output.post_processing.predict
    audit_samples = package.manifest.circuit.audit_samples
    return DemoReport(
        outcome="rejected" if ending.state is None else _OUTCOMES[ending.state],
        cheat=ending.played.story or None,
        noticed=_noticed(ending),
        lost=_losses(ending),
        dataset=trained.dataset,
        samples=len(trained.test_samples),
        audit_samples=audit_samples,
        accuracy_encrypted=None if seen is None else _accuracy(predict(seen), trained),
        accuracy_plain=_accuracy(predict(exact), trained),
        max_output_error=None if seen is None else float(np.abs(seen - exact).max()),
        changeable_samples=None if test is None else test.assessment.changeable,
        proven_changes=buyer.compare_proven().changed if "prove" in timeline.gas() else None,
        refusal=buyer.read_refusal(),
        detection_probability=detection_probability(audit_samples),
        seconds={phase: round(timeline.seconds(phase), 4) for phase in _PHASES} | {"total": round(ending.seconds, 4)},
        bytes={
            "request": timeline.message_bytes(EntryKind.REQUEST_SENT),
            "response": timeline.message_bytes(EntryKind.RESPONSE_SENT),
            "artifact": timeline.message_bytes(EntryKind.DELIVERY_OFFERED),
        },
        gas=timeline.gas(),
        gas_by_role={role.value: timeline.gas_of(role) for role in ending.gains},
        gas_cost={role.value: timeline.gas_cost_wei(role) for role in ending.gains},
        balances={role.value: gain for role, gain in ending.gains.items()},
        delivered_model=None if ending.delivered is None else str(ending.delivered),
        delivered_matches=ending.delivered is not None and _matches(ending.delivered, trained, package),
        ledger_head=ending.ledger_head,
    )


_SIGNS = (
    frozenset(
        {
            EntryKind.REQUEST_REFUSED,
            EntryKind.TEST_REFUSED,
            EntryKind.PROOF_REFUSED,
            EntryKind.DELIVERY_REFUSED,
            EntryKind.DISPUTE_RAISED,
        }
    ),
    frozenset({EntryKind.TRANSACTION_FAILED, EntryKind.MESSAGE_SKIPPED, EntryKind.MESSAGE_REPEATED}),
    frozenset({EntryKind.EXPIRED, EntryKind.SETTLED}),
)
"""Entries by which a cheat comes out: a party's refusal first, then what failed on the way, then a missed deadline."""


def _noticed(ending: Ending) -> str | None:
    """Return the entry of the audit log by which a cheat came out, in words."""
    for kinds in _SIGNS if ending.played.story else ():
        for entry in ending.entries:
            if entry.record.kind in kinds:
                return f"the {entry.record.role.value.lower()} {describe_entry(entry)}"
    return None


def _losses(ending: Ending) -> str:
    """Who ends with less than it began with; a buyer that pays for a model and has it loses nothing."""
    losses = {role: -gain for role, gain in ending.gains.items() if gain < 0}
    if ending.delivered is not None and ending.state is State.SETTLED:
        losses.pop(Role.BUYER, None)
    return ", ".join(f"the {role.value} lost {wei / WEI_PER_ETHER:g} ETH" for role, wei in losses.items()) or "nobody"


def _exact_outputs(trained: DemoModel, package: SellerPackage) -> NDArray[np.float64]:
    """Return outputs of the canonical model in real units, from integers."""
    manifest, canonical = package.manifest, package.canonical
    inputs = manifest.quantise(trained.test_samples, canonical.graph)
    scale = 2.0 ** output_scale_bits(canonical.graph, canonical.scale_bits)
    return evaluate_exact(canonical, inputs).astype(np.float64) / scale


def _accuracy(predictions: NDArray[Any], trained: DemoModel) -> float:
    return float(np.mean(predictions == trained.test_labels))


def _matches(delivered: Path, trained: DemoModel, package: SellerPackage) -> bool:
    """Whether onnxruntime computes the same numbers with the delivered file as with the seller's canonical model."""
    return bool(np.array_equal(_run(delivered.read_bytes(), trained), _run(package.plain_model, trained)))


def _run(model: bytes, trained: DemoModel) -> NDArray[Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    outputs = session.run(None, {source.name: trained.test_samples.astype(np.float32)})
    return np.asarray(outputs[0])
