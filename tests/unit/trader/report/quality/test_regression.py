"""The figures of values are scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyRegressor

from trader.report.quality.regression import MOST_RESIDUALS, measure_regression

EXACT = {"rel": 1e-12, "abs": 1e-12}


@pytest.mark.parametrize("samples", [2, 9, 2000])
def test_figures_are_those_of_scikit_learn(samples: int) -> None:
    random = np.random.default_rng(samples)
    labels = random.normal(200_000, 50_000, samples)
    predictions = labels + random.normal(0, 20_000, samples)
    found = measure_regression(labels, predictions)
    assert found.mean_absolute_error == pytest.approx(metrics.mean_absolute_error(labels, predictions), **EXACT)
    assert found.root_mean_square_error == pytest.approx(metrics.root_mean_squared_error(labels, predictions), **EXACT)
    assert found.r2 == pytest.approx(metrics.r2_score(labels, predictions), **EXACT)
    quantiles = dict(found.absolute_error_quantiles)
    assert quantiles[0.5] == pytest.approx(metrics.median_absolute_error(labels, predictions), rel=0.01)
    assert quantiles[1.0] == pytest.approx(metrics.max_error(labels, predictions), rel=0.01)
    mean = DummyRegressor().fit(labels[:, None], labels).predict(labels[:, None])
    assert found.baseline_mean_absolute_error == pytest.approx(metrics.mean_absolute_error(labels, mean), **EXACT)
    assert found.baseline_root_mean_square_error == pytest.approx(
        metrics.root_mean_squared_error(labels, mean), **EXACT
    )
    assert len(found.residuals) == min(samples, MOST_RESIDUALS)


def test_the_mean_does_not_beat_itself_and_equal_labels_explain_nothing() -> None:
    labels = np.array([1.0, 2.0, 3.0])
    assert not measure_regression(labels, np.full(3, 2.0)).beats_baseline
    assert measure_regression(labels, labels).beats_baseline
    assert measure_regression(np.ones(3), labels).r2 is None


def test_what_is_drawn_has_three_digits() -> None:
    """Residuals in full would be decrypted outputs, from which a key can be computed."""
    found = measure_regression(np.array([0.0, 1.0]), np.array([0.123456789, 1.987654321]))
    assert found.residuals == ((0.123, 0.123), (1.99, 0.988))
