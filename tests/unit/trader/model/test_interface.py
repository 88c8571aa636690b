"""The delivered file takes the original's place: names, order, types, shapes and results."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic import ValidationError
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from tests.unit.trader.model.lowering.test_operators import Model, floats
from trader.model import (
    InputTensor,
    Interface,
    OutputTensor,
    PostProcessing,
    PostProcessingKind,
    TensorType,
    UnsafeModelError,
    canonicalise,
    fit_grid,
    fit_units,
    lower_model,
    plain_model_bytes,
)
from trader.model.columns import Column, ColumnType

EXPORTS = Path(__file__).parents[3] / "vectors" / "exports"
GENERATOR = np.random.default_rng(4)
ROWS = GENERATOR.normal(size=(60, 4)).astype(np.float32)
CLASSES = np.argmax(ROWS @ GENERATOR.normal(size=(4, 3)), axis=1)
NAMES = np.array(["anna", "berta", "clara"])[CLASSES]
NUMPY = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(string)": object,
}


def session_of(data):
    return onnxruntime.InferenceSession(data)


def delivered(proto, samples=None):
    """What a buyer gets, after the model was fitted to a seller's samples."""
    lowered = lower_model(proto)
    if lowered.graph.has_trees:
        lowered = fit_grid(lowered, samples)
    elif samples is not None:
        lowered = fit_units(lowered, samples)
    canonical = canonicalise(lowered)
    made = plain_model_bytes(
        canonical,
        lowered.post_processing,
        lowered.input_exponents,
        lowered.grid,
        lowered.columns,
        lowered.interface,
    )
    onnx.checker.check_model(onnx.load_model_from_string(made), full_check=True)
    return session_of(made)


def described(tensors):
    """Names, types, and shapes but for the first axis and for what a file leaves open."""
    return [(t.name, t.type, [size for size in t.shape[1:] if isinstance(size, int)]) for t in tensors]


def check(proto, feeds, *, samples=None, share=1.0, atol=6e-3):
    """The delivered session is called as the original is, and answers alike."""
    original, made = session_of(proto.SerializeToString()), delivered(proto, samples)
    assert described(made.get_inputs()) == described(original.get_inputs())
    for mine, other in zip(made.get_outputs(), original.get_outputs(), strict=True):
        assert (mine.name, mine.type) == (other.name, other.type)
        known = [(a, b) for a, b in zip(mine.shape, other.shape, strict=False) if isinstance(b, int)]
        assert all(a == b or not isinstance(a, int) for a, b in known)
    for mine, other in zip(made.run(None, feeds), original.run(None, feeds), strict=True):
        assert type(mine) is type(other)
        if isinstance(mine, list):
            assert [row.keys() for row in mine] == [row.keys() for row in other]
            values = [np.array([list(row.values()) for row in rows]) for rows in (mine, other)]
            np.testing.assert_allclose(*values, atol=atol)
            continue
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        if mine.dtype.kind in "fc":
            np.testing.assert_allclose(mine, other, atol=atol)
        else:
            assert np.mean(mine == other) >= share
    return made


@pytest.mark.parametrize("path", sorted(EXPORTS.iterdir()), ids=lambda path: path.stem)
def test_exports_of_pytorch_and_keras(path):
    proto = onnx.load(path)
    (source,) = session_of(proto.SerializeToString()).get_inputs()
    rows = np.random.default_rng(2).normal(size=(9, *source.shape[1:])).astype(NUMPY[source.type])
    check(proto, {source.name: rows})


def exported(model, types=None, **options):
    """What skl2onnx makes of it."""
    types = types if isinstance(types, list) else [("X", types or FloatTensorType([None, 4]))]
    return to_onnx(model, initial_types=types, target_opset={"": 17, "ai.onnx.ml": 3}, options=options or None)


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
@pytest.mark.parametrize("labels", [CLASSES, NAMES, (CLASSES > 0).astype(int)], ids=["integers", "text", "two"])
def test_classifier_of_scikit_learn(zipmap, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, labels)
    check(exported(model, zipmap=zipmap), {"X": ROWS}, share=0.98)


