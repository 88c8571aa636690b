"""The checks of answers: what within the tolerance could be another model, at every edge and against every disguise."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.cli.exit_codes import BAD_INPUT, PEER_FAULT, exit_code_of
from trader.he import HePlan, commit_outputs
from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.tolerance import commit_scale_bits, needed_tolerance
from trader.verify import (
    AuditedSamples,
    BuyerPolicy,
    ChangedAnswersError,
    Comparison,
    OutputRangeError,
    ProvenOutputsError,
    UncertainTestError,
    assess_test,
    audit_distance,
    check_range,
    compare_proven,
)
from trader.verify.answers import could_change, largest_output, outside_reach
from zk.field import MODULUS

SOFTMAX = PostProcessing(kind=PostProcessingKind.SOFTMAX)
BINARY = PostProcessing(kind=PostProcessingKind.BINARY)
SIGMOID = PostProcessing(kind=PostProcessingKind.SIGMOID)
RAW = PostProcessing()
POLICY = BuyerPolicy()
SCALE_BITS, SHIFT_BITS, SAMPLES = 39, 27, 400


@pytest.fixture(scope="module")
def plan() -> HePlan:
    model = random_network(8, 4, 2)
    return plan_for(model, random_inputs(model, 64))


def tolerance_of(stated_error: float) -> int:
    """The tolerance that a plan with this error gives."""
    return math.ceil((stated_error + 2.0**-12) * 2.0**SCALE_BITS)


def passes_audit(shown: np.ndarray, listed: np.ndarray, tolerance: int) -> bool:
    """Whether a seller that shows one and lists the other gets through the audit, whichever samples are chosen."""
    committed = commit_outputs(shown, 12) << SHIFT_BITS
    return bool((np.abs(np.rint(np.ldexp(listed, SCALE_BITS)) - committed) <= tolerance).all())


def accepts(shown: np.ndarray, post_processing: PostProcessing, tolerance: int, labels: np.ndarray | None = None):
    assessment = assess_test(shown, audit_distance(tolerance, SCALE_BITS, SHIFT_BITS), post_processing, labels)
    try:
        BuyerPolicy().check_test(assessment)
    except UncertainTestError:
        return False
    return True


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


# ------------------------------------------------------------------------------------------------ attacks

CLASS_CASES = {"softmax": (SOFTMAX, 2), "many classes": (SOFTMAX, 10), "binary": (BINARY, 1), "logits": (RAW, 3)}


@pytest.mark.parametrize("divisor", [512, 1024, 10_000, 2**20])
@pytest.mark.parametrize("case", CLASS_CASES)
def test_a_scaled_and_reversed_classifier(case: str, divisor: int) -> None:
    """Honest outputs pass; divided, a model of the opposite sign gets through the audit and our check refuses it."""
    post_processing, outputs = CLASS_CASES[case]
    honest = np.random.default_rng(0).normal(0, 5, (SAMPLES, outputs))
    tolerance = tolerance_of(0.08)
    shown, listed = honest / divisor, -honest / divisor
    assert passes_audit(shown, listed, tolerance)
    assert (post_processing.classify(shown) != post_processing.classify(listed)).all() or outputs > 2
    assert not accepts(shown, post_processing, tolerance)
    assert accepts(honest, post_processing, tolerance_of(1e-4))
    # Its own error says nothing: the outputs are judged, and a smaller one is enough for a smaller divisor alone.
    assert accepts(shown, post_processing, tolerance_of(0)) == (divisor < 100)


@pytest.mark.parametrize("offset", ["of one class", "of all", "that varies"])
def test_shifted_outputs(offset: str) -> None:
    """An offset makes classes look settled, or spreads large; what tells samples apart is within the tolerance."""
    random = np.random.default_rng(1)
    signal = random.normal(0, 0.005, (SAMPLES, 3))
    shift = {
        "of one class": np.array([5.0, 0.0, 0.0]),
        "of all": 5.0,
        "that varies": random.normal(0, 5, (SAMPLES, 1)),
    }[offset]
    tolerance = tolerance_of(0.05)
    assert passes_audit(signal + shift, -signal + shift, tolerance)
    for post_processing in (SOFTMAX, RAW):
        assert not accepts(signal + shift, post_processing, tolerance)


def test_scores_that_reverse_below_a_threshold() -> None:
    """No class changes, as all are far from 0, but whoever ranks by scores buys the opposite."""
    signal = np.random.default_rng(2).normal(0, 0.005, (SAMPLES, 1))
    tolerance = tolerance_of(0.05)
    assert passes_audit(signal - 3, -signal - 3, tolerance)
    assert correlation(signal - 3, -signal - 3) < -0.99
    assert not could_change(signal - 3, 0.06, BINARY).any()
    assert not accepts(signal - 3, BINARY, tolerance)
    assert accepts(100 * signal - 3, BINARY, tolerance_of(1e-4))


@pytest.mark.parametrize("outliers", [0, 1, 40])
def test_a_scaled_regression(outliers: int) -> None:
    """A few huge outputs stretch a deviation, not the range of the middle half."""
    values = np.random.default_rng(3).normal(0, 0.01, (SAMPLES, 1))
    shown, listed = values.copy(), -values
    shown[:outliers] = listed[:outliers] = 1000.0
    tolerance = tolerance_of(0.1)
    assert passes_audit(shown, listed, tolerance)
    assert not accepts(shown, RAW, tolerance)
    assert accepts(100 * values, RAW, tolerance_of(1e-4))


def test_probabilities_that_the_class_does_not_depend_on() -> None:
    """Pairs of classes vote by decisions; a seller that makes these large beside the logits reverses probabilities."""
    random = np.random.default_rng(6)
    pairs = PostProcessing(kind=PostProcessingKind.ONE_VS_ONE_PROBABILITIES)
    decisions, logits = (size * random.normal(0, 1, (SAMPLES, 3)) for size in (1000, 2))
    shown = np.hstack([decisions, logits])
    listed = np.hstack([decisions, logits - np.clip(2 * logits, -4.9, 4.9)])
    tolerance = tolerance_of(5.0)
    assert passes_audit(shown, listed, tolerance)
    assert (pairs.classify(shown) == pairs.classify(listed)).all()
    assert correlation(pairs.apply(shown), pairs.apply(listed)) < 0
    assert not accepts(shown, pairs, tolerance)
    assert accepts(shown, pairs, tolerance_of(1e-3))


def test_one_output_of_many_is_enough() -> None:
    random = np.random.default_rng(4)
    values = np.hstack([random.normal(0, 1, (SAMPLES, 2)), random.normal(0, 1e-3, (SAMPLES, 1))])
    real_labels = values.copy()
    assert not accepts(values, RAW, tolerance_of(1e-4), real_labels)
    assert accepts(values[:, :2], RAW, tolerance_of(1e-4), real_labels[:, :2])


def test_yes_and_no_for_each_output() -> None:
    """Sigmoids may be read one by one: the largest one stands, the others are within the tolerance of changing."""
    scores = np.random.default_rng(5).normal(0, 0.005, (SAMPLES, 3)) + np.array([5.0, 0, 0])
    assert could_change(scores, 0.05, SIGMOID).all()
    assert not could_change(scores, 0.05, SOFTMAX).any()
    assert not accepts(scores, SIGMOID, tolerance_of(0.05))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(1e-6, 10.0), st.floats(0.0, 5.0))
def test_whatever_gets_through_leaves_nearly_all_classes(seed: int, outputs: int, size: float, error: float) -> None:
    """Against any listed model within the tolerance: drawn at random, and the worst for each sample."""
    random = np.random.default_rng(seed)
    shown, tolerance = random.normal(0, size, (100, outputs)), tolerance_of(error)
    post_processing = BINARY if outputs == 1 else SOFTMAX
    distance = audit_distance(tolerance, SCALE_BITS, SHIFT_BITS)
    best = shown == shown.max(axis=1, keepdims=True)
    worst = shown - distance * (np.where(best, 1, -1) if outputs > 1 else np.sign(shown))
    listed = [worst * (1 - 1e-9), shown + random.uniform(-distance, distance, shown.shape)]
    changed = [(post_processing.classify(shown) != post_processing.classify(other)).sum() for other in listed]
    counted = int(could_change(shown, distance, post_processing).sum())
    assert max(changed) <= counted
    if accepts(shown, post_processing, tolerance):
        assert max(changed) <= 1


def test_dither_never_helps_beyond_the_distance() -> None:
    """What lies further from the output seen than `audit_distance` is never within tolerance of what is committed."""
    random = np.random.default_rng(6)
    shown, tolerance = random.normal(0, 1, (10_000, 1)), tolerance_of(1e-3)
    beyond = shown + audit_distance(tolerance, SCALE_BITS, SHIFT_BITS) * 1.0001
    committed = commit_outputs(shown, 12) << SHIFT_BITS
    assert (np.abs(np.rint(np.ldexp(beyond, SCALE_BITS)) - committed) > tolerance).all()


# -------------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize(
    ("outputs", "counts"),
    [
        ([[1.0, 0.5]], True),  # each may move by a quarter: a tie is no class
        ([[1.0, 0.4999]], False),
        ([[1.0, 1.0]], True),
        ([[-3.0, 0.5, 1.0, 0.2]], True),
        ([[-3.0, 0.4, 1.0, 0.2]], False),
        ([[0.25]], True),
        ([[-0.25]], True),
        ([[np.nextafter(0.25, 1)]], False),
    ],
)
def test_a_sample_counts_up_to_the_distance(outputs: list[list[float]], *, counts: bool) -> None:
    post_processing = BINARY if len(outputs[0]) == 1 else SOFTMAX
    assert could_change(np.array(outputs), 0.25, post_processing).tolist() == [counts]


def test_shares_exactly_at_the_policy_are_good_enough() -> None:
    settled = assess_test(np.random.default_rng(7).normal(0, 5, (200, 2)), 0.0, SOFTMAX)
    POLICY.check_test(replace(settled, changeable=2))
    with pytest.raises(UncertainTestError, match=r"^3 of 200 test samples \(1\.5%\) .* at most 1\.0%"):
        POLICY.check_test(replace(settled, changeable=3))
    POLICY.check_test(replace(settled, score_error=0.25, value_error=0.01))
    for name, error in (("score", 0.25), ("value", 0.01)):
        with pytest.raises(UncertainTestError, match=f"a model whose {name}s differ by"):
            POLICY.check_test(replace(settled, **{f"{name}_error": np.nextafter(error, 1)}))
    replace(POLICY, maximum_changeable_share=1.0).check_test(replace(settled, changeable=200))


def test_outputs_that_are_all_alike_say_nothing() -> None:
    for post_processing in (RAW, BINARY):
        assessment = assess_test(np.full((50, 1), 7.0), 1e-12, post_processing)
        assert 1.0 in (assessment.score_error, assessment.value_error)
        with pytest.raises(UncertainTestError):
            POLICY.check_test(assessment)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_pass_neither_check(value: float, plan: HePlan) -> None:
    outputs = np.random.default_rng(8).normal(0, 5, (50, 2))
    outputs[0, 0] = value
    with pytest.raises(OutputRangeError):
        check_range(outputs, plan, SCALE_BITS, 1)


@pytest.mark.parametrize("outputs", [2, 3, 10])
def test_scores_move_no_further_than_stated(outputs: int) -> None:
    """Against the spread of centred scores, by the worst movement of one class against all others."""
    scores, distance = np.random.default_rng(11).normal(0, 5, (200, outputs)), 0.5
    centred = scores - scores.mean(axis=1, keepdims=True)
    low, high = np.quantile(centred, [0.25, 0.75], axis=0)
    moved = scores + distance * np.where(np.arange(outputs) == 0, 1, -1)
    movement = np.abs(moved - moved.mean(axis=1, keepdims=True) - centred).max()
    assert assess_test(scores, distance, SOFTMAX).score_error == pytest.approx(movement / (high - low).min())


def test_labels_say_whether_classes_or_values_are_bought() -> None:
    outputs = np.random.default_rng(9).normal(0, 5, (100, 3))
    classes, values = outputs.argmax(axis=1), outputs

    def used(post_processing: PostProcessing, columns: int, labels: np.ndarray | None) -> tuple[bool, bool]:
        assessed = assess_test(outputs[:, :columns], 1e-3, post_processing, labels)
        return assessed.changeable is not None, assessed.value_error is not None

    assert used(SOFTMAX, 3, None) == used(SOFTMAX, 3, values) == (True, False)
    assert used(RAW, 3, None) == (True, True)
    assert used(RAW, 3, classes) == used(RAW, 3, classes.astype(str)) == (True, False)
    assert used(RAW, 3, values) == (False, True)
    assert used(RAW, 1, None) == used(RAW, 1, classes) == (False, True)
    assert used(SIGMOID, 1, None) == (True, True)
    assert used(SIGMOID, 1, classes) == (True, False)


def test_the_range_ends_where_the_modulus_does(plan: HePlan) -> None:
    limit = largest_output(plan)
    assert 4 < limit < 2.0**40
    check_range(np.array([[np.nextafter(limit, 0), -limit / 2]]), plan, 13, 1)
    for output in (limit, -limit):
        with pytest.raises(OutputRangeError, match="Nothing was committed to"):
            check_range(np.array([[0.0, output]]), plan, 13, 1)


def test_the_range_ends_where_the_escrow_would_mistake_signs(plan: HePlan) -> None:
    with pytest.raises(OutputRangeError):
        check_range(np.array([[2.0**3]]), plan, 250, 1)
    check_range(np.array([[2.0**3]]), plan, 240, 1)
    with pytest.raises(OutputRangeError):
        check_range(np.array([[0.0]]), plan, 13, MODULUS // 4)


@pytest.mark.parametrize(("output_scale_bits", "commit_bits"), [(8, 8), (12, 12), (13, 12), (216, 12)])
def test_the_tolerance_is_error_and_grid(output_scale_bits: int, commit_bits: int, plan: HePlan) -> None:
    assert commit_scale_bits(output_scale_bits) == commit_bits
    unit = Fraction(1, 2**output_scale_bits)
    excess = (
        needed_tolerance(plan, output_scale_bits) * unit - Fraction(plan.largest_error) - Fraction(1, 2**commit_bits)
    )
    assert 0 <= excess < unit


def test_audits_are_judged_by_what_the_plan_needs(plan: HePlan) -> None:
    layout = SimpleNamespace(outputs=2, output_shift_bits=SHIFT_BITS)
    needed = needed_tolerance(plan, SCALE_BITS)
    most = min(part.ring_degree for part in plan.layouts) // 16 // 2

    def check(tolerance: int = needed, shift_bits: int = SHIFT_BITS, samples: int = 8) -> None:
        terms = SimpleNamespace(tolerance=tolerance, audit_samples=samples)
        layout.output_shift_bits = shift_bits
        POLICY.check_audit(terms, layout, SCALE_BITS, plan)

    check()
    check(samples=most)
    for refused, name in (
        ({"tolerance": needed + 1}, "tolerance"),
        ({"shift_bits": SHIFT_BITS + 1}, "scale bits of committed outputs: 11, your policy asks for at least 12"),
        ({"shift_bits": SHIFT_BITS - 1}, "scale bits of committed outputs: 13, your policy asks for at most 12"),
        ({"samples": most + 1}, "number of committed outputs"),
    ):
        with pytest.raises(Exception, match=name):
            check(**refused)
    replace(POLICY, minimum_degree_per_output=0).check_audit(
        SimpleNamespace(tolerance=needed, audit_samples=most + 1), _layout(), SCALE_BITS, plan
    )
    twice = plan.model_copy(update={"expected_error": 2 * plan.largest_error})
    POLICY.check_audit(SimpleNamespace(tolerance=needed + 1, audit_samples=8), _layout(), SCALE_BITS, twice)


def test_no_stated_error_opens_the_door(plan: HePlan) -> None:
    """Up to the largest float, in any of the plan's layouts: the tolerance is granted, and what was seen refused."""
    outputs = np.random.default_rng(10).normal(0, 1e3, (100, 2))
    for error in (1e4, 1e300, sys.float_info.max):
        hostile = plan.model_copy(update={"few_samples": plan.model_copy(update={"expected_error": error})})
        tolerance = min(needed_tolerance(hostile, SCALE_BITS), 2**256 - 1)
        POLICY.check_audit(SimpleNamespace(tolerance=tolerance, audit_samples=8), _layout(), SCALE_BITS, hostile)
        assert not accepts(outputs, SOFTMAX, tolerance)
        assert not accepts(outputs, RAW, tolerance, outputs)


