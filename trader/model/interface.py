"""What the original model's inputs and outputs are called, and what types and shapes they have.

Encrypted tests and proofs know a model as one matrix in and one matrix out. The program that a buyer will put the model
into knows it by the names, types and order of its tensors: they are part of the manifest, so that the delivered file
takes the place of the original's. Nothing of it is taken on trust: whatever the seller writes here, the file that
follows from it computes, from all raw outputs, what was tested and proven (`Interface.gives`).
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from trader.model.columns import Column, ColumnType, tensor_sizes
from trader.model.documents import Section
from trader.model.postprocessing import PostProcessing, PostProcessingKind

MAX_TENSORS = 1 << 12
MAX_RANK = 16


class TensorType(StrEnum):
    """Types of elements that an input or output may have."""

    FLOAT = "float"
    DOUBLE = "double"
    FLOAT16 = "float16"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    BOOL = "bool"
    STRING = "string"

    @property
    def is_floating(self) -> bool:
        """Whether it holds fractions."""
        return self in (TensorType.FLOAT, TensorType.DOUBLE, TensorType.FLOAT16)

    def holds(self, least: int, largest: int) -> bool:
        """Whether it holds all integers from `least` to `largest`, exactly."""
        if self is TensorType.STRING:
            return False
        if self is TensorType.BOOL:
            return least >= 0 and largest <= 1
        kind = np.dtype("float32" if self is TensorType.FLOAT else "float64" if self is TensorType.DOUBLE else self)
        if kind.kind == "f":
            return max(abs(least), abs(largest)) <= 1 << (int(np.finfo(kind).nmant) + 1)
        return bool(np.iinfo(kind).min <= least and largest <= np.iinfo(kind).max)


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a tensor's name has characters that can't be printed")
    return name


TensorName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]
Shape = Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 24)], ...], Field(max_length=MAX_RANK)]


class InputTensor(Section):
    """One of the original's inputs.

    Attributes:
        name: That the original gives it.
        type: Of its elements.
        shape: Of the tensor, 0 where it is open: of one that is read, along the samples alone.
        read: Whether anything depends on it.
    """

    name: TensorName
    type: TensorType = TensorType.FLOAT
    shape: Shape
    read: bool = True

    @property
    def size(self) -> int:
        """Elements per sample."""
        return math.prod(self.shape[1:])


class OutputTensor(Section):
    """One of the original's outputs, as a function of the raw outputs.

    Attributes:
        name: That the original gives it.
        type: Of its elements.
        shape: Of the tensor, 0 along the samples and else nowhere.
        kind: What is computed.
        first: First of the raw outputs that it is computed from.
        columns: How many they are.
        column: The only column of the result that this is; None for all of them.
        named: Whether class labels stand for column numbers; of kinds that are classes alone.
        mapped: Whether each sample is a mapping from class labels to numbers (ZipMap, as scikit-learn's converter has
            it), `tensor(float)` inside.
    """

    name: TensorName
    type: TensorType = TensorType.FLOAT
    shape: Shape
    kind: PostProcessingKind = PostProcessingKind.NONE
    first: Annotated[int, Field(ge=0, lt=1 << 24)] = 0
    columns: Annotated[int, Field(ge=1, lt=1 << 24)]
    column: Annotated[int, Field(ge=0, lt=1 << 24)] | None = None
    named: bool = False
    mapped: bool = False

    @property
    def width(self) -> int:
        """Elements per sample."""
        return 1 if self.column is not None else self.kind.width(self.columns)

    @property
    def raw_outputs(self) -> range:
        """What it is computed from."""
        return range(self.first, self.first + self.columns)

    def suits(self, post_processing: PostProcessing, count: int) -> bool:
        """Whether it can be computed from `count` raw outputs, with the labels of the model."""
        labels, classes, whole = post_processing.labels, self.kind.is_class, post_processing.kind
        text = self.named and bool(labels) and isinstance(labels[0], str)
        rules = (
            self.first + self.columns <= count,
            self.columns == 1 or not self.kind.is_of_two_classes,
            self.kind.is_one_vs_one == whole.is_one_vs_one,
            not self.kind.is_one_vs_one
            or (self.first == 0 and 0 < self.kind.classes(self.columns) == whole.classes(count)),
            self.column is None or (not classes and self.column < self.kind.width(self.columns)),
            len(self.shape) > 0 and self.shape[0] == 0 and math.prod(self.shape[1:]) == self.width,
            text if self.type is TensorType.STRING else not text and self._keeps_values(labels),
            not self.named or (classes and bool(labels) and self.columns == whole.deciding(count)),
            not self.mapped or (self.type is TensorType.FLOAT and self.shape == (0, len(labels))),
        )
        return all(rules)

    def _keeps_values(self, labels: tuple[int, ...] | tuple[str, ...]) -> bool:
        """Whether the type holds whatever is computed: a probability as an integer would be 0."""
        if not self.kind.is_class:
            least = -1 if self.kind is PostProcessingKind.SIGN else 0
            return self.type.is_floating or (self.kind.is_decision and self.type.holds(least, 1))
        values = [int(label) for label in labels] if self.named else [0, self.kind.classes(self.columns) - 1]
        return bool(values) and self.type.holds(min(values), max(values))


class Interface(Section):
    """Inputs and outputs, in order."""

    inputs: Annotated[tuple[InputTensor, ...], Field(min_length=1, max_length=MAX_TENSORS)]
    outputs: Annotated[tuple[OutputTensor, ...], Field(min_length=1, max_length=MAX_TENSORS)]

    def names_tensors_once(self) -> bool:
        """Whether no two tensors have one name."""
        names = [tensor.name for tensor in self.inputs] + [tensor.name for tensor in self.outputs]
        return len(set(names)) == len(names)

    def feeds(self, columns: Sequence[Column], features: int) -> bool:
        """Whether the inputs that are read are those of `columns`, or hold the features where there are none."""
        read = [tensor for tensor in self.inputs if tensor.read]
        if any(not tensor.shape or tensor.shape[0] or 0 in tensor.shape[1:] for tensor in read):
            return False
        if not columns:
            return len(read) == 1 and read[0].size == features and read[0].type is not TensorType.STRING
        if [(tensor.name, tensor.size) for tensor in read] != list(tensor_sizes(columns).items()):
            return False
        types = {tensor.name: tensor.type for tensor in read}
        return all(_holds_column(types[column.input], column) for column in columns)

    def misfit(self, samples: NDArray[Any]) -> str:
        """Return what keeps samples of numbers out of the one input that is read; empty if nothing does."""
        read = [tensor.type for tensor in self.inputs if tensor.read]
        if len(read) != 1 or read[0].is_floating or not samples.size or samples.dtype.kind not in "fiub":
            return ""
        whole = np.isfinite(samples).all() and np.array_equal(samples, np.rint(samples))
        if whole and read[0].holds(int(samples.min()), int(samples.max())):
            return ""
        return f"the model takes integers ({read[0]}), and some of the samples are none"

    def gives(self, post_processing: PostProcessing, count: int) -> bool:
        """Whether the outputs can be computed, and tell all that the post-processing makes of the raw outputs."""
        suit = all(tensor.suits(post_processing, count) for tensor in self.outputs)
        if not suit or sum(tensor.mapped for tensor in self.outputs) > 1:  # each has all labels in the file
            return False
        if post_processing.kind is PostProcessingKind.ONE_VS_ONE_PROBABILITIES and not any(
            tensor.kind is PostProcessingKind.ONE_VS_ONE_CLASS for tensor in self.outputs
        ):
            return False  # a test counts classes that no probability says
        told = [tensor for tensor in self.outputs if tensor.kind is post_processing.kind]
        wanted = set(range(count))
        whole = set[int]().union(*(tensor.raw_outputs for tensor in told if tensor.column is None))
        chosen = {tensor.column for tensor in told if tensor.columns == count}
        return whole == wanted or chosen >= set(range(post_processing.kind.width(count)))


def _holds_column(kind: TensorType, column: Column) -> bool:
    """Whether a tensor's type holds what a column may be: text, fractions, or every category."""
    if column.type is ColumnType.TEXT or kind is TensorType.STRING:
        return column.type is ColumnType.TEXT and kind is TensorType.STRING
    codes = [int(category) for category in column.categories]
    fits = not codes or kind.holds(min(codes), max(codes))
    return fits and (column.type is ColumnType.INTEGER or kind.is_floating)


