"""Layouts of packed ciphertexts, on plain vectors: rotations of NumPy arrays stand for those of ciphertexts."""

from dataclasses import replace

import numpy as np
import pytest

from trader.he.layouts.packing import MapLayout, Packing, map_layouts, needed_rotations

DEGREE = 256
SHAPES = [(5, 3), (128, 2), (3, 40), (64, 64), (1, 1), (200, 30), (130, 129), (17, 200)]


def _rotated(slots, turns):
    return np.roll(slots, -sum(turns))


def _unpack(packing, slots, size):
    """Samples [n, size] of slots, read from where each element stands first."""
    return slots.reshape(-1, packing.stride)[:size, : packing.samples].T


def _used(packing, size):
    """Slots [ciphertexts, N/2] that hold an element of a sample."""
    held = (packing.elements(size) < size)[:, :, np.newaxis] & (np.arange(packing.stride) < packing.samples)
    return held.reshape(len(held), -1)


def _evaluate(layout, matrix, slots):
    """What `trader.he.evaluation.packed` does, in the clear."""
    packing, made = layout.packing, []
    for target in range(layout.targets):
        sums = np.zeros((layout.giant_steps, DEGREE // 2))
        for source, giant, baby in np.ndindex(layout.sources, layout.giant_steps, layout.baby_steps):
            rotated = _rotated(slots[source], packing.turns(layout.baby_rotation) * baby)
            entries = layout.giant_step(matrix, target, giant)[source, baby]
            sums[giant] += layout.slots(entries) * rotated
        total = sums[-1]
        for part in sums[-2::-1]:
            total = _rotated(total, packing.turns(layout.giant_rotation)) + part
        for fold in layout.folds:
            total = total + _rotated(total, packing.turns(fold))
        made.append(total)
    return np.array(made)


def test_the_worked_example():
    """As `trader.he.layouts.packing` begins; the entry of row i and column j of W is written ij."""
    matrix = np.array([[0, 1], [10, 11], [20, 21], [30, 31]], dtype=float)
    layout = MapLayout(Packing.tight(16, 2), 4, 2)
    assert layout.packing.elements(4).tolist() == [[0, 1, 2, 3]]
    assert [layout.giant_step(matrix, 0, k).tolist() for k in range(2)] == [[[[0, 11, 20, 31]]], [[[1, 10, 21, 30]]]]
    assert (layout.baby_steps, layout.giant_steps, layout.giant_rotation) == (1, 2, 2)
    assert (layout.products, layout.switchings, layout.folds, layout.packing.turns(4)) == (2, 3, (4,), (2, 2))
    narrow = MapLayout(Packing.tight(16, 2), 2, 2, copies=2)
    assert narrow.packing.elements(2, narrow.copies, narrow.diagonals).tolist() == [[0, 1, 1, 0]]
    assert narrow.giant_step(matrix[:2], 0, 0).tolist() == [[[0, 11, 10, 1]]]
    assert (narrow.products, narrow.switchings, narrow.folds) == (1, 2, (4,))


@pytest.mark.parametrize("samples", [1, 2, 3, 8, 30, 100, 128])
@pytest.mark.parametrize("shape", SHAPES)
def test_diagonals_give_the_product(samples, shape):
    random = np.random.default_rng(0)
    values, matrix = random.normal(size=(samples, shape[0])), random.normal(size=shape)
    packing = Packing.tight(DEGREE, samples)
    slots = _evaluate(MapLayout(packing, *shape), matrix, packing.pack(values))
    assert np.allclose(_unpack(packing, slots, shape[1]), values @ matrix)
    # In every place where an output is repeated, so that the next map can read it.
    used = _used(packing, shape[1])
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
    used = _used(whole.packing, shape[1])
    assert np.allclose(slots[used], expected[used])
    assert np.allclose(_unpack(whole.packing, slots, shape[1]), values @ matrix)


@pytest.mark.parametrize("samples", [1, 3, 16])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_not_folded_is_the_average_of_the_repeats(samples, spread, shape):
    random = np.random.default_rng(0)
    values, matrix = random.normal(size=(samples, shape[0])), random.normal(size=shape)
    packing = Packing.tight(DEGREE, samples)
    (layout,) = map_layouts(packing, (shape,), spread=spread, unfolded=True)
    assert layout.folds == ()
    slots = _evaluate(layout, matrix * 2.0**layout.folded_bits, layout.pack(values))
    repeats = slots.reshape(len(slots), -1, packing.period(shape[1]) * packing.stride)
    assert np.allclose(_unpack(packing, repeats.mean(axis=1), shape[1]), values @ matrix)


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
    assert (_unpack(packing, slots, 37) == values).all()
    assert np.isin(slots, values).all()


def test_one_block_is_one_feature_per_ciphertext():
    values = np.random.default_rng(2).normal(size=(100, 7))
    slots = Packing(DEGREE, DEGREE // 2, 100).pack(values)
    assert (slots[:, :100] == values.T).all()
    assert (slots[:, 100:] == values[:28].T).all()


@pytest.mark.parametrize("samples", [1, 5, 20, 64])
def test_samples_repeat_with_a_power_of_two(samples):
    values = np.random.default_rng(2).normal(size=(samples, 3))
    slots = Packing(DEGREE, DEGREE // 2, samples).pack(values)
    period = 1 << (samples - 1).bit_length()
    assert (slots == np.tile(slots[:, :period], DEGREE // 2 // period)).all()
    assert (slots[:, :samples] == values.T).all()
    assert (slots[:, samples:period] == values[: period - samples].T).all()


def test_few_rotations_for_wide_maps():
    """784 features of one sample through 64 units: about twice the square root of 64, and folds."""
    layout = MapLayout(Packing.tight(8192, 1), 784, 64)
    assert (layout.sources, layout.targets, layout.diagonals) == (1, 1, 64)
    assert layout.switchings < 30