def test_double_in_and_out():
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, NAMES)
    made = check(exported(model, DoubleTensorType([None, 4]), zipmap=False), {"X": ROWS.astype(np.float64)}, share=0.98)
    assert [tensor.type for tensor in made.get_outputs()] == ["tensor(string)", "tensor(double)"]


@pytest.mark.parametrize("model", [RidgeClassifier(), LogisticRegression(), LinearDiscriminantAnalysis()])
@pytest.mark.parametrize("labels", [CLASSES, (CLASSES > 0).astype(int)], ids=["three", "two"])
def test_raw_scores_of_scikit_learn(model, labels):
    """Of two classes the file gives both scores, the second one turned, of which one is tested."""
    check(exported(model.fit(ROWS, labels), raw_scores=True), {"X": ROWS}, samples=ROWS.astype(np.float64), share=0.98)


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", [CLASSES, NAMES, (CLASSES > 0).astype(int)], ids=["integers", "text", "two"])
@pytest.mark.parametrize(
    "machine",
    [
        SVC(kernel="linear", C=0.1),
        SVC(kernel="linear", C=0.1, decision_function_shape="ovo"),
        SVC(kernel="linear", C=0.1, probability=True, random_state=0),
    ],
    ids=["scores", "decisions", "probabilities"],
)
@pytest.mark.filterwarnings("ignore")  # scikit-learn's, of `probability`
def test_pairs_of_classes_of_scikit_learn(machine, labels, zipmap):
    check(exported(machine.fit(ROWS, labels), zipmap=zipmap), {"X": ROWS}, samples=ROWS.astype(np.float64), share=0.98)


@pytest.mark.parametrize(
    "model",
    [LinearRegression(), MLPClassifier((5,), max_iter=30, random_state=0), LinearSVC()],
    ids=lambda model: type(model).__name__,
)
def test_other_models_of_scikit_learn(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thirty steps of training are not enough, and don't have to be
        model.fit(ROWS, CLASSES)
    check(exported(model), {"X": ROWS}, samples=ROWS.astype(np.float64), share=0.98, atol=2e-2)


def test_trees_of_scikit_learn():
    rows = np.rint(ROWS * 4).astype(np.float32)
    model = RandomForestClassifier(4, max_depth=3, random_state=0).fit(rows, NAMES)
    check(exported(model, zipmap=False), {"X": rows}, samples=rows.astype(np.float64), share=0.98)


def test_columns_of_several_types_keep_their_tensors():
    """An input that nothing reads is there too: who ran the original goes on feeding it."""
    frame = {
        "age": ROWS[:, :1],
        "job": np.array(["cook", "smith"], dtype=object)[(ROWS[:, 1:2] > 0).astype(int)],
        "region": (CLASSES + 3).reshape(-1, 1),
        "unused": ROWS[:, 3:],
    }
    table = np.hstack([column.astype(object) for column in frame.values()])
    split = make_column_transformer((StandardScaler(), [0]), (OneHotEncoder(), [1, 2]))
    model = make_pipeline(split, LogisticRegression()).fit(table, NAMES)
    types = [FloatTensorType, StringTensorType, Int64TensorType, FloatTensorType]
    proto = exported(model, [(name, kind([None, 1])) for name, kind in zip(frame, types, strict=True)], zipmap=False)
    check(proto, frame, share=0.98)


def written(model, path, *outputs):
    proto = onnx.load(model.write(path))
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
    return onnx.shape_inference.infer_shapes(proto)


def renamed(proto, names):
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = names.get(value.name, value.name)
    return proto


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("raw", "input"),
        ("data_0", "result_0"),
        ("linear_0", "linear_0_weights"),
        ("Größe 1/2", "output.0"),
        ("a" * 256, "b"),
    ],
)
def test_names_of_the_file_s_own_values_make_way(tmp_path, source, result):
    model = Model(4).add("Gemm", floats(4, 5)).add("Relu").add("Gemm", floats(5, 3)).add("Softmax", axis=1)
    proto = written(model, tmp_path / "m.onnx")
    proto = renamed(proto, {proto.graph.input[0].name: source, proto.graph.output[0].name: result})
    check(proto, {source: ROWS})


