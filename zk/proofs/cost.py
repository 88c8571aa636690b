"""What a proof costs: measured by making one, or estimated from the circuit's size."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zk.circuits.key_files import keys_of
from zk.circuits.limits import estimate_verification_gas
from zk.circuits.planner import PROVER_BYTES_PER_ROW
from zk.field import to_field
from zk.proofs.prover import prove_tensors
from zk.proofs.worker import DEFAULT_LIMITS, WorkerLimits

if TYPE_CHECKING:
    from zk.circuits.audit import AuditCircuit
    from zk.srs import Srs

PROVER_CORE_SECONDS_PER_ROW = 5e-4
"""Measured from 2^14 to 2^16 rows: 0.46 to 0.48 ms, half of it where every weight is used for one sample."""


@dataclass(frozen=True)
class ProofCost:
    """What one proof takes on this machine, and what its verification costs on-chain.

    Attributes:
        seconds: Time to prove and check.
        peak_memory_bytes: Largest resident size of the prover.
        proving_key_bytes: Size of the proving key on disk.
        proof_bytes: Length of a proof.
        verification_gas: Gas of a transaction that calls the reusable verifier, calldata included; an estimate.
    """

    seconds: float
    peak_memory_bytes: int
    proving_key_bytes: int
    proof_bytes: int
    verification_gas: int


def measure_cost(circuit: AuditCircuit, srs: Srs, limits: WorkerLimits = DEFAULT_LIMITS) -> ProofCost:
    """Prove a random statement of the circuit.

    Raises:
        WorkerTimeout: This machine can't prove it in the time allowed.
        WorkerKilled: Its memory does not suffice.
    """
    lengths = [circuit.input_elements, *circuit.parameter_lengths]
    took = prove_tensors(circuit, [_small_values(length, circuit.scale_bits) for length in lengths], srs, limits).took
    return ProofCost(
        seconds=took.seconds,
        peak_memory_bytes=took.peak_memory_bytes,
        proving_key_bytes=keys_of(circuit, srs).proving_key.stat().st_size,
        proof_bytes=circuit.proof_bytes,
        verification_gas=estimate_verification_gas(circuit),
    )


def estimate_cost(circuit: AuditCircuit, srs: Srs) -> ProofCost:
    """Estimate what a proof costs on an idle machine, within a factor of two; the figures for the chain are closer."""
    rows = 1 << circuit.logrows
    return ProofCost(
        seconds=PROVER_CORE_SECONDS_PER_ROW * rows / (os.cpu_count() or 1),
        peak_memory_bytes=PROVER_BYTES_PER_ROW * rows,
        proving_key_bytes=keys_of(circuit, srs).proving_key.stat().st_size,
        proof_bytes=circuit.proof_bytes,
        verification_gas=estimate_verification_gas(circuit),
    )


def _small_values(length: int, scale_bits: int) -> list[int]:
    """Random values within ±1/16: small enough for every range, and as costly as any."""
    bound = 1 << max(scale_bits - 4, 1)
    return [to_field(secrets.randbelow(2 * bound) - bound) for _ in range(length)]
