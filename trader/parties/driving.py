"""Loops around `Buyer.step` that no accident ends; a seller's is `trader.parties.desk`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trader.errors import PeerFaultError, TransactionRefusedError
from trader.exchange import NotDeliveredError
from trader.parties.patience import ACCIDENTS, LASTING, Patience, Say, idle_seconds, print_line
from trader.trade import State

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from trader.parties.buyer import Buyer
    from trader.parties.testing import TestResult


def buy(
    buyer: Buyer,
    samples: NDArray[np.generic] | None,
    say: Say = print_line,
    sleep: Callable[[float], None] = time.sleep,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Step a purchase to its end, and withdraw what is owed.

    Args:
        buyer: Who buys.
        samples: The test set; None where its session was opened.
        say: Told in a line what failed, and when it is tried again.
        sleep: Waits.
        look: Called after each step: tells where the trade stands.

    Raises:
        TraderError, ZkError: Whatever is no accident, as `Buyer.step`: the buyer decides what to do about it.
    """

    def step() -> bool | None:
        if buyer.is_over():
            buyer.withdraw()
            return None
        return buyer.step(samples)

    _repeat(buyer, step, say, sleep, look)


def run_test(
    buyer: Buyer,
    samples: NDArray[np.generic] | None,
    say: Say = print_line,
    sleep: Callable[[float], None] = time.sleep,
    look: Callable[[], None] = lambda: None,
) -> TestResult:
    """Have the model tested on encrypted data, and decrypt the answer; nothing is decided, nor paid but the fee.

    Args:
        buyer: Who tests.
        samples: As `buy`, and the others.
        say: As `buy`.
        sleep: As `buy`.
        look: As `buy`.

    Raises:
        PeerFaultError: The seller has not answered in time; the fee goes back.
        TraderError, ZkError: As `Buyer.step`.
    """
    results: list[TestResult] = []

    def step() -> bool | None:
        """Move the test on by one step; None once it is read."""
        session = buyer.testing.find_session()
        if session is None:
            return buyer.step(samples)
        position = buyer.market.trade(session[1]).position
        if not buyer.was_answered():
            if position.state is State.TESTING:
                moved = buyer.step(samples)
                return moved or _raise_if_expired(buyer, session[1])
            _raise_if_expired(buyer, session[1])
        try:
            results.append(buyer.read_test())
        except NotDeliveredError as error:
            buyer.actor.wait(error, session[1])
            return False
        return None

    _repeat(buyer, step, say, sleep, look)
    return results[0]


def _raise_if_expired(buyer: Buyer, trade_id: int) -> bool:
    """Raise where a test ended without an answer, once what was locked is taken out."""
    if buyer.market.trade(trade_id).position.state is State.EXPIRED and not buyer.market.was_answered(trade_id):
        buyer.withdraw()
        raise PeerFaultError(
            f"the seller has not answered the test of trade {trade_id} in time: the fee came back. Try again, or "
            "choose another listing."
        )
    return False


def _repeat(
    buyer: Buyer,
    step: Callable[[], bool | None],
    say: Say,
    sleep: Callable[[float], None],
    look: Callable[[], None],
) -> None:
    """Step until there is nothing left to do (None); wait where it is the other side's turn, and after accidents."""
    patience = Patience(buyer.market)
    while True:
        try:
            moved = step()
            if moved is None:
                return
            look()
        except LASTING:
            raise
        except ACCIDENTS as error:
            if isinstance(error, TransactionRefusedError) and not buyer.market.seen:
                raise  # no session: the quota is used up, or there is no money for the fee
            patience.fail(error, say)
            sleep(patience.seconds)
            continue
        patience.succeed()
        if not moved:
            sleep(idle_seconds(buyer.market))
