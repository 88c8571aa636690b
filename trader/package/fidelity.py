"""How far a package is from the model that was handed in, in the units of its outputs.

Three models stand side by side on the seller's data: the ONNX file as it is, run by onnxruntime; the canonical one,
rounded to integers, that is proven and delivered; and what the encrypted test computes, with polynomials for
activations. The figures go into the manifest; a package that lost too much is refused, with what is to blame for it.
They are the seller's word: a buyer can't repeat them before it owns the model, and its own test tells it more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.model import (
    Activation,
    CanonicalModel,
    LoweredModel,
    PostProcessing,
    PostProcessingKind,
    activate,
    evaluate_graph,
    evaluate_values,
    lowered_parameters,
    quantise_inputs,
    scale_inputs,
)
from trader.model.bounds import real_parameters
from trader.model.manifest import Agreement, Fidelity
from trader.package.errors import FidelityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from trader.he import HePlan
    from trader.model.bounds import ActivationFunction

    _Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]

LARGEST_RELATIVE_ERROR = 0.01
"""99 % of the outputs may be off by this part of the outputs' range at most."""
LEAST_CLASSES_KEPT = 0.995
NOISE_RESERVE = 0.0005
"""What polynomials leave of it to noise, which figures without encryption don't have."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The three models on the same samples.

    Attributes:
        lowered: The model in float64, units fitted; what blame is found with.
        canonical: Its integers.
        plan: Its encryption plan; None before there is one.
        samples: float64 [n, F].
        original: What the ONNX file gave, [n, …] each (`trader.model.run_original`).
    """

    lowered: LoweredModel
    canonical: CanonicalModel
    plan: HePlan | None
    samples: NDArray[np.float64]
    original: tuple[NDArray[Any], ...]

    def measure(self) -> Fidelity:
        """Return the figures."""
        graph, scale_bits = self.canonical.graph, self.canonical.scale_bits
        inputs = quantise_inputs(self.samples, graph, scale_bits, self.lowered.input_exponents, grid=self.lowered.grid)
        output = self.canonical.graph.output
        delivered = evaluate_values(self.canonical, inputs)[output]
        polynomials = self._polynomials
        with np.errstate(over="ignore", invalid="ignore"):
            tested = evaluate_values(self.canonical, inputs, _polynomial_function(polynomials))[output]
        return Fidelity(rows=len(self.samples), delivered=self.agreement(delivered), tested=self.agreement(tested))

    @property
    def _polynomials(self) -> Mapping[str, _Function]:
        return self.plan.polynomials if self.plan is not None else {}

    def keeps(self, raw: NDArray[np.float64]) -> bool:
        """Return whether raw outputs [n, O] of an encrypted test, but for its noise, are near enough to the file's."""
        return self.agreement(raw).is_within(LARGEST_RELATIVE_ERROR - NOISE_RESERVE, LEAST_CLASSES_KEPT)

    def check(self, fidelity: Fidelity) -> None:
        """Refuse a package that gives other answers than the model that was handed in.

        Raises:
            FidelityError: Says how far it is off, what is to blame and what helps.
        """
        for name, agreement in (("rounded to integers", fidelity.delivered), ("tested encrypted", fidelity.tested)):
            if is_faithful(agreement):
                continue
            kept = "" if agreement.classes_kept is None else f" and keeps {agreement.classes_kept:.1%} of its classes"
            raise FidelityError(
                f"{name}, the model is off by {agreement.error_99:.3g} on {fidelity.rows} rows (99th percentile, "
                f"{agreement.relative_error_99:.1%} of its outputs' range){kept}. {self._blame()} "
                "--insist makes the package all the same, and says so in its manifest."
            )

    def agreement(self, raw: NDArray[np.float64]) -> Agreement:
        """Return how near raw outputs [n, O] are to what the ONNX file gave."""
        post_processing = self.lowered.post_processing
        expected, found = self._results(raw)
        errors = np.abs(found - expected)
        errors[~np.isfinite(errors)] = np.finfo(np.float64).max
        relative = np.minimum(errors / _ranges(expected, post_processing), np.finfo(np.float64).max)
        return Agreement(
            largest_error=float(errors.max()),
            error_99=float(np.quantile(errors.max(axis=1), 0.99, method="higher")),
            largest_relative_error=float(relative.max()),
            relative_error_99=float(np.quantile(relative.max(axis=1), 0.99, method="higher")),
            classes_kept=self._classes_kept(raw, expected, found),
        )

    def _results(self, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what is compared, [n, columns] each: what the ONNX file returns, or scores where it returns classes.

        Scores are compared with those of the lowered model, which is the same but for float64.
        """
        post_processing, rows = self.lowered.post_processing, len(self.samples)
        if not post_processing.kind.is_class and not post_processing.kind.is_decision:
            found = post_processing.apply(raw)
            original = [array.reshape(rows, -1) for array in self.original if array.dtype.kind == "f"]
            if post_processing.parts and len(original) == len(post_processing.parts):
                original = [np.hstack(original)]
            expected = next((array for array in original if array.shape == found.shape), None)
            if expected is None and len(original) == len(self._columns):
                expected, found = np.hstack(original), found[:, self._columns]
            if expected is not None:
                return expected.astype(np.float64), found
        return np.ldexp(self._float_outputs(), post_processing.exponent), np.ldexp(raw, post_processing.exponent)

    @property
    def _columns(self) -> list[int]:
        """Columns of the result that the file's outputs are, where each is one of them; else none."""
        outputs = self.lowered.interface.outputs if self.lowered.interface is not None else ()
        columns = [output.column for output in outputs if not output.kind.is_class]
        return [column for column in columns if column is not None] if None not in columns else []

    def _classes_kept(
        self, raw: NDArray[np.float64], expected: NDArray[np.float64], found: NDArray[np.float64]
    ) -> float | None:
        """Return the share of classes that are the same, one per decision; None for a model that predicts none."""
        post_processing, rows = self.lowered.post_processing, len(self.samples)
        if post_processing.parts and not post_processing.kind.is_decision:
            return None
        if post_processing.kind.is_decision:
            decided = post_processing.apply(raw)
            arrays = [array.reshape(len(decided), -1) for array in self.original]
            returned = next((array for array in (*arrays, np.hstack(arrays)) if array.size == decided.size), decided)
            return float(np.mean(returned.reshape(decided.shape) == decided))
        if not post_processing.is_classifier and post_processing.kind is not PostProcessingKind.SIGMOID:
            return None
        if post_processing.kind.is_class or post_processing.kind.is_one_vs_one or self._columns:
            mine = post_processing.predict(raw)
            classes = (array.ravel() for array in self.original if array.dtype.kind in "iuOUS" and array.size == rows)
            given = next(classes, None)
            if given is not None:
                return float(np.mean(given.astype(mine.dtype) == mine))
            return float(np.mean(post_processing.predict(self._float_outputs()) == mine))
        if found.shape[1] == 1 or post_processing.kind is PostProcessingKind.SIGMOID:
            edge = 0.5 if post_processing.kind is PostProcessingKind.SIGMOID else 0.0
            return float(np.mean((expected > edge) == (found > edge)))
        return float(np.mean(expected.argmax(axis=1) == found.argmax(axis=1)))

    def _float_outputs(self) -> NDArray[np.float64]:
        graph = self.lowered.graph
        return self._evaluate(scale_inputs(self.lowered, self.samples))[graph.output]

    def _evaluate(self, inputs: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return evaluate_graph(self.lowered.graph, inputs, lowered_parameters(self.lowered))

    def _blame(self) -> str:
        """Return what does most of the damage, and what helps: each thing is rounded alone."""
        if self.lowered.grid is not None and not is_faithful(self.agreement(self._float_outputs())):
            return (
                f"Its thresholds moved to the edges of {max(self.lowered.grid.sizes) + 1} bins per column, of which "
                "alone encrypted data can tell. Train it on data that has one value per bin, and prepare it with the "
                "same grid: modelseal model grid DATA --snapped SNAPPED makes both; or use bins of your own (--grid)."
            )
        exact = self._float_outputs()
        ranges = _ranges(exact, self.lowered.post_processing)

        def damage(raw: NDArray[np.float64]) -> NDArray[np.float64]:
            errors = np.quantile(np.abs(raw - exact) / ranges, 0.99, axis=0)
            return np.where(np.isfinite(errors), errors, np.inf)

        with np.errstate(over="ignore", invalid="ignore"):
            found = ((damage(raw), text) for raw, text in self._suspects())
            errors, text = max(found, key=lambda each: float(each[0].max()))
        of_their_own = len(errors) > 1 and np.ptp(ranges) > 0
        return f"Output {int(errors.argmax())} (from 0) loses most of it. {text}" if of_their_own else text

    def _suspects(self) -> Iterator[tuple[NDArray[np.float64], str]]:
        """Yield outputs [n, O] with one thing rounded, or replaced by its polynomial, and what it is."""
        graph, exact = self.lowered.graph, scale_inputs(self.lowered, self.samples)
        parameters = lowered_parameters(self.lowered)
        step = math.ldexp(1.0, -self.canonical.scale_bits)
        rounded = np.rint(exact / step) * step
        column = int(np.argmax(_lost(exact, rounded)))
        yield (
            evaluate_graph(graph, rounded, parameters)[graph.output],
            (
                f"Rounding the inputs does most of it, column {column} (from 0) first: its values differ by less than "
                "the grid shows. Standardise it, or give calibration data in the units that buyers send."
            ),
        )
        for index, spec in enumerate(graph.parameters):

            def mixed(asked: int, index: int = index) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
                return real_parameters(self.canonical, index) if asked == index else parameters(asked)

            yield (
                evaluate_graph(graph, exact, mixed)[graph.output],
                (
                    f"Rounding {spec.name} ({self._origin_of_parameter(index)}) does most of it: its values are too "
                    "small beside the model's largest ones. Standardise the features or the targets, and train again."
                ),
            )
        for node in graph.nodes:
            if isinstance(node, Activation) and node.name in self._polynomials:
                only = {node.name: self._polynomials[node.name]}
                values = evaluate_graph(graph, exact, parameters, _polynomial_function(only))
                yield (
                    values[graph.output],
                    (
                        f"The polynomial that stands for {node.kind} ({self._origin(node.name)}) does most of it. "
                        "Train with squares (Mul(x, x)) as activation, which modelseal model adapt does for you, or "
                        "with inputs of activations that stay in a smaller range."
                    ),
                )

    def _origin_of_parameter(self, index: int) -> str:
        node = next(n for n in self.lowered.graph.nodes if getattr(n, "parameter", None) == index)
        return self._origin(node.name)

    def _origin(self, name: str) -> str:
        position = [node.name for node in self.lowered.graph.nodes].index(name)
        if position >= len(self.lowered.origins):
            return name
        origin = self.lowered.origins[position]
        return f"{origin.operator} '{origin.node}'"


def is_faithful(agreement: Agreement) -> bool:
    """Whether an agreement is within the limits of this module."""
    return agreement.is_within(LARGEST_RELATIVE_ERROR, LEAST_CLASSES_KEPT)


def _polynomial_function(polynomials: Mapping[str, _Function]) -> ActivationFunction:
    """Return the activations' functions, polynomials in the place of those that are named."""

    def apply(node: Activation, x: NDArray[np.float64]) -> NDArray[np.float64]:
        if node.name in polynomials:
            return polynomials[node.name](x)
        return activate(node.kind, x, node.alpha, node.beta)

    return apply


def _ranges(expected: NDArray[np.float64], post_processing: PostProcessing) -> NDArray[np.float64]:
    """Return what errors of each column are measured against: its range where columns are quantities of their own.

    Scores of classes are read beside each other. A column that never changes is measured against its size.
    """
    whole = float(np.ptp(expected)) or float(np.abs(expected).max()) or 1.0
    if post_processing.kind is not PostProcessingKind.NONE or post_processing.is_classifier:
        return np.full(expected.shape[1], whole)
    ranges = np.ptp(expected, axis=0)
    sizes = np.abs(expected).max(axis=0)
    return np.where(ranges > 0, ranges, np.where(sizes > 0, sizes, whole))


def _lost(exact: NDArray[np.float64], rounded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, by column, how much of what tells its values apart rounding takes."""
    spread = exact.std(axis=0)
    lost = np.sqrt(((rounded - exact) ** 2).mean(axis=0))
    return np.asarray(lost / np.where(spread > 0, spread, np.inf))
