"""What n rows say of others: the two statements hold as often as they claim to."""

import itertools

import numpy as np
import pytest
from scipy import stats

from trader.model.sampling import CONFIDENCE, COVERAGE, covered_share, reach, reaches, tolerance_factor

ROWS = (3, 5, 10, 30, 100, 1000)


@pytest.mark.parametrize("rows", ROWS)
def test_factor_is_howes(rows: int) -> None:
    quantile = stats.chi2.ppf(1 - CONFIDENCE, rows - 1)
    exact = stats.norm.ppf((1 + COVERAGE) / 2) * np.sqrt((rows - 1) * (1 + 1 / rows) / quantile)
    assert exact * 0.999 <= tolerance_factor(rows) <= exact * (1.15 if rows < 5 else 1.02)


def test_factor_grows_as_rows_get_fewer() -> None:
    factors = [tolerance_factor(rows) for rows in range(1, 500)]
    assert all(before >= after for before, after in itertools.pairwise(factors))


@pytest.mark.parametrize("rows", ROWS)
def test_reach_holds_the_share_that_it_claims_with_the_confidence_that_it_claims(rows: int) -> None:
    rng = np.random.default_rng(rows)
    draws = rng.normal(0.3, 2.0, (2000, rows))
    ends = np.array([reach(draw[:, np.newaxis], 1.0) for draw in draws])
    covered = stats.norm.cdf(ends, 0.3, 2.0) - stats.norm.cdf(-ends, 0.3, 2.0)
    assert np.mean(covered >= COVERAGE) >= CONFIDENCE - 0.015


@pytest.mark.parametrize("rows", ROWS)
def test_share_below_the_largest_holds_whatever_the_values_are(rows: int) -> None:
    largest = np.random.default_rng(rows).random((4000, rows)).max(axis=1)  # of a uniform value, what lies below it
    assert np.mean(largest >= covered_share(rows)) == pytest.approx(CONFIDENCE, abs=0.015)


def test_reach_is_by_column_and_never_below_what_was_seen() -> None:
    values = np.array([[1.0, -100.0], [2.0, -100.0], [3.0, -100.0]])
    found = reaches(values, 1.5)
    assert found[1] == 150.0
    assert found[0] >= 4.5
    assert reach(values, 1.5) == found.max()
    assert reach(np.zeros((0, 2)), 2.0) == 0.0
    assert reach(np.array([[1.0], [np.nan]]), 2.0) == np.inf
    assert reach(np.array([[2.0]]), 2.0) > 100  # one row says nothing of the spread
