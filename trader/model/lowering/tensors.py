"""The original's inputs and outputs, as its file declares them and as far as that is what it computes.

What a file says of its outputs' shapes may be wrong, and is often missing. What a value is made of tells how many
elements it has; onnx's own inference says how they stand where no symbol does, and the file only where neither does.
"""

import math
from collections.abc import Sequence

import onnx
from onnx import TensorProto
from pydantic import ValidationError

from trader.model import one_vs_one
from trader.model.documents import describe_fault
from trader.model.errors import UnsafeModelError
from trader.model.interface import InputTensor, Interface, OutputTensor, TensorType
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.postprocessing import PostProcessing, PostProcessingKind

_TYPES: dict[int, TensorType] = {getattr(TensorProto, kind.upper()): kind for kind in TensorType}


def interface_of(
    model: onnx.ModelProto,
    read: set[str],
    outputs: Sequence[tuple[str, Symbol]],
    post_processing: PostProcessing,
    count: int,
) -> Interface:
    """Return the interface of a model.

    Args:
        model: The file.
        read: Names of all values that something depends on.
        outputs: Name of each output that isn't the same for every sample, and what it stands for in the end.
        post_processing: What became of all of them.
        count: Number of raw outputs.

    Raises:
        UnsafeModelError: A name can't be kept: it is too long, can't be printed, or stands twice; or an output's type
            does not hold what it computes.
    """
    declared = {value.name: value for value in _with_types(model).graph.output}
    try:
        interface = Interface(
            inputs=tuple(_inputs(model.graph, read)), outputs=tuple(_outputs(declared, outputs, post_processing))
        )
    except ValidationError as error:
        raise UnsafeModelError(
            f"the model's inputs and outputs can't be kept as they are{describe_fault(error)}; rename them"
        ) from error
    if not interface.names_tensors_once():
        raise UnsafeModelError("two of the model's inputs and outputs have one name; rename them")
    if not interface.gives(post_processing, count):
        kinds = ", ".join(f"'{output.name}': {output.type}" for output in interface.outputs)
        raise UnsafeModelError(
            f"the types of the model's outputs don't hold what is tested, numbers with a point ({kinds}); export it "
            "with outputs of floating-point numbers, and without casts"
        )
    return interface


def _inputs(graph: onnx.GraphProto, read: set[str]) -> list[InputTensor]:
    """Return all inputs that are no parameters; one that isn't read is kept if it is a tensor."""
    constants = {tensor.name for tensor in graph.initializer}
    made = []
    for value in graph.input:
        kind = _TYPES.get(value.type.tensor_type.elem_type)
        sizes = [max(int(dim.dim_value), 0) for dim in value.type.tensor_type.shape.dim]
        if value.name in constants or (kind is None and value.name not in read):
            continue
        if value.name in read:
            sizes[0] = 0
        kind = TensorType.FLOAT if kind is None else kind
        made.append(InputTensor(name=value.name, type=kind, shape=tuple(sizes), read=value.name in read))
    return made


def _outputs(
    declared: dict[str, onnx.ValueInfoProto], outputs: Sequence[tuple[str, Symbol]], post_processing: PostProcessing
) -> list[OutputTensor]:
    made: list[OutputTensor] = []
    first = 0
    for name, symbol in outputs:
        tail = symbol if isinstance(symbol, Tail) else None
        view = symbol.value if isinstance(symbol, Tail) else symbol
        if not isinstance(view, View):
            continue
        kind = PostProcessingKind.NONE if tail is None else tail.kind
        column = None if tail is None or kind.is_class else tail.column
        named = tail is not None and kind.is_class and bool(tail.labels)
        width = 1 if column is not None else kind.width(view.size)
        shape: tuple[int, ...] = (width,)
        stated = _stated_shape(declared[name], width)
        if kind.keeps_shape and (view.size > 1 or stated is None):
            shape = view.shape
        elif stated is not None:  # of one element, too: what became of the axis of a chosen column, no view says
            shape = stated
        elif kind.is_class:
            shape = ()
        labels = post_processing.labels
        is_map = declared[name].type.HasField("sequence_type") and len(labels) == width
        mapped = is_map and not any(output.mapped for output in made)
        made.append(
            OutputTensor(
                name=name,
                type=TensorType.FLOAT if is_map else _type_of(declared[name], kind, named, labels),
                shape=(0, width) if is_map else (0, *shape),
                kind=kind,
                first=first,
                columns=view.size if tail is None else _columns(tail),
                column=column,
                named=named,
                mapped=mapped,
            )
        )
        first += view.size if post_processing.parts else 0
    return made


def _columns(tail: Tail) -> int:
    """Return how many raw outputs a last step reads: of those of pairs of classes, classes read the decisions."""
    if tail.kind is PostProcessingKind.ONE_VS_ONE_CLASS:
        return one_vs_one.pairs_of(len(tail.labels))
    return tail.value.size


def _type_of(
    declared: onnx.ValueInfoProto, kind: PostProcessingKind, named: bool, labels: tuple[int, ...] | tuple[str, ...]
) -> TensorType:
    """Return an output's type; what its values ask for where the file says nothing, or text where none is."""
    usual = TensorType.INT64 if kind.is_class else TensorType.FLOAT
    if named and isinstance(labels[0], str):
        return TensorType.STRING
    stated = _TYPES.get(declared.type.tensor_type.elem_type, usual)
    return usual if stated is TensorType.STRING else stated


def _stated_shape(declared: onnx.ValueInfoProto, width: int) -> tuple[int, ...] | None:
    """Return the shape of one sample that is declared, if it has `width` elements; one open axis is filled in."""
    tensor = declared.type.tensor_type
    sizes = [int(dim.dim_value) for dim in tensor.shape.dim[1:]]
    if not tensor.shape.dim or sizes.count(0) > 1:
        return None
    known = math.prod(size for size in sizes if size)
    sizes = [size or width // max(known, 1) for size in sizes]
    return tuple(sizes) if math.prod(sizes) == width else None


def _with_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the types and shapes of outputs that onnx infers; the file's own where it infers none."""
    inferred = onnx.ModelProto()
    inferred.CopyFrom(model)
    for value in inferred.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(inferred)
    for value, own in zip(inferred.graph.output, model.graph.output, strict=True):
        if not value.type.tensor_type.HasField("shape") and own.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.CopyFrom(own.type.tensor_type.shape)
    return inferred
