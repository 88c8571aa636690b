"""The seller: lists a model, answers encrypted tests, proves, delivers, and is paid.

`Seller.step` looks at the chain and the mailbox and does whatever the trade needs next, so a service is a loop around
it, and a killed one goes on with the next call. What a seller will not do: answer a request that is not what was paid
for, or lock its bond for a proof that the escrow could not accept. How each move is made stands in modules of their
own: `answering`, `proving`, `key_release`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger import EntryKind, as_reason
from trader.errors import NotYetError, PeerFaultError, TooLateError
from trader.exchange import Kind, MailboxFaultError, NotDeliveredError
from trader.he import WireError
from trader.package import ProofBudgetError
from trader.parties.actor import Step
from trader.parties.answering import Answering
from trader.parties.conduct import HONEST_SELLER
from trader.parties.engine import HERE
from trader.parties.filenames import REFUSED
from trader.parties.goods import Goods
from trader.parties.key_release import KeyRelease
from trader.parties.margins import SellerPolicy
from trader.parties.party import Party
from trader.parties.proving import Proving
from trader.trade import TIMEOUTS, Answered, Expired, Proven, Revealed, Role, Settled, State

if TYPE_CHECKING:
    from trader.chain.market import Trade
    from trader.package import SellerPackage
    from trader.parties.actor import Equipment
    from trader.parties.conduct import SellerConduct
    from trader.parties.engine import Engine
    from trader.parties.offer import Offer
    from trader.parties.vault import Vault
    from trader.trade import Event

SESSION_DIGITS = 32
"""Of a session's name, in that of a trade's folder: 128 bits."""


class Seller(Party):
    """A seller of one model.

    Attributes:
        goods: What it sells.
        policy: The time that it leaves itself before deadlines.
        proving: How it proves.
        key_release: How it lets keys go.
    """

    role = Role.SELLER
    lingers = False  # the key of another trade may be due meanwhile, or another buyer waits

    def __init__(
        self,
        package: SellerPackage,
        equipment: Equipment,
        device: str = "cpu",
        policy: SellerPolicy = SellerPolicy(),  # noqa: B008 - frozen
        conduct: SellerConduct = HONEST_SELLER,
        engine: Engine = HERE,
    ) -> None:
        """Take the folder, and get everything ready.

        Args:
            package: The model.
            equipment: Account, market, mailbox, log, folder.
            device: Where encrypted tests are computed: the CPU, or one of PyTorch's devices, `cuda` for instance.
            policy: The time that it leaves itself before deadlines.
            conduct: How it behaves where it could cheat.
            engine: Evaluates and proves.

        Raises:
            PartyFolderError: Another process works in the folder, or it belongs to another account.
            EnvironmentFaultError: The folder can't be written.
        """
        super().__init__(equipment, conduct)
        self.policy = policy
        self.goods = conduct.listed_goods(Goods(package, self.folder))
        self.key_release = KeyRelease(self.actor, policy, conduct, self.vault)
        self.proving = Proving(self.actor, self.goods, conduct, self.vault, self.key_release.require_spare_time, engine)
        self._answering = Answering(self.actor, self.goods, conduct, self.vault, device, engine)
        self._check_owner = conduct.check_owner
        self._too_late: set[int] = set()
        self._tokens: dict[int, str] = {}
        self.moves = {
            Answered: self.answer,
            Proven: self.prove,
            Revealed: self.reveal,
            Expired: self.expire,
            Settled: self.settle,
        }
        self.messages = {Answered: self._answering.send_response, Proven: self.proving.send_model}

    @property
    def package(self) -> SellerPackage:
        """The model."""
        return self.goods.package

    # ----------------------------------------------------------------------------------------------------- listing

    def list_model(self, offer: Offer) -> int:
        """List the model and publish its package; return the listing's number.

        What is offered already on these terms is not listed again; other terms make a new listing.

        Raises:
            CallerError: The package is another account's, or nobody's: buyers would refuse the listing; or the windows
                are shorter than the seller's confirmations, work and margins.
            TransactionRefusedError: The market refuses the terms.
        """
        self._check_owner(self.package, self.address)
        self.policy.check_windows(offer.windows, self.market.chain.confirmations)
        terms = offer.terms(self.goods.manifest)
        self.publish()
        listed = self.market.find_listing(self.address, terms)
        if listed is not None:
            return listed
        self.actor.transact("registerVka", lambda: self.market.register_vka(self.account, self.goods.circuit.vka))
        receipt = self.actor.transact("list", lambda: self.market.list(self.account, terms))
        return int(receipt.events[0].arguments["listingId"])

    def publish(self) -> None:
        """See to it that the package lies in the mailbox, whole; if that fails, the next step tries again.

        Trades under way don't need it, so that a full disk, or a stranger's file that can't be replaced, stops none.
        """
        label = self.actor.label(Kind.PACKAGE, self.goods.manifest.manifest_hash())
        if not self.mailbox.needs_delivery(label):
            return
        try:
            self.mailbox.put(label, self.package.public.to_bytes(), self.account)
        except MailboxFaultError as error:
            self.actor.remark(EntryKind.MESSAGE_SKIPPED, error, None)

    # ------------------------------------------------------------------------------------------------------- moves

    def answer(self, trade_id: int) -> None:
        """Evaluate the encrypted test and answer it (`Answering.answer`)."""
        self._answering.answer(trade_id)

    def prove(self, trade_id: int) -> None:
        """Prove the buyer's audit samples, and deliver the encrypted model (`Proving.prove`)."""
        self.proving.prove(trade_id)

    def reveal(self, trade_id: int) -> None:
        """Publish the key of the delivered model (`KeyRelease.reveal`), once the buyer has accepted it.

        Raises:
            NotDeliveredError: It has neither signed nor accepted by a transaction; what it waits for lies there.
        """
        try:
            self.key_release.take_acceptance(trade_id)
        except NotDeliveredError:
            if self.proving.send_model(trade_id):
                return
            raise
        self.proving.restore_key(trade_id)
        self.key_release.reveal(trade_id)

    def currencies(self) -> tuple[str, ...]:
        """Return what the model is, or was, sold for: ether, and the tokens of its listings."""
        for listing_id in self.market.find_listings(self.address, self.goods.manifest.manifest_hash()):
            if listing_id not in self._tokens:
                self._tokens[listing_id] = self.market.listing(listing_id).terms.token
        return tuple(dict.fromkeys((*super().currencies(), *self._tokens.values())))

    # -------------------------------------------------------------------------------------------------------- step

    def step(self, trade_id: int) -> bool:
        """Do what the trade needs next from the seller.

        Returns:
            Whether there was something to do; False while the other side is on move, a message has not arrived, or the
            seller has refused, or it is too late for a secret to leave.

        Raises:
            EnvironmentFaultError, WorkerError, LedgerError: Node, disk or memory failed; call again.
        """
        self.publish()
        self.catch_up()
        trade = self.market.trade(trade_id)
        if trade.position.final:
            return bool(self.withdraw())
        if self.market.moved_on(trade):
            return False
        try:
            return self._advance(trade)
        except NotDeliveredError as error:
            self.actor.wait(error, trade_id)
        except NotYetError as error:
            self.actor.remark(None, error, trade_id)
        except TooLateError as error:
            self._say_once(trade_id, error)
        except (PeerFaultError, WireError, ProofBudgetError) as error:
            self._refuse(trade, error)
        return False

    def _goes_on(self, move: type[Event], trade: Trade) -> bool:
        """Go on with trades that it has not refused; leave sessions that were never answered to others to end.

        A seller has nothing in those, and strangers have many.
        """
        if move in TIMEOUTS:
            return trade.position.state is not State.TESTING
        return not self.vault(trade.trade_id).has(REFUSED)

    def _refuse(self, trade: Trade, error: Exception) -> None:
        """Remember not to go on with this trade: its deadlines return what was locked.

        Only for what the counterparty has signed and the chain has committed it to: nothing can mend that.
        """
        self.actor.note(EntryKind.REQUEST_REFUSED, trade_id=trade.trade_id, details={"reason": as_reason(error)})
        self.vault(trade.trade_id).write(REFUSED, str(error).encode())
        self.actor.observe(Step(self.role, EntryKind.REQUEST_REFUSED.value, 0.0))

    def _say_once(self, trade_id: int, error: TooLateError) -> None:
        if trade_id not in self._too_late:
            self._too_late.add(trade_id)
            self.actor.observe(Step(self.role, "TooLate", 0.0, remark=str(error)))

    def vault(self, trade_id: int) -> Vault:
        """Return the secrets of one trade.

        Apart for each market, and for each session that a number was given to: after a reorganisation it may be
        another one's, and a delivery key that the first has seen must never encrypt for the second.
        """
        session = self.market.session(trade_id).digest.hex()
        return self.actor.vault.inner(self.actor.market.place, f"trade-{trade_id}-{session[:SESSION_DIGITS]}")
