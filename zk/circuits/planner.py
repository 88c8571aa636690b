"""Choose the settings of a new audit circuit.

What was measured with ezkl 23 on two cores, proving time in core seconds:

====================  =======  =======  ===========  ============
784-64-10, k = 4      columns  logrows  time         proof bytes
====================  =======  =======  ===========  ============
one block             2        15       15.3         5,920
one block             1        16       17.9         5,088
two blocks            2        14       12.7         11,200
two blocks            4        14       13.6         8,384
====================  =======  =======  ===========  ============

So two inner columns and the smallest number of rows that holds the layout in one block it is: more blocks would save a
sixth of the time and double proof and gas. Without activations the decomposition is not used and costs nothing; with
Relu, a value is cut into limbs below ``decomp_base``, and the choice is the base that gives the smallest circuit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from zk.circuits.audit import SALT_ELEMENTS, column_capacity, leaves_empty_column
from zk.circuits.graph import ArchitectureShapes, AuditGraph, audit_graph
from zk.circuits.settings import CircuitSettings, RunArguments, generate
from zk.errors import UnsupportedArchitecture
from zk.srs import MAX_LOGROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

MIN_LOGROWS = 8
"""Smaller circuits save nothing, and at fewer rows ezkl's constant overhead doesn't fit."""

MAX_OUTPUT_SCALE_BITS = 216
"""Signed values have 253 bits: this leaves outputs a magnitude of 2^37."""

MAGNITUDE_BITS = 16
"""Values that meet an activation are below 2^16 in real units; a proof about larger ones can't be made."""

_MAX_DECOMPOSED_BITS = 126
"""ezkl decomposes 128-bit integers."""

_BASE_BITS = range(7, 15)
_DRAFT_LOGROWS = 17


def plan_circuit(
    architecture: onnx.ModelProto, shapes: ArchitectureShapes, *, audit_samples: int, scale_bits: int
) -> tuple[AuditGraph, CircuitSettings]:
    """Find the smallest circuit.

    Raises:
        UnsupportedArchitecture: There is no exact circuit, or none of a size that an SRS exists for.
    """
    draft = audit_architecture(architecture, shapes, audit_samples, _DRAFT_LOGROWS)
    output_scale_bits = draft.output_degree * scale_bits
    if output_scale_bits > MAX_OUTPUT_SCALE_BITS:
        raise UnsupportedArchitecture(
            f"outputs at scale 2^{output_scale_bits} leave no room in the field: prepare the model with fewer than "
            f"{scale_bits} scale bits ({MAX_OUTPUT_SCALE_BITS // draft.output_degree} fit)"
        )
    logrows, arguments = min(_candidates(draft, shapes, scale_bits), key=lambda candidate: candidate[0])
    graph = audit_architecture(architecture, shapes, audit_samples, logrows)
    settings = generate(graph.onnx, arguments)
    verify_exact(graph, settings)
    return graph, settings


def audit_architecture(
    architecture: onnx.ModelProto, shapes: ArchitectureShapes, audit_samples: int, logrows: int
) -> AuditGraph:
    """The audit graph with the usual salt, or one element more where ezkl would append an empty column."""
    salt = SALT_ELEMENTS
    salt += leaves_empty_column(audit_samples * shapes.features + salt, column_capacity(logrows))
    return audit_graph(architecture, audit_samples=audit_samples, salt_elements=salt)


def verify_exact(graph: AuditGraph, settings: CircuitSettings) -> None:
    """Check that ezkl neither rescales nor rounds; silent on success.

    Raises:
        UnsupportedArchitecture: It does.
    """
    expected = graph.output_degree * settings.run_arguments.input_scale
    if settings.has_lookups or settings.output_scale_bits != expected:
        raise UnsupportedArchitecture(
            f"ezkl rounds in this circuit: its outputs have the scale 2^{settings.output_scale_bits}, "
            f"exact ones 2^{expected}; prepare the model again"
        )


def _candidates(draft: AuditGraph, shapes: ArchitectureShapes, scale_bits: int) -> Iterator[tuple[int, RunArguments]]:
    """Settings and their number of rows, for each base that is worth a try; smaller bases first."""
    bits = min(draft.output_degree * scale_bits + MAGNITUDE_BITS, _MAX_DECOMPOSED_BITS)
    for base_bits in _BASE_BITS:
        arguments = RunArguments(
            scale_bits, _DRAFT_LOGROWS, decomp_base=1 << base_bits, decomp_legs=math.ceil(bits / base_bits)
        )
        settings = generate(draft.onnx, arguments)
        logrows = _fitting_logrows(settings, shapes, base_bits + 1 if settings.decomposes else MIN_LOGROWS)
        yield logrows, arguments.with_logrows(logrows)
        if not settings.decomposes:
            return


def _fitting_logrows(settings: CircuitSettings, shapes: ArchitectureShapes, at_least: int) -> int:
    """The smallest number of rows that holds the layout in one block, and gives no parameter tensor an empty column."""
    needed = max(settings.rows, settings.instances)
    lengths = [math.prod(shape) for shape in shapes.parameters]
    for logrows in range(max(at_least, MIN_LOGROWS), MAX_LOGROWS + 1):
        capacity = column_capacity(logrows)
        if needed <= capacity and not any(leaves_empty_column(length, capacity) for length in lengths):
            return logrows
    raise UnsupportedArchitecture(f"the circuit needs {needed} rows: at most 2^{MAX_LOGROWS}; audit fewer samples")
