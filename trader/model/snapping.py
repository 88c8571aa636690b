"""Ensembles of trees on a grid: thresholds become edges, leaves integers (`trader.model.grid`).

A threshold moves to the edge that changes the side of the fewest rows of the seller's data. There are as many bins as
it takes for outputs to stay what they were; a model that was trained on snapped data (`Grid.snap`) loses nothing.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trader.model.bounds import evaluate_graph
from trader.model.errors import DataError
from trader.model.functions import ActivationKind
from trader.model.graph import INPUT, Graph
from trader.model.grid import Grid, make_grid
from trader.model.lowering import LinearParameters, LoweredModel
from trader.model.nodes import Activation, Leaves, Linear
from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.model.units import lowered_parameters

BINS = (16, 32, 64, 128, 256)
"""Numbers of bins per column that are tried, in this order."""
LARGEST_ERROR, LEAST_CLASSES = 0.005, 0.998
"""The first number of bins serves that moves 99 % of the outputs by less, by their range, and keeps so many classes:
half of what a package may lose (`trader.package.fidelity`), as leaves are rounded besides."""
ROUNDING_BITS = 11
"""Leaves are rounded so finely that outputs move by about the 2^-11th part of their range."""


def fit_grid(
    lowered: LoweredModel, samples: NDArray[np.float64], grid: Grid | None = None, *, all_columns: bool = True
) -> LoweredModel:
    """Return an ensemble of trees that reads bins, its thresholds moved to edges and its leaves to be rounded.

    Args:
        lowered: It reads samples in the units of the ONNX file.
        samples: Like those that buyers will test with, [n, F].
        grid: As many bins of `make_grid` as serve if not given.
        all_columns: Whether columns that no decision reads have bins, too; else everybody sees which they are.

    Raises:
        DataError: Something else than decisions reads a column, or the grid is for another number of columns.
    """
    layer, trees = _decisions(lowered.graph)
    if grid is not None and len(grid.edges) != samples.shape[1]:
        raise DataError(f"the grid has {len(grid.edges)} columns, the model takes {samples.shape[1]}")
    exact = _outputs(lowered, layer, samples)
    made = lowered
    kept = set(range(samples.shape[1])) if all_columns else set(_thresholds(lowered, layer)[0].tolist())
    for whole in (make_grid(samples, count) for count in BINS) if grid is None else (grid,):
        tried = Grid(tuple(edges if column in kept else () for column, edges in enumerate(whole.edges)))
        made = _on_grid(lowered, layer, samples, tried)
        moved = evaluate_graph(made.graph, tried.bins(samples).astype(np.float64), lowered_parameters(made))
        if _agree(lowered.post_processing, exact, moved[made.graph.output]):
            break
    return _rounded_leaves(made, exact, trees)


def _decisions(graph: Graph) -> tuple[int, int]:
    """Return the parameter of the layer that compares, and the number of trees."""
    readers = [node for node in graph.nodes if INPUT in node.inputs]
    steps = [node for node in graph.nodes if isinstance(node, Activation) and node.kind is ActivationKind.STEP]
    trees = [node for node in graph.nodes if isinstance(node, Leaves)]
    first = readers[0] if len(readers) == 1 else None
    if len(trees) != 1 or len(steps) != 1 or not isinstance(first, Linear) or steps[0].inputs != (first.name,):
        raise DataError(
            "decisions of trees can't stand beside other layers that read the sample: sell the ensemble of trees alone"
        )
    return first.parameter, trees[0].trees


def _outputs(lowered: LoweredModel, layer: int, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return raw outputs [n, O] of the model that was handed in, on float32 numbers, as ONNX compares them."""
    values = np.asarray(samples, dtype=np.float32).astype(np.float64)
    parameters = list(lowered.parameters)
    columns, thresholds = _thresholds(lowered, layer)
    used = columns >= 0
    weights = np.zeros_like(parameters[layer].weights)
    weights[columns[used], np.flatnonzero(used)] = 1.0
    parameters[layer] = LinearParameters(weights, np.where(used, -thresholds, parameters[layer].bias))
    exact = replace(lowered, parameters=tuple(parameters))
    return evaluate_graph(exact.graph, values, lowered_parameters(exact))[exact.graph.output]


