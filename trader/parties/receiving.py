"""The buyer's last moves: it accepts the encrypted model, checks it once its key is revealed, and confirms or disputes.

The ciphertext is checked against the proven root before its key is asked for, and the model against everything that was
listed, proven and seen before it is confirmed. The fault of a delivery is its own evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts import Acceptance, delivery_digest
from ledger import EntryKind, as_reason
from trader.delivery import CiphertextError, DeliveryFaultError, ciphertext_tree, key_hash, verify_ciphertext
from trader.errors import NotYetError, PartyFolderError
from trader.exchange import EncryptionKey, Incoming, Kind, Purpose
from trader.model import CanonicalModel, delivered_model_bytes
from trader.parties.filenames import ACCEPTANCE, CIPHERTEXT, DELIVERED, ENCRYPTION_KEY
from trader.parties.messages import delivery_bytes
from trader.trade import Accepted, Confirmed, Proven, Revealed, Slashed
from trader.verify import verify_delivery

if TYPE_CHECKING:
    from trader.chain.market import Trade
    from trader.parties.actor import Actor
    from trader.parties.listing_check import ListingCheck
    from trader.parties.purchasing import Purchasing
    from trader.parties.vault import Vault
    from trader.verify import BuyerPolicy


class Receiving:
    """The delivery of one purchase."""

    def __init__(
        self, actor: Actor, listing: ListingCheck, policy: BuyerPolicy, vault: Vault, purchasing: Purchasing
    ) -> None:
        """Set up one delivery.

        Args:
            actor: The buyer's account at work.
            listing: The listing.
            policy: How long a signed acceptance waits for its key.
            vault: The buyer's folder.
            purchasing: What it has committed to.
        """
        self._actor = actor
        self._market = actor.market
        self._listing = listing
        self._policy = policy
        self._vault = vault
        self._purchasing = purchasing

    def ask_for_key(self, trade_id: int) -> None:
        """Accept the delivery: by signature, and by a transaction if the seller leaves that unused (or none is made).

        Raises:
            NotYetError: The seller has the signature, and time to use it.
            IllegalMoveError, AnswerError, NotDeliveredError: As `accept`.
        """
        trade = self._actor.require_legal(Accepted, trade_id)
        accepts_at = self.accepts_at(trade)
        if self._market.chain.time().latest >= accepts_at:
            self.accept(trade_id)
            return
        if not self._has_signed(trade):
            self._check_and_download(trade)
            typed_data = self._acceptance(trade).typed_data(*self._place)
            self._vault.write(ACCEPTANCE, bytes(self._actor.account.sign_typed_data(*typed_data).signature))
        label = self._actor.label(Kind.ACCEPTANCE, trade.digest, trade_id)
        if not self._actor.deliver(label, self._vault, EntryKind.ACCEPTANCE_SENT, trade_id):
            raise NotYetError(
                f"the seller can reveal the key of trade {trade_id} by the signed acceptance that it was sent; if it "
                f"doesn't, the buyer accepts by a transaction at {accepts_at} (Unix time)."
            )

    def accept(self, trade_id: int) -> None:
        """Check proof and encrypted model, unless that was signed, and accept the delivery by a transaction.

        Raises:
            IllegalMoveError: The seller has not proven, or the deadline has passed.
            AnswerError: The proven outputs are not what was tested: don't accept; the price comes back, but for the
                proof fee.
            NotDeliveredError: The model has not arrived; what lies there is another's, or not what the seller proved.
        """
        trade = self._actor.require_legal(Accepted, trade_id)
        if not self._has_signed(trade):
            self._check_and_download(trade)
        self._actor.transact("accept", lambda: self._market.accept(self._actor.account, trade_id, trade.digest))

    def accepts_at(self, trade: Trade) -> int:
        """Return the Unix time from which the buyer accepts a proven trade by a transaction."""
        window_seconds = self._listing.verify().terms.windows.acceptance_seconds
        return self._policy.accepts_at(trade.position.deadline_seconds, window_seconds)

    def _check_and_download(self, trade: Trade) -> None:
        """Check the proven outputs, download the encrypted model and check it against the proven root."""
        self._purchasing.check_proven(trade)
        proven = self._market.event(trade.trade_id, Proven)
        with self._actor.working("download"):
            ciphertext = self._receive_model(trade.trade_id, proven.ciphertext_root)
        self._vault.write(CIPHERTEXT, ciphertext)
        downloaded = {"bytes": len(ciphertext)}
        self._actor.note(EntryKind.DELIVERY_DOWNLOADED, trade_id=trade.trade_id, details=downloaded)

    def _acceptance(self, trade: Trade) -> Acceptance:
        """Return what is signed: after a reorganisation the delivery may be another one, and is checked anew."""
        return Acceptance(trade.trade_id, trade.digest)

    def _has_signed(self, trade: Trade) -> bool:
        kept = self._vault.read(ACCEPTANCE) if self._vault.has(ACCEPTANCE) else b""
        return self._acceptance(trade).is_signed_by(self._actor.address, kept, *self._place)

    @property
    def _place(self) -> tuple[int, str]:
        """Chain and market that a signature is for."""
        return self._market.chain.chain_id, self._market.deployment.market

    def _receive_model(self, trade_id: int, root: bytes) -> bytes:
        """Take the encrypted model, once it is the one with the proven root."""
        listing = self._listing.verify()
        chunk_count = listing.columns.chunk_count
        context = self._actor.envelope_context(listing.terms.manifest_hash, trade_id, Purpose.MODEL)

        key = EncryptionKey(self._vault.read(ENCRYPTION_KEY))  # before: that it is gone is not the message's fault

        def open_model(message: Incoming) -> bytes:
            ciphertext = key.open(message.read(), context)
            verify_ciphertext(ciphertext, root, chunk_count)
            return ciphertext

        label = self._actor.label(Kind.MODEL, root, trade_id)
        return self._actor.mailbox.take(label, listing.seller, delivery_bytes(chunk_count), open_model)

    def check_and_confirm(self, trade_id: int) -> bool:
        """Decrypt and check the model; confirm it, or win the dispute with the evidence of its fault.

        Returns:
            True where the model is right and the trade settled, False where the seller was slashed.

        Raises:
            IllegalMoveError: The key is not revealed, or the dispute window has passed.
            DeliveredModelError: A fault that the escrow does not decide about; neither confirmed nor disputed.
        """
        self._actor.require_legal(Confirmed, trade_id)
        key = self._market.event(trade_id, Revealed).key
        try:
            self.open_delivery(trade_id, key)
        except DeliveryFaultError as fault:
            self._dispute(trade_id, key, fault)
            return False
        # Of what was checked, not of what the chain says now.
        delivery = delivery_digest(ciphertext_tree(self._vault.read(CIPHERTEXT)).root, key_hash(key))
        self._actor.transact("confirm", lambda: self._market.confirm(self._actor.account, trade_id, delivery))
        return True

    def open_delivery(self, trade_id: int, key: bytes) -> None:
        """Decrypt, check and keep the model.

        Raises:
            DeliveryFaultError, DeliveryCheckError: It is not what was listed and proven.
        """
        self._actor.note(EntryKind.KEY_RECEIVED, trade_id=trade_id)
        proven = self._market.event(trade_id, Proven)
        with self._actor.working("check"):
            ciphertext = self._kept_ciphertext(trade_id, proven.ciphertext_root)
            audited = self._purchasing.audited_samples()
            model = verify_delivery(self._listing.verify(), ciphertext, key, proven.key_hash, audited)
        self._vault.write_arrays(DELIVERED, *model.tensors)
        self._actor.note(EntryKind.DELIVERY_VERIFIED, trade_id=trade_id)

    def _kept_ciphertext(self, trade_id: int, root: bytes) -> bytes:
        """Read what was accepted, whole: a bit that the buyer's own disk lost would look like the seller's fault.

        Raises:
            NotDeliveredError: It is damaged or gone, and the mailbox does not have it any more.
        """
        try:
            ciphertext = self._vault.read(CIPHERTEXT)
            verify_ciphertext(ciphertext, root, self._listing.verify().columns.chunk_count)
        except (CiphertextError, PartyFolderError):
            ciphertext = self._receive_model(trade_id, root)
            self._vault.write(CIPHERTEXT, ciphertext)
        return ciphertext

    def _dispute(self, trade_id: int, key: bytes, fault: DeliveryFaultError) -> None:
        self._actor.note(EntryKind.DELIVERY_REFUSED, trade_id=trade_id, details={"reason": as_reason(fault)})
        self._actor.require_legal(Slashed, trade_id)
        account, statement = self._actor.account, self._listing.verify().statement
        self._actor.transact("dispute", lambda: self._market.dispute(account, trade_id, key, fault.evidence, statement))

    # --------------------------------------------------------------------------------------------- what was bought

    def has_model(self) -> bool:
        """Return whether a model was delivered and passed every check."""
        return self._vault.has(DELIVERED)

    def delivered_model(self) -> CanonicalModel:
        """Read the bought model, once it was checked.

        Raises:
            PartyFolderError: It was not delivered, or not checked.
        """
        listing = self._listing.verify()
        return CanonicalModel(listing.graph, self._vault.read_arrays(DELIVERED), listing.manifest.scale_bits)

    def delivered_onnx(self) -> bytes:
        """Return the bought model as an ordinary ONNX file.

        Raises:
            PartyFolderError: It was not delivered, or not checked.
        """
        return delivered_model_bytes(self.delivered_model(), self._listing.verify().manifest)
