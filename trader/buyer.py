"""The buyer: checks a listing, tests the model on encrypted data, pays for it, and checks what it gets.

Methods stand in the order of the protocol. One buyer object makes one purchase and keeps what it needs in its folder.
:meth:`Buyer.step` looks at the chain and the mailbox and does whatever the trade needs next; a killed process goes on
with the next call of a buyer with the same folder. What a buyer will not do: send anything before the listing passed
every check of :mod:`trader.verify.listing`, show raw decryptions to anybody, pay for answers or accept a proof that
fail those of :mod:`trader.verify.answers`, or confirm what it has not checked.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ledger import EntryKind, as_reason
from trader import he
from trader.delivery import (
    AuditInputs,
    Context,
    DeliveryFaultError,
    EncryptionKey,
    Kind,
    NotDeliveredError,
    Purpose,
    listing_channel,
    seal,
    trade_channel,
    verify_ciphertext,
)
from trader.errors import (
    AnswerError,
    CallerError,
    ListingError,
    PartyFolderError,
    PolicyError,
    TransactionRefusedError,
)
from trader.messages import MAX_PACKAGE_BYTES, Order, delivery_bytes, response_limit_bytes
from trader.model import CanonicalModel, plain_model_bytes, quantise_inputs
from trader.package import PublicPackage
from trader.party import Equipment, Party
from trader.trade import Accepted, Confirmed, Purchased, Revealed, Role, Slashed, State
from trader.vault import Vault
from trader.verify import (
    Assessment,
    AuditedSamples,
    BuyerPolicy,
    Comparison,
    Sources,
    VerifiedListing,
    assess_test,
    check_range,
    compare_proven,
    verify_delivery,
    verify_listing,
)
from zk import Srs, ceremony_srs, commitment_digest, draw_input_salt, input_commitment, read_srs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trader.market import Trade
    from zk import SrsProvider

CIPHERTEXT = "ciphertext.bin"
DELIVERED = "delivered.npz"
DECLINED = "declined"
ENCRYPTION_KEY = "encryption.key"
INPUTS = "inputs.npz"
LISTING = "listing"
OPENING = "opening.transaction"
OUTPUTS = "outputs.npz"
PURCHASE = "purchase.json"
SESSION = "session.key"


@dataclass(frozen=True, eq=False)
class TestResult:
    """What an encrypted test gave.

    Attributes:
        outputs: float64 [n, O], raw outputs. They come from decryption and must not be shown to anybody.
        predictions: What the post-processing makes of them: classes, or values.
        assessment: What the test says for certain, whatever the audit lets pass.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    outputs: NDArray[np.float64] = field(repr=False)
    predictions: NDArray[np.generic] = field(repr=False)
    assessment: Assessment


