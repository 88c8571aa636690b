"""Writes an adapted network as an ONNX file that `modelseal model prepare` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from trader.model import INPUT, Activation, Linear, LoweredModel, PostProcessingKind
from trader.model.interface import plain
from trader.model.interface_writer import write_inputs
from trader.model.onnx_writer import BATCH, ML_DOMAIN, Boundary, OnnxWriter, float_value, write_nodes
from trader.model.pair_writer import write_pair_classes
from trader.model.plain import RAW, write_layer, write_scaled
from trader.model.post_writer import write_post_processing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trader.adapt.network import Squares

OUTPUT = "output"


def write_adapted(lowered: LoweredModel, squares: Mapping[str, Squares]) -> bytes:
    """Return the file: the original's inputs, squares for activations, and one output; class names as a second one."""
    writer = OnnxWriter()
    features = lowered.graph.features
    interface = lowered.interface or plain(lowered.columns, features, lowered.post_processing, lowered.graph.outputs)
    inputs = write_inputs(writer, interface, lowered.columns, features)
    source = write_scaled(writer, INPUT, [2.0**exponent for exponent in lowered.input_exponents], "input_scaled")

    def write_linear(_: OnnxWriter, node: Linear, read: str, output: str) -> None:
        layer, spec = lowered.parameters[node.parameter], lowered.graph.parameters[node.parameter]
        write_layer(writer, spec, node, read, output, layer.weights, layer.bias)

    def write_square(_: OnnxWriter, node: Activation, read: str, output: str) -> None:
        at, name = squares[node.name], node.name
        shifted = writer.node("Add", [read, writer.number(f"{name}_shift", at.shift)], f"{name}_shifted")
        square = writer.node("Mul", [shifted, shifted], f"{name}_square")
        scaled = writer.node("Mul", [square, writer.number(f"{name}_factor", at.factor)], f"{name}_scaled")
        writer.node("Add", [scaled, writer.number(f"{name}_offset", at.offset)], output)

    write_nodes(writer, lowered.graph, source, RAW, write_linear, write_square)
    return writer.model_bytes(inputs, _write_outputs(writer, lowered))


def _write_outputs(writer: OnnxWriter, lowered: LoweredModel) -> list[Boundary]:
    post = lowered.post_processing
    scaled = write_scaled(writer, RAW, [2.0**post.exponent], "output_scaled")
    write_post_processing(writer, scaled, post.kind, OUTPUT, lowered.graph.outputs)
    declared, columns = float_value(OUTPUT, BATCH, post.kind.width(lowered.graph.outputs)), lowered.graph.outputs
    if post.kind.is_class:
        declared = helper.make_tensor_value_info(OUTPUT, TensorProto.INT64, [BATCH])
    two = post.kind.is_of_two_classes or post.kind.is_one_vs_one
    if not post.labels or (columns == 1 and not two):
        return [Boundary(OUTPUT, declared)]
    text = isinstance(post.labels[0], str)
    kind = TensorProto.STRING if text else TensorProto.INT64
    label = helper.make_tensor_value_info("label", kind, [BATCH])
    if post.kind.is_one_vs_one:
        write_pair_classes(writer, scaled, post.kind, "label", columns, post.labels)
        return [Boundary(OUTPUT, declared), Boundary("label", label)]
    place = OUTPUT
    if post.kind is not PostProcessingKind.ARGMAX:
        place = writer.node("ArgMax", [OUTPUT], "class_place", axis=1, keepdims=0)
    names = writer.constant("class_names", np.array(post.labels, dtype=np.object_ if text else np.int64))
    chosen = writer.node("ArrayFeatureExtractor", [names, place], "class_chosen", domain=ML_DOMAIN)
    writer.node("Reshape", [chosen, writer.integers("class_flat", -1)], "label")
    return [Boundary(OUTPUT, declared), Boundary("label", label)]
