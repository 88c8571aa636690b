"""Handlers of the ai.onnx.ml operators that skl2onnx writes for linear models."""

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.lowering.tail import class_labels
from trader.model.postprocessing import PostProcessingKind

_Array = NDArray[np.float64]


def lower_scaler(context: NodeContext) -> Symbol:
    """Scaler: (x - offset)·scale."""
    value = feature_vector(context)
    offset = np.asarray(context.attribute("offset", [0.0]))
    scale = np.asarray(context.attribute("scale", [1.0]))
    if any(array.size not in (1, *value.shape) for array in (offset, scale)):
        context.refuse(f"it scales {scale.size} of {value.shape[0]} features")
    return value.shifted(-offset).scaled(scale)


def lower_linear_regressor(context: NodeContext) -> Symbol:
    """LinearRegressor: x·coefficientsᵀ + intercepts."""
    if context.attribute("post_transform", "NONE") != "NONE":
        context.refuse(f"post_transform is {context.attribute('post_transform')}", "Use post_transform NONE.")
    value = feature_vector(context)
    targets = int(context.attribute("targets", 1))
    weights = _coefficients(context, targets, value)
    return layer(context, value, weights, _intercepts(context, targets))


def lower_linear_classifier(context: NodeContext) -> tuple[Symbol, Symbol]:
    """LinearClassifier: class labels, and scores after `post_transform`.

    Two classes become a single score or logit: the second one, minus the first one where a softmax compares them.
    """
    value = feature_vector(context)
    labels = class_labels(context.attribute("classlabels_ints") or context.attribute("classlabels_strings") or ())
    rows = len(context.attribute("intercepts") or labels)
    weights, bias = _coefficients(context, rows, value), _intercepts(context, rows)
    transform = context.attribute("post_transform", "NONE")
    kind = _TRANSFORMS.get(transform)
    if kind is None or len(labels) != max(rows, 2):
        context.refuse(f"post_transform {transform} with {len(labels)} classes is not supported")
    mirrored = rows == 2 and np.allclose(weights[0], -weights[1]) and np.allclose(bias[0], -bias[1])
    if rows == 2 and kind is PostProcessingKind.SOFTMAX:
        weights, bias, kind = weights[1:] - weights[:1], bias[1:] - bias[:1], PostProcessingKind.BINARY
    elif mirrored:
        weights, bias = weights[1:], bias[1:]
        kind = PostProcessingKind.BINARY if kind is PostProcessingKind.SIGMOID else PostProcessingKind.MIRRORED
    scores = layer(context, value, weights, bias)
    result = Tail(scores, kind, operator_name(context.node), node_name(context.node), labels)
    return Tail(scores, PostProcessingKind.ARGMAX, operator_name(context.node), node_name(context.node), labels), result


_TRANSFORMS = {
    "NONE": PostProcessingKind.NONE,
    "LOGISTIC": PostProcessingKind.SIGMOID,
    "SOFTMAX": PostProcessingKind.SOFTMAX,
}


def feature_vector(context: NodeContext) -> View:
    """Return the features of a sample, [F]."""
    value = context.view()
    if len(value.shape) != 1:
        context.refuse(f"it reads samples of shape {list(value.shape)}", "Flatten them to [N, F] first.")
    return value


def layer(context: NodeContext, value: View, coefficients: _Array, bias: _Array) -> View:
    """Scores [outputs] from features [F], coefficients [outputs, F]."""
    made = context.builder.linear(value.reshaped((1, value.size)), coefficients.T[np.newaxis], bias[np.newaxis])
    return made.reshaped((len(bias),))


def _coefficients(context: NodeContext, rows: int, value: View) -> _Array:
    flat = np.asarray(context.attribute("coefficients", []), dtype=np.float64)
    if flat.size != rows * value.shape[0]:
        context.refuse(f"it has {flat.size} coefficients for {rows} outputs of {value.shape[0]} features")
    return flat.reshape(rows, value.shape[0])


def _intercepts(context: NodeContext, rows: int) -> _Array:
    intercepts = np.asarray(context.attribute("intercepts") or [0.0] * rows, dtype=np.float64)
    if intercepts.size != rows:
        context.refuse(f"it has {intercepts.size} intercepts for {rows} outputs")
    return intercepts
