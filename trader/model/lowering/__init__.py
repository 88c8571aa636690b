"""ONNX to graph: what a model computes, apart from the parameters that it computes it with.

`lower_model` walks the file once. `symbols` says what a tensor stands for meanwhile, `operators` who handles which
operator, `refusals` what is said of the others, `builder` grows the graph (over `draft` and `layers`), `assembly` gives
it its canonical form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from trader.model.columns import Column
from trader.model.errors import UnsafeModelError
from trader.model.graph import Graph
from trader.model.grid import Grid
from trader.model.interface import Interface
from trader.model.lowering.assembly import assemble
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.constants import fold_constants
from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.draft import LinearParameters, Origin, TooLargeError
from trader.model.lowering.encoding import Encoding, MissingFeaturesError, is_original, original_columns
from trader.model.lowering.operators import COLUMN_MOVES, HANDLERS, MOVES, READS_COLUMNS, Handler
from trader.model.lowering.refusals import refusal_of
from trader.model.lowering.structure import INTEGER_TYPES
from trader.model.lowering.symbols import Comparison, Rounded, Symbol, Tail, View
from trader.model.lowering.tail import moved_tail, post_processing_of
from trader.model.lowering.tensors import interface_of
from trader.model.lowering.tracing import follows_pairs, traced
from trader.model.postprocessing import PostProcessing

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
        columns: of the original data, which the features stand for; empty where they are the features themselves.
        grid: the bins that an ensemble of trees reads in the place of numbers, once it has them (`fit_grid`).
        interface: names, types and shapes of the file's inputs and outputs; None for a model that is from no file.
    """

    graph: Graph
    parameters: tuple[LinearParameters, ...] = field(repr=False)
    post_processing: PostProcessing
    sample_shape: tuple[int, ...]
    input_exponents: tuple[int, ...] = ()
    origins: tuple[Origin, ...] = ()
    columns: tuple[Column, ...] = ()
    grid: Grid | None = None
    interface: Interface | None = None


def lower_model(model: onnx.ModelProto) -> LoweredModel:
    """Lower a checked model (see `trader.model.loading`).

    Scores of two classes become a single logit; a final softmax, sigmoid or argmax becomes post-processing; columns
    that name categories become features of 0 and 1.

    Raises:
        UnsupportedOperatorError: names operator, node, and the nearest alternative.
        UnsafeModelError: the model's inputs or outputs aren't of a kind that can be traded.
    """
    nodes, read = _needed(model.graph)
    columns, sources, batch = original_columns(_sample_inputs(model.graph, read))
    while True:
        try:
            return _lower(model, nodes, read, Encoding.of(columns), sources, batch)
        except MissingFeaturesError as missing:
            columns = missing.columns


