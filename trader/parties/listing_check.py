"""How a buyer comes to trust a listing: it reads chain and mailbox, and runs every check of `trader.verify.listing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger import EntryKind, as_reason
from trader.errors import ListingError, PolicyError
from trader.exchange import Kind
from trader.package import PublicPackage
from trader.parties.goods import open_srs
from trader.parties.messages import MAX_PACKAGE_BYTES
from trader.verify import BuyerPolicy, Sources, VerifiedListing, verify_listing

if TYPE_CHECKING:
    from trader.parties.actor import Actor
    from trader.parties.entitlement import Entitlement
    from trader.parties.vault import Vault
    from zk import SrsProvider


class ListingCheck:
    """The check of one listing, which each process makes once.

    Attributes:
        listing_id: The listing's number in the market.
    """

    def __init__(
        self,
        listing_id: int,
        actor: Actor,
        policy: BuyerPolicy,
        vault: Vault,
        ceremony: SrsProvider,
        entitlement: Entitlement,
        verified: VerifiedListing | None = None,
    ) -> None:
        """Set up the check of one listing.

        Args:
            listing_id: Its number in the market.
            actor: The buyer's account at work.
            policy: What is asked of it.
            vault: The buyer's folder.
            ceremony: Gives the ceremony's reference string for listings that name one.
            entitlement: What the buyer shows to the listing's policy, and so pays.
            verified: The listing, where this process has checked it already.
        """
        self.listing_id = listing_id
        self._actor = actor
        self._policy = policy
        self._vault = vault
        self._ceremony = ceremony
        self._entitlement = entitlement
        self._verified = verified

    def verify(self) -> VerifiedListing:
        """Verify the listing, unless it was; return it.

        Raises:
            ListingError: A check failed; the subclass says which.
            PolicyError: The terms are not good enough for the policy.
            NotDeliveredError: The seller has not published the package; what lies there is another's.
        """
        if self._verified is None:
            self._verified = self._check()
        return self._verified

    def _check(self) -> VerifiedListing:
        actor, market = self._actor, self._actor.market
        listed = market.listing(self.listing_id)
        label = actor.label(Kind.PACKAGE, listed.terms.manifest_hash)
        package = PublicPackage.from_bytes(actor.mailbox.get(label, listed.seller, MAX_PACKAGE_BYTES))
        sources = Sources(
            lambda: market.verify_code(listed.terms.policy),
            lambda logrows: open_srs(package, logrows, self._vault, self._ceremony),
            market.chain.confirmations,
            lambda: self._entitlement.price(listed.terms),
        )
        try:
            with actor.working("verify"):
                verified = verify_listing(self.listing_id, listed.seller, listed.terms, package, self._policy, sources)
        except (ListingError, PolicyError) as error:
            reason = {"reason": as_reason(error)}
            actor.note(EntryKind.LISTING_REFUSED, listing_id=self.listing_id, details=reason)
            raise
        manifest_hash = {"manifest_hash": f"0x{listed.terms.manifest_hash.hex()}"}
        actor.note(EntryKind.LISTING_VERIFIED, listing_id=self.listing_id, details=manifest_hash)
        return verified
