"""Choose the settings of a new audit circuit.

What was measured with ezkl 23 on two cores, proving time in core seconds, on a circuit of 784-64-10 for four samples:

============  =======  =======  ===========  ============
blocks        columns  logrows  time         proof bytes
============  =======  =======  ===========  ============
one           2        15       15.3         5,920
one           1        16       17.9         5,088
two           2        14       12.7         11,200
two           4        14       13.6         8,384
============  =======  =======  ===========  ============

So time goes with rows times columns, and one block it is: more blocks double proof and gas. The choice is the number of
inner columns that makes the smallest product (`count_cells`). Without activations the decomposition is not used
and costs nothing; with Relu, or where values are checked, a value is cut into limbs below `decomp_base`, and the
choice is the base that gives the smallest circuit.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx

from zk.circuits.audit import BLINDING_ROWS, SALT_ELEMENTS, column_capacity, column_lengths_of, leaves_empty_column
from zk.circuits.audit_graph import AuditGraph, audit_graph
from zk.circuits.bounds import MAX_DECOMPOSED_BITS, magnitudes, stays_below_half
from zk.circuits.decisions import DECISION_LOOKUP
from zk.circuits.settings import UNUSED_ROWS, CircuitSettings, RunArguments, generate
from zk.errors import UnsupportedArchitectureError
from zk.ezkl.worker import physical_memory_bytes
from zk.setup.srs import MAX_LOGROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zk.circuits.architecture import ArchitectureShapes

MIN_LOGROWS = 8
"""Smaller circuits save nothing, and at fewer rows ezkl's constant overhead doesn't fit."""

MAGNITUDE_BITS = 16
"""Values that meet an activation are below 2^16 in real units; a proof about larger ones can't be made."""

LEAST_MAGNITUDE_BITS = 6
"""Where limbs for 2^16 let later values wrap around the modulus, fewer are tried, down to real values of 2^6."""

INNER_COLUMNS = (2, 3, 4)
SMALL_LOGROWS = 12
"""Up to here a proof takes a second or less, and more columns would only make it larger."""

MAX_TABLE_COLUMNS = 4
"""A table of twice the range goes into at most this many columns: more of them cost more than more rows."""

PROVER_BYTES_PER_CELL = 1400
"""Peak memory of the prover over rows times columns (`count_cells`), measured from 2^14 to 2^16 rows."""

UNSALTED_COLUMN = 1 << 12
"""Parameters in a column without salt, at least: what proofs tell of so many, lattice reduction does not solve."""

