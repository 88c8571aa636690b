"""What a buyer checks of a seller's answers: of the encrypted test before it pays, of the proof before it accepts.

Before `purchase`, from the outputs of the whole test (`assess_test`, `BuyerPolicy.check_test`):

(1) no output is larger than the plan's modulus can carry: it would be no model's, and nothing is committed to;
(2) the classes stand, whatever model within the tolerance is proven and delivered later on: few samples are so close to
    another class that it could be theirs;
(3) so do scores and values: the tolerance is small against their spread.

Before `accept`, from the k proven outputs (`compare_proven`, `BuyerPolicy.check_proven`):

(4) each is within the tolerance of what the buyer committed to: the escrow can't know, since only a digest was shown;
(5) their classes are those that the buyer saw.

Why the tolerance is not enough: it is absolute, and a seller chooses the scale of a model's outputs. With all of them
divided by a thousand, a listed model may say the opposite of the tested one, and the proof holds. Nor does a limit on
the tolerance help alone: it derives from the plan's error, which the seller states. Checks (2) and (3) need nothing but
what the buyer saw.

A proven output is within the tolerance of a committed one, and this within one step of the grid of the output seen: so
an audit says nothing of a model whose outputs are all within the sum of both, the `distance` of `Assessment`.
What a larger difference risks on a share of samples is `trader.verify.detection`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trader.model import one_vs_one
from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.verify.errors import OutputRangeError, ProvenOutputsError
from zk.field import MODULUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trader.he import HePlan
    from trader.model import Manifest
    from trader.verify.delivery import AuditedSamples
    from trader.verify.listing import VerifiedListing


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a test says for certain, given how far the proven outputs may lie from it.

    Attributes:
        samples: In the test.
        distance: Largest distance of a proven output from the one seen that an audit lets pass, real units.
        changeable: Samples whose class could be another one within that distance; None where no classes are predicted.
        score_error: Distance against the spread of the scores that classes are taken from, 1 at most; None as above.
        value_error: Distance against the smallest spread of an output, 1 at most; None where values don't count.
    """

    samples: int
    distance: float
    changeable: int | None
    score_error: float | None
    value_error: float | None

    @property
    def changeable_share(self) -> float:
        """Share of samples whose class could be another one; 0 where no classes are predicted."""
        return (self.changeable or 0) / self.samples


@dataclass(frozen=True, slots=True)
class Comparison:
    """The proven outputs of the audit samples beside those that the buyer saw.

    Attributes:
        samples: k.
        changed: Samples whose proven class is another one than the class seen; 0 where no classes are predicted.
        right_seen: Samples whose class seen was right; None without labels that are classes.
        right_proven: Samples whose proven class is right; None as above.
        outside: Proven outputs that are further from those seen than the tolerance.
        largest_errors: Of each output, the largest distance of a proven one from that seen, in the outputs' units. They
            are the noise of decryptions: never show them to anybody in full.
    """

    samples: int
    changed: int
    right_seen: int | None
    right_proven: int | None
    outside: int = 0
    largest_errors: tuple[float, ...] = field(default=(), compare=False, repr=False)


def audit_distance(tolerance: int, output_scale_bits: int, output_shift_bits: int) -> float:
    """Largest distance of a proven output from the decrypted one that an audit lets pass, real units.

    Args:
        tolerance: In units of the instances.
        output_scale_bits: Their scale.
        output_shift_bits: By which committed outputs are coarser.
    """
    return math.ldexp(float(tolerance + (1 << output_shift_bits)), -output_scale_bits)


