"""Handlers of operators that choose between values: Max, Min, and Where by a comparison.

Comparisons can't be evaluated encrypted. Max and Min are what Relu makes of a difference; Where is supported in the
form in which exporters write out an activation.
"""

import math
from dataclasses import replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import ActivationKind
from trader.model.lowering.arithmetic import added, meeting
from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.encoding import is_original
from trader.model.lowering.gates import affine_of
from trader.model.lowering.refusals import refusal_of
from trader.model.lowering.symbols import Comparison, Symbol, View
from trader.model.lowering.written_out import score_before
from trader.model.nodes import Activation

SAME_POINT = 1e-6
"""How far two lines may be apart where they meet."""

STRAIGHT_SOFTPLUS = 8.0
"""From here on softplus(x) is x, within 2^-11: exporters write it so, against overflow."""


def lower_max(context: NodeContext) -> Symbol:
    """Max of any number of values and constants: max(x, y) = y + relu(x - y)."""
    view, others = _terms(context)
    return reduce(lambda total, term: larger(context, total, term), others, view)


def lower_min(context: NodeContext) -> Symbol:
    """Min of any number of values and constants."""
    view, others = _terms(context)
    return reduce(lambda total, term: smaller(context, total, term), others, view)


def _terms(context: NodeContext) -> tuple[View, list[View | NDArray[np.float64]]]:
    """One value of the model, and all other inputs."""
    indices = range(len(context.inputs))
    constant = [index for index in indices if isinstance(context.inputs[index], np.ndarray)]
    view, *views = [context.view(index) for index in indices if index not in constant]
    return view, [*views, *(context.constant(index, "term") for index in constant)]


def larger(context: NodeContext, left: View, right: View | NDArray[np.float64]) -> View:
    """Return the larger of two values, element by element."""
    difference = _difference(context, left, right)
    return added(context, context.builder.activation(difference, ActivationKind.RELU), right)


def smaller(context: NodeContext, left: View, right: View | NDArray[np.float64]) -> View:
    """Return the smaller of two values, element by element: min(x, y) = y - relu(y - x)."""
    difference = negative(_difference(context, left, right))
    return added(context, negative(context.builder.activation(difference, ActivationKind.RELU)), right)


def _difference(context: NodeContext, left: View, right: View | NDArray[np.float64]) -> View:
    return added(context, left, negative(right) if isinstance(right, View) else -right)


def negative(view: View) -> View:
    """Return -x."""
    return view.scaled(np.asarray(-1.0))


def lower_comparison(context: NodeContext) -> Symbol:
    """Greater and Less, of a value with a constant or the other way round."""
    constant_first = isinstance(context.inputs[0], np.ndarray)
    if not constant_first and not isinstance(context.inputs[1], np.ndarray):
        context.refuse("it compares two values of the model", "Use Max, Min, or Relu.")
    index = 1 if constant_first else 0
    threshold = context.constant(1 - index, "threshold")
    view, threshold = score_before(context.inputs[index], threshold) or (context.view(index), threshold)
    greater = context.node.op_type.startswith("Greater") != constant_first
    margin = added(context, view, -threshold)
    strict = not context.node.op_type.endswith("OrEqual")
    kept = margin if greater else negative(margin)
    return Comparison(kept, strict, operator_name(context.node), node_name(context.node))


def lower_not(context: NodeContext) -> Symbol:
    """Not, of a comparison: the opposite one; of codes of 0 and 1, which columns of the data have, 1 - x."""
    symbol = context.inputs[0]
    if isinstance(symbol, View) and context.encoding.is_code(symbol):
        return negative(symbol).shifted(np.asarray(1.0))
    if not isinstance(symbol, Comparison):
        context.refuse(*refusal_of("Not"))
    return replace(symbol, margin=negative(symbol.margin), strict=not symbol.strict)


