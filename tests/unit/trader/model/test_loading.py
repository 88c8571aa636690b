"""Hostile ONNX files: each is refused with a clear line, none crashes, hangs or takes the machine's memory."""

import contextlib
import resource

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trader.model import (
    ModelError,
    UnsafeModelError,
    UnsupportedOperatorError,
    evaluate_graph,
    load_onnx,
    loading,
    lowered_parameters,
    read_model,
)


def small_model(nodes=None, initializers=(), **changes):
    nodes = nodes or [helper.make_node("Gemm", ["x", "w"], ["y"], name="gemm")]
    weights = numpy_helper.from_array(np.ones((4, 2), dtype=np.float32), "w")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "C"])],
        initializer=[weights, *initializers],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], **changes)
    model.ir_version = 8
    return model


def external_data():
    model = small_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return model.SerializeToString()


def claimed_size():
    model = small_model()
    model.graph.initializer[0].dims[:] = [1 << 30, 1 << 30]
    return model.SerializeToString()


def negative_size():
    model = small_model()
    model.graph.initializer[0].dims[:] = [-4, -2]
    return model.SerializeToString()


def missing_data():
    model = small_model()
    model.graph.initializer[0].raw_data = b"\0" * 7
    return model.SerializeToString()


def constant_of_shape_bomb():
    shape = numpy_helper.from_array(np.array([1 << 40], dtype=np.int64), "shape")
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["y"], name="bomb")]
    return small_model(nodes, [shape]).SerializeToString()


def constant_of_shape_bomb_in_parts():
    """Shape inference doesn't see through the sum."""
    half = numpy_helper.from_array(np.array([1 << 30], dtype=np.int64), "half")
    nodes = [helper.make_node("Add", ["half", "half"], ["shape"])]
    nodes += [helper.make_node("ConstantOfShape", ["shape"], ["big"], name="bomb")]
    nodes += [helper.make_node("Add", ["x", "big"], ["y"])]
    return small_model(nodes, [half]).SerializeToString()


def reshape_to_an_enormous_shape():
    shape = numpy_helper.from_array(np.array([1, 1 << 40], dtype=np.int64), "shape")
    return small_model([helper.make_node("Reshape", ["x", "shape"], ["y"])], [shape]).SerializeToString()


def doubling_concats():
    nodes = [helper.make_node("Concat", ["x", "x"], ["c0"], axis=1)]
    nodes += [helper.make_node("Concat", [f"c{i}"] * 2, [f"c{i + 1}"], axis=1) for i in range(40)]
    nodes[-1].output[0] = "y"
    return small_model(nodes).SerializeToString()


def many_nodes():
    nodes = [helper.make_node("Identity", ["x" if i == 0 else f"i{i - 1}"], [f"i{i}"]) for i in range(25_000)]
    nodes[-1].output[0] = "y"
    return small_model(nodes).SerializeToString()


def cycle():
    nodes = [helper.make_node("Add", ["b", "x"], ["a"]), helper.make_node("Identity", ["a"], ["b"])]
    nodes.append(helper.make_node("Identity", ["a"], ["y"]))
    return small_model(nodes).SerializeToString()


def unknown_input():
    return small_model([helper.make_node("Gemm", ["nowhere", "w"], ["y"])]).SerializeToString()


def function(name, *body):
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], ["b"], body, opsets)


def calling(name, functions):
    nodes = [helper.make_node(name, ["x"], ["z"], domain="own"), helper.make_node("Gemm", ["z", "w"], ["y"])]
    model = small_model(nodes, functions=functions)
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def function_bomb():
    def twice(name):
        nodes = [helper.make_node(name, ["a"], ["t"], domain="own"), helper.make_node(name, ["t"], ["b"], domain="own")]
        return nodes if name else [helper.make_node("Identity", ["a"], ["b"])]

    functions = [function(f"f{level}", *twice(f"f{level - 1}" if level else "")) for level in range(40)]
    return calling("f39", functions).SerializeToString()


def function_that_calls_itself():
    call = helper.make_node("f", ["a"], ["b"], domain="own")
    return calling("f", [function("f", call)]).SerializeToString()


def function_of_an_unknown_operator():
    inner = helper.make_node("NonMaxSuppression", ["a"], ["b"])
    return calling("f", [function("f", inner)]).SerializeToString()


def sparse_initializer():
    model = small_model()
    sparse = model.graph.sparse_initializer.add()
    sparse.dims[:] = [1 << 30, 1 << 30]
    return model.SerializeToString()


def deep_nesting():
    """Graph in attribute in node in graph…, as protobuf fields 7 (1 5 6)…."""
    data = b""
    for depth in range(3000):
        field = (1, 5, 6)[2 - depth % 3]
        data = bytes([field << 3 | 2]) + varint(len(data)) + data
    return bytes([7 << 3 | 2]) + varint(len(data)) + data


def varint(number):
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def no_such_opset():
    model = small_model()
    model.opset_import[0].version = 9999
    return model.SerializeToString()


def wrong_shapes():
    other = numpy_helper.from_array(np.ones((7, 2), dtype=np.float32), "v")
    return small_model([helper.make_node("Gemm", ["x", "v"], ["y"])], [other]).SerializeToString()


