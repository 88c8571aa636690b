"""The buyer: checks a listing, tests the model on encrypted data, pays for it, and checks what it gets.

Methods stand in the order of the protocol. One buyer object makes one purchase and keeps what it needs in its folder.
`Buyer.step` looks at the chain and the mailbox and does whatever the trade needs next; a killed process goes on
with the next call of a buyer with the same folder. What a buyer will not do: send anything before the listing passed
every check of `trader.verify.listing`, show raw decryptions to anybody, pay for answers or accept a proof that
fail those of `trader.verify.answers`, or confirm what it has not checked.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from contracts import answer_digest, delivery_digest, offer_digest, session_digest
from ledger import EntryKind, as_reason
from trader import he
from trader.delivery import CiphertextError, DeliveryFaultError, ciphertext_tree, key_hash, verify_ciphertext
from trader.errors import (
    AnswerError,
    CallerError,
    ListingError,
    NotYetError,
    PartyFolderError,
    PolicyError,
    TransactionRefusedError,
)
from trader.exchange import AuditInputs, EncryptionKey, Incoming, Kind, Label, NotDeliveredError, Purpose, seal
from trader.model import CanonicalModel, plain_model_bytes, quantise_inputs
from trader.package import PublicPackage
from trader.parties.messages import MAX_MESSAGE_BYTES, MAX_PACKAGE_BYTES, Order, delivery_bytes, response_limit_bytes
from trader.parties.party import Equipment, Party
from trader.parties.purchase import Purchase
from trader.parties.vault import Vault
from trader.trade import Accepted, Answered, Confirmed, Proven, Purchased, Revealed, Role, Slashed, State
from trader.verify import (
    Assessment,
    AuditedSamples,
    BuyerPolicy,
    Comparison,
    Sources,
    UncertainTestError,
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

    from trader.chain.market import Trade
    from trader.exchange import Context
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
ANSWER = "answer.digest"
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
            NotDeliveredError: The seller has not published the package; what lies there is another's.
        """
        listed = self.market.listing(self._listing_id)
        label = self._label(Kind.PACKAGE, listed.terms.manifest_hash)
        archive = self.mailbox.get(label, listed.seller, MAX_PACKAGE_BYTES)
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
        session = self._session()
        if session is None:
            if self._kept_request() is None:
                self._encrypt(samples)
            digest = he.digest(self.vault.map(Kind.REQUEST.value))
            session = digest, self._pay_session(digest)
        digest, trade_id = session
        self._send_request(trade_id, digest)
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

    def _pay_session(self, digest: bytes) -> int:
        """Open the session on the chain. The signed transaction is kept first: a crash must not pay the fee twice."""
        self.mailbox.reserve(self._label(Kind.REQUEST, digest))
        if self.vault.has(OPENING):
            paid_for, signed = self._opening()
            try:
                if paid_for == digest:
                    receipt = self._transact("openSession", lambda: self.market.resend_session(signed))
                    return int(receipt.events[0].arguments["tradeId"])
            except TransactionRefusedError:
                pass  # failed, or replaced by another transaction of the account: it can't take effect any more
        samples = he.charged_samples(len(self._inputs))
        fee_wei = self.market.session_fee(self._listing_id, self.address, samples)
        self.policy.check_fee(fee_wei)
        receipt = self._transact(
            "openSession",
            lambda: self.market.open_session(
                self.account,
                self._listing_id,
                offer_digest(self.listing.seller, self.listing.terms),
                samples,
                digest,
                fee_wei,
                lambda signed: self.vault.write(OPENING, digest + signed),
            ),
        )
        return int(receipt.events[0].arguments["tradeId"])

    def _opening(self) -> tuple[bytes, bytes]:
        """The kept transaction: digest of the request that it pays for, and its signed bytes."""
        kept = self.vault.read(OPENING)
        return kept[:32], kept[32:]

    def _session(self) -> tuple[bytes, int] | None:
        """Digest and trade of the request that was paid for; a kept transaction names it where the request is lost."""
        paid_for, opening = self._opening() if self.vault.has(OPENING) else (None, None)
        for digest in dict.fromkeys((paid_for, self._kept_request())):
            trade_id = None if digest is None else self.market.find_session(self.address, digest, opening)
            if digest is not None and trade_id is not None:
                return digest, trade_id
        return None

    def _kept_request(self) -> bytes | None:
        """Digest of the kept request; None where there is none, or what is left of it has none."""
        try:
            return he.digest(self.vault.map(Kind.REQUEST.value))
        except (PartyFolderError, he.WireError):
            return None

    def _opened_trade(self) -> int | None:
        """The trade of the kept request, if the chain has it."""
        session = self._session()
        return None if session is None else session[1]

    def _send_request(self, trade_id: int, digest: bytes) -> bool:
        label = self._label(Kind.REQUEST, digest)
        if self.mailbox.needs_delivery(label) and self._kept_request() != digest:
            self._require_delivered(label, trade_id)
            return False
        return self._deliver(label, self.vault, EntryKind.REQUEST_SENT, trade_id)

    def _require_delivered(self, label: Label, trade_id: int) -> None:
        """A request that is no longer kept must lie in the mailbox, as nobody can make it again.

        Raises:
            PartyFolderError: It doesn't.
        """
        if self.mailbox.holds(label, self.address, MAX_MESSAGE_BYTES) is None:
            raise PartyFolderError(
                f"the request of trade {trade_id} is gone from {self.folder}, and the mailbox does not have it either: "
                "the trade can't go on. Put the file back; otherwise the trade ends at its deadline, and the fee comes "
                "back if the seller has not answered. For a new test name another folder."
            )

    @property
    def trade_id(self) -> int:
        """The trade's number.

        Raises:
            CallerError: No session was opened.
        """
        return self._paid_session()[1]

    def _paid_session(self) -> tuple[bytes, int]:
        session = self._session()
        if session is None:
            raise CallerError("no session was opened yet: open one with a test set")
        return session

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
            NotDeliveredError: It has not arrived; what lies there is another's, or not what the seller committed to.
            WireError: It is no answer to the request.
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
        request_digest, trade_id = self._paid_session()
        trade = self.market.trade(trade_id)
        limit_bytes = response_limit_bytes(self.listing.plan, trade.samples)
        digest = self.market.event(trade.trade_id, Answered).response_digest
        label = self._label(Kind.RESPONSE, digest, trade.trade_id)

        def read(message: Incoming) -> bytes:
            response = message.read()
            if he.digest(response) != digest:
                raise he.WireError("the response is not the one that the seller committed to on the chain: don't buy")
            return response

        response = self.mailbox.take(label, self._seller, limit_bytes, read)
        self.vault.write(ANSWER, answer_digest(self._own_session(request_digest, trade.samples), digest))
        self._note(EntryKind.RESPONSE_RECEIVED, trade_id=trade.trade_id, details={"bytes": len(response)})
        session = he.ClientSession(self.listing.plan, self.policy.encryption, kept=self.vault.read(SESSION))
        session.expect_response(digest)
        self.vault.write(SESSION, session.export_secret())  # before anything is decrypted: a restart must know
        with self._working("decrypt"):
            return session.decrypt(response, lambda done, total: self._progress("decrypt", done, total))

    def _own_session(self, request_digest: bytes, samples: int) -> bytes:
        """Digest of the session that this folder's request was made for, whatever the trade's number stands for now."""
        offer = offer_digest(self.listing.seller, self.listing.terms)
        return session_digest(self.address, offer, samples, request_digest)

    # ---------------------------------------------------------------------------------------------------- purchase

    def purchase(self) -> None:
        """Lock the price, commit to k samples and the outputs seen for them, and send these samples to the seller.

        The outputs themselves stay here, behind a salted digest: from those of a crafted response its maker would read
        the secret key.

        Raises:
            IllegalMoveError: The seller has not answered, or the deadline has passed.
            WireError: The answer does not decrypt.
            AnswerError: It holds outputs that are no model's; nothing was committed to.
            UncertainTestError: The tolerance leaves room for a model with other classes or values; nothing was paid.
            NotYetError: The proof fee is more than the policy allows at present; nothing was paid.
        """
        trade = self._require_legal(Purchased, self.trade_id)
        if not self.vault.has(PURCHASE):
            self._check_test(trade)
            self._commit()
        purchase, price_wei = self.kept_purchase(), self.listing.terms.price_wei
        self._require_proof_fee(price_wei)
        self._note(
            EntryKind.OUTPUTS_COMMITTED,
            trade_id=trade.trade_id,
            details={"input_commitment": f"0x{purchase.input_commitment.hex()}", "samples": len(purchase.rows)},
        )
        self.mailbox.reserve(self._order_label(trade.trade_id))
        self._transact(
            "purchase",
            lambda: self.market.purchase(
                self.account,
                trade.trade_id,
                self.vault.read(ANSWER),
                purchase.input_commitment,
                purchase.outputs_digest,
                price_wei=price_wei,
                highest_proof_fee_wei=self.policy.highest_proof_fee(price_wei),
            ),
        )
        self._send_order(trade.trade_id)

    def _require_proof_fee(self, price_wei: int) -> None:
        """Whether the policy allows what this purchase would leave to the seller now, if its proof isn't accepted.

        Raises:
            NotYetError: It doesn't; proofs that are accepted lower it again.
        """
        try:
            self.policy.check_proof_fee(self.market.proof_fee(self._listing_id), price_wei)
        except PolicyError as error:
            raise NotYetError(
                f"{error} Others have raised it: waiting for proofs that are accepted, until the deadline."
            ) from error

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
        except (AnswerError, UncertainTestError) as error:
            self._note_refusal(EntryKind.TEST_REFUSED, trade, error)
            raise

    def _note_refusal(self, kind: EntryKind, trade: Trade, error: AnswerError | UncertainTestError) -> None:
        """Log why the buyer does not go on, once: the next step looks again, as its policy may be another one."""
        if not self.vault.has(kind.value):
            self._note(kind, trade_id=trade.trade_id, details={"reason": error.finding})
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
        context = self._context(self.trade_id, Purpose.AUDIT_INPUTS)
        seller_key = bytes.fromhex(listing.manifest.encryption_public_key[2:])
        self.vault.write(ENCRYPTION_KEY, reply_key.secret)
        self.vault.write(Kind.AUDIT_INPUTS.value, seal(seller_key, order.encode(), context))
        self.vault.write(PURCHASE, Purchase(rows, outputs, commitment_digest(points)).encode())

    def kept_purchase(self) -> Purchase:
        """What was committed to.

        Raises:
            PartyFolderError: Nothing was, yet.
        """
        return Purchase.decode(self.vault.read(PURCHASE))

    def _audited_rows(self, samples: int) -> NDArray[np.int64]:
        """Rows of the test set at random: a seller that answers some wrong can't know which will be audited."""
        chosen = secrets.SystemRandom().sample(range(samples), self.listing.terms.audit_samples)
        return np.array(sorted(chosen), dtype=np.int64)

    def _committed_outputs(self, seen: NDArray[np.int64]) -> NDArray[np.int64]:
        """What is committed to, given what was seen."""
        return seen

    def _order_label(self, trade_id: int) -> Label:
        return self._label(Kind.AUDIT_INPUTS, self.kept_purchase().input_commitment, trade_id)

    def _send_order(self, trade_id: int) -> bool:
        return self._deliver(self._order_label(trade_id), self.vault, EntryKind.AUDIT_INPUTS_SENT, trade_id)

    # ---------------------------------------------------------------------------------------------------- delivery

    def compare_proven(self) -> Comparison:
        """The proven outputs of the audit samples beside those seen.

        Raises:
            AnswerError: They can't be read from the chain, or there are not as many as were committed to.
            CallerError: Nothing was proven.
        """
        trade_id = self.trade_id
        purchase = self.kept_purchase()
        count = self.listing.terms.audit_samples * self.listing.layout.outputs
        proven = self.market.proven_outputs(trade_id, count)
        labels = None if self.labels is None else self.labels[purchase.rows]
        audited, seen = self._audited_samples(purchase), self.read_test().outputs[purchase.rows]
        return compare_proven(self.listing, proven, audited, seen, labels)

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
            AnswerError: The proven outputs are not what was tested: don't accept; the price comes back, but for the
                proof fee.
            NotDeliveredError: The model has not arrived; what lies there is another's, or not what the seller proved.
        """
        trade = self._require_legal(Accepted, self.trade_id)
        self._check_proven(trade)
        proven = self.market.event(trade.trade_id, Proven)
        with self._working("download"):
            ciphertext = self._receive_model(trade, proven.ciphertext_root)
        self.vault.write(CIPHERTEXT, ciphertext)
        self._note(EntryKind.DELIVERY_DOWNLOADED, trade_id=trade.trade_id, details={"bytes": len(ciphertext)})
        delivery = delivery_digest(proven.ciphertext_root, proven.key_hash)
        self._transact("accept", lambda: self.market.accept(self.account, trade.trade_id, delivery))

    def _receive_model(self, trade: Trade, root: bytes) -> bytes:
        """The encrypted model, once it is the one with the proven root."""
        chunk_count = self.listing.columns.chunk_count

        def open_model(message: Incoming) -> bytes:
            context = self._context(trade.trade_id, Purpose.MODEL)
            ciphertext = EncryptionKey(self.vault.read(ENCRYPTION_KEY)).open(message.read(), context)
            verify_ciphertext(ciphertext, root, chunk_count)
            return ciphertext

        label = self._label(Kind.MODEL, root, trade.trade_id)
        return self.mailbox.take(label, self._seller, delivery_bytes(chunk_count), open_model)

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
        # Of what was checked, not of what the chain says now.
        delivery = delivery_digest(ciphertext_tree(self.vault.read(CIPHERTEXT)).root, key_hash(key))
        self._transact("confirm", lambda: self.market.confirm(self.account, trade.trade_id, delivery))
        return True

    def _open_delivery(self, trade: Trade, key: bytes) -> None:
        """Decrypt, check and keep the model.

        Raises:
            DeliveryFaultError, DeliveryCheckError: It is not what was listed and proven.
        """
        self._note(EntryKind.KEY_RECEIVED, trade_id=trade.trade_id)
        proven = self.market.event(trade.trade_id, Proven)
        with self._working("check"):
            ciphertext = self._kept_ciphertext(trade, proven.ciphertext_root)
            model = verify_delivery(
                self.listing, ciphertext, key, proven.key_hash, self._audited_samples(self.kept_purchase())
            )
        self.vault.write_arrays(DELIVERED, *model.tensors)
        self._note(EntryKind.DELIVERY_VERIFIED, trade_id=trade.trade_id)

    def _kept_ciphertext(self, trade: Trade, root: bytes) -> bytes:
        """What was accepted. A bit that the buyer's own disk lost would look like the seller's fault, and win nothing.

        Raises:
            NotDeliveredError: It is damaged, and the mailbox does not have it any more.
        """
        ciphertext = self.vault.read(CIPHERTEXT)
        try:
            verify_ciphertext(ciphertext, root, self.listing.columns.chunk_count)
        except CiphertextError:
            ciphertext = self._receive_model(trade, root)
            self.vault.write(CIPHERTEXT, ciphertext)
        return ciphertext

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
            PartyFolderError: The request is lost, and the mailbox does not have it either.
            EnvironmentFaultError, WorkerError, LedgerError: Node, disk or memory failed; call again.
        """
        self.catch_up()
        trade_id = self._opened_trade()
        try:
            return self._begin(samples) if trade_id is None else self._go_on(self.market.trade(trade_id))
        except NotDeliveredError as error:
            self._wait(error, trade_id)
            return False
        except NotYetError as error:
            self._remark(None, error, trade_id)
            return False

    def _begin(self, samples: NDArray[np.generic] | None) -> bool:
        if samples is None:
            raise CallerError("no session was opened yet: give a test set")
        self.open_session(samples)
        return True

    def _go_on(self, trade: Trade) -> bool:
        if trade.position.final:
            return self._take_what_is_ours(trade)
        if self.market.moved_on(trade):
            return False
        return self.end_overdue(trade) or self._advance(trade)

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
                return self._send_request(trade.trade_id, self.market.session(trade.trade_id).request_digest)
            case State.PURCHASED:
                return self._send_order(trade.trade_id)
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

    @cached_property
    def _seller(self) -> str:
        """Account of the listing's seller, who signs what it sends."""
        return self.market.listing(self._listing_id).seller

    def _context(self, trade_id: int, purpose: Purpose) -> Context:
        """What an envelope of a trade is bound to."""
        return self._envelope_context(self.listing.terms.manifest_hash, trade_id, purpose)

    @property
    def _purchase_name(self) -> bytes:
        """What the folder is for: market and listing."""
        return f"{self._place}-listing-{self._listing_id}".encode()

    @property
    def _inputs(self) -> NDArray[np.int64]:
        """The test set on the model's grid, int64 [n, F]."""
        (inputs,) = self.vault.read_arrays(INPUTS)
        return inputs

    def _audited_samples(self, purchase: Purchase) -> AuditedSamples:
        return AuditedSamples(self._inputs[purchase.rows], purchase.outputs)

    def _srs(self, package: PublicPackage, logrows: int) -> Srs:
        if not package.development_srs:
            return self._find_srs(logrows)
        self.vault.write("development.srs", package.development_srs)
        return read_srs(self.vault.folder / "development.srs", development=True)
