"""Build an audit circuit (seller), or rebuild a listed one (buyer).

Both end in the same place: ONNX and settings are derived from public files, ezkl makes the keys, and the keys are
checked (SRS points, linked columns). The seller chooses the settings; the buyer derives them again and insists on the
digest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from zk.circuits.architecture import read_shapes
from zk.circuits.audit import AuditCircuit
from zk.circuits.key_files import obtain_keys
from zk.circuits.keys import proof_bytes, read_vka, verify_linked_columns, verify_srs_points, vka_digest
from zk.circuits.limits import verify_chain_limits, verify_settings_limits
from zk.circuits.planner import audit_architecture, count_cells, plan_circuit, verify_bounds, verify_scale
from zk.circuits.settings import CircuitSettings, read_settings, regenerate
from zk.errors import SrsError, UnsupportedArchitectureError

if TYPE_CHECKING:
    import onnx

    from zk.circuits.architecture import ArchitectureShapes
    from zk.circuits.audit_graph import AuditGraph
    from zk.ezkl.worker import OnProgress
    from zk.setup.srs import Srs, SrsProvider


KEY_CORE_SECONDS_PER_CELL = 3e-5
"""Measured from 2^11 to 2^12 rows, over rows times columns; a machine that has other work takes longer."""

OnKeyProgress = Callable[[float, float], None]
"""Called with the seconds so far, and those that all keys are expected to take."""


def build_audit_circuit(
    architecture: onnx.ModelProto,
    *,
    audit_samples: int,
    scale_bits: int,
    srs: SrsProvider,
    activation_magnitude: float = 8.0,
    on_progress: OnKeyProgress | None = None,
) -> AuditCircuit:
    """Derive the audit circuit of an architecture, with the cheapest settings that prove it.

    Args:
        architecture: `architecture.onnx`: graph inputs `input` [N, F], then one float tensor per parameter.
        audit_samples: k, samples in one proof.
        scale_bits: Inputs and parameters are integers at scale 2^scale_bits.
        srs: Gives the SRS once the number of rows is known.
        activation_magnitude: Largest magnitude (real units) of the values that meet a function which is looked up
            (sigmoid, tanh, …), or of y in decisions y >= 0 (`zk.circuits.decisions`): larger ones can't be proven,
            and the table's size is proportional to it.
        on_progress: Watches the keys being made, unless they are kept from an earlier time.

    Raises:
        UnsupportedArchitectureError: The graph breaks the convention, has no circuit, or one that this machine can't
            prove.
        SrsError: No SRS of the needed size.
        UnlinkedColumnError: A parameter is not used by the computation.
        WorkerError: ezkl failed.
    """
    shapes = read_shapes(architecture)
    graph, settings = plan_circuit(
        architecture,
        shapes,
        audit_samples=audit_samples,
        scale_bits=scale_bits,
        activation_magnitude=activation_magnitude,
    )
    logrows = settings.run_arguments.logrows
    expected = KEY_CORE_SECONDS_PER_CELL * count_cells(settings, logrows) / (os.cpu_count() or 1)
    watch = None if on_progress is None else lambda seconds: on_progress(seconds, expected)
    return _finish(graph, settings, shapes, scale_bits, srs(logrows), digest=None, watch=watch)


def rebuild_audit_circuit(
    architecture: onnx.ModelProto,
    settings: bytes,
    *,
    audit_samples: int,
    scale_bits: int,
    srs: Srs,
    expected_digest: bytes,
) -> AuditCircuit:
    """Rebuild a listed circuit from what is public; never recalibrates.

    ezkl's keys depend on hash-map order, so the build is repeated in fresh processes, a bounded number of times.

    Args:
        architecture: The listed `architecture.onnx`.
        settings: The listed settings.
        audit_samples: k, as listed.
        scale_bits: Scale of inputs and parameters, as listed.
        srs: Of the size that the settings ask for.
        expected_digest: The listed `circuitDigest`.

    Raises:
        UnsupportedArchitectureError: The architecture breaks the convention, values can wrap around the field's
            modulus, or proofs are beyond what the chain takes.
        SettingsMismatchError: The settings are malformed, those of another statement, or ask for too much work.
        SrsError: `srs` has another size than the settings ask for.
        CircuitMismatchError: No build gave `expected_digest`.
        UnlinkedColumnError: A committed column is not tied to the computation.
        WorkerError: ezkl failed.
    """
    shapes = read_shapes(architecture)
    given = read_settings(settings)
    verify_settings_limits(given)
    logrows = given.run_arguments.logrows
    if srs.logrows != logrows:
        raise SrsError(f"the circuit needs an SRS of 2^{logrows} rows, {srs.path} has 2^{srs.logrows}: get that size")
    graph = audit_architecture(architecture, shapes, audit_samples, scale_bits, logrows)
    derived = regenerate(graph.onnx, given)
    verify_scale(graph, derived, scale_bits)
    verify_bounds(graph, derived)
    return _finish(graph, derived, shapes, scale_bits, srs, digest=expected_digest)


def _finish(
    graph: AuditGraph,
    settings: CircuitSettings,
    shapes: ArchitectureShapes,
    scale_bits: int,
    srs: Srs,
    *,
    digest: bytes | None,
    watch: OnProgress | None = None,
) -> AuditCircuit:
    """Make the keys, check them, and gather what is public about the circuit."""
    files = obtain_keys(graph.onnx, settings.canonical, srs, digest, watch)
    vka = read_vka(files.vka.read_bytes())
    tensor_0, *lengths = settings.tensor_lengths
    samples, *_ = settings.output_shapes[0]
    made = AuditCircuit(
        digest=vka_digest(vka),
        onnx=graph.onnx,
        integers=graph.integers,
        hidden=graph.hidden,
        settings=settings.canonical,
        vka=vka,
        srs_digest=srs.digest,
        logrows=settings.run_arguments.logrows,
        audit_samples=samples,
        features=shapes.features,
        outputs=shapes.outputs,
        salt_elements=tensor_0 - samples * shapes.features,
        scale_bits=scale_bits,
        output_scale_bits=graph.output_degree * scale_bits,
        is_exact=graph.is_exact,
        parameter_shapes=shapes.parameters,
        proof_bytes=proof_bytes(vka),
    )
    _verify_shapes(made, lengths, settings)
    verify_chain_limits(made)
    verify_srs_points(vka, srs)
    verify_linked_columns(files.verifying_key.read_bytes(), vka, made.committed_columns, srs)
    return made


def _verify_shapes(circuit: AuditCircuit, lengths: list[int], settings: CircuitSettings) -> None:
    """Ezkl may see tensors otherwise than the architecture declares them: the layout relies on these."""
    declared = list(circuit.parameter_lengths)
    instances = circuit.output_count
    if circuit.hidden:
        declared += [circuit.hidden.elements, 1]
        instances += 2
    if lengths != declared or settings.instances != instances:
        raise UnsupportedArchitectureError(
            f"ezkl commits to tensors of {lengths} values and gives {settings.instances} instances, "
            f"the architecture declares {declared} and {instances}: prepare the model again"
        )