def assess_test(
    outputs: NDArray[np.float64],
    distance: float,
    post_processing: PostProcessing,
    labels: NDArray[np.generic] | None = None,
) -> Assessment:
    """Return what a test says for certain.

    Args:
        outputs: float64 [n, O], decrypted raw outputs.
        distance: `audit_distance`.
        post_processing: Says what is predicted, as far as the model does.
        labels: [n] true labels, where the buyer has them: classes or values. Without them, a model that could be used
            for either is held to both.
    """
    classes, values = _uses(post_processing, outputs.shape[1], labels)
    return Assessment(
        samples=len(outputs),
        distance=distance,
        changeable=int(could_change(outputs, distance, post_processing).sum()) if classes else None,
        score_error=_score_error(outputs, distance, post_processing) if classes else None,
        value_error=_relative(distance, outputs) if values else None,
    )


def could_change(outputs: NDArray[np.float64], distance: float, post_processing: PostProcessing) -> NDArray[np.bool_]:
    """Which samples [n] would have another class if every raw output [n, O] moved by up to `distance` either way."""
    if post_processing.kind.is_one_vs_one:
        decisions = outputs[:, : post_processing.kind.deciding(outputs.shape[1])]
        return one_vs_one.could_change(decisions, distance)
    near_zero = np.abs(outputs) <= distance
    if outputs.shape[1] == 1 or post_processing.kind.is_decision:
        return np.asarray(near_zero.any(axis=1))
    best_two = np.partition(outputs, -2, axis=1)[:, -2:]
    close = best_two[:, 1] - best_two[:, 0] <= 2 * distance
    # Sigmoids of several outputs are read as one class, or as one yes or no each.
    return np.asarray(close | near_zero.any(axis=1) if _is_elementwise(post_processing) else close)


