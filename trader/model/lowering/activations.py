"""Handlers of activation functions that are not polynomial."""

import math

import numpy as np

from trader.model.functions import ActivationKind
from trader.model.lowering.arithmetic import added, meeting
from trader.model.lowering.choices import larger, smaller
from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Symbol, Tail
from trader.model.lowering.tail import POSITIVE
from trader.model.postprocessing import PostProcessingKind

SMALL = 1e-6
"""Lengths below are 0 for all that matters."""

_DEFAULTS: dict[str, tuple[ActivationKind, dict[str, float]]] = {
    "Relu": (ActivationKind.RELU, {}),
    "LeakyRelu": (ActivationKind.LEAKY_RELU, {"alpha": 0.01}),
    "Elu": (ActivationKind.ELU, {"alpha": 1.0}),
    "Tanh": (ActivationKind.TANH, {}),
    "Softplus": (ActivationKind.SOFTPLUS, {}),
    "HardSigmoid": (ActivationKind.HARD_SIGMOID, {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": (ActivationKind.HARD_SWISH, {}),
    "Erf": (ActivationKind.ERF, {}),
}
"""Operators, and their attributes with the defaults of the ONNX standard."""


def lower_activation(context: NodeContext) -> Symbol:
    """Operators with scalar attributes."""
    kind, defaults = _DEFAULTS[context.node.op_type]
    parameters = {name: float(context.attribute(name, value)) for name, value in defaults.items()}
    return context.builder.activation(context.view(), kind, **parameters)


def lower_gelu(context: NodeContext) -> Symbol:
    """Gelu, exact or by tanh."""
    approximate = context.attribute("approximate", "none")
    kinds = {"none": ActivationKind.GELU, "tanh": ActivationKind.GELU_TANH}
    return context.builder.activation(context.view(), kinds[approximate])


def lower_selu(context: NodeContext) -> Symbol:
    """Selu: gamma·elu(x)."""
    alpha, gamma = (context.attribute(name, default) for name, default in _SELU.items())
    result = context.builder.activation(context.view(), ActivationKind.ELU, float(alpha))
    return result.scaled(np.asarray(float(gamma)))


_SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}
"""The standard's defaults."""


def lower_celu(context: NodeContext) -> Symbol:
    """Celu: alpha·elu(x/alpha)."""
    alpha = float(context.attribute("alpha", 1.0))
    if alpha == 0:
        context.refuse("its alpha is 0", "Use Elu.")
    inner = context.view().scaled(np.asarray(1 / alpha))
    return context.builder.activation(inner, ActivationKind.ELU, 1.0).scaled(np.asarray(alpha))


def lower_prelu(context: NodeContext) -> Symbol:
    """PRelu: x for positive x, else slope·x, which is LeakyRelu if there is one slope only."""
    view, slope = context.view(), context.constant(1, "slope")
    if slope.size == 1:
        return context.builder.activation(view, ActivationKind.LEAKY_RELU, float(slope.item()))
    x, slopes = meeting(context, view, slope)
    positive = context.builder.activation(x, ActivationKind.RELU)
    return added(context, positive.scaled(1 - slopes), x.scaled(slopes))


def lower_abs(context: NodeContext) -> Symbol:
    """Abs: |x| = 2·relu(x) - x, whose proof is exact; nothing of probabilities, which are positive."""
    symbol = context.inputs[0]
    if isinstance(symbol, Tail) and symbol.kind in POSITIVE:
        return symbol
    view = context.view()
    positive = context.builder.activation(view, ActivationKind.RELU)
    return added(context, positive.scaled(np.asarray(2.0)), view.scaled(np.asarray(-1.0)))


def lower_mish(context: NodeContext) -> Symbol:
    """Mish: x·tanh(softplus(x))."""
    view = context.view()
    gate = context.builder.activation(context.builder.activation(view, ActivationKind.SOFTPLUS), ActivationKind.TANH)
    return context.builder.multiply(view, gate)


def lower_clip(context: NodeContext) -> Symbol:
    """Clip; Relu6 is Clip between 0 and 6, Relu is Clip at 0 alone, and one bound is Max or Min with it."""
    symbol = context.inputs[0]
    low, high = _bound(context, "min", 1, -math.inf), _bound(context, "max", 2, math.inf)
    if isinstance(symbol, Tail) and symbol.kind is PostProcessingKind.L2_NORM and low < SMALL and math.isinf(high):
        return symbol  # exporters keep a length away from 0 before they divide by it
    view = context.view()
    if math.isinf(low) and math.isinf(high):
        return view
    if math.isinf(high):
        return larger(context, view, np.asarray(low))
    if math.isinf(low):
        return smaller(context, view, np.asarray(high))
    if low >= high:
        context.refuse(
            f"its bounds {low:g} and {high:g} leave nothing between them", "Give a lower and a higher bound."
        )
    return context.builder.activation(view, ActivationKind.CLIP, low, high)


def _bound(context: NodeContext, name: str, index: int, default: float) -> float:
    """Return a bound of Clip, infinite if it is left out or the largest float32."""
    bound = float(context.constant(index, name).item()) if context.has(index) else context.attribute(name, default)
    return float(bound) if abs(bound) < np.finfo(np.float32).max else math.copysign(math.inf, bound)