def _layout() -> SimpleNamespace:
    return SimpleNamespace(outputs=2, output_shift_bits=SHIFT_BITS)


@pytest.mark.parametrize(
    ("error", "code"),
    [(UncertainTestError, BAD_INPUT), (OutputRangeError, PEER_FAULT), (ChangedAnswersError, PEER_FAULT)],
)
def test_exit_codes_say_whose_fault_it_is(error: type[Exception], code: int) -> None:
    """What the tolerance leaves open may be honest: the buyer asked for more. Other answers than those seen are not."""
    assert exit_code_of(error("refused")) == code


# ------------------------------------------------------------------------------------------------- proven


def listing(post_processing: PostProcessing = SOFTMAX, tolerance: int = 1 << 31) -> SimpleNamespace:
    return SimpleNamespace(
        layout=SimpleNamespace(output_shift_bits=SHIFT_BITS),
        terms=SimpleNamespace(tolerance=tolerance),
        circuit=SimpleNamespace(output_scale_bits=SCALE_BITS),
        manifest=SimpleNamespace(output=SimpleNamespace(post_processing=post_processing)),
    )


SEEN = np.array([[0.5, 0.25], [-0.001, 0.001], [2.0, -1.0]])
COMMITTED = AuditedSamples(np.zeros((3, 1), dtype=np.int64), np.rint(SEEN * 2**12).astype(np.int64))


