"""Prove an audit circuit.

Every proof is checked (it holds, and is about these very inputs and parameters) before it is returned. Proofs are kept
in the user's cache under a digest of their statement: a seller that comes back after a crash does not prove twice.
Provers of the same user take turns (`zk.ezkl.queue`); a killed one's job is taken up by the next who asks.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from zk.binding.tensors import commit_tensors, input_elements, parameter_elements, split_points, write_tensors
from zk.circuits.key_files import keys_of
from zk.errors import ProofError, StatementError
from zk.ezkl.queue import ProofQueue
from zk.ezkl.worker import DEFAULT_LIMITS, JobResult, OnProgress, WorkerLimits, run_job
from zk.field import MODULUS, element_from_hex, to_signed
from zk.proofs.challenge import CONTEXT_BYTES, audit_challenge
from zk.proofs.layer_results import layer_results
from zk.proofs.proof import (
    Proof,
    proof_from_json,
    proof_to_json,
    read_ezkl_proof,
    verify_commitments,
    verify_form,
)
from zk.proofs.verifier import verify
from zk.storage import cache_folder, scratch_folder, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from zk.circuits.audit import AuditCircuit
    from zk.setup.srs import Srs


def prove(
    circuit: AuditCircuit,
    inputs: NDArray[np.int64],
    input_salt: Sequence[int],
    parameters: Sequence[NDArray[np.int32]],
    srs: Srs,
    *,
    context: bytes,
    limits: WorkerLimits = DEFAULT_LIMITS,
    on_progress: OnProgress | None = None,
) -> Proof:
    """Prove that the parameters give the outputs on the inputs; the proof is verified before it is returned.

    Args:
        circuit: The listing's circuit.
        inputs: k x F integers at scale 2^scale_bits.
        input_salt: The buyer's salt.
        parameters: The canonical tensors.
        srs: The circuit's SRS.
        context: 32 bytes: where the proof is used (`zk.proofs.challenge.trade_context`).
        limits: Time and memory.
        on_progress: Called with the seconds so far; an exception raised in it cancels.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        ProofError: The made proof is not about these inputs and parameters.
        WorkerError: ezkl failed, ran out of memory or of time, or the job was cancelled.
    """
    tensors = [input_elements(circuit, inputs, input_salt), *parameter_elements(circuit, parameters)]
    digest = _statement_digest(circuit, tensors, context).hex()
    path = cache_folder("proofs", f"{digest}.json")
    kept = _recall(path, circuit, tensors, srs, context)
    if kept is not None:
        return kept
    watch = on_progress or _ignore
    with ProofQueue.of_user().turn(digest, lambda: watch(0.0)) as lease:
        # Whoever had the turn before may have proven the same.
        proof = _recall(path, circuit, tensors, srs, context)
        if proof is None:

            def on_time(seconds: float) -> None:
                lease.renew()
                watch(seconds)

            proof = prove_tensors(circuit, tensors, srs, context, limits, on_time).proof
            _keep(path, proof)
    return proof


def _ignore(_seconds: float) -> None:
    """Nobody watches."""


def _keep(path: Path, proof: Proof) -> None:
    with scratch_folder(path) as scratch:
        made = scratch / path.name
        made.write_text(proof_to_json(proof))
        made.replace(path)


def evaluate(
    circuit: AuditCircuit, inputs: NDArray[np.int64], parameters: Sequence[NDArray[np.int32]], srs: Srs
) -> tuple[int, ...]:
    """Return the k·O outputs (signed, scale 2^output_scale_bits) that a proof would have as instances; proves nothing.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        WorkerError: ezkl failed, or a value is outside the table of a function.
    """
    salt = [0] * circuit.salt_elements
    tensors = [input_elements(circuit, inputs, salt), *parameter_elements(circuit, parameters)]
    if circuit.is_exact:
        return layer_results(circuit, tensors).outputs
    keys = keys_of(circuit, srs)
    with temporary_folder("evaluate") as folder:
        job = {
            "tensors": write_tensors(Path(folder), tensors),
            "compiled": keys.compiled,
            "settings": keys.settings,
            "witness": Path(folder, "witness.json"),
        }
        (outputs,) = run_job("evaluate", job).value
    return tuple(to_signed(element_from_hex(output)) for output in outputs)


@dataclass(frozen=True)
class ProvingRun:
    """A checked proof, and what it took: seconds in all, and memory of the proving process."""

    proof: Proof
    took: JobResult


def prove_tensors(
    circuit: AuditCircuit,
    tensors: Sequence[Sequence[int]],
    srs: Srs,
    context: bytes,
    limits: WorkerLimits = DEFAULT_LIMITS,
    on_progress: OnProgress | None = None,
) -> ProvingRun:
    """Prove and check a statement about tensors of field elements (inputs, then parameters), without the cache."""
    if len(context) != CONTEXT_BYTES:
        raise StatementError(f"a context has {CONTEXT_BYTES} bytes, not {len(context)}")
    keys = keys_of(circuit, srs)
    started = time.monotonic()
    whole, points = _with_results(circuit, tensors, srs, context)
    with temporary_folder("prove") as folder:
        proof_path = Path(folder, "proof.json")
        job = {
            "tensors": write_tensors(Path(folder), whole),
            "compiled": keys.compiled,
            "vk": keys.verifying_key,
            "pk": keys.proving_key,
            "settings": keys.settings,
            "srs": srs.path,
            "witness": Path(folder, "witness.json"),
            "proof": proof_path,
        }
        took = run_job("prove", job, limits, on_progress)
        proof = read_ezkl_proof(proof_path.read_text(), circuit, context)
    verify_form(circuit, proof)
    verify_commitments(circuit, proof, *split_points(points[: len(tensors)]))
    return ProvingRun(proof, replace(took, seconds=time.monotonic() - started))


def _with_results(
    circuit: AuditCircuit, tensors: Sequence[Sequence[int]], srs: Srs, context: bytes
) -> tuple[list[Sequence[int]], list[tuple[bytes, ...]]]:
    """All tensors of a statement, layers' results and challenge included, and the commitments to all but the last."""
    if circuit.hidden is None:
        return list(tensors), commit_tensors(circuit, tensors, srs)
    results = layer_results(circuit, tensors)
    hidden = circuit.hidden.lay_out([value % MODULUS for value in results.hidden], lambda: secrets.randbelow(MODULUS))
    points = commit_tensors(circuit, [*tensors, hidden], srs)
    outputs = [output % MODULUS for output in results.outputs]
    challenge = audit_challenge(circuit, context, (point for column in points for point in column), outputs)
    return [*tensors, hidden, [challenge]], points


def _recall(
    path: Path, circuit: AuditCircuit, tensors: Sequence[Sequence[int]], srs: Srs, context: bytes
) -> Proof | None:
    """Return a kept proof, checked like any other; None where there is none that holds."""
    try:
        proof = proof_from_json(path.read_text())
        input_points, parameter_points = split_points(commit_tensors(circuit, tensors, srs))
        verify(circuit, proof, srs, input_points=input_points, parameter_points=parameter_points, context=context)
    except (OSError, ValueError, KeyError, TypeError, ProofError):
        return None
    return proof


def _statement_digest(circuit: AuditCircuit, tensors: Sequence[Sequence[int]], context: bytes) -> bytes:
    """Names a statement without giving it away: the salts in its tensors can't be guessed."""
    elements = (element.to_bytes(32, "big") for tensor in tensors for element in tensor)
    return keccak(circuit.digest + context + b"".join(elements))
