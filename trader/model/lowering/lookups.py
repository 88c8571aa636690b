"""Handlers of operators that ask which category a column of the original data names: one-hot codes and embeddings.

What is asked for becomes features of 0 and 1, which the buyer makes before it encrypts (`trader.model.columns`); a
table that is looked up is multiplied by them, and multiplied into the layer that reads it, if there is just one.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import numpy_helper

from trader.model.columns import MAX_CATEGORIES
from trader.model.lowering.context import NodeContext
from trader.model.lowering.encoding import is_original
from trader.model.lowering.refusals import LOOKUP, refusal_of
from trader.model.lowering.symbols import Comparison, Rounded, Symbol, Tail, View
from trader.model.lowering.tail import class_labels
from trader.model.postprocessing import PostProcessingKind


def lower_one_hot_encoder(context: NodeContext) -> Symbol:
    """OneHotEncoder: 0 everywhere for an unknown value, or an error."""
    names = context.attribute("cats_int64s") or context.attribute("cats_strings") or ()
    return _hot(context, _codes(context, 0), _decoded(names), refused=not context.attribute("zeros", 1))


def lower_one_hot(context: NodeContext) -> Symbol:
    """OneHot of integers from 0; others are refused, since the operator counts negative ones from the end."""
    depth, values = int(context.constant(1, "depth").item()), context.constant(2, "values").ravel()
    codes = _codes(context, 0)
    hot = _hot(context, codes, range(depth), refused=True)
    axis = context.attribute("axis", -1)
    inner = len(codes.shape) if axis == -1 else context.sample_axis(axis, len(codes.shape) + 1)
    order = list(range(len(codes.shape)))
    order.insert(inner, len(codes.shape))
    return hot.transposed(tuple(order)).scaled(values[1] - values[0]).shifted(values[:1])


def lower_equal(context: NodeContext) -> Symbol:
    """Equal, of columns of the original data with constants: codes of 0 and 1, as PyTorch writes one-hot codes."""
    places = [index for index, symbol in enumerate(context.inputs) if isinstance(symbol, np.ndarray)]
    if len(places) != 1:
        context.refuse(*refusal_of("Equal"))
    values, codes = context.inputs[places[0]], context.inputs[1 - places[0]]
    is_column = isinstance(codes, View) and is_original(codes) and codes.is_plain and not codes.batch
    if not isinstance(values, np.ndarray) or not isinstance(codes, View) or not is_column:
        context.refuse(*refusal_of("Equal"))
    if not (context.encoding.is_whole(codes) or context.encoding.is_text(codes)):
        context.refuse(
            "it compares numbers that need not be integers with a constant",
            "Let the model take the column as integers.",
        )
    if values.ndim == len(codes.shape) + 1 and values.shape[0] == 1:
        values = values[0]
    names, chosen = np.unique(values, return_inverse=True)
    hot = _hot(context, codes, names.tolist(), refused=False)
    rows = np.arange(codes.size).reshape(codes.shape) * len(names)
    if values.ndim > len(codes.shape):
        context.refuse(f"a constant of shape {list(values.shape)} meets samples of shape {list(codes.shape)}")
    return hot.taken(rows + chosen.reshape(values.shape))


def lower_embedding(context: NodeContext) -> Symbol:
    """Gather from a constant table, along its first axis, by integers from 0; others are refused.

    From a list of class labels, by the number of a class, or by whether a score is positive.
    """
    if (named := _names_of_classes(context)) is not None:
        return named
    table = context.constant(0, "table")
    codes = _codes(context, 1)
    if table.ndim == 0 or context.attribute("axis", 0) not in (0, -table.ndim):
        context.refuse("it looks up along another axis than the table's first", "Transpose the table.")
    hot = _hot(context, codes, range(len(table)), refused=True)
    rows = context.builder.look_up(hot, table.reshape(len(table), -1))
    return rows.reshaped((*codes.shape, *table.shape[1:]))


def lower_label_encoder(context: NodeContext) -> Symbol:
    """LabelEncoder from integers or text to numbers: what each stands for, or a default; from classes to labels."""
    keys, values = _of_kinds(context, "keys"), _of_kinds(context, "values")
    chooser = context.inputs[0]
    if isinstance(chooser, Tail) and chooser.kind.is_class and not chooser.labels and keys and values:
        classes = range(chooser.kind.classes(chooser.value.size))
        names = dict(zip(keys, values, strict=False))
        if all(number in names for number in classes) and not isinstance(values[0], float):
            return replace(chooser, labels=class_labels([names[number] for number in classes]))
    if keys is None or values is None or len(keys) != len(values) or isinstance(values[0], (str, bytes)):
        context.refuse("it gives text, or reads what is neither integers nor text", "Give OneHotEncoder the column.")
    default = context.attribute("default_float" if isinstance(values[0], float) else "default_int64", None)
    if default is None:
        default = -0.0 if isinstance(values[0], float) else -1
    codes = _codes(context, 0)
    hot = _hot(context, codes, _decoded(keys), refused=False)
    table = np.asarray(values, dtype=np.float64)[:, np.newaxis] - float(default)
    return context.builder.look_up(hot, table).reshaped(codes.shape).shifted(np.asarray(float(default)))


def _names_of_classes(context: NodeContext) -> Tail | None:
    """Return classes by the labels that a list has for their numbers; None where that isn't what is looked up."""
    table, chooser = context.inputs[:2]
    if isinstance(chooser, Comparison) and chooser.strict and chooser.margin.size == 1:
        chooser = Tail(chooser.margin, PostProcessingKind.ARGMAX, chooser.operator, chooser.node)
    if not isinstance(table, np.ndarray) or not isinstance(chooser, Tail) or not chooser.kind.is_class:
        return None
    classes = chooser.kind.classes(chooser.value.size)
    if chooser.labels or table.shape != (classes,) or table.dtype.kind not in "iuUSO":
        return None
    return replace(chooser, labels=class_labels(table.tolist()))


