"""Handlers of operators that choose between values: Max, Min, and Where by a comparison.

Comparisons can't be evaluated encrypted. Max and Min are what Relu makes of a difference; Where is supported in the
form in which exporters write out an activation.
"""

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import ActivationKind
from trader.model.lowering.arithmetic import added, meeting
from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.gates import affine_of
from trader.model.lowering.symbols import Comparison, Symbol, Tail, View
from trader.model.nodes import Activation
from trader.model.postprocessing import PostProcessingKind

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
    view, threshold = _before(context.inputs[index], threshold) or (context.view(index), threshold)
    greater = context.node.op_type.startswith("Greater") != constant_first
    margin = added(context, view, -threshold)
    strict = not context.node.op_type.endswith("OrEqual")
    kept = margin if greater else negative(margin)
    return Comparison(kept, strict, operator_name(context.node), node_name(context.node))


def _before(symbol: Symbol | None, threshold: NDArray[np.float64]) -> tuple[View, NDArray[np.float64]] | None:
    """Return a score, and where it is as its sigmoid or exponential is at a threshold; None for anything else."""
    if not isinstance(symbol, Tail):
        return None
    if symbol.kind is PostProcessingKind.SIGMOID and np.all((threshold > 0) & (threshold < 1)):
        value = negative(symbol.value) if symbol.complement else symbol.value
        return value, np.asarray(np.log(threshold) - np.log1p(-threshold))
    if symbol.kind is PostProcessingKind.EXP and np.all(threshold > 0):
        return symbol.value, np.asarray(np.log(threshold))
    return None


def lower_where(context: NodeContext) -> Symbol:
    """Where, by a constant mask, or as PyTorch writes Softplus: x beyond a threshold, softplus(x) before it."""
    match context.inputs:
        case [np.ndarray() as mask, _, _]:
            return added(context, _kept(context, 1, mask), _kept(context, 2, ~mask))
        case [Comparison(margin=margin), View() as chosen, View() as other]:
            if _is_softplus(context, margin, chosen, other):
                return other
    return context.refuse("it chooses between values of the model", "Use Relu, LeakyRelu, Elu, Softplus, or Max.")


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
