"""Statements, commitments, proofs: the only package that imports ezkl.

In the order of use: :func:`development_srs`, :func:`build_audit_circuit` (seller) or :func:`rebuild_audit_circuit`
(buyer), :func:`input_commitment` and :func:`parameter_commitment`, :func:`prove`, :func:`verify`.
"""

from zk.ceremony import cached_srs, ceremony_srs, fetch_srs, import_srs
from zk.circuits.audit import AuditCircuit
from zk.circuits.build import build_audit_circuit, rebuild_audit_circuit
from zk.errors import ZkError
from zk.proofs.challenge import trade_context
from zk.proofs.commitment import (
    commit_elements,
    commitment_digest,
    draw_input_salt,
    input_commitment,
    parameter_commitment,
)
from zk.proofs.cost import ProofCost, estimate_cost, measure_cost
from zk.proofs.proof import Proof
from zk.proofs.prover import evaluate, prove
from zk.proofs.queue import ProofQueue
from zk.proofs.verifier import verify, write_reusable_verifier
from zk.proofs.worker import WorkerLimits
from zk.srs import Srs, SrsProvider, development_srs, read_srs

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
