"""Verify a proof off-chain, and write the contract that verifies it on-chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zk.circuits.key_files import keys_of
from zk.errors import InvalidProofError, WorkerFailedError
from zk.ezkl.worker import DEFAULT_LIMITS, WorkerLimits, run_job
from zk.proofs.proof import Proof, verify_commitments, verify_form, write_ezkl_proof
from zk.storage import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zk.circuits.audit import AuditCircuit
    from zk.setup.srs import Srs


def verify(
    circuit: AuditCircuit,
    proof: Proof,
    srs: Srs,
    *,
    input_points: Sequence[bytes],
    parameter_points: Sequence[bytes],
    context: bytes,
    limits: WorkerLimits = DEFAULT_LIMITS,
) -> None:
    """Check a proof and that it is about the given commitments; silent on success.

    Not checked: that the circuit is the listed one (`zk.rebuild_audit_circuit` does), and what the outputs are.

    Args:
        circuit: The circuit of the statement.
        proof: The proof, which may come from the other party.
        srs: The circuit's SRS.
        input_points: The commitment to the samples, one point per column.
        parameter_points: The commitment to the parameters, one point per column.
        context: 32 bytes: where the proof is used.
        limits: Time and memory.

    Raises:
        MalformedProofError: Wrong length, wrong number of instances, or an instance outside the field.
        CommitmentMismatchError: The proof's prefix is not the given commitments.
        InvalidProofError: The proof does not hold, or not in this context.
        WorkerError: The verifying process died.
    """
    verify_form(circuit, proof)
    verify_commitments(circuit, proof, input_points, parameter_points)
    keys = keys_of(circuit, srs)
    with temporary_folder("verify") as folder:
        path = Path(folder, "proof.json")
        path.write_text(write_ezkl_proof(proof, proof.public_instances(circuit, context)))
        job = {"proof": path, "settings": keys.settings, "vk": keys.verifying_key, "srs": srs.path}
        try:
            run_job("verify", job, limits)
        except WorkerFailedError as error:
            raise InvalidProofError(f"the proof does not hold: {error}; ask the seller for a valid one") from error


def write_reusable_verifier(circuit: AuditCircuit, srs: Srs, path: Path) -> None:
    """Write the Solidity source of ezkl's reusable verifier, which is the same for every circuit.

    Raises:
        WorkerError: ezkl did not write it.
    """
    keys = keys_of(circuit, srs)
    with temporary_folder("verifier") as folder:
        solidity = Path(folder, "Halo2VerifierReusable.sol")
        job = {
            "vk": keys.verifying_key,
            "settings": keys.settings,
            "srs": srs.path,
            "solidity": solidity,
            "abi": Path(folder, "verifier.abi"),
        }
        run_job("write_verifier", job)
        path.write_bytes(solidity.read_bytes())
