"""Columns that name categories: expanded to features of 0 and 1, and what comes out is what onnxruntime gives."""

import json

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.unit.trader.model.lowering.test_operators import floats, kinds
from trader.model import (
    DataError,
    UnsafeModelError,
    UnsupportedOperatorError,
    canonicalise,
    evaluate_values,
    fit_units,
    lower_model,
    plain_model_bytes,
    quantise_inputs,
    read_samples,
    run_original,
)
from trader.model.columns import Column, ColumnType, collapse_features, expand_columns
from trader.model.manifest import InputSchema

RNG = np.random.default_rng(3)
ML = "ai.onnx.ml"


def build(nodes, inputs, **constants):
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    sources = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    graph = helper.make_graph(
        nodes, "g", sources, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 2)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def check(model, data):
    """The canonical and the delivered model agree with onnxruntime on original columns."""
    lowered = lower_model(model)
    features = expand_columns(lowered.columns, data)
    (want,) = run_original(model, features, lowered.columns)
    lowered = fit_units(lowered, features)
    canonical = canonicalise(lowered)
    inputs = quantise_inputs(features, canonical.graph, canonical.scale_bits, lowered.input_exponents)
    got = evaluate_values(canonical, inputs)[canonical.graph.output]
    np.testing.assert_allclose(got, want.reshape(got.shape), atol=6e-3)
    delivered = plain_model_bytes(canonical, lowered.post_processing, lowered.input_exponents, columns=lowered.columns)
    session = onnxruntime.InferenceSession(delivered)
    columns = iter(data)
    feeds = {}
    for value in session.get_inputs():
        kind = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(string)": object}[value.type]
        feeds[value.name] = np.stack([next(columns) for _ in range(value.shape[1])], axis=1).astype(kind)
    np.testing.assert_allclose(session.run(["output"], feeds)[0], got, rtol=1e-3, atol=1e-3)
    # What onnxruntime made of the original is what it makes of the data themselves.
    raw = {}
    columns = iter(data)
    for value in model.graph.input:
        shape = [int(dim.dim_value) for dim in value.type.tensor_type.shape.dim[1:]]
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        parts = [next(columns) for _ in range(int(np.prod(shape)))]
        raw[value.name] = np.stack(parts, axis=1).reshape(-1, *shape).astype(kind)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    np.testing.assert_allclose(session.run(None, raw)[0], want, rtol=1e-6)
    return lowered


def credit_model(zeros=1):
    """Two numbers, a text and an integer code, as scikit-learn's ColumnTransformer is exported."""
    nodes = [
        helper.make_node("Concat", ["age", "income"], ["numbers"], axis=1),
        helper.make_node("Scaler", ["numbers"], ["scaled"], domain=ML, offset=[40.0, 30000.0], scale=[0.1, 5e-5]),
        helper.make_node("OneHotEncoder", ["job"], ["jobs"], domain=ML, cats_strings=["a", "b", "c"], zeros=1),
        helper.make_node("OneHotEncoder", ["region"], ["regions"], domain=ML, cats_int64s=[2, 5, 7], zeros=zeros),
        helper.make_node("Concat", ["jobs", "regions"], ["hot"], axis=-1),
        helper.make_node("Reshape", ["hot", "flat"], ["codes"]),
        helper.make_node("Concat", ["scaled", "codes"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "weights"], ["y"]),
    ]
    kinds = {"age": TensorProto.FLOAT, "income": TensorProto.FLOAT, "job": TensorProto.STRING}
    inputs = [(name, kind, ["N", 1]) for name, kind in (kinds | {"region": TensorProto.INT64}).items()]
    return build(nodes, inputs, flat=np.array([-1, 6]), weights=floats(8, 2))


def credit_data(rows=40):
    jobs, regions = RNG.choice(["a", "b", "c", "unknown"], rows), RNG.choice([2, 5, 7, 9], rows)
    return [RNG.normal(40, 10, rows), RNG.lognormal(10, 0.5, rows), jobs, regions]


def test_one_hot_codes_of_several_inputs_cost_no_layer():
    lowered = check(credit_model(), credit_data())
    assert kinds(lowered) == ["Linear"]
    assert [column.width for column in lowered.columns] == [1, 1, 3, 3]


def test_embeddings_are_multiplied_into_the_layer_that_reads_them():
    nodes = [
        helper.make_node("Gather", ["users", "user"], ["u"]),
        helper.make_node("Gather", ["items", "item"], ["i"]),
        helper.make_node("Concat", ["u", "i", "x"], ["all"], axis=1),
        helper.make_node("Gemm", ["all", "weights", "bias"], ["h"]),
        helper.make_node("Mul", ["h", "h"], ["s"]),
        helper.make_node("MatMul", ["s", "last"], ["y"]),
    ]
    inputs = [
        ("user", TensorProto.INT64, ["N"]),
        ("item", TensorProto.INT32, ["N"]),
        ("x", TensorProto.FLOAT, ["N", 2]),
    ]
    constants = {"users": floats(9, 3), "items": floats(5, 2), "weights": floats(7, 4), "bias": floats(4)}
    model = build(nodes, inputs, **constants, last=floats(4, 2))
    data = [RNG.integers(0, 9, 30), RNG.integers(0, 5, 30), RNG.normal(size=30), RNG.normal(size=30)]
    lowered = check(model, data)
    assert kinds(lowered) == ["Linear", "Square", "Linear"]
    assert lowered.graph.features == 9 + 5 + 2


