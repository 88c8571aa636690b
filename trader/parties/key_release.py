"""When a seller lets a delivery key go: not before it is due, and not so late that it would be given away.

A transaction that is mined at its deadline or later fails, but what it carried is public. What is known of a key is
written down around its sending: `KEY_LEAVING` just before, with the signed transaction, and `KEY_SENT` once a node has
taken it (decision record 0022).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError, TooLateError
from trader.parties.filenames import DELIVERY_KEY, KEY_LEAVING, KEY_SENT
from trader.trade import Proven, Revealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trader.chain.market import Trade
    from trader.parties.actor import Actor
    from trader.parties.conduct import SellerConduct
    from trader.parties.margins import SellerPolicy
    from trader.parties.vault import Vault


class KeyRelease:
    """Reveals the keys of a seller's trades."""

    def __init__(
        self, actor: Actor, policy: SellerPolicy, conduct: SellerConduct, vault: Callable[[int], Vault]
    ) -> None:
        """Set up the release of one seller's keys.

        Args:
            actor: The seller's account at work.
            policy: Its margins.
            conduct: How it behaves.
            vault: Gives the secrets of a trade.
        """
        self._actor = actor
        self._market = actor.market
        self._policy = policy
        self._conduct = conduct
        self._vault = vault
        self._marks: set[tuple[Path, str]] = set()

    def reveal(self, trade_id: int) -> None:
        """Publish the key of the delivered model; a later step looks again whether the chain has kept it.

        Raises:
            IllegalMoveError: The buyer has not accepted, or the deadline has passed.
            TooLateError: Too little time is left for the key to be mined; it stays here.
        """
        trade = self._actor.require_legal(Revealed, trade_id)
        self._require_time(trade)
        root = self._market.event(trade_id, Proven).ciphertext_root
        key = self._conduct.revealed_key(self._vault(trade_id).read(DELIVERY_KEY))
        self._actor.transact(
            "reveal",
            lambda: self._market.reveal(
                self._actor.account,
                trade_id,
                root,
                key,
                before_sending=lambda signed: self.let_go(trade, signed),
                once_sent=lambda: self._remember(trade_id, KEY_SENT),
                goes_public=lambda: self._goes_public(trade),
                earlier=self._leaving_key(trade_id),
                confirmed=False,
            ),
        )

    def let_go(self, trade: Trade, signed: bytes) -> None:
        """Write down that the key leaves, just before it does: a killed process must know of it.

        Raises:
            TooLateError: Time has passed since it was decided, and too little is left.
        """
        self._require_time(trade)
        self._remember(trade.trade_id, KEY_LEAVING, signed)

    def _leaving_key(self, trade_id: int) -> bytes:
        """Return the newest transaction with the key that may have left; empty if there is none."""
        vault = self._vault(trade_id)
        return vault.read(KEY_LEAVING) if vault.has(KEY_LEAVING) else b""

    # -------------------------------------------------------------------------------------------------------- time

    def _require_time(self, trade: Trade) -> None:
        """Look at the time before a key leaves: a late one is public without being paid for.

        Three cases, told apart by what is remembered (decision record 0022):

        - It never left: the margin must be there.
        - It left: only being mined helps, so it is sent again up to the deadline.
        - A process was killed around the sending, or the node did not answer: most likely it left. If it did, sending
          again can't hurt; if it didn't, that is safe as long as there is time for a place in a block.

        Raises:
            TooLateError: There is too little time.
        """
        if self._remembers(trade.trade_id, KEY_SENT):
            return
        confirmations = self._market.chain.confirmations
        leaving = self._remembers(trade.trade_id, KEY_LEAVING)
        self._require_left(
            trade, self._policy.least_margin(confirmations) if leaving else self._policy.margin(confirmations)
        )

    def require_spare_time(self, trade: Trade) -> None:
        """Look at the time before something is sent that a transaction which fails would give away.

        Raises:
            TooLateError: There is too little time.
        """
        self._require_left(trade, self._policy.margin(self._market.chain.confirmations))

    def _goes_public(self, trade: Trade) -> bool:
        """Return whether the public node is given the key as well, which only the relay has, and has not had mined.

        Some blocks before the margin begins: that is time enough for whatever is public, and without the key the price
        is lost. Not in the last blocks: a relay that keeps the key for itself then costs the price alone.
        """
        left = self._seconds_left(trade)
        policy, confirmations = self._policy, self._market.chain.confirmations
        return policy.least_margin(confirmations) < left <= policy.public_margin(confirmations)

    def _require_left(self, trade: Trade, margin_seconds: int) -> None:
        left = self._seconds_left(trade)
        if left <= margin_seconds:
            raise TooLateError(
                f"{left} seconds are left for trade {trade.trade_id}, your margin is {margin_seconds}: a secret that "
                "is not mined in time is given away. Nothing is sent; the deadline returns what was locked but a proof "
                "fee."
            )

    def _seconds_left(self, trade: Trade) -> int:
        return trade.position.deadline_seconds - self._market.chain.time().latest

    # ------------------------------------------------------------------------------------------------------- marks

    def _remembers(self, trade_id: int, mark: str) -> bool:
        vault = self._vault(trade_id)
        return (vault.folder, mark) in self._marks or vault.has(mark)

    def _remember(self, trade_id: int, mark: str, content: bytes = b"") -> None:
        """Keep a mark, in memory as well: a full disk must not hold back a key that is due."""
        vault = self._vault(trade_id)
        self._marks.add((vault.folder, mark))
        with suppress(EnvironmentFaultError):
            vault.write(mark, content)