def _of_kinds(context: NodeContext, name: str) -> list[Any] | None:
    """Return a list of LabelEncoder's, which has an attribute for each kind of elements."""
    for kind in ("int64s", "strings", "floats"):
        if found := context.attribute(f"{name}_{kind}"):
            return list(found)
    tensor = context.attribute(f"{name}_tensor")
    return None if tensor is None else list(numpy_helper.to_array(tensor).tolist())


def _decoded(names: Any) -> list[int] | list[str]:
    """Return keys as integers or text; whole numbers with a point, as OrdinalEncoder has them, are integers."""
    if all(isinstance(name, float) and name.is_integer() for name in names):
        return [int(name) for name in names]
    return [name.decode() if isinstance(name, bytes) else name for name in names]


def _codes(context: NodeContext, index: int) -> View:
    """Return an input that must be original data, rounded at most."""
    symbol = context.inputs[index] if index < len(context.inputs) else None
    view = symbol.value if isinstance(symbol, Rounded) else symbol
    if not isinstance(view, View) or not is_original(view) or view.batch or not view.is_plain:
        context.refuse(*LOOKUP)
    return view


def _hot(context: NodeContext, codes: View, names: Any, *, refused: bool) -> View:
    if any(isinstance(name, float) for name in names):
        context.refuse("it tells fractions apart, not integers or text", "Encode the column before the model takes it.")
    if not names or len(names) > MAX_CATEGORIES:
        context.refuse(
            f"it tells {len(names)} values apart, each of which is encrypted as a feature; at most "
            f"{MAX_CATEGORIES} are",
            "Join rare values, or hash them to fewer.",
        )
    if context.encoding.is_text(codes) != isinstance(names[0], str):
        context.refuse("it compares text with integers", "Give it the column as it was trained with.")
    return context.encoding.categories(codes, names, refused=refused)
