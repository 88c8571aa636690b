"""The loop around `Buyer.step` that no accident ends; a seller's is `trader.parties.desk`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trader.errors import TransactionRefusedError
from trader.parties.patience import ACCIDENTS, LASTING, Patience, Say, idle_seconds, print_line

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from trader.parties.buyer import Buyer


def buy(
    buyer: Buyer, samples: NDArray[np.generic], say: Say = print_line, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Step a purchase to its end, and withdraw what is owed.

    Raises:
        TraderError, ZkError: Whatever is no accident, as `Buyer.step`: the buyer decides what to do about it.
    """
    patience = Patience(buyer.market)
    while True:
        try:
            if buyer.is_over():
                buyer.withdraw()
                return
            moved = buyer.step(samples)
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
