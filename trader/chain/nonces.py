"""Which number (nonce) an account's next transaction takes, with many of them under way.

The lowest one that nobody has. What is under way is known from two sides: the account's journal says what was sent from
this folder, by any thread or process, and the node how many transactions were mined and how many wait. So a number has

- nobody, from the first one on that waits nowhere;
- one of ours, if the journal has it: whoever waits for it holds it. The same call takes it again, and offers more. If
  nobody waits, and the node has forgotten it or has left it waiting for long, any transaction takes its place, and the
  versions of both compete for it: one of them is mined;
- a stranger (a wallet, another machine), if the node has one waiting that the journal does not know. It is left alone.

A number below one that waits, and that nobody has, is a gap: what is above it is never mined. The next transaction of
the account fills it, or else whoever waits above does, with one that moves nothing.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from web3.exceptions import TransactionNotFound

from trader.chain.journal import Entry
from trader.errors import ChainUnavailableError, EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eth_typing import ChecksumAddress
    from web3 import Web3
    from web3.types import BlockIdentifier

    from trader.chain.fees import Bid, Fees
    from trader.chain.journal import Hold, Journal

SECRET_SECONDS: Final = 600
"""How long a secret that nobody waits for keeps its number: its relay may have it mined at any time."""
LANDED_SECONDS: Final = 3600
"""How long a transaction that a process did not see mined is taken for what the same call asks for again."""
MOST_STRANGERS: Final = 64
"""More transactions that wait, and that the journal does not know, are a node's mistake: what is behind them waits."""
NOTHING: Final = bytes(32)
"""What stands for the call of a transaction that moves nothing."""


class Reservation:
    """A number that was taken for one transaction.

    Attributes:
        nonce: The number.
        entry: What the journal has of it.
    """

    def __init__(self, journal: Journal, entry: Entry, hold: Hold, before: Entry | None = None) -> None:
        self.entry = entry
        self.nonce = entry.nonce
        self._journal = journal
        self._hold = hold
        self._before = before

    @property
    def bid(self) -> Bid | None:
        """What was offered for it, by this transaction or one whose place it takes."""
        return self.entry.bid

    def sign(self, version: bytes, fees: Fees) -> None:
        """Write down a version before it leaves."""
        self._update(self.entry.signed(version, fees, int(time.time())))

    def finish(self, *, confirmed: bool) -> None:
        """Say that it was mined. What is not confirmed may lose its block, and keeps its number then.

        A disk that is full takes nothing back: the journal says then that nobody has looked.
        """
        self.close()
        with suppress(EnvironmentFaultError):
            if confirmed:
                with self._journal.alone():
                    self._journal.forget(self.nonce)
            else:
                self._update(replace(self.entry, returned=True))

    def cancel(self) -> None:
        """Give the number back: nothing has left. What the journal had of it before is as it was."""
        with self._journal.alone():
            self.close()
            if self._before is not None and self._before.versions:
                self._journal.write(self._before)
            else:
                self._journal.forget(self.nonce)

    def close(self) -> None:
        """Wait for it no more; it may be mined all the same."""
        self._hold.release()

    def _update(self, entry: Entry) -> None:
        with self._journal.alone():
            self._journal.write(entry)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Counts:
    """What a node says of an account's transactions.

    Attributes:
        confirmed: How many are in confirmed blocks.
        mined: In any.
        waiting: Those that wait without a gap included.
    """

    confirmed: int
    mined: int
    waiting: int


