"""The buyer's last moves: it accepts the encrypted model, checks it once its key is revealed, and confirms or disputes.

The ciphertext is checked against the proven root before its key is asked for, and the model against everything that was
listed, proven and seen before it is confirmed. The fault of a delivery is its own evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts import delivery_digest
from ledger import EntryKind, as_reason
from trader.delivery import CiphertextError, DeliveryFaultError, ciphertext_tree, key_hash, verify_ciphertext
from trader.errors import PartyFolderError
from trader.exchange import EncryptionKey, Incoming, Kind, Purpose
from trader.model import CanonicalModel, delivered_model_bytes
from trader.parties.filenames import CIPHERTEXT, DELIVERED, ENCRYPTION_KEY
from trader.parties.messages import delivery_bytes
from trader.trade import Accepted, Confirmed, Proven, Revealed, Slashed
from trader.verify import verify_delivery

if TYPE_CHECKING:
    from trader.parties.actor import Actor
    from trader.parties.listing_check import ListingCheck
    from trader.parties.purchasing import Purchasing
    from trader.parties.vault import Vault


class Receiving:
    """The delivery of one purchase."""

    def __init__(self, actor: Actor, listing: ListingCheck, vault: Vault, purchasing: Purchasing) -> None:
        """Set up one delivery.

        Args:
            actor: The buyer's account at work.
            listing: The listing.
            vault: The buyer's folder.
            purchasing: What it has committed to.
        """
        self._actor = actor
        self._market = actor.market
        self._listing = listing
        self._vault = vault
        self._purchasing = purchasing

    def accept(self, trade_id: int) -> None:
        """Check the proven outputs, download the encrypted model, check it against the proven root, ask for its key.

        Raises:
            IllegalMoveError: The seller has not proven, or the deadline has passed.
            AnswerError: The proven outputs are not what was tested: don't accept; the price comes back, but for the
                proof fee.
            NotDeliveredError: The model has not arrived; what lies there is another's, or not what the seller proved.
        """
        trade = self._actor.require_legal(Accepted, trade_id)
        self._purchasing.check_proven(trade)
        proven = self._market.event(trade_id, Proven)
        with self._actor.working("download"):
            ciphertext = self._receive_model(trade_id, proven.ciphertext_root)
        self._vault.write(CIPHERTEXT, ciphertext)
        self._actor.note(EntryKind.DELIVERY_DOWNLOADED, trade_id=trade_id, details={"bytes": len(ciphertext)})
        delivery = delivery_digest(proven.ciphertext_root, proven.key_hash)
        self._actor.transact("accept", lambda: self._market.accept(self._actor.account, trade_id, delivery))

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
