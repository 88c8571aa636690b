"""The buyer's first move: it encrypts its test set, pays for an answer, and decrypts that.

What must not be lost is kept before it is needed: keys before the request, the request before the fee is paid, the
signed payment before it is sent, and that a response was taken before it is decrypted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contracts import answer_digest, offer_digest, session_digest
from ledger import EntryKind
from trader import he
from trader.errors import CallerError, PartyFolderError, TransactionRefusedError
from trader.exchange import Incoming, Kind, Label
from trader.parties.filenames import ANSWER, FEE_DEPOSIT, INPUTS, LISTING, OPENING, OUTPUTS, REQUEST, SESSION
from trader.parties.funding import Funding
from trader.parties.messages import MAX_MESSAGE_BYTES, response_limit_bytes
from trader.trade import Answered
from trader.verify import Assessment, assess_test, outside_reach

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trader.parties.actor import Actor
    from trader.parties.conduct import BuyerConduct
    from trader.parties.entitlement import Entitlement
    from trader.parties.listing_check import ListingCheck
    from trader.parties.vault import Vault
    from trader.verify import BuyerPolicy


@dataclass(frozen=True, eq=False)
class TestResult:
    """What an encrypted test gave.

    Attributes:
        outputs: float64 [n, O], raw outputs. They come from decryption and must not be shown to anybody.
        predictions: What the post-processing makes of them: classes, or values.
        assessment: What the test says for certain, whatever the audit lets pass.
        outside: Numbers of the samples that left the range of the seller's data, from 0: don't rely on their outputs.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    outputs: NDArray[np.float64] = field(repr=False)
    predictions: NDArray[np.generic] = field(repr=False)
    assessment: Assessment
    outside: NDArray[np.int64] = field(repr=False)


