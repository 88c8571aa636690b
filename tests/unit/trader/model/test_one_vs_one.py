"""Votes and coupled probabilities of pairs of classes, against onnxruntime's SVMClassifier and scikit-learn."""

import itertools

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.utils.multiclass import _ovr_decision_function

from trader.model import one_vs_one
from trader.model.onnx_writer import OPSET, OnnxWriter, float_value
from trader.model.post_writer import write_post_processing
from trader.model.postprocessing import PostProcessing, PostProcessingKind


def machine(classes, *, platt=None):
    """A support vector machine of one vector, 1, per class and a sample of one number: decisions x + rho."""
    pairs = one_vs_one.pairs_of(classes)

    def run(decisions):
        """One run per sample: the pairs' offsets are its decisions, as ONNX has their signs."""
        labels, scores = [], []
        for row in decisions.astype(np.float32):
            extra = {} if platt is None else {"prob_a": [platt[0]] * pairs, "prob_b": [platt[1]] * pairs}
            node = helper.make_node(
                "SVMClassifier",
                ["x"],
                ["label", "scores"],
                domain="ai.onnx.ml",
                kernel_type="LINEAR",
                kernel_params=[0.0, 0.0, 0.0],
                coefficients=[0.0] * (classes - 1) * classes,
                support_vectors=[1.0] * classes,
                vectors_per_class=[1] * classes,
                rho=(-row).tolist(),
                classlabels_ints=list(range(classes)),
                **extra,
            )
            graph = helper.make_graph(
                [node],
                "machine",
                [float_value("x", "n", 1)],
                [helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]), float_value("scores", "n", "c")],
            )
            opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
            model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
            label, score = onnxruntime.InferenceSession(model.SerializeToString()).run(
                None, {"x": np.zeros((1, 1), dtype=np.float32)}
            )
            labels.append(label[0])
            scores.append(score[0])
        return np.array(labels), np.array(scores)

    return run


def drawn(classes, seed, rows=12):
    """Decisions of all sizes, some of them 0."""
    random = np.random.default_rng(seed)
    decisions = random.normal(size=(rows, one_vs_one.pairs_of(classes))) * 10 ** random.uniform(-2, 2, (rows, 1))
    decisions[random.random(decisions.shape) < 0.15] = 0
    return decisions.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
def test_votes_are_onnxruntime_s(classes):
    decisions = drawn(classes, classes)
    labels, scores = machine(classes)(decisions)
    assert one_vs_one.decide(decisions).tolist() == labels.tolist()
    assert np.array_equal(PostProcessing(kind=PostProcessingKind.ONE_VS_ONE).apply(decisions), scores)


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
def test_coupled_probabilities_are_onnxruntime_s(classes):
    """Labels stay those of the votes, which Platt's offset has no part in."""
    decisions = drawn(classes, 10 + classes)
    labels, probabilities = machine(classes, platt=(-0.7, 0.4))(decisions)
    raw = np.hstack([decisions, 0.7 * decisions + 0.4])
    post = PostProcessing(kind=PostProcessingKind.ONE_VS_ONE_PROBABILITIES)
    np.testing.assert_allclose(post.apply(raw), probabilities, atol=2e-6)
    assert post.classify(raw).tolist() == labels.tolist()


@given(st.integers(3, 8), st.integers(0, 2**32 - 1))
def test_scores_are_scikit_learn_s(classes, seed):
    decisions = drawn(classes, seed)
    np.testing.assert_allclose(
        one_vs_one.scores(decisions), _ovr_decision_function(decisions > 0, decisions, classes), atol=1e-12
    )


KINDS = [kind for kind in PostProcessingKind if kind.is_one_vs_one]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_nodes_compute_what_is_applied(kind, classes):
    decisions = drawn(classes, 20 + classes, rows=200)
    outputs = decisions if kind.deciding(2) == 2 else np.hstack([decisions, drawn(classes, 30 + classes, rows=200)])
    writer, count = OnnxWriter(), outputs.shape[1]
    write_post_processing(writer, "x", kind, "y", count)
    expected = PostProcessing(kind=kind).apply(outputs)
    declared = float_value("y", "n", kind.width(count))
    if kind.is_class:
        declared = helper.make_tensor_value_info("y", TensorProto.INT64, ["n"])
    graph = helper.make_graph(writer.nodes, "g", [float_value("x", "n", count)], [declared], writer.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": outputs.astype(np.float32)})
    assert found.shape == expected.shape
    errors = np.abs(found - expected).reshape(200, -1).max(axis=1)
    # Coupling ends where an error is small enough: of few samples, in float32 one step sooner or later.
    assert np.quantile(errors, 0.98) < 1e-5
    assert errors.max() < 2e-3


@given(st.integers(2, 5), st.integers(0, 2**32 - 1), st.floats(0.01, 2.0))
@settings(max_examples=40)
def test_classes_that_could_change_are_those_that_some_move_changes(classes, seed, distance):
    """Held against all ways in which decisions that are near enough may fall."""
    decisions = np.random.default_rng(seed).normal(size=(5, one_vs_one.pairs_of(classes)))
    counted = one_vs_one.could_change(decisions, distance)
    for row, counts in zip(decisions, counted, strict=True):
        near = np.flatnonzero(np.abs(row) <= distance)
        moved = np.repeat(row[np.newaxis], 1 << len(near), axis=0)
        moved[:, near] = list(itertools.product((-1, 1), repeat=len(near)))
        assert counts == (len(set(one_vs_one.decide(moved).tolist())) > 1)


def test_numbers_of_pairs_that_no_classes_make():
    assert [one_vs_one.classes_of(pairs) for pairs in (0, 1, 2, 3, 4, 5, 6, 10)] == [0, 2, 0, 3, 0, 0, 4, 5]
    most = one_vs_one.pairs_of(one_vs_one.MOST_CLASSES)
    assert one_vs_one.classes_of(most) == one_vs_one.MOST_CLASSES
    assert one_vs_one.classes_of(one_vs_one.pairs_of(one_vs_one.MOST_CLASSES + 1)) == 0