@pytest.mark.parametrize("name", ["a" * 257, "line\nbreak", "\u202egnp.exe"])
def test_names_that_can_not_be_kept_are_refused(tmp_path, name):
    proto = written(Model(4).add("Gemm", floats(4, 2)), tmp_path / "m.onnx")
    with pytest.raises(UnsafeModelError, match="rename them"):
        lower_model(renamed(proto, {proto.graph.output[0].name: name}))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT])
def test_class_numbers_keep_shape_and_type(tmp_path, keepdims, kind):
    model = Model(4).add("Gemm", floats(4, 3)).add("ArgMax", axis=1, keepdims=keepdims).add("Cast", to=kind)
    check(written(model, tmp_path / "m.onnx"), {"x": ROWS}, share=0.98)


@pytest.mark.parametrize("kind", [TensorProto.BOOL, TensorProto.INT64, TensorProto.DOUBLE])
def test_decisions_keep_shape_and_type(tmp_path, kind):
    model = Model(4).add("Gemm", floats(4, 1)).add("Greater", np.float32(0.2)).add("Cast", to=kind)
    model = model.add("Squeeze", np.array([1]))
    made = delivered(written(model, tmp_path / "m.onnx"))
    (result,) = made.run(None, {"x": ROWS})
    original = session_of((tmp_path / "m.onnx").read_bytes()).run(None, {"x": ROWS})[0]
    assert (result.dtype, result.shape) == (original.dtype, original.shape)
    assert np.mean(result == original) > 0.95


def test_several_outputs_keep_their_order(tmp_path):
    """Two heads, logits and probabilities of one value, and a class: each is where it was."""
    model = Model(4).add("Gemm", floats(4, 3))
    logits = model.y
    model.add("Softmax", axis=1)
    probabilities = model.y
    model.add("ArgMax", logits, axis=1, keepdims=0)
    check(written(model, tmp_path / "m.onnx", probabilities, logits), {"x": ROWS}, share=0.98)
    heads = Model(4).add("Gemm", floats(4, 5)).add("Relu").add("Gemm", floats(5, 3))
    first = heads.y
    heads.add("Gemm", "v1", heads.constant(floats(5, 2)))
    check(written(heads, tmp_path / "h.onnx", first), {"x": ROWS})


def test_samples_of_several_axes_keep_them(tmp_path):
    model = (
        Model(2, 3, 2)
        .add("Reshape", np.array([-1, 12]))
        .add("Gemm", floats(12, 6))
        .add("Reshape", np.array([-1, 2, 3]))
    )
    check(written(model, tmp_path / "m.onnx"), {"x": floats(7, 2, 3, 2)})


def test_results_do_not_depend_on_who_writes_the_file(tmp_path):
    lowered = lower_model(written(Model(4).add("Gemm", floats(4, 3)).add("Softmax", axis=1), tmp_path / "m.onnx"))
    canonical = canonicalise(lowered)
    again = Interface.model_validate_json(lowered.interface.model_dump_json())
    files = {
        plain_model_bytes(canonical, lowered.post_processing, lowered.input_exponents, interface=interface)
        for interface in (lowered.interface, again)
    }
    assert len(files) == 1


# ---------------------------------------------------------------------------------------------- a seller that lies

POSTS = [
    PostProcessing(),
    PostProcessing(kind=PostProcessingKind.SOFTMAX, labels=("a", "b")),
    PostProcessing(labels=(7, 1)),
    PostProcessing(kind=PostProcessingKind.ONE_VS_ONE_PROBABILITIES, labels=("a", "b")),
]
INNER = ["input", "raw", "result_0", "result_0_class", "data_0", "linear_0", "linear_0_weights", "a", "b", "output"]


