"""Handlers of operators at the end of a model, which the buyer applies in clear: softmax, sigmoid, argmax, labels."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trader.model import one_vs_one
from trader.model.errors import UnsafeModelError
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.context import NodeContext, node_name, operator_name, rounding_error, tracing_error
from trader.model.lowering.symbols import Comparison, Rounded, Symbol, Tail, Traced, View
from trader.model.lowering.written_out import normalised, score_before
from trader.model.postprocessing import OutputPart, PostProcessing, PostProcessingKind

_KINDS = {
    "Sigmoid": PostProcessingKind.SIGMOID,
    "Exp": PostProcessingKind.EXP,
    "Softmax": PostProcessingKind.SOFTMAX,
    "LogSoftmax": PostProcessingKind.LOG_SOFTMAX,
    "ArgMax": PostProcessingKind.ARGMAX,
    "ArgMin": PostProcessingKind.ARGMAX,
    "Sign": PostProcessingKind.SIGN,
    "Softsign": PostProcessingKind.SOFTSIGN,
}

_BY_ELEMENT = {PostProcessingKind.SIGMOID, PostProcessingKind.EXP, PostProcessingKind.SOFTSIGN}
_BY_ELEMENT |= {kind for kind in PostProcessingKind if kind.is_decision}

_DEFAULT_AXES = {"ArgMax": 0, "ArgMin": 0}


def lower_tail(context: NodeContext) -> Symbol:
    """Sigmoid, Exp, Softmax, LogSoftmax, ArgMax, ArgMin, Sign or Softsign of raw outputs; ArgMax of their results."""
    kind = _KINDS[context.node.op_type]
    symbol = context.inputs[0]
    smallest = context.node.op_type == "ArgMin"
    if isinstance(symbol, Tail) and kind is PostProcessingKind.ARGMAX and not (symbol.complement or smallest):
        return replace(symbol, kind=kind)
    value = context.view().scaled(np.asarray(-1.0)) if smallest else context.view()
    if kind in _BY_ELEMENT:
        return Tail(value, kind, operator_name(context.node), node_name(context.node))
    rank = len(value.shape)
    # Before operator set 13, softmax runs over all axes from the given one on.
    axis = context.sample_axis(context.attribute("axis", _DEFAULT_AXES.get(context.node.op_type, -1)), rank)
    if value.size != value.shape[axis]:
        context.refuse(
            f"it runs along axis {axis + 1} of samples of shape {list(value.shape)}; a last step takes all of a sample",
            "Return what it reads, which tells as much.",
        )
    flat = value if rank == 1 else value.reshaped((value.size,))
    return Tail(flat, kind, operator_name(context.node), node_name(context.node))


def lower_binarizer(context: NodeContext) -> Symbol:
    """Binarizer: 1 above a threshold, else 0; of a probability, where the score is beyond its logit."""
    threshold = np.asarray(float(context.attribute("threshold", 0.0)))
    value, edge = score_before(context.inputs[0], threshold) or (context.view(), threshold)
    margin = value.shifted(-edge)
    return Tail(margin, PostProcessingKind.POSITIVE, operator_name(context.node), node_name(context.node))


def lower_norm(context: NodeContext) -> Symbol:
    """ReduceL2 over all of a sample: the length of a vector of outputs."""
    value = context.view()
    axes = context.integers("axes", 1)
    inner = range(len(value.shape)) if axes is None else {context.sample_axis(a, len(value.shape)) for a in axes}
    if sum(value.shape[axis] > 1 for axis in inner) < sum(size > 1 for size in value.shape):
        context.refuse("it runs along a part of the sample", "Flatten it first, or return what it reads.")
    return Tail(_flat(value), PostProcessingKind.L2_NORM, operator_name(context.node), node_name(context.node))


def _flat(value: View) -> View:
    return value if len(value.shape) == 1 else value.reshaped((value.size,))


def moved_tail(
    context: NodeContext, tail: Tail, handler: Callable[[NodeContext], Symbol | tuple[Symbol, ...]]
) -> tuple[Symbol, ...]:
    """Return what an operator that moves elements makes of the result of a tail.

    A sigmoid or exponential moves with its elements. Of other results, all columns or one may be taken.
    """
    by_element = tail.kind in _BY_ELEMENT
    source = tail.value if by_element else View((), (tail.columns,))
    results = handler(replace(context, inputs=[source, *context.inputs[1:]]))
    moved = []
    for symbol in results if isinstance(results, tuple) else (results,):
        if not isinstance(symbol, View):
            moved.append(symbol)
            continue
        if symbol.batch:
            context.refuse("it moves the samples to another axis", "Return them along axis 0.")
        moved.append(replace(tail, value=symbol) if by_element else _taken(context, tail, symbol.places.ravel()))
    return tuple(moved)


def _taken(context: NodeContext, tail: Tail, places: NDArray[np.int64]) -> Tail:
    """Columns of a tail's result."""
    if np.array_equal(places, np.arange(tail.columns)):
        return tail
    if tail.kind is PostProcessingKind.MIRRORED and places.tolist() == [1]:
        return replace(tail, kind=PostProcessingKind.NONE)
    if len(places) != 1:
        chosen = f"columns {places.tolist()} of {tail.operator}, which has {tail.columns}"
        context.refuse(f"it takes {chosen}", "Return all of them, in order.")
    return tail if tail.column is not None else replace(tail, column=int(places[0]))