class Nonces:
    """The numbers of one account, by its journal and one node."""

    def __init__(
        self,
        web3: Web3,
        address: ChecksumAddress,
        journal: Journal,
        confirmed_block: Callable[[], BlockIdentifier],
        stuck_seconds: float,
    ) -> None:
        """Set up.

        Args:
            web3: The node.
            address: The account.
            journal: Its own.
            confirmed_block: Says up to where the chain is confirmed.
            stuck_seconds: How long one that is next in line, and that nobody waits for, is left alone.
        """
        self._web3 = web3
        self._address = address
        self._journal = journal
        self._confirmed_block = confirmed_block
        self._stuck_seconds = stuck_seconds

    def landed(self, call: bytes) -> Reservation | None:
        """Return an earlier transaction with this call that was mined while nobody looked.

        Its process was killed, or had stopped waiting; the same call asked for again is the same wish.
        """
        with self._journal.alone():
            for entry in self._journal.read().values():
                fresh = time.time() - entry.sent_at_seconds < LANDED_SECONDS
                if entry.call != call or entry.returned or not entry.versions or not fresh:
                    continue
                hold = self._journal.hold(entry.nonce)
                if hold is not None and self._was_mined(entry):
                    return Reservation(self._journal, entry, hold, entry)
        return None

    def recall(self, entry: Entry) -> None:
        """Put an entry into the journal that another record has kept; a newer one of its number stays."""
        with self._journal.alone():
            if entry.nonce not in self._journal.read():
                self._journal.write(entry)

    def reserve(self, call: bytes, *, secret: bool = False, only_next: bool = False, above: int = 0) -> Reservation:
        """Take a number for a call: that of its earlier versions if they may still be mined, else the lowest free one.

        Args:
            call: keccak256 of recipient and calldata.
            secret: Whether only a relay will have it.
            only_next: Whether it must be the next one to be mined.
            above: The lowest number to be taken: strangers have those below.

        Raises:
            ChainUnavailableError: The node is behind, or it must be the next one and something waits.
        """
        with self._journal.alone():
            counts, entries = self._look()
            own = [entry for entry in entries.values() if entry.call == call and entry.nonce >= counts.mined]
            for entry in own:
                if (hold := self._journal.hold(entry.nonce)) is not None:
                    return self._take(entry, hold, counts, entry, only_next=only_next)
            nonce = max(counts.mined, above)
            while (found := self._free(nonce, counts, entries)) is None:
                nonce += 1
            before = entries.get(nonce)
            entry = Entry(nonce, call, None if before is None else before.bid, secret=secret)
            return self._take(entry, found, counts, before, only_next=only_next)

    def reserve_gap(self, below: int) -> Reservation | None:
        """Take the lowest number that nobody has, or that is stuck, below one that waits; None where there is none."""
        with self._journal.alone():
            counts, entries = self._look()
            for nonce in range(counts.mined, below):
                if (hold := self._free(nonce, counts, entries)) is not None:
                    before = entries.get(nonce)
                    entry = Entry(nonce, NOTHING, None if before is None else before.bid)
                    return self._take(entry, hold, counts, before)
        return None

    def adopt(self, entry: Entry) -> Reservation | None:
        """Wait for a number that is known already; None where somebody does."""
        with self._journal.alone():
            kept = self._journal.read().get(entry.nonce, entry)
            hold = self._journal.hold(entry.nonce)
            if hold is None:
                return None
            self._journal.write(kept)
            return Reservation(self._journal, kept, hold, kept)

    # ------------------------------------------------------------------------------------------------------- inside

    def _take(
        self, entry: Entry, hold: Hold, counts: Counts, before: Entry | None, *, only_next: bool = False
    ) -> Reservation:
        if only_next and entry.nonce > counts.mined:
            hold.release()
            raise ChainUnavailableError(
                f"{entry.nonce - counts.mined} transactions of {self._address} wait to be mined: a secret does not "
                "leave behind them. Replace them from a wallet if they stay; it is tried again."
            )
        self._journal.write(entry)
        return Reservation(self._journal, entry, hold, before)

    def _look(self) -> tuple[Counts, dict[int, Entry]]:
        """Return what the node says, and the entries that may still matter; the others are let go.

        Raises:
            ChainUnavailableError: The node is behind what was seen, or says what can't be.
        """
        count, confirmed = self._web3.eth.get_transaction_count, self._confirmed_block()
        mined, waiting = count(self._address, "latest"), count(self._address, "pending")
        counts = Counts(mined if confirmed == "latest" else count(self._address, confirmed), mined, waiting)
        self._require_sane(counts, revocable=confirmed == "latest")
        entries = self._journal.read()
        for nonce in [nonce for nonce in entries if nonce < counts.confirmed]:
            self._journal.forget(nonce)
            del entries[nonce]
        strangers = counts.waiting - counts.mined - sum(counts.mined <= nonce < counts.waiting for nonce in entries)
        if strangers > MOST_STRANGERS:
            raise ChainUnavailableError(
                f"the node says that {strangers} transactions of {self._address} wait that were not sent from here: "
                "whatever comes next would wait behind them. Ask another node, or replace them from a wallet."
            )
        return counts, entries

    def _require_sane(self, counts: Counts, *, revocable: bool) -> None:
        if revocable:  # one confirmation: a development chain, whose blocks may be undone by hand
            return
        if counts.mined < self._journal.floor:
            raise ChainUnavailableError(
                f"the node knows {counts.mined} transactions of {self._address}, and {self._journal.floor} were seen "
                f"confirmed: it is behind. Wait, or ask another node; if the chain was replaced, remove "
                f"{self._journal.folder}."
            )
        self._journal.raise_floor(counts.confirmed)

    def _free(self, nonce: int, counts: Counts, entries: Mapping[int, Entry]) -> Hold | None:
        """Return a hold on a number that nobody has; None where somebody does."""
        entry = entries.get(nonce)
        if entry is None and nonce < counts.waiting:
            return None  # a stranger's
        hold = self._journal.hold(nonce)
        if hold is None or entry is None or self._is_left(entry, counts):
            return hold
        hold.release()
        return None

    def _is_left(self, entry: Entry, counts: Counts) -> bool:
        """Return whether a transaction that nobody waits for may be replaced by another one."""
        age = time.time() - entry.sent_at_seconds
        if entry.secret and entry.versions and age < SECRET_SECONDS:
            return False
        if not any(map(self._is_known, entry.versions)):
            return True
        return entry.nonce == counts.mined and age > self._stuck_seconds

    def _is_known(self, version: bytes) -> bool:
        try:
            self._web3.eth.get_transaction(version)  # type: ignore[arg-type]  # a hash, as bytes
        except TransactionNotFound:
            return False
        return True

    def _was_mined(self, entry: Entry) -> bool:
        for version in entry.versions:
            with suppress(TransactionNotFound):
                self._web3.eth.get_transaction_receipt(version)  # type: ignore[arg-type]  # a hash, as bytes
                return True
        return False