class Buyer(Party):
    """A buyer of one model.

    Attributes:
        policy: What it asks of a listing and its answers.
        labels: True labels of the test set, if it has them; may be set until the test is read.
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
    ) -> None:
        """Go to a listing.

        Args:
            listing_id: Its number in the market.
            policy: What is asked of it.
            equipment: Account, market, mailbox, log, folder.
            decide: Whether to buy, given the test's result.
            labels: True labels of the test set, [n]: say whether classes or values are bought, and how many of the
                audit samples are right as proven. They never leave.
            srs: Gives the ceremony's reference string for listings that name one.

        Raises:
            PartyFolderError: The folder holds the purchase of another listing.
        """
        super().__init__(equipment)
        self.policy = policy
        self._listing_id = listing_id
        self._decide = decide
        self.labels = labels
        self._find_srs = srs
        self.vault = Vault(self.folder)
        if self.vault.has(LISTING) and self.vault.read(LISTING) != self._purchase_name:
            raise PartyFolderError(
                f"{self.folder} belongs to the purchase {self.vault.read(LISTING).decode(errors='replace')}, this is "
                f"{self._purchase_name.decode()}. Name another folder."
            )

    # ----------------------------------------------------------------------------------------------------- listing

    @cached_property
    def listing(self) -> VerifiedListing:
        """The listing, once it has passed every check; verified again by each new process.

        Raises:
            ListingError: A check failed; the subclass says which.
            PolicyError: The terms are not good enough for the policy.
            NotDeliveredError: The seller has not published the package.
        """
        listed = self.market.listing(self._listing_id)
        archive = self.mailbox.get(listing_channel(listed.terms.manifest_hash), Kind.PACKAGE, MAX_PACKAGE_BYTES)
        package = PublicPackage.from_bytes(archive)
        sources = Sources(
            self.market.verify_code, lambda logrows: self._srs(package, logrows), self.market.chain.confirmations
        )
        try:
            with self._working("verify"):
                verified = verify_listing(self._listing_id, listed.seller, listed.terms, package, self.policy, sources)
        except (ListingError, PolicyError) as error:
            reason = {"reason": as_reason(error)}
            self._note(EntryKind.LISTING_REFUSED, listing_id=self._listing_id, details=reason)
            raise
        manifest_hash = {"manifest_hash": f"0x{listed.terms.manifest_hash.hex()}"}
        self._note(EntryKind.LISTING_VERIFIED, listing_id=self._listing_id, details=manifest_hash)
        return verified

    # -------------------------------------------------------------------------------------------------------- test

    def open_session(self, samples: NDArray[np.generic]) -> int:
        """Encrypt a test set under fresh keys, pay the fee and send the request; returns the trade's number.

        A repeated call goes on with the session that was begun: the fee is paid once. What counts in the quotas is the
        power of two at or above the number of samples, so that a test of 142 may as well be one of 256.

        Args:
            samples: [n, …], real numbers as the model's card describes them.

        Raises:
            ListingError, PolicyError: The listing is not good, or its fee has grown too large; nothing was sent.
            CallerError: There are fewer samples than an audit takes.
            DataError: The samples don't fit the model.
            TransactionRefusedError: The quota is used up, or the account can't pay.
        """
        if not self.vault.has(Kind.REQUEST.value):
            self._encrypt(samples)
        trade_id = self._opened_trade() or self._pay_session()
        self._deliver(trade_id, Kind.REQUEST, self.vault, EntryKind.REQUEST_SENT)
        return trade_id

    def _encrypt(self, samples: NDArray[np.generic]) -> None:
        """Make session and request; the request is kept last, so that it never lacks the keys to its answer."""
        self.vault.write(LISTING, self._purchase_name)
        manifest, wanted = self.listing.manifest, self.listing.terms.audit_samples
        if len(samples) < wanted:
            raise CallerError(f"an audit takes {wanted} samples, the test set has {len(samples)}: test with more")
        inputs = quantise_inputs(
            samples, self.listing.graph, manifest.scale_bits, manifest.input.exponents, manifest.input.magnitude
        )
        with self._working("keygen"):
            session = self._new_session()
            session.generate_keys(len(inputs))
        with self.vault.staged(Kind.REQUEST.value) as path:
            with self._working("encrypt"):
                session.encrypt(
                    inputs,
                    lambda done, total: self._progress("encrypt", done, total),
                    path,
                    context=self._request_context(self._listing_id, self.address),
                )
            self.vault.write_arrays(INPUTS, inputs)
            self.vault.write(SESSION, session.export_secret())

    def _new_session(self) -> he.ClientSession:
        return he.ClientSession(self.listing.plan, self.policy.encryption)

    def _pay_session(self) -> int:
        """Open the session on the chain. The signed transaction is kept first: a crash must not pay the fee twice."""
        if self.vault.has(OPENING):
            try:
                receipt = self._transact("openSession", lambda: self.market.resend_session(self.vault.read(OPENING)))
                return int(receipt.events[0].arguments["tradeId"])
            except TransactionRefusedError:
                pass  # failed, or replaced by another transaction of the account: it can't take effect any more
        digest = he.digest(self.vault.map(Kind.REQUEST.value))
        samples = he.charged_samples(len(self._inputs))
        fee_wei = self.market.session_fee(self._listing_id, self.address)
        self.policy.check_fee(fee_wei)
        receipt = self._transact(
            "openSession",
            lambda: self.market.open_session(
                self.account, self._listing_id, samples, digest, fee_wei, lambda raw: self.vault.write(OPENING, raw)
            ),
        )
        return int(receipt.events[0].arguments["tradeId"])

    def _opened_trade(self) -> int | None:
        """The trade of the kept request, if the chain has it."""
        if not self.vault.has(Kind.REQUEST.value):
            return None
        opening = self.vault.read(OPENING) if self.vault.has(OPENING) else None
        return self.market.find_session(self.address, he.digest(self.vault.map(Kind.REQUEST.value)), opening)

    @property
    def trade_id(self) -> int:
        """The trade's number.

        Raises:
            CallerError: No session was opened.
        """
        trade_id = self._opened_trade()
        if trade_id is None:
            raise CallerError("no session was opened yet: open one with a test set")
        return trade_id

    @property
    def is_over(self) -> bool:
        """Whether the trade has ended and a model that was paid for is here, or the buyer has declined to buy."""
        trade_id = self._opened_trade()
        if self.vault.has(DECLINED) or trade_id is None:
            return self.vault.has(DECLINED)
        position = self.market.trade(trade_id).position
        return position.final and (self.has_model or position.state is not State.SETTLED)

    def read_test(self) -> TestResult:
        """Decrypt the seller's answer.

        Raises:
            NotDeliveredError: It has not arrived.
            TransferError, WireError: It is not the answer that the seller committed to, or no answer to the request.
            CallerError: There are not as many labels as samples.
        """
        if not self.vault.has(OUTPUTS):
            self.vault.write_arrays(OUTPUTS, self._decrypt())
        (outputs,) = self.vault.read_arrays(OUTPUTS)
        if self.labels is not None and len(self.labels) != len(outputs):
            raise CallerError(f"there are {len(self.labels)} labels for {len(outputs)} samples: give one for each")
        post_processing = self.listing.manifest.output.post_processing
        assessment = assess_test(outputs, self.listing.audit_distance, post_processing, self.labels)
        return TestResult(outputs, post_processing.predict(outputs), assessment)

    def _decrypt(self) -> NDArray[np.float64]:
        trade = self.market.trade(self.trade_id)
        limit_bytes = response_limit_bytes(self.listing.plan, trade.samples)
        response = self.mailbox.get(trade_channel(trade.trade_id), Kind.RESPONSE, limit_bytes)
        if he.digest(response) != trade.digest:
            raise he.WireError("the response is not the one that the seller committed to on the chain: don't buy")
        self._note(EntryKind.RESPONSE_RECEIVED, trade_id=trade.trade_id, details={"bytes": len(response)})
        session = he.ClientSession(self.listing.plan, self.policy.encryption, kept=self.vault.read(SESSION))
        with self._working("decrypt"):
            return session.decrypt(response, lambda done, total: self._progress("decrypt", done, total))

    # ---------------------------------------------------------------------------------------------------- purchase

    def purchase(self) -> None:
        """Lock the price, commit to k samples and the outputs seen for them, and send these samples to the seller.

        Raises:
            IllegalMoveError: The seller has not answered, or the deadline has passed.
            WireError: The answer does not decrypt.
            AnswerError: It holds outputs that are no model's; nothing was committed to.
            UncertainTestError: The tolerance leaves room for a model with other classes or values; nothing was paid.
        """
        trade = self._require_legal(Purchased, self.trade_id)
        if not self.vault.has(PURCHASE):
            self._check_test(trade)
            self._commit()
        purchase = json.loads(self.vault.read(PURCHASE))
        self._note(
            EntryKind.OUTPUTS_COMMITTED,
            trade_id=trade.trade_id,
            details={"input_commitment": "0x" + purchase["input_commitment"], "samples": len(purchase["rows"])},
        )
        self._transact(
            "purchase",
            lambda: self.market.purchase(
                self.account,
                trade.trade_id,
                bytes.fromhex(purchase["input_commitment"]),
                purchase["outputs"],
                self.listing.terms.price_wei,
            ),
        )
        self._send_order(trade.trade_id)

    def _check_test(self, trade: Trade) -> None:
        """Checks (1) to (3) of the answers.

        Raises:
            AnswerError, UncertainTestError: One fails.
        """
        listing, result = self.listing, self.read_test()
        try:
            plan = listing.plan.for_samples(trade.samples)
            check_range(result.outputs, plan, listing.circuit.output_scale_bits, listing.terms.tolerance)
            self.policy.check_test(result.assessment)
        except (AnswerError, PolicyError) as error:
            self._note_refusal(EntryKind.TEST_REFUSED, trade, error)
            raise

    def _note_refusal(self, kind: EntryKind, trade: Trade, error: Exception) -> None:
        """Log why the buyer does not go on, once: the next step looks again, as its policy may be another one."""
        if not self.vault.has(kind.value):
            self._note(kind, trade_id=trade.trade_id, details={"reason": as_reason(error)})
            self.vault.write(kind.value, str(error).encode())

    @property
    def refusal(self) -> str | None:
        """Why the buyer did not pay after the test, or did not accept the proof; None where it refused neither."""
        for kind in (EntryKind.PROOF_REFUSED, EntryKind.TEST_REFUSED):
            if self.vault.has(kind.value):
                return self.vault.read(kind.value).decode()
        return None

    def _commit(self) -> None:
        """Choose the audit samples, commit to them, and keep everything that the rest of the trade needs."""
        listing, result = self.listing, self.read_test()
        rows = self._audited_rows(len(result.outputs))
        outputs = self._committed_outputs(
            he.commit_outputs(result.outputs[rows], listing.manifest.circuit.commit_scale_bits)
        )
        salt = draw_input_salt(listing.circuit)
        points = input_commitment(listing.circuit, self._inputs[rows], salt, listing.srs)
        reply_key = EncryptionKey.generate()
        order = Order(reply_key.public_key, AuditInputs(self._inputs[rows], salt))
        context = Context(listing.terms.manifest_hash, self.trade_id, Purpose.AUDIT_INPUTS)
        seller_key = bytes.fromhex(listing.manifest.encryption_public_key[2:])
        self.vault.write(ENCRYPTION_KEY, reply_key.secret)
        self.vault.write(Kind.AUDIT_INPUTS.value, seal(seller_key, order.encode(), context))
        purchase = {
            "rows": rows.tolist(),
            "outputs": outputs.ravel().tolist(),
            "input_commitment": commitment_digest(points).hex(),
        }
        self.vault.write(PURCHASE, json.dumps(purchase).encode())

    def _audited_rows(self, samples: int) -> NDArray[np.int64]:
        """Rows of the test set at random: a seller that answers some wrong can't know which will be audited."""
        chosen = secrets.SystemRandom().sample(range(samples), self.listing.terms.audit_samples)
        return np.array(sorted(chosen), dtype=np.int64)

    def _committed_outputs(self, seen: NDArray[np.int64]) -> NDArray[np.int64]:
        """What is committed to, given what was seen."""
        return seen

    def _send_order(self, trade_id: int) -> None:
        self._deliver(trade_id, Kind.AUDIT_INPUTS, self.vault, EntryKind.AUDIT_INPUTS_SENT)

    # ---------------------------------------------------------------------------------------------------- delivery

    def compare_proven(self) -> Comparison:
        """The proven outputs of the audit samples beside those seen.

        Raises:
            AnswerError: They can't be read from the chain, or are not ones that the escrow accepts.
            CallerError: Nothing was proven.
        """
        trade_id = self.trade_id
        rows = json.loads(self.vault.read(PURCHASE))["rows"]
        proven = self.market.proven_outputs(trade_id)
        labels = None if self.labels is None else self.labels[rows]
        return compare_proven(self.listing, proven, self._audited_samples(), self.read_test().outputs[rows], labels)

    def _check_proven(self, trade: Trade) -> None:
        """Checks (4) and (5) of the answers.

        Raises:
            AnswerError: One fails.
        """
        try:
            self.policy.check_proven(self.compare_proven())
        except AnswerError as error:
            self._note_refusal(EntryKind.PROOF_REFUSED, trade, error)
            raise

    def accept(self) -> None:
        """Check the proven outputs, download the encrypted model, check it against the proven root, ask for its key.

        Raises:
            IllegalMoveError: The seller has not proven, or the deadline has passed.
            AnswerError: The proven outputs are not what was tested: don't accept; the price comes back.
            NotDeliveredError: The model has not arrived.
            EnvelopeError, CiphertextError: It is not what the seller proved: don't accept; the price comes back.
        """
        trade = self._require_legal(Accepted, self.trade_id)
        self._check_proven(trade)
        chunk_count = self.listing.columns.chunk_count
        with self._working("download"):
            sealed = self.mailbox.get(trade_channel(trade.trade_id), Kind.MODEL, delivery_bytes(chunk_count))
            context = Context(self.listing.terms.manifest_hash, trade.trade_id, Purpose.MODEL)
            ciphertext = EncryptionKey(self.vault.read(ENCRYPTION_KEY)).open(sealed, context)
            verify_ciphertext(ciphertext, trade.digest, chunk_count)
        self.vault.write(CIPHERTEXT, ciphertext)
        self._note(EntryKind.DELIVERY_DOWNLOADED, trade_id=trade.trade_id, details={"bytes": len(ciphertext)})
        self._transact("accept", lambda: self.market.accept(self.account, trade.trade_id))

    def check_and_confirm(self) -> bool:
        """Decrypt and check the model; confirm it, or win the dispute with the evidence of its fault.

        Returns:
            True where the model is right and the trade settled, False where the seller was slashed.

        Raises:
            IllegalMoveError: The key is not revealed, or the dispute window has passed.
            DeliveredModelError: A fault that the escrow does not decide about; neither confirmed nor disputed.
        """
        trade = self._require_legal(Confirmed, self.trade_id)
        key = self.market.event(trade.trade_id, Revealed).key
        try:
            self._open_delivery(trade, key)
        except DeliveryFaultError as fault:
            self._dispute(trade.trade_id, key, fault)
            return False
        self._transact("confirm", lambda: self.market.confirm(self.account, trade.trade_id))
        return True

    def _open_delivery(self, trade: Trade, key: bytes) -> None:
        """Decrypt, check and keep the model.

        Raises:
            DeliveryFaultError, DeliveryCheckError: It is not what was listed and proven.
        """
        self._note(EntryKind.KEY_RECEIVED, trade_id=trade.trade_id)
        with self._working("check"):
            model = verify_delivery(
                self.listing, self.vault.read(CIPHERTEXT), key, trade.key_hash, self._audited_samples()
            )
        self.vault.write_arrays(DELIVERED, *model.tensors)
        self._note(EntryKind.DELIVERY_VERIFIED, trade_id=trade.trade_id)

    def _dispute(self, trade_id: int, key: bytes, fault: DeliveryFaultError) -> None:
        self._note(EntryKind.DELIVERY_REFUSED, trade_id=trade_id, details={"reason": as_reason(fault)})
        self._require_legal(Slashed, trade_id)
        self._transact(
            "dispute",
            lambda: self.market.dispute(self.account, trade_id, key, fault.evidence, self.listing.layout),
        )

    @property
    def was_answered(self) -> bool:
        """Whether the encrypted test was answered and decrypted."""
        return self.vault.has(OUTPUTS)

    @property
    def has_model(self) -> bool:
        """Whether a model was delivered and passed every check."""
        return self.vault.has(DELIVERED)

    def delivered_model(self) -> CanonicalModel:
        """The bought model, once it was checked.

        Raises:
            PartyFolderError: It was not delivered, or not checked.
        """
        tensors = self.vault.read_arrays(DELIVERED)
        return CanonicalModel(self.listing.graph, tensors, self.listing.manifest.scale_bits)

    def delivered_onnx(self) -> bytes:
        """The bought model as an ordinary ONNX file.

        Raises:
            PartyFolderError: It was not delivered, or not checked.
        """
        manifest = self.listing.manifest
        return plain_model_bytes(self.delivered_model(), manifest.output.post_processing, manifest.input.exponents)

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
            ChainUnavailableError, WorkerError, LedgerError: The environment failed; call again.
        """
        self.catch_up()
        trade_id = self._opened_trade()
        if trade_id is None:
            if samples is None:
                raise CallerError("no session was opened yet: give a test set")
            self.open_session(samples)
            return True
        trade = self.market.trade(trade_id)
        if trade.position.final:
            return self._take_what_is_ours(trade)
        if self.market.moved_on(trade):
            return False
        if self.end_overdue(trade):
            return True
        try:
            return self._advance(trade)
        except NotDeliveredError:
            return False

    def _take_what_is_ours(self, trade: Trade) -> bool:
        """After the end: ether, and the model if it was paid for while the buyer was away."""
        withdrawn = self.withdraw() > 0
        if trade.position.state is not State.SETTLED or self.has_model:
            return withdrawn
        self._open_delivery(trade, self.market.event(trade.trade_id, Revealed).key)
        return True

    def _advance(self, trade: Trade) -> bool:
        match trade.position.state:
            case State.ANSWERED:
                return self._decide_and_purchase()
            case State.PROVEN:
                self.accept()
            case State.REVEALED:
                self.check_and_confirm()
            case State.TESTING:
                self._deliver(trade.trade_id, Kind.REQUEST, self.vault, EntryKind.REQUEST_SENT)
                return False
            case State.PURCHASED:
                self._send_order(trade.trade_id)
                return False
            case _:
                return False
        return True

    def _decide_and_purchase(self) -> bool:
        if self.vault.has(DECLINED):
            return False
        if not self.vault.has(PURCHASE) and not self._decide(self.read_test()):
            self.vault.write(DECLINED, b"")
            return False
        self.purchase()
        return True

    # ------------------------------------------------------------------------------------------------------- inside

    @property
    def _purchase_name(self) -> bytes:
        """What the folder is for: market and listing."""
        return f"{self._place}-listing-{self._listing_id}".encode()

    @property
    def _inputs(self) -> NDArray[np.int64]:
        """The test set on the model's grid, int64 [n, F]."""
        (inputs,) = self.vault.read_arrays(INPUTS)
        return inputs

    def _audited_samples(self) -> AuditedSamples:
        purchase = json.loads(self.vault.read(PURCHASE))
        outputs = np.array(purchase["outputs"], dtype=np.int64).reshape(-1, self.listing.layout.outputs)
        return AuditedSamples(self._inputs[purchase["rows"]], outputs)

    def _srs(self, package: PublicPackage, logrows: int) -> Srs:
        if not package.development_srs:
            return self._find_srs(logrows)
        self.vault.write("development.srs", package.development_srs)
        return read_srs(self.vault.folder / "development.srs", development=True)
