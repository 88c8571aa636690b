"""Layouts of packed ciphertexts, on plain vectors: rotations of NumPy arrays stand for those of ciphertexts."""

from dataclasses import replace

import numpy as np
import pytest

from trader.he.packing import MapLayout, Packing, needed_rotations

DEGREE = 256
SHAPES = [(5, 3), (128, 2), (3, 40), (64, 64), (1, 1), (200, 30), (130, 129), (17, 200)]


def _rotated(slots, turns):
    return np.roll(slots, -sum(turns))


def _evaluate(layout, matrix, slots):
    """What `trader.he.packed` does, in the clear."""
    packing, made = layout.packing, []
    for target in range(layout.targets):
        sums = np.zeros((layout.giant_steps, DEGREE // 2))
        for source, giant, baby in np.ndindex(layout.sources, layout.giant_steps, layout.baby_steps):
            rotated = _rotated(slots[source], packing.turns(layout.baby_rotation) * baby)
            entries = layout.diagonal(matrix, target, source, giant * layout.baby_steps + baby)
            sums[giant] += layout.slots(entries, masked=False) * rotated
        total = sums[-1]
        for part in sums[-2::-1]:
            total = _rotated(total, packing.turns(layout.giant_rotation)) + part
        for fold in layout.folds:
            total = total + _rotated(total, packing.turns(fold))
        made.append(total)
    return np.array(made)


@pytest.mark.parametrize("samples", [1, 2, 3, 8, 30, 100, 128])
@pytest.mark.parametrize("shape", SHAPES)
def test_diagonals_give_the_product(samples, shape):
    random = np.random.default_rng(0)
    values, matrix = random.normal(size=(samples, shape[0])), random.normal(size=shape)
    packing = Packing.tight(DEGREE, samples)
    slots = _evaluate(MapLayout(packing, *shape), matrix, packing.pack(values))
    assert np.allclose(packing.unpack(slots, shape[1]), values @ matrix)
    # In every place where an output is repeated, so that the next map can read it.
    used = packing.used(shape[1])
    assert np.allclose(slots[used], packing.pack(values @ matrix)[used])
    # Other blocks hold copies, which are within whatever range the outputs are in.
    in_samples = slots.reshape(len(slots), packing.blocks, packing.stride)[:, :, :samples]
    assert np.abs(in_samples).max() <= np.abs(values @ matrix).max() * (1 + 1e-9)


@pytest.mark.parametrize("copies", [2, 4, 8])
@pytest.mark.parametrize("shape", [(5, 3), (16, 16), (13, 8), (1, 1)])
def test_copies_share_the_work(copies, shape):
    random = np.random.default_rng(0)
    values, matrix = random.normal(size=(1, shape[0])), random.normal(size=shape)
    whole = MapLayout(Packing.tight(DEGREE, 1), *shape)
    copies = min(copies, whole.diagonals)
    layout = replace(whole, copies=copies)
    assert layout.diagonals * copies == whole.diagonals
    slots = _evaluate(layout, matrix, layout.pack(values))
    expected = whole.packing.pack(values @ matrix)
    assert np.allclose(slots[whole.packing.used(shape[1])], expected[whole.packing.used(shape[1])])
    assert np.allclose(whole.packing.unpack(slots, shape[1]), values @ matrix)


def test_copies_are_used_where_they_save_rotations():
    layout = MapLayout(Packing.tight(8192, 1), 784, 64)
    assert layout.spread().copies == 4
    assert layout.spread().switchings < layout.switchings
    assert MapLayout(Packing.tight(8192, 50), 784, 64).spread().copies == 1
    assert MapLayout(Packing.tight(8192, 1), 64, 784).spread().copies == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_rotations_are_those_that_have_keys(shape):
    packing = Packing.tight(DEGREE, 4)
    layout, keys = MapLayout(packing, *shape), needed_rotations([MapLayout(packing, *shape)])
    rotations = [layout.baby_rotation] * (layout.baby_steps > 1)
    rotations += [layout.giant_rotation] * (layout.giant_steps > 1)
    for rotation in (*rotations, *layout.folds):
        assert sum(packing.turns(rotation)) == rotation
        assert set(packing.turns(rotation)) <= set(keys)


@pytest.mark.parametrize("samples", [1, 5, 64, 128])
def test_packing_and_unpacking_are_inverse(samples):
    values = np.random.default_rng(1).normal(size=(samples, 37))
    packing = Packing.tight(DEGREE, samples)
    slots = packing.pack(values)
    assert slots.shape == (packing.ciphertexts(37), DEGREE // 2)
    assert (packing.unpack(slots, 37) == values).all()
    assert np.isin(slots, values).all()
    assert packing.used(37).sum() % samples == 0


def test_one_block_is_one_feature_per_ciphertext():
    values = np.random.default_rng(2).normal(size=(100, 7))
    slots = Packing(DEGREE, DEGREE // 2, 100).pack(values)
    assert (slots[:, :100] == values.T).all()
    assert (slots[:, 100:] == values[:28].T).all()


def test_masked_entries_leave_out_samples_that_do_not_exist():
    layout = MapLayout(Packing.tight(DEGREE, 5), 4, 4)
    slots = layout.slots(np.ones(layout.packing.blocks), masked=True).reshape(-1, 8)
    assert (slots[:, :5] == 1).all()
    assert (slots[:, 5:] == 0).all()


def test_few_rotations_for_wide_maps():
    """784 features of one sample through 64 units: about twice the square root of 64, and folds."""
    layout = MapLayout(Packing.tight(8192, 1), 784, 64)
    assert (layout.sources, layout.targets, layout.diagonals) == (1, 1, 64)
    assert layout.switchings < 30
