"""Handlers of operators at the end of a model, which the buyer applies in clear: softmax, sigmoid, argmax, labels."""

from dataclasses import replace

import numpy as np

from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.symbols import Symbol, Tail
from trader.model.postprocessing import PostProcessingKind

_KINDS = {
    "Sigmoid": PostProcessingKind.SIGMOID,
    "Softmax": PostProcessingKind.SOFTMAX,
    "LogSoftmax": PostProcessingKind.LOG_SOFTMAX,
    "ArgMax": PostProcessingKind.ARGMAX,
}

_DEFAULT_AXES = {"ArgMax": 0}


def lower_tail(context: NodeContext) -> Symbol:
    """Sigmoid, Softmax, LogSoftmax or ArgMax of raw outputs; ArgMax of what these return."""
    kind = _KINDS[context.node.op_type]
    symbol = context.inputs[0]
    if isinstance(symbol, Tail) and kind is PostProcessingKind.ARGMAX and not symbol.complement:
        return replace(symbol, kind=kind)
    value = context.view()
    if kind is PostProcessingKind.SIGMOID:
        return Tail(value, kind, operator_name(context.node), node_name(context.node))
    rank = len(value.shape)
    # Before operator set 13, softmax runs over all axes from the given one on.
    axis = context.sample_axis(context.attribute("axis", _DEFAULT_AXES.get(context.node.op_type, -1)), rank)
    if value.size != value.shape[axis]:
        context.refuse(f"it runs along axis {axis + 1} of samples of shape {list(value.shape)}", "Flatten them first.")
    flat = value if rank == 1 else value.reshaped((value.size,))
    return Tail(flat, kind, operator_name(context.node), node_name(context.node))


def join_columns(context: NodeContext) -> Symbol | None:
    """1 - sigmoid(z) and sigmoid(z), concatenated: the two columns of a binary classifier; None for anything else."""
    if len(context.inputs) != 2:
        return None
    first, second = context.inputs
    if not isinstance(first, Tail) or not isinstance(second, Tail) or first.value is not second.value:
        return None
    one_logit = first.value.shape == (1,) and first.kind is second.kind is PostProcessingKind.SIGMOID
    if one_logit and first.complement and not second.complement:
        return replace(second, kind=PostProcessingKind.BINARY)
    return None


def lower_normalizer(context: NodeContext) -> Symbol:
    """Normalizer (L1) of probabilities: nothing to do for a softmax, one-vs-rest for sigmoids."""
    symbol = context.inputs[0]
    if not isinstance(symbol, Tail) or context.attribute("norm", "MAX") != "L1":
        context.refuse("it normalises each sample by its own values", "Standardise features with StandardScaler.")
    if symbol.kind is PostProcessingKind.SIGMOID:
        return replace(symbol, kind=PostProcessingKind.ONE_VS_REST)
    return symbol


def lower_zip_map(context: NodeContext) -> Symbol:
    """ZipMap: probabilities by class label."""
    symbol = context.inputs[0]
    labels = context.attribute("classlabels_int64s") or context.attribute("classlabels_strings") or ()
    if isinstance(symbol, Tail):
        return replace(symbol, labels=class_labels(labels))
    scores = context.view()
    return Tail(
        scores, PostProcessingKind.NONE, operator_name(context.node), node_name(context.node), class_labels(labels)
    )


def lower_array_feature_extractor(context: NodeContext) -> Symbol:
    """ArrayFeatureExtractor: class labels by column number, or a choice of features."""
    source, chooser = context.inputs[:2]
    if isinstance(source, np.ndarray) and isinstance(chooser, Tail):
        return replace(chooser, labels=class_labels(source.ravel().tolist()))
    scores = isinstance(source, Tail) and source.kind is PostProcessingKind.NONE and source.value.shape == (1,)
    if isinstance(source, Tail) and scores and np.array_equal(context.constant(1, "column").ravel(), [1]):
        # The score of the second of two classes, which is the one that `lower_linear_classifier` keeps.
        return source
    view, places = context.view(), context.constant(1, "list of places").astype(np.int64).ravel()
    if len(view.shape) != 1 or np.any((places < 0) | (places >= view.size)):
        context.refuse(f"it reads outside samples of shape {list(view.shape)}")
    return view.taken(places)


def class_labels(labels: list[int] | list[str] | list[bytes] | tuple[()]) -> tuple[int, ...] | tuple[str, ...]:
    """Class labels as Python integers or strings."""
    if any(isinstance(label, (bytes, str)) for label in labels):
        return tuple(label.decode() if isinstance(label, bytes) else str(label) for label in labels)
    return tuple(int(label) for label in labels)
