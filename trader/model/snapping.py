"""Ensembles of trees on a grid: thresholds become edges, leaves integers (`trader.model.grid`).

A threshold moves to the edge that changes the side of the fewest rows of the seller's data. There are as many bins as
it takes for outputs to stay what they were; a model that was trained on snapped data (`Grid.snap`) loses nothing.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.bounds import evaluate_graph
from trader.model.ensemble import Ensemble
from trader.model.errors import DataError, PrecisionError
from trader.model.grid import Grid, as_compared, make_grid
from trader.model.lowering import LinearParameters, LoweredModel
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
    try:
        trees = Ensemble.of(lowered.graph).count
    except PrecisionError as error:
        raise DataError(
            "decisions of trees can't stand beside other layers that read the sample: sell the ensemble of trees alone"
        ) from error
    if grid is not None and len(grid.edges) != samples.shape[1]:
        raise DataError(f"the grid has {len(grid.edges)} columns, the model takes {samples.shape[1]}")
    values = as_compared(samples)
    thresholds = _Thresholds.of(lowered)
    exact = _outputs(lowered, thresholds, values)
    made = lowered
    ordered = np.sort(values, axis=0)
    kept = set(range(samples.shape[1])) if all_columns else set(thresholds.columns.tolist())
    for whole in (make_grid(samples, count) for count in BINS) if grid is None else (grid,):
        tried = Grid(tuple(edges if column in kept else () for column, edges in enumerate(whole.edges)))
        made = _on_grid(lowered, thresholds, ordered, tried)
        moved = evaluate_graph(made.graph, tried.bins(samples).astype(np.float64), lowered_parameters(made))
        if _agree(lowered.post_processing, exact, moved[made.graph.output]):
            break
    return _rounded_leaves(made, exact, trees)


@dataclass(frozen=True, slots=True)
class _Thresholds:
    """What each decision compares.

    Attributes:
        columns: The column that it reads, -1 for none.
        values: The threshold in the column's own units.
    """

    columns: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, lowered: LoweredModel) -> "_Thresholds":
        """Read them off the layer that compares.

        Raises:
            DataError: A decision reads several columns, or a falling function of one.
        """
        weights, bias = lowered.parameters[0].weights, lowered.parameters[0].bias
        found = weights != 0
        if np.any(found.sum(axis=0) > 1) or np.any(weights < 0):
            raise DataError(
                "a tree decides by a mixture of columns, or a negated one: train it on the columns as they are"
            )
        columns = np.where(found.any(axis=0), found.argmax(axis=0), -1)
        slopes = np.where(columns >= 0, weights.max(axis=0), 1.0)
        exponents = np.asarray(lowered.input_exponents or (0,) * len(weights), dtype=np.int32)
        return cls(columns, np.ldexp(-bias / slopes, -exponents[columns]))


def _comparing(lowered: LoweredModel, thresholds: _Thresholds, bias: NDArray[np.float64]) -> LoweredModel:
    """Return the model with decisions that read columns in their own units: weights of zeros and ones, and a bias."""
    weights = np.zeros_like(lowered.parameters[0].weights)
    used = np.flatnonzero(thresholds.columns >= 0)
    weights[thresholds.columns[used], used] = 1.0
    return replace(lowered, parameters=(LinearParameters(weights, bias), *lowered.parameters[1:]))


def _outputs(lowered: LoweredModel, thresholds: _Thresholds, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return raw outputs [n, O] of the model that was handed in, on float32 numbers, as ONNX compares them."""
    bias = np.where(thresholds.columns >= 0, -thresholds.values, lowered.parameters[0].bias)
    exact = _comparing(lowered, thresholds, bias)
    return evaluate_graph(exact.graph, values, lowered_parameters(exact))[exact.graph.output]


def _on_grid(lowered: LoweredModel, thresholds: _Thresholds, ordered: NDArray[np.float64], grid: Grid) -> LoweredModel:
    """Return the model with decisions bin > j, bias -j; `ordered` are the samples, each column sorted by itself."""
    columns, before = thresholds.columns, lowered.parameters[0].bias
    # What decides nothing is decided by a constant, of which the sign alone counts.
    bias = np.where(before > 0, 1.0, 0.0)
    for column in np.unique(columns[columns >= 0]):
        values, edges = ordered[:, column], grid.edges[column]
        below = np.searchsorted(values, [-np.inf, *edges, np.inf], side="right")
        for decision in np.flatnonzero(columns == column):
            threshold = thresholds.values[decision]
            left = int(np.searchsorted(values, threshold, side="right"))
            bias[decision] = -_nearest_edge(below, left, edges, threshold)
    return replace(_comparing(lowered, thresholds, bias), input_exponents=(), grid=grid)


def _nearest_edge(below: NDArray[np.int64], left: int, edges: tuple[float, ...], threshold: float) -> int:
    """Return the edge that separates values as a threshold does, but for as few as can be; of these the nearest.

    -1 stands for an edge below all values, and the number of edges for one above them.

    Args:
        below: How many values are no larger than each edge, these two included.
        left: The same of the threshold.
        edges: Of the column.
        threshold: In the column's own units.
    """
    changed = np.abs(below - left)
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
