"""Powers of two that bring a model's inputs and outputs, whatever their units, onto the grids of integers.

Inputs are rounded to multiples of 2^-s and parameters too, so a column of incomes loses its weights, and one of daily
returns its values, beside a column of zeros and ones. `fit_units` looks at data: column j is read as x_j·2^e_j, and the
rows of the weights that meet it are divided by 2^e_j; the model's outputs are what the graph gives times 2^e. Powers of
two only, so nothing is rounded here, and the exponents tell of the data no more than orders of magnitude.

A column keeps the exponent that the model itself asks for (`trader.model.lowering.assembly`) as long as the grid holds
it well. Columns that share a weight, as the pixels under a convolution do, share their exponent, and a column that
something else than a linear layer reads keeps it. Products of columns, which a linear layer reads, move with these.
Between layers, see `trader.model.hidden_layers`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.bounds import Parameters, evaluate_graph
from trader.model.graph import INPUT, Graph
from trader.model.hidden_layers import Move, balance_layers, move_back
from trader.model.hidden_units import equalise_units
from trader.model.lowering import LinearParameters, LoweredModel
from trader.model.lowering.assembly import MAX_EXPONENT
from trader.model.nodes import ZERO, Linear, Multiply, Node, Rearrange, Square, Sum
from trader.model.readings import Reading, tied

SMALLEST_COLUMN, LARGEST_COLUMN = 2.0**-2, 2.0**4
"""Largest |x_j·2^e_j| on data that the grid holds well."""
SPARSE = 0.1
"""Columns are sparse of which a smaller share is not 0."""
SMALLEST_SPARSE = 2.0**-6
"""Largest |x_j·2^e_j| on data that such a column has at least."""
TAIL = 2.0**4
"""A column's scale is its root mean square, or this part of its largest value if that is more: its few largest values
may not decide alone, nor leave the range that is encrypted."""
SMALLEST_OUTPUT, LARGEST_OUTPUT = 2.0**-2, 2.0**8
"""Largest |output| on data that noise and the grid of committed outputs suit."""
SMALLEST_LAST_LAYER, LARGEST_LAST_LAYER = 1.0, 2.0**10
"""The last layer's largest value, where an exponent of the outputs moves it."""


MAX_FACTORS = 16
"""Of products of columns that take part."""


