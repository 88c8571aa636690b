"""User data: CSV, NPY and NPZ files with samples or labels.

A CSV file has one sample per line, numbers separated by commas, and may have a header (a first line without numbers).
NPY and NPZ files hold one array; NPZ files with several are read by the name `x` (samples) or `y` (labels). Pickled
objects are never loaded. Data of models with categories has the original's columns (`trader.model.columns`).
"""

import csv
import math
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from trader.model.columns import Column, ColumnType, column_names, expand_columns, parse_text, tensor_sizes
from trader.model.errors import DataError

MAX_DATA_BYTES = 2 << 30
MAX_LINE_CHARACTERS = 1 << 24
MAX_ELEMENTS = 1 << 28


def read_samples(path: Path, features: int | None = None, columns: Sequence[Column] = ()) -> NDArray[np.float64]:
    """Read samples float64 [n, features] from a .csv, .npy or .npz file, n ≥ 1; values are finite.

    Without a number of features it is as the file has them. Where a model has `columns`, the file has those of the
    original data, which are expanded to features; or the features themselves, if their numbers differ. An .npz file may
    have an array for each of the original's tensors.

    Raises:
        DataError: the file can't be read, or has missing values, another number of columns, or a category that the
            model doesn't know and refuses; names the line.
    """
    if columns:
        data = _csv_columns(path, columns) if _suffix(path) == ".csv" else _array_columns(path, columns)
        if data is not None:
            return expand_columns(columns, data)
    if _suffix(path) == ".csv":
        return _csv_numbers(path, features)
    array = _array(path, "x")
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path.name} holds {array.dtype}, not numbers")
    features = array[0].size if features is None and array.ndim >= 2 and len(array) else features or 0
    if array.ndim < 2 or not len(array) or array[0].size != features:
        raise DataError(f"{path.name} holds an array of shape {list(array.shape)}, the model takes [n, {features}]")
    rows = array.reshape(len(array), features).astype(np.float64)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        raise DataError(
            f"{path.name}: row {bad[0][0]}, column {bad[0][1]} (from 0) is missing or infinite; drop the row"
        )
    return rows


def read_labels(path: Path, samples: int) -> NDArray[Any]:
    """Labels [samples] from a .csv, .npy or .npz file: int64 where all are integers, float64 for numbers, else str.

    Raises:
        DataError: the file can't be read, a label is missing, or there are not as many as samples.
    """
    if _suffix(path) == ".csv":
        labels = _csv_labels(path, samples)
    else:
        labels = _array(path, "y")
        labels = labels.ravel() if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.dtype.kind not in "fiubU":
            raise DataError(f"{path.name} holds {labels.dtype}, not labels")
    if labels.shape != (samples,):
        raise DataError(f"{path.name} holds labels of shape {list(labels.shape)}, the data has {samples} samples")
    return labels.astype(np.int64) if labels.dtype.kind in "iub" else labels


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".npy", ".npz"):
        raise DataError(f"{path.name}: data files are .csv, .npy or .npz")
    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path")
    if path.stat().st_size > MAX_DATA_BYTES:
        raise DataError(f"{path.name} has more than {MAX_DATA_BYTES} bytes; split it")
    return suffix


