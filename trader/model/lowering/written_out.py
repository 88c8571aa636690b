"""Last steps that files write out in several operators: sigmoids by exponentials, norms, shares of a sum."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import ActivationKind
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.context import NodeContext
from trader.model.lowering.refusals import refusal_of
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.nodes import Activation, Sum
from trader.model.postprocessing import PostProcessingKind


def score_before(symbol: Symbol | None, threshold: NDArray[np.float64]) -> tuple[View, NDArray[np.float64]] | None:
    """Return a score, and where it is as its sigmoid or exponential is at a threshold; None for anything else."""
    if not isinstance(symbol, Tail):
        return None
    if symbol.kind is PostProcessingKind.SIGMOID and np.all((threshold > 0) & (threshold < 1)):
        value = symbol.value.scaled(np.asarray(-1.0)) if symbol.complement else symbol.value
        return value, np.asarray(np.log(threshold) - np.log1p(-threshold))
    if symbol.kind is PostProcessingKind.EXP and np.all(threshold > 0):
        return symbol.value, np.asarray(np.log(threshold))
    return None


def by_its_norm(context: NodeContext) -> Symbol | None:
    """Return outputs divided by their own length, as exporters write it out; None for anything else."""
    left, right = context.inputs[:2]
    if not isinstance(left, View) or not isinstance(right, Tail) or right.kind is not PostProcessingKind.L2_NORM:
        return None
    return replace(right, kind=PostProcessingKind.UNIT) if left.equals(right.value) else None


def scaled_tail(context: NodeContext, index: int) -> Tail | None:
    """Return a tail times a constant, the other operand: by 1 as it is, an exponential e^z·c as e^(z + log c).

    So LightGBM's and XGBoost's converters write probabilities and counts. None for anything else.
    """
    tail, factor = context.inputs[index], context.constant(1 - index, "factor")
    if not isinstance(tail, Tail):
        return None
    if np.all(factor == 1) and factor.size == 1:
        return tail
    if tail.kind is PostProcessingKind.EXP and factor.size == 1 and factor.item() > 0:
        return replace(tail, value=tail.value.shifted(np.log(factor.ravel())))
    return None


def shifted_exp(context: NodeContext, tail: Symbol | None, constant: NDArray[np.float64]) -> Tail | None:
    """Return 1 + e^z, as models write out a sigmoid or softplus: e^softplus(z). None for anything else.

    Nothing is computed of the softplus where the sigmoid is recognised in the end (`reciprocal_exp`).
    """
    if not isinstance(tail, Tail) or tail.kind is not PostProcessingKind.EXP or not np.all(constant == 1):
        return None
    return replace(tail, value=context.builder.activation(tail.value, ActivationKind.SOFTPLUS))


def reciprocal_exp(context: NodeContext, tail: Symbol | None) -> Tail | None:
    """Return 1/e^z = e^-z, and the sigmoid that 1/(1 + e^z) is of -z; None for anything else."""
    if not isinstance(tail, Tail) or tail.kind is not PostProcessingKind.EXP:
        return None
    negative = np.asarray(-1.0)
    made = context.builder.elementwise_result(tail.value)
    if made is None or not isinstance(made.node, Activation) or made.node.kind is not ActivationKind.SOFTPLUS:
        return replace(tail, value=tail.value.scaled(negative))
    if not made.view.equals(tail.value):
        return replace(tail, value=tail.value.scaled(negative))
    return replace(tail, kind=PostProcessingKind.SIGMOID, value=made.operands[0].scaled(negative))


def lower_reciprocal(context: NodeContext) -> Symbol:
    """Reciprocal of an exponential, or of 1 + e^z."""
    made = reciprocal_exp(context, context.inputs[0])
    return context.refuse(*refusal_of("Reciprocal")) if made is None else made


def normalised(tail: Tail) -> Tail:
    """Return a tail's columns, divided by their sum, which is 1 already unless they are sigmoids."""
    if tail.kind is PostProcessingKind.SIGMOID:
        return replace(tail, kind=PostProcessingKind.ONE_VS_REST)
    return tail


def is_total(builder: GraphBuilder, tail: Tail, view: View) -> bool:
    """Whether a view is the sum of the columns of a tail of sigmoids."""
    return total_of_sigmoids(builder, view) is tail.value


def total_of_sigmoids(builder: GraphBuilder, view: View) -> View | None:
    """Return the scores whose sigmoids a view is the sum of; None if it is none."""
    total = builder.draft.nodes.get(view.bases[0]) if view.is_plain and len(view.bases) == 1 else None
    if not isinstance(total, Sum) or view.size != 1:
        return None
    made = builder.elementwise_result(View(total.inputs, (total.terms,)))
    if made is None or not isinstance(made.node, Activation) or made.node.kind is not ActivationKind.SIGMOID:
        return None
    return made.operands[0] if made.operands[0].shape == (total.terms,) else None


def lower_log(context: NodeContext) -> Symbol:
    """Log of a sigmoid, as PyTorch writes LogSigmoid: log(sigmoid(x)) = -softplus(-x). Of a softmax, LogSoftmax.

    Of an exponential, what it is of: log(1 + exp(x)) = softplus(x) (`shifted_exp`).
    """
    match context.inputs[0]:
        case Tail(kind=PostProcessingKind.EXP, value=value):
            return value
        case Tail(kind=PostProcessingKind.SIGMOID, value=value, complement=complement):
            inner = value if complement else value.scaled(np.asarray(-1.0))
            return context.builder.activation(inner, ActivationKind.SOFTPLUS).scaled(np.asarray(-1.0))
        case Tail(kind=PostProcessingKind.SOFTMAX, column=None) as tail:
            return replace(tail, kind=PostProcessingKind.LOG_SOFTMAX)
    return context.refuse(*refusal_of("Log"))