def lowered_parameters(lowered: LoweredModel) -> Parameters:
    """Return the float parameters of a lowered model as `trader.model.bounds.evaluate_graph` takes them."""

    def parameters(index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        layer, groups = lowered.parameters[index], lowered.graph.parameters[index].groups
        return layer.weights.reshape(groups, -1, layer.weights.shape[-1]), layer.bias.reshape(groups, -1)

    return parameters


def scale_inputs(lowered: LoweredModel, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the graph reads for samples [n, F]: x_j·2^e_j, not rounded, or bins."""
    if lowered.grid is not None:
        return lowered.grid.bins(samples).astype(np.float64)
    if not lowered.input_exponents:
        return samples
    return np.asarray(np.ldexp(samples, np.asarray(lowered.input_exponents, dtype=np.int32)))


def fit_units(lowered: LoweredModel, samples: NDArray[np.float64]) -> LoweredModel:
    """Return the same model with exponents for its inputs, layers and outputs, and hidden units, that suit samples."""
    fitted, moves = _fit_layers(_fit_inputs(lowered, samples), samples)
    fitted = _fit_outputs(fitted, samples)
    fitted = replace(fitted, parameters=tuple(move_back(fitted.parameters, moves)))
    return equalise_units(fitted, scale_inputs(fitted, samples), lowered_parameters(fitted))


def _fit_layers(lowered: LoweredModel, samples: NDArray[np.float64]) -> tuple[LoweredModel, list[Move]]:
    values = evaluate_graph(lowered.graph, scale_inputs(lowered, samples), lowered_parameters(lowered))
    parameters, moves = balance_layers(lowered.graph, lowered.parameters, values)
    return replace(lowered, parameters=tuple(parameters)), moves


def _fit_inputs(lowered: LoweredModel, samples: NDArray[np.float64]) -> LoweredModel:
    readers = list(_readers(lowered.graph))
    scaled = np.abs(scale_inputs(lowered, samples))
    largest = scaled.max(axis=0)
    sizes = np.maximum(np.sqrt((scaled**2).mean(axis=0)), largest / TAIL)
    classes = tied(samples.shape[1], (reader.factors[:, :, 0].T for reader in readers if not reader.reads_products))
    fixed = _fixed(lowered.graph, readers, samples.shape[1])
    before = np.asarray(lowered.input_exponents or (0,) * samples.shape[1], dtype=np.int64)
    steps = _steps(largest, sizes, classes, fixed)
    steps = _with_room(samples, before + steps, _lone(classes) & ~fixed) - before
    steps = (before + steps).clip(-MAX_EXPONENT, MAX_EXPONENT) - before
    if not steps.any():
        return lowered
    parameters = list(lowered.parameters)
    for reader in readers:
        parameters[reader.parameter] = _divide_rows(parameters[reader.parameter], reader.row_values(steps))
    return replace(lowered, parameters=tuple(parameters), input_exponents=tuple((before + steps).tolist()))


@dataclass(frozen=True, slots=True)
class _Reader:
    """A linear layer that reads inputs and products of them, beside other values perhaps.

    Attributes:
        parameter: of the layer.
        factors: [positions, rows of all groups, factors], whose product stands there, or ZERO for what is none.
    """

    parameter: int
    factors: NDArray[np.int64]

    @property
    def reads_products(self) -> bool:
        """Whether something that it reads is a product."""
        return bool(self.factors.shape[2] > 1)

    def row_values(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return by row what its values are multiplied by, for such a step of each feature, as a power of two."""
        if not self.reads_products:
            return Reading(self.parameter, self.factors[:, :, 0]).row_values(steps, 0)
        return np.asarray(np.append(steps, 0)[self.factors[0]].sum(axis=1))  # ZERO is the last place


def _readers(graph: Graph) -> Iterator[_Reader]:
    """Yield the linear layers that read inputs and products of them, whose rows can take up the steps of these."""
    made, mixed = _products_of_inputs(graph)
    for node in graph.nodes:
        if isinstance(node, Linear) and (factors := made.get(node.inputs[0])) is not None:
            spec = graph.parameters[node.parameter]
            factors = factors.reshape(-1, spec.groups * spec.inputs, factors.shape[1])
            # Weights that meet an input at one position may meet another value at the next.
            if node.inputs[0] not in mixed or len(factors) == 1:
                yield _Reader(node.parameter, factors)


def _products_of_inputs(graph: Graph) -> tuple[dict[str, NDArray[np.int64]], set[str]]:
    """Return the values that hold inputs and products of them, and which: [size, factors], ZERO for everything else.

    Also the names of those that hold other values beside them, not zeros alone.
    """
    made = {INPUT: np.arange(graph.features)[:, np.newaxis]}
    mixed: set[str] = set()
    sizes = {node.name: node.shape[0] for node in graph.nodes}
    for node in graph.nodes:
        known = [name in made for name in node.inputs]
        if not isinstance(node, Rearrange | Square | Multiply) or not any(known):
            continue
        if isinstance(node, Rearrange):
            parts = [made[name] if name in made else np.full((sizes[name], 1), ZERO) for name in node.inputs]
            width = max(part.shape[1] for part in parts)
            padded = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=ZERO) for part in parts]
            joined = np.concatenate([*padded, np.full((1, width), ZERO)])  # ZERO is the last place
            made[node.name] = joined[node.indices.ravel()]
        elif all(known):
            parts = [made[name] for name in node.inputs]
            if sum(part.shape[1] for part in parts) * (3 - len(parts)) <= MAX_FACTORS:
                made[node.name] = np.concatenate(parts if len(parts) > 1 else parts * 2, axis=1)
        if not all(known) or not mixed.isdisjoint(node.inputs):
            mixed.add(node.name)
    return made, mixed


def _fixed(graph: Graph, readers: list[_Reader], features: int) -> NDArray[np.bool_]:
    """Which features [F] something else reads than a linear layer with parameters of its own: their units stay."""
    (made, _), fixed = _products_of_inputs(graph), np.zeros(features + 1, dtype=bool)
    own = {reader.parameter for reader in readers if not reader.reads_products or len(reader.factors) == 1}
    for node in graph.nodes:
        if node.name in made or (isinstance(node, Linear) and node.parameter in own):
            continue
        for name in set(node.inputs) & set(made):
            fixed[made[name]] = True
    if graph.output in made:
        fixed[made[graph.output]] = True
    return fixed[:features]


