"""What stands for the columns of the original data while a model is lowered.

A tensor of the file that still holds original data is a view of `SOURCE`, whose elements are columns. What computes
with such a view reads features in their place: `numbers` or `categories` says which. Which columns are needed as
numbers, and which for their categories, shows only while lowering; where a feature is missing, `MissingFeaturesError`
says so, and the model is lowered again with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from trader.model.columns import Column, ColumnType, column_names, feature_count
from trader.model.errors import UnsafeModelError
from trader.model.graph import INPUT
from trader.model.lowering.symbols import SOURCE, View
from trader.model.nodes import ZERO

_TYPES: dict[int, ColumnType] = {
    TensorProto.STRING: ColumnType.TEXT,
    **dict.fromkeys((TensorProto.INT64, TensorProto.INT32, TensorProto.INT16, TensorProto.INT8), ColumnType.INTEGER),
    **dict.fromkeys((TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32), ColumnType.INTEGER),
    TensorProto.BOOL: ColumnType.INTEGER,
}


class MissingFeaturesError(Exception):
    """Columns need features that they don't have.

    Attributes:
        columns: What the columns must be.
    """

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        super().__init__("columns need more features")


@dataclass(frozen=True, slots=True)
class Encoding:
    """The columns of the original data, and the features that stand for them.

    Attributes:
        columns: In order of the model's inputs.
        starts: First feature of each.
    """

    columns: tuple[Column, ...] = ()
    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    _numbers: dict[View, View] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, columns: tuple[Column, ...]) -> "Encoding":
        """Return the encoding of columns, whose features are numbered in order."""
        return cls(columns, np.cumsum([0, *(column.width for column in columns)])[:-1])

    @property
    def features(self) -> int:
        """Number of features."""
        return feature_count(self.columns)

    @property
    def is_trivial(self) -> bool:
        """Whether the features are the data: numbers of one tensor."""
        return all(c.number and not c.categories and c.input == self.columns[0].input for c in self.columns)

    def is_whole(self, view: View) -> bool:
        """Whether a view shows nothing but columns of integers."""
        return is_original(view) and all(self.columns[place].type is ColumnType.INTEGER for place in _read(view))

    def is_code(self, view: View) -> bool:
        """Whether a view shows nothing but features of 0 and 1."""
        features = np.append(np.ones(self.features, dtype=bool), True)  # ZERO is the last place
        features[[start for start, column in zip(self.starts, self.columns, strict=True) if column.number]] = False
        return view.bases == (INPUT,) and view.is_plain and bool(features[view.places].all())

    def is_text(self, view: View) -> bool:
        """Whether a view of columns shows text."""
        return any(self.columns[place].type is ColumnType.TEXT for place in _read(view))

    def numbers(self, view: View) -> View:
        """Return the features that are the values of the columns which a view shows.

        Raises:
            MissingFeaturesError: Some of the columns have none.
            UnsafeModelError: Some are text.
        """
        if view not in self._numbers:  # one view of the data is one view of the features: x·x is a square
            self._numbers[view] = self._as_numbers(view)
        return self._numbers[view]

    def _as_numbers(self, view: View) -> View:
        read = _read(view)
        if text := [place for place in read if self.columns[place].type is ColumnType.TEXT]:
            name = column_names(self.columns)[text[0]]
            raise UnsafeModelError(f"the model computes with the text of {name}; encode it with OneHotEncoder")
        if any(not self.columns[place].number for place in read):
            self._ask({place: replace_column(self.columns[place], number=True) for place in read})
        starts = np.append(self.starts, ZERO)  # ZERO is the last place
        return View((INPUT,), view.shape, starts[view.places], view.scale, view.offset, view.batch)

    def categories(self, view: View, names: Sequence[int] | Sequence[str], *, refused: bool) -> View:
        """Return, for columns of any shape, [*shape, K] features that are 1 where the column has the K-th value.

        Raises:
            MissingFeaturesError: Some of the columns don't tell these values apart.
        """
        wanted = {place: _with_categories(self.columns[place], names, refused) for place in _read(view)}
        if any(self.columns[place] != column for place, column in wanted.items()):
            self._ask(wanted)
        made = np.full((view.size, len(names)), ZERO)
        for row, place in enumerate(view.places.ravel()):
            column = self.columns[place]
            index = {category: number for number, category in enumerate(column.categories)}
            made[row] = [self.starts[place] + column.number + index[name] for name in names]
        return View((INPUT,), (*view.shape, len(names)), made.reshape(*view.shape, len(names)))

    def _ask(self, wanted: dict[int, Column]) -> None:
        columns = (wanted.get(place, column) for place, column in enumerate(self.columns))
        raise MissingFeaturesError(tuple(columns))


def replace_column(column: Column, **changes: object) -> Column:
    """Return a column with some attributes changed."""
    return column.model_copy(update=changes)


def _with_categories(column: Column, names: Sequence[int] | Sequence[str], refused: bool) -> Column:
    """Return a column that tells values apart, beside those that it tells apart already."""
    known = dict.fromkeys((*column.categories, *names))
    # What reads the value itself asks for it again.
    number = column.number and bool(column.categories)
    return replace_column(column, categories=tuple(known), refused=column.refused or refused, number=number)


def is_original(symbol: object) -> bool:
    """Whether a symbol shows original data."""
    return isinstance(symbol, View) and symbol.bases == (SOURCE,)


def _read(view: View) -> list[int]:
    """Return the columns that a view shows."""
    return [int(place) for place in np.unique(view.places) if place != ZERO]


def original_columns(inputs: Sequence[onnx.ValueInfoProto]) -> tuple[tuple[Column, ...], dict[str, View], int]:
    """Return the columns of a model's inputs, as numbers; what each input shows of them; and the number of samples.

    That is 0 if it is open.

    Raises:
        UnsafeModelError: An input has no shape that a sample can be read from.
    """
    columns: list[Column] = []
    views, batch = {}, 0
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        shape = tuple(int(dim.dim_value) for dim in dims[1:])
        if not dims or 0 in shape or (len(dims) == 1 and dims[0].dim_value):
            raise UnsafeModelError(
                f"input '{value.name}' must have shape [batch, features, …] with only the batch left open; export it so"
            )
        kind = _TYPES.get(value.type.tensor_type.elem_type, ColumnType.NUMBER)
        size = int(np.prod(shape, dtype=np.int64))
        places = np.arange(len(columns), len(columns) + size).reshape(shape)
        views[value.name] = View((SOURCE,), shape, places)
        columns += [Column(input=value.name, type=kind, number=kind is not ColumnType.TEXT)] * size
        batch = max(batch, int(dims[0].dim_value))
    return tuple(columns), views, batch
