"""ONNX to graph: what a model computes, apart from the parameters that it computes it with.

`lower_model` walks the file once. `symbols` says what a tensor stands for meanwhile, `operators` who handles which
operator, `builder` grows the graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from trader.model.errors import UnsafeModelError, UnsupportedOperatorError
from trader.model.graph import INPUT, Graph
from trader.model.lowering.builder import GraphBuilder, LinearParameters
from trader.model.lowering.context import NodeContext
from trader.model.lowering.operators import HANDLERS, alternative_to
from trader.model.lowering.symbols import Affine, Symbol, Tail
from trader.model.postprocessing import PostProcessing, PostProcessingKind

__all__ = ["LinearParameters", "LoweredModel", "lower_model"]


@dataclass(frozen=True, slots=True)
class LoweredModel:
    """A model taken apart.

    Attributes:
        graph: what is computed; its `parameters` name no salt yet.
        parameters: secret; one per `Linear`, in canonical order.
        post_processing: what was cut off at the end.
        sample_shape: shape of one sample in the ONNX file; the graph reads it flat, in row-major order.
        input_exponents: e_j per feature: the graph reads x_j·2^e_j. Empty when all are 0. They bring features that the
            model standardises onto the input grid, and tell no more of the training data than the order of its spread.
    """

    graph: Graph
    parameters: tuple[LinearParameters, ...] = field(repr=False)
    post_processing: PostProcessing
    sample_shape: tuple[int, ...]
    input_exponents: tuple[int, ...] = ()


def lower_model(model: onnx.ModelProto) -> LoweredModel:
    """Lower a checked model (see `trader.model.loading`).

    Scores of two classes become a single logit; a final softmax, sigmoid or argmax becomes post-processing.

    Raises:
        UnsupportedOperatorError: names operator, node, and the nearest alternative.
        UnsafeModelError: the model's inputs or outputs aren't of a kind that can be traded.
    """
    source, sample_shape = _sample_input(model.graph)
    builder = GraphBuilder(int(np.prod(sample_shape)))
    symbols: dict[str, Symbol] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    symbols[source] = Affine(INPUT, sample_shape)
    opsets = {item.domain: item.version for item in model.opset_import}
    for node in model.graph.node:
        results = _lower_node(node, symbols, builder, opsets)
        symbols.update(zip(node.output, results, strict=False))
    return _finish(builder, [symbols[output.name] for output in model.graph.output], sample_shape)


def _sample_input(graph: onnx.GraphProto) -> tuple[str, tuple[int, ...]]:
    """Name and per-sample shape of the model's only input."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise UnsafeModelError(
            f"the model has {len(inputs)} inputs, it must have one; export it with a single input [None, features]"
        )
    dims = inputs[0].type.tensor_type.shape.dim
    shape = tuple(int(dim.dim_value) for dim in dims[1:])
    if len(dims) < 2 or 0 in shape:
        raise UnsafeModelError(
            f"input '{inputs[0].name}' must have shape [batch, features, …] with only the batch left open; export it so"
        )
    return inputs[0].name, shape


def _lower_node(
    node: onnx.NodeProto, symbols: Mapping[str, Symbol], builder: GraphBuilder, opsets: Mapping[str, int]
) -> tuple[Symbol, ...]:
    """What the outputs of a node stand for."""
    inputs = [symbols[name] if name else None for name in node.input]
    domain = "" if node.domain == "ai.onnx" else node.domain
    context = NodeContext(node, inputs, builder, opsets.get(domain, 1))
    present = [symbol for symbol in inputs if symbol is not None]
    if all(isinstance(symbol, np.ndarray) for symbol in present):
        return _fold(node, inputs, opsets)
    handler = HANDLERS.get(context.operator)
    if handler is None:
        raise UnsupportedOperatorError(
            context.operator, context.name, "it can't be evaluated encrypted", alternative_to(context.operator)
        )
    results = handler(context)
    return results if isinstance(results, tuple) else (results,)


def _fold(
    node: onnx.NodeProto, inputs: list[Symbol | None], opsets: Mapping[str, int]
) -> tuple[NDArray[np.generic], ...]:
    """The value of a node that reads constants only."""
    evaluator = ReferenceEvaluator(node, opsets=dict(opsets))
    feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
    return tuple(np.asarray(result) for result in evaluator.run(None, feeds))


def _finish(builder: GraphBuilder, outputs: list[Symbol], sample_shape: tuple[int, ...]) -> LoweredModel:
    tails = [symbol for symbol in outputs if isinstance(symbol, Tail)]
    values = {tail.value for tail in tails} | {symbol for symbol in outputs if isinstance(symbol, Affine)}
    if len(values) != 1 or any(tail.complement for tail in tails):
        raise UnsafeModelError(
            f"the model's outputs stand for {len(values)} different values, they must come from one; "
            "export it with a single output"
        )
    (value,) = values
    built = builder.finish(Affine(value.base, (int(np.prod(value.shape)),), _ravel(value.scale), _ravel(value.offset)))
    if not built.parameters:
        raise UnsafeModelError("the model has no parameters, so there is nothing to trade")
    return LoweredModel(
        built.graph,
        built.parameters,
        _post_processing(tails, built.output_exponent),
        sample_shape,
        built.input_exponents,
    )


def _post_processing(tails: list[Tail], exponent: int) -> PostProcessing:
    """Post-processing that stands for all outputs: probabilities tell more than classes."""
    kinds = sorted((tail.kind for tail in tails), key=lambda kind: kind is PostProcessingKind.ARGMAX)
    labels = next((tail.labels for tail in tails if tail.labels), ())
    return PostProcessing(kind=kinds[0] if kinds else PostProcessingKind.NONE, labels=labels, exponent=exponent)


def _ravel(array: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    return None if array is None else array.ravel()
