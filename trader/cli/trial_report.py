"""What `modelseal model try` says of an encrypted test: errors, cost, and what a buyer would make of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.model import DataError, evaluate_exact, output_scale_bits
from trader.verify import Assessment, BuyerPolicy, UncertainTestError, assess_test, audit_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.model import CanonicalModel, Manifest
    from trader.rehearsal.trial import Trial


SHOWN_ROWS = 10


def exact_outputs(canonical: CanonicalModel, inputs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the canonical model's outputs [n, O] for quantised inputs [n, F], in real units."""
    scale_bits = output_scale_bits(canonical.graph, canonical.scale_bits)
    return evaluate_exact(canonical, inputs).astype(np.float64) / 2.0**scale_bits


def trial_figures(trial: Trial, exact: NDArray[np.float64], manifest: Manifest) -> dict[str, Any]:
    """Return the errors, in the units of the model's outputs, and the cost of a test, for tables and JSON."""
    error = float(np.abs(trial.outputs - exact).max())
    return {
        "samples": len(trial.outputs),
        "max_output_error": manifest.output.post_processing.in_output_units(error),
        "seconds": {name: round(seconds, 4) for name, seconds in trial.seconds.items()},
        "request_bytes": trial.request_bytes,
        "response_bytes": trial.response_bytes,
    }


def assess_trial(manifest: Manifest, outputs: NDArray[np.float64], labels: NDArray[Any] | None) -> Assessment:
    """Find, as a buyer does, how far an audit lets outputs move, and what that could change in this test."""
    circuit = manifest.circuit
    scale_bits = circuit.commit_scale_bits + circuit.layout.output_shift_bits
    distance = audit_distance(int(circuit.tolerance, 16), scale_bits, circuit.layout.output_shift_bits)
    return assess_test(outputs, distance, manifest.output.post_processing, labels)


def assessment_figures(assessment: Assessment) -> dict[str, Any]:
    """Return the figures of an assessment that apply to this model, for tables and JSON; the samples left out."""
    return {name: value for name, value in asdict(assessment).items() if value is not None and name != "samples"}


def range_warning(outside: NDArray[np.int64], samples: int) -> str:
    """Return a caution about samples (row numbers) that left the range of the seller's data; empty if none did."""
    if not len(outside):
        return ""
    rows = ", ".join(map(str, outside[:SHOWN_ROWS])) + (", …" if len(outside) > SHOWN_ROWS else "")
    return (
        f"{len(outside)} of {samples} samples left the range of the data that the model was prepared with (rows "
        f"{rows}, from 0): what the encrypted test says of them may be far off."
    )


def refusal(assessment: Assessment) -> str:
    """Return why buyers with the default policy will refuse; empty if they won't."""
    try:
        BuyerPolicy().check_test(assessment)
    except UncertainTestError as error:
        return f"Buyers with the default policy will refuse: {error}"
    return ""


def accuracies(
    manifest: Manifest, encrypted: NDArray[np.float64], plain: NDArray[np.float64], labels: NDArray[Any]
) -> dict[str, float]:
    """Return the shares of samples whose class is the true one, from decrypted and from exact outputs [n, O].

    Raises:
        DataError: The labels are of another type than the model's classes.
    """
    classify = manifest.output.post_processing.classify
    return {
        "accuracy_encrypted": _accuracy(classify(encrypted), labels),
        "accuracy_plain": _accuracy(classify(plain), labels),
    }


def _accuracy(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    if predictions.dtype.kind != labels.dtype.kind:
        raise DataError("the labels don't match what this model predicts. Give one class label per sample.")
    return float(np.mean(predictions == labels))
