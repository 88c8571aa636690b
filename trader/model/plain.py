"""The delivered model as an ordinary ONNX file: what the buyer runs from then on.

Weights are θq/2^s, which float32 holds exactly up to 24 bits and rounds beyond as it rounds every sum; salt is left
out. Inputs and outputs are the original's: names, order, types, shapes (`trader.model.interface`), but for the number
of samples, which is open. The tensor `raw` within is what was tested and proven, up to float32 arithmetic.

A model without names of its own has the input `input` float32 [N, F], or those of its columns, and the outputs
`output`, what the original returned (after post-processing), and `raw`; `label` as well where classes have names.

An ensemble of trees becomes a TreeEnsembleRegressor, whose thresholds are edges of the grid. Tensors that are not those
of trees, which only a seller that cheats would deliver, become what they compute all the same.
"""

import math

import numpy as np
from numpy.typing import NDArray

from trader.model.canonical import CanonicalModel
from trader.model.columns import Column
from trader.model.ensemble import holds_trees
from trader.model.graph import INPUT, ParameterSpec
from trader.model.grid import Grid
from trader.model.interface import Interface, plain
from trader.model.interface_writer import write_inputs, write_outputs
from trader.model.manifest import Manifest
from trader.model.nodes import Linear
from trader.model.onnx_writer import BATCH, Boundary, OnnxWriter, float_value, write_nodes
from trader.model.postprocessing import PostProcessing
from trader.model.tree_writer import write_bins, write_trees

RAW = "raw"


def plain_model_bytes(
    model: CanonicalModel,
    post_processing: PostProcessing,
    input_exponents: tuple[int, ...] = (),
    grid: Grid | None = None,
    columns: tuple[Column, ...] = (),
    interface: Interface | None = None,
) -> bytes:
    """ONNX file of a canonical model.

    The bytes are a function of the arguments alone, salt left out: two parties with the same canonical parameters get
    the same file. Inputs are not rounded to the grid that the encrypted test uses; where the model reads bins, they
    are the columns that `grid` puts into bins, and the outputs those of the bins, exactly.
    """
    writer = OnnxWriter()
    features, outputs = model.graph.features, model.graph.outputs
    around = interface or plain(columns, features, post_processing, outputs)
    taken = write_inputs(writer, around, columns, features)
    if grid is None:
        source = write_scaled(writer, INPUT, [2.0**exponent for exponent in input_exponents], "input_scaled")
        _write_graph(writer, model, source)
    elif holds_trees(model, grid.sizes):
        write_trees(writer, model, grid, INPUT, RAW)
    else:
        _write_graph(writer, model, write_bins(writer, grid, INPUT))
    scaled = write_scaled(writer, RAW, [2.0**post_processing.exponent], "output_scaled")
    given = write_outputs(writer, around, scaled, post_processing, outputs)
    if interface is None:
        given.insert(1, Boundary(RAW, float_value(RAW, BATCH, outputs)))
    return writer.model_bytes(taken, given)


def delivered_model_bytes(model: CanonicalModel, manifest: Manifest) -> bytes:
    """Return the ONNX file of a canonical model that was listed: what seller and buyer write alike."""
    schema, post_processing = manifest.input, manifest.output.post_processing
    return plain_model_bytes(model, post_processing, schema.exponents, schema.grid, schema.columns, manifest.interface)


def _write_graph(writer: OnnxWriter, model: CanonicalModel, source: str) -> None:
    """Write nodes of the graph, whatever its tensors are."""

    def write_linear(_: OnnxWriter, node: Linear, read: str, output: str) -> None:
        tensors = (model.weights(node.parameter), model.bias(node.parameter))
        weights, bias = (np.ldexp(tensor.astype(np.float64), -model.scale_bits) for tensor in tensors)
        write_layer(writer, model.graph.parameters[node.parameter], node, read, output, weights, bias)

    write_nodes(writer, model.graph, source, RAW, write_linear)


def write_layer(
    writer: OnnxWriter,
    spec: ParameterSpec,
    node: Linear,
    source: str,
    output: str,
    weights_values: NDArray[np.float64],
    bias_values: NDArray[np.float64],
) -> None:
    """Write Gemm, or MatMul and Add on rows where weights serve several positions or differ by group."""
    name = node.name
    weights = writer.constant(f"{name}_weights", weights_values.astype(np.float32))
    bias_values = bias_values.astype(np.float32)
    if spec.groups == 1 and node.shape == (spec.outputs,):
        writer.node("Gemm", [source, weights, writer.constant(f"{name}_bias", bias_values)], output)
        return
    rows = writer.integers(f"{name}_rows", -1, spec.groups, 1, spec.inputs)
    product = writer.node(
        "MatMul", [writer.node("Reshape", [source, rows], f"{name}_read"), weights], f"{name}_product"
    )
    bias = writer.constant(f"{name}_bias", bias_values.reshape(spec.groups, 1, spec.outputs))
    added = writer.node("Add", [product, bias], f"{name}_added")
    writer.node("Reshape", [added, writer.integers(f"{name}_shape", -1, *node.shape)], output)


def write_scaled(writer: OnnxWriter, source: str, factors: list[float], name: str) -> str:
    """Return source times constants; source itself if there is nothing to do."""
    if all(math.isclose(factor, 1.0) for factor in factors):
        return source
    return writer.node("Mul", [source, writer.constant(f"{name}_factors", np.array(factors, dtype=np.float32))], name)
