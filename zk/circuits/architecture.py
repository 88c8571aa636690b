"""What an architecture declares: `architecture.onnx` is public and holds no weights.

Its first input is the samples [N, F...], every further input is a parameter tensor, its one output is [N, O...].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnx import TensorProto

from zk.errors import UnsupportedArchitectureError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class ArchitectureShapes:
    """Shapes that an architecture declares.

    Attributes:
        sample: Shape of one sample.
        parameters: Shape of each parameter tensor, in the order of the graph inputs.
        output: Shape of one sample's output.
    """

    sample: tuple[int, ...]
    parameters: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]

    @property
    def features(self) -> int:
        """Values per sample."""
        return math.prod(self.sample)

    @property
    def outputs(self) -> int:
        """Raw outputs per sample."""
        return math.prod(self.output)


def read_shapes(architecture: onnx.ModelProto) -> ArchitectureShapes:
    """Check an architecture's interface and read its shapes.

    Raises:
        UnsupportedArchitectureError: It breaks the convention; the message names the tensor.
    """
    graph = architecture.graph
    if len(graph.input) < 2 or len(graph.output) != 1:
        raise UnsupportedArchitectureError(
            f"the architecture has {len(graph.input)} inputs and {len(graph.output)} outputs: it needs the samples, "
            "at least one parameter tensor, and one output; prepare the model again"
        )
    samples, *parameters = (_shape(value) for value in graph.input)
    output = _shape(graph.output[0])
    for value, shape in zip(graph.input[1:], parameters, strict=True):
        if not shape or None in shape:
            raise UnsupportedArchitectureError(
                f"parameter {value.name} has the shape {shape}: every dimension must be fixed"
            )
    for name, shape in ((graph.input[0].name, samples), (graph.output[0].name, output)):
        if len(shape) < 2 or shape[0] is not None or None in shape[1:]:
            raise UnsupportedArchitectureError(
                f"{name} has the shape {shape}: only the first dimension may be free, and is"
            )
    return ArchitectureShapes(_fixed(samples[1:]), tuple(_fixed(shape) for shape in parameters), _fixed(output[1:]))


def _shape(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return declared dimensions; None where a dimension is free."""
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise UnsupportedArchitectureError(f"{value.name} is not a float32 tensor: prepare the model again")
    return [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]


def _fixed(shape: list[int | None]) -> tuple[int, ...]:
    sizes = tuple(size for size in shape if size is not None)
    if not all(size > 0 for size in sizes):
        raise UnsupportedArchitectureError(f"a tensor of the architecture has the shape {sizes}: it is empty")
    return sizes
