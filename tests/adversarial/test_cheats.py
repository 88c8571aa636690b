"""Every cheat, played with the drivers of real parties: who ends with what."""

from collections.abc import Callable

import pytest

from tests.simulators.trading import BOND, FEE, PRICE, Trading
from trader.chain import Chain
from trader.demo.cheats import CHEATS, Casting
from trader.trade import Role, State

CHEATERS = {kind: Role.BUYER if kind.endswith("buyer") else Role.SELLER for kind in CHEATS}


def play(trading: Trading, kind: str) -> None:
    cheat = CHEATS[kind]
    assert trading.play() is cheat.ends
    gains = trading.gains()
    assert gains == payoff(cheat)
    assert trading.chain.balance(trading.market.deployment.market) == 0

    (honest,) = set(Role) - {CHEATERS[kind]}
    assert gains[honest] >= -FEE or cheat.ends is State.SETTLED  # settled: it paid the price and holds the model
    assert gains[CHEATERS[kind]] <= FEE


def payoff(cheat: Casting) -> dict[Role, int]:
    fee = FEE if cheat.fee_to_seller else 0
    match cheat.ends:
        case State.EXPIRED:
            return {Role.SELLER: fee, Role.BUYER: -fee}
        case State.SLASHED:
            return {Role.SELLER: fee - BOND, Role.BUYER: BOND - fee}
        case _:
            return {Role.SELLER: PRICE + fee, Role.BUYER: -PRICE - fee}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHEATS)
def test_cheat_on_the_embedded_chain(kind: str, chain: Chain, trade_on: Callable[..., Trading]) -> None:
    play(trade_on(chain, seller_type=CHEATS[kind].seller, buyer_type=CHEATS[kind].buyer), kind)


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.parametrize("kind", CHEATS)
def test_cheat_on_anvil(kind: str, anvil_url: str, trade_on: Callable[..., Trading]) -> None:
    chain = Chain.connect(anvil_url)
    play(trade_on(chain, seller_type=CHEATS[kind].seller, buyer_type=CHEATS[kind].buyer), kind)
