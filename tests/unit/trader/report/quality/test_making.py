"""What a report says, for each kind of model and each way that a trade can go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from trader.model import DataError
from trader.model.postprocessing import OutputPart, PostProcessing, PostProcessingKind
from trader.report.quality import report_schema
from trader.report.quality.classification import Classification
from trader.report.quality.figures import Money, Transaction
from trader.report.quality.regression import Regression
from trader.verify import ANSWER_CHECKS, DELIVERY_CHECKS, LISTING_CHECKS, Comparison

if TYPE_CHECKING:
    from tests.unit.trader.report.quality.conftest import Desk

SOFTMAX = PostProcessing(kind=PostProcessingKind.SOFTMAX, labels=("no", "yes"))
RAW = PostProcessing()
RANDOM = np.random.default_rng(3)


def classified(samples: int = 60, strength: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    classes = RANDOM.integers(0, 2, samples)
    outputs = RANDOM.normal(size=(samples, 2)) + strength * (classes[:, None] == np.arange(2))
    return outputs, np.array(["no", "yes"])[classes]


def outcomes(report, pipeline: str) -> list[str]:
    return [check.outcome for check in report.checks if check.pipeline == pipeline]


def test_a_good_model_is_told_so_against_its_baseline(desk: Desk) -> None:
    outputs, labels = classified()
    report = desk.report(outputs, SOFTMAX, labels, outside=(3, 17))
    assert report.verdict.judgement == "good"
    assert "of 60 samples are right, against" in report.verdict.sentence
    (measured,) = report.measured
    assert isinstance(measured, Classification)
    assert measured.calibration is not None
    assert report.certainty.outside_rows == (3, 17)
    assert outcomes(report, "listing") == ["holds"] * len(LISTING_CHECKS)
    assert outcomes(report, "answers") == ["holds"] * 3 + ["open"] * 2
    assert outcomes(report, "delivery") == ["open"] * len(DELIVERY_CHECKS)
    assert len(report.checks) == len(LISTING_CHECKS) + len(ANSWER_CHECKS) + len(DELIVERY_CHECKS)


def test_a_model_that_only_guesses_is_not_called_good(desk: Desk) -> None:
    outputs, labels = classified(strength=0.0)
    report = desk.report(outputs, SOFTMAX, labels)
    assert report.verdict.judgement == "weak"
    assert report.verdict.sentence.startswith("Not shown to be better than guessing")


def test_a_failed_check_comes_before_any_figure(desk: Desk) -> None:
    outputs, labels = classified()
    for changes, failed in (
        ({"distance": 50.0}, [2, 3]),
        ({"comparison": Comparison(8, 0, 8, 8, 2)}, [4]),
        ({"comparison": Comparison(8, 3, 8, 5, 0)}, [5]),
    ):
        report = desk.report(outputs, SOFTMAX, labels, **changes)
        assert report.verdict.judgement == "refuse"
        assert f"check ({failed[0]}) of the answers fails" in report.verdict.sentence
        numbers = [check.number for check in report.checks if check.outcome == "fails"]
        assert numbers == failed
    assert desk.report(outputs * 1e30, SOFTMAX, labels).verdict.sentence.startswith("Don't go on: check (1)")
    assert desk.report(outputs, SOFTMAX, labels, delivery="fails").verdict.judgement == "refuse"


def test_without_labels_nothing_is_claimed(desk: Desk) -> None:
    outputs, _labels = classified()
    report = desk.report(outputs, SOFTMAX)
    assert report.verdict.judgement == "unmeasured"
    assert report.measured == ()
    assert {one.name: one.samples for one in report.predicted} == {
        name: int((SOFTMAX.predict(outputs) == name).sum()) for name in ("no", "yes")
    }


def test_several_values_are_measured_each(desk: Desk) -> None:
    values = RANDOM.normal(size=(50, 3)) * [1, 100, 1e6]
    post_processing = PostProcessing(parts=(OutputPart(name="price", columns=1), OutputPart(name="size", columns=2)))
    labels = values + RANDOM.normal(size=(50, 3)) * [0.1, 10, 1e5]
    report = desk.report(values, post_processing, labels)
    assert [one.output for one in report.measured] == ["price", "size 1", "size 2"]
    assert all(isinstance(one, Regression) and one.r2 > 0.9 for one in report.measured)


def test_decisions_are_measured_each(desk: Desk) -> None:
    outputs = RANDOM.normal(size=(40, 2))
    post_processing = PostProcessing(kind=PostProcessingKind.POSITIVE)
    report = desk.report(outputs[:, :1], post_processing, (outputs[:, 0] > 0).astype(np.int64))
    assert report.measured[0].accuracy.value == 1.0


@pytest.mark.parametrize(
    "kind", [kind for kind in PostProcessingKind if kind not in (PostProcessingKind.EXP, PostProcessingKind.SIGN)]
)
def test_every_last_step_has_a_report(desk: Desk, kind: PostProcessingKind) -> None:
    single = kind.is_of_two_classes
    post_processing = PostProcessing(kind=kind)
    columns = 6 if kind is PostProcessingKind.ONE_VS_ONE_PROBABILITIES else 3  # of three classes, decisions and logits
    outputs = np.random.default_rng(7).normal(0, 0.2 if single else 3, size=(30, 1 if single else columns))
    predictions = post_processing.predict(outputs)
    labels = predictions if predictions.dtype.kind in "iu" else predictions.astype(np.float64)
    if kind.is_decision:
        outputs, labels = outputs[:, :1], labels[:, 0]
    report = desk.report(outputs, post_processing, labels)
    json.dumps(report.as_json(), allow_nan=False)
    assert "<svg" in report.to_html()


def test_labels_that_do_not_suit_the_model_are_refused(desk: Desk) -> None:
    outputs, _labels = classified()
    with pytest.raises(DataError, match="classes as the model predicts"):
        desk.report(outputs, SOFTMAX, np.zeros(60, dtype=np.int64))
    with pytest.raises(DataError, match="2 values per sample"):
        desk.report(outputs, RAW, np.zeros(60))


def test_infinite_predictions_are_null_in_json(desk: Desk) -> None:
    outputs = np.array([[1.0], [2.0], [1000.0]])
    report = desk.report(outputs, PostProcessing(kind=PostProcessingKind.EXP), np.array([3.0, 7.0, 9.0]))
    content = report.as_json()
    json.dumps(content, allow_nan=False)
    assert content["measured"][0]["mean_absolute_error"] is None
    assert "<svg" in report.to_html()


def test_the_noise_of_decryption_is_told_to_one_digit(desk: Desk) -> None:
    outputs, labels = classified()
    noise = 1.23456789e-5
    report = desk.report(outputs, SOFTMAX, labels, comparison=Comparison(8, 0, 8, 8, 0, (noise,)))
    assert report.audit.largest_errors == (1e-5,)
    assert "1.23" not in json.dumps(report.as_json()["audit"]["largest_errors"])


def test_outputs_are_not_in_the_report(desk: Desk) -> None:
    """Neither form has a decrypted output in full."""
    outputs, labels = classified()
    report = desk.report(outputs, SOFTMAX, labels)
    written = json.dumps(list(report.as_json()["measured"])) + report.to_html()
    values = RANDOM.normal(size=(40, 1)) * 1000
    regression = desk.report(values, RAW, values[:, 0] + 1.5)
    written += regression.to_json() + regression.to_html()
    for value in np.abs([*outputs.ravel(), *SOFTMAX.apply(outputs).ravel(), *values.ravel()]):
        assert f"{value:.6g}" not in written or float(f"{value:.6g}") == float(f"{value:.3g}")


def test_json_has_a_form_and_amounts_are_text(desk: Desk) -> None:
    outputs, labels = classified()
    sent = Transaction("SessionOpened", 10, 152_286, str(2 * 10**14))
    money = Money(str(10**18), str(10**15), True, str(2 * 10**17), None, str(10**18), 1_700_000_000, (sent,), "7")
    report = desk.report(outputs, SOFTMAX, labels, money=money)
    content = json.loads(report.to_json())
    assert (content["format"], content["version"]) == ("modelseal/quality-report", 1)
    assert set(content) == set(report_schema()["properties"])
    assert content["money"]["locked_wei"] == str(10**18)
    assert "1 ETH" in report.to_html()
    assert "2023-11-14 22:13 UTC" in report.to_html()