FIXED_COLUMNS = 3
"""What rows cost beside their columns, in columns; from the table above."""

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
        UnsupportedArchitectureError: There is no circuit, or none of a size that an SRS exists for or this machine
            proves.
    """
    draft = audit_architecture(architecture, shapes, audit_samples, scale_bits, _DRAFT_LOGROWS)
    lookup_bound = max(2, math.ceil(activation_magnitude * 2**scale_bits)) if draft.has_tables else 2
    candidates = list(_candidates(draft, shapes, scale_bits, lookup_bound))
    if not candidates:
        raise _wraps_around(_fewer_scale_bits(architecture, shapes, scale_bits))
    _, arguments = min(candidates, key=lambda candidate: candidate[0])
    graph = audit_architecture(architecture, shapes, audit_samples, scale_bits, arguments.logrows)
    (settings,) = generate(graph.onnx, [arguments])
    _verify_memory(settings)
    verify_scale(graph, settings, scale_bits)
    verify_bounds(graph, settings)
    return graph, settings


def audit_architecture(
    architecture: onnx.ModelProto, shapes: ArchitectureShapes, audit_samples: int, scale_bits: int, logrows: int
) -> AuditGraph:
    """Return the audit graph with the usual salt, or one element more where ezkl would append an empty column."""
    salt, capacity = SALT_ELEMENTS, column_capacity(logrows)
    salt += leaves_empty_column(audit_samples * shapes.features + salt, capacity)
    return audit_graph(
        architecture, audit_samples=audit_samples, scale_bits=scale_bits, salt_elements=salt, capacity=capacity
    )


def verify_scale(graph: AuditGraph, settings: CircuitSettings, scale_bits: int) -> None:
    """Check that ezkl's scales are those of the graph, and that nothing is rounded in exact ones.

    Raises:
        UnsupportedArchitectureError: It is otherwise.
    """
    # Exact graphs compute on integers; where products are rounded, every value has the scale of the inputs.
    expected = 0 if graph.is_exact else scale_bits
    found = (settings.run_arguments.input_scale, settings.output_scale_bits)
    tables = (DECISION_LOOKUP,) if graph.decides else ()
    if (graph.is_exact and settings.lookups != tables) or found != (expected, expected):
        raise UnsupportedArchitectureError(
            f"ezkl gives the circuit's inputs the scale 2^{found[0]} and its outputs 2^{found[1]}, not 2^{expected}: "
            "a constant of the architecture has a scale of its own; prepare the model again"
        )


def verify_bounds(graph: AuditGraph, settings: CircuitSettings) -> None:
    """Check that no value of an exact circuit can wrap around the modulus, whatever inputs and parameters are.

    Inputs and parameters are below 2^24 in magnitude; what the circuit decomposes is below base^legs.

    Raises:
        UnsupportedArchitectureError: One can.
    """
    if graph.is_exact and not _fits(graph, settings.run_arguments):
        raise _wraps_around("choose another listing")


def _fits(graph: AuditGraph, arguments: RunArguments) -> bool:
    limit = float(arguments.decomp_base) ** arguments.decomp_legs
    return stays_below_half(magnitudes(graph.integers, limit, graph.checked))


def _wraps_around(advice: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(
        "with parameters and inputs below 2^24, values of this network can exceed the field's modulus, and a proof "
        f"would show remainders: {advice}"
    )


def _fewer_scale_bits(architecture: onnx.ModelProto, shapes: ArchitectureShapes, scale_bits: int) -> str:
    """Return the largest scale at which the network fits, for the seller that asked for too much."""
    for fewer in range(scale_bits - 1, 0, -1):
        draft = audit_architecture(architecture, shapes, 1, fewer, _DRAFT_LOGROWS)
        if _draft_arguments(draft, fewer, _BASE_BITS[0], INNER_COLUMNS[0], 2) is not None:
            return f"prepare the model with fewer than {scale_bits} scale bits ({fewer} fit)"
    return "it has too many squares in a row"


def _candidates(
    draft: AuditGraph, shapes: ArchitectureShapes, scale_bits: int, lookup_bound: int
) -> Iterator[tuple[tuple[int, int], RunArguments]]:
    """Yield settings and their work, for each base and number of columns that is worth a try; smaller ones first."""
    plain, *others = _BASE_BITS
    tried = _derive(draft, scale_bits, [plain], lookup_bound)
    if not tried or any(settings.decomposes for _, settings in tried):
        tried += _derive(draft, scale_bits, others, lookup_bound)
    least = max(MIN_LOGROWS, math.ceil(math.log2(2 * lookup_bound / MAX_TABLE_COLUMNS)))
    for arguments, settings in tried:
        at_least = max(least, arguments.decomp_base.bit_length()) if settings.decomposes else least
        logrows = _fitting_logrows(draft, settings, shapes, at_least)
        yield _work(settings, logrows), replace(arguments, logrows=logrows)


def _derive(
    draft: AuditGraph, scale_bits: int, base_bits: Iterable[int], lookup_bound: int
) -> list[tuple[RunArguments, CircuitSettings]]:
    """Arguments for each base and number of columns that has any, and ezkl's settings with them."""
    drafts = [
        _draft_arguments(draft, scale_bits, *pair, lookup_bound) for pair in itertools.product(base_bits, INNER_COLUMNS)
    ]
    choices = [arguments for arguments in drafts if arguments is not None]
    return list(zip(choices, generate(draft.onnx, choices), strict=True)) if choices else []


