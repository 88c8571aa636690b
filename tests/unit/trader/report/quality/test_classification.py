"""The figures of classes are scikit-learn's, to the last digit that a float has."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from trader.report.quality.classification import (
    MOST_CURVE_POINTS,
    measure_classification,
    precision_recall_curve,
    roc_curve,
    wilson_interval,
)

RANDOM = np.random.default_rng(7)
EXACT = {"rel": 1e-12, "abs": 1e-12}


def case(classes: int, samples: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and probabilities; the last class is rare, and may have no label at all."""
    labels = RANDOM.choice(classes, samples, p=np.arange(classes, 0, -1) / np.arange(1, classes + 1).sum())
    logits = RANDOM.normal(size=(samples, classes)) + 1.5 * (labels[:, None] == np.arange(classes))
    logits = np.round(logits) if ties else logits
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.argmax(axis=1), probabilities


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("classes", "samples"), [(2, 1), (2, 7), (2, 500), (3, 40), (10, 300)])
def test_figures_are_those_of_scikit_learn(classes: int, samples: int, ties: bool) -> None:
    labels, predictions, scores = case(classes, samples, ties=ties)
    found = measure_classification(labels, predictions, scores, np.arange(classes), probabilities=True)
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(labels, predictions), **EXACT)
    recall = metrics.recall_score(labels, predictions, labels=np.unique(labels), average=None, zero_division=0)
    assert found.balanced_accuracy == pytest.approx(recall.mean(), **EXACT)
    every = np.arange(classes)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(labels, predictions, labels=every))
    expected = metrics.precision_recall_fscore_support(labels, predictions, labels=every, zero_division=0)
    mine = [[getattr(one, name) for one in found.classes] for name in ("precision", "recall", "f1", "samples")]
    assert np.array(mine) == pytest.approx(np.array(expected), **EXACT)
    for at, one in enumerate(found.classes):
        positive = labels == at
        if not 0 < positive.sum() < samples:
            assert one.auc is None
            assert one.roc == ()
            continue
        assert one.auc == pytest.approx(metrics.roc_auc_score(positive, scores[:, at]), **EXACT)
        assert one.average_precision == pytest.approx(metrics.average_precision_score(positive, scores[:, at]), **EXACT)
    brier = ((scores - np.eye(classes)[labels]) ** 2).sum(axis=1).mean()
    if classes == 2 and samples > 1:
        brier = metrics.brier_score_loss(labels, scores[:, 1], pos_label=1)
    assert classes == 2 or found.calibration.brier == pytest.approx(brier, **EXACT)
    assert samples == 1 or found.calibration.brier == pytest.approx(brier, **EXACT)


def test_curves_are_those_of_scikit_learn() -> None:
    for ties in (False, True):
        labels, _, scores = case(2, 300, ties=ties)
        positive = labels == 1
        false, true, _ = metrics.roc_curve(positive, scores[:, 1], drop_intermediate=False)
        assert roc_curve(positive, scores[:, 1]) == pytest.approx(np.column_stack([false, true]), **EXACT)
        precision, recall, _ = metrics.precision_recall_curve(positive, scores[:, 1])
        expected = np.column_stack([recall[-2::-1], precision[-2::-1]])  # without the point at no recall
        assert precision_recall_curve(positive, scores[:, 1]) == pytest.approx(expected, **EXACT)


def test_calibration_is_that_of_scikit_learn() -> None:
    labels, predictions, scores = case(3, 400)
    found = measure_classification(labels, predictions, scores, np.arange(3), probabilities=True).calibration
    right, confidence = calibration_curve(labels == predictions, scores.max(axis=1), n_bins=10)
    assert [one.accuracy for one in found.bins] == pytest.approx(right, **EXACT)
    assert [one.confidence for one in found.bins] == pytest.approx(confidence, abs=5e-4)
    weights = np.array([one.samples for one in found.bins]) / 400
    assert found.expected_error == pytest.approx((weights * np.abs(right - confidence)).sum(), **EXACT)


@pytest.mark.parametrize(("hits", "samples"), [(0, 1), (1, 1), (0, 20), (20, 20), (138, 142), (1, 10**6)])
def test_interval_is_wilsons(hits: int, samples: int) -> None:
    expected = binomtest(hits, samples).proportion_ci(method="wilson")
    found = wilson_interval(hits, samples)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_most_frequent_class_is_the_baseline() -> None:
    labels = np.array(["a"] * 90 + ["b"] * 10)
    always = measure_classification(labels, np.full(100, "a"))
    assert (always.baseline, always.baseline_class, always.accuracy.value) == (0.9, "a", 0.9)
    assert not always.beats_baseline
    assert always.balanced_accuracy == 0.5
    assert always.calibration is None
    assert measure_classification(labels, labels).beats_baseline


def test_classes_without_labels_and_labels_without_classes_are_shown() -> None:
    found = measure_classification(np.array([5, 5, 1]), np.array([1, 7, 1]), np.eye(3), np.array([1, 2, 7]))
    assert [one.name for one in found.classes] == ["1", "2", "5", "7"]
    assert [one.samples for one in found.classes] == [1, 0, 2, 0]
    assert found.confusion[2] == (1, 0, 0, 1)


def test_long_curves_are_thinned_and_figures_are_not() -> None:
    labels, predictions, scores = case(2, 5000)
    one = measure_classification(labels, predictions, scores, np.arange(2)).classes[1]
    assert len(one.roc) == MOST_CURVE_POINTS
    assert (one.roc[0], one.roc[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert one.auc == pytest.approx(metrics.roc_auc_score(labels == 1, scores[:, 1]), **EXACT)
