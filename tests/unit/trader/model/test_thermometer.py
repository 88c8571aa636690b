import numpy as np
import pytest

from tests.simulators.trees import leaf_by_leaf
from trader.model import (
    CanonicalModel,
    PrecisionError,
    architecture_bytes,
    evaluate_exact,
    evaluate_values,
    parse_architecture,
    thermometer,
    thermometer_bounds,
    thermometer_graph,
    thermometer_model,
)
from trader.rehearsal.networks import random_bins, random_network, random_trees

EDGES = (7, 0, 3, 15)


def test_a_code_says_which_edges_lie_below():
    assert thermometer(np.array([[0, 2], [3, 0], [1, 1]]), (3, 2)).tolist() == [
        [0, 0, 0, 1, 1],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
    ]


@pytest.mark.parametrize("depth", range(1, 9))
@pytest.mark.parametrize(("outputs", "groups"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_bits_give_what_bins_give(depth, outputs, groups):
    model = random_trees(EDGES, 6, depth, outputs=outputs, groups=groups, seed=depth)
    bins = random_bins(EDGES, 40)
    form = thermometer_model(model, EDGES)
    bits = thermometer(bins, EDGES)
    expected = evaluate_exact(model, bins)
    assert np.array_equal(evaluate_exact(form, bits), expected)
    assert np.array_equal(expected, leaf_by_leaf(model, bins))
    assert form.graph == thermometer_graph(model.graph, EDGES)


@pytest.mark.parametrize("depth", [2, 4, 7])
def test_bounds_hold_for_every_code(depth):
    model = random_trees(EDGES, 4, depth, outputs=2)
    bits = thermometer(random_bins(EDGES, 2000), EDGES)
    bounds = thermometer_bounds(model, EDGES)
    form = thermometer_model(model, EDGES)
    for name, values in evaluate_values(form, bits).items():
        assert np.abs(values).max() <= bounds[name]


def test_a_decision_beyond_the_edges_is_a_constant():
    model = random_trees(EDGES, 2, 3)
    first = model.tensors[0].copy()
    decided = first[: len(EDGES)].argmax(axis=0)
    first[len(EDGES), 0], first[len(EDGES), 1] = 1, -EDGES[decided[1]]
    first[: len(EDGES), 2], first[len(EDGES), 2] = 0, 0
    changed = CanonicalModel(model.graph, (first, model.tensors[1]), 0)
    bins = random_bins(EDGES, 40)
    form = thermometer_model(changed, EDGES)
    assert np.array_equal(evaluate_exact(form, thermometer(bins, EDGES)), evaluate_exact(changed, bins))


def test_decisions_about_several_columns_have_no_form_over_bits():
    model = random_trees(EDGES, 2, 2)
    for rows, value in ((slice(0, 2), 1), (slice(0, 1), 2)):
        first = model.tensors[0].copy()
        first[rows, 0] = value
        with pytest.raises(PrecisionError, match="one column"):
            thermometer_model(CanonicalModel(model.graph, (first, model.tensors[1]), 0), EDGES)


def test_networks_have_no_form_over_bits():
    with pytest.raises(PrecisionError, match="ensemble of trees"):
        thermometer_graph(random_network(4, 3, 1).graph, EDGES)


def test_architectures_of_trees_are_read_back():
    graph = random_trees(EDGES, 6, 3, outputs=2, groups=3).graph
    assert parse_architecture(architecture_bytes(graph)) == graph
