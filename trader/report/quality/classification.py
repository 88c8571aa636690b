"""How well classes are predicted: the usual figures, in NumPy alone. A test holds each against scikit-learn.

A worked example: labels (0, 0, 1, 1), scores of class 1 (0.1, 0.4, 0.35, 0.8), predictions (0, 0, 0, 1). Three of four
are right: accuracy 0.75, by Wilson's interval 0.30 to 0.95. Of the four pairs of a 0 and a 1, the 1 has the higher
score in three: the area under the ROC curve is 0.75.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""Quantile of the normal distribution for 95 %, two-sided."""
CALIBRATION_BINS = 10
MOST_CURVE_POINTS = 400
"""Of a curve that is drawn or written; figures are computed from all."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share with its confidence interval of 95 % (Wilson, JASA 1927).

    Attributes:
        value: The share.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """What one class is like, all others taken together as the opposite.

    Attributes:
        name: The class.
        samples: With this label.
        precision: Share of the samples predicted as it that are; 0 where none is predicted.
        recall: Share of its samples that are predicted as it; 0 where there are none.
        f1: Harmonic mean of both; 0 where both are.
        auc: Area under the ROC curve; None without scores, or where all samples or none are of the class.
        average_precision: Of the precision-recall curve, as sums of steps; None as above.
        roc: Points (false positive rate, true positive rate); empty as above.
        precision_recall: Points (recall, precision); empty as above.
    """

    name: str
    samples: int
    precision: float
    recall: float
    f1: float
    auc: float | None
    average_precision: float | None
    roc: tuple[tuple[float, float], ...]
    precision_recall: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Samples whose predicted class has a probability in one tenth of 0 to 1.

    Attributes:
        samples: In it.
        confidence: Mean probability of the predicted class, to three digits: of one sample it is a decrypted output.
        accuracy: Share that is right.
    """

    samples: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether probabilities are shares.

    Attributes:
        bins: That have samples, in order.
        expected_error: Mean |confidence - accuracy| over samples (Naeini et al., AAAI 2015).
        brier: Mean squared error of the probabilities: of the second class of two, else summed over classes.
    """

    bins: tuple[CalibrationBin, ...]
    expected_error: float
    brier: float


@dataclass(frozen=True, slots=True)
class Classification:
    """How well classes are predicted.

    Attributes:
        output: Name of the output; empty where there is one.
        samples: n.
        accuracy: With its interval.
        balanced_accuracy: Mean recall of the classes that labels have.
        baseline: Share of the most frequent label: what whoever always answers it gets.
        baseline_class: That label.
        classes: One for each label or prediction.
        confusion: Counts, rows by label, columns by prediction, in the order of `classes`.
        calibration: None where outputs are no probabilities.
    """

    output: str
    samples: int
    accuracy: Interval
    balanced_accuracy: float
    baseline: float
    baseline_class: str
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration | None

    @property
    def beats_baseline(self) -> bool:
        """Whether even the lower end of the interval is above the baseline."""
        return self.accuracy.low > self.baseline


def wilson_interval(hits: int, samples: int) -> Interval:
    """Return the share of `hits` in `samples`, at least 1, with Wilson's interval of 95 %."""
    share, z2 = hits / samples, Z_95**2
    middle = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    spread = Z_95 / (1 + z2 / samples) * math.sqrt(share * (1 - share) / samples + z2 / (4 * samples**2))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if hits == 0 else middle - spread
    return Interval(share, low, 1.0 if hits == samples else middle + spread)


