"""Prove an audit circuit, and compute the commitments that both sides need.

Everything is handed to ezkl as field elements, so that nothing is quantized on the way, and every proof is checked
(it holds, and is about these very inputs and parameters) before it is returned.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from eth_utils.crypto import keccak

from zk.circuits.audit import split_columns
from zk.circuits.key_files import keys_of
from zk.errors import StatementError
from zk.field import MODULUS
from zk.proofs.proof import (
    Proof,
    element_from_hex,
    element_to_hex,
    read_ezkl_proof,
    verify_commitments,
    verify_form,
)
from zk.proofs.worker import DEFAULT_LIMITS, OnProgress, WorkerLimits, run_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from zk.circuits.audit import AuditCircuit
    from zk.srs import Srs

SALT_BITS = 24
VALUE_BITS = 24
"""Inputs and parameters are below 2^24 in magnitude, so that float32 holds them."""


def draw_input_salt(circuit: AuditCircuit) -> tuple[int, ...]:
    """Draw the salt that hides the audited samples behind their commitment (secret between buyer and seller)."""
    return tuple(secrets.randbits(SALT_BITS) for _ in range(circuit.salt_elements))


def commitment_digest(points: Sequence[bytes]) -> bytes:
    """keccak256 over the points: ``inputCommitment`` or ``parameterCommitment`` of the escrow."""
    return keccak(b"".join(points))


def input_commitment(
    circuit: AuditCircuit, inputs: NDArray[np.int64], input_salt: Sequence[int], srs: Srs
) -> tuple[bytes, ...]:
    """Commit to the audited samples as a proof does.

    Args:
        circuit: The listing's circuit.
        inputs: k x F integers at scale 2^scale_bits.
        input_salt: Salt of :func:`draw_input_salt`.
        srs: The circuit's SRS.

    Returns:
        One point per input column, 64 bytes each (x, y big-endian); :func:`commitment_digest` hashes them.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        WorkerError: ezkl failed.
    """
    return commit_elements(circuit, _input_elements(circuit, inputs, input_salt), srs)


def parameter_commitment(circuit: AuditCircuit, parameters: Sequence[NDArray[np.int32]], srs: Srs) -> tuple[bytes, ...]:
    """Commit to the parameter tensors as a proof does.

    Returns:
        One point per parameter column, in order.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        WorkerError: ezkl failed.
    """
    return _commit(circuit, _parameter_elements(circuit, parameters), srs)


def commit_elements(circuit: AuditCircuit, elements: Sequence[int], srs: Srs) -> tuple[bytes, ...]:
    """Commit to any vector of canonical field elements, as the circuit commits to a tensor.

    Rows past the vector are 0 and the last :data:`~zk.circuits.audit.BLINDING_ROWS` rows are 1:
    ``C = sum(v_t L_t) + sum(L_i for the last rows)``.

    Returns:
        One point per column of ``2^logrows - 6`` values, 64 bytes each (x, y big-endian).

    Raises:
        StatementError: An element is not canonical.
        WorkerError: ezkl failed.
    """
    if not all(0 <= element < MODULUS for element in elements):
        raise StatementError("a value to commit to is not a canonical field element")
    return _commit(circuit, [elements], srs)


def prove(
    circuit: AuditCircuit,
    inputs: NDArray[np.int64],
    input_salt: Sequence[int],
    parameters: Sequence[NDArray[np.int32]],
    srs: Srs,
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
        limits: Time and memory.
        on_progress: Called with the seconds so far; an exception raised in it cancels.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        ProofError: The made proof is not about these inputs and parameters.
        WorkerError: ezkl failed, ran out of memory or of time.
    """
    tensors = [_input_elements(circuit, inputs, input_salt), *_parameter_elements(circuit, parameters)]
    keys = keys_of(circuit, srs)
    with tempfile.TemporaryDirectory(prefix="modelseal-prove-") as folder:
        job = {
            "tensors": _write_tensors(Path(folder), tensors),
            "compiled": keys.compiled,
            "vk": keys.verifying_key,
            "pk": keys.proving_key,
            "settings": keys.settings,
            "srs": srs.path,
            "witness": Path(folder, "witness.json"),
            "proof": Path(folder, "proof.json"),
        }
        commitments = run_job("prove", job, limits, on_progress).value
        proof = read_ezkl_proof(Path(folder, "proof.json").read_text())
    verify_form(circuit, proof)
    input_points, *parameter_points = _read_commitments(commitments, tensors, circuit)
    verify_commitments(circuit, proof, input_points, [point for points in parameter_points for point in points])
    return proof


def _input_elements(circuit: AuditCircuit, inputs: NDArray[np.int64], input_salt: Sequence[int]) -> list[int]:
    """Tensor 0 as field elements."""
    if inputs.shape != (circuit.audit_samples, circuit.features):
        raise StatementError(
            f"inputs have the shape {inputs.shape}, the circuit takes {(circuit.audit_samples, circuit.features)}"
        )
    if len(input_salt) != circuit.salt_elements:
        raise StatementError(f"{len(input_salt)} salt elements, the circuit takes {circuit.salt_elements}")
    return _elements("inputs", inputs) + _elements("salt", np.array(input_salt, dtype=object))


def _parameter_elements(circuit: AuditCircuit, parameters: Sequence[NDArray[np.int32]]) -> list[list[int]]:
    shapes = tuple(tensor.shape for tensor in parameters)
    if shapes != circuit.parameter_shapes:
        raise StatementError(f"parameters have the shapes {shapes}, the circuit takes {circuit.parameter_shapes}")
    return [_elements(f"parameter tensor {index}", tensor) for index, tensor in enumerate(parameters)]


def _elements(what: str, values: NDArray[np.generic]) -> list[int]:
    """Integers below 2^24 in magnitude, row-major, as field elements."""
    flat = values.ravel().tolist()
    if not all(type(value) is int and -(1 << VALUE_BITS) < value < 1 << VALUE_BITS for value in flat):
        raise StatementError(f"{what}: every value must be an integer below 2^{VALUE_BITS} in magnitude")
    return [value % MODULUS for value in flat]


def _commit(circuit: AuditCircuit, tensors: Sequence[Sequence[int]], srs: Srs) -> tuple[bytes, ...]:
    keys = keys_of(circuit, srs)
    with tempfile.TemporaryDirectory(prefix="modelseal-commit-") as folder:
        job = {
            "tensors": _write_tensors(Path(folder), tensors),
            "vk": keys.verifying_key,
            "settings": keys.settings,
            "srs": srs.path,
        }
        commitments = run_job("commit", job).value
    return tuple(point for points in _read_commitments(commitments, tensors, circuit) for point in points)


def _write_tensors(folder: Path, tensors: Sequence[Sequence[int]]) -> Path:
    path = folder / "tensors.json"
    path.write_text(json.dumps({"input_data": [[element_to_hex(element) for element in t] for t in tensors]}))
    return path


def _read_commitments(
    commitments: list[list[list[str]]], tensors: Sequence[Sequence[int]], circuit: AuditCircuit
) -> list[tuple[bytes, ...]]:
    """Points per tensor; ezkl appends an empty column to a whole multiple of the capacity, which is dropped."""
    columns = (len(split_columns(len(tensor), circuit.column_capacity)) for tensor in tensors)
    return [
        tuple(b"".join(element_from_hex(c).to_bytes(32, "big") for c in point) for point in points[:count])
        for points, count in zip(commitments, columns, strict=True)
    ]