def _thresholds(lowered: LoweredModel, layer: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return, of each decision, the column that it reads (-1 for none) and the threshold in the column's own units.

    Raises:
        DataError: A decision reads several columns, or a falling function of one.
    """
    weights, bias = lowered.parameters[layer].weights, lowered.parameters[layer].bias
    found = weights != 0
    if np.any(found.sum(axis=0) > 1) or np.any(weights < 0):
        raise DataError("a tree decides by a mixture of columns, or a negated one: train it on the columns as they are")
    columns = np.where(found.any(axis=0), found.argmax(axis=0), -1)
    slopes = np.where(columns >= 0, weights.max(axis=0), 1.0)
    exponents = np.asarray(lowered.input_exponents or (0,) * len(weights), dtype=np.int32)
    return columns, np.ldexp(-bias / slopes, -exponents[columns])


def _on_grid(lowered: LoweredModel, layer: int, samples: NDArray[np.float64], grid: Grid) -> LoweredModel:
    """Return the model with decisions bin > j: weights of zeros and ones, bias -j."""
    columns, thresholds = _thresholds(lowered, layer)
    values = np.sort(np.asarray(samples, dtype=np.float32).astype(np.float64), axis=0)
    weights, bias = np.zeros_like(lowered.parameters[layer].weights), lowered.parameters[layer].bias.copy()
    for decision in np.flatnonzero(columns >= 0):
        column = columns[decision]
        weights[column, decision] = 1.0
        bias[decision] = -_nearest_edge(values[:, column], grid.edges[column], thresholds[decision])
    # What decides nothing is decided by a constant, of which the sign alone counts.
    bias[columns < 0] = np.where(bias[columns < 0] > 0, 1.0, 0.0)
    parameters = list(lowered.parameters)
    parameters[layer] = LinearParameters(weights, bias)
    return replace(lowered, parameters=tuple(parameters), input_exponents=(), grid=grid)


def _nearest_edge(ordered: NDArray[np.float64], edges: tuple[float, ...], threshold: float) -> int:
    """Return the edge that separates values as a threshold does, but for as few as can be; of these the nearest.

    -1 stands for an edge below all values, and the number of edges for one above them.
    """
    below = np.searchsorted(ordered, [-np.inf, *edges, np.inf], side="right")
    changed = np.abs(below - np.searchsorted(ordered, threshold, side="right"))
    places = np.flatnonzero(changed == changed.min())
    inner = places[(places > 0) & (places <= len(edges))]
    if not len(inner):
        return int(places[0]) - 1
    return int(inner[np.argmin(np.abs(np.asarray(edges)[inner - 1] - threshold))]) - 1


def _agree(post_processing: PostProcessing, exact: NDArray[np.float64], moved: NDArray[np.float64]) -> bool:
    classes_alone = post_processing.kind is PostProcessingKind.ARGMAX
    before, after = (exact, moved) if classes_alone else map(post_processing.apply, (exact, moved))
    ranges = np.ptp(before, axis=0)
    errors = np.abs(after - before) / np.where(ranges > 0, ranges, 1.0)
    if np.quantile(errors.max(axis=1), 0.99) > LARGEST_ERROR:
        return False
    if not post_processing.is_classifier:
        return True
    return bool(np.mean(post_processing.classify(exact) == post_processing.classify(moved)) >= LEAST_CLASSES)


def _rounded_leaves(lowered: LoweredModel, exact: NDArray[np.float64], trees: int) -> LoweredModel:
    """Return the model with outputs so many times larger that leaves may be rounded to integers."""
    spread = float(np.ptp(exact)) or float(np.abs(exact).max()) or 1.0
    # Each tree's rounding has a deviation of 0.29.
    bits = math.ceil(math.log2(0.29 * math.sqrt(trees) / spread) + ROUNDING_BITS)
    post_processing = lowered.post_processing
    last = len(lowered.parameters) - 1
    parameters = (*lowered.parameters[:last], lowered.parameters[last].divided(-bits))
    exponent = post_processing.exponent - bits
    return replace(
        lowered, parameters=parameters, post_processing=post_processing.model_copy(update={"exponent": exponent})
    )
