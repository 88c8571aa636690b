"""Thresholds that move to edges, and leaves that become integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier

from trader.model import (
    DataError,
    Grid,
    LoweredModel,
    PrecisionError,
    canonicalise,
    evaluate_exact,
    fit_grid,
    lower_model,
    make_grid,
    run_original,
)

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)
RAW = np.column_stack([RANDOM.lognormal(8, 1, 400), RANDOM.normal(size=400), RANDOM.integers(0, 6, 400)])
GRID = make_grid(RAW, 16)
SNAPPED = GRID.snap(RAW)
TARGET = np.log(RAW[:, 0]) * (RAW[:, 1] > 0) + RAW[:, 2]


def exported(model: Any, samples: NDArray[np.float64], labels: NDArray[Any]) -> onnx.ModelProto:
    return to_onnx(model.fit(samples, labels), samples[:1].astype(np.float32))


def answers(lowered: LoweredModel, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the integers give, post-processed."""
    assert lowered.grid is not None
    raw = evaluate_exact(canonicalise(lowered), lowered.grid.bins(samples)).astype(np.float64)
    return lowered.post_processing.apply(raw)


def test_a_model_that_was_trained_on_the_grid_loses_nothing_but_the_rounding_of_leaves() -> None:
    file = exported(GradientBoostingRegressor(n_estimators=8, max_depth=3, random_state=0), SNAPPED, TARGET)
    (expected,) = run_original(file, SNAPPED)
    found = answers(fit_grid(lower_model(file), SNAPPED, GRID), SNAPPED)
    assert np.abs(found - expected).max() < np.ptp(expected) / 500


def test_snapped_forests_keep_every_class() -> None:
    file = exported(RandomForestClassifier(9, max_depth=5, random_state=0), SNAPPED, (TARGET > 5).astype(int))
    lowered = fit_grid(lower_model(file), SNAPPED, GRID)
    labels, probabilities = run_original(file, SNAPPED)[:2]
    found = answers(lowered, SNAPPED)
    assert np.abs(found - probabilities).max() < 0.005
    sure = np.abs(probabilities[:, 0] - 0.5) > 0.005
    assert np.array_equal(np.asarray(lowered.post_processing.labels)[found.argmax(axis=1)][sure], labels[sure])


def test_as_many_bins_are_taken_as_outputs_need() -> None:
    file = exported(GradientBoostingRegressor(n_estimators=8, max_depth=2, random_state=0), RAW, TARGET)
    (expected,) = run_original(file, RAW)
    lowered = fit_grid(lower_model(file), RAW)
    coarse = fit_grid(lower_model(file), RAW, make_grid(RAW, 4))
    errors = [np.quantile(np.abs(answers(fitted, RAW) - expected), 0.99) for fitted in (lowered, coarse)]
    assert lowered.grid is not None
    assert max(lowered.grid.sizes) > 3
    assert errors[0] < errors[1]


def test_columns_that_no_tree_reads_are_left_out_on_demand_alone() -> None:
    idle = np.column_stack([SNAPPED, RANDOM.normal(size=len(RAW))])
    grid = make_grid(idle, 16)
    model = GradientBoostingRegressor(n_estimators=4, max_depth=2, random_state=0)
    # What follows from the first three columns alone needs no fourth.
    file = exported(model, idle, SNAPPED[:, 2])
    lowered = lower_model(file)
    assert all(fit_grid(lowered, idle, grid).grid.sizes)  # type: ignore[union-attr]  # trees have a grid once fitted
    used = fit_grid(lowered, idle, grid, all_columns=False)
    assert used.grid is not None
    assert used.grid.sizes[3] == 0 < used.grid.sizes[2]
    assert np.array_equal(answers(used, idle), answers(fit_grid(lowered, idle, grid), idle))


def test_what_a_grid_does_not_suit_is_refused() -> None:
    file = exported(GradientBoostingRegressor(n_estimators=2, max_depth=2, random_state=0), RAW, TARGET)
    with pytest.raises(DataError, match="2 columns, the model takes 3"):
        fit_grid(lower_model(file), RAW, Grid(GRID.edges[:2]))
    with pytest.raises(PrecisionError, match="--calibration"):
        canonicalise(lower_model(file))