def _csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Non-empty rows with their line numbers."""
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    rows = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if row:
                    rows.append((reader.line_num, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} is not a readable CSV file: {error}") from error
    if not rows:
        raise DataError(f"{path.name} has no rows")
    return rows


def _csv_numbers(path: Path, features: int | None) -> NDArray[np.float64]:
    values = []
    rows = _csv_rows(path)
    features = len(rows[0][1]) if features is None else features
    has_header = len(rows) > 1 and all(_number(text) is None for text in rows[0][1])
    for line, row in rows[has_header:]:
        if len(row) != features:
            raise DataError(f"{path.name}, line {line}: {len(row)} columns, the model takes {features}")
        numbers = [_number(text) for text in row]
        for column, number in enumerate(numbers):
            if number is None or not math.isfinite(number):
                place = f"{path.name}, line {line}, column {column + 1}"
                raise DataError(f"{place}: {row[column][:40]!r} is not a finite number; correct or drop the line")
        values.append(numbers)
    return np.array(values, dtype=np.float64)


def _csv_columns(path: Path, columns: Sequence[Column]) -> list[NDArray[Any]] | None:
    """Return the original's columns; None if the file has not as many."""
    rows = _csv_rows(path)
    if any(len(row) != len(columns) for _, row in rows):
        return None
    parsed = [[parse_text(column, text.strip()) for column, text in zip(columns, row, strict=True)] for _, row in rows]
    if len(rows) > 1 and _is_header(columns, parsed[0]):
        rows, parsed = rows[1:], parsed[1:]
    for (line, row), values in zip(rows, parsed, strict=True):
        if None in values:
            place = values.index(None)
            where = f"{path.name}, line {line}, {column_names(columns)[place]}"
            raise DataError(f"{where}: {row[place][:40]!r} is not a finite number; correct or drop the line")
    return [np.array([row[index] for row in parsed]) for index in range(len(columns))]


def _is_header(columns: Sequence[Column], first: Sequence[float | str | None]) -> bool:
    """Whether the first row names the columns: no number where there should be one, and no category."""
    cells = list(zip(columns, first, strict=True))
    numbers = [value for column, value in cells if column.type is not ColumnType.TEXT]
    if numbers:
        return all(value is None for value in numbers)
    return all(value not in column.categories for column, value in cells)


def _array_columns(path: Path, columns: Sequence[Column]) -> list[NDArray[Any]] | None:
    """Return the original's columns, from one array for all of its tensors or one for each; None if it has others."""
    sizes = tensor_sizes(columns)
    arrays = {name: _array(path, name) for name in sizes} if _has_arrays(path, sizes) else {"x": _array(path, "x")}
    sizes = sizes if len(arrays) == len(sizes) and "x" not in arrays.keys() - sizes.keys() else {"x": len(columns)}
    rows = {len(array) if array.ndim else 0 for array in arrays.values()}
    fits = (array.size == size * len(array) for array, size in zip(arrays.values(), sizes.values(), strict=True))
    if len(rows) != 1 or 0 in rows or not all(fits):
        return None
    if any(array.dtype.kind not in "fiubU" for array in arrays.values()):
        raise DataError(f"{path.name} holds {[str(a.dtype) for a in arrays.values()]}, not numbers or text")
    return [column for array in arrays.values() for column in array.reshape(len(array), -1).T]


def _has_arrays(path: Path, names: Iterable[str]) -> bool:
    if path.suffix.lower() != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist()) == {f"{name}.npy" for name in names}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} is not a readable .npz file: {error}") from error


def _csv_labels(path: Path, samples: int) -> NDArray[Any]:
    rows = _csv_rows(path)
    for line, row in rows:
        if len(row) != 1 or not row[0].strip():
            raise DataError(f"{path.name}, line {line}: expected one label")
    texts = [row[0].strip() for _, row in rows]
    if len(texts) == samples + 1:
        # Nothing but the count tells a header from a label.
        texts = texts[1:]
    numbers = [_number(text) for text in texts]
    if any(number is None for number in numbers):
        return np.array(texts)
    values = np.array(numbers, dtype=np.float64)
    return values.astype(np.int64) if np.array_equal(values, np.rint(values)) else values


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _array(path: Path, name: str) -> NDArray[Any]:
    """Return the array of an NPY or NPZ file, its claimed size checked before it is allocated."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return _checked_array(file, path)
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            member = members[0] if len(members) == 1 else f"{name}.npy"
            if member not in members:
                raise DataError(f"{path.name} holds {len(members)} arrays, none of them named '{name}'")
            with archive.open(member) as file:
                return _checked_array(file, path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path.name} is not a readable {path.suffix} file: {error}") from error


def _checked_array(file: Any, path: Path) -> NDArray[Any]:
    version = npy.read_magic(file)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.hasobject or math.prod(shape) > MAX_ELEMENTS or dtype.itemsize > 256:
        raise DataError(f"{path.name} claims an array {list(shape)} of {dtype}, which is not data that a model takes")
    file.seek(0)
    return np.asarray(npy.read_array(file, allow_pickle=False))
