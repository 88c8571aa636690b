"""Which positions of which blocks a tile has."""

import numpy as np
import pytest

from tests.simulators.he_models import exact_outputs, plan_for, random_inputs, random_network
from trader.he import ClientSession, evaluate
from trader.he.evaluation import tiling
from trader.he.program.steps import Stage


def _positions(group):
    """Positions [tiles, width] of a group's tiles."""
    return [
        np.concatenate([np.arange(8192)[block][within] for block, within in zip(group.blocks, tile, strict=True)])
        for tile in group.tiles
    ]


@pytest.mark.parametrize(("block", "width"), [(1024, 1024), (1024, 64), (8192, 8192), (512, 256), (4096, 2048)])
def test_every_position_is_in_one_tile(block, width):
    for make in (tiling._groups, tiling._mirrored_groups):
        tiles = [tile for group in make(8192, block, width) for tile in _positions(group)]
        assert {tile.size for tile in tiles} == {width}
        assert sorted(np.concatenate(tiles).tolist()) == list(range(8192))


@pytest.mark.parametrize(("block", "width"), [(1024, 1024), (1024, 64), (8192, 8192), (512, 256), (4096, 2048)])
def test_mirrored_tiles_hold_the_image_of_each_position_at_the_mirrored_place(block, width):
    for group in tiling._mirrored_groups(8192, block, width):
        for tile in _positions(group):
            assert (tile + tile[::-1] == 8191).all()


@pytest.mark.parametrize("samples", [50, 4100])
def test_wide_layers_are_computed_on_fewer_positions_and_give_the_same(monkeypatch, samples):
    model = random_network(24, 40, 3)
    inputs = random_inputs(model, samples)
    plan = plan_for(model, inputs[:50]).model_copy(update={"few_samples": None, "few_samples_limit": 0})
    assert plan.for_samples(samples).paired == (samples > 4096)
    widths = []

    def narrow(stage, block):
        widths.append(block)
        return 128

    monkeypatch.setattr(tiling, "_tile_width", narrow)
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), samples))
    assert set(widths) == {1024}
    assert np.abs(outputs - exact_outputs(model, inputs)).max() < plan.largest_error


def test_the_width_falls_with_the_largest_layer():
    stages = [random_network(4, width, 2).graph for width in (8, 3000, 400_000)]
    found = [tiling._tile_width(Stage(0, graph.nodes, (), ()), 1024) for graph in stages]
    assert found == [1024, 256, 64]