def instances(outputs: np.ndarray) -> list[int]:
    return [round(value * 2**SCALE_BITS) for value in outputs.ravel()]


def test_proven_classes_are_compared_with_those_seen_and_with_labels() -> None:
    labels = np.array([0, 1, 1])
    same = compare_proven(listing(), instances(SEEN), COMMITTED, SEEN, labels)
    assert same == Comparison(samples=3, changed=0, right_seen=2, right_proven=2)
    POLICY.check_proven(same)
    moved = SEEN + np.array([[0, 0], [0.0015, -0.0015], [0, 0]])
    other = compare_proven(listing(), instances(moved), COMMITTED, SEEN, labels)
    assert other == Comparison(samples=3, changed=1, right_seen=2, right_proven=1)
    with pytest.raises(ChangedAnswersError, match=r"1 of 3 audit samples .*2 were right as seen, 1 are right as prov"):
        POLICY.check_proven(other)
    replace(POLICY, maximum_changed_answers=1).check_proven(other)


def test_without_labels_classes_are_compared_all_the_same() -> None:
    moved = SEEN + np.array([[0, 0], [0.0015, -0.0015], [0, 0]])
    assert compare_proven(listing(), instances(moved), COMMITTED, SEEN) == Comparison(3, 1, None, None)
    assert compare_proven(listing(), instances(moved), COMMITTED, SEEN, np.array(list("abc"))).right_seen is None
    binary = AuditedSamples(COMMITTED.inputs, COMMITTED.outputs[:, :1])
    signs = compare_proven(listing(BINARY), instances(-SEEN[:, :1] * [[-1], [1], [-1]]), binary, SEEN[:, :1])
    assert signs.changed == 1
    each = compare_proven(listing(SIGMOID), instances(SEEN + np.array([[0, 0], [0, -0.0015], [0, 0]])), COMMITTED, SEEN)
    assert each.changed == 1


