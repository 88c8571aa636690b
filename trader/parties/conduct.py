"""How a party behaves wherever it could cheat: honest here, replaced by the demo and the tests in order to cheat.

A conduct decides what is computed, sent and revealed, and nothing else. The protocol around it (deadlines, what is
kept before what is sent, which move is next) is the driver's, so that every cheat meets the real rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.errors import CallerError
from trader.he import ClientSession
from trader.model.manifest import NOBODY
from trader.package import check_deliverable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trader.chain.market import Market, Trade
    from trader.exchange import Label
    from trader.he import HePlan, SecurityPolicy
    from trader.model import CanonicalModel
    from trader.package import SellerPackage
    from trader.parties.goods import Goods
    from trader.trade import Event


class Conduct:
    """What both parties decide."""

    def makes(self, event: type[Event], trade: Trade, market: Market) -> bool:  # noqa: ARG002 - the honest make all
        """Return whether the party makes a move that it may make now: causes `event` in `trade`."""
        return True

    def sent_message(self, label: Label, kept: memoryview) -> bytes | memoryview:  # noqa: ARG002 - as above
        """Return the message that goes into the mailbox as `label`, given the one that was kept for it."""
        return kept


class SellerConduct(Conduct):
    """What a seller decides."""

    def listed_goods(self, goods: Goods) -> Goods:
        """Return what is listed and sold, given what was prepared."""
        return goods

    def check_owner(self, package: SellerPackage, address: str) -> None:
        """Refuse to list a package that was prepared for another account than `address`.

        Raises:
            CallerError: It was, or for none.
        """
        seller = package.manifest.seller
        if seller != address.lower():
            whose = "no account" if seller == NOBODY else f"the account {seller}"
            raise CallerError(
                f"this package was prepared for {whose}, you are {address}: no buyer would take it from you. "
                "Prepare it again with your account as --seller."
            )

    def check_deliverable(self, package: SellerPackage) -> None:
        """Refuse to lock a bond for a package that is no longer what its manifest says.

        Raises:
            DamagedPackageError: It is not: a delivery that differs from the listing by a bit is slashed.
        """
        check_deliverable(package.manifest, package.public.leaves, package.artifact, package.canonical)

    def tested_model(self, package: SellerPackage) -> CanonicalModel:
        """Return the model that answers encrypted tests."""
        return package.canonical

    def delivered_artifact(self, goods: Goods) -> bytes:
        """Return the chunks that are encrypted and delivered."""
        return goods.package.artifact

    def revealed_key(self, key: bytes) -> bytes:
        """Return the key that is revealed, given the one whose hash was proven."""
        return key


class BuyerConduct(Conduct):
    """What a buyer decides."""

    def new_session(self, plan: HePlan, policy: SecurityPolicy) -> ClientSession:
        """Return the session that makes keys and request of an encrypted test."""
        return ClientSession(plan, policy)

    def committed_outputs(self, seen: NDArray[np.int64], commit_scale_bits: int) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the outputs int64 [k, O] that are committed to, given those seen, at scale 2^`commit_scale_bits`."""
        return seen


HONEST_SELLER = SellerConduct()
HONEST_BUYER = BuyerConduct()
