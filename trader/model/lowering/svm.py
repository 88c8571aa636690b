"""Handlers of support vector machines with a linear kernel, which are one linear layer.

What ONNX calls a classifier's decision is positive for the first class of a pair; raw outputs are the opposite, as all
scores of two classes here (see `trader.model.one_vs_one`).
"""

import itertools
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from trader.model import one_vs_one
from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.sklearn import feature_vector, layer
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.lowering.tail import class_labels
from trader.model.postprocessing import PostProcessingKind

_Array = NDArray[np.float64]


def lower_svm_regressor(context: NodeContext) -> Symbol:
    """SVMRegressor: Σ coefficient·(x·support vector) + rho."""
    if context.attribute("one_class", 0):
        context.refuse("it returns the sign of its score", "Return the score.")
    value = _linear_features(context)
    coefficients, vectors, rho = (_numbers(context, name) for name in ("coefficients", "support_vectors", "rho"))
    if not coefficients.size or vectors.size != coefficients.size * value.size or rho.size != 1:
        _refuse_shapes(context, value)
    return layer(context, value, (coefficients @ vectors.reshape(-1, value.size))[np.newaxis], rho)


def lower_svm_classifier(context: NodeContext) -> tuple[Symbol, Symbol]:
    """SVMClassifier: labels by the votes of pairs of classes, and the pairs' decisions or probabilities.

    Probabilities are coupled from those of pairs, 1/(1 + exp(a·decision + b)) for the first class: Platt (1999),
    "Probabilistic outputs for support vector machines". Labels are by votes all the same, so that decisions and logits
    are both needed.
    """
    labels = class_labels(context.attribute("classlabels_ints") or context.attribute("classlabels_strings") or ())
    value, classes = _linear_features(context), len(labels)
    if not 2 <= classes <= one_vs_one.MOST_CLASSES:
        context.refuse(
            f"it has {classes} classes, and their pairs are compared: of 2 to {one_vs_one.MOST_CLASSES} classes",
            "Use LinearSVC or LogisticRegression, which have a score for each class.",
        )
    weights, bias = _pairs(context, value, classes)
    slopes, offsets = _numbers(context, "prob_a"), _numbers(context, "prob_b")
    kind = PostProcessingKind.ONE_VS_ONE
    if slopes.size:
        if slopes.shape != bias.shape or offsets.shape != bias.shape:
            _refuse_shapes(context, value)
        kind = PostProcessingKind.ONE_VS_ONE_PROBABILITIES
        weights, bias = np.vstack([-weights, slopes[:, np.newaxis] * weights]), np.r_[-bias, slopes * bias + offsets]
    else:
        weights, bias = -weights, -bias
    scores = layer(context, value, weights, bias)
    operator, node = operator_name(context.node), node_name(context.node)
    result = Tail(scores, kind, operator, node, labels)
    return Tail(scores, PostProcessingKind.ONE_VS_ONE_CLASS, operator, node, labels), result


def _pairs(context: NodeContext, value: View, classes: int) -> tuple[_Array, _Array]:
    """Return weights [pairs, F] and offsets [pairs] of the pairs' decisions, as ONNX has them.

    Support vectors stand class by class. For pair ij those of class i have their coefficients in row j - 1, those of
    class j in row i.
    """
    sizes = [int(size) for size in context.attribute("vectors_per_class") or ()]
    count, pairs = sum(sizes), one_vs_one.pairs_of(classes)
    coefficients, vectors, rho = (_numbers(context, name) for name in ("coefficients", "support_vectors", "rho"))
    shapes = ((coefficients, (classes - 1) * count), (vectors, count * value.size), (rho, pairs))
    if len(sizes) != classes or min(sizes) < 0 or not count or any(array.size != size for array, size in shapes):
        _refuse_shapes(context, value)
    rows, matrix = coefficients.reshape(classes - 1, count), vectors.reshape(count, value.size)
    ends = np.cumsum([0, *sizes])
    own = [slice(start, end) for start, end in itertools.pairwise(ends)]
    weights = [
        rows[j - 1, own[i]] @ matrix[own[i]] + rows[i, own[j]] @ matrix[own[j]]
        for i, j in zip(*one_vs_one.members(classes), strict=True)
    ]
    return np.array(weights), rho


def _linear_features(context: NodeContext) -> View:
    """Return the features that a machine with a linear kernel reads; others are refused."""
    kernel = context.attribute("kernel_type", "LINEAR")
    if kernel != "LINEAR":
        context.refuse(
            f"its {kernel} kernel compares the sample with every support vector, which can't be done encrypted",
            "Use kernel='linear', a linear or logistic model, or a network.",
        )
    transform = context.attribute("post_transform", "NONE")
    if transform != "NONE":
        context.refuse(f"post_transform is {transform}", "Use post_transform NONE.")
    return feature_vector(context)


def _refuse_shapes(context: NodeContext, value: View) -> NoReturn:
    context.refuse(f"its support vectors don't meet samples of {value.size} features")


def _numbers(context: NodeContext, attribute: str) -> NDArray[np.float64]:
    return np.asarray(context.attribute(attribute) or [], dtype=np.float64)
