"""Every kind of node under encryption, against the integer reference."""

import numpy as np
import pytest

from tests.simulators.he_models import SALT_ROWS, SCALE_BITS, exact_outputs, plan_for, random_inputs, random_network
from trader.he import ClientSession, PlanError, PlanningProblem, evaluate, plan_encryption
from trader.he.evaluation.tiles import TileEvaluator
from trader.he.layouts.packing import affine_maps, map_supports
from trader.he.planning import search
from trader.he.planning.propagation import value_scales
from trader.he.program.build import build_program
from trader.he.ring import kernels
from trader.he.ring.integer_weights import available
from trader.model import CanonicalModel, Graph, ParameterSpec, evaluate_values, measured_bounds
from trader.model.functions import ActivationKind
from trader.model.nodes import ZERO, Activation, Add, Linear, Multiply, Rearrange, Square, Sum


def _model(features, nodes, *specs, seed=0):
    generator = np.random.default_rng(seed)
    full = tuple(ParameterSpec(f"p{i}", a, b, SALT_ROWS, g) for i, (g, a, b) in enumerate(specs))
    tensors = tuple(
        np.rint(generator.normal(size=spec.shape) / spec.inputs**0.5 * 2**SCALE_BITS).astype(np.int32) for spec in full
    )
    return CanonicalModel(Graph((features,), tuple(nodes), nodes[-1].name, full), tensors, SCALE_BITS)


def _patches(side, kernel, padding):
    """Indices of the patches of a square image, row-major, padded with zeros."""
    image = np.full((side + 2 * padding, side + 2 * padding), ZERO)
    image[padding : padding + side, padding : padding + side] = np.arange(side * side).reshape(side, side)
    views = np.lib.stride_tricks.sliding_window_view(image, (kernel, kernel))
    return views.reshape(-1).astype(np.int64)


def _convolution():
    indices = _patches(6, 3, 1)
    nodes = [
        Rearrange("patches", ("input",), (indices.size,), indices),
        Linear("maps", ("patches",), (36 * 4,), 0),
        Square("active", ("maps",), (144,)),
        Sum("pooled", ("active",), (36,), 4),
        Linear("scores", ("pooled",), (3,), 1),
    ]
    return _model(36, nodes, (1, 9, 4), (1, 36, 3))


def _residual():
    nodes = [
        Linear("hidden", ("input",), (5,), 0),
        Square("active", ("hidden",), (5,)),
        Linear("back", ("active",), (5,), 1),
        Add("residual", ("back", "hidden"), (5,)),
        Linear("scores", ("residual",), (2,), 2),
    ]
    return _model(5, nodes, (1, 5, 5), (1, 5, 5), (1, 5, 2))


def _product():
    nodes = [
        Linear("left", ("input",), (4,), 0),
        Linear("right", ("input",), (4,), 1),
        Multiply("product", ("left", "right"), (4,)),
        Linear("scores", ("product",), (2,), 2),
    ]
    return _model(6, nodes, (1, 6, 4), (1, 6, 4), (1, 4, 2))


def _grouped():
    nodes = [Linear("maps", ("input",), (3 * 2 * 2,), 0), Linear("scores", ("maps",), (2,), 1)]
    return _model(24, nodes, (2, 4, 2), (1, 12, 2))


def _concatenation():
    indices = np.array([7, 0, ZERO, 3, 9], dtype=np.int64)
    nodes = [
        Linear("hidden", ("input",), (6,), 0),
        Rearrange("mixed", ("input", "hidden"), (5,), indices),
        Linear("scores", ("mixed",), (2,), 1),
    ]
    return _model(5, nodes, (1, 5, 6), (1, 5, 2))


def _dense():
    nodes = [
        Linear("hidden", ("input",), (8,), 0),
        Square("active", ("hidden",), (8,)),
        Linear("scores", ("active",), (4,), 1),
    ]
    return _model(11, nodes, (1, 11, 8), (1, 8, 4))


MODELS = {
    "dense": _dense,
    "convolution": _convolution,
    "residual": _residual,
    "product": _product,
    "grouped": _grouped,
    "concatenation": _concatenation,
}


@pytest.mark.parametrize("name", MODELS)
def test_encrypted_outputs_are_within_the_predicted_error(name):
    model = MODELS[name]()
    inputs = random_inputs(model, 12)
    plan = plan_for(model, inputs)
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), 12))
    assert np.abs(outputs - exact_outputs(model, inputs)).max() <= plan.expected_error


def test_positions_in_chunks_give_the_same(monkeypatch):
    model = _convolution()
    tile = np.random.default_rng(0).integers(-(2**27), 2**27, (36, 2, 16)).astype(np.float64)
    program = build_program(model.graph, {}, staged=False)
    scales = value_scales(program, 40, SCALE_BITS, [])
    (evaluator,) = TileEvaluator.prepare(model, program.stage(0), scales, [268042241])
    whole = evaluator.run({"input": tile})["scores"]
    monkeypatch.setattr("trader.he.ring.arithmetic.CpuArithmetic.chunk_bytes", 1)
    assert (evaluator.run({"input": tile})["scores"] == whole).all()


