"""When a seller lets a delivery key go: not before it is due, and not so late that it would be given away.

A transaction that is mined at its deadline or later fails, but what it carried is public. What is known of a key is
written down around its sending: `KEY_LEAVING` just before, with the signed transaction, and `KEY_SENT` once a node has
taken it (decision record 0022).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from contracts import Acceptance
from contracts.agreements import SIGNATURE_BYTES
from ledger import EntryKind
from trader.errors import EnvironmentFaultError, NotYetError, TooLateError
from trader.exchange import Kind
from trader.exchange.errors import MessageError
from trader.parties.filenames import ACCEPTANCE, DELIVERY_KEY, KEY_LEAVING, KEY_SENT
from trader.trade import Proven, Revealed, State

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
        self._acceptances: dict[int, bytes] = {}

    def take_acceptance(self, trade_id: int) -> None:
        """Take the buyer's signed acceptance, unless it is here, or the buyer has accepted by a transaction.

        It is kept before the key leaves: with a key that is public, and no acceptance to show, the price would be lost.

        Raises:
            NotDeliveredError: It has not arrived.
        """
        trade = self._market.trade(trade_id)
        if trade.position.state is not State.PROVEN or self._acceptance(trade):
            return
        label = self._actor.label(Kind.ACCEPTANCE, trade.digest, trade_id)
        acceptance = self._actor.mailbox.take(
            label, trade.buyer, SIGNATURE_BYTES, lambda message: self._read_acceptance(trade, message.read())
        )
        self._acceptances[trade_id] = acceptance
        with suppress(EnvironmentFaultError):  # as below: a full disk holds back no key
            self._vault(trade_id).write(ACCEPTANCE, acceptance)
        self._actor.note(EntryKind.ACCEPTANCE_RECEIVED, trade_id=trade_id)

    def _read_acceptance(self, trade: Trade, signature: bytes) -> bytes:
        """Return a signature that the market takes.

        A contract's (ERC-1271) is none, whatever it says now: it could say something else once the key is public.

        Raises:
            MessageError: It is another one.
        """
        if not self._is_signed(trade, signature):
            raise MessageError(f"the acceptance of trade {trade.trade_id} is not signed by its buyer for this delivery")
        return signature

    def _is_signed(self, trade: Trade, signature: bytes) -> bool:
        place = self._market.chain.chain_id, self._market.deployment.market
        return Acceptance(trade.trade_id, trade.digest).is_signed_by(trade.buyer, signature, *place)

    def _acceptance(self, trade: Trade) -> bytes:
        """Return the kept acceptance of the delivery; empty if there is none."""
        vault, kept = self._vault(trade.trade_id), self._acceptances.get(trade.trade_id, b"")
        if not kept and vault.has(ACCEPTANCE):
            kept = vault.read(ACCEPTANCE)
        return kept if self._is_signed(trade, kept) else b""

    def reveal(self, trade_id: int) -> None:
        """Publish the key of the delivered model; a later step looks again whether the chain has kept it.

        Raises:
            IllegalMoveError: The seller has not proven, or the deadline has passed.
            NotYetError: The buyer has not accepted.
            TooLateError: Too little time is left for the key to be mined; it stays here.
        """
        trade = self._actor.require_legal(Revealed, trade_id)
        acceptance = self._acceptance(trade) if trade.position.state is State.PROVEN else b""
        if trade.position.state is State.PROVEN and not acceptance:
            raise NotYetError(f"the buyer has not accepted the delivery of trade {trade_id} yet: the key stays here.")
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
                acceptance,
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
        """Return the time that is left at least: a buyer that accepts meanwhile ends one window and begins another.

        It could do so just before a key that it waits for is mined, where the time to reveal is the shorter one.
        """
        now, deadline = self._market.chain.time().latest, trade.position.deadline_seconds
        if trade.position.state is not State.PROVEN:
            return deadline - now
        reveal_seconds = self._market.listing(trade.listing_id).terms.windows.reveal_seconds
        newest = self._market.newest_position(trade.trade_id)
        accepted = newest.deadline_seconds if newest.state is State.ACCEPTED else now + reveal_seconds
        return min(deadline, accepted) - now

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
