"""Build an audit circuit (seller), or rebuild a listed one (buyer).

Both end in the same place: ONNX and settings are derived from public files, ezkl makes the keys, and the keys are
checked (SRS points, linked columns). The seller chooses the settings; the buyer derives them again and insists on the
digest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from zk.circuits.audit import SALT_ELEMENTS, AuditCircuit, column_capacity, leaves_empty_column
from zk.circuits.graph import ArchitectureShapes, audit_graph, read_shapes
from zk.circuits.key_files import obtain_keys
from zk.circuits.keys import proof_bytes, read_vka, verify_linked_columns, verify_srs_points, vka_digest
from zk.circuits.settings import CircuitSettings, RunArguments, generate, read_settings, regenerate
from zk.errors import SrsError, UnsupportedArchitecture
from zk.srs import MAX_LOGROWS

if TYPE_CHECKING:
    import onnx

    from zk.srs import Srs, SrsProvider

MIN_LOGROWS = 8
"""Smaller circuits save nothing, and at fewer rows ezkl's constant overhead doesn't fit."""

MAX_OUTPUT_SCALE_BITS = 216
"""Signed values have 253 bits: this leaves outputs a magnitude of 2^37."""

_DRAFT_LOGROWS = 17
"""Settings at this size say how many rows the layout needs."""


def build_audit_circuit(
    architecture: onnx.ModelProto, *, audit_samples: int, scale_bits: int, srs: SrsProvider
) -> AuditCircuit:
    """Derive the audit circuit of an architecture, with the cheapest settings that prove it.

    Args:
        architecture: ``architecture.onnx``: graph inputs ``input`` [N, F], then one float tensor per parameter.
        audit_samples: k, samples in one proof.
        scale_bits: Inputs and parameters are integers at scale 2^scale_bits.
        srs: Gives the SRS once the number of rows is known.

    Raises:
        UnsupportedArchitecture: The graph breaks the convention or has no exact circuit.
        SrsError: No SRS of the needed size.
        UnlinkedColumn: A parameter is not used by the computation.
        WorkerError: ezkl failed.
    """
    shapes = read_shapes(architecture)
    draft = generate(
        _graph(architecture, shapes, audit_samples, _DRAFT_LOGROWS), RunArguments(scale_bits, _DRAFT_LOGROWS)
    )
    logrows = _fitting_logrows(draft, shapes)
    circuit = _graph(architecture, shapes, audit_samples, logrows)
    settings = generate(circuit, RunArguments(scale_bits, logrows))
    if settings.output_scale_bits > MAX_OUTPUT_SCALE_BITS:
        raise UnsupportedArchitecture(
            f"outputs at scale 2^{settings.output_scale_bits} leave no room in the field: prepare the model with fewer "
            f"than {scale_bits} scale bits ({scale_bits * MAX_OUTPUT_SCALE_BITS // settings.output_scale_bits} fit)"
        )
    if not settings.is_polynomial:
        raise UnsupportedArchitecture("the architecture is not polynomial: no circuit gives its exact outputs")
    return _finish(circuit, settings, shapes, srs(logrows), digest=None)


def rebuild_audit_circuit(
    architecture: onnx.ModelProto, settings: bytes, *, audit_samples: int, srs: Srs, expected_digest: bytes
) -> AuditCircuit:
    """Rebuild a listed circuit from what is public; never recalibrates.

    ezkl's keys depend on hash-map order, so the build is repeated in fresh processes, a bounded number of times.

    Raises:
        UnsupportedArchitecture: The architecture breaks the convention.
        SettingsMismatch: The settings are malformed or those of another statement.
        SrsError: ``srs`` has another size than the settings ask for.
        CircuitMismatch: No build gave ``expected_digest``.
        UnlinkedColumn: A committed column is not tied to the computation.
        WorkerError: ezkl failed.
    """
    shapes = read_shapes(architecture)
    given = read_settings(settings)
    logrows = given.run_arguments.logrows
    if srs.logrows != logrows:
        raise SrsError(f"the circuit needs an SRS of 2^{logrows} rows, {srs.path} has 2^{srs.logrows}: get that size")
    circuit = _graph(architecture, shapes, audit_samples, logrows)
    derived = regenerate(circuit, given)
    return _finish(circuit, derived, shapes, srs, digest=expected_digest)


def _graph(architecture: onnx.ModelProto, shapes: ArchitectureShapes, audit_samples: int, logrows: int) -> bytes:
    return audit_graph(
        architecture,
        audit_samples=audit_samples,
        salt_elements=_salt_elements(audit_samples * shapes.features, logrows),
    )


def _salt_elements(values: int, logrows: int) -> int:
    """The usual number, or one more where ezkl would append an empty column."""
    return SALT_ELEMENTS + leaves_empty_column(values + SALT_ELEMENTS, column_capacity(logrows))


def _fitting_logrows(draft: CircuitSettings, shapes: ArchitectureShapes) -> int:
    """The smallest number of rows that holds the layout in one block, and gives no parameter tensor an empty column."""
    needed = max(draft.rows, draft.instances)
    lengths = [math.prod(shape) for shape in shapes.parameters]
    for logrows in range(MIN_LOGROWS, MAX_LOGROWS + 1):
        capacity = column_capacity(logrows)
        if needed <= capacity and not any(leaves_empty_column(length, capacity) for length in lengths):
            return logrows
    raise UnsupportedArchitecture(f"the circuit needs {needed} rows: at most 2^{MAX_LOGROWS}; audit fewer samples")


def _finish(
    circuit: bytes, settings: CircuitSettings, shapes: ArchitectureShapes, srs: Srs, *, digest: bytes | None
) -> AuditCircuit:
    """Make the keys, check them, and gather what is public about the circuit."""
    files = obtain_keys(circuit, settings.canonical, srs, digest)
    vka = read_vka(files.vka.read_bytes())
    tensor_0, *lengths = settings.tensor_lengths
    samples, *_ = settings.output_shape
    made = AuditCircuit(
        digest=vka_digest(vka),
        onnx=circuit,
        settings=settings.canonical,
        vka=vka,
        srs_digest=srs.digest,
        logrows=settings.run_arguments.logrows,
        audit_samples=samples,
        features=shapes.features,
        outputs=shapes.outputs,
        salt_elements=tensor_0 - samples * shapes.features,
        scale_bits=settings.run_arguments.input_scale,
        output_scale_bits=settings.output_scale_bits,
        parameter_shapes=shapes.parameters,
        proof_bytes=proof_bytes(vka),
    )
    _verify_shapes(made, lengths, settings)
    verify_srs_points(vka, srs)
    columns = made.input_columns + made.parameter_columns
    verify_linked_columns(files.verifying_key.read_bytes(), vka, columns, srs)
    return made


def _verify_shapes(circuit: AuditCircuit, lengths: list[int], settings: CircuitSettings) -> None:
    """Ezkl may see tensors otherwise than the architecture declares them: the layout relies on these."""
    declared = [math.prod(shape) for shape in circuit.parameter_shapes]
    outputs = circuit.audit_samples * circuit.outputs
    if lengths != declared or settings.instances != outputs:
        raise UnsupportedArchitecture(
            f"ezkl commits to tensors of {lengths} values and gives {settings.instances} outputs, "
            f"the architecture declares {declared} and {outputs}: prepare the model again"
        )
