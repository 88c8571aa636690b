import numpy as np
import pytest

from trader.model import DataError, Grid, make_grid, read_grid


def test_bins_count_the_edges_below_a_value():
    grid = Grid(((0.5, 1.5), (), (-1.0,)))
    bins = grid.bins(np.array([[0.5, 7.0, -1.0], [0.6, 7.0, -0.9], [9.0, 7.0, -9.0]]))
    assert bins.tolist() == [[0, 0, 0], [1, 0, 1], [2, 0, 0]]


def test_bins_are_those_of_the_float32_number_that_onnx_compares():
    edge = float(np.float32(0.1))
    assert edge > 0.1
    assert Grid(((edge,),)).bins(np.array([[0.1], [np.nextafter(edge, 1)]])).tolist() == [[0], [0]]


@pytest.mark.parametrize("edges", [(1.0, 1.0), (2.0, 1.0), (float("nan"),), (float("inf"),), (0.1,)])
def test_edges_that_two_parties_could_read_differently_are_refused(edges):
    with pytest.raises(DataError, match="column 1"):
        Grid(((), edges))


@pytest.mark.parametrize("seed", range(5))
def test_snapped_values_stay_in_their_bins_and_each_bin_has_one(seed):
    random = np.random.default_rng(seed)
    samples = np.column_stack(
        [
            random.normal(size=200) * 10.0 ** random.integers(-4, 6),
            random.lognormal(10, 2, 200),
            random.integers(0, 5, 200),
            random.integers(18, 90, 200),
            np.full(200, 3.0),
        ]
    )
    grid = make_grid(samples, 16)
    assert all(size <= 15 for size in grid.sizes)
    assert grid.sizes[2:] == (4, grid.sizes[3], 0)
    snapped = grid.snap(samples)
    assert np.array_equal(grid.bins(snapped), grid.bins(samples))
    for column, size in enumerate(grid.sizes[:4]):
        assert len(np.unique(snapped[:, column])) <= size + 1


def test_edges_do_not_tell_where_data_lies_beyond_orders_of_magnitude():
    random = np.random.default_rng(0)
    one = random.uniform(0.21, 0.78, (500, 1))
    other = random.uniform(0.22, 0.77, (500, 1))
    assert make_grid(one, 16) == make_grid(other, 16)


def test_integers_have_edges_halfway_between_them():
    assert make_grid(np.arange(4.0)[:, np.newaxis], 16).edges == ((0.5, 1.5, 2.5),)
    assert all(edge % 1 == 0.5 for edge in make_grid(np.arange(60.0)[:, np.newaxis], 16).edges[0])


def test_a_grid_is_read_as_it_was_written(tmp_path):
    grid = make_grid(np.random.default_rng(0).normal(size=(50, 3)), 8)
    path = tmp_path / "grid.json"
    path.write_text(grid.to_json())
    assert read_grid(path) == grid
    path.write_text("[]")
    with pytest.raises(DataError, match="modelseal model grid"):
        read_grid(path)