def measure_classification(
    labels: NDArray[Any],
    predictions: NDArray[Any],
    scores: NDArray[np.float64] | None = None,
    score_classes: NDArray[Any] | None = None,
    *,
    probabilities: bool = False,
    output: str = "",
) -> Classification:
    """Measure predicted classes.

    Args:
        labels: [n] true classes, n at least 1.
        predictions: [n] predicted classes, of the same type.
        scores: float64 [n, C], the higher the likelier; None where there are none.
        score_classes: [C] classes of their columns.
        probabilities: Whether scores are probabilities.
        output: Name of the output.
    """
    classes = np.unique(np.concatenate([labels, predictions, *([] if score_classes is None else [score_classes])]))
    truth, guess = np.searchsorted(classes, labels), np.searchsorted(classes, predictions)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (truth, guess), 1)
    columns = {} if score_classes is None else {name: at for at, name in enumerate(score_classes.tolist())}
    figures = tuple(
        _class_figures(
            str(name),
            confusion,
            at,
            labels == name,
            None if scores is None or name not in columns else scores[:, columns[name]],
        )
        for at, name in enumerate(classes.tolist())
    )
    support = confusion.sum(axis=1)
    most = int(support.argmax())
    calibrated = probabilities and scores is not None and score_classes is not None
    return Classification(
        output=output,
        samples=len(labels),
        accuracy=wilson_interval(int((truth == guess).sum()), len(labels)),
        balanced_accuracy=float(np.mean([one.recall for one in figures if one.samples])),
        baseline=float(support[most] / len(labels)),
        baseline_class=str(classes[most]),
        classes=figures,
        confusion=tuple(map(tuple, confusion.tolist())),
        calibration=_calibration(labels, scores, score_classes) if calibrated else None,  # type: ignore[arg-type]  # both are there
    )


def roc_curve(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points (false positive rate, true positive rate) [m, 2] from (0, 0) to (1, 1), one per score.

    Args:
        positive: [n], neither all nor none.
        scores: [n].
    """
    hits, misses = _cumulated(positive, scores)
    points = np.column_stack([misses / misses[-1], hits / hits[-1]])
    return np.vstack([[0.0, 0.0], points])


def precision_recall_curve(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points (recall, precision) [m, 2], by falling score; arguments as of `roc_curve`."""
    hits, misses = _cumulated(positive, scores)
    return np.column_stack([hits / hits[-1], hits / (hits + misses)])


def _cumulated(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how many positives and negatives have at least each of the scores that occur, from the highest on."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[ends]
    return hits, ends + 1 - hits


def _class_figures(
    name: str, confusion: NDArray[np.int64], at: int, positive: NDArray[np.bool_], scores: NDArray[np.float64] | None
) -> ClassFigures:
    right, said, there = int(confusion[at, at]), int(confusion[:, at].sum()), int(confusion[at].sum())
    auc = average = None
    roc: tuple[tuple[float, float], ...] = ()
    pairs: tuple[tuple[float, float], ...] = ()
    if scores is not None and 0 < there < len(positive):
        curve, steps = roc_curve(positive, scores), precision_recall_curve(positive, scores)
        auc = float(np.trapezoid(curve[:, 1], curve[:, 0]))
        average = float(np.sum(np.diff(steps[:, 0], prepend=0.0) * steps[:, 1]))
        roc, pairs = _thinned(curve), _thinned(steps)
    return ClassFigures(
        name=name,
        samples=there,
        precision=right / said if said else 0.0,
        recall=right / there if there else 0.0,
        f1=2 * right / (said + there) if said + there else 0.0,
        auc=auc,
        average_precision=average,
        roc=roc,
        precision_recall=pairs,
    )


def _thinned(points: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Return so few points that a file stays small, the first and the last among them."""
    if len(points) > MOST_CURVE_POINTS:
        points = points[np.linspace(0, len(points) - 1, MOST_CURVE_POINTS).astype(np.int64)]
    return tuple((round(float(x), 6), round(float(y), 6)) for x, y in points)


def _calibration(labels: NDArray[Any], scores: NDArray[np.float64], classes: NDArray[Any]) -> Calibration:
    confidence, right = scores.max(axis=1), classes[scores.argmax(axis=1)] == labels
    places = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    bins = [
        (int(chosen.sum()), float(confidence[chosen].mean()), float(right[chosen].mean()))
        for chosen in (places == place for place in range(CALIBRATION_BINS))
        if chosen.any()
    ]
    error = sum(count * abs(mean - share) for count, mean, share in bins) / len(labels)
    truth = labels[:, None] == classes[None, :]
    squares = (scores - truth) ** 2
    brier = squares[:, 1] if len(classes) == 2 else squares.sum(axis=1)
    rounded = tuple(CalibrationBin(count, round(mean, 3), share) for count, mean, share in bins)
    return Calibration(rounded, float(error), float(brier.mean()))
