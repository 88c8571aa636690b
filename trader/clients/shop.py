"""A seller's shop: the models of its settings, listed in a market, and where buyers reach them.

`Shop.list_models` brings market and settings together: a model without a listing on the settings' terms gets one, and
older open listings of the same package are closed, which touches no trade that was begun.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from contracts import offer_digest
from trader.artifacts import ArtifactStore
from trader.errors import CallerError
from trader.exchange import FolderMailbox, Mailbox, open_mailbox
from trader.package import SellerPackage
from trader.parties.actor import Equipment
from trader.parties.claims import publish_claims
from trader.parties.engine import HERE
from trader.parties.folder import claim_folder
from trader.parties.seller import Seller
from trader.parties.vault_key import unlock_vault
from trader.service.index import Index
from trader.service.store import StoreMailbox
from trader.settings.fields import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger import AuditLog
    from trader.chain.market import Market
    from trader.clients.connection import Connection
    from trader.parties.actor import Step
    from trader.parties.engine import Engine
    from trader.parties.offer import Offer
    from trader.settings.seller import ListingSettings, SellerSettings

INDEX = "messages.sqlite"
ARTIFACTS = "artifacts"
MODELS = "models"
_NAME_CHARACTERS = 16


class Shop:
    """The models that one account sells in one market. While it is open, no other process works in its folder.

    Attributes:
        settings: What is sold for how much.
        connection: Chain, market and account.
        folder: The seller's own.
    """

    def __init__(
        self,
        settings: SellerSettings,
        connection: Connection,
        log: AuditLog,
        engine: Engine = HERE,
        observe: Callable[[Step], None] = lambda _: None,
    ) -> None:
        """Take the folder.

        Raises:
            PartyFolderError: Another process works in it, or it belongs to another account.
            SettingsError: Nothing says where buyers reach the seller.
        """
        self.settings = settings
        self.connection = connection
        self.folder = settings.folder
        self._log = log
        self._engine = engine
        self._observe = observe
        self._lock = claim_folder(self.folder, f"shop {connection.account.address}")
        self._sellers: dict[Path, Seller] = {}

    @property
    def seller_address(self) -> str:
        """The account that sells."""
        return str(self.connection.account.address)

    @property
    def market(self) -> Market:
        """The escrow."""
        return self.connection.market

    @cached_property
    def mailbox(self) -> Mailbox:
        """Where messages to and from buyers are: the service's own, or a shared folder."""
        if self.settings.service is not None:
            store = ArtifactStore.at(self.settings.service.artifacts or (self.folder / ARTIFACTS).absolute().as_uri())
            index = Index(self.folder / INDEX)
            return StoreMailbox(index, store, self.settings.service.url, self.seller_address)
        if self.settings.exchange is None:
            raise SettingsError(
                "nothing says where buyers reach you: set `exchange` to a shared folder (file:///srv/exchange), or "
                "give `[service]` a `url`"
            )
        mailbox = open_mailbox(self.settings.exchange)
        if not isinstance(mailbox, FolderMailbox):
            raise SettingsError("`exchange` is a shared folder, file:///…; a service of your own is `[service]`")
        return mailbox

    def seller(self, listing: ListingSettings) -> Seller:
        """Return who serves a model of the settings; its package is read once.

        Raises:
            PackageError, KeyFileError: The package is damaged, or the password is wrong.
        """
        if listing.package not in self._sellers:
            package = SellerPackage.read(listing.package, self.connection.password)
            own = self.folder / MODELS / package.manifest.manifest_hash().hex()[:_NAME_CHARACTERS]
            equipment = Equipment(
                self.market,
                self.connection.account,
                self.mailbox,
                self._log,
                own,
                observe=self._observe,
                vault_key=unlock_vault(own, self.connection.password),
            )
            device = self.settings.jobs.device
            self._sellers[listing.package] = Seller(package, equipment, device=device, engine=self._engine)
        return self._sellers[listing.package]

    # ----------------------------------------------------------------------------------------------------- listings

    def list_models(self, say: Callable[[str], None] = lambda _: None) -> dict[int, Seller]:
        """List what is not listed on the settings' terms, close older listings of the same packages, announce all.

        Returns:
            Who serves each listing, closed ones as well, in which trades may be under way.

        Raises:
            SettingsError: The settings name no model.
            CallerError: A package is another account's, or windows are too short.
            TransactionRefusedError: The market refuses terms, or the account can't pay.
        """
        if not self.settings.listings:
            raise SettingsError("the settings name no model: add a table [[listings]] with package, price and bond")
        account = self.connection.account
        served: dict[int, Seller] = {}
        for listing in self.settings.listings:
            seller = self.seller(listing)
            if seller.package.budget.left <= 0:
                served |= dict.fromkeys(self._close_used_up(seller, say), seller)
                continue
            offer = listing.offer(self.connection.currencies)
            if self.market.find_listing(self.seller_address, offer.terms(seller.goods.manifest)) is None:
                self._check_amounts(offer, seller)
            listing_id = seller.list_model(offer)
            publish_claims(seller.actor, seller.goods)
            self.connection.directory.announce(account, listing_id, str(self.settings.endpoint))
            say(f"listing {listing_id}: {seller.goods.manifest.card.name}")
            for older in self.market.find_listings(seller.address, seller.goods.manifest.manifest_hash()):
                if older != listing_id and self.market.listing(older).open:
                    self.close_listing(older)
                    say(f"listing {older}: closed, as its terms were others")
                served[older] = seller
            served[listing_id] = seller
        return served

    def _check_amounts(self, offer: Offer, seller: Seller) -> None:
        """Look whether a new listing's amounts mean what the settings say.

        Raises:
            TokenError: The token has other decimals.
            SettingsError: The smallest test costs more than the model: the package's fee is in another currency.
        """
        self.connection.check_token(offer.token)
        terms, currency = offer.terms(seller.goods.manifest), self.connection.currencies.of(offer.token)
        if not currency.is_ether and terms.fee_wei * terms.audit_samples > offer.price_wei:
            raise SettingsError(
                f"the package asks {currency.format(terms.fee_wei)} for each answer, which makes the smallest test "
                "dearer than the model: its fee was meant in another currency. Prepare it again with --fee in "
                f"{currency.symbol}"
            )

    def publish_claims(self) -> None:
        """Publish the certificates that lie beside the packages; some may be new.

        Raises:
            MailboxFaultError: Index or store can't be written.
            ChainUnavailableError: The node does not answer.
        """
        for seller in self._sellers.values():
            publish_claims(seller.actor, seller.goods)

    def close_used_up(self, say: Callable[[str], None]) -> None:
        """Close the listings of packages without a proof left: their tests could not be answered any more."""
        for listing in self.settings.listings:
            seller = self.seller(listing)
            if seller.package.budget.left <= 0:
                self._close_used_up(seller, say)

    def close_dropped(self, say: Callable[[str], None]) -> None:
        """Close the listings of packages that the settings name no more, of those that this process has served."""
        named = {listing.package for listing in self.settings.listings}
        for package, seller in self._sellers.items():
            if package in named:
                continue
            for number in self.market.find_listings(seller.address, seller.goods.manifest.manifest_hash()):
                if self.market.listing(number).open:
                    self.close_listing(number)
                    say(f"listing {number}: closed, as the settings name its package no more")

    def _close_used_up(self, seller: Seller, say: Callable[[str], None]) -> tuple[int, ...]:
        """Close a seller's open listings; return all that it ever had."""
        listings = self.market.find_listings(seller.address, seller.goods.manifest.manifest_hash())
        for number in listings:
            if self.market.listing(number).open:
                self.close_listing(number)
                say(f"listing {number}: closed, no proof of its package is left; prepare the model again")
        return listings

    def close_listing(self, listing_id: int) -> None:
        """Take a listing off the market; trades that were begun go on.

        Raises:
            CallerError: It is another seller's, or closed.
        """
        listing = self.market.listing(listing_id)
        if listing.seller != self.connection.account.address:
            raise CallerError(f"listing {listing_id} is the account {listing.seller}'s, you are another")
        if not listing.open:
            raise CallerError(f"listing {listing_id} is closed already")
        offer = offer_digest(listing.seller, listing.terms)
        self.market.delist(self.connection.account, listing_id, offer)

    def close(self) -> None:
        """Let index and store go."""
        if "mailbox" in self.__dict__ and isinstance(self.mailbox, StoreMailbox):
            self.mailbox.index.close()