def join_columns(context: NodeContext) -> Symbol | None:
    """Sigmoids, concatenated; 1 - sigmoid(z) and sigmoid(z) are the two columns of a binary classifier.

    None for anything else.
    """
    tails = [_as_sigmoid(symbol) for symbol in context.inputs if isinstance(symbol, Tail)]
    if len(tails) < len(context.inputs) or any(tail.kind is not PostProcessingKind.SIGMOID for tail in tails):
        return None
    first, complements = tails[0], [tail.complement for tail in tails]
    if complements == [True, False] and first.value is tails[1].value and first.value.shape == (1,):
        return replace(tails[1], kind=PostProcessingKind.BINARY)
    if any(complements):
        return None
    axis = context.sample_axis(context.attribute("axis"), len(first.value.shape))
    return replace(first, value=context.builder.concatenate([tail.value for tail in tails], axis), labels=())


def _as_sigmoid(tail: Tail) -> Tail:
    """Return a column of a binary classifier as the sigmoid that it is."""
    if tail.kind is not PostProcessingKind.BINARY or tail.column is None:
        return tail
    return replace(tail, kind=PostProcessingKind.SIGMOID, column=None, complement=tail.column == 0)


POSITIVE = {
    PostProcessingKind.SIGMOID,
    PostProcessingKind.EXP,
    PostProcessingKind.SOFTMAX,
    PostProcessingKind.BINARY,
    PostProcessingKind.BINARY_SHARE,
    PostProcessingKind.ONE_VS_REST,
    PostProcessingKind.ONE_VS_ONE_PROBABILITIES,
}
"""Last steps whose results are never negative."""