@st.composite
def interfaces(draw):
    """A manifest's interface, which may well be accepted, for two raw outputs of four features."""
    post, names = draw(st.sampled_from(POSTS)), iter(draw(st.permutations(INNER)))
    outputs = [OutputTensor(name=next(names), shape=(0, 2), kind=post.kind, columns=2)]
    if post.kind is PostProcessingKind.ONE_VS_ONE_PROBABILITIES:
        chosen = PostProcessingKind.ONE_VS_ONE_CLASS
        outputs.append(
            OutputTensor(name=next(names), type=TensorType.STRING, shape=(0,), kind=chosen, columns=1, named=True)
        )
    for _ in range(draw(st.integers(0, 3))):
        kind, columns = draw(st.sampled_from(PostProcessingKind)), draw(st.integers(1, 2))
        column = draw(st.none() | st.integers(0, 2))
        width = 1 if column is not None else kind.width(columns)
        shapes = [(0, width), (0, 1, width), (0,), (0, 2), (0, width, 1), ()]
        outputs.append(
            OutputTensor(
                name=next(names),
                type=draw(st.sampled_from(TensorType)),
                shape=draw(st.sampled_from(shapes)),
                kind=kind,
                first=draw(st.integers(0, 1)),
                columns=columns,
                column=column,
                named=draw(st.booleans()),
                mapped=draw(st.booleans()),
            )
        )
    inputs = [InputTensor(name=next(names), type=draw(st.sampled_from(TensorType)), shape=(0, 2, 2))]
    for _ in range(draw(st.integers(0, 2))):
        shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
        inputs.append(InputTensor(name=next(names), type=draw(st.sampled_from(TensorType)), shape=shape, read=False))
    return post, Interface(inputs=tuple(draw(st.permutations(inputs))), outputs=tuple(draw(st.permutations(outputs))))


@given(interfaces())
@settings(max_examples=60, deadline=None)
def test_whatever_a_manifest_may_say_becomes_a_file_that_runs(model, made):
    """A buyer writes the file after it paid: nothing that a manifest is accepted with may be in the way."""
    post, interface = made
    assume(interface.names_tensors_once() and interface.feeds((), 4) and interface.gives(post, 2))
    session = session_of(plain_model_bytes(model, post, interface=interface))
    feeds = {tensor.name: np.ones([size or 3 for size in tensor.shape]) for tensor in interface.inputs}
    types = {tensor.name: tensor.type for tensor in interface.inputs}
    text = {name for name, kind in types.items() if kind is TensorType.STRING}
    arrays = {
        name: array.astype(
            object if name in text else {"float": "float32", "double": "float64"}.get(types[name], types[name])
        )
        for name, array in feeds.items()
    }
    arrays |= {name: np.full(arrays[name].shape, "x", dtype=object) for name in text}
    results = session.run([tensor.name for tensor in interface.outputs], arrays)
    assert all(len(result) == 3 for result in results)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    return canonicalise(lower_model(onnx.load(Model(4).add("Gemm", floats(4, 2)).write(path))))


ALL = OutputTensor(name="p", shape=(0, 2), kind=PostProcessingKind.SOFTMAX, columns=2)
POST = PostProcessing(kind=PostProcessingKind.SOFTMAX, labels=("a", "b"))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("nothing of what was tested", {"kind": PostProcessingKind.ARGMAX, "shape": (0,), "type": TensorType.INT64}),
        ("part of what was tested", {"columns": 1, "shape": (0, 1)}),
        ("one column alone", {"column": 1, "shape": (0, 1)}),
        ("columns that are not there", {"columns": 3, "shape": (0, 3)}),
        ("another shape", {"shape": (0, 3)}),
        ("no samples", {"shape": (2,)}),
        ("text of numbers", {"type": TensorType.STRING}),
        ("probabilities that are 0 or 1", {"type": TensorType.BOOL}),
        ("probabilities without fractions", {"type": TensorType.INT64}),
        ("names of probabilities", {"named": True}),
        ("a map of other types", {"mapped": True, "type": TensorType.DOUBLE}),
    ],
)
def test_outputs_that_keep_something_back_are_refused(name, changes):
    assert Interface(inputs=(InputTensor(name="x", shape=(0, 4)),), outputs=(ALL,)).gives(POST, 2)
    wrong = ALL.model_copy(update=changes)
    assert not Interface(inputs=(InputTensor(name="x", shape=(0, 4)),), outputs=(wrong,)).gives(POST, 2), name


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("none that is read", [{"read": False}]),
        ("two that are read", [{}, {"name": "y"}]),
        ("too few numbers", [{"shape": (0, 3)}]),
        ("a fixed number of samples", [{"shape": (1, 4)}]),
        ("text", [{"type": TensorType.STRING}]),
        ("no axes", [{"shape": ()}]),
    ],
)
def test_inputs_that_do_not_feed_the_model_are_refused(name, inputs):
    tensors = [InputTensor(**({"name": "x", "shape": (0, 4)} | changes)) for changes in inputs]
    assert not Interface(inputs=tuple(tensors), outputs=(ALL,)).feeds((), 4), name


