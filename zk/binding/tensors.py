"""Commitments to inputs and parameters, as a proof begins with them.

A statement's tensors are lists of field elements, handed to ezkl as such, so that nothing is quantized on the way.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from eth_utils.crypto import keccak

from zk.circuits.audit import VALUE_BITS, column_lengths_of
from zk.circuits.key_files import keys_of
from zk.errors import StatementError
from zk.ezkl.worker import run_job
from zk.field import MODULUS, element_from_hex, element_to_hex
from zk.storage import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from zk.circuits.audit import AuditCircuit
    from zk.setup.srs import Srs

SALT_BITS = 24


def draw_input_salt(circuit: AuditCircuit) -> tuple[int, ...]:
    """Draw the salt that hides the audited samples behind their commitment (secret between buyer and seller)."""
    return tuple(secrets.randbits(SALT_BITS) for _ in range(circuit.salt_elements))


def commitment_digest(points: Sequence[bytes]) -> bytes:
    """keccak256 over the points: `inputCommitment` or `parameterCommitment` of the escrow."""
    return keccak(b"".join(points))


def input_commitment(
    circuit: AuditCircuit, inputs: NDArray[np.int64], input_salt: Sequence[int], srs: Srs
) -> tuple[bytes, ...]:
    """Commit to the audited samples as a proof does.

    Args:
        circuit: The listing's circuit.
        inputs: k x F integers at scale 2^scale_bits.
        input_salt: Salt of `draw_input_salt`.
        srs: The circuit's SRS.

    Returns:
        One point per input column, 64 bytes each (x, y big-endian); `commitment_digest` hashes them.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        WorkerError: ezkl failed.
    """
    return commit_elements(circuit, input_elements(circuit, inputs, input_salt), srs)


def parameter_commitment(circuit: AuditCircuit, parameters: Sequence[NDArray[np.int32]], srs: Srs) -> tuple[bytes, ...]:
    """Commit to the parameter tensors as a proof does.

    Returns:
        One point per parameter column, in order.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        WorkerError: ezkl failed.
    """
    tensors = commit_tensors(circuit, parameter_elements(circuit, parameters), srs)
    return tuple(point for points in tensors for point in points)


def commit_elements(circuit: AuditCircuit, elements: Sequence[int], srs: Srs) -> tuple[bytes, ...]:
    """Commit to any vector of canonical field elements, as the circuit commits to a tensor.

    Rows past the vector are 0 and the last `zk.circuits.audit.BLINDING_ROWS` rows are 1:
    `C = sum(v_t L_t) + sum(L_i for the last rows)`.

    Returns:
        One point per column of `2^logrows - 6` values, 64 bytes each (x, y big-endian).

    Raises:
        StatementError: An element is not canonical.
        WorkerError: ezkl failed.
    """
    if not all(0 <= element < MODULUS for element in elements):
        raise StatementError("a value to commit to is not a canonical field element")
    (points,) = commit_tensors(circuit, [elements], srs)
    return points


def commit_tensors(circuit: AuditCircuit, tensors: Sequence[Sequence[int]], srs: Srs) -> list[tuple[bytes, ...]]:
    """Points of each tensor of canonical field elements."""
    keys = keys_of(circuit, srs)
    with temporary_folder("commit") as folder:
        job = {
            "tensors": write_tensors(Path(folder), tensors),
            "vk": keys.verifying_key,
            "settings": keys.settings,
            "srs": srs.path,
        }
        return read_commitments(run_job("commit", job).value, tensors, circuit)


def split_points(tensors: Sequence[tuple[bytes, ...]]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Points of the inputs, and points of all parameters."""
    inputs, *parameters = tensors
    return inputs, tuple(point for points in parameters for point in points)


def input_elements(circuit: AuditCircuit, inputs: NDArray[np.int64], input_salt: Sequence[int]) -> list[int]:
    """Tensor 0 as field elements."""
    if inputs.shape != (circuit.audit_samples, circuit.features):
        raise StatementError(
            f"inputs have the shape {inputs.shape}, the circuit takes {(circuit.audit_samples, circuit.features)}"
        )
    if len(input_salt) != circuit.salt_elements:
        raise StatementError(f"{len(input_salt)} salt elements, the circuit takes {circuit.salt_elements}")
    return _elements("inputs", inputs) + _elements("salt", np.array(input_salt, dtype=object))


def parameter_elements(circuit: AuditCircuit, parameters: Sequence[NDArray[np.int32]]) -> list[list[int]]:
    """Return the parameter tensors as field elements."""
    shapes = tuple(tensor.shape for tensor in parameters)
    if shapes != circuit.parameter_shapes:
        raise StatementError(f"parameters have the shapes {shapes}, the circuit takes {circuit.parameter_shapes}")
    return [_elements(f"parameter tensor {index}", tensor) for index, tensor in enumerate(parameters)]


def write_tensors(folder: Path, tensors: Sequence[Sequence[int]]) -> Path:
    """Write tensors as ezkl reads them; secret."""
    path = folder / "tensors.json"
    path.write_text(json.dumps({"input_data": [[element_to_hex(element) for element in t] for t in tensors]}))
    return path


def read_commitments(
    commitments: list[list[list[str]]], tensors: Sequence[Sequence[int]], circuit: AuditCircuit
) -> list[tuple[bytes, ...]]:
    """Points per tensor; ezkl appends an empty column to a whole multiple of the capacity, which is dropped."""
    columns = (len(column_lengths_of(len(tensor), circuit.column_capacity)) for tensor in tensors)
    return [
        tuple(b"".join(element_from_hex(c).to_bytes(32, "big") for c in point) for point in points[:count])
        for points, count in zip(commitments, columns, strict=True)
    ]


def _elements(what: str, values: NDArray[np.generic]) -> list[int]:
    """Integers below 2^24 in magnitude, row-major, as field elements."""
    flat = values.ravel().tolist()
    if not all(type(value) is int and -(1 << VALUE_BITS) < value < 1 << VALUE_BITS for value in flat):
        raise StatementError(f"{what}: every value must be an integer below 2^{VALUE_BITS} in magnitude")
    return [value % MODULUS for value in flat]
