"""architecture.onnx: deterministic, without weights, and read back only in its one form."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from trader.model import (
    ArchitectureError,
    CanonicalModel,
    Graph,
    Linear,
    ModelError,
    ParameterSpec,
    Square,
    architecture_bytes,
    evaluate_values,
    read_architecture,
)

GRAPH = Graph(
    (5,),
    (
        Linear("linear_0", ("input",), (4,), 0),
        Square("square_1", ("linear_0",), (4,)),
        Linear("linear_2", ("square_1",), (3,), 1),
    ),
    "linear_2",
    (ParameterSpec("parameter_0", 5, 4, 12), ParameterSpec("parameter_1", 4, 3, 12)),
)


def test_same_graph_same_bytes_and_back(tmp_path):
    path = tmp_path / "architecture.onnx"
    path.write_bytes(architecture_bytes(GRAPH))
    assert architecture_bytes(GRAPH) == path.read_bytes()
    assert read_architecture(path) == GRAPH


def test_inputs_outputs_and_constants_are_as_specified():
    model = onnx.load_model_from_string(architecture_bytes(GRAPH))
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    assert shapes == {"input": ["N", 5], "parameter_0": [18, 4], "parameter_1": [17, 3]}
    assert list(shapes) == ["input", "parameter_0", "parameter_1"]
    assert [v.name for v in model.graph.output] == ["output"]
    assert [node.op_type for node in model.graph.node] == ["Pad", "Add", "MatMul", "Mul", "Pad", "Add", "MatMul"]
    for constant in model.graph.initializer:
        assert set(np.unique(numpy_helper.to_array(constant))) <= {0, 1, 13}


def test_onnxruntime_computes_the_canonical_model_from_it():
    rng = np.random.default_rng(0)
    tensors = tuple(rng.integers(-9000, 9000, spec.shape, dtype=np.int32) for spec in GRAPH.parameters)
    model = CanonicalModel(GRAPH, tensors)
    inputs = rng.integers(-9000, 9000, (6, 5))
    feeds = {spec.name: (t / 2**13).astype(np.float32) for spec, t in zip(GRAPH.parameters, tensors, strict=True)}
    feeds["input"] = (inputs / 2**13).astype(np.float32)
    (got,) = onnxruntime.InferenceSession(architecture_bytes(GRAPH)).run(None, feeds)
    np.testing.assert_allclose(got, evaluate_values(model, inputs)["linear_2"], rtol=1e-5)


def rename_node(model):
    model.graph.node[0].name = "other"


def add_metadata(model):
    entry = model.metadata_props.add()
    entry.key, entry.value = "weights", "here"


def swap_squared_operand(model):
    model.graph.node[3].input[1] = "input"


def unused_node(model):
    model.graph.node.append(onnx.helper.make_node("Identity", ["input"], ["unused"]))


def weight_as_constant(model):
    model.graph.initializer.append(numpy_helper.from_array(np.ones((17, 3), dtype=np.float32), "parameter_1"))
    del model.graph.input[2]


def bias_from_another_row(model):
    one = numpy_helper.to_array(model.graph.initializer[1]).copy()
    one[0, 5], one[0, 6] = 0, 1
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(one, model.graph.initializer[1].name))


def salt_that_counts(model):
    one = numpy_helper.to_array(model.graph.initializer[1]).copy()
    one[0, 9] = 1
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(one, model.graph.initializer[1].name))


def no_salt(model):
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.array([0, 0, 0, -1], dtype=np.int64), model.graph.initializer[0].name)
    )


def two_outputs(model):
    model.graph.output.append(onnx.helper.make_tensor_value_info("square_1", 1, ["N", 4]))


def fewer_rows(model):
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 6


def other_opset(model):
    model.opset_import[0].version = 14


MUTATIONS = [
    rename_node,
    add_metadata,
    swap_squared_operand,
    unused_node,
    weight_as_constant,
    bias_from_another_row,
    salt_that_counts,
    no_salt,
    two_outputs,
    fewer_rows,
    other_opset,
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_any_other_form_is_refused(tmp_path, mutate):
    model = onnx.load_model_from_string(architecture_bytes(GRAPH))
    mutate(model)
    path = tmp_path / "architecture.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError):
        read_architecture(path)


def test_trailing_bytes_are_refused(tmp_path):
    path = tmp_path / "architecture.onnx"
    path.write_bytes(architecture_bytes(GRAPH) + b"\xa2\x06\x00")
    with pytest.raises(ArchitectureError, match="canonical form"):
        read_architecture(path)


def test_ordinary_model_is_not_an_architecture(tmp_path):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, 1, ["N", 2]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:]))
    model.opset_import[0].version = 13
    model.ir_version = 8
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArchitectureError, match="not an architecture file"):
        read_architecture(path)
