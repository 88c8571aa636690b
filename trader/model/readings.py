"""Which elements of a value meet which weights of a linear layer, and which elements share weights by it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.model.nodes import ZERO


@dataclass(frozen=True, slots=True)
class Reading:
    """A linear layer that reads a value, moved at most.

    Attributes:
        parameter: Its number.
        elements: [positions, rows of all groups], which element stands there, or ZERO.
    """

    parameter: int
    elements: NDArray[np.int64]

    def row_values(self, values: NDArray[Any], idle: float) -> NDArray[Any]:
        """Return, by row of all groups, the value of the first element that meets it; `idle` where none does."""
        rows = np.append(values, np.asarray(idle, dtype=values.dtype))[self.elements]  # ZERO is the last place
        first = np.argmax(self.elements != ZERO, axis=0)
        return np.asarray(rows[first, np.arange(rows.shape[1])])


def tied(size: int, ties: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return, for each element [size], the first of those that it is tied to, directly or by way of others.

    Args:
        size: Number of elements.
        ties: [rows, k] each: the elements in a row are tied to each other; ZERO is none.
    """
    ties = list(ties)
    labels = np.append(np.arange(size), size)  # ZERO is the last place
    while True:
        before = labels.copy()
        for rows in ties:
            least = labels[rows].min(axis=1, keepdims=True)
            inside = rows != ZERO
            np.minimum.at(labels, rows[inside], np.broadcast_to(least, rows.shape)[inside])
        if np.array_equal(labels, before):
            return np.asarray(labels[:size])
