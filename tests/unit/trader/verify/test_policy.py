"""What a buyer's policy says of a seller's record."""

import pytest
from eth_utils.hexadecimal import encode_hex

from ledger.reading.accuracies import Accuracy
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


MODEL = bytes(range(32))
TRUSTED, OTHER = (f"0x{number:040x}" for number in (0xA1, 0xB2))


def test_without_a_demand_no_accuracy_needs_to_be_proven() -> None:
    BuyerPolicy().check_accuracy([], [], MODEL)


@pytest.mark.parametrize(
    ("verified", "by", "model", "refused"),
    [
        ([0.9], (), MODEL, None),  # at the edge
        ([0.5, 0.95], (), MODEL, None),
        ([], (OTHER, TRUSTED), MODEL, None),
        ([0.8999], (), MODEL, "an accuracy of 89.99% proven"),
        ([], (), MODEL, "no accuracy of its model proven"),  # a claim alone
        ([], (OTHER,), MODEL, "no accuracy of its model proven"),
        ([], (TRUSTED,), bytes(32), "no accuracy of its model proven"),  # another model of the same seller
    ],
)
def test_a_proven_accuracy_is_one_that_the_buyer_verified_or_somebody_that_it_trusts(
    verified: list[float], by: tuple[str, ...], model: bytes, refused: str | None
) -> None:
    policy = BuyerPolicy(minimum_proven_accuracy=0.9, verifiers=frozenset({TRUSTED.upper().replace("X", "x")}))
    record = Accuracy(encode_hex(model), "0x01", "0x02", 100, 93, "0x03", claimed=True, verified_by=by)
    if refused is None:
        policy.check_accuracy(verified, [record], MODEL)
        return
    with pytest.raises(PolicyError, match=refused):
        policy.check_accuracy(verified, [record], MODEL)
