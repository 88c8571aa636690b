"""The seller: lists a model, answers encrypted tests, proves, delivers, and is paid.

Methods stand in the order of the protocol. `Seller.step` looks at the chain and the mailbox and does whatever the
trade needs next, so a service is a loop around it, and a killed one goes on with the next call. What a seller will not
do: answer a request that is not what was paid for, or lock its bond for a proof that the escrow could not accept.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from contracts import ETH, Layout, Terms, Windows, layout_hash
from ledger import EntryKind, as_reason
from trader import he
from trader.chain.market import ProofOffer
from trader.delivery import ciphertext_tree, encrypt_artifact, generate_key, key_hash
from trader.errors import (
    CallerError,
    EnvironmentFaultError,
    NotYetError,
    PeerFaultError,
    RequestError,
    TooLateError,
)
from trader.exchange import Context, Incoming, Kind, MailboxFaultError, NotDeliveredError, Purpose, seal
from trader.model.manifest import NOBODY
from trader.package import DamagedPackageError, ProofBudgetError, check_deliverable, open_circuit
from trader.parties.margins import SellerPolicy
from trader.parties.messages import Order, order_limit_bytes, request_limit_bytes
from trader.parties.party import Party, Step
from trader.parties.vault import Vault
from trader.trade import Answered, Proven, Purchased, Revealed, Role, State
from zk import AuditCircuit, Proof, Srs, ceremony_srs, commitment_digest, input_commitment, prove, read_srs
from zk.binding import ColumnLayout
from zk.errors import StatementError

if TYPE_CHECKING:
    from pathlib import Path

    from trader.chain.market import Session, Trade
    from trader.model import CanonicalModel, Manifest
    from trader.package import SellerPackage
    from trader.parties.party import Equipment

ANSWERED = "response.request"
CIPHERTEXT_ROOT = "ciphertext.root"
DELIVERY_KEY = "delivery.key"
KEY_LEAVING = "key.leaving"
KEY_SENT = "key.sent"
REFUSED = "refused"
SESSION_DIGITS = 32
"""Of a session's name, in that of a trade's folder: 128 bits."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the seller asks for a model; the package's manifest says the rest.

    Attributes:
        price_wei: What the buyer pays for the model.
        bond_wei: What the seller loses if it cheats.
        windows: How long each state of a trade may last.
        proof_fee_wei: What a buyer leaves if it doesn't accept a proof: about what one costs to make. After n proofs of
            the listing that were not accepted the next one risks n + 1 times as much.
    """

    price_wei: int
    bond_wei: int
    windows: Windows
    proof_fee_wei: int = 0

    def terms(self, manifest: Manifest) -> Terms:
        """What a listing of the manifest's model promises."""
        return Terms(
            manifest_hash=manifest.manifest_hash(),
            circuit_digest=_bytes(manifest.circuit.circuit_digest),
            parameter_commitment=_bytes(manifest.parameter_commitment),
            weights_root=_bytes(manifest.weights_root),
            sums_root=_bytes(manifest.sums_root),
            layout_hash=layout_hash(_layout(manifest)),
            token=ETH,
            price_wei=self.price_wei,
            bond_wei=self.bond_wei,
            fee_wei=int(manifest.quota.fee_wei, 16),
            audit_samples=manifest.circuit.audit_samples,
            proof_fee_wei=self.proof_fee_wei,
            buyer_quota=manifest.quota.buyer_samples,
            listing_quota=manifest.quota.listing_samples,
            tolerance=int(manifest.circuit.tolerance, 16),
            windows=self.windows,
        )


