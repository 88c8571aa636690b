"""A buyer's purchases: a folder for each, from the check of the listing to the model.

    folder/purchases/31337-0x…-listing-7/       the first purchase of listing 7
    folder/purchases/31337-0x…-listing-7-2/     another, begun after the first was over
    folder/audit/31337-0x….sqlite               the audit log of all purchases in that market

Whatever is called on a purchase goes on where the chain says that it stands, in whichever process.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trader.chain.development import DEVELOPMENT_CHAINS
from trader.clients.proven import Proven
from trader.clients.records import read_records
from trader.errors import CallerError
from trader.exchange import open_mailbox
from trader.parties.actor import READING, Equipment
from trader.parties.buyer import Buyer
from trader.parties.filenames import LABELS, OPENING
from trader.parties.vault_key import unlock_vault
from trader.settings.fields import SettingsError
from trader.trade import Role
from trader.trade.waiting import OTHERWISE, waits_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ledger import AuditLog
    from trader.clients.connection import Connection
    from trader.currencies import Currencies
    from trader.parties.actor import Step
    from trader.parties.testing import TestResult
    from trader.settings.buyer import BuyerSettings
    from trader.verify import BuyerPolicy, VerifiedListing

PURCHASES: Final = "purchases"
DOWNLOADS: Final = "downloads"


@dataclass(frozen=True, slots=True)
class PurchaseStatus:
    """Where a purchase stands.

    Attributes:
        listing_id: What is bought.
        trade_id: Its trade; None before the session was opened.
        state: Name of its state, in lower case; `checking` before the session was opened.
        waits_for: What the buyer does or waits for.
        until_seconds: Unix time by which that must come; 0 where nothing is waited for.
        otherwise: What happens if it doesn't.
        has_model: Whether the model is here, and passed every check.
        refusal: Why the buyer went no further; None if it did.
    """

    listing_id: int
    trade_id: int | None
    state: str
    waits_for: str
    until_seconds: int
    otherwise: str
    has_model: bool
    refusal: str | None


@dataclass(frozen=True)
class Purchase:
    """One purchase, opened.

    Attributes:
        folder: Where everything of it lies.
        listing_id: What is bought.
        buyer: Who buys.
        log: The account's audit log of the market, which has those of other purchases as well.
        currencies: What tokens are called.
    """

    folder: Path
    listing_id: int
    buyer: Buyer
    log: AuditLog
    currencies: Currencies

    def status(self) -> PurchaseStatus:
        """Return where it stands, by the confirmed blocks."""
        session = self.buyer.testing.find_session()
        refusal = self.buyer.read_refusal()
        if session is None:
            return PurchaseStatus(self.listing_id, None, "checking", "to open a test", 0, "", False, refusal)
        position = self.buyer.market.trade(session[1]).position
        return PurchaseStatus(
            self.listing_id,
            session[1],
            position.state.name.lower(),
            waits_for(Role.BUYER, position),
            position.deadline_seconds,
            OTHERWISE.get(position.state, ""),
            self.buyer.has_model(),
            refusal,
        )

    def remember_labels(self, labels: NDArray[np.generic] | None) -> None:
        """Keep the test set's labels for later commands; without any, take those that were kept."""
        vault = self.buyer.vault
        if labels is not None:
            vault.write_arrays(LABELS, labels)
        elif vault.has(LABELS):
            (labels,) = vault.read_arrays(LABELS)
        self.buyer.labels = labels


