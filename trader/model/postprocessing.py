"""What the buyer does with decrypted outputs: the last, public step of a model.

Softmax, sigmoid, argmax and class labels need no secret, and are expensive under encryption and in a proof. They are
cut off the graph when the model is prepared, travel in the manifest, and are applied by whoever holds the outputs in
clear.
"""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from trader.model import one_vs_one
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
    MIRRORED = "mirrored"
    """One score z becomes two columns, -z and z: what a linear classifier of two classes returns without a sigmoid."""
    ONE_VS_REST = "one_vs_rest"
    """Sigmoid element by element, divided by its sum along the last axis."""
    SOFTMAX = "softmax"
    """Along the last axis."""
    LOG_SOFTMAX = "log_softmax"
    """Along the last axis."""
    ARGMAX = "argmax"
    """Index of the largest output, [n]."""
    POSITIVE = "positive"
    """1 where an output is above 0, else 0, element by element: a score beyond a threshold."""
    NOT_NEGATIVE = "not_negative"
    """1 where an output is 0 or above, else 0, element by element."""
    SIGN = "sign"
    """-1, 0 or 1, element by element."""
    SOFTSIGN = "softsign"
    """z/(1 + |z|), element by element."""
    L2_NORM = "l2_norm"
    """Length of the vector of outputs, [n, 1]."""
    UNIT = "unit"
    """Vector of outputs, divided by its length; 0 where that is 0."""
    ONE_VS_ONE = "one_vs_one"
    """Decisions of pairs of classes (`trader.model.one_vs_one`) with SVMClassifier's signs, which are opposite; z and
    -z of a single pair z."""
    ONE_VS_ONE_CLASS = "one_vs_one_class"
    """Number of the class that most pairs vote for, [n]."""
    ONE_VS_ONE_SCORES = "one_vs_one_scores"
    """Votes of pairs and how clear they were, a column for each class, as scikit-learn's decision function has them."""
    ONE_VS_ONE_PROBABILITIES = "one_vs_one_probabilities"
    """Probabilities, coupled from logits of pairs; they are the second half of the outputs, decisions the first."""

    @property
    def is_decision(self) -> bool:
        """Whether each output becomes a decision about its sign."""
        return self in (PostProcessingKind.POSITIVE, PostProcessingKind.NOT_NEGATIVE, PostProcessingKind.SIGN)

    @property
    def is_class(self) -> bool:
        """Whether the number of a class is computed, [n]."""
        return self in (PostProcessingKind.ARGMAX, PostProcessingKind.ONE_VS_ONE_CLASS)

    @property
    def is_one_vs_one(self) -> bool:
        """Whether raw outputs are decisions of pairs of classes."""
        return self in _ONE_VS_ONE

    @property
    def keeps_shape(self) -> bool:
        """Whether each element becomes another one, wherever it stands."""
        by_element = (PostProcessingKind.NONE, PostProcessingKind.SIGMOID, PostProcessingKind.EXP)
        return self.is_decision or self in (*by_element, PostProcessingKind.SOFTSIGN)

    @property
    def is_of_two_classes(self) -> bool:
        """Whether one raw output becomes two columns."""
        return self in (PostProcessingKind.BINARY, PostProcessingKind.BINARY_SHARE, PostProcessingKind.MIRRORED)

    def width(self, outputs: int) -> int:
        """Return the number of elements per sample that it makes of so many raw outputs."""
        if self.is_of_two_classes:
            return 2
        if self is PostProcessingKind.ONE_VS_ONE:
            return max(outputs, 2)
        if self in (PostProcessingKind.ONE_VS_ONE_SCORES, PostProcessingKind.ONE_VS_ONE_PROBABILITIES):
            return self.classes(outputs)
        return 1 if self.is_class or self is PostProcessingKind.L2_NORM else outputs

    def classes(self, outputs: int) -> int:
        """Return how many classes so many raw outputs tell apart, if that is what they do; 0 if they can't be."""
        if self.is_one_vs_one:
            return one_vs_one.classes_of(self.deciding(outputs))
        return max(outputs, 2)

    def deciding(self, outputs: int) -> int:
        """Return how many of so many raw outputs, the first ones, say which class it is; 0 if they can't be so many."""
        if self is PostProcessingKind.ONE_VS_ONE_PROBABILITIES:
            return 0 if outputs % 2 else outputs // 2
        return outputs