def lower_normalizer(context: NodeContext) -> Symbol:
    """Lower Normalizer (L1) and LpNormalization (p = 1) of probabilities; those to length 1 of outputs."""
    symbol = context.inputs[0]
    to_sum = context.attribute("norm", "MAX") == "L1" or context.attribute("p", 2) == 1
    to_length = context.node.op_type == "LpNormalization" or context.attribute("norm", "MAX") == "L2"
    if isinstance(symbol, View) and to_length and not to_sum:
        value = context.view()
        axis = context.attribute("axis", -1) if context.node.op_type == "LpNormalization" else -1
        if value.size == value.shape[context.sample_axis(axis, len(value.shape))]:
            return Tail(_flat(value), PostProcessingKind.UNIT, operator_name(context.node), node_name(context.node))
    if not isinstance(symbol, Tail) or not to_sum or symbol.kind not in POSITIVE - {PostProcessingKind.EXP}:
        context.refuse("it normalises each sample by its own values", "Standardise features with StandardScaler.")
    return normalised(symbol)


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
        if source.dtype.kind == "f" and not np.array_equal(source, np.rint(source)):
            context.refuse("its class labels are fractions", "Name classes by integers or text.")
        return replace(chooser, labels=class_labels(source.ravel().tolist()))
    mirrored = isinstance(source, Tail) and source.kind is PostProcessingKind.MIRRORED
    if isinstance(source, Tail) and mirrored and np.array_equal(context.constant(1, "column").ravel(), [1]):
        return replace(source, kind=PostProcessingKind.NONE)
    view, places = context.view(), context.constant(1, "list of places").astype(np.int64).ravel()
    if len(view.shape) != 1 or np.any((places < 0) | (places >= view.size)):
        context.refuse(f"it reads outside samples of shape {list(view.shape)}")
    return view.taken(places)


def class_labels(labels: list[int] | list[str] | list[bytes] | tuple[()]) -> tuple[int, ...] | tuple[str, ...]:
    """Class labels as Python integers or strings."""
    if any(isinstance(label, (bytes, str)) for label in labels):
        return tuple(label.decode() if isinstance(label, bytes) else str(label) for label in labels)
    return tuple(int(label) for label in labels)


def post_processing_of(
    builder: GraphBuilder, names: list[str], outputs: list[Symbol]
) -> tuple[View, PostProcessing, list[tuple[str, Symbol]]]:
    """Return the one value that all outputs of a model come from, what the buyer makes of it, and each output by name.

    Several values that the same function is applied to become one, behind each other.

    Outputs that are the same for every sample (a mask of Dropout) are left out.

    Raises:
        UnsafeModelError: they come from several, or are a part only of what is computed from one.
        UnsupportedOperatorError: one is rounded, or made of pairs of classes in a way of its own.
    """
    kept = [(name, symbol) for name, symbol in zip(names, outputs, strict=True) if not isinstance(symbol, np.ndarray)]
    names, outputs = [name for name, _ in kept], [symbol for _, symbol in kept]
    if not outputs:
        raise UnsafeModelError("the model's outputs are the same for every sample; export it with what it predicts")
    outputs = [_decision(symbol) if isinstance(symbol, Comparison) else symbol for symbol in outputs]
    for symbol in outputs:
        _check_output(symbol)
    if len(outputs) == 1:
        outputs = [_by_itself(builder, outputs[0])]
    tails = [symbol for symbol in outputs if isinstance(symbol, Tail)]
    values = {tail.value for tail in tails} | {symbol for symbol in outputs if isinstance(symbol, View)}
    if len(values) != 1 and (joined := _joined(builder, names, outputs)) is not None:
        return *joined, list(zip(names, outputs, strict=True))
    if len(values) != 1:
        raise UnsafeModelError(
            f"the model's outputs stand for {len(values)} different values, to which different functions are applied "
            f"({_described(names, outputs)}); export it with a single output, or without the last steps"
        )
    (value,) = values
    if value.batch:
        raise UnsafeModelError(f"the model returns samples along axis {value.batch}; export it with them along axis 0")
    columns = {tail.column for tail in tails if tail.column is not None}
    width = max((replace(tail, column=None).columns for tail in tails if tail.column is not None), default=0)
    if len(columns) < width or any(tail.complement for tail in tails):
        raise UnsafeModelError(
            f"the model returns some columns of its probabilities only ({_described(names, outputs)}; "
            f"{len(columns)} of {width}), or 1 - p; export it with all of them as they are"
        )
    kinds = [symbol.kind if isinstance(symbol, Tail) else PostProcessingKind.NONE for symbol in outputs]
    # Probabilities and scores tell more than classes and decisions.
    kind = next((kind for kind in kinds if not (kind.is_class or kind.is_decision)), kinds[0])
    if kind.is_one_vs_one:
        value = _deciding(value, kind, kinds, tails)
    labels = next((tail.labels for tail in tails if tail.labels), ())
    return value, PostProcessing(kind=kind, labels=labels), list(zip(names, outputs, strict=True))


