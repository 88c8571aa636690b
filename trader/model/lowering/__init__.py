"""ONNX to graph: what a model computes, apart from the parameters that it computes it with.

`lower_model` walks the file once. `symbols` says what a tensor stands for meanwhile, `operators` who handles which
operator, `refusals` what is said of the others, `builder` grows the graph (over `draft` and `layers`), `assembly` gives
it its canonical form.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper

from trader.model.errors import UnsafeModelError
from trader.model.graph import INPUT, Graph
from trader.model.grid import Grid
from trader.model.lowering.assembly import assemble
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.constants import fold_constants
from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.draft import LinearParameters, Origin, TooLargeError
from trader.model.lowering.operators import HANDLERS, MOVES
from trader.model.lowering.refusals import refusal_of
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.lowering.tail import moved_tail, post_processing_of
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
        origins: operator and name of the ONNX node behind each node of the graph, for messages.
        grid: the bins that an ensemble of trees reads in the place of numbers, once it has them (`fit_grid`).
    """

    graph: Graph
    parameters: tuple[LinearParameters, ...] = field(repr=False)
    post_processing: PostProcessing
    sample_shape: tuple[int, ...]
    input_exponents: tuple[int, ...] = ()
    origins: tuple[Origin, ...] = ()
    grid: Grid | None = None


def lower_model(model: onnx.ModelProto) -> LoweredModel:
    """Lower a checked model (see `trader.model.loading`).

    Scores of two classes become a single logit; a final softmax, sigmoid or argmax becomes post-processing.

    Raises:
        UnsupportedOperatorError: names operator, node, and the nearest alternative.
        UnsafeModelError: the model's inputs or outputs aren't of a kind that can be traded.
    """
    nodes, read = _needed(model.graph)
    source, batch, sample_shape = _sample_input(model.graph, read)
    features = math.prod(sample_shape)
    builder = GraphBuilder(features)
    symbols: dict[str, Symbol] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    symbols[source] = View((INPUT,), sample_shape)
    opsets = {item.domain: item.version for item in model.opset_import}
    for node in nodes:
        opset = opsets.get("" if node.domain == "ai.onnx" else node.domain, 1)
        inputs = [symbols[name] if name else None for name in node.input]
        context = NodeContext(node, inputs, builder, opset, batch)
        results = _lower_node(context)
        for name in node.output[len(results) :]:
            if name in read:
                context.refuse(
                    f"its output '{name}' is not computed", "Export for inference, with its first output alone."
                )
        symbols.update(zip(node.output, results, strict=False))
    value, post_processing = post_processing_of([symbols[output.name] for output in model.graph.output])
    try:
        made = assemble(builder, value.reshaped((value.size,)), features)
    except TooLargeError as error:
        raise UnsafeModelError(f"the model's outputs can't be computed: {error}; simplify its last layers") from error
    if not made.parameters:
        raise UnsafeModelError("the model has no parameters, so there is nothing to trade")
    return LoweredModel(
        made.graph,
        made.parameters,
        post_processing.model_copy(update={"exponent": made.output_exponent}),
        sample_shape,
        made.input_exponents,
        made.origins,
    )


def _needed(graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes that an output depends on, and the names of all values that they or the outputs read."""
    read = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            nodes.append(node)
            read.update(name for name in node.input if name)
    return nodes[::-1], read


def _sample_input(graph: onnx.GraphProto, read: set[str]) -> tuple[str, int, tuple[int, ...]]:
    """Name, number of samples (0 if open) and per-sample shape of the only input that is read."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name in read - constants]
    if len(inputs) != 1:
        names = ", ".join(f"'{value.name}'" for value in inputs)
        raise UnsafeModelError(
            f"the model reads {len(inputs)} inputs{': ' + names if names else ''}; it must read one; "
            "export it with a single input [None, features]"
        )
    dims = inputs[0].type.tensor_type.shape.dim
    shape = tuple(int(dim.dim_value) for dim in dims[1:])
    if len(dims) < 2 or 0 in shape:
        raise UnsafeModelError(
            f"input '{inputs[0].name}' must have shape [batch, features, …] with only the batch left open; export it so"
        )
    return inputs[0].name, int(dims[0].dim_value), shape


def _lower_node(context: NodeContext) -> tuple[Symbol, ...]:
    """Return what the outputs of a node stand for."""
    if all(symbol is None or isinstance(symbol, np.ndarray) for symbol in context.inputs):
        return fold_constants(context)
    node, source = context.node, context.inputs[0]
    operator = operator_name(node)
    handler = HANDLERS.get(operator)
    if handler is None:
        context.refuse(*refusal_of(operator))
    context.builder.draft.origin = Origin(operator, node_name(node))
    try:
        if isinstance(source, Tail) and source.kind is not PostProcessingKind.ARGMAX and operator in MOVES:
            return moved_tail(context, source, handler)
        results = handler(context)
    except TooLargeError as error:
        context.refuse(str(error))
    return results if isinstance(results, tuple) else (results,)
