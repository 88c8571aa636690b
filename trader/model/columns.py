"""Columns of data as the original model takes them, and the features that the graph reads in their place.

Encrypted values can't be looked up, so a column that names a category is expanded before encryption: a column that
takes 2, 5 or 7 becomes three features, and 5 becomes 0, 1, 0 (`expand_columns`). Which column has which categories is
public, part of the manifest; buyers hand in the data that the original ONNX file takes. `collapse_features` goes back,
for the original itself.

A model of numbers alone, in one tensor, has no `Column`s: its features are its data.
"""

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trader.model.documents import Section
from trader.model.errors import DataError

MAX_CATEGORIES = 1 << 14
"""Of one column; each is a feature of its own, which is encrypted."""
MAX_TEXT = 256

Category = Annotated[str, Field(max_length=MAX_TEXT)]


class ColumnType(StrEnum):
    """What the original model's tensor holds."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"


class Column(Section):
    """One column of the original data.

    Attributes:
        input: Name of the original's tensor that it belongs to; columns of one tensor follow each other.
        type: Of that tensor.
        number: Whether the graph reads the value itself, as its first feature.
        categories: Values that have a feature each, which is 1 for that value and else 0; integers or text.
        refused: Whether a value outside the categories is refused; else all of its features are 0.
    """

    input: Annotated[str, Field(max_length=MAX_TEXT)]
    type: ColumnType = ColumnType.NUMBER
    number: bool = True
    categories: (
        Annotated[tuple[int, ...], Field(max_length=MAX_CATEGORIES)]
        | Annotated[tuple[Category, ...], Field(max_length=MAX_CATEGORIES)]
    ) = ()
    refused: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Categories are of the tensor's type, and each is there once."""
        text = self.type is ColumnType.TEXT
        if any(isinstance(category, str) is not text for category in self.categories) or (text and self.number):
            raise ValueError("a column of text has categories that are text and no number, another has integers")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("a column names a category twice")
        return self

    @property
    def width(self) -> int:
        """Number of features."""
        return self.number + len(self.categories)


def feature_count(columns: Sequence[Column]) -> int:
    """Return the number of features of all columns together."""
    return sum(column.width for column in columns)


def column_names(columns: Sequence[Column]) -> list[str]:
    """Return what messages call the columns: the tensor's name, with a number from 0 where it has several."""
    sizes: dict[str, int] = {}
    numbers = []
    for column in columns:
        numbers.append(sizes.get(column.input, 0))
        sizes[column.input] = numbers[-1] + 1
    named = zip(columns, numbers, strict=True)
    return [f"'{c.input}'" if sizes[c.input] == 1 else f"'{c.input}' column {number}" for c, number in named]


def expand_columns(columns: Sequence[Column], data: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return the features, float64 [n, F], of original columns [n] each, numbers or text.

    Raises:
        DataError: A value is missing, infinite, no integer where one is asked for, or no category of a column that
            refuses others; names row and column.
    """
    named = zip(columns, data, column_names(columns), strict=True)
    return np.hstack([part for column, values, name in named for part in _expand(column, values, name)])


def _expand(column: Column, values: NDArray[Any], name: str) -> Iterator[NDArray[np.float64]]:
    """Yield the features of one column, [n, k] each."""
    if column.type is ColumnType.TEXT and values.dtype.kind == "f":
        raise DataError(f"{name} holds numbers with a point, the model takes text there")
    known = values.astype(str) if column.type is ColumnType.TEXT else _finite(values, name)
    if column.type is ColumnType.INTEGER or (column.categories and not column.number):
        _refuse(known, name, np.zeros(len(known), dtype=bool) if known.dtype.kind == "U" else known != np.rint(known))
    if column.number:
        yield known.astype(np.float64)[:, np.newaxis]
    if column.categories:
        hot = known[:, np.newaxis] == np.array(column.categories)
        if column.refused:
            _refuse(known, name, ~hot.any(axis=1), "no category that the model knows")
        yield hot.astype(np.float64)


def _finite(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} holds text, the model takes numbers there") from error
    _refuse(values, name, ~np.isfinite(numbers), "missing or infinite")
    return numbers


def _refuse(values: NDArray[Any], name: str, bad: NDArray[np.bool_], reason: str = "no integer") -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"row {row} (from 0), {name}: {str(values[row])[:40]} is {reason}; correct or drop the row")


def collapse_features(columns: Sequence[Column], features: NDArray[np.float64]) -> list[NDArray[Any]]:
    """Return original columns [n] that `expand_columns` makes the features [n, F] of.

    Where no category is set, the value is one that is no category.
    """
    data, start = [], 0
    for column in columns:
        part = features[:, start : start + column.width]
        start += column.width
        data.append(part[:, 0] if column.number else _chosen(column, part))
    return data


def _chosen(column: Column, hot: NDArray[np.float64]) -> NDArray[Any]:
    if not column.categories:  # nothing reads it
        return np.full(len(hot), "" if column.type is ColumnType.TEXT else 0)
    text = isinstance(column.categories[0], str)
    other = "?" * (1 + max(len(str(c)) for c in column.categories)) if text else max(map(int, column.categories)) + 1
    values = np.array([*column.categories, other])
    return np.asarray(values[np.where(hot.any(axis=1), hot.argmax(axis=1), len(column.categories))])


def as_tensors(columns: Sequence[Column], features: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Return the original's tensors, [n, columns] each, that features [n, F] stand for."""
    tensors: dict[str, list[NDArray[Any]]] = {}
    for column, values in zip(columns, collapse_features(columns, features), strict=True):
        tensors.setdefault(column.input, []).append(values)
    return {name: np.stack(values, axis=1) for name, values in tensors.items()}


def tensor_sizes(columns: Sequence[Column]) -> dict[str, int]:
    """Return the number of columns of each of the original's tensors, in order."""
    sizes: dict[str, int] = {}
    for column in columns:
        sizes[column.input] = sizes.get(column.input, 0) + 1
    return sizes


def parse_text(column: Column, text: str) -> float | str | None:
    """Return the value of a cell of a CSV file; None where it is no number and the column asks for one."""
    if column.type is ColumnType.TEXT:
        return text
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
