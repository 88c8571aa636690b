"""A network whose activations become squares, trained to give what the original gives.

A polynomial of degree 2 is a shifted square, a·(x + s)² + t, which an encrypted test and a proof evaluate exactly. It
is first fitted to what each activation reads on the data (least squares); then all of the network's parameters are
trained until its outputs are those of the original on the same data (distillation: Hinton, Vinyals, Dean 2015), and,
where there are labels, right. A fifth of the rows is left out of the training, and what is reported is measured there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.adapt.network import Squares, fit_squares, import_torch, make_network, trained_parameters
from trader.adapt.writing import write_adapted
from trader.errors import CallerError
from trader.model import (
    Activation,
    LoweredModel,
    PostProcessingKind,
    evaluate_graph,
    fit_units,
    lowered_parameters,
    scale_inputs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

HELD_OUT = 5
"""One row of so many is held out."""
LEAST_ROWS = 50
STEPS, BATCH_ROWS, LEARNING_RATE = 3000, 128, 3e-3
LABEL_WEIGHT = 0.2
"""Of the labels' loss, beside the distance to the original."""


class AdaptError(CallerError):
    """The model or its data can't be adapted."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """An adapted network, and what became of it on the rows that were held out.

    Attributes:
        onnx: The file, for `modelseal model prepare`.
        figures: Names to numbers: rows held out, agreement with the original before and after training, errors by the
            outputs' range, and accuracies where there are labels.
    """

    onnx: bytes = field(repr=False)
    figures: dict[str, float]


def adapt_model(
    lowered: LoweredModel,
    samples: NDArray[np.float64],
    labels: NDArray[Any] | None = None,
    *,
    steps: int = STEPS,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Adaptation:
    """Replace every activation of a network by a square, and train the network.

    Args:
        lowered: The network.
        samples: float64 [n, F], its features.
        labels: [n], true classes, if there are some.
        steps: Of training.
        progress: Told the steps done, and all of them.

    Raises:
        AdaptError: PyTorch is not installed, there is nothing to replace, or too little data.
    """
    import_torch()
    activations = [node for node in lowered.graph.nodes if isinstance(node, Activation)]
    if not activations:
        raise AdaptError("the model has no activations to replace: it is tested exactly as it is")
    if len(samples) < LEAST_ROWS:
        raise AdaptError(f"{len(samples)} rows are too few to train with; give {LEAST_ROWS} or more")
    lowered = fit_units(lowered, samples)
    inputs = scale_inputs(lowered, samples)
    values = evaluate_graph(lowered.graph, inputs, lowered_parameters(lowered))
    targets = values[lowered.graph.output]
    squares = fit_squares(lowered.graph, values)
    held = np.arange(len(samples)) % HELD_OUT == 0
    trained, squares_after = _train(
        lowered, squares, (inputs[~held], targets[~held]), _classes(lowered, labels, ~held), steps, progress
    )
    figures = {"rows_held_out": float(held.sum())}
    before = _evaluate(lowered, squares, inputs[held])
    after = _evaluate(trained, squares_after, inputs[held])
    figures |= _compare(lowered, targets[held], before, "untrained_")
    figures |= _compare(lowered, targets[held], after, "")
    if labels is not None:
        figures |= {
            "accuracy_before": _accuracy(lowered, targets[held], labels[held]),
            "accuracy_after": _accuracy(lowered, after, labels[held]),
        }
    return Adaptation(write_adapted(trained, squares_after), figures)


def _train(
    lowered: LoweredModel,
    squares: Mapping[str, Squares],
    data: tuple[NDArray[np.float64], NDArray[np.float64]],
    classes: NDArray[np.int64] | None,
    steps: int,
    progress: Callable[[int, int], None],
) -> tuple[LoweredModel, dict[str, Squares]]:
    """Return the network after training, and its squares."""
    torch = import_torch()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small matrices take longer on several
    network = make_network(lowered, squares)
    inputs, targets = (torch.tensor(part, dtype=torch.float64) for part in data)
    spread = targets.std().clamp(min=1e-12)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    known = None if classes is None else torch.tensor(classes)
    for step in range(steps):
        rows = torch.randint(len(inputs), (min(BATCH_ROWS, len(inputs)),))
        outputs = network(inputs[rows])
        loss = _distance((outputs - targets[rows]) / spread)
        if known is not None:
            loss = loss + LABEL_WEIGHT * _label_loss(outputs, known[rows], float(2.0**lowered.post_processing.exponent))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress(step + 1, steps)
    torch.set_num_threads(threads)
    return trained_parameters(network, lowered)


def _distance(errors: Any) -> Any:
    """Return the mean square and, as large, the root of the mean fourth power.

    By squares alone, training gives up the few samples far from the middle, where a square leaves a ReLU, for a little
    less error of all others: the 99th percentile, by which an adapted model is judged, grew beyond the untrained one's.
    """
    squares = errors**2
    return squares.mean() + (squares**2).mean().sqrt()


def _label_loss(outputs: Any, classes: Any, unit: float) -> Any:
    functional = import_torch().nn.functional
    if outputs.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(outputs[:, 0] * unit, classes.to(outputs.dtype))
    return functional.cross_entropy(outputs * unit, classes)


def _classes(lowered: LoweredModel, labels: NDArray[Any] | None, chosen: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Return the column [n] of each true class; None where labels are no classes of the model."""
    if labels is None or labels.dtype.kind == "f":
        return None
    names = lowered.post_processing.labels or tuple(range(max(lowered.graph.outputs, 2)))
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [label for label in labels.tolist() if label not in numbers]
    if unknown:
        raise AdaptError(f"the label {unknown[0]!r} is no class of the model, which has {list(names)[:10]}")
    return np.array([numbers[label] for label in labels[chosen].tolist()])


def _evaluate(
    lowered: LoweredModel, squares: Mapping[str, Squares], inputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    def apply(node: Activation, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(squares[node.name](x))

    values = evaluate_graph(lowered.graph, inputs, lowered_parameters(lowered), apply)
    return np.asarray(values[lowered.graph.output])


def _compare(
    lowered: LoweredModel, expected: NDArray[np.float64], found: NDArray[np.float64], prefix: str
) -> dict[str, float]:
    """Return how near outputs are to those of the original: by their range, and by their classes if they have some."""
    error = np.abs(found - expected).max(axis=1) / max(float(np.ptp(expected)), 1e-300)
    figures = {f"{prefix}relative_error_99": float(np.quantile(error, 0.99, method="higher"))}
    if _is_classifier(lowered):
        same = _decide(lowered, expected) == _decide(lowered, found)
        figures[f"{prefix}agreement"] = float(np.mean(same.reshape(len(same), -1).all(axis=1)))
    return figures


def _is_classifier(lowered: LoweredModel) -> bool:
    post = lowered.post_processing
    return (
        post.is_classifier
        or post.kind.is_decision
        or post.kind is PostProcessingKind.SIGMOID
        or lowered.graph.outputs > 1
    )


def _decide(lowered: LoweredModel, raw: NDArray[np.float64]) -> NDArray[Any]:
    return (
        raw > 0 if lowered.post_processing.kind is PostProcessingKind.SIGMOID else lowered.post_processing.classify(raw)
    )


def _accuracy(lowered: LoweredModel, raw: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Return the share of right classes; for values, the coefficient of determination."""
    if labels.dtype.kind != "f":
        return float(np.mean(lowered.post_processing.classify(raw) == labels))
    errors = lowered.post_processing.apply(raw)[:, 0] - labels
    return 1 - float((errors**2).sum() / max(((labels - labels.mean()) ** 2).sum(), 1e-300))
