"""Writes a model's own inputs and outputs around the matrices that its graph reads and gives.

Within a file, inputs and outputs have names of this module's; `OnnxWriter.model_bytes` puts those of the interface in
their place, and makes way for them. A value that is in the right type and shape already costs no node.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from trader.model.column_writer import COLUMN_TYPES, write_columns
from trader.model.columns import Column, tensor_sizes
from trader.model.graph import INPUT
from trader.model.interface import InputTensor, Interface, OutputTensor, TensorType
from trader.model.onnx_writer import BATCH, ML_DOMAIN, Boundary, OnnxWriter
from trader.model.pair_writer import write_pair_classes
from trader.model.post_writer import write_post_processing
from trader.model.postprocessing import PostProcessing, PostProcessingKind

_ELEMENTS: Mapping[TensorType, int] = {kind: getattr(TensorProto, kind.upper()) for kind in TensorType}


def write_inputs(writer: OnnxWriter, interface: Interface, columns: Sequence[Column], features: int) -> list[Boundary]:
    """Write nodes from the interface's inputs to features [N, F] called `INPUT`; return the inputs."""
    kinds = {column.input: COLUMN_TYPES[column.type] for column in columns}
    sizes, boundaries, sources = tensor_sizes(columns), [], {}
    for number, tensor in enumerate(interface.inputs):
        name, wanted = f"data_{number}", kinds.get(tensor.name, TensorProto.FLOAT)
        if tensor.read and not columns:
            name = _write_input(writer, tensor, name, wanted, features, INPUT)
        elif tensor.read:
            sources[tensor.name] = f"{name}_columns"
            name = _write_input(writer, tensor, name, wanted, sizes[tensor.name], sources[tensor.name])
        boundaries.append(Boundary(tensor.name, _declared(name, tensor.type, tensor.shape)))
    if columns:
        write_columns(writer, columns, sources, INPUT)
    return boundaries


def _write_input(writer: OnnxWriter, tensor: InputTensor, name: str, wanted: int, size: int, result: str) -> str:
    """Write nodes from an input to a matrix of `size` columns called `result`; return what the input is called.

    That is `result` where there is nothing to do.
    """
    flat = tensor.shape[1:] == (size,)
    if _ELEMENTS[tensor.type] == wanted and flat:
        return result
    value = name
    if _ELEMENTS[tensor.type] != wanted:
        value = writer.node("Cast", [value], result if flat else f"{name}_cast", to=wanted)
    if not flat:
        writer.node("Reshape", [value, writer.integers(f"{name}_shape", -1, size)], result)
    return name


def write_outputs(
    writer: OnnxWriter, interface: Interface, source: str, post_processing: PostProcessing, count: int
) -> list[Boundary]:
    """Write nodes from scaled raw outputs [N, O] to the interface's outputs; return these."""
    made = []
    for number, tensor in enumerate(interface.outputs):
        name, read = f"result_{number}", source
        if tensor.columns != count:
            ends = [writer.integers(f"{name}_{end}", place) for end, place in _ends(tensor).items()]
            read = writer.node("Slice", [source, *ends], f"{name}_raw")
        if tensor.kind.is_class:
            value = _write_classes(writer, tensor, read, post_processing, name)
        else:
            write_post_processing(writer, read, tensor.kind, name, tensor.columns)
            value = _write_form(writer, tensor, name, TensorProto.FLOAT, (0, tensor.kind.width(tensor.columns)))
        made.append(Boundary(tensor.name, _declare_output(writer, tensor, value, post_processing)))
    return made


def _ends(tensor: OutputTensor) -> dict[str, int]:
    return {"start": tensor.first, "end": tensor.first + tensor.columns, "axis": 1}


def _write_classes(
    writer: OnnxWriter, tensor: OutputTensor, source: str, post_processing: PostProcessing, name: str
) -> str:
    """Write the number of the largest score, or whether a single one is positive; or the label with that number."""
    labels = post_processing.labels if tensor.named else ()
    if tensor.kind is PostProcessingKind.ONE_VS_ONE_CLASS:
        value = write_pair_classes(writer, source, tensor.kind, f"{name}_class", tensor.columns, labels)
        return _write_form(writer, tensor, value, _label_type(labels), (0,))
    if tensor.columns == 1:
        zero = writer.constant(f"{name}_zero", np.zeros((1, 1), dtype=np.float32))
        positive = writer.node("Greater", [source, zero], f"{name}_is_positive")
        column = writer.node("Cast", [positive], f"{name}_column", to=TensorProto.INT64)
        value = writer.node("Reshape", [column, writer.integers(f"{name}_flat", -1)], f"{name}_class")
    else:
        value = writer.node("ArgMax", [source], f"{name}_class", axis=1, keepdims=0)
    if labels:
        names = np.array(labels, dtype=np.object_ if isinstance(labels[0], str) else np.int64)
        value = writer.node("Gather", [writer.constant(f"{name}_labels", names), value], f"{name}_label")
    return _write_form(writer, tensor, value, _label_type(labels), (0,))


def _label_type(labels: Sequence[int] | Sequence[str]) -> int:
    """Return the type of class labels, or of numbers where there are none."""
    return int(TensorProto.STRING if labels and isinstance(labels[0], str) else TensorProto.INT64)


def _write_form(writer: OnnxWriter, tensor: OutputTensor, value: str, kind: int, shape: tuple[int, ...]) -> str:
    """Write nodes from a value of this type and shape to that of an output; return its name."""
    if tensor.column is not None:
        value = writer.node(
            "Gather", [value, writer.integers(f"{value}_place", tensor.column)], f"{value}_taken", axis=1
        )
        shape = (0, 1)
    if kind != _ELEMENTS[tensor.type]:
        value = writer.node("Cast", [value], f"{value}_cast", to=_ELEMENTS[tensor.type])
    if shape != tensor.shape:
        value = writer.node(
            "Reshape", [value, writer.integers(f"{value}_shape", -1, *tensor.shape[1:])], f"{value}_shaped"
        )
    return value


def _declare_output(
    writer: OnnxWriter, tensor: OutputTensor, value: str, post_processing: PostProcessing
) -> onnx.ValueInfoProto:
    """Declare an output, after its ZipMap if it has one."""
    if not tensor.mapped:
        return _declared(value, tensor.type, tensor.shape)
    text = isinstance(post_processing.labels[0], str)
    labels = {"classlabels_strings" if text else "classlabels_int64s": list(post_processing.labels)}
    writer.node("ZipMap", [value], f"{value}_map", domain=ML_DOMAIN, **labels)
    number = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    key = TensorProto.STRING if text else TensorProto.INT64
    mapping = helper.make_sequence_type_proto(helper.make_map_type_proto(key, number))
    return helper.make_value_info(f"{value}_map", mapping)


def _declared(name: str, kind: TensorType, shape: Sequence[int]) -> onnx.ValueInfoProto:
    """Declare a tensor; of its open axes, the first one is that of the samples."""
    dims = [(BATCH if place == 0 else None) if size == 0 else size for place, size in enumerate(shape)]
    return helper.make_tensor_value_info(name, _ELEMENTS[kind], dims)