CORPUS = [
    (external_data, "lies in another file"),
    (claimed_size, "claims"),
    (negative_size, "claims"),
    (missing_data, "too small"),
    (constant_of_shape_bomb, "would hold 1099511627776 elements"),
    (constant_of_shape_bomb_in_parts, "ConstantOfShape at node 'bomb'.*more than"),
    (reshape_to_an_enormous_shape, "would hold 1099511627776 elements"),
    (doubling_concats, "would hold"),
    (many_nodes, "25000 nodes"),
    (cycle, "topologically sorted"),
    (unknown_input, "nowhere"),
    (function_bomb, "549755813889 nodes once its functions are written out"),
    (function_that_calls_itself, "call themselves"),
    (function_of_an_unknown_operator, "NonMaxSuppression at node"),
    (sparse_initializer, "sparse"),
    (deep_nesting, "not an ONNX file"),
    (no_such_opset, "operator set 9999"),
    (wrong_shapes, "mismatch"),
]


@pytest.mark.parametrize(("make", "reason"), CORPUS, ids=lambda item: getattr(item, "__name__", ""))
def test_hostile_file_is_refused_in_one_line(tmp_path, make, reason):
    path = tmp_path / "hostile.onnx"
    path.write_bytes(make())
    with pytest.raises(ModelError, match=reason) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("data", [b"", b"\0", b"not a model", b"\xff" * 1000, b"\x08\x07", bytes(range(256)) * 40])
def test_bytes_that_are_no_model_are_refused(tmp_path, data):
    path = tmp_path / "junk.onnx"
    path.write_bytes(data)
    with pytest.raises(UnsafeModelError, match=r"junk\.onnx is refused"):
        load_onnx(path)


def test_truncated_and_flipped_models_are_refused_or_well_formed(tmp_path):
    data = small_model().SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "mutant.onnx"
    for _ in range(12):
        mutant = bytearray(data[: rng.integers(1, len(data))] if rng.random() < 0.5 else data)
        mutant[rng.integers(len(mutant))] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(mutant))
        with contextlib.suppress(ModelError):
            load_onnx(path)


def test_subgraph_is_refused_by_operator(tmp_path):
    branch = helper.make_graph([], "b", [], [])
    node = helper.make_node("If", ["x"], ["y"], name="branch", then_branch=branch, else_branch=branch)
    path = tmp_path / "if.onnx"
    path.write_bytes(small_model([node]).SerializeToString())
    with pytest.raises(UnsupportedOperatorError, match="If at node 'branch'"):
        load_onnx(path)


def test_custom_domain_is_refused_by_operator(tmp_path):
    path = tmp_path / "custom.onnx"
    path.write_bytes(small_model([helper.make_node("Gemm", ["x", "w"], ["y"], domain="evil")]).SerializeToString())
    with pytest.raises(UnsupportedOperatorError, match=r"evil\.Gemm"):
        load_onnx(path)


def test_file_past_the_size_limit_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MAX_FILE_BYTES", 100)
    path = tmp_path / "big.onnx"
    path.write_bytes(small_model().SerializeToString())
    with pytest.raises(UnsafeModelError, match="more than 100 bytes"):
        load_onnx(path)


def test_directory_and_device_are_not_read(tmp_path):
    with pytest.raises(UnsafeModelError, match="is not a file"):
        load_onnx(tmp_path)
    with pytest.raises(UnsafeModelError, match="is not a file"):
        load_onnx(tmp_path.__class__("/dev/zero"))


def test_memory_limit_ends_the_check_not_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MEMORY_BYTES", 40 << 20)
    path = tmp_path / "model.onnx"
    path.write_bytes(small_model().SerializeToString())
    with pytest.raises(UnsafeModelError, match="memory"):
        load_onnx(path)


def test_time_limit_ends_the_check(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "WALL_SECONDS", 0.01)
    path = tmp_path / "model.onnx"
    path.write_bytes(small_model().SerializeToString())
    with pytest.raises(UnsafeModelError, match="takes more than"):
        load_onnx(path)


def test_bombs_take_no_memory_here(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / "bomb.onnx"
    path.write_bytes(constant_of_shape_bomb_in_parts())
    with pytest.raises(UnsupportedOperatorError, match="ConstantOfShape at node 'bomb'"):
        read_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_well_formed_model_comes_back_whole(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(small_model().SerializeToString())
    assert load_onnx(path) == onnx.load(path)


def test_functions_of_a_file_are_written_out(tmp_path):
    """As PyTorch exported modules; called twice, with other names within."""
    scale = helper.make_node("Constant", [], ["k"], value_float=3.0)
    body = [scale, helper.make_node("Mul", ["a", "k"], ["m"]), helper.make_node("Mul", ["m", "m"], ["b"])]
    model = calling("f", [function("f", *body)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    lowered = read_model(tmp_path / "m.onnx")
    samples = np.random.default_rng(0).normal(size=(5, 4))
    raw = evaluate_graph(lowered.graph, samples, lowered_parameters(lowered))[lowered.graph.output]
    np.testing.assert_allclose(raw, np.repeat(9 * (samples**2).sum(axis=1, keepdims=True), 2, axis=1), rtol=1e-6)


def test_outputs_may_be_declared_without_a_shape(tmp_path):
    model = small_model()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert read_model(tmp_path / "m.onnx").interface.outputs[0].shape == (0, 2)