class Seller(Party):
    """A seller of one model.

    Attributes:
        package: The model.
        device: Where encrypted tests are computed: the CPU, or one of PyTorch's devices, `cuda` for instance.
        policy: The time that it leaves itself before deadlines.
    """

    role = Role.SELLER
    lingers = False  # the key of another trade may be due meanwhile

    def __init__(
        self,
        package: SellerPackage,
        equipment: Equipment,
        device: str = "cpu",
        policy: SellerPolicy = SellerPolicy(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(equipment)
        self.package = package
        self.device = device
        self.policy = policy
        self._marks: set[tuple[Path, str]] = set()
        self._too_late: set[int] = set()
        self._manifest = package.manifest
        self._plan = he.parse_plan(self._manifest.plan)

    # ----------------------------------------------------------------------------------------------------- listing

    def list_model(self, offer: Offer) -> int:
        """List the model and publish its package; returns the listing's number.

        What is offered already on these terms is not listed again; other terms make a new listing.

        Raises:
            CallerError: The package is another account's, or nobody's: buyers would refuse the listing; or the windows
                are shorter than the seller's confirmations, work and margins.
            TransactionRefusedError: The market refuses the terms.
        """
        self._require_own_package()
        self.policy.check_windows(offer.windows, self.market.chain.confirmations)
        terms = offer.terms(self._manifest)
        self.publish()
        listed = self.market.find_listing(self.address, terms)
        if listed is not None:
            return listed
        self._transact("registerVka", lambda: self.market.register_vka(self.account, self.circuit.vka))
        receipt = self._transact("list", lambda: self.market.list(self.account, terms))
        return int(receipt.events[0].arguments["listingId"])

    def publish(self) -> None:
        """See to it that the package lies in the mailbox, whole; if that fails, the next step tries again.

        Trades under way don't need it, so that a full disk, or a stranger's file that can't be replaced, stops none.
        """
        label = self._label(Kind.PACKAGE, self._manifest.manifest_hash())
        if not self.mailbox.needs_delivery(label):
            return
        try:
            self.mailbox.put(label, self.package.public.to_bytes(), self.account)
        except MailboxFaultError as error:
            self._remark(EntryKind.MESSAGE_SKIPPED, error, None)

    def _require_own_package(self) -> None:
        seller = self._manifest.seller
        if seller != self.address.lower():
            whose = "no account" if seller == NOBODY else f"the account {seller}"
            raise CallerError(
                f"this package was prepared for {whose}, you are {self.address}: no buyer would take it from you. "
                "Prepare it again with your account as --seller."
            )

    # ------------------------------------------------------------------------------------------------------- trade

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
            return self.withdraw() > 0
        if self.market.moved_on(trade):
            return False
        if trade.position.overdue(self.market.chain.time().confirmed):
            return self.end_overdue(trade)
        try:
            return self._advance(trade)
        except NotDeliveredError as error:
            self._wait(error, trade_id)
            return False
        except NotYetError as error:
            self._remark(None, error, trade_id)
            return False
        except TooLateError as error:
            self._say_once(trade_id, error)
            return False
        except (PeerFaultError, he.WireError, ProofBudgetError) as error:
            self._refuse(trade, error)
            return False

    def _advance(self, trade: Trade) -> bool:
        if self.vault(trade.trade_id).has(REFUSED):
            return False
        match trade.position.state:
            case State.TESTING:
                self.answer(trade.trade_id)
            case State.PURCHASED:
                self.prove(trade.trade_id)
            case State.ACCEPTED:
                self.reveal(trade.trade_id)
            case State.ANSWERED:
                return self._send_response(trade.trade_id)
            case State.PROVEN:
                return self._offer_delivery(trade.trade_id)
            case _:
                return False
        return True

    def answer(self, trade_id: int) -> None:
        """Evaluate the encrypted test and answer it; the fee is earned. Checks before it parses.

        Raises:
            IllegalMoveError: The trade is not waiting for an answer.
            NotDeliveredError: The request has not arrived; what lies there is another's, or another one.
            NotYetError: The quota has too few answers left at present.
            RequestError, WireError: The request that was paid for is malformed.
        """
        trade = self._require_legal(Answered, trade_id)
        self._check_quota(trade)
        session = self.market.session(trade_id)
        digest = he.digest(self._response(trade, session))
        self.mailbox.reserve(self._label(Kind.RESPONSE, digest, trade_id))
        self._transact("respond", lambda: self.market.respond(self.account, trade_id, session.digest, digest))
        self._send_response(trade_id)

    def _response(self, trade: Trade, session: Session) -> memoryview:
        """The response to a session's request, made once: what was answered may be mined long after it was sent."""
        vault = self.vault(trade.trade_id)
        if vault.has(ANSWERED) and vault.read(ANSWERED) == session.digest:
            return vault.map(Kind.RESPONSE.value)
        request = self._receive_request(trade, session.request_digest)
        with vault.staged(Kind.RESPONSE.value) as path, self._working("evaluate"):
            response = he.evaluate(
                self._plan,
                self._tested_model(),
                request,
                trade.samples,
                lambda done, total: self._progress("evaluate", done, total),
                path,
                device=self.device,
                context=self._request_context(trade.listing_id, trade.buyer),
            )
        vault.write(ANSWERED, session.digest)
        vault.forget(Kind.REQUEST.value)
        return response

    def end_overdue(self, trade: Trade) -> bool:
        """As any party, but not for sessions that were never answered: a seller has nothing in them, strangers many."""
        return trade.position.state is not State.TESTING and super().end_overdue(trade)

    def prove(self, trade_id: int) -> None:
        """Prove the buyer's audit samples, lock the bond, and deliver the encrypted model.

        Raises:
            IllegalMoveError: The trade is not waiting for a proof.
            NotDeliveredError: The audit samples have not arrived; what lies there is another's, or not what the buyer
                committed to.
            NotYetError: The buyer leaves less for a proof that it doesn't accept than is due by now; nothing is sent.
            ProofBudgetError: One more proof would say something about the parameters; nothing is sent.
            DamagedPackageError: The package is no longer what is listed; nothing is sent.
            TooLateError: Too little time is left for the proof to be mined; nothing is sent.
        """
        trade = self._require_legal(Proven, trade_id)
        self._require_spare_time(trade)
        self._require_proof_fee(trade)
        self._require_listed_package(trade)
        purchase = self.market.event(trade_id, Purchased)
        order = self._receive_order(trade, purchase)
        self.package.budget.count(self._proven_statements())
        with self._working("prove"):
            proof = self.package.budget.publish(
                self._statement(trade_id, purchase.input_commitment), lambda: self._prove(trade_id, order)
            )
        key = self._delivery_key(trade_id)
        ciphertext = encrypt_artifact(self._delivered_artifact(), key)
        root = ciphertext_tree(ciphertext).root
        vault = self.vault(trade_id)
        vault.write(CIPHERTEXT_ROOT, root)
        vault.write(Kind.MODEL.value, seal(order.reply_key, ciphertext, self._context(trade_id, Purpose.MODEL)))
        self.mailbox.reserve(self._label(Kind.MODEL, root, trade_id))
        self._note(
            EntryKind.PROOF_MADE,
            trade_id=trade_id,
            details={"bytes": len(proof.data), "samples": self.circuit.audit_samples},
        )
        answer = self.market.answer(trade_id)
        offer = ProofOffer(proof, self.circuit, self.layout, answer, purchase.outputs_digest, root, key_hash(key))
        bond_wei = self.market.listing(trade.listing_id).terms.bond_wei
        self._require_spare_time(trade)  # proving took its time
        self._transact("prove", lambda: self.market.prove(self.account, trade_id, offer, bond_wei))
        self._offer_delivery(trade_id)

    def reveal(self, trade_id: int) -> None:
        """Publish the key of the delivered model.

        Raises:
            IllegalMoveError: The buyer has not accepted, or the deadline has passed.
            TooLateError: Too little time is left for the key to be mined; it stays here.
        """
        trade = self._require_legal(Revealed, trade_id)
        self._require_time_for_key(trade)
        root, key = self.market.event(trade_id, Proven).ciphertext_root, self._revealed_key(trade_id)
        self._transact(
            "reveal",
            lambda: self.market.reveal(
                self.account,
                trade_id,
                root,
                key,
                before_sending=lambda signed: self._let_go(trade, signed),
                once_sent=lambda: self._remember(trade_id, KEY_SENT),
                goes_public=lambda: self._goes_public(trade),
                earlier=self._leaving_key(trade_id),
            ),
        )

    def _let_go(self, trade: Trade, signed: bytes) -> None:
        """Just before the key leaves: time has passed since it was decided, and a killed process must know of it."""
        self._require_time_for_key(trade)
        self._remember(trade.trade_id, KEY_LEAVING, signed)

    def _leaving_key(self, trade_id: int) -> bytes:
        """The newest transaction with the key that may have left; empty if there is none."""
        vault = self.vault(trade_id)
        return vault.read(KEY_LEAVING) if vault.has(KEY_LEAVING) else b""

    def _require_time_for_key(self, trade: Trade) -> None:
        """The later the key, the likelier it is public without being paid for; unless it is public already.

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
        confirmations = self.market.chain.confirmations
        leaving = self._remembers(trade.trade_id, KEY_LEAVING)
        self._require_left(
            trade, self.policy.least_margin(confirmations) if leaving else self.policy.margin(confirmations)
        )

    def _goes_public(self, trade: Trade) -> bool:
        """Whether the public node is given the key as well, which only the relay has, and has not had mined.

        Some blocks before the margin begins: that is time enough for whatever is public, and without the key the price
        is lost. Not in the last blocks: a relay that keeps the key for itself then costs the price alone.
        """
        left = self._seconds_left(trade)
        policy, confirmations = self.policy, self.market.chain.confirmations
        return policy.least_margin(confirmations) < left <= policy.public_margin(confirmations)

    def _require_spare_time(self, trade: Trade) -> None:
        """Before what would be given away by a transaction that fails.

        Raises:
            TooLateError: There is too little time.
        """
        self._require_left(trade, self.policy.margin(self.market.chain.confirmations))

    def _require_left(self, trade: Trade, margin: int) -> None:
        left = self._seconds_left(trade)
        if left <= margin:
            raise TooLateError(
                f"{left} seconds are left for trade {trade.trade_id}, your margin is {margin}: a secret that is not "
                "mined in time is given away. Nothing is sent; the deadline returns what was locked but a proof fee."
            )

    def _seconds_left(self, trade: Trade) -> int:
        return trade.position.deadline_seconds - self.market.chain.time().latest

    def _remembers(self, trade_id: int, mark: str) -> bool:
        vault = self.vault(trade_id)
        return (vault.folder, mark) in self._marks or vault.has(mark)

    def _remember(self, trade_id: int, mark: str, content: bytes = b"") -> None:
        """In memory as well: a full disk must not hold back a key that is due."""
        vault = self.vault(trade_id)
        self._marks.add((vault.folder, mark))
        with suppress(EnvironmentFaultError):
            vault.write(mark, content)

    def _say_once(self, trade_id: int, error: TooLateError) -> None:
        if trade_id not in self._too_late:
            self._too_late.add(trade_id)
            self._observe(Step(self.role, "TooLate", 0.0, remark=str(error)))

    # ------------------------------------------------------------------------------- what an honest seller works with

    def _tested_model(self) -> CanonicalModel:
        """The model that answers encrypted tests."""
        return self.package.canonical

    def _delivered_artifact(self) -> bytes:
        """The chunks that are encrypted and delivered."""
        return self.package.artifact

    def _revealed_key(self, trade_id: int) -> bytes:
        """The key that is revealed."""
        return self.vault(trade_id).read(DELIVERY_KEY)

    # ------------------------------------------------------------------------------------------------------- inside

    def vault(self, trade_id: int) -> Vault:
        """The secrets of one trade.

        Apart for each market, and for each session that a number was given to: after a reorganisation it may be
        another one's, and a delivery key that the first has seen must never encrypt for the second.
        """
        session = self.market.session(trade_id).digest.hex()
        return Vault(self.folder / self._place / f"trade-{trade_id}-{session[:SESSION_DIGITS]}")

    @cached_property
    def srs(self) -> Srs:
        """The structured reference string of the package."""
        if not self.package.public.development_srs:
            return ceremony_srs(self._manifest.circuit.srs.logrows)
        vault = Vault(self.folder)
        vault.write("development.srs", self.package.public.development_srs)
        return read_srs(vault.folder / "development.srs", development=True)

    @cached_property
    def circuit(self) -> AuditCircuit:
        """The audit circuit, rebuilt (or found in the cache) once."""
        return open_circuit(self.package.public, self.srs)

    @property
    def layout(self) -> Layout:
        """The layout whose hash is listed."""
        return _layout(self._manifest)

    @property
    def columns(self) -> ColumnLayout:
        """How the parameters are cut into columns, and these into chunks."""
        return ColumnLayout(self.layout.logrows, self.layout.column_lengths)

    def _check_quota(self, trade: Trade) -> None:
        """Whether the answers are still there: sessions that wait reserve none, and others may have been faster.

        Raises:
            NotYetError: They are not; those of an audit come back if its trade expires before it is proven.
        """
        wanted = trade.samples + self._manifest.circuit.audit_samples
        left = self.market.answers_left(trade.listing_id, trade.buyer)
        if wanted > left:
            raise NotYetError(
                f"trade {trade.trade_id} takes {wanted} answers of the quota, {left} are left: waiting for trades that "
                "end without a proof, until its deadline, when its fee goes back"
            )

    def _context(self, trade_id: int, purpose: Purpose) -> Context:
        """What an envelope of a trade is bound to."""
        return self._envelope_context(self._manifest.manifest_hash(), trade_id, purpose)

    def _receive_request(self, trade: Trade, digest: bytes) -> memoryview:
        """The request in a file of the seller's own: its sender could change the one in the mailbox at any time."""
        limit_bytes = request_limit_bytes(self._plan, trade.samples)
        path = self.vault(trade.trade_id).path(Kind.REQUEST.value)

        def copy(message: Incoming) -> memoryview:
            try:
                request = he.fetch_container(message.file, path, limit_bytes)
            except OSError as error:
                raise EnvironmentFaultError(f"the request can't be copied to {path}: {error.strerror}") from error
            if he.digest(request) != digest:
                raise RequestError(f"its digest is 0x{he.digest(request).hex()}, paid for was 0x{digest.hex()}")
            return request

        request = self.mailbox.take(self._label(Kind.REQUEST, digest), trade.buyer, limit_bytes, copy)
        self._note(EntryKind.REQUEST_RECEIVED, trade_id=trade.trade_id, details={"bytes": len(request)})
        return request

    def _receive_order(self, trade: Trade, purchase: Purchased) -> Order:
        """The buyer's audit samples, once they are those of its input commitment."""
        label = self._label(Kind.AUDIT_INPUTS, purchase.input_commitment, trade.trade_id)
        limit_bytes = order_limit_bytes(self.circuit)
        order = self.mailbox.take(
            label, trade.buyer, limit_bytes, lambda message: self._open_order(message.read(), trade, purchase)
        )
        self._note(
            EntryKind.AUDIT_INPUTS_RECEIVED, trade_id=trade.trade_id, details={"samples": len(order.inputs.samples)}
        )
        return order

    def _open_order(self, sealed: bytes, trade: Trade, purchase: Purchased) -> Order:
        """What the buyer has sealed, if it is what it has committed to.

        Raises:
            EnvelopeError, MessageError, RequestError: It is not, or no model can be sealed to its reply key.
        """
        context = self._context(trade.trade_id, Purpose.AUDIT_INPUTS)
        order = Order.decode(self.package.encryption_key.open(sealed, context), self.circuit)
        try:
            points = input_commitment(self.circuit, order.inputs.samples, order.inputs.salt, self.srs)
        except StatementError as error:
            raise RequestError(f"the audit samples of trade {trade.trade_id} don't fit the circuit: {error}") from error
        if commitment_digest(points) != purchase.input_commitment:
            raise RequestError(
                f"the audit samples of trade {trade.trade_id} are not those that the buyer committed to: "
                f"0x{commitment_digest(points).hex()}, committed was 0x{purchase.input_commitment.hex()}"
            )
        seal(order.reply_key, b"", context)  # before a proof is made: the chain does not vouch for this key
        return order

    def _require_proof_fee(self, trade: Trade) -> None:
        """Others that have not accepted their proofs make the next one dearer, and the market wants it covered.

        Raises:
            NotYetError: The buyer has not agreed to so much; proofs that are accepted make it less again.
        """
        due_wei = self.market.proof_fee(trade.listing_id)
        if due_wei > trade.stake_wei:
            raise NotYetError(
                f"the buyer of trade {trade.trade_id} leaves {trade.stake_wei} wei for a proof that it doesn't accept, "
                f"{due_wei} are due while so many proofs wait to be accepted or were not: not proven for now. If that "
                "doesn't change, the deadline returns the price."
            )

    def _require_listed_package(self, trade: Trade) -> None:
        """An honest delivery that differs from the listing by a bit is slashed like any other."""
        terms, manifest = self.market.listing(trade.listing_id).terms, self._manifest
        if terms.manifest_hash != manifest.manifest_hash():
            raise DamagedPackageError(
                f"trade {trade.trade_id} is of a listing whose manifest is 0x{terms.manifest_hash.hex()}, this package "
                f"has 0x{manifest.manifest_hash().hex()}. Serve it with the package that was listed."
            )
        check_deliverable(manifest, self.package.public.leaves, self.package.artifact, self.package.canonical)

    def _proven_statements(self) -> list[bytes]:
        """Of every proof of this manifest that stands in this market, whatever the package remembers."""
        proven = self.market.find_proven(self.address, self._manifest.manifest_hash())
        return [self._statement(trade_id, commitment) for trade_id, commitment in proven.items()]

    def _statement(self, trade_id: int, input_commitment: bytes) -> bytes:
        """Digest of what a trade's proof depends on; names the trade in which it is used."""
        context = self.market.proof_context(trade_id)
        return keccak(self._manifest.manifest_hash() + context + input_commitment)

    def _prove(self, trade_id: int, order: Order) -> Proof:
        return prove(
            self.circuit,
            order.inputs.samples,
            order.inputs.salt,
            self.package.canonical.tensors,
            self.srs,
            context=self.market.proof_context(trade_id),
        )

    def _delivery_key(self, trade_id: int) -> bytes:
        """The trade's delivery key, made and kept once: a repeated `prove` delivers the same ciphertext."""
        vault = self.vault(trade_id)
        if not vault.has(DELIVERY_KEY):
            vault.write(DELIVERY_KEY, generate_key())
        return vault.read(DELIVERY_KEY)

    def _send_response(self, trade_id: int) -> bool:
        vault = self.vault(trade_id)
        label = self._label(Kind.RESPONSE, he.digest(vault.map(Kind.RESPONSE.value)), trade_id)
        return self._deliver(label, vault, EntryKind.RESPONSE_SENT, trade_id)

    def _offer_delivery(self, trade_id: int) -> bool:
        vault = self.vault(trade_id)
        label = self._label(Kind.MODEL, vault.read(CIPHERTEXT_ROOT), trade_id)
        return self._deliver(label, vault, EntryKind.DELIVERY_OFFERED, trade_id)

    def _refuse(self, trade: Trade, error: Exception) -> None:
        """Remember not to go on with this trade: its deadlines return what was locked.

        Only for what the counterparty has signed and the chain has committed it to: nothing can mend that.
        """
        self._note(EntryKind.REQUEST_REFUSED, trade_id=trade.trade_id, details={"reason": as_reason(error)})
        self.vault(trade.trade_id).write(REFUSED, str(error).encode())
        self._observe(Step(self.role, EntryKind.REQUEST_REFUSED.value, 0.0))


def _layout(manifest: Manifest) -> Layout:
    """The manifest's layout as the contract takes it: the fields are the same."""
    return Layout(**manifest.circuit.layout.model_dump())


def _bytes(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.removeprefix("0x"))
