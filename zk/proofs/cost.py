"""What a proof costs: measured by making one, or estimated from the circuit's size."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zk.circuits.key_files import keys_of
from zk.circuits.limits import estimate_verification_gas
from zk.circuits.planner import PROVER_BYTES_PER_CELL, count_cells
from zk.circuits.settings import read_settings
from zk.ezkl.worker import DEFAULT_LIMITS, WorkerLimits
from zk.field import to_field
from zk.proofs.challenge import CONTEXT_BYTES
from zk.proofs.prover import prove_tensors

if TYPE_CHECKING:
    from zk.circuits.audit import AuditCircuit
    from zk.setup.srs import Srs

PROVER_CORE_SECONDS_PER_CELL = 4e-5
"""Measured from 2^14 to 2^16 rows, over rows times columns."""
ZEROS_PER_ONE = 64
"""Of the values that stand for trees in a trial: sums of some thousand of them stay within the tables of decisions."""


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
        WorkerTimeoutError: This machine can't prove it in the time allowed.
        WorkerKilledError: Its memory does not suffice.
    """
    lengths = [circuit.input_elements, *circuit.parameter_lengths]
    tensors = [_small_values(length, circuit.scale_bits) for length in lengths]
    took = prove_tensors(circuit, tensors, srs, bytes(CONTEXT_BYTES), limits).took
    return ProofCost(
        seconds=took.seconds,
        peak_memory_bytes=took.peak_memory_bytes,
        proving_key_bytes=keys_of(circuit, srs).proving_key.stat().st_size,
        proof_bytes=circuit.proof_bytes,
        verification_gas=estimate_verification_gas(circuit),
    )


def estimate_cost(circuit: AuditCircuit, srs: Srs) -> ProofCost:
    """Estimate what a proof costs on an idle machine, within a factor of two; the figures for the chain are closer."""
    cells = count_cells(read_settings(circuit.settings), circuit.logrows)
    return ProofCost(
        seconds=PROVER_CORE_SECONDS_PER_CELL * cells / (os.cpu_count() or 1),
        peak_memory_bytes=PROVER_BYTES_PER_CELL * cells,
        proving_key_bytes=keys_of(circuit, srs).proving_key.stat().st_size,
        proof_bytes=circuit.proof_bytes,
        verification_gas=estimate_verification_gas(circuit),
    )


def _small_values(length: int, scale_bits: int) -> list[int]:
    """Random values within ±1/16: small enough for every range, and as costly as any.

    At a scale of 0 bits they are what an ensemble of trees has: selections and paths, a few ones among many zeros.
    Dense ones would add up to more than the tables of decisions hold.
    """
    if scale_bits == 0:
        return [int(secrets.randbelow(ZEROS_PER_ONE) == 0) for _ in range(length)]
    bound = 1 << max(scale_bits - 4, 1)
    return [to_field(secrets.randbelow(2 * bound) - bound) for _ in range(length)]