def test_regressions_have_no_classes_to_change() -> None:
    one = AuditedSamples(COMMITTED.inputs, COMMITTED.outputs[:, :1])
    assert compare_proven(listing(RAW), instances(SEEN[:, :1]), one, SEEN[:, :1]) == Comparison(3, 0, None, None)


def test_proven_outputs_beyond_the_tolerance_are_refused() -> None:
    committed = [int(value) << SHIFT_BITS for value in COMMITTED.outputs.ravel()]
    for sign in (1, -1):
        at_the_edge = [committed[0] + sign * 1000, *committed[1:]]
        POLICY.check_proven(compare_proven(listing(tolerance=1000), at_the_edge, COMMITTED, SEEN))
        beyond = [committed[0] + sign * 1001, *committed[1:]]
        compared = compare_proven(listing(tolerance=1000), beyond, COMMITTED, SEEN)
        assert compared.outside == 1
        for policy in (POLICY, replace(POLICY, maximum_changed_answers=3)):
            with pytest.raises(ProvenOutputsError, match="1 of the proven outputs are further from those seen"):
                policy.check_proven(compared)
    for proven in (committed[:-1], [*committed, 0], []):
        with pytest.raises(ProvenOutputsError, match="outputs were proven"):
            compare_proven(listing(), proven, COMMITTED, SEEN)


def test_samples_that_left_the_range_of_the_sellers_data_are_named() -> None:
    schemas = SimpleNamespace(reach=(1, -1)), SimpleNamespace(reach=3.0)
    manifest = SimpleNamespace(input=schemas[0], output=schemas[1], scale_bits=4)
    inputs = np.array([[32, 8], [33, 0], [0, -9], [0, 0], [0, 0]])
    outputs = np.array([[3.0, -3.0], [0.0, 0.0], [0.0, 0.0], [0.0, -3.1], [0.0, 0.0]])
    assert outside_reach(manifest, inputs, outputs).tolist() == [1, 2, 3]
    unstated = SimpleNamespace(input=SimpleNamespace(reach=()), output=SimpleNamespace(reach=None), scale_bits=4)
    assert outside_reach(unstated, inputs * 1000, outputs * 1000).tolist() == []
