"""What the buyer does with decrypted outputs: the last, public step of a model.

Softmax, sigmoid, argmax and class labels need no secret, and are expensive under encryption and in a proof. They are cut
off the graph when the model is prepared, travel in the manifest, and are applied by whoever holds the outputs in clear.
"""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trader.model.errors import DataError


class PostProcessingKind(StrEnum):
    """The function that turns raw outputs [n, O] into what the original model returns."""

    NONE = "none"
    """Raw outputs are the result (regression)."""
    SIGMOID = "sigmoid"
    """Element by element."""
    BINARY = "binary"
    """One logit z becomes the two columns [1 − σ(z), σ(z)], as scikit-learn has them."""
    SOFTMAX = "softmax"
    """Along the last axis."""
    LOG_SOFTMAX = "log_softmax"
    """Along the last axis."""
    ARGMAX = "argmax"
    """Index of the largest output, [n]."""


class PostProcessing(BaseModel):
    """Post-processing of a model: a function and the names of its classes, if it has any.

    Attributes:
        kind: the function.
        labels: class labels in column order, as the original model returns them; empty for regression.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: PostProcessingKind = PostProcessingKind.NONE
    labels: tuple[int, ...] | tuple[str, ...] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether `predict` gives classes."""
        return bool(self.labels) or self.kind not in (PostProcessingKind.NONE, PostProcessingKind.SIGMOID)

    def apply(self, outputs: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """What the original model returns for raw outputs [n, O].

        Raises:
            DataError: the outputs aren't a matrix, or a binary model has not one column.
        """
        raise NotImplementedError

    def predict(self, outputs: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Class labels [n] for raw outputs [n, O] of a classifier; the values of `apply` for a regressor.

        Raises:
            DataError: as `apply`.
        """
        raise NotImplementedError


__all__ = ["DataError", "PostProcessing", "PostProcessingKind"]