def _draft_arguments(
    draft: AuditGraph, scale_bits: int, base_bits: int, inner: int, lookup_bound: int
) -> RunArguments | None:
    """Arguments with limbs for real values of 2^16, or for smaller ones where those could wrap around p later."""
    arguments = RunArguments(
        0 if draft.is_exact else scale_bits,
        _DRAFT_LOGROWS,
        num_inner_cols=inner,
        decomp_base=1 << base_bits,
        scale_rebase_multiplier=64 if draft.is_exact else 1,
        lookup_bound=lookup_bound,
    )
    # Where products are rounded, the largest values to decompose are products before they are.
    degree = draft.decomposed_degree if draft.is_exact else 2
    for magnitude_bits in range(MAGNITUDE_BITS, LEAST_MAGNITUDE_BITS - 1, -1):
        bits = min(degree * scale_bits + magnitude_bits, MAX_DECOMPOSED_BITS)
        legs = MAX_DECOMPOSED_BITS // base_bits if bits == MAX_DECOMPOSED_BITS else math.ceil(bits / base_bits)
        arguments = replace(arguments, decomp_legs=legs)
        if not draft.is_exact or _fits(draft, arguments):
            return arguments
    return None


def count_cells(settings: CircuitSettings, logrows: int) -> int:
    """Count what proving goes with: rows times columns, three advice columns for each inner one, and committed ones."""
    capacity = column_capacity(logrows)
    committed = sum(len(column_lengths_of(length, capacity)) for length in settings.tensor_lengths)
    return (3 * settings.run_arguments.num_inner_cols + committed + FIXED_COLUMNS) << logrows


def _work(settings: CircuitSettings, logrows: int) -> tuple[int, int]:
    """Return what is to be small: cells where a proof takes long, the columns alone where it doesn't, then rows."""
    return count_cells(settings, logrows) << max(SMALL_LOGROWS - logrows, 0), logrows


def _fitting_logrows(draft: AuditGraph, settings: CircuitSettings, shapes: ArchitectureShapes, at_least: int) -> int:
    """Return the least number of rows that holds the layout in one block, and gives no tensor an empty column.

    Short tensors get one column each: the salt is at a tensor's end, and a column without salt must be long. Those of
    trees get one whatever their length: they are nearly all zeros, and few guesses would open a column without salt.
    """
    lengths = [math.prod(shape) for shape in shapes.parameters]
    salted = max(length if draft.decides else min(length, UNSALTED_COLUMN) for length in lengths)
    salted += BLINDING_ROWS if draft.decides else 0
    cells = settings.counted_assignments - _counted_twice(draft)
    needed = max(-(-cells // settings.run_arguments.num_inner_cols) + UNUSED_ROWS, settings.instances, salted)
    for logrows in range(at_least, MAX_LOGROWS + 1):
        capacity = column_capacity(logrows)
        if needed <= 1 << logrows and not any(leaves_empty_column(length, capacity) for length in lengths):
            return logrows
    raise UnsupportedArchitectureError(f"the circuit needs {needed} rows: at most 2^{MAX_LOGROWS}; audit fewer samples")


def _counted_twice(draft: AuditGraph) -> int:
    """Cells that ezkl counts and does not use: each input once, and once more for each Slice of it."""
    graph = onnx.load_from_string(draft.onnx).graph
    sliced = Counter(node.input[0] for node in graph.node if node.op_type == "Slice")
    return sum(
        math.prod(d.dim_value for d in value.type.tensor_type.shape.dim) * (1 + sliced[value.name])
        for value in graph.input
    )


def _verify_memory(settings: CircuitSettings) -> None:
    """Refuse what this machine can't prove before it tries."""
    logrows = settings.run_arguments.logrows
    needed, available = PROVER_BYTES_PER_CELL * count_cells(settings, logrows), physical_memory_bytes()
    if needed > available:
        raise UnsupportedArchitectureError(
            f"a circuit of 2^{logrows} rows takes about {needed >> 30} GiB to prove, this machine has "
            f"{available >> 30} GiB: audit fewer samples, or prepare on a larger machine"
        )