@pytest.mark.parametrize(("name", "integers"), [("dense", True), ("convolution", True), ("concatenation", False)])
def test_tiles_of_integers_give_the_same(name, integers, monkeypatch):
    model, prime = MODELS[name](), 268042241
    program = build_program(model.graph, {}, staged=False)
    scales = value_scales(program, 40, SCALE_BITS, [])
    stage = program.stage(0)
    tile = np.random.default_rng(0).integers(-(prime // 2), prime // 2, (model.graph.features, 2, 16))
    (evaluator,) = TileEvaluator.prepare(model, stage, scales, [prime])
    assert evaluator.takes_integers("input") == (integers and available())
    (target,) = stage.targets
    found = evaluator.run({"input": tile.astype(np.int32 if evaluator.takes_integers("input") else np.float64)})[target]
    monkeypatch.setattr("trader.he.ring.integer_weights.available", lambda: False)
    (in_doubles,) = TileEvaluator.prepare(model, stage, scales, [prime])
    assert not in_doubles.takes_integers("input")
    assert (in_doubles.run({"input": tile.astype(np.float64)})[target] == found).all()


def test_activations_without_calibration_data_are_refused_by_name():
    model = _model(3, [Activation("act", ("input",), (3,), ActivationKind.SOFTPLUS)])
    with pytest.raises(PlanError, match="softplus 'act' can't be evaluated"):
        plan_for(model, random_inputs(model, 4))


def _deep(*kinds, width=4, residual=False):
    """Linear layers with an activation, or a square, after each but the last."""
    nodes, value = [], "input"
    for index, kind in enumerate(kinds):
        nodes.append(Linear(f"linear_{index}", (value,), (width,), index))
        hidden = f"linear_{index}"
        if kind is None:
            nodes.append(Square(f"active_{index}", (hidden,), (width,)))
        else:
            nodes.append(Activation(f"active_{index}", (hidden,), (width,), kind, 0.1, 0.5))
        value = f"active_{index}"
        if residual and index:
            nodes.append(Add(f"sum_{index}", (value, hidden), (width,)))
            value = f"sum_{index}"
    nodes.append(Linear("scores", (value,), (2,), len(kinds)))
    return _model(width, nodes, *[(1, width, width)] * len(kinds), (1, width, 2))


STAGED = {
    "squares": _deep(None, None, None),
    "residual squares": _deep(None, None, None, residual=True),
    "tanh": _deep(ActivationKind.TANH, ActivationKind.TANH),
    "residual relu": _deep(ActivationKind.RELU, ActivationKind.RELU, residual=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGED)
def test_staged_programs_are_within_the_predicted_error(name, monkeypatch):
    """At degrees whose tests take seconds; the largest ones are the benchmark's."""
    monkeypatch.setattr(search, "DEGREES", (2, 3, 7, 15))
    model = STAGED[name]
    data = random_inputs(model, 400, seed=3)
    inputs = random_inputs(model, 40, seed=4) * 3 // 4
    plan = plan_encryption(PlanningProblem(model, measured_bounds(model, data), input_magnitude=1.0, calibration=data))
    assert plan.refreshes
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), len(inputs)))
    exact = evaluate_values(model, inputs)["scores"]
    polynomials = plan.polynomials
    moved = evaluate_values(model, inputs, lambda node, x: polynomials[node.name](x))["scores"]
    assert np.abs(outputs - exact).max() <= plan.expected_error
    assert np.abs(outputs - moved).max() <= plan.expected_error - plan.approximation_error + 2**-14
    assert plan.statistical_bits >= 20


def _pruned(model):
    """Half of the weights zero."""
    tensors = [tensor.copy() for tensor in model.tensors]
    for index, spec in enumerate(model.graph.parameters):
        tensors[index][..., : spec.inputs // 2, :] = 0
    return CanonicalModel(model.graph, tuple(tensors), model.scale_bits)


@pytest.mark.parametrize("model", [_convolution(), random_network(60, 8, 3)], ids=["convolution", "dense"])
def test_what_is_left_out_follows_from_the_architecture(model):
    program = build_program(model.graph, {}, staged=True, packed=True)
    supports = map_supports(model, program)
    for name, numbers in affine_maps(model, program).items():
        assert (supports[name] == (numbers.matrix != 0)).all()
    pruned = map_supports(_pruned(model), program)
    assert all((pruned[name] == support).all() for name, support in supports.items())
    assert (model.graph.features == 36) == any((support == 0).any() for support in supports.values())


def test_weights_of_zero_take_as_many_products(monkeypatch):
    model = random_network(200, 16, 3)
    inputs = random_inputs(model, 3)
    plan = plan_for(model, inputs)
    assert plan.for_samples(3).packed
    counts = []
    whole = kernels.add_products
    monkeypatch.setattr(kernels, "add_products", lambda *arguments: (counts.append(1), whole(*arguments)))
    for candidate in (model, _pruned(model)):
        counts.append("model")
        evaluate(plan, candidate, ClientSession(plan).encrypt(inputs), 3)
    first, second = " ".join(map(str, counts)).split("model")[1:]
    assert first.split() == second.split()
    assert len(first.split()) >= 16


def test_folds_are_left_to_the_reader_only_where_a_map_gives_the_outputs():
    """After a square, the average over what would be folded is another function."""
    nodes = [Linear("hidden", ("input",), (4,), 0), Square("scores", ("hidden",), (4,))]
    model = _model(60, nodes, (1, 60, 4))
    inputs = random_inputs(model, 3)
    plan = plan_for(model, random_inputs(model, 64))
    assert plan.for_samples(3).packed
    assert not plan.for_samples(3).unfolded
    session = ClientSession(plan)
    request = session.encrypt(inputs)
    outputs = session.decrypt(evaluate(plan, model, request, 3))
    assert np.abs(outputs - exact_outputs(model, inputs)).max() <= plan.for_samples(3).expected_error
    few = plan.few_samples.model_copy(update={"unfolded": True})
    with pytest.raises(PlanError, match="doesn't end with one"):
        evaluate(plan.model_copy(update={"few_samples": few}), model, request, 3)
    linear = random_network(60, 8, 4)
    assert plan_for(linear, random_inputs(linear, 64)).few_samples.unfolded