def _described(names: list[str], outputs: list[Symbol]) -> str:
    """Return the outputs' names, and the operators that their last steps begin with."""
    steps = [symbol.operator if isinstance(symbol, Tail) else "none" for symbol in outputs]
    return ", ".join(f"'{name}': {step}" for name, step in zip(names, steps, strict=True))


def _check_output(symbol: Symbol) -> None:
    """Check that an output is no step on the way to one."""
    if isinstance(symbol, Rounded):
        raise rounding_error(symbol)
    if isinstance(symbol, Traced):
        raise tracing_error(symbol)


def _deciding(value: View, kind: PostProcessingKind, kinds: list[PostProcessingKind], tails: list[Tail]) -> View:
    """Return the raw outputs of pairs of classes: without the logits of probabilities that aren't returned.

    Raises:
        UnsafeModelError: Probabilities are returned without labels, which are another function of other outputs.
    """
    if kind is PostProcessingKind.ONE_VS_ONE_PROBABILITIES and PostProcessingKind.ONE_VS_ONE_CLASS not in kinds:
        raise UnsafeModelError(
            "the model returns probabilities without labels, which pairs of its classes vote for; export it with both"
        )
    pairs = one_vs_one.pairs_of(len(tails[0].labels))
    whole = kind is PostProcessingKind.ONE_VS_ONE_PROBABILITIES or value.size == pairs
    return value if whole else value.taken(np.arange(pairs))


def _joined(builder: GraphBuilder, names: list[str], outputs: list[Symbol]) -> tuple[View, PostProcessing] | None:
    """Return outputs behind each other; None if they are not numbers of one kind, with samples along axis 0."""
    tails = [each if isinstance(each, Tail) else None for each in outputs]
    kinds = {PostProcessingKind.NONE if tail is None else tail.kind for tail in tails}
    values = [each.value if isinstance(each, Tail) else each for each in outputs]
    views = [value for value in values if isinstance(value, View) and not value.batch]
    plain = all(tail is None or not (tail.labels or tail.complement) for tail in tails)
    if len(kinds) != 1 or len(views) < len(outputs) or not plain:
        return None
    (kind,) = kinds
    if kind is not PostProcessingKind.NONE and kind not in _BY_ELEMENT:
        return None
    parts = tuple(OutputPart(name=name, columns=view.size) for name, view in zip(names, views, strict=True))
    flat = [builder.settle(view.reshaped((view.size,))) for view in views]
    return builder.concatenate(flat, 0), PostProcessing(kind=kind, parts=parts)


def _decision(comparison: Comparison) -> Tail:
    kind = PostProcessingKind.POSITIVE if comparison.strict else PostProcessingKind.NOT_NEGATIVE
    return Tail(comparison.margin, kind, comparison.operator, comparison.node)


def _by_itself(builder: GraphBuilder, symbol: Symbol) -> Symbol:
    """Return one of the two columns of a binary classifier, or 1 - sigmoid(x), as the sigmoid that it is."""
    if not isinstance(symbol, Tail):
        return symbol
    if symbol.kind is PostProcessingKind.SOFTMAX and symbol.column is not None and symbol.value.size == 2:
        own, other = (symbol.value.taken(np.array([place])) for place in (symbol.column, 1 - symbol.column))
        margin = builder.add(own, other.scaled(np.asarray(-1.0)))
        return replace(symbol, kind=PostProcessingKind.SIGMOID, value=margin, column=None)
    tail = _as_sigmoid(symbol)
    return replace(tail, value=tail.value.scaled(np.asarray(-1.0)), complement=False) if tail.complement else tail
