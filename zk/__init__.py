"""Statements, commitments, proofs: the only package that imports ezkl.

In the order of use: `development_srs`, `build_audit_circuit` (seller) or `rebuild_audit_circuit`
(buyer), `input_commitment` and `parameter_commitment`, `prove`, `verify`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zk.binding.tensors import (
        commit_elements,
        commitment_digest,
        draw_input_salt,
        input_commitment,
        parameter_commitment,
    )
    from zk.circuits.audit import AuditCircuit
    from zk.circuits.build import build_audit_circuit, rebuild_audit_circuit
    from zk.errors import ZkError
    from zk.ezkl.queue import ProofQueue
    from zk.ezkl.worker import WorkerLimits
    from zk.proofs.challenge import trade_context
    from zk.proofs.cost import ProofCost, estimate_cost, measure_cost
    from zk.proofs.proof import Proof
    from zk.proofs.prover import evaluate, prove
    from zk.proofs.verifier import verify, write_reusable_verifier
    from zk.setup.ceremony import cached_srs, ceremony_srs, fetch_srs, import_srs
    from zk.setup.srs import Srs, SrsProvider, development_srs, read_srs

__all__ = [
    "AuditCircuit",
    "Proof",
    "ProofCost",
    "ProofQueue",
    "Srs",
    "SrsProvider",
    "WorkerLimits",
    "ZkError",
    "build_audit_circuit",
    "cached_srs",
    "ceremony_srs",
    "commit_elements",
    "commitment_digest",
    "development_srs",
    "draw_input_salt",
    "estimate_cost",
    "evaluate",
    "fetch_srs",
    "import_srs",
    "input_commitment",
    "measure_cost",
    "parameter_commitment",
    "prove",
    "read_srs",
    "rebuild_audit_circuit",
    "trade_context",
    "verify",
    "write_reusable_verifier",
]

_MODULES = {
    "AuditCircuit": "zk.circuits.audit",
    "Proof": "zk.proofs.proof",
    "ProofCost": "zk.proofs.cost",
    "ProofQueue": "zk.ezkl.queue",
    "Srs": "zk.setup.srs",
    "SrsProvider": "zk.setup.srs",
    "WorkerLimits": "zk.ezkl.worker",
    "ZkError": "zk.errors",
    "build_audit_circuit": "zk.circuits.build",
    "cached_srs": "zk.setup.ceremony",
    "ceremony_srs": "zk.setup.ceremony",
    "commit_elements": "zk.binding.tensors",
    "commitment_digest": "zk.binding.tensors",
    "development_srs": "zk.setup.srs",
    "draw_input_salt": "zk.binding.tensors",
    "estimate_cost": "zk.proofs.cost",
    "evaluate": "zk.proofs.prover",
    "fetch_srs": "zk.setup.ceremony",
    "import_srs": "zk.setup.ceremony",
    "input_commitment": "zk.binding.tensors",
    "measure_cost": "zk.proofs.cost",
    "parameter_commitment": "zk.binding.tensors",
    "prove": "zk.proofs.prover",
    "read_srs": "zk.setup.srs",
    "rebuild_audit_circuit": "zk.circuits.build",
    "trade_context": "zk.proofs.challenge",
    "verify": "zk.proofs.verifier",
    "write_reusable_verifier": "zk.proofs.verifier",
}
"""Where each public name lives; it is imported when first used: reference strings do not pay for onnx."""

if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'zk' has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
