"""Recognises what a file computes of the decisions of pairs of classes, by what it makes of examples.

scikit-learn's converter writes votes, and how clear they were, as dozens of nodes that take columns apart, compare and
add them. They depend on nothing but the decisions, so that they can be computed as constants are, of examples in the
place of decisions; what they make of all examples tells which last step they are together. Nodes that agree on these
and differ on others are taken for it as well: what a package is held to on the seller's data
(`trader.package.fidelity`) is the one that finds them.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.constants import fold_constants
from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Symbol, Tail, Traced
from trader.model.postprocessing import PostProcessing, PostProcessingKind

EXAMPLES = 96
TOLERANCE = 1e-4
"""Of scores that are computed in float32 from decisions of up to a thousand."""

_ELSEWHERE = frozenset({"ZipMap", "Shape"})
"""Operators that take a last step as a whole, or ask for the number of samples."""


def follows_pairs(context: NodeContext) -> bool:
    """Whether a node reads decisions of pairs of classes and, beside them, constants alone."""
    if context.node.op_type in _ELSEWHERE:
        return False
    depends = [symbol for symbol in context.inputs if symbol is not None and not isinstance(symbol, np.ndarray)]
    sources = {_source(symbol) for symbol in depends}
    return len(sources) == 1 and None not in sources


def traced(context: NodeContext) -> tuple[Symbol, ...]:
    """Return what a node makes of decisions of pairs: a last step if it is known by what it gives, else a step to one.

    Raises:
        UnsupportedOperatorError: it can't be computed.
    """
    source = next(found for symbol in context.inputs if (found := _source(symbol)) is not None)
    results = fold_constants(replace(context, inputs=[_values(symbol) for symbol in context.inputs]))
    return tuple(_recognised(source, values) for values in results)


def _source(symbol: Symbol | None) -> Tail | None:
    """Return the decisions that a symbol is made of; None for any other."""
    if isinstance(symbol, Traced):
        return symbol.source
    pairs = isinstance(symbol, Tail) and symbol.kind is PostProcessingKind.ONE_VS_ONE and symbol.column is None
    return symbol if pairs and isinstance(symbol, Tail) else None


def _values(symbol: Symbol | None) -> Symbol | None:
    if isinstance(symbol, Traced):
        return symbol.values
    return _applied(PostProcessingKind.ONE_VS_ONE, symbol.value.size) if isinstance(symbol, Tail) else symbol


def _recognised(source: Tail, values: NDArray[Any]) -> Symbol:
    for kind in (PostProcessingKind.ONE_VS_ONE, PostProcessingKind.ONE_VS_ONE_SCORES):
        expected = _applied(kind, source.value.size)
        if values.shape == expected.shape and np.allclose(values, expected, rtol=TOLERANCE, atol=TOLERANCE):
            return source if kind is source.kind else replace(source, kind=kind)
    return Traced(source, values)


@cache
def _applied(kind: PostProcessingKind, pairs: int) -> NDArray[np.float32]:
    """Return what a last step makes of the examples: decisions of all sizes and signs, some of them 0."""
    rng = np.random.default_rng(0)
    decisions = rng.normal(size=(EXAMPLES, pairs)) * 10 ** rng.uniform(-2, 2.5, size=(EXAMPLES, 1))
    decisions[rng.random(decisions.shape) < 0.1] = 0
    decisions[0] = 0
    made = PostProcessing(kind=kind).apply(decisions.astype(np.float32)).astype(np.float32)
    made.flags.writeable = False
    return made
