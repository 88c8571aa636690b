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
from dataclasses import replace
from typing import TYPE_CHECKING

from zk.circuits.audit import SALT_ELEMENTS, column_capacity, leaves_empty_column
from zk.circuits.graph import ArchitectureShapes, AuditGraph, audit_graph
from zk.circuits.settings import CircuitSettings, RunArguments, generate
from zk.errors import UnsupportedArchitecture
from zk.proofs.worker import physical_memory_bytes
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

MAX_TABLE_COLUMNS = 4
"""A table of twice the range goes into at most this many columns: more of them cost more than more rows."""

PROVER_BYTES_PER_ROW = 16 << 10
"""Peak memory of the prover per row, measured from 2^14 to 2^16 rows."""

UNSALTED_COLUMN = 1 << 12
"""Parameters in a column without salt, at least: what proofs tell of so many, lattice reduction does not solve."""

_MAX_DECOMPOSED_BITS = 126
"""ezkl decomposes 128-bit integers."""

_BASE_BITS = range(7, 15)
_DRAFT_LOGROWS = 17


def plan_circuit(
    architecture: onnx.ModelProto,
    shapes: ArchitectureShapes,
    *,
    audit_samples: int,
    scale_bits: int,
    activation_magnitude: float,
) -> tuple[AuditGraph, CircuitSettings]:
    """Find the smallest circuit.

    Raises:
        UnsupportedArchitecture: There is no circuit, or none of a size that an SRS exists for or this machine proves.
    """
    draft = audit_architecture(architecture, shapes, audit_samples, _DRAFT_LOGROWS)
    output_scale_bits = draft.output_degree * scale_bits
    if output_scale_bits > MAX_OUTPUT_SCALE_BITS:
        raise UnsupportedArchitecture(
            f"outputs at scale 2^{output_scale_bits} leave no room in the field: prepare the model with fewer than "
            f"{scale_bits} scale bits ({MAX_OUTPUT_SCALE_BITS // draft.output_degree} fit)"
        )
    lookup_bound = math.ceil(activation_magnitude * 2**scale_bits) if draft.has_tables else 2
    candidates = _candidates(draft, shapes, scale_bits, lookup_bound)
    logrows, arguments = min(candidates, key=lambda candidate: candidate[0])
    _verify_memory(logrows)
    graph = audit_architecture(architecture, shapes, audit_samples, logrows)
    settings = generate(graph.onnx, arguments)
    verify_scale(graph, settings)
    return graph, settings


def audit_architecture(
    architecture: onnx.ModelProto, shapes: ArchitectureShapes, audit_samples: int, logrows: int
) -> AuditGraph:
    """The audit graph with the usual salt, or one element more where ezkl would append an empty column."""
    salt = SALT_ELEMENTS
    salt += leaves_empty_column(audit_samples * shapes.features + salt, column_capacity(logrows))
    return audit_graph(architecture, audit_samples=audit_samples, salt_elements=salt)


def verify_scale(graph: AuditGraph, settings: CircuitSettings) -> None:
    """Check that outputs have the scale that the graph says, and that nothing is rounded in exact ones.

    Raises:
        UnsupportedArchitecture: It is otherwise.
    """
    expected = graph.output_degree * settings.run_arguments.input_scale
    if (graph.is_exact and settings.has_lookups) or settings.output_scale_bits != expected:
        raise UnsupportedArchitecture(
            f"ezkl gives the circuit's outputs the scale 2^{settings.output_scale_bits}, not 2^{expected}: "
            "a constant of the architecture has a scale of its own; prepare the model again"
        )


def _candidates(
    draft: AuditGraph, shapes: ArchitectureShapes, scale_bits: int, lookup_bound: int
) -> Iterator[tuple[int, RunArguments]]:
    """Settings and their number of rows, for each base that is worth a try; smaller bases first."""
    # Where products are rounded, the largest values to decompose are products before they are.
    degree = draft.output_degree if draft.is_exact else 2
    bits = min(degree * scale_bits + MAGNITUDE_BITS, _MAX_DECOMPOSED_BITS)
    for base_bits in _BASE_BITS:
        arguments = RunArguments(
            scale_bits,
            _DRAFT_LOGROWS,
            decomp_base=1 << base_bits,
            decomp_legs=math.ceil(bits / base_bits),
            scale_rebase_multiplier=64 if draft.is_exact else 1,
            lookup_bound=lookup_bound,
        )
        settings = generate(draft.onnx, arguments)
        at_least = max(MIN_LOGROWS, math.ceil(math.log2(2 * lookup_bound / MAX_TABLE_COLUMNS)))
        if settings.decomposes:
            at_least = max(at_least, base_bits + 1)
        logrows = _fitting_logrows(settings, shapes, at_least)
        yield logrows, replace(arguments, logrows=logrows)
        if not settings.decomposes:
            return


def _fitting_logrows(settings: CircuitSettings, shapes: ArchitectureShapes, at_least: int) -> int:
    """The smallest number of rows that holds the layout in one block, and gives no parameter tensor an empty column.

    Short tensors get one column each: the salt is at a tensor's end, and a column without salt must be long.
    """
    lengths = [math.prod(shape) for shape in shapes.parameters]
    salted = max(min(length, UNSALTED_COLUMN) for length in lengths)
    needed = max(settings.rows, settings.instances, salted)
    for logrows in range(at_least, MAX_LOGROWS + 1):
        capacity = column_capacity(logrows)
        if needed <= capacity and not any(leaves_empty_column(length, capacity) for length in lengths):
            return logrows
    raise UnsupportedArchitecture(f"the circuit needs {needed} rows: at most 2^{MAX_LOGROWS}; audit fewer samples")


def _verify_memory(logrows: int) -> None:
    """Refuse what this machine can't prove before it tries."""
    needed, available = PROVER_BYTES_PER_ROW << logrows, physical_memory_bytes()
    if needed > available:
        raise UnsupportedArchitecture(
            f"a circuit of 2^{logrows} rows takes about {needed >> 30} GiB to prove, this machine has "
            f"{available >> 30} GiB: audit fewer samples, or prepare on a larger machine"
        )