class Purchases:
    """The purchases of one account.

    Attributes:
        settings: The buyer's.
        connection: Chain, market and account.
        folder: In which each has its own.
    """

    def __init__(
        self,
        settings: BuyerSettings,
        connection: Connection,
        observe: Callable[[Step], None] = lambda _: None,
        progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
    ) -> None:
        self.settings = settings
        self.connection = connection
        self.folder = settings.folder / PURCHASES
        self._observe = observe
        self._progress = progress

    @property
    def place(self) -> str:
        """Where it trades, as a part of file names."""
        return self.connection.market.place

    @cached_property
    def policy(self) -> BuyerPolicy:
        """What it asks of listings, with the tokens of this chain."""
        return self.settings.policy.policy(self.connection.currencies)

    def known(self) -> list[tuple[int, Path]]:
        """Return listing and folder of each purchase in this market, oldest listing first."""
        pattern = re.compile(re.escape(self.place) + r"-listing-([1-9][0-9]*)(?:-([1-9][0-9]*))?")
        names = [entry.name for entry in self.folder.iterdir()] if self.folder.is_dir() else []
        found = [(int(match[1]), int(match[2] or 1), match[0]) for name in names if (match := pattern.fullmatch(name))]
        return [(listing_id, self.folder / name) for listing_id, _, name in sorted(found)]

    def require_none_lost(self, listing_id: int) -> None:
        """Look whether the account has opened sessions of a listing that nothing is kept of here.

        Raises:
            CallerError: It has, one that has not ended: the folder was lost, or restored from a backup.
        """
        begun = [folder for number, folder in self.known() if number == listing_id and (folder / OPENING).exists()]
        market, account = self.connection.market, str(self.connection.account.address)
        opened = [trade for trade in market.find_trades_of(account) if market.opened[trade][0] == listing_id]
        if len(opened) <= len(begun) or all(market.trade(trade).position.final for trade in opened):
            return
        raise CallerError(
            f"your account has opened {len(opened)} trades of listing {listing_id}, and {self.folder} knows of "
            f"{len(begun)}: restore the folder, or see what can be saved (`modelseal buyer status`). To pay for "
            "another test all the same, say --again."
        )

    def newest(self, listing_id: int) -> Path | None:
        """Return the folder of the newest purchase of a listing."""
        folders = [folder for number, folder in self.known() if number == listing_id]
        return folders[-1] if folders else None

    @contextmanager
    def opened(
        self, listing_id: int, decide: Callable[[TestResult], bool] = lambda _: False, *, again: bool = False
    ) -> Iterator[Purchase]:
        """Open the newest purchase of a listing, or begin one.

        Args:
            listing_id: What is bought.
            decide: Whether to buy, given the test's result.
            again: Begin another one, if the newest is over.

        Raises:
            CallerError: `again`, and the newest is under way.
            PartyFolderError: Another process works on it.
            SettingsError: Nobody says where the seller is reached.
        """
        folder = self.newest(listing_id) or self.folder / f"{self.place}-listing-{listing_id}"
        with self._open(listing_id, folder, decide) as purchase:
            if not (again and folder.exists() and purchase.buyer.testing.find_session() is not None):
                yield purchase
                return
            if not purchase.buyer.is_over():
                raise CallerError(
                    f"the purchase of listing {listing_id} in {folder} is under way: let it end "
                    f"(`modelseal buyer resume {listing_id}`) before you begin another one."
                )
        count = len([number for number, _ in self.known() if number == listing_id])
        with self._open(listing_id, folder.with_name(f"{self.place}-listing-{listing_id}-{count + 1}"), decide) as new:
            yield new

    @contextmanager
    def _open(self, listing_id: int, folder: Path, decide: Callable[[TestResult], bool]) -> Iterator[Purchase]:
        connection = self.connection
        endpoint = self._endpoint(listing_id)
        if not folder.exists():
            self._check_record(listing_id)
            connection.check_token(connection.market.listing(listing_id).terms.token)
        folder.mkdir(parents=True, exist_ok=True)
        with (
            open_mailbox(endpoint, connection.account, folder=folder / DOWNLOADS) as mailbox,
            connection.audit_log(partial(self._progress, READING)) as log,
        ):
            equipment = Equipment(
                connection.market,
                connection.account,
                mailbox,
                log,
                folder,
                observe=self._observe,
                progress=self._progress,
                vault_key=unlock_vault(folder, connection.password),
            )
            buyer = Buyer(listing_id, self.policy, equipment, decide=decide)
            yield Purchase(folder, listing_id, buyer, log, connection.currencies)

    def _check_record(self, listing_id: int) -> None:
        """Hold the record of a listing's seller against the policy, if that asks for one, before anything is begun."""
        policy = self.policy
        if not policy.asks_for_a_record:
            return
        seller = self.connection.market.listing(listing_id).seller
        sellers = {number: one for number, one in self.connection.market.listed().items() if one == seller}
        record = read_records(self.connection, sellers)[seller]
        policy.check_record(record.sold, record.cheated)

    def check_accuracy(self, listing: VerifiedListing) -> None:
        """Hold the certificates that were verified for a listing's model against the policy, before its test.

        Raises:
            PolicyError: None proves the accuracy that the policy asks for.
        """
        self.policy.check_accuracy(Proven(self.settings.folder).accuracies(listing.terms.manifest_hash))

    def _endpoint(self, listing_id: int) -> str:
        """Return where the seller of a listing is reached: what the settings say, else its own announcement.

        Raises:
            SettingsError: Nobody says.
        """
        if self.settings.exchange is not None:
            return self.settings.exchange
        seller = self.connection.market.listing(listing_id).seller
        endpoint = self.connection.directory.endpoint(listing_id, seller)
        if endpoint is None:
            raise SettingsError(
                f"the seller of listing {listing_id} does not say on the chain where it is reached: ask it for a URL, "
                "and give it as `exchange` or --exchange"
            )
        if not is_followed(endpoint, self.connection.market.chain.chain_id):
            raise SettingsError(
                f"the seller of listing {listing_id} says that it is reached at {endpoint!r}, which is no place that "
                "others reach: if you know better, give it as `exchange` or --exchange"
            )
        return endpoint


def is_followed(endpoint: str, chain_id: int) -> bool:
    """Return whether a seller is asked at what it announces: on public chains only where all can reach it."""
    return chain_id in DEVELOPMENT_CHAINS or is_reachable_by_all(endpoint)


def is_reachable_by_all(endpoint: str) -> bool:
    """Return whether a URL is https and names neither a private address nor a local name.

    What strangers announce should lead to no file and no port of this machine or its network. Where a public name leads
    is not looked up: that is its owner's word, and may change between two looks.
    """
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        private = not ip_address(host).is_global
    except ValueError:
        private = host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host
    return parts.scheme == "https" and not private
