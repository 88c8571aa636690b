"""The buyer: checks a listing, tests the model on encrypted data, pays for it, and checks what it gets.

One buyer object makes one purchase and keeps what it needs in its folder. `Buyer.step` looks at the chain and the
mailbox and does whatever the trade needs next; a killed process goes on with the next call of a buyer with the same
folder. What a buyer will not do: send anything before the listing passed every check of `trader.verify.listing`, show
raw decryptions to anybody, pay for answers or accept a proof that fail those of `trader.verify.answers`, or confirm
what it has not checked. How each move is made stands in modules of their own: `listing_check`, `testing`, `purchasing`,
`receiving`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.errors import CallerError, NotYetError, PartyFolderError
from trader.exchange import NotDeliveredError
from trader.parties.conduct import HONEST_BUYER
from trader.parties.entitlement import Entitlement
from trader.parties.filenames import DECLINED, LISTING, OUTPUTS, PURCHASE
from trader.parties.listing_check import ListingCheck
from trader.parties.party import Party
from trader.parties.purchasing import Purchasing
from trader.parties.receiving import Receiving
from trader.parties.testing import EncryptedTesting
from trader.trade import (
    Accepted,
    Confirmed,
    Expired,
    Purchased,
    Revealed,
    Role,
    SessionOpened,
    Settled,
    State,
)
from zk import ceremony_srs

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from trader.chain.market import Trade
    from trader.model import CanonicalModel
    from trader.parties.actor import Equipment
    from trader.parties.conduct import BuyerConduct
    from trader.parties.testing import TestResult
    from trader.trade import Event
    from trader.verify import BuyerPolicy, Comparison, VerifiedListing
    from zk import SrsProvider


class Buyer(Party):
    """A buyer of one model.

    Attributes:
        vault: Its folder, for secrets.
        decide: Whether to buy, given the test's result; may be set until the test is read.
        entitlement: What it shows to the listing's policy: offers, admissions.
        testing: Its encrypted test.
        purchasing: Its payment, and what it has committed to.
        receiving: Its delivery.
    """

    role = Role.BUYER

    def __init__(
        self,
        listing_id: int,
        policy: BuyerPolicy,
        equipment: Equipment,
        *,
        decide: Callable[[TestResult], bool] = lambda _: True,
        labels: NDArray[np.generic] | None = None,
        srs: SrsProvider = ceremony_srs,
        verified: VerifiedListing | None = None,
        conduct: BuyerConduct = HONEST_BUYER,
    ) -> None:
        """Go to a listing.

        Args:
            listing_id: Its number in the market.
            policy: What is asked of it and of its answers.
            equipment: Account, market, mailbox, log, folder.
            decide: Whether to buy, given the test's result.
            labels: True labels of the test set, [n]: say whether classes or values are bought, and how many of the
                audit samples are right as proven. They never leave.
            srs: Gives the ceremony's reference string for listings that name one.
            verified: The listing, where this process has verified it already: `verify_listing` of another buyer.
            conduct: How it behaves where it could cheat.

        Raises:
            PartyFolderError: The folder holds the purchase of another listing.
        """
        super().__init__(equipment, conduct)
        self.decide = decide
        self.vault = self.actor.vault
        self.entitlement = Entitlement(listing_id, self.actor, self.vault)
        self._listing = ListingCheck(listing_id, self.actor, policy, self.vault, srs, self.entitlement, verified)
        own = self.actor, self._listing, policy, conduct, self.vault
        self.testing = EncryptedTesting(*own, self.entitlement, labels)
        self.purchasing = Purchasing(*own, self.testing, self.entitlement)
        self.receiving = Receiving(self.actor, self._listing, policy, self.vault, self.purchasing)
        self.moves = {
            Purchased: self.purchasing.purchase,
            Accepted: self.receiving.ask_for_key,
            Confirmed: self.receiving.check_and_confirm,  # or `Slashed`, where the model is not right
            Expired: self.expire,
            Settled: self.settle,
        }
        self.messages = {SessionOpened: self.testing.send_request, Purchased: self.purchasing.send_order}
        name = self.testing.purchase_name
        if self.vault.has(LISTING) and self.vault.read(LISTING) != name:
            raise PartyFolderError(
                f"{self.folder} belongs to the purchase {self.vault.read(LISTING).decode(errors='replace')}, this is "
                f"{name.decode()}. Name another folder."
            )

    @property
    def labels(self) -> NDArray[np.generic] | None:
        """True labels of the test set, [n], if it has them; may be set until the test is read."""
        return self.testing.labels

    @labels.setter
    def labels(self, labels: NDArray[np.generic] | None) -> None:
        """Set them."""
        self.testing.labels = labels

    # ------------------------------------------------------------------------------------------------------- moves

    def verify_listing(self) -> VerifiedListing:
        """Fetch the listing and run every check; each process does it once (`ListingCheck.verify`)."""
        return self._listing.verify()

    def open_session(self, samples: NDArray[np.generic]) -> int:
        """Encrypt a test set, pay the fee and send the request (`EncryptedTesting.open_session`)."""
        return self.testing.open_session(samples)

    def find_trade(self) -> int:
        """Look up the trade's number on the chain.

        Raises:
            CallerError: No session was opened.
        """
        _, trade_id = self.testing.require_session()
        return trade_id

    def read_test(self) -> TestResult:
        """Decrypt the seller's answer, unless it was (`EncryptedTesting.read`)."""
        return self.testing.read()

    def purchase(self) -> None:
        """Lock the price and commit to the audit samples (`Purchasing.purchase`)."""
        self.purchasing.purchase(self.find_trade())

    def compare_proven(self) -> Comparison:
        """Compare the proven outputs of the audit samples with those seen (`Purchasing.compare_proven`)."""
        return self.purchasing.compare_proven(self.find_trade())

    def accept(self) -> None:
        """Check proof and encrypted model, and accept by a transaction (`Receiving.accept`)."""
        self.receiving.accept(self.find_trade())

    def check_and_confirm(self) -> bool:
        """Check the model; confirm it, or win the dispute (`Receiving.check_and_confirm`)."""
        return self.receiving.check_and_confirm(self.find_trade())

    def waits_until(self) -> int:
        """Return the Unix time at which a trade that nobody moves goes on: the buyer's patience, or the deadline."""
        trade, now = self.market.trade(self.find_trade()), self.market.chain.time()
        if trade.position.state is State.PROVEN and now.latest < (accepts_at := self.receiving.accepts_at(trade)):
            return accepts_at
        return trade.position.deadline_seconds

    def currencies(self) -> tuple[str, ...]:
        """Return what is paid in: ether, and the listing's token."""
        token = self.market.listing(self._listing.listing_id).terms.token
        return tuple(dict.fromkeys((*super().currencies(), token)))

    # -------------------------------------------------------------------------------------------------------- step

    def step(self, samples: NDArray[np.generic] | None = None) -> bool:
        """Do what the trade needs next from the buyer.

        Args:
            samples: The test set; needed until the session is opened.

        Returns:
            Whether there was something to do; False while the other side is on move or a message has not arrived, and
            after the buyer declined to buy.

        Raises:
            ListingError, PolicyError: The listing is not good, or its tolerance too large for what the test showed.
            PeerFaultError, HeError, DeliveryError: The seller's answer or delivery is not good; don't go on. The
                deadlines return what was locked.
            PartyFolderError: The request is lost, and the mailbox does not have it either.
            EnvironmentFaultError, WorkerError, LedgerError: Node, disk or memory failed; call again.
        """
        self.catch_up()
        session = self.testing.find_session()
        trade_id = None if session is None else session[1]
        try:
            return self._begin(samples) if trade_id is None else self._go_to(self.market.trade(trade_id))
        except NotDeliveredError as error:
            self.actor.wait(error, trade_id)
            return trade_id is not None and self._send_order_again(trade_id)
        except NotYetError as error:
            self.actor.remark(None, error, trade_id)
        return False

    def _send_order_again(self, trade_id: int) -> bool:
        """See to it that the seller has the order of a model that hasn't arrived: its folder may have been restored."""
        proven = self.market.trade(trade_id).position.state is State.PROVEN
        return proven and self.vault.has(PURCHASE) and self.purchasing.send_order(trade_id)

    def _begin(self, samples: NDArray[np.generic] | None) -> bool:
        if samples is None:
            raise CallerError("no session was opened yet: give a test set")
        self.open_session(samples)
        return True

    def _go_to(self, trade: Trade) -> bool:
        if trade.position.final:
            return self._take_what_is_ours(trade)
        return not self.market.moved_on(trade) and self._advance(trade)

    def _take_what_is_ours(self, trade: Trade) -> bool:
        """Take out what is owed after the end, and the model if it was paid for while the buyer was away."""
        withdrawn = bool(self.withdraw())
        if trade.position.state is not State.SETTLED or self.has_model():
            return withdrawn
        self.receiving.open_delivery(trade.trade_id, self.market.event(trade.trade_id, Revealed).key)
        return True

    def _goes_on(self, move: type[Event], trade: Trade) -> bool:
        """Decide whether to purchase, once: the decision is kept. Go on with all other moves."""
        if move is not Purchased or trade.position.state is not State.ANSWERED:
            return True
        if self.vault.has(DECLINED):
            return False
        if self.purchasing.is_agreed():
            return True
        proposed = self.purchasing.propose()
        if self.decide(self.read_test()):
            self.purchasing.agree(proposed)
            return True
        self.vault.write(DECLINED, b"")
        return False

    # ------------------------------------------------------------------------------------------------------ outcome

    def is_over(self) -> bool:
        """Return whether the trade has ended and a model that was paid for is here, or the buyer has declined it."""
        if self.vault.has(DECLINED):
            return True
        session = self.testing.find_session()
        if session is None:
            return False
        position = self.market.trade(session[1]).position
        return position.final and (self.has_model() or position.state is not State.SETTLED)

    def was_answered(self) -> bool:
        """Return whether the encrypted test was answered and decrypted."""
        return self.vault.has(OUTPUTS)

    def read_refusal(self) -> str | None:
        """Read why the buyer refused the test or the proof (`Purchasing.read_refusal`)."""
        return self.purchasing.read_refusal()

    def has_model(self) -> bool:
        """Return whether a model was delivered and passed every check."""
        return self.receiving.has_model()

    def delivered_model(self) -> CanonicalModel:
        """Read the bought model, once it was checked (`Receiving.delivered_model`)."""
        return self.receiving.delivered_model()

    def delivered_onnx(self) -> bytes:
        """Return the bought model as an ordinary ONNX file (`Receiving.delivered_onnx`)."""
        return self.receiving.delivered_onnx()