_ONE_VS_ONE = (
    PostProcessingKind.ONE_VS_ONE,
    PostProcessingKind.ONE_VS_ONE_CLASS,
    PostProcessingKind.ONE_VS_ONE_SCORES,
    PostProcessingKind.ONE_VS_ONE_PROBABILITIES,
)


class OutputPart(BaseModel):
    """One of the original's outputs: so many columns of the raw outputs.

    Attributes:
        name: that the original gives it.
        columns: how many raw outputs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(max_length=256)]
    columns: Annotated[int, Field(ge=1, lt=1 << 24)]


class PostProcessing(BaseModel):
    """Post-processing of a model: a function and the names of its classes, if it has any.

    Attributes:
        kind: the function.
        labels: class labels in column order, as the original model returns them; empty if it names none.
        exponent: raw outputs are multiplied by 2^exponent first. Outputs in large units (prices) would not fit the
            parameters' grid otherwise.
        parts: the original's outputs, behind each other in the raw outputs, where it has several; else empty. All of
            them are made by the same function.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: PostProcessingKind = PostProcessingKind.NONE
    labels: tuple[int, ...] | tuple[str, ...] = ()
    exponent: Annotated[int, Field(ge=-256, le=256)] = 0
    parts: tuple[OutputPart, ...] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether `predict` gives classes."""
        return bool(self.labels) or self.kind not in _BY_ELEMENT

    def in_output_units(self, error: float) -> float:
        """Return an error of a raw output in the units of the model's outputs, before anything but the exponent."""
        return math.ldexp(error, self.exponent)

    def apply(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return what the original model returns for raw outputs [n, O]: float64 [n, …], int64 [n] for classes.

        Decisions are float64 too, whatever type the original gives them.

        Raises:
            DataError: the outputs aren't a matrix, a binary model has not one column, or no number of classes has pairs
                as many as there are columns.
        """
        z = self._checked(outputs)
        return np.asarray(_FUNCTIONS[self.kind](z))

    def predict(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Classes [n] for raw outputs [n, O] of a classifier (its labels, or column numbers); `apply` for a regressor.

        Decisions are int64, [n] if there is one output.

        A single logit or sigmoid column stands for two classes, the second one when it is positive.

        Raises:
            DataError: as `apply`.
        """
        if self.kind.is_decision:
            decisions = self.apply(outputs).astype(np.int64)
            return decisions[:, 0] if decisions.shape[1] == 1 else decisions
        return self.classify(outputs) if self.is_classifier else self.apply(outputs)

    def classify(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Classes [n] for raw outputs [n, O], as `predict` has them, of a model that returns scores of classes too.

        Nothing but the labels that it is compared with tells such a model (logits, as PyTorch exports them) from one
        that predicts several numbers.

        Raises:
            DataError: as `apply`; or there is but one number per sample, and nothing says at which one class ends.
        """
        z = self._checked(outputs)
        if self.parts:
            raise DataError(f"the model has {len(self.parts)} outputs, which are no scores of classes together")
        if z.shape[1] == 1 and self.kind.is_decision:
            return self.predict(outputs)
        if z.shape[1] == 1 and not self.is_classifier and self.kind is not PostProcessingKind.SIGMOID:
            raise DataError("the model predicts one number per sample, not classes; end a classifier with a sigmoid")
        if self.kind.is_one_vs_one:
            classes = one_vs_one.decide(z[:, : self.kind.deciding(z.shape[1])])
        else:
            classes = (z[:, 0] > 0).astype(np.int64) if z.shape[1] == 1 else np.argmax(z, axis=1)
        return np.asarray(self.labels)[classes] if self.labels else classes

    def split(self, results: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return what `apply` gave, by the names of the original's outputs; as `output` where it has one."""
        if not self.parts:
            return {"output": results}
        ends = np.cumsum([part.columns for part in self.parts])[:-1]
        return {part.name: columns for part, columns in zip(self.parts, np.split(results, ends, axis=1), strict=True)}

    def _checked(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        z = np.asarray(outputs, dtype=np.float64)
        if (
            z.ndim != 2
            or (self.kind.is_of_two_classes and z.shape[1] != 1)
            or (self.kind.is_one_vs_one and not self.kind.classes(z.shape[1]))
        ):
            raise DataError(f"raw outputs of shape {list(z.shape)} do not suit post-processing '{self.kind}'")
        if self.parts and sum(part.columns for part in self.parts) != z.shape[1]:
            raise DataError(f"the model's outputs have {sum(p.columns for p in self.parts)} columns, not {z.shape[1]}")
        classes = self.kind.classes(z.shape[1])
        if self.labels and len(self.labels) != classes:
            raise DataError(f"the model names {len(self.labels)} classes, its outputs have {classes}")
        return np.ldexp(z, self.exponent)


_BY_ELEMENT = tuple(PostProcessingKind(name) for name in ("none", "sigmoid", "exp", "softsign", "l2_norm", "unit"))
_BY_ELEMENT += tuple(kind for kind in PostProcessingKind if kind.is_decision)
"""Kinds whose columns need not be classes."""


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))


def _log_softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _exp(z: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # an infinite prediction is what the original model returns, too
        return np.asarray(np.exp(z))


def _lengths(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(z, axis=1, keepdims=True))


_FUNCTIONS: dict[PostProcessingKind, Callable[[NDArray[np.float64]], NDArray[Any]]] = {
    PostProcessingKind.NONE: lambda z: z,
    PostProcessingKind.SIGMOID: _sigmoid,
    PostProcessingKind.EXP: _exp,
    PostProcessingKind.BINARY: lambda z: np.hstack([_sigmoid(-z), _sigmoid(z)]),
    PostProcessingKind.BINARY_SHARE: lambda z: np.hstack([0.5 - z, 0.5 + z]),
    PostProcessingKind.MIRRORED: lambda z: np.hstack([-z, z]),
    PostProcessingKind.ONE_VS_REST: lambda z: _sigmoid(z) / _sigmoid(z).sum(axis=1, keepdims=True),
    PostProcessingKind.SOFTMAX: lambda z: np.exp(_log_softmax(z)),
    PostProcessingKind.LOG_SOFTMAX: _log_softmax,
    PostProcessingKind.ARGMAX: lambda z: np.argmax(z, axis=1),
    PostProcessingKind.POSITIVE: lambda z: (z > 0).astype(np.float64),
    PostProcessingKind.NOT_NEGATIVE: lambda z: (z >= 0).astype(np.float64),
    PostProcessingKind.SIGN: np.sign,
    PostProcessingKind.SOFTSIGN: lambda z: z / (1 + np.abs(z)),
    PostProcessingKind.L2_NORM: _lengths,
    PostProcessingKind.UNIT: lambda z: z / np.where(_lengths(z) > 0, _lengths(z), 1.0),
    PostProcessingKind.ONE_VS_ONE: lambda z: np.hstack([z, -z]) if z.shape[1] == 1 else -z,
    PostProcessingKind.ONE_VS_ONE_CLASS: one_vs_one.decide,
    PostProcessingKind.ONE_VS_ONE_SCORES: one_vs_one.scores,
    PostProcessingKind.ONE_VS_ONE_PROBABILITIES: lambda z: one_vs_one.couple(z[:, z.shape[1] // 2 :]),
}