def test_product_of_two_embeddings():
    nodes = [
        helper.make_node("Gather", ["users", "user"], ["u"]),
        helper.make_node("Gather", ["items", "item"], ["i"]),
        helper.make_node("Mul", ["u", "i"], ["p"]),
        helper.make_node("ReduceSum", ["p", "axes"], ["y"], keepdims=0),
    ]
    inputs = [(name, TensorProto.INT64, ["N"]) for name in ("user", "item")]
    model = build(nodes, inputs, users=floats(6, 3, scale=1), items=floats(4, 3, scale=1), axes=np.array([1]))
    check(model, [RNG.integers(0, 6, 30), RNG.integers(0, 4, 30)])


def test_sequence_of_embeddings_from_numbers_that_are_cast():
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "i"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "weights"], ["y"]),
    ]
    inputs = [("x", TensorProto.FLOAT, ["N", 3])]
    lowered = check(build(nodes, inputs, table=floats(4, 2), weights=floats(6, 2)), list(RNG.integers(0, 4, (3, 20))))
    assert kinds(lowered) == ["Linear"]


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_one_hot_along_any_axis_with_values(axis):
    nodes = [
        helper.make_node("OneHot", ["x", "depth", "values"], ["h"], axis=axis),
        helper.make_node("Flatten", ["h"], ["f"]),
        helper.make_node("MatMul", ["f", "weights"], ["y"]),
    ]
    constants = {"depth": np.array(4), "values": np.array([-0.5, 2.0], dtype=np.float32), "weights": floats(8, 2)}
    check(build(nodes, [("x", TensorProto.INT64, ["N", 2])], **constants), list(RNG.integers(0, 4, (2, 20))))


def test_codes_for_text_and_a_number_that_is_read_as_both():
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["t"],
            ["c"],
            domain=ML,
            keys_strings=["x", "y"],
            values_floats=[1.5, -2.0],
            default_float=0.5,
        ),
        helper.make_node("OneHotEncoder", ["n"], ["h"], domain=ML, cats_int64s=[0, 1, 3], zeros=1),
        helper.make_node("Reshape", ["h", "flat"], ["hot"]),
        helper.make_node("Cast", ["n"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["c", "hot", "number"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "weights"], ["y"]),
    ]
    inputs = [("t", TensorProto.STRING, ["N", 1]), ("n", TensorProto.INT64, ["N", 1])]
    model = build(nodes, inputs, flat=np.array([-1, 3]), weights=floats(5, 2))
    lowered = check(model, [RNG.choice(["x", "y", "z"], 30), RNG.integers(0, 5, 30)])
    assert [column.width for column in lowered.columns] == [2, 4]


