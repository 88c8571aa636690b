"""What time may cure is waited for until the deadline: quota and proof fees that other trades take up now."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from contracts import offer_digest
from tests.simulators.trading import AUDIT_SAMPLES, ETHER, FEE, OFFER, PRICE, Trading
from trader.parties.actor import WAITING
from trader.parties.filenames import REFUSED
from trader.trade import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from eth_account.signers.local import LocalAccount

    from trader.chain import Chain

LEFT = 600 - 2 * (256 + AUDIT_SAMPLES) - (16 + AUDIT_SAMPLES)
"""Of the listing's answers, when two large tests and one small one are answered."""


def remarks(trading: Trading, role: Role) -> list[str]:
    """What a party says that it waits for."""
    return [step.remark for step in trading.steps if (step.role, step.name) == (role, WAITING)]


def answered_session(trading: Trading, account: LocalAccount, samples: int) -> int:
    """Another buyer's trade, answered, as the chain sees it."""
    trading.chain.fund(account.address, ETHER)
    offer, digest = offer_digest(trading.seller.address, OFFER.terms(trading.package.manifest)), secrets.token_bytes(32)
    fee_wei = trading.market.session_fee(trading.listing_id, account.address, samples)
    opened = trading.market.open_session(account, trading.listing_id, offer, samples, digest, fee_wei, lambda _: None)
    trade_id = int(opened.events[0].arguments["tradeId"])
    trading.market.respond(trading.seller.account, trade_id, trading.market.session(trade_id).digest, bytes(32))
    return trade_id


@pytest.mark.slow
def test_a_session_waits_for_answers_that_come_back(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """The audit of a trade that ends before it is proven is given back."""
    trading = trade_on(chain)
    taken = [answered_session(trading, Account.create(), 256) for _ in range(2)]
    chain.advance_time(600)
    trading.model = replace(trading.model, test_samples=trading.model.test_samples[:64])
    trading.buyer.labels = trading.model.test_labels[:64]
    trade_id = trading.open()
    answered_session(trading, Account.create(), 16)
    for _ in range(3):
        assert not trading.seller.step(trade_id)
    (said,) = remarks(trading, Role.SELLER)
    assert f"takes {64 + AUDIT_SAMPLES} answers of the quota, {LEFT} are left" in said
    assert not trading.seller.vault(trade_id).has(REFUSED)

    chain.advance_time(trading.market.trade(taken[1]).position.deadline_seconds - chain.time().newest)
    for other in taken:
        trading.market.expire(trading.buyer.account, other)
    assert trading.market.answers_left(trading.listing_id, trading.buyer.address) == LEFT + 2 * AUDIT_SAMPLES
    assert trading.seller.step(trade_id)
    assert trading.market.trade(trade_id).position.state is State.ANSWERED


@pytest.mark.slow
def test_a_session_that_waits_in_vain_ends_at_its_deadline(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trading.open()
    for _ in range(2):
        answered_session(trading, Account.create(), 256)
    assert trading.play() is State.EXPIRED
    assert trading.gains()[Role.BUYER] == 0
    assert [step.name for step in trading.steps].count("evaluate") == 0


@pytest.mark.slow
def test_a_buyer_waits_for_a_proof_fee_that_others_have_raised(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does not go away by itself, the buyer goes on as soon as the fee has fallen."""
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ANSWERED)
    with monkeypatch.context() as patch:
        patch.setattr(trading.market, "proof_fee", lambda _: PRICE)
        for _ in range(3):
            assert not trading.buyer.step()
    (said,) = remarks(trading, Role.BUYER)
    assert "proof fee" in said
    assert "waiting" in said
    assert trading.market.trade(trade_id).position.state is State.ANSWERED
    assert [step.name for step in trading.steps].count("decrypt") == 1
    assert trading.play() is State.SETTLED


@pytest.mark.slow
def test_a_proof_fee_that_stays_ends_the_trade_at_its_deadline(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    trading.play_until(State.ANSWERED)
    monkeypatch.setattr(trading.market, "proof_fee", lambda _: PRICE)
    assert trading.play() is State.EXPIRED
    assert trading.gains() == {Role.SELLER: FEE, Role.BUYER: -FEE}
