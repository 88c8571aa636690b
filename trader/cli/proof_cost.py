"""What `modelseal model prepare` says a proof costs: measured by making one, or estimated where that takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trader.errors import CallerError
from zk import estimate_cost, measure_cost

if TYPE_CHECKING:
    from zk import AuditCircuit, Srs, WorkerLimits

QUICK_PROOF_SECONDS = 20.0
"""A proof that is estimated to take less is made when a model is prepared."""


class ProofCostFinder:
    """Finds the cost of a proof, within limits.

    Attributes:
        figures: what was found, for tables and JSON.
    """

    def __init__(self, limits: WorkerLimits, trial: bool | None) -> None:
        """Set limits, and whether to make a proof; None makes one if it is quick."""
        self._limits = limits
        self._trial = trial
        self.figures: dict[str, Any] = {}

    def find(self, circuit: AuditCircuit, srs: Srs) -> None:
        """Find the figures; raises where this machine can't prove the circuit within the limits."""
        cost = estimate_cost(circuit, srs)
        measured = cost.seconds < QUICK_PROOF_SECONDS if self._trial is None else self._trial
        if measured:
            cost = measure_cost(circuit, srs, self._limits)
        elif cost.seconds > self._limits.seconds or 0 < self._limits.memory_bytes < cost.peak_memory_bytes:
            raise CallerError(
                f"a proof would take about {cost.seconds:.0f} s and {cost.peak_memory_bytes / 2**30:.1f} GiB, "
                "more than you allow. Audit fewer samples, or raise --proof-seconds and --proof-gib."
            )
        self.figures = {
            "proof_seconds": round(cost.seconds, 2),
            "proof_memory_bytes": cost.peak_memory_bytes,
            "proof_cost_measured": measured,
            "proving_key_bytes": cost.proving_key_bytes,
            "proof_bytes": cost.proof_bytes,
            "verification_gas": cost.verification_gas,
        }