def lower_where(context: NodeContext) -> Symbol:
    """Where by a constant mask, or in the forms in which exporters and models write out what needs no choice.

    These are a function of two straight pieces, PyTorch's Softplus (x beyond a threshold, softplus(x) before it), and
    Keras' indices (i + n for negative i, else i), of which negative ones are refused with the data.
    """
    if (codes := _counted_from_the_end(context)) is not None:
        return codes
    inputs = [context.encoding.numbers(s) if isinstance(s, View) and is_original(s) else s for s in context.inputs]
    context = replace(context, inputs=inputs)
    match inputs:
        case [np.ndarray() as mask, _, _]:
            return added(context, _kept(context, 1, mask), _kept(context, 2, ~mask))
        case [Comparison(margin=margin), View() as chosen, View() as other]:
            if _is_softplus(context, margin, chosen, other):
                return other
    return _bent(context) or context.refuse(
        "it chooses between values of the model", "Use Relu, LeakyRelu, Elu, Softplus, or Max."
    )


def _counted_from_the_end(context: NodeContext) -> View | None:
    """Return the integers i of the data where i + n is chosen for negative ones; None for anything else."""
    condition, chosen, codes = context.inputs
    if not isinstance(condition, Comparison) or not isinstance(codes, View) or not context.encoding.is_whole(codes):
        return None
    numbers = context.encoding.numbers(codes)
    shifted = affine_of(chosen, numbers) if isinstance(chosen, View) else None
    negative_ones = affine_of(condition.margin, numbers) == (-1, 0) and condition.strict
    return codes if negative_ones and shifted is not None and shifted[0] == 1 else None


def _bent(context: NodeContext) -> View | None:
    """Return what is one straight line of a value where that is positive, and another one that meets it elsewhere."""
    condition = context.inputs[0]
    if not isinstance(condition, Comparison):
        return None
    margin = condition.margin
    lines = [_line(symbol, margin) for symbol in context.inputs[1:]]
    if lines[0] is None or lines[1] is None or not math.isclose(lines[0][1], lines[1][1], abs_tol=SAME_POINT):
        return None
    (above, _), (below, shift) = lines[0], lines[1]
    bend = context.builder.activation(margin, ActivationKind.RELU).scaled(np.asarray(above - below))
    straight = margin.scaled(np.asarray(below)).shifted(np.asarray(shift))
    return added(context, bend, straight) if below else bend.shifted(np.asarray(shift))


def _line(symbol: Symbol | None, margin: View) -> tuple[float, float] | None:
    """Return slope and shift of a value, or of one constant, as a line of the margin; None where it is none."""
    if isinstance(symbol, np.ndarray):
        return (0.0, float(symbol.item())) if symbol.size == 1 and symbol.dtype.kind in "fiu" else None
    return affine_of(symbol, margin) if isinstance(symbol, View) and symbol.shape == margin.shape else None


def _kept(context: NodeContext, index: int, mask: NDArray[np.bool_]) -> View | NDArray[np.float64]:
    """Return an input where a mask is set, and 0 elsewhere."""
    if isinstance(context.inputs[index], np.ndarray):
        return np.where(mask, context.constant(index, "value"), 0.0)
    view, factor = meeting(context, context.view(index), mask.astype(np.float64))
    return view.scaled(factor)


def _is_softplus(context: NodeContext, margin: View, chosen: View, other: View) -> bool:
    """Whether `other` is a softplus, and `chosen`, where the margin is positive, the line that it comes near to."""
    made = context.builder.elementwise_result(other)
    if made is None or not isinstance(made.node, Activation) or made.node.kind is not ActivationKind.SOFTPLUS:
        return False
    argument = made.operands[0]
    beyond, curve, line = affine_of(margin, argument), affine_of(other, made.view), affine_of(chosen, argument)
    if beyond is None or curve is None or line is None or beyond[0] <= 0:
        return False
    threshold = -beyond[1] / beyond[0]
    return threshold >= STRAIGHT_SOFTPLUS and np.allclose(curve, line, rtol=1e-3, atol=1e-3)