def _lower(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    read: set[str],
    encoding: Encoding,
    sources: Mapping[str, View],
    batch: int,
) -> LoweredModel:
    """Lower a model whose columns have the features that an encoding says.

    Raises:
        MissingFeaturesError: they don't suffice.
    """
    features = encoding.features
    builder = GraphBuilder(features, len(encoding.columns))
    symbols: dict[str, Symbol] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    symbols.update(sources)
    opsets = {item.domain: item.version for item in model.opset_import}
    for node in nodes:
        opset = opsets.get("" if node.domain == "ai.onnx" else node.domain, 1)
        inputs = [symbols[name] if name else None for name in node.input]
        context = NodeContext(node, inputs, builder, opset, batch, encoding)
        results = _lower_node(context)
        for name in node.output[len(results) :]:
            if name in read:
                context.refuse(
                    f"its output '{name}' is not computed", "Export for inference, with its first output alone."
                )
        symbols.update(zip(node.output, results, strict=False))
    outputs = [as_features(symbols[output.name], encoding) for output in model.graph.output]
    value, post_processing, kept = post_processing_of(builder, [output.name for output in model.graph.output], outputs)
    try:
        made = assemble(builder, value.reshaped((value.size,)), features)
    except TooLargeError as error:
        raise UnsafeModelError(f"the model's outputs can't be computed: {error}; simplify its last layers") from error
    if not made.parameters:
        raise UnsafeModelError("the model has no parameters, so there is nothing to trade")
    trivial = encoding.is_trivial
    (first, *_) = sources.values()
    return LoweredModel(
        made.graph,
        made.parameters,
        post_processing.model_copy(update={"exponent": made.output_exponent}),
        first.shape if trivial else (features,),
        made.input_exponents,
        made.origins,
        () if trivial else encoding.columns,
        interface=interface_of(model, read, kept, post_processing, made.graph.outputs),
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


def _sample_inputs(graph: onnx.GraphProto, read: set[str]) -> list[onnx.ValueInfoProto]:
    """Return the inputs that are read, and are no parameters."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name in read - constants]
    if not inputs:
        raise UnsafeModelError("the model reads no inputs; export it with an input [None, features]")
    return inputs


def _lower_node(context: NodeContext) -> tuple[Symbol, ...]:
    """Return what the outputs of a node stand for."""
    if all(symbol is None or isinstance(symbol, np.ndarray) for symbol in context.inputs):
        return fold_constants(context)
    node, operator = context.node, operator_name(context.node)
    context = _with_features(context, operator)
    source = context.inputs[0]
    if follows_pairs(context):
        return traced(context)
    handler = HANDLERS.get(operator)
    if handler is None:
        context.refuse(*refusal_of(operator))
    context.builder.draft.origin = Origin(operator, node_name(node))
    try:
        if isinstance(source, Tail) and operator in MOVES and not (source.kind.is_class or _keeps_decisions(context)):
            return moved_tail(context, source, handler)
        if isinstance(source, Comparison) and operator in MOVES and operator != "Cast":
            return _moved_comparison(context, source, handler)
        rounded = any(isinstance(symbol, Rounded) for symbol in context.inputs)
        if operator in COLUMN_MOVES and rounded and not _embeds(context, operator):
            return _moved_integers(context, handler)
        results = handler(context)
    except TooLargeError as error:
        context.refuse(str(error))
    return results if isinstance(results, tuple) else (results,)


def _with_features(context: NodeContext, operator: str) -> NodeContext:
    """Return the context, with features in the place of original data unless that is moved or looked up."""
    moves = operator in COLUMN_MOVES and all(isinstance(s, np.ndarray) or _is_original(s) for s in context.inputs)
    if _embeds(context, operator) or moves or operator in READS_COLUMNS:
        return context
    return replace(context, inputs=[as_features(symbol, context.encoding) for symbol in context.inputs])


def _embeds(context: NodeContext, operator: str) -> bool:
    return operator == "Gather" and isinstance(context.inputs[0], np.ndarray)


def _keeps_decisions(context: NodeContext) -> bool:
    """Whether a node casts decisions, which are integers, to integers."""
    source = context.inputs[0]
    decides = isinstance(source, Tail) and source.kind.is_decision
    return decides and context.node.op_type == "Cast" and context.attribute("to") in INTEGER_TYPES


def _is_original(symbol: Symbol | None) -> bool:
    return is_original(symbol.value if isinstance(symbol, Rounded) else symbol)


def _moved_comparison(context: NodeContext, source: Comparison, handler: Handler) -> tuple[Symbol, ...]:
    """Return what an operator that moves elements makes of decisions, which stay such."""
    results = handler(replace(context, inputs=[source.margin, *context.inputs[1:]]))
    made = results if isinstance(results, tuple) else (results,)
    return tuple(replace(source, margin=each) if isinstance(each, View) else each for each in made)


def _moved_integers(context: NodeContext, handler: Handler) -> tuple[Symbol, ...]:
    """Return what an operator that moves elements makes of integers, which stay integers."""
    rounded = [symbol for symbol in context.inputs if isinstance(symbol, Rounded)]
    values = [symbol.value if isinstance(symbol, Rounded) else symbol for symbol in context.inputs]
    results = handler(replace(context, inputs=values))
    made = results if isinstance(results, tuple) else (results,)
    return tuple(Rounded(rounded[0].node, each) if isinstance(each, View) else each for each in made)


def as_features(symbol: Any, encoding: Encoding) -> Any:
    """Return features where a symbol is original data; else the symbol."""
    return encoding.numbers(symbol) if isinstance(symbol, View) and is_original(symbol) else symbol