class EncryptedTesting:
    """The encrypted test of one purchase.

    Attributes:
        labels: True labels of the test set, [n], if the buyer has them; may be set until the test is read.
    """

    def __init__(
        self,
        actor: Actor,
        listing: ListingCheck,
        policy: BuyerPolicy,
        conduct: BuyerConduct,
        vault: Vault,
        entitlement: Entitlement,
        labels: NDArray[np.generic] | None = None,
    ) -> None:
        """Set up one test.

        Args:
            actor: The buyer's account at work.
            listing: The listing, to be verified before anything is sent.
            policy: What is asked of it.
            conduct: How the buyer behaves.
            vault: Its folder.
            entitlement: What it shows to the listing's policy.
            labels: True labels of the test set, [n].
        """
        self.labels = labels
        self._actor = actor
        self._market = actor.market
        self._listing = listing
        self._policy = policy
        self._conduct = conduct
        self._vault = vault
        self._entitlement = entitlement
        self._funding = Funding(actor)

    @property
    def purchase_name(self) -> bytes:
        """What the folder is for: market and listing."""
        return f"{self._actor.market.place}-listing-{self._listing.listing_id}".encode()

    # --------------------------------------------------------------------------------------------------- asking

    def open_session(self, samples: NDArray[np.generic]) -> int:
        """Encrypt a test set under fresh keys, pay the fee and send the request; return the trade's number.

        A repeated call goes on with the session that was begun: the fee is paid once. What counts in the quotas is the
        power of two at or above the number of samples, so that a test of 142 may as well be one of 256.

        Args:
            samples: [n, …], real numbers as the model's card describes them.

        Raises:
            ListingError, PolicyError: The listing is not good, or its fee has grown too large; nothing was sent.
            CallerError: There are fewer samples than an audit takes, or more than the quota has answers left for.
            DataError: The samples don't fit the model.
            OfferError: The listing's policy would not take what the buyer shows; nothing was sent.
            TokenError: The token of the listing keeps a part of what it moves.
            TransactionRefusedError: The quota is used up, or the account can't pay.
        """
        session = self.find_session()
        if session is None:
            if self._kept_request() is None:
                self._encrypt(samples)
            digest = he.digest(self._vault.map(REQUEST))
            session = digest, self._pay(digest)
        digest, trade_id = session
        self._deliver_request(trade_id, digest)
        return trade_id

    def _encrypt(self, samples: NDArray[np.generic]) -> None:
        """Make session and request; the request is kept last, so that it never lacks the keys to its answer."""
        self._vault.write(LISTING, self.purchase_name)
        listing = self._listing.verify()
        self._entitlement.to_session(listing.terms)  # before anything is encrypted
        manifest, wanted = listing.manifest, listing.terms.audit_samples
        if len(samples) < wanted:
            raise CallerError(f"an audit takes {wanted} samples, the test set has {len(samples)}: test with more")
        self._require_answers(he.charged_samples(len(samples)) + wanted)
        inputs = manifest.quantise(samples, listing.graph)
        with self._actor.working("keygen"):
            session = self._conduct.new_session(listing.plan, self._policy.encryption)
            session.generate_keys(len(inputs))
        with self._vault.staged(REQUEST) as path:
            with self._actor.working("encrypt"):
                session.encrypt(
                    inputs,
                    lambda done, total: self._actor.progress("encrypt", done, total),
                    path,
                    context=self._actor.request_context(listing.listing_id, self._actor.address),
                )
            self._vault.write_arrays(INPUTS, inputs)
            self._vault.write(SESSION, session.export_secret())

    def _require_answers(self, wanted: int) -> None:
        """Look at the quota before anything is encrypted; the market looks again.

        Raises:
            CallerError: It has too few answers left for this test.
        """
        listing_id = self._listing.listing_id
        left = self._market.answers_left(listing_id, self._actor.address)
        if left < wanted:
            raise CallerError(
                f"a test of so many samples takes {wanted} answers with its audit, the quota of listing {listing_id} "
                f"has {left} left for {self._actor.address}: test with fewer samples, or choose another listing"
            )

    def _pay(self, digest: bytes) -> int:
        """Open the session on the chain. The signed transaction is kept first: a crash must not pay the fee twice."""
        actor, listing_id = self._actor, self._listing.listing_id
        actor.mailbox.reserve(actor.label(Kind.REQUEST, digest))
        if self._vault.has(OPENING):
            paid_for, signed = self._opening()
            try:
                if paid_for == digest:
                    receipt = actor.transact("openSession", lambda: self._market.resend_session(signed))
                    return int(receipt.events[0].arguments["tradeId"])
            except TransactionRefusedError:
                pass  # failed, or replaced by another transaction of the account: it can't take effect any more
        samples = he.charged_samples(len(self.read_inputs()))
        listing = self._listing.verify()
        terms = listing.terms
        fee_wei = self._market.session_fee(listing_id, actor.address, samples)
        self._policy.check_fee(fee_wei, terms.token)
        evidence = self._entitlement.to_session(terms)
        self._funding.top_up(terms.token, fee_wei, self._vault, FEE_DEPOSIT)
        receipt = actor.transact(
            "openSession",
            lambda: self._market.open_session(
                actor.account,
                listing_id,
                offer_digest(listing.seller, terms),
                samples,
                digest,
                terms.ether_of(fee_wei),
                lambda signed: self._vault.write(OPENING, digest + signed),
                evidence,
            ),
        )
        return int(receipt.events[0].arguments["tradeId"])

    def send_request(self, trade_id: int) -> bool:
        """See to it that the request that was paid for lies in the mailbox; return whether it had to be written.

        Raises:
            PartyFolderError: It is kept no more, and the mailbox does not have it either.
        """
        return self._deliver_request(trade_id, self._market.session(trade_id).request_digest)

    def _deliver_request(self, trade_id: int, digest: bytes) -> bool:
        label = self._actor.label(Kind.REQUEST, digest)
        if self._actor.mailbox.needs_delivery(label) and self._kept_request() != digest:
            self._require_delivered(label, trade_id)
            return False
        return self._actor.deliver(label, self._vault, EntryKind.REQUEST_SENT, trade_id)

    def _require_delivered(self, label: Label, trade_id: int) -> None:
        """Look for a request that is no longer kept in the mailbox, as nobody can make it again.

        Raises:
            PartyFolderError: It doesn't.
        """
        if self._actor.mailbox.holds(label, self._actor.address, MAX_MESSAGE_BYTES) is None:
            raise PartyFolderError(
                f"the request of trade {trade_id} is gone from {self._actor.folder}, and the mailbox does not have it "
                "either: the trade can't go on. Put the file back; otherwise the trade ends at its deadline, and the "
                "fee comes back if the seller has not answered. For a new test name another folder."
            )

    # ---------------------------------------------------------------------------------------------------- what is kept

    def find_session(self) -> tuple[bytes, int] | None:
        """Look on the chain for the session of this folder.

        A kept transaction names it where the request is lost.

        Returns:
            Digest of the request that was paid for, and the trade's number; None where no session was opened.
        """
        paid_for = self._opening()[0] if self._vault.has(OPENING) else None
        for digest in dict.fromkeys((paid_for, self._kept_request())):
            trade_id = None if digest is None else self._market.find_session(self._actor.address, digest)
            if digest is not None and trade_id is not None:
                return digest, trade_id
        return None

    def require_session(self) -> tuple[bytes, int]:
        """Look for the session as `find_session` does.

        Raises:
            CallerError: No session was opened.
        """
        session = self.find_session()
        if session is None:
            raise CallerError("no session was opened yet: open one with a test set")
        return session

    def read_inputs(self) -> NDArray[np.int64]:
        """Read the test set on the model's grid, int64 [n, F].

        Raises:
            PartyFolderError: It is not kept.
        """
        (inputs,) = self._vault.read_arrays(INPUTS)
        return inputs

    def _opening(self) -> tuple[bytes, bytes]:
        """Read the kept transaction: digest of the request that it pays for, and its signed bytes."""
        kept = self._vault.read(OPENING)
        return kept[:32], kept[32:]

    def _kept_request(self) -> bytes | None:
        """Return the digest of the kept request; None where there is none, or what is left of it has none."""
        try:
            return he.digest(self._vault.map(REQUEST))
        except (PartyFolderError, he.WireError):
            return None

    # ---------------------------------------------------------------------------------------------------- reading

    def read(self) -> TestResult:
        """Decrypt the seller's answer, unless it was.

        Raises:
            NotDeliveredError: It has not arrived; what lies there is another's, or not what the seller committed to.
            WireError: It is no answer to the request.
            CallerError: There are not as many labels as samples.
        """
        if not self._vault.has(OUTPUTS):
            self._vault.write_arrays(OUTPUTS, self._decrypt())
        (outputs,) = self._vault.read_arrays(OUTPUTS)
        if self.labels is not None and len(self.labels) != len(outputs):
            raise CallerError(f"there are {len(self.labels)} labels for {len(outputs)} samples: give one for each")
        listing = self._listing.verify()
        post_processing = listing.manifest.output.post_processing
        assessment = assess_test(outputs, listing.audit_distance, post_processing, self.labels)
        outside = outside_reach(listing.manifest, self.read_inputs(), outputs)
        return TestResult(outputs, post_processing.predict(outputs), assessment, outside)

    def _decrypt(self) -> NDArray[np.float64]:
        request_digest, trade_id = self.require_session()
        trade, listing = self._market.trade(trade_id), self._listing.verify()
        digest = self._market.event(trade_id, Answered).response_digest
        response = self._receive_response(trade_id, digest, response_limit_bytes(listing.plan, trade.samples))
        self._vault.write(ANSWER, answer_digest(self._own_session(request_digest, trade.samples), digest))
        self._actor.note(EntryKind.RESPONSE_RECEIVED, trade_id=trade_id, details={"bytes": len(response)})
        session = he.ClientSession(listing.plan, self._policy.encryption, kept=self._vault.read(SESSION))
        session.expect_response(digest)
        self._vault.write(SESSION, session.export_secret())  # before anything is decrypted: a restart must know
        with self._actor.working("decrypt"):
            return session.decrypt(response, lambda done, total: self._actor.progress("decrypt", done, total))

    def _receive_response(self, trade_id: int, digest: bytes, limit_bytes: int) -> bytes:
        """Take the response, once it is the one that the seller has committed to."""

        def read(message: Incoming) -> bytes:
            response = message.read()
            if he.digest(response) != digest:
                raise he.WireError("the response is not the one that the seller committed to on the chain: don't buy")
            return response

        label = self._actor.label(Kind.RESPONSE, digest, trade_id)
        return self._actor.mailbox.take(label, self._listing.verify().seller, limit_bytes, read)

    def _own_session(self, request_digest: bytes, samples: int) -> bytes:
        """Return the digest of the session that the request was made for, whatever the trade's number means now."""
        listing = self._listing.verify()
        offer = offer_digest(listing.seller, listing.terms)
        return session_digest(self._actor.address, offer, samples, request_digest)
