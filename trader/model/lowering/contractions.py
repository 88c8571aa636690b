"""Handler of Einsum with constants: a linear layer, whatever its letters say.

The letters of the sample are of three kinds. Those that the result has and the constant has not are positions, at which
the same weights stand; those that all three have are groups, each with weights of its own; those that the constant
has and the result has not are summed over. What is left of the constant's letters are the outputs.
"""

import math

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Symbol, View

_ALTERNATIVE = "Use MatMul or Gemm with a constant matrix."
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lower_einsum(context: NodeContext) -> Symbol:
    """Einsum of a value of the model and a constant, in either order."""
    constant = [isinstance(symbol, np.ndarray) for symbol in context.inputs]
    if sorted(constant) != [False, True]:
        context.refuse("it multiplies values of the model with each other, as attention does", _ALTERNATIVE)
    place = constant.index(True)
    view, weights = context.view(1 - place), context.constant(place, "matrix")
    ranks = (weights.ndim, len(view.shape) + 1) if place == 0 else (len(view.shape) + 1, weights.ndim)
    terms, result = _parsed(context, str(context.attribute("equation")), ranks)
    return _contracted(context, view, weights, terms[1 - place], terms[place], result)


def _parsed(context: NodeContext, equation: str, ranks: tuple[int, ...]) -> tuple[list[str], str]:
    """Return the letters of the operands and of the result, those of an ellipsis written out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks) or not arrow or equation.count("...") > len(ranks) + 1:
        context.refuse(f"its equation is '{equation}'", "Write it as 'nf,fo->no', with what it gives.")
    wide = max((rank - len(t) + 3 for t, rank in zip(terms, ranks, strict=True) if "..." in t), default=0)
    free = [letter for letter in _LETTERS if letter not in equation][:wide]
    terms = [
        t.replace("...", "".join(free[wide - (rank - len(t) + 3) :])) for t, rank in zip(terms, ranks, strict=True)
    ]
    right = right.replace("...", "".join(free))
    if any(len(term) != rank for term, rank in zip(terms, ranks, strict=True)):
        context.refuse(f"its equation '{equation}' does not suit what it reads", _ALTERNATIVE)
    return terms, right


def _contracted(
    context: NodeContext, view: View, weights: NDArray[np.float64], sample: str, matrix: str, result: str
) -> View:
    """Return the layer: `sample` and `result` begin with the letter of the samples."""
    letters = [*sample, *matrix]
    known = len(set(sample)) == len(sample) and len(set(matrix)) == len(matrix) and len(set(result)) == len(result)
    if not known or sample[0] in matrix or not result.startswith(sample[0]) or not set(result) <= set(letters):
        context.refuse("it mixes samples, or takes a diagonal", _ALTERNATIVE)
    inner = sample[1:]
    summed = [x for x in inner if x in matrix and x not in result]
    groups = [x for x in inner if x in matrix and x in result]
    positions = [x for x in inner if x not in matrix]
    outputs = [x for x in matrix if x not in inner]
    if any(x not in result for x in (*positions, *outputs)):
        context.refuse("it sums over what only one of the two has", "Sum with ReduceSum before or after it.")
    sizes = dict(zip(inner, view.shape, strict=True))
    sizes |= {x: size for x, size in zip(matrix, weights.shape, strict=True) if x not in sizes}
    if any(size != sizes[x] for x, size in zip(matrix, weights.shape, strict=True)):
        context.refuse(f"a constant of shape {list(weights.shape)} meets samples of shape {list(view.shape)}")

    def product(chosen: list[str]) -> int:
        return math.prod(sizes[x] for x in chosen)

    read = view.transposed(tuple(inner.index(x) for x in (*positions, *groups, *summed)))
    read = read.reshaped((product(positions), product(groups), product(summed)))
    kernel = weights.transpose([matrix.index(x) for x in (*groups, *summed, *outputs)])
    kernel = kernel.reshape(product(groups), product(summed), product(outputs))
    made = context.builder.linear(read, kernel, np.zeros((product(groups), product(outputs))))
    order = [*positions, *groups, *outputs]
    return made.reshaped(tuple(sizes[x] for x in order)).transposed(tuple(order.index(x) for x in result[1:]))
