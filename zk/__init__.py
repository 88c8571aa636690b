"""Statements, commitments, proofs: the only package that imports ezkl.

In the order of use: `development_srs`, `build_audit_circuit` (seller) or `rebuild_audit_circuit`
(buyer), `input_commitment` and `parameter_commitment`, `prove`, `verify`.
"""

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
