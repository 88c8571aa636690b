"""Trades in a token, and at other prices than the listing's: what is paid is what was agreed, in what was agreed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eth_account import Account

from contracts import Periphery, periphery_address
from tests.simulators.tokens import Coin
from tests.simulators.trading import BOND, FEE, OFFER, POLICY, PRICE, Trading
from trader.trade import Role, State
from trader.verify import TokenLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain import Chain


def test_a_trade_in_a_token_with_permits(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    chain.deploy_periphery(funded(chain), Periphery.DEPOSITS)
    coin = Coin.make(chain)
    trading = trade_on(chain, offer=offer_in(coin), policy=policy_in(coin))
    accounts = {role: account.address for role, account in trading.accounts.items()}
    coin.mint(accounts[Role.BUYER], FEE + PRICE)
    coin.mint(accounts[Role.SELLER], BOND)
    assert trading.play() is State.SETTLED
    assert trading.refusals == []
    assert trading.gains() == {Role.SELLER: 0, Role.BUYER: 0}  # of ether
    assert {role: coin.of(account) for role, account in accounts.items()} == {
        Role.SELLER: BOND + FEE + PRICE,
        Role.BUYER: 0,
    }
    market = trading.market.deployment.market
    assert coin.of(market) == 0
    for account in accounts.values():
        assert coin.allowed(account, market) == coin.allowed(account, periphery_address(Periphery.DEPOSITS)) == 0
    assert [step.name for step in trading.steps].count("deposit") == 3


def funded(chain: Chain):
    account = Account.create()
    chain.fund(account.address, 10**18)
    return account


def offer_in(coin: Coin, **changes: object):
    return replace(OFFER, token=coin.address, **changes)


def policy_in(coin: Coin, price: int = PRICE):
    limits = TokenLimits(coin.address, price)
    return replace(POLICY, tokens=(limits,), ether=False, currencies=coin.currencies)
