"""Every operator that an architecture may have is proven exactly: instances against float64 that holds every digit."""

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import zk
from tests.simulators.dense_model import CONTEXT
from zk.circuits.planner import MAGNITUDE_BITS
from zk.errors import WorkerError

SCALE_BITS = 4
SAMPLES = 2
NODE = helper.make_node


def architecture(nodes, features, parameters, outputs, **constants):
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", features])]
    inputs += [
        helper.make_tensor_value_info(f"p{index}", TensorProto.FLOAT, shape) for index, shape in enumerate(parameters)
    ]
    graph = helper.make_graph(
        nodes,
        "architecture",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


MODELS = {
    "patches of a convolution": architecture(
        [
            NODE("Gather", ["input", "patches"], ["a"], axis=1),
            NODE("Reshape", ["a", "positions"], ["b"]),
            NODE("Pad", ["b", "salt"], ["c"]),
            NODE("Add", ["c", "one"], ["d"]),
            NODE("MatMul", ["d", "p0"], ["e"]),
            NODE("Reshape", ["e", "flat"], ["f"]),
            NODE("Mul", ["f", "f"], ["g"]),
            NODE("MatMul", ["g", "p1"], ["output"]),
        ],
        9,
        [(7, 3), (12, 2)],
        2,
        patches=np.array([0, 1, 3, 4, 1, 2, 4, 5, 3, 4, 6, 7, 4, 5, 7, 8], np.int64),
        positions=np.array([-1, 4, 4], np.int64),
        salt=np.array([0, 0, 0, 0, 0, 3], np.int64),
        one=np.array([[0, 0, 0, 0, 1, 0, 0]], np.float32),
        flat=np.array([-1, 12], np.int64),
    ),
    "groups": architecture(
        [
            NODE("Reshape", ["input", "groups"], ["a"]),
            NODE("MatMul", ["a", "p0"], ["b"]),
            NODE("Reshape", ["b", "flat"], ["output"]),
        ],
        8,
        [(2, 2, 3)],
        12,
        groups=np.array([-1, 2, 2, 1, 2], np.int64),
        flat=np.array([-1, 12], np.int64),
    ),
    "average pooling": architecture(
        [
            NODE("Reshape", ["input", "windows"], ["a"]),
            NODE("ReduceSum", ["a", "axis"], ["b"], keepdims=0),
            NODE("MatMul", ["b", "p0"], ["output"]),
        ],
        8,
        [(4, 3)],
        3,
        windows=np.array([-1, 4, 2], np.int64),
        axis=np.array([2], np.int64),
    ),
    "residual of another degree": architecture(
        [
            NODE("MatMul", ["input", "p0"], ["a"]),
            NODE("Mul", ["a", "a"], ["b"]),
            NODE("Add", ["b", "input"], ["c"]),
            NODE("MatMul", ["c", "p1"], ["output"]),
        ],
        4,
        [(4, 4), (4, 3)],
        3,
    ),
    "product of two branches": architecture(
        [
            NODE("MatMul", ["input", "p0"], ["a"]),
            NODE("MatMul", ["input", "p1"], ["b"]),
            NODE("Mul", ["a", "b"], ["c"]),
            NODE("Sub", ["c", "a"], ["output"]),
        ],
        4,
        [(4, 3), (4, 3)],
        3,
    ),
    "concatenation of other degrees": architecture(
        [
            NODE("MatMul", ["input", "p0"], ["a"]),
            NODE("Concat", ["a", "input"], ["b"], axis=1),
            NODE("MatMul", ["b", "p1"], ["output"]),
        ],
        4,
        [(4, 3), (7, 2)],
        2,
    ),
    "relu": architecture(
        [
            NODE("MatMul", ["input", "p0"], ["a"]),
            NODE("Relu", ["a"], ["b"]),
            NODE("MatMul", ["b", "p1"], ["c"]),
            NODE("Relu", ["c"], ["d"]),
            NODE("MatMul", ["d", "p2"], ["output"]),
        ],
        4,
        [(4, 5), (5, 3), (3, 2)],
        2,
    ),
    "relu and square": architecture(
        [
            NODE("MatMul", ["input", "p0"], ["a"]),
            NODE("Relu", ["a"], ["b"]),
            NODE("Mul", ["a", "a"], ["c"]),
            NODE("Add", ["b", "c"], ["d"]),
            NODE("MatMul", ["d", "p1"], ["output"]),
        ],
        4,
        [(4, 5), (5, 2)],
        2,
    ),
}


def in_float64(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    return copy


def build(model, scale_bits=SCALE_BITS, samples=SAMPLES):
    return zk.build_audit_circuit(model, audit_samples=samples, scale_bits=scale_bits, srs=zk.development_srs)


@pytest.mark.parametrize("name", MODELS)
def test_instances_are_exact(name):
    model = MODELS[name]
    circuit = build(model)
    rng = np.random.default_rng(len(name))
    inputs = rng.integers(-16, 17, size=(SAMPLES, circuit.features))
    parameters = [rng.integers(-16, 17, size=shape).astype(np.int32) for shape in circuit.parameter_shapes]
    proof = zk.prove(
        circuit, inputs, zk.draw_input_salt(circuit), parameters, zk.development_srs(circuit.logrows), context=CONTEXT
    )
    feeds = {"input": np.ldexp(inputs, -SCALE_BITS)} | {
        f"p{index}": np.ldexp(tensor.astype(float), -SCALE_BITS) for index, tensor in enumerate(parameters)
    }
    (expected,) = ReferenceEvaluator(in_float64(model)).run(None, feeds)
    assert expected.dtype == np.float64
    assert list(proof.outputs) == np.ldexp(expected.ravel(), circuit.output_scale_bits).tolist()


def test_a_relu_network_at_full_scale_is_exact():
    circuit = build(MODELS["relu"], scale_bits=13, samples=1)
    rng = np.random.default_rng(3)
    inputs = rng.integers(-(1 << 15), 1 << 15, size=(1, 4))
    parameters = [rng.integers(-(1 << 14), 1 << 14, size=s).astype(np.int32) for s in circuit.parameter_shapes]
    proof = zk.prove(
        circuit, inputs, zk.draw_input_salt(circuit), parameters, zk.development_srs(circuit.logrows), context=CONTEXT
    )
    first, second, third = (tensor.astype(object) for tensor in parameters)
    hidden = np.maximum(np.maximum(inputs.astype(object) @ first, 0) @ second, 0)
    assert list(proof.outputs) == (hidden @ third).ravel().tolist()
    assert circuit.output_scale_bits == 4 * 13


def test_values_beyond_the_relus_range_are_not_proven():
    circuit = build(MODELS["relu"], samples=1)
    huge = [np.full(shape, (1 << 24) - 1, np.int32) for shape in circuit.parameter_shapes]
    assert 1 << (4 * SCALE_BITS + MAGNITUDE_BITS) < 4 * (1 << 48)
    with pytest.raises(WorkerError, match="could not prove"):
        zk.prove(
            circuit,
            np.full((1, 4), (1 << 24) - 1),
            zk.draw_input_salt(circuit),
            huge,
            zk.development_srs(circuit.logrows),
            context=CONTEXT,
        )


def with_activation(*nodes, **constants):
    return architecture(
        [NODE("MatMul", ["input", "p0"], ["a"]), *nodes, NODE("MatMul", ["b", "p1"], ["output"])],
        4,
        [(4, 5), (5, 2)],
        2,
        **constants,
    )


FUNCTIONS = {
    "sigmoid": with_activation(NODE("Sigmoid", ["a"], ["b"])),
    "tanh": with_activation(NODE("Tanh", ["a"], ["b"])),
    "erf": with_activation(NODE("Erf", ["a"], ["b"])),
    "elu": with_activation(NODE("Elu", ["a"], ["b"], alpha=1.0)),
    "softplus": with_activation(NODE("Softplus", ["a"], ["b"])),
    "leaky relu": with_activation(NODE("LeakyRelu", ["a"], ["b"], alpha=0.1)),
    "hard sigmoid": with_activation(NODE("HardSigmoid", ["a"], ["b"], alpha=0.2, beta=0.5)),
    "clip": with_activation(
        NODE("Clip", ["a", "low", "high"], ["b"]), low=np.array(-0.5, np.float32), high=np.array(0.7, np.float32)
    ),
    "silu": with_activation(NODE("Sigmoid", ["a"], ["c"]), NODE("Mul", ["a", "c"], ["b"])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_functions_are_proven_up_to_rounding(name):
    """The function itself, not an approximation by a polynomial."""
    bits, model = 8, FUNCTIONS[name]
    circuit = zk.build_audit_circuit(
        model, audit_samples=SAMPLES, scale_bits=bits, srs=zk.development_srs, activation_magnitude=4
    )
    assert not circuit.is_exact
    assert circuit.output_scale_bits == bits
    rng = np.random.default_rng(len(name))
    inputs = rng.integers(-(1 << bits), 1 << bits, size=(SAMPLES, 4))
    parameters = [rng.integers(-(1 << bits), 1 << bits, size=s).astype(np.int32) for s in circuit.parameter_shapes]
    srs = zk.development_srs(circuit.logrows)
    proof = zk.prove(circuit, inputs, zk.draw_input_salt(circuit), parameters, srs, context=CONTEXT)
    assert zk.evaluate(circuit, inputs, parameters, srs) == proof.outputs
    feeds = {"input": np.ldexp(inputs, -bits)} | {
        f"p{index}": np.ldexp(tensor.astype(float), -bits) for index, tensor in enumerate(parameters)
    }
    (expected,) = ReferenceEvaluator(in_float64(model)).run(None, feeds)
    assert np.abs(np.ldexp(np.array(proof.outputs, float), -bits) - expected.ravel()).max() < 4 / 2**bits
    assert np.abs(expected).max() > 40 / 2**bits


def test_a_value_outside_the_table_is_refused_and_ezkls_prover_does_not_hang_on_it():
    circuit = zk.build_audit_circuit(
        FUNCTIONS["tanh"], audit_samples=1, scale_bits=6, srs=zk.development_srs, activation_magnitude=2
    )
    big = [np.full(shape, 64, np.int32) for shape in circuit.parameter_shapes]
    srs = zk.development_srs(circuit.logrows)
    salt = zk.draw_input_salt(circuit)
    assert len(zk.prove(circuit, np.full((1, 4), 32), salt, big, srs, context=CONTEXT).outputs) == 2
    for outside in (33, -33, 1000):
        with pytest.raises(WorkerError, match=r"its table holds -128 to 128: .* a larger activation magnitude"):
            zk.prove(circuit, np.full((1, 4), outside), salt, big, srs, context=CONTEXT)
        with pytest.raises(WorkerError, match="its table holds"):
            zk.evaluate(circuit, np.full((1, 4), outside), big, srs)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_random_networks_are_exact(seed):
    """Depth, widths, samples, scale and activations at random."""
    rng = np.random.default_rng(seed)
    widths = [int(width) for width in rng.integers(1, 7, size=rng.integers(2, 5))]
    squares = rng.random(len(widths) - 2) < 0.5
    nodes, source = [], "input"
    for layer, square in enumerate(squares):
        nodes.append(NODE("MatMul", [source, f"p{layer}"], [f"a{layer}"]))
        source = f"b{layer}"
        activation = NODE("Mul", [f"a{layer}"] * 2, [source]) if square else NODE("Relu", [f"a{layer}"], [source])
        nodes.append(activation)
    nodes.append(NODE("MatMul", [source, f"p{len(squares)}"], ["output"]))
    shapes = list(itertools.pairwise(widths))
    samples, bits = int(rng.integers(1, 5)), int(rng.integers(6, 14))
    circuit = build(architecture(nodes, widths[0], shapes, widths[-1]), scale_bits=bits, samples=samples)
    inputs = rng.integers(-(2 << bits), 2 << bits, size=(samples, widths[0]))
    parameters = [rng.integers(-(1 << bits), 1 << bits, size=shape).astype(np.int32) for shape in shapes]
    hidden = inputs.astype(object)
    for tensor, square in zip(parameters, squares, strict=False):
        product = hidden @ tensor.astype(object)
        hidden = product * product if square else np.maximum(product, 0)
    expected = (hidden @ parameters[-1].astype(object)).ravel().tolist()
    srs = zk.development_srs(circuit.logrows)
    assert list(zk.evaluate(circuit, inputs, parameters, srs)) == expected
    if seed % 5 == 0:
        assert (
            list(zk.prove(circuit, inputs, zk.draw_input_salt(circuit), parameters, srs, context=CONTEXT).outputs)
            == expected
        )
