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
