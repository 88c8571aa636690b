"""What a buyer's policy says of a seller's record."""

import pytest

from trader.errors import PolicyError
from trader.settings.buyer import PolicySettings
from trader.verify import BuyerPolicy


def test_a_policy_that_asks_for_no_record_takes_any() -> None:
    policy = BuyerPolicy()
    assert not policy.asks_for_a_record
    policy.check_record(0, 1000)


@pytest.mark.parametrize(
    ("sold", "lost", "refused"), [(3, 1, None), (2, 1, "has sold models: 2"), (3, 2, "has lost disputes: 2")]
)
def test_sellers_with_too_few_sales_or_too_many_lost_disputes_are_refused(
    sold: int, lost: int, refused: str | None
) -> None:
    policy = PolicySettings(min_sold=3, max_lost_disputes=1).policy()
    assert policy.asks_for_a_record
    if refused is None:
        policy.check_record(sold, lost)
        return
    with pytest.raises(PolicyError, match=refused):
        policy.check_record(sold, lost)


def test_without_a_demand_no_accuracy_needs_to_be_proven() -> None:
    BuyerPolicy().check_accuracy([])


@pytest.mark.parametrize(
    ("proven", "refused"),
    [
        ([0.9], None),  # at the edge
        ([0.5, 0.95], None),
        ([0.8999], "an accuracy of 89.99% proven"),
        ([], "no accuracy of its model proven"),
    ],
)
def test_a_proven_accuracy_is_that_of_a_certificate_that_was_verified(proven: list[float], refused: str | None) -> None:
    policy = PolicySettings(min_proven_accuracy=0.9).policy()
    if refused is None:
        policy.check_accuracy(proven)
        return
    with pytest.raises(PolicyError, match=refused):
        policy.check_accuracy(proven)


def test_a_demand_of_nothing_still_asks_for_a_proof() -> None:
    with pytest.raises(PolicyError, match="no accuracy of its model"):
        BuyerPolicy(minimum_proven_accuracy=0.0).check_accuracy([])