def test_inputs_must_be_those_of_the_columns():
    columns = (Column(input="a"), Column(input="t", type=ColumnType.TEXT, number=False, categories=("u", "v")))
    numbers, text = InputTensor(name="a", shape=(0, 1)), InputTensor(name="t", type=TensorType.STRING, shape=(0, 1))
    made = [Interface(inputs=inputs, outputs=(ALL,)) for inputs in ((numbers, text), (text, numbers), (numbers,))]
    assert [interface.feeds(columns, 3) for interface in made] == [True, False, False]
    number = text.model_copy(update={"type": TensorType.INT64})
    assert not Interface(inputs=(numbers, number), outputs=(ALL,)).feeds(columns, 3)


@pytest.mark.parametrize(
    ("kind", "classes", "holds"),
    [
        (TensorType.BOOL, 2, True),
        (TensorType.BOOL, 3, False),
        (TensorType.INT8, 128, True),
        (TensorType.INT8, 129, False),
        (TensorType.UINT8, 256, True),
        (TensorType.FLOAT16, 2049, True),
        (TensorType.FLOAT16, 2050, False),
    ],
)
def test_class_numbers_must_fit_their_type(kind, classes, holds):
    post = PostProcessing(kind=PostProcessingKind.ARGMAX)
    output = OutputTensor(name="c", type=kind, shape=(0,), kind=post.kind, columns=classes)
    assert Interface(inputs=(InputTensor(name="x", shape=(0, 4)),), outputs=(output,)).gives(post, classes) is holds


def test_categories_must_fit_their_tensor():
    columns = (Column(input="a", type=ColumnType.INTEGER, number=False, categories=(2, 300)),)
    for kind, holds in ((TensorType.INT64, True), (TensorType.UINT8, False), (TensorType.BOOL, False)):
        made = Interface(inputs=(InputTensor(name="a", type=kind, shape=(0, 1)),), outputs=(ALL,))
        assert made.feeds(columns, 2) is holds


@pytest.mark.parametrize(
    ("kind", "samples", "fits"),
    [
        (TensorType.FLOAT, [[0.5]], True),
        (TensorType.INT64, [[5.0, -2.0]], True),
        (TensorType.INT64, [[5.5]], False),
        (TensorType.INT64, [[np.nan]], False),
        (TensorType.UINT8, [[256.0]], False),
        (TensorType.BOOL, [[0.0, 1.0]], True),
    ],
)
def test_samples_that_the_delivered_file_would_not_take_are_not_tested(kind, samples, fits):
    made = Interface(inputs=(InputTensor(name="x", type=kind, shape=(0, 4)),), outputs=(ALL,))
    assert (made.misfit(np.array(samples)) == "") is fits


@pytest.mark.parametrize("name", ["", "a" * 257, "a\nb", "\x00", "\u202e"])
def test_names_in_a_manifest_are_bounded_and_printable(name):
    with pytest.raises(ValidationError):
        InputTensor(name=name, shape=(0, 4))