def test_equality_with_constants_is_a_code():
    """As PyTorch writes one-hot codes: beside each other, and of several columns at once; padding that is left out."""
    nodes = [
        helper.make_node("Unsqueeze", ["n", "last"], ["wide"]),
        helper.make_node("Equal", ["wide", "classes"], ["is"]),
        helper.make_node("Cast", ["is"], ["int"], to=TensorProto.INT64),
        helper.make_node("Cast", ["int"], ["hot"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["hot", "flat"], ["codes"]),
        helper.make_node("Equal", ["n", "padding"], ["none"]),
        helper.make_node("Not", ["none"], ["some"]),
        helper.make_node("Cast", ["some"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["codes", "kept"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "weights"], ["y"]),
    ]
    constants = {
        "last": np.array([-1]),
        "classes": np.array([3, 0, 7]),
        "flat": np.array([-1, 6]),
        "padding": np.int64(0),
    }
    model = build(nodes, [("n", TensorProto.INT64, ["N", 2])], **constants, weights=floats(8, 2))
    lowered = check(model, [RNG.choice([0, 3, 5, 7], 30), RNG.choice([0, 3, 9], 30)])
    assert kinds(lowered) == ["Rearrange", "Linear"]  # one code is read twice


def test_embedding_as_keras_writes_it():
    """Negative numbers would count from the end; they are refused with the data."""
    nodes = [
        helper.make_node("Less", ["n", "zero"], ["negative"]),
        helper.make_node("Add", ["n", "rows"], ["shifted"]),
        helper.make_node("Where", ["negative", "shifted", "n"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["found"]),
        helper.make_node("Flatten", ["found"], ["y"]),
    ]
    constants = {"zero": np.int64(0), "rows": np.int64(5), "table": floats(5, 3)}
    model = build(nodes, [("n", TensorProto.INT64, ["N", 2])], **constants)
    lowered = check(model, [RNG.integers(0, 5, 20), RNG.integers(0, 5, 20)])
    with pytest.raises(DataError, match="no category that the model knows"):
        expand_columns(lowered.columns, [np.array([-1]), np.array([0])])


def test_columns_survive_the_manifest():
    columns = lower_model(credit_model()).columns
    schema = InputSchema(shape=(8,), magnitude=8.0, columns=columns)
    assert InputSchema.model_validate_json(json.dumps(schema.model_dump(mode="json"))).columns == columns


def test_features_and_columns_are_each_others_inverse():
    columns = lower_model(credit_model()).columns
    data = credit_data()
    features = expand_columns(columns, data)
    again = collapse_features(columns, features)
    assert again[0].tolist() == data[0].tolist()
    assert [new if new in ("a", "b", "c") else "unknown" for new in again[2]] == data[2].tolist()
    assert np.array_equal(expand_columns(columns, again), features)


def test_files_have_the_original_columns_or_the_features(tmp_path):
    columns, data = lower_model(credit_model()).columns, credit_data(6)
    features = expand_columns(columns, data)
    rows = [",".join(map(str, row)) for row in zip(*data, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["age,income,job,region", *rows]))
    (tmp_path / "b.csv").write_text("\n".join(rows))
    np.savez(tmp_path / "c.npz", age=data[0], income=data[1], job=data[2], region=data[3])
    np.save(tmp_path / "d.npy", features)
    for name in ("a.csv", "b.csv", "c.npz", "d.npy"):
        assert np.array_equal(read_samples(tmp_path / name, 8, columns), features), name


def test_unknown_category_is_refused_by_the_columns_name(tmp_path):
    columns = lower_model(credit_model(zeros=0)).columns
    (tmp_path / "a.csv").write_text("30,1000,zzz,5\n31,1000,a,6\n")
    with pytest.raises(DataError, match=r"row 1 \(from 0\), 'region': 6.* is no category that the model knows"):
        read_samples(tmp_path / "a.csv", 8, columns)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,1000,a,5", "line 2, 'age': 'x' is not a finite number"),
        ("30,1000,a,5.5", r"row 1 \(from 0\), 'region': 5.5 is no integer"),
        ("30,inf,a,5", "line 2, 'income': 'inf' is not a finite number"),
        ("30,1000,a", "line 1: 4 columns, the model takes 8"),
    ],
)
def test_bad_cell_is_named(tmp_path, row, reason):
    (tmp_path / "a.csv").write_text(f"30,1000,a,5\n{row}\n")
    with pytest.raises(DataError, match=reason):
        read_samples(tmp_path / "a.csv", 8, lower_model(credit_model()).columns)


def test_looking_up_what_the_model_computed_is_refused():
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["h"]),
        helper.make_node("Cast", ["h"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "i"], ["y"], name="embedding"),
    ]
    model = build(nodes, [("x", TensorProto.FLOAT, ["N", 3])], weights=floats(3, 1), table=floats(4, 2))
    with pytest.raises(UnsupportedOperatorError, match=r"Gather at node 'embedding'.*computed.*column of 0 and 1"):
        lower_model(model)


def test_text_that_is_computed_with_is_refused():
    model = build([helper.make_node("Identity", ["x"], ["y"])], [("x", TensorProto.STRING, ["N", 2])])
    with pytest.raises(UnsafeModelError, match=r"computes with the text of 'x' column 0; encode it with OneHotEncoder"):
        lower_model(model)


def test_too_many_categories_are_refused():
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"], name="embedding")]
    model = build(nodes, [("x", TensorProto.INT64, ["N"])], table=floats(20000, 1))
    with pytest.raises(UnsupportedOperatorError, match=r"tells 20000 values apart.*hash them to fewer"):
        lower_model(model)


def test_column_without_a_reader_has_a_value_all_the_same():
    column = Column(input="x", type=ColumnType.TEXT, number=False)
    assert collapse_features([column], np.zeros((2, 0)))[0].tolist() == ["", ""]


def test_whole_numbers_with_a_point_are_encoded_as_integers_are():
    """As OrdinalEncoder of scikit-learn writes columns of numbers."""
    keys, values = [0.0, 2.0, 5.0], [0.0, 1.0, 2.0]
    nodes = [
        helper.make_node("LabelEncoder", ["x"], ["codes"], domain=ML, keys_floats=keys, values_floats=values),
        helper.make_node("MatMul", ["codes", "w"], ["y"]),
    ]
    model = build(nodes, [("x", TensorProto.FLOAT, ["N", 2])], w=floats(2, 3))
    check(model, list(RNG.choice(keys, (2, 60)).astype(np.float32)))