def plain(columns: Sequence[Column], features: int, post_processing: PostProcessing, outputs: int) -> Interface:
    """Return the names that a model without any gets.

    The inputs are those of `columns`, or `input` [N, F]. The outputs are `output`, `output_` and the name of each part,
    and `label` for named classes.
    """
    if columns:
        text = {column.input: column.type for column in columns}
        inputs = [
            InputTensor(name=name, type=_PLAIN_TYPES[text[name]], shape=(0, size))
            for name, size in tensor_sizes(columns).items()
        ]
    else:
        inputs = [InputTensor(name="input", shape=(0, features))]
    kind, labels = post_processing.kind, post_processing.labels
    if kind.is_class:
        made = [OutputTensor(name="output", type=TensorType.INT64, shape=(0,), kind=kind, columns=outputs)]
    else:
        made = [OutputTensor(name="output", shape=(0, kind.width(outputs)), kind=kind, columns=outputs)]
    first = 0
    for part in post_processing.parts:
        shape = (0, kind.width(part.columns))
        made.append(OutputTensor(name=f"output_{part.name}", shape=shape, kind=kind, first=first, columns=part.columns))
        first += part.columns
    if labels:
        named = TensorType.STRING if isinstance(labels[0], str) else TensorType.INT64
        made.append(
            OutputTensor(
                name="label",
                type=named,
                shape=(0,),
                kind=PostProcessingKind.ONE_VS_ONE_CLASS if kind.is_one_vs_one else PostProcessingKind.ARGMAX,
                columns=kind.deciding(outputs),
                named=True,
            )
        )
    return Interface(inputs=tuple(inputs), outputs=tuple(made))


_PLAIN_TYPES = {
    ColumnType.NUMBER: TensorType.FLOAT,
    ColumnType.INTEGER: TensorType.INT64,
    ColumnType.TEXT: TensorType.STRING,
}
