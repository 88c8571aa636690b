"""Encrypted tests of ensembles of trees: exact, whatever their shape, and on thermometer codes alone."""

import numpy as np
import pytest

from trader.he import ClientSession, HePlan, PlanError, SessionError, evaluate, forecast, parse_plan, plan_encryption
from trader.model import CanonicalModel, Grid, evaluate_exact
from trader.package import planning_data
from trader.rehearsal.networks import random_bins, random_network, random_trees
from trader.tolerance import commit_scale_bits, needed_tolerance


def planned(edges: tuple[int, ...], trees: int, depth: int, **shape: int) -> tuple[CanonicalModel, HePlan]:
    model = random_trees(edges, trees, depth, **shape)
    grid = Grid(tuple(tuple(map(float, range(size))) for size in edges))
    return model, plan_encryption(planning_data(model, (), None, grid).problem(model))


@pytest.mark.parametrize(
    ("edges", "trees", "depth", "shape"),
    [
        ((3, 1), 4, 1, {}),
        ((3, 2), 3, 2, {"outputs": 2}),
        ((2, 0, 4), 6, 4, {"groups": 3}),
    ],
)
def test_answers_are_exact(edges, trees, depth, shape):
    model, plan = planned(edges, trees, depth, **shape)
    bins = random_bins(edges, 33)
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(bins), len(bins)))
    assert np.array_equal(outputs, evaluate_exact(model, bins).astype(np.float64))


def test_exact_answers_leave_no_tolerance():
    model, plan = planned((3, 1), 2, 2)
    assert plan.is_exact
    assert needed_tolerance(plan, 0) == commit_scale_bits(0) == 0
    assert forecast(plan, model.graph, 100).expected_error < 0.5


def test_a_plan_whose_noise_could_move_an_integer_is_refused():
    _, plan = planned((3, 1), 2, 2)
    fields = plan.model_dump(mode="json")
    with pytest.raises(PlanError, match="rounded away"):
        parse_plan(fields | {"expected_error": 0.5})
    with pytest.raises(PlanError, match="edges"):
        parse_plan(fields | {"edges": [3, 2]})
    assert parse_plan(fields) == plan


def test_what_is_no_ensemble_is_not_tested_on_bits():
    _, plan = planned((3, 1), 2, 2)
    session = ClientSession(plan)
    request = session.encrypt(random_bins((3, 1), 5))
    with pytest.raises(PlanError, match="ensemble of trees"):
        evaluate(plan, random_network(2, 3, 1), request, 5)


def test_other_shapes_than_the_columns_are_refused():
    _, plan = planned((3, 1), 2, 2)
    with pytest.raises(SessionError, match=r"\[n, 2\]"):
        ClientSession(plan).encrypt(np.zeros((5, 4), dtype=np.int64))
