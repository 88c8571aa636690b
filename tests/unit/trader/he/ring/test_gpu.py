"""PyTorch gives the residues that the CPU gives, bit for bit; here on its own CPU device, where it is installed."""

import builtins

import numpy as np
import pytest

from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.he import ClientSession, DeviceError, evaluate
from trader.he.ring.arithmetic import CPU
from trader.he.ring.gpu import TorchArithmetic

PRIME = 2147352577


def test_a_device_without_pytorch_is_named(monkeypatch):
    whole = builtins.__import__

    def without_torch(name, *arguments, **options):
        if name == "torch":
            raise ImportError("no torch")
        return whole(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    model = random_network(4, 2)
    inputs = random_inputs(model, 3)
    plan = plan_for(model, inputs).batched
    request = ClientSession(plan).encrypt(inputs)
    with pytest.raises(DeviceError, match="'cuda' takes PyTorch: pip install torch, or evaluate on the CPU"):
        evaluate(plan, model, request, 3, device="cuda")


@pytest.fixture(scope="module")
def torch_arithmetic():
    pytest.importorskip("torch")
    return TorchArithmetic("cpu:0")


def test_a_device_that_is_not_there_is_named(torch_arithmetic):
    with pytest.raises(DeviceError, match="PyTorch has no device 'cuda:99'"):
        TorchArithmetic("cuda:99")


def _tiles(arithmetic, *shape, seed=0):
    size, components, positions = shape
    random = np.random.default_rng(seed)
    residues = random.integers(0, PRIME, (components, size, positions), dtype=np.uint32)
    residues[0, 0, :4] = [0, PRIME - 1, PRIME // 2, PRIME // 2 + 1]
    blocks = [[part[:, :16] for part in residues], [part[:, 16:] for part in residues]]
    return arithmetic.load(blocks, PRIME, arithmetic.scratch(shape))


def _squared(arithmetic, tile):
    return arithmetic.multiply_conjugates(tile, tile, 1, PRIME)


OPERATIONS = {
    "load": lambda a: _tiles(a, 3, 2, 64),
    "multiply weights": lambda a: a.multiply_weights(
        a.prepare_weights(np.random.default_rng(1).integers(-(2**23), 2**23, (700, 5)).astype(np.int32), PRIME),
        _tiles(a, 700, 2, 64),
        PRIME,
    ),
    "multiply values": lambda a: a.multiply_values(_tiles(a, 3, 2, 64), _tiles(a, 3, 3, 64, seed=1), PRIME),
    "split halves": lambda a: a.split_halves(_tiles(a, 3, 2, 64), PRIME - 5, PRIME),
    "join parts": lambda a: a.join_parts(_tiles(a, 4, 2, 64), PRIME - 5, PRIME),
    "square halves": lambda a: _squared(a, _tiles(a, 3, 2, 64)),
    "multiply halves": lambda a: a.multiply_conjugates(_tiles(a, 3, 2, 64), _tiles(a, 3, 2, 64, seed=1), 2, PRIME),
    "add values": lambda a: a.add_values(_tiles(a, 3, 2, 64), _tiles(a, 3, 2, 64, seed=1), PRIME),
    "sum terms": lambda a: a.sum_terms(_tiles(a, 60, 2, 64), 20, PRIME),
    "scale values": lambda a: a.scale_values(_tiles(a, 3, 2, 64), PRIME - 5, PRIME),
    "gather": lambda a: a.gather(_tiles(a, 3, 2, 64), np.array([2, -1, 0, 0])),
    "concatenate": lambda a: a.concatenate([_tiles(a, 3, 2, 64), _tiles(a, 1, 2, 64)]),
    "widen": lambda a: a.widen(_tiles(a, 3, 2, 64), 4),
}


def _stored(arithmetic, tile):
    target = np.empty(tuple(tile.shape), dtype=np.uint32)
    arithmetic.store(tile, PRIME, target)
    return target


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_agree(name, torch_arithmetic):
    operation = OPERATIONS[name]
    assert (_stored(torch_arithmetic, operation(torch_arithmetic)) == _stored(CPU, operation(CPU))).all()


def test_constants_are_added_in_place(torch_arithmetic):
    results = []
    for arithmetic in (CPU, torch_arithmetic):
        tile = _tiles(arithmetic, 3, 2, 64)
        arithmetic.add_constants(tile, np.array([1.0, PRIME - 1.0, 0.0]), PRIME)
        results.append(_stored(arithmetic, tile))
    assert (results[0] == results[1]).all()


def test_whole_tests_agree(torch_arithmetic, monkeypatch):
    """Without protection, which is random, both give the same response."""
    monkeypatch.setattr("trader.he.evaluation.privacy.Randomisation.apply", lambda *_: None)
    for widths, samples in (((200, 20, 3), 600), ((40, 20, 3), 600), ((200, 20, 3), 4100), ((200, 12, 8, 8, 3), 5000)):
        model = random_network(*widths)
        inputs = random_inputs(model, samples)
        plan = plan_for(model, inputs[:256])
        request = ClientSession(plan).encrypt(inputs)
        assert evaluate(plan, model, request, samples, device="cpu:0") == evaluate(plan, model, request, samples)
