"""What a test's outputs are measured as: classes or values, with the scores that a ranking or a probability takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trader.model import DataError, one_vs_one
from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.report.quality.classification import Classification, measure_classification
from trader.report.quality.regression import Regression, measure_regression

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROBABILITIES = frozenset(
    {
        PostProcessingKind.BINARY,
        PostProcessingKind.BINARY_SHARE,
        PostProcessingKind.ONE_VS_REST,
        PostProcessingKind.SIGMOID,
        PostProcessingKind.SOFTMAX,
        PostProcessingKind.LOG_SOFTMAX,
        PostProcessingKind.ONE_VS_ONE_PROBABILITIES,
    }
)
"""Last steps that give probabilities of classes."""

Measured = tuple[Classification | Regression, ...]


def measure_test(
    outputs: NDArray[np.float64], post_processing: PostProcessing, labels: NDArray[Any], *, as_classes: bool
) -> Measured:
    """Measure the outputs of a test against its labels.

    Args:
        outputs: float64 [n, O], decrypted raw outputs.
        post_processing: What is made of them.
        labels: [n], or [n, columns] where the model gives several values or decisions.
        as_classes: Whether they are classes, as the assessment has decided (`trader.verify.answers.assess_test`).

    Returns:
        One measurement; of several values or decisions, one for each.

    Raises:
        DataError: The labels' shape or type does not suit the model.
    """
    if not as_classes:
        return _measure_values(outputs, post_processing, labels)
    if post_processing.kind.is_decision:
        return _measure_decisions(outputs, post_processing, labels)
    predictions = post_processing.classify(outputs)
    if labels.shape != predictions.shape or (labels.dtype.kind in "iub") != (predictions.dtype.kind in "iub"):
        raise DataError(
            f"labels of type {labels.dtype} and shape {list(labels.shape)} are no classes as the model predicts them "
            f"({predictions.dtype}, {list(predictions.shape)}): give one class per sample."
        )
    scores, classes = _scores(outputs, post_processing)
    probabilities = post_processing.kind in _PROBABILITIES and not (
        post_processing.kind is PostProcessingKind.SIGMOID and outputs.shape[1] > 1  # one yes or no each: no shares
    )
    return (measure_classification(labels, predictions, scores, classes, probabilities=probabilities),)


def _measure_values(outputs: NDArray[np.float64], post_processing: PostProcessing, labels: NDArray[Any]) -> Measured:
    values = post_processing.apply(outputs)
    values = values[:, None] if values.ndim == 1 else values
    truth = labels[:, None] if labels.ndim == 1 else labels
    if truth.shape != values.shape or truth.dtype.kind not in "iufb":
        raise DataError(
            f"labels of type {labels.dtype} and shape {list(labels.shape)} do not suit a model that gives "
            f"{values.shape[1]} values per sample: give as many numbers for each."
        )
    names = _column_names(post_processing, values.shape[1])
    return tuple(measure_regression(truth[:, at], values[:, at], name) for at, name in enumerate(names))


def _measure_decisions(outputs: NDArray[np.float64], post_processing: PostProcessing, labels: NDArray[Any]) -> Measured:
    decisions = post_processing.apply(outputs).astype(np.int64)
    truth = labels[:, None] if labels.ndim == 1 else labels
    if truth.shape != decisions.shape or truth.dtype.kind not in "iub":
        raise DataError(f"labels of shape {list(labels.shape)} do not suit decisions of shape {list(decisions.shape)}")
    names = _column_names(post_processing, decisions.shape[1])
    return tuple(
        measure_classification(truth[:, at].astype(np.int64), decisions[:, at], output=name)
        for at, name in enumerate(names)
    )


def _column_names(post_processing: PostProcessing, columns: int) -> tuple[str, ...]:
    if columns == 1:
        return ("",)
    if not post_processing.parts:
        return tuple(f"output {number}" for number in range(1, columns + 1))
    return tuple(
        part.name if part.columns == 1 else f"{part.name} {number}"
        for part in post_processing.parts
        for number in range(1, part.columns + 1)
    )


def _scores(outputs: NDArray[np.float64], post_processing: PostProcessing) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return scores [n, C] that rank samples by class, probabilities where the last step gives them, and the classes.

    A noisy share of votes may lie a little outside of 0 to 1.
    """
    if post_processing.kind in _PROBABILITIES:
        applied = post_processing.apply(outputs)
        applied = np.exp(applied) if post_processing.kind is PostProcessingKind.LOG_SOFTMAX else applied
        scores = np.clip(applied, 0.0, 1.0)
        scores = np.hstack([1.0 - scores, scores]) if scores.shape[1] == 1 else scores
    elif post_processing.kind.is_one_vs_one:
        scores = one_vs_one.scores(outputs)
    else:
        scores = np.hstack([-outputs, outputs]) if outputs.shape[1] == 1 else outputs
        if scores.shape[1] == 2:  # what both have in common tells none from the other
            scores = scores - scores.mean(axis=1, keepdims=True)
    labels = post_processing.labels
    return scores, np.asarray(labels) if labels else np.arange(scores.shape[1])
