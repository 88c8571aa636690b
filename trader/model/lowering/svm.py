"""Handlers of support vector machines with a linear kernel, which are one linear layer."""

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.sklearn import feature_vector, layer
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.lowering.tail import class_labels
from trader.model.postprocessing import PostProcessingKind

_CLASSES = 2


def lower_svm_regressor(context: NodeContext) -> Symbol:
    """SVMRegressor: Σ coefficient·(x·support vector) + rho."""
    if context.attribute("one_class", 0):
        context.refuse("it returns the sign of its score", "Return the score.")
    return _decision(context)


def lower_svm_classifier(context: NodeContext) -> tuple[Symbol, Symbol]:
    """SVMClassifier of two classes: labels, and a score or probabilities.

    ONNX's decision is positive for the first class, scores here are for the second. Probabilities are
    1/(1 + exp(a·decision + b)) for the first class: Platt (1999), "Probabilistic outputs for support vector machines".
    """
    labels = class_labels(context.attribute("classlabels_ints") or context.attribute("classlabels_strings") or ())
    if len(labels) != _CLASSES:
        context.refuse(
            f"it lets pairs of its {len(labels)} classes vote, and encrypted votes can't be compared",
            "Use LinearSVC or LogisticRegression, which have a score for each class.",
        )
    decision = _decision(context)
    slopes, offsets = context.attribute("prob_a") or (), context.attribute("prob_b") or ()
    if slopes:
        score, kind = decision.scaled(np.asarray(slopes)).shifted(np.asarray(offsets)), PostProcessingKind.BINARY
    else:
        score, kind = decision.scaled(np.asarray(-1.0)), PostProcessingKind.NONE
    operator, node = operator_name(context.node), node_name(context.node)
    return Tail(score, PostProcessingKind.ARGMAX, operator, node, labels), Tail(score, kind, operator, node, labels)


def _decision(context: NodeContext) -> View:
    """Return w·x + rho [1], where w is what the support vectors add up to."""
    kernel = context.attribute("kernel_type", "LINEAR")
    if kernel != "LINEAR":
        context.refuse(
            f"its {kernel} kernel compares the sample with every support vector, which can't be done encrypted",
            "Use kernel='linear', a linear or logistic model, or a network.",
        )
    transform = context.attribute("post_transform", "NONE")
    if transform != "NONE":
        context.refuse(f"post_transform is {transform}", "Use post_transform NONE.")
    value = feature_vector(context)
    coefficients, vectors, rho = (_numbers(context, name) for name in ("coefficients", "support_vectors", "rho"))
    if not coefficients.size or vectors.size != coefficients.size * value.size or rho.size != 1:
        context.refuse(f"its support vectors don't meet samples of {value.size} features")
    weights = coefficients @ vectors.reshape(-1, value.size)
    return layer(context, value, weights[np.newaxis], rho)


def _numbers(context: NodeContext, attribute: str) -> NDArray[np.float64]:
    return np.asarray(context.attribute(attribute) or [], dtype=np.float64)