def _steps(
    largest: NDArray[np.float64], sizes: NDArray[np.float64], classes: NDArray[np.int64], fixed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return what to add to each feature's exponent; features of one class have one."""
    count = len(classes)
    class_largest, class_size = np.zeros(count), np.zeros(count)
    np.maximum.at(class_largest, classes, largest)
    np.maximum.at(class_size, classes, sizes)
    class_fixed = np.zeros(count, dtype=bool)
    np.logical_or.at(class_fixed, classes, fixed)
    held = (class_largest >= SMALLEST_COLUMN) & (class_largest <= LARGEST_COLUMN)
    idle = class_fixed | held | (class_size == 0)
    return np.asarray(-np.rint(np.log2(np.where(idle, 1.0, class_size))).astype(np.int64)[classes])


def _lone(classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which features share their exponent with no other one."""
    return np.asarray(np.bincount(classes, minlength=len(classes))[classes] == 1)


def _with_room(
    samples: NDArray[np.float64], exponents: NDArray[np.int64], free: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return exponents in which columns that are nearly always 0 leave room for values like those of most others.

    The few values that data have of such a column (a pixel at the border) tell little of how large it gets, so it has
    the others' exponent where that is smaller, as far as its own values stay above the grid. Zeros and ones alone are
    codes, and stay.
    """
    codes = np.all((samples == 0) | (samples == 1), axis=0) & samples.any(axis=0)
    sparse = free & ~codes & (np.count_nonzero(samples, axis=0) < SPARSE * len(samples))
    dense = np.count_nonzero(samples, axis=0) >= SPARSE * len(samples)
    if not sparse.any() or not dense.any():
        return exponents
    largest = np.abs(samples).max(axis=0)
    least = np.where(largest > 0, np.ceil(np.log2(SMALLEST_SPARSE / np.where(largest > 0, largest, 1.0))), -np.inf)
    common = np.maximum(np.median(exponents[dense]), least)
    return np.where(sparse, np.minimum(exponents, np.rint(common)), exponents).astype(np.int64)


def _divide_rows(layer: LinearParameters, exponents: NDArray[np.int64]) -> LinearParameters:
    by_row = exponents.reshape(*layer.weights.shape[:-1], 1).astype(np.int32)
    return LinearParameters(np.ldexp(layer.weights, -by_row), layer.bias)


def _fit_outputs(lowered: LoweredModel, samples: NDArray[np.float64]) -> LoweredModel:
    last = _last_layer(lowered.graph)
    values = evaluate_graph(lowered.graph, scale_inputs(lowered, samples), lowered_parameters(lowered))
    largest = float(np.abs(values[lowered.graph.output]).max(initial=0))
    if last is None or not 0 < largest < math.inf:
        return lowered
    layer = lowered.parameters[last]
    value = float(max(np.abs(layer.weights).max(initial=0), np.abs(layer.bias).max(initial=0)))
    step = _output_step(largest, value)
    post_processing = lowered.post_processing
    exponent = max(-4 * MAX_EXPONENT, min(4 * MAX_EXPONENT, post_processing.exponent + step))
    step = exponent - post_processing.exponent
    parameters = list(lowered.parameters)
    parameters[last] = layer.divided(step)
    return replace(
        lowered,
        parameters=tuple(parameters),
        post_processing=post_processing.model_copy(update={"exponent": exponent}),
    )


def _output_step(largest: float, value: float) -> int:
    """Return the power of two by which outputs are divided; the last layer's largest value limits it."""
    if largest < SMALLEST_OUTPUT:
        room = math.floor(math.log2(LARGEST_LAST_LAYER / value))
        return -max(0, min(math.floor(-math.log2(largest)), room))
    if largest > LARGEST_OUTPUT:
        room = math.floor(math.log2(value / SMALLEST_LAST_LAYER))
        return max(0, min(math.ceil(math.log2(largest / LARGEST_OUTPUT)), room))
    return 0


def _last_layer(graph: Graph) -> int | None:
    """Return the parameter of the linear layer that gives the outputs, moved or added up; None if none does."""
    made: dict[str, Node] = {node.name: node for node in graph.nodes}
    name = graph.output
    while isinstance(node := made.get(name), Rearrange | Sum) and len(node.inputs) == 1:
        name = node.inputs[0]
    return node.parameter if isinstance(node, Linear) else None