def check_range(outputs: NDArray[np.float64], plan: HePlan, output_scale_bits: int, tolerance: int) -> None:
    """Check (1).

    Args:
        outputs: [n, O], decrypted raw outputs.
        plan: Under which they were encrypted.
        output_scale_bits: Scale of the instances.
        tolerance: In their units.

    Raises:
        OutputRangeError: An output is no finite number, or larger than any of a model that suits the plan.
    """
    # The escrow tells signs apart by the middle of the field: committed outputs keep well below it.
    limit = min(largest_output(plan), math.ldexp(float(MODULUS // 4 - tolerance), -output_scale_bits))
    largest = float(np.abs(outputs).max(initial=0.0))
    if not largest < limit:
        raise OutputRangeError(
            f"an output of the test is {largest:.3g}, outputs under this plan stay below {limit:.3g}: the answer is "
            "from no model that suits the plan. Nothing was committed to; don't buy."
        )


def outside_reach(manifest: Manifest, inputs: NDArray[np.int64], outputs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which samples (row numbers) left the range that the seller's data covers, by an input or by an output.

    Polynomials that stand for activations, and the plan's error, are fitted to that range: nothing is promised beyond.

    Args:
        manifest: States the range; it may state none, and then no sample leaves it.
        inputs: Quantised, [n, F].
        outputs: float64 [n, O], decrypted raw outputs.
    """
    outside = np.zeros(len(outputs), dtype=bool)
    if manifest.input.reach:
        bounds = np.ldexp(1.0, np.asarray(manifest.input.reach, dtype=np.int32) + manifest.scale_bits)
        outside |= (np.abs(inputs) > bounds).any(axis=1)
    if manifest.output.reach is not None:
        outside |= (np.abs(outputs) > manifest.output.reach).any(axis=1)
    return np.flatnonzero(outside)


def largest_output(plan: HePlan) -> float:
    """Return what no output under a plan reaches, real units: it would not fit into the response's modulus."""
    response_bits = sum(plan.modulus_bits[: plan.response_primes])
    return math.ldexp(1.0, response_bits - 1) / plan.output_scale


def compare_proven(
    listing: VerifiedListing,
    proven: Sequence[int],
    audited: AuditedSamples,
    seen: NDArray[np.float64],
    labels: NDArray[np.generic] | None = None,
) -> Comparison:
    """Compare what was proven with what was seen; `BuyerPolicy.check_proven` says whether that will do.

    Args:
        listing: What is bought.
        proven: k·O signed instances of the proof, row by row.
        audited: What the buyer committed to.
        seen: float64 [k, O], decrypted raw outputs of the audited samples.
        labels: [k] their true labels, where the buyer has them.

    Raises:
        ProvenOutputsError: There are not as many as were committed to.
    """
    committed = [int(value) << listing.layout.output_shift_bits for value in audited.outputs.ravel()]
    if len(proven) != len(committed):
        raise ProvenOutputsError(f"{len(proven)} outputs were proven, {len(committed)} committed to. Don't accept.")
    outside = sum(abs(a - b) > listing.terms.tolerance for a, b in zip(proven, committed, strict=True))
    exact = np.array([math.ldexp(float(value), -listing.circuit.output_scale_bits) for value in proven])
    exact = exact.reshape(seen.shape)
    post_processing = listing.manifest.output.post_processing
    errors = tuple(map(post_processing.in_output_units, np.abs(exact - seen).max(axis=0).tolist()))
    if not _uses(post_processing, seen.shape[1], labels)[0]:
        return Comparison(len(seen), 0, None, None, outside, errors)
    before, after = post_processing.classify(seen), post_processing.classify(exact)
    known = labels is not None and (labels.dtype.kind in "iu") == (before.dtype.kind in "iu")
    return Comparison(
        samples=len(seen),
        changed=int(_differ(seen, exact, post_processing).sum()),
        right_seen=int((before == labels).sum()) if known else None,
        right_proven=int((after == labels).sum()) if known else None,
        outside=outside,
        largest_errors=errors,
    )


def _differ(
    seen: NDArray[np.float64], exact: NDArray[np.float64], post_processing: PostProcessing
) -> NDArray[np.bool_]:
    """Which samples [k] have other classes, or other yeses and noes."""
    if post_processing.kind.is_decision:
        return np.asarray((post_processing.apply(seen) != post_processing.apply(exact)).any(axis=1))
    other = post_processing.classify(seen) != post_processing.classify(exact)
    if _is_elementwise(post_processing):
        other = other | ((seen > 0) != (exact > 0)).any(axis=1)
    return np.asarray(other)


def _is_elementwise(post_processing: PostProcessing) -> bool:
    return post_processing.kind is PostProcessingKind.SIGMOID or post_processing.kind.is_decision


def _uses(post_processing: PostProcessing, outputs: int, labels: NDArray[np.generic] | None) -> tuple[bool, bool]:
    """Whether outputs are used as classes, and whether as values."""
    if post_processing.parts and not post_processing.kind.is_decision:
        return False, True
    if post_processing.is_classifier or post_processing.kind.is_decision:
        return True, False
    if outputs == 1 and not _is_elementwise(post_processing):
        return False, True  # one number per sample: nothing says at which one class ends
    if labels is None:
        return True, True
    as_classes = labels.ndim == 1 and labels.dtype.kind in "iuUS"
    return as_classes, not as_classes


def _score_error(outputs: NDArray[np.float64], distance: float, post_processing: PostProcessing) -> float:
    """Distance against the spread of scores; what all classes have in common tells none from another."""
    count = outputs.shape[1]
    # Each decision tells two classes apart by itself. The class doesn't depend on the logits of probabilities beside
    # them, and it is for the seller to say how large the one is against the other: so each is held to its own spread.
    if count == 1 or post_processing.kind.is_one_vs_one:
        return _relative(distance, outputs)
    # An output moves one way, and the mean the other way as all others do.
    return _relative(2 * (1 - 1 / count) * distance, outputs - outputs.mean(axis=1, keepdims=True))


def _relative(distance: float, values: NDArray[np.float64]) -> float:
    """Distance against the smallest range of the middle half of samples of values [n, columns]; 1 at most.

    Outliers, which a seller could make, leave that range as it is; they would stretch a standard deviation.
    """
    low, high = np.quantile(values, [0.25, 0.75], axis=0)
    spread = float((high - low).min())
    return distance / spread if distance < spread else 1.0
