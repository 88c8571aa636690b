"""Post-processing against scipy's definitions, at ordinary and extreme outputs."""

import numpy as np
import pytest
from scipy import special

from trader.model import DataError, PostProcessing, PostProcessingKind

Z = np.array([[0.5, -1.0, 2.0], [800.0, 0.0, -800.0], [-3.0, -3.0, -3.0]])
EXPECTED = {
    PostProcessingKind.NONE: Z,
    PostProcessingKind.SIGMOID: special.expit(Z),
    PostProcessingKind.EXP: special.expm1(Z) + 1,
    PostProcessingKind.ONE_VS_REST: special.expit(Z) / special.expit(Z).sum(axis=1, keepdims=True),
    PostProcessingKind.SOFTMAX: special.softmax(Z, axis=1),
    PostProcessingKind.LOG_SOFTMAX: special.log_softmax(Z, axis=1),
    PostProcessingKind.ARGMAX: Z.argmax(axis=1),
    PostProcessingKind.POSITIVE: [[1, 0, 1], [1, 0, 0], [0, 0, 0]],
    PostProcessingKind.NOT_NEGATIVE: [[1, 0, 1], [1, 1, 0], [0, 0, 0]],
    PostProcessingKind.SIGN: [[1, -1, 1], [1, 0, -1], [-1, -1, -1]],
    PostProcessingKind.SOFTSIGN: Z / (1 + abs(Z)),
    PostProcessingKind.L2_NORM: np.sqrt((Z**2).sum(axis=1, keepdims=True)),
    PostProcessingKind.UNIT: Z / np.sqrt((Z**2).sum(axis=1, keepdims=True)),
    PostProcessingKind.ONE_VS_ONE: -Z,
    PostProcessingKind.ONE_VS_ONE_CLASS: [0, 1, 0],
    PostProcessingKind.ONE_VS_ONE_SCORES: [
        [1 + 0.5 / 4.5, 1 - 1.5 / 7.5, 1 + 1 / 6],
        [1 - 800 / 2403, 2 + 1600 / 4803, 0 - 800 / 2403],
        [2 + 6 / 21, 1, 0 - 6 / 21],
    ],
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_apply_is_the_function_that_it_is_named_after(kind):
    np.testing.assert_allclose(PostProcessing(kind=kind).apply(Z), EXPECTED[kind], rtol=1e-12, atol=1e-300)


def test_every_kind_is_tested():
    two_columns = {kind for kind in PostProcessingKind if kind.is_of_two_classes}
    assert set(EXPECTED) | two_columns | {PostProcessingKind.ONE_VS_ONE_PROBABILITIES} == set(PostProcessingKind)


def test_probabilities_of_pairs_are_coupled_and_classes_voted_for():
    """Of two classes they are the pair's own; the class is that of the decision, which may be the less probable one."""
    post = PostProcessing(kind=PostProcessingKind.ONE_VS_ONE_PROBABILITIES, labels=("no", "yes"))
    raw = np.array([[1.0, 2.0], [1.0, -2.0]])
    np.testing.assert_allclose(post.apply(raw)[:, 1], special.expit([2.0, -2.0]), atol=5e-3)
    assert post.predict(raw).tolist() == ["yes", "yes"]


def test_share_of_two_classes_is_how_far_it_is_from_a_half():
    made = PostProcessing(kind=PostProcessingKind.BINARY_SHARE).apply(np.array([[0.25], [-0.5]]))
    assert made.tolist() == [[0.25, 0.75], [1.0, 0.0]]


def test_mirrored_scores_are_of_both_classes():
    post = PostProcessing(kind=PostProcessingKind.MIRRORED, labels=("no", "yes"))
    z = np.array([[2.0], [-0.5]])
    assert post.apply(z).tolist() == [[-2.0, 2.0], [0.5, -0.5]]
    assert post.predict(z).tolist() == ["yes", "no"]


def test_binary_gives_two_columns_and_two_classes():
    post = PostProcessing(kind=PostProcessingKind.BINARY, labels=("no", "yes"))
    z = np.array([[2.0], [-2.0]])
    p = special.expit(2.0)
    np.testing.assert_allclose(post.apply(z), [[1 - p, p], [p, 1 - p]])
    assert post.predict(z).tolist() == ["yes", "no"]


def test_predictions_are_labels_columns_or_values():
    assert PostProcessing(kind=PostProcessingKind.SOFTMAX, labels=(7, 8, 9)).predict(Z).tolist() == [9, 7, 7]
    assert PostProcessing(kind=PostProcessingKind.SOFTMAX).predict(Z).tolist() == [2, 0, 0]
    assert PostProcessing(labels=(7, 8, 9)).predict(Z).tolist() == [9, 7, 7]
    assert PostProcessing(exponent=3).predict(Z).tolist() == (8 * Z).tolist()


def test_scores_classify_where_labels_ask_for_classes():
    assert PostProcessing().classify(Z).tolist() == [2, 0, 0]
    assert PostProcessing(kind=PostProcessingKind.SIGMOID).classify(Z[:, :1]).tolist() == [1, 1, 0]
    assert PostProcessing(kind=PostProcessingKind.SOFTMAX, labels=(7, 8, 9)).classify(Z).tolist() == [9, 7, 7]
    with pytest.raises(DataError, match="one number per sample, not classes; end a classifier with a sigmoid"):
        PostProcessing().classify(Z[:, :1])


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(DataError, match="shape"):
        PostProcessing(kind=PostProcessingKind.SOFTMAX).apply(Z[0])
    with pytest.raises(DataError, match="binary"):
        PostProcessing(kind=PostProcessingKind.BINARY).apply(Z)
    with pytest.raises(DataError, match="names 2 classes"):
        PostProcessing(labels=("a", "b")).predict(Z)
    for outputs in (2, 4):  # pairs of no number of classes
        with pytest.raises(DataError, match="one_vs_one"):
            PostProcessing(kind=PostProcessingKind.ONE_VS_ONE).apply(np.zeros((1, outputs)))
    with pytest.raises(DataError, match="one_vs_one_probabilities"):
        PostProcessing(kind=PostProcessingKind.ONE_VS_ONE_PROBABILITIES).apply(Z)
