"""What the buyer does with decrypted outputs: the last, public step of a model.

Softmax, sigmoid, argmax and class labels need no secret, and are expensive under encryption and in a proof. They are
cut off the graph when the model is prepared, travel in the manifest, and are applied by whoever holds the outputs in
clear.
"""

import math
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from trader.model.errors import DataError


class PostProcessingKind(StrEnum):
    """The function that turns raw outputs [n, O] into what the original model returns."""

    NONE = "none"
    """Raw outputs are the result (regression, logits)."""
    SIGMOID = "sigmoid"
    """Element by element."""
    EXP = "exp"
    """Element by element: of models that predict a logarithm, as scikit-learn's Poisson and gamma regressors."""
    BINARY = "binary"
    """One logit z becomes two columns, 1 - sigmoid(z) and sigmoid(z), as scikit-learn has them."""
    BINARY_SHARE = "binary_share"
    """One number z becomes two columns, 1/2 - z and 1/2 + z: shares of votes, as of the trees of a forest."""
    ONE_VS_REST = "one_vs_rest"
    """Sigmoid element by element, divided by its sum along the last axis."""
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
        labels: class labels in column order, as the original model returns them; empty if it names none.
        exponent: raw outputs are multiplied by 2^exponent first. Outputs in large units (prices) would not fit the
            parameters' grid otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: PostProcessingKind = PostProcessingKind.NONE
    labels: tuple[int, ...] | tuple[str, ...] = ()
    exponent: Annotated[int, Field(ge=-256, le=256)] = 0

    @property
    def is_classifier(self) -> bool:
        """Whether `predict` gives classes."""
        return bool(self.labels) or self.kind not in _BY_ELEMENT

    def in_output_units(self, error: float) -> float:
        """Return an error of a raw output in the units of the model's outputs, before anything but the exponent."""
        return math.ldexp(error, self.exponent)

    def apply(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return what the original model returns for raw outputs [n, O]: float64 [n, …], int64 [n] for `ARGMAX`.

        Raises:
            DataError: the outputs aren't a matrix, or a binary model has not one column.
        """
        z = self._checked(outputs)
        match self.kind:
            case PostProcessingKind.NONE:
                return z
            case PostProcessingKind.SIGMOID:
                return _sigmoid(z)
            case PostProcessingKind.EXP:
                with np.errstate(over="ignore"):  # an infinite prediction is what the original model returns, too
                    return np.asarray(np.exp(z))
            case PostProcessingKind.BINARY:
                return np.hstack([_sigmoid(-z), _sigmoid(z)])
            case PostProcessingKind.BINARY_SHARE:
                return np.hstack([0.5 - z, 0.5 + z])
            case PostProcessingKind.ONE_VS_REST:
                return np.asarray(_sigmoid(z) / _sigmoid(z).sum(axis=1, keepdims=True))
            case PostProcessingKind.SOFTMAX:
                return np.asarray(np.exp(_log_softmax(z)))
            case PostProcessingKind.LOG_SOFTMAX:
                return _log_softmax(z)
            case PostProcessingKind.ARGMAX:
                return np.asarray(np.argmax(z, axis=1))

    def predict(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Classes [n] for raw outputs [n, O] of a classifier (its labels, or column numbers); `apply` for a regressor.

        A single logit or sigmoid column stands for two classes, the second one when it is positive.

        Raises:
            DataError: as `apply`.
        """
        return self.classify(outputs) if self.is_classifier else self.apply(outputs)

    def classify(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Classes [n] for raw outputs [n, O], as `predict` has them, of a model that returns scores of classes too.

        Nothing but the labels that it is compared with tells such a model (logits, as PyTorch exports them) from one
        that predicts several numbers.

        Raises:
            DataError: as `apply`; or there is but one number per sample, and nothing says at which one class ends.
        """
        z = self._checked(outputs)
        if z.shape[1] == 1 and not self.is_classifier and self.kind is not PostProcessingKind.SIGMOID:
            raise DataError("the model predicts one number per sample, not classes; end a classifier with a sigmoid")
        classes = (z[:, 0] > 0).astype(np.int64) if z.shape[1] == 1 else np.argmax(z, axis=1)
        return np.asarray(self.labels)[classes] if self.labels else classes

    def _checked(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        z = np.asarray(outputs, dtype=np.float64)
        if z.ndim != 2 or (self.kind in _TWO_COLUMNS and z.shape[1] != 1):
            raise DataError(f"raw outputs of shape {list(z.shape)} do not suit post-processing '{self.kind}'")
        classes = max(z.shape[1], 2)
        if self.labels and len(self.labels) != classes:
            raise DataError(f"the model names {len(self.labels)} classes, its outputs have {classes}")
        return np.ldexp(z, self.exponent)


_BY_ELEMENT = (PostProcessingKind.NONE, PostProcessingKind.SIGMOID, PostProcessingKind.EXP)
"""Kinds whose columns have nothing to do with each other, and need not be classes."""


_TWO_COLUMNS = (PostProcessingKind.BINARY, PostProcessingKind.BINARY_SHARE)


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))


def _log_softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
