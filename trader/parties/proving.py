"""The seller's second move: it proves the buyer's audit samples, locks its bond, and delivers the encrypted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from ledger import EntryKind
from trader.certificates import published_proofs
from trader.chain.market import ProofOffer
from trader.delivery import ciphertext_tree, encrypt_artifact, key_hash
from trader.errors import NotYetError, PartyFolderError, RequestError
from trader.exchange import Context, Kind, Purpose, seal
from trader.package import PUBLIC, DamagedPackageError
from trader.parties.engine import ProofJob
from trader.parties.filenames import BOND_DEPOSIT, CIPHERTEXT_ROOT, DELIVERY_KEY, MODEL
from trader.parties.funding import Funding
from trader.parties.messages import Order, order_limit_bytes
from trader.trade import Proven, Purchased, State
from zk import Proof, commitment_digest, input_commitment, prove
from zk.errors import StatementError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain.market import Trade
    from trader.parties.actor import Actor
    from trader.parties.conduct import SellerConduct
    from trader.parties.engine import Engine
    from trader.parties.goods import Goods
    from trader.parties.vault import Vault


class Proving:
    """Proves and delivers in a seller's trades."""

    def __init__(
        self,
        actor: Actor,
        goods: Goods,
        conduct: SellerConduct,
        vault: Callable[[int], Vault],
        require_spare_time: Callable[[Trade], None],
        engine: Engine,
    ) -> None:
        """Set up the proofs of one seller.

        Args:
            actor: The seller's account at work.
            goods: What it sells.
            conduct: How it behaves.
            vault: Gives the secrets of a trade.
            require_spare_time: Raises TooLateError where too little time is left for a proof to be mined.
            engine: Makes proofs.
        """
        self._actor = actor
        self._market = actor.market
        self._goods = goods
        self._conduct = conduct
        self._vault = vault
        self._require_spare_time = require_spare_time
        self._engine = engine
        self._funding = Funding(actor)
        self._orders: dict[tuple[int, bytes], Order] = {}

    def prove(self, trade_id: int) -> None:
        """Prove the buyer's audit samples, lock the bond, and deliver the encrypted model.

        The model leaves once the proof is confirmed: at once, or with a later step.

        Raises:
            IllegalMoveError: The trade is not waiting for a proof.
            NotDeliveredError: The audit samples have not arrived; what lies there is another's, or not what the buyer
                committed to.
            NotYetError: The buyer leaves less for a proof that it doesn't accept than is due by now; nothing is sent.
            ProofBudgetError: One more proof would say something about the parameters; nothing is sent.
            DamagedPackageError: The package is no longer what is listed; nothing is sent.
            TooLateError: Too little time is left for the proof to be mined; nothing is sent.
            TokenError: The token that the bond is in keeps a part of what it moves.
        """
        trade = self._actor.require_legal(Proven, trade_id)
        self._require_spare_time(trade)
        self._require_proof_fee(trade)
        self._require_listed_package(trade)
        purchase = self._market.event(trade_id, Purchased)
        order = self._order(trade, purchase)
        proof = self._make_proof(trade, purchase.input_commitment, order)
        offer = self._encrypt_model(trade_id, purchase, order, proof)
        terms = self._market.listing(trade.listing_id).terms
        self._require_spare_time(trade)  # proving took its time
        self._funding.top_up(terms.token, terms.bond_wei, self._vault(trade_id), BOND_DEPOSIT)
        account, value_wei = self._actor.account, terms.ether_of(terms.bond_wei)
        self._actor.transact("prove", lambda: self._market.prove(account, trade_id, offer, value_wei, confirmed=False))
        if self._market.trade(trade_id).position.state is State.PROVEN:
            self.send_model(trade_id)

    def send_model(self, trade_id: int) -> bool:
        """See to it that the encrypted model lies in the mailbox; return whether it had to be written."""
        vault = self._vault(trade_id)
        if not (vault.has(CIPHERTEXT_ROOT) and vault.has(MODEL)):
            self._restore_model(trade_id)
        for key in [key for key in self._orders if key[0] == trade_id]:
            del self._orders[key]  # nothing is proven for it any more
        label = self._actor.label(Kind.MODEL, vault.read(CIPHERTEXT_ROOT), trade_id)
        return self._actor.deliver(label, vault, EntryKind.DELIVERY_OFFERED, trade_id)

    def proven_statements(self) -> list[bytes]:
        """Return digests of what every proof of this manifest that stands in this market depends on.

        Whatever the package remembers: `ProofBudget.count` takes them.
        """
        proven = self._market.find_proven(self._actor.address, self._goods.manifest.manifest_hash())
        return [self._statement(trade_id, commitment) for trade_id, commitment in proven.items()]

    # ------------------------------------------------------------------------------------------- before the proof

    def _require_proof_fee(self, trade: Trade) -> None:
        """Look whether the buyer covers the proof fee, which proofs that others have not accepted raise.

        Raises:
            NotYetError: The buyer has not agreed to so much; proofs that are accepted make it less again.
        """
        due = self._market.proof_fees(trade.listing_id)
        if due > trade.proof_fees:
            raise NotYetError(
                f"the buyer of trade {trade.trade_id} leaves {trade.proof_fees} proof fees for a proof that it doesn't "
                f"accept, {due} are due while so many proofs wait to be accepted or were not: not proven for now. If "
                "that doesn't change, the deadline returns the price."
            )

    def _require_listed_package(self, trade: Trade) -> None:
        """Refuse to deliver what is not listed: honest or not, a delivery that differs by a bit is slashed."""
        listed = self._market.listing(trade.listing_id).terms.manifest_hash
        served = self._goods.manifest.manifest_hash()
        if listed != served:
            raise DamagedPackageError(
                f"trade {trade.trade_id} is of a listing whose manifest is 0x{listed.hex()}, this package has "
                f"0x{served.hex()}. Serve it with the package that was listed."
            )
        self._conduct.check_deliverable(self._goods.package)

    def _order(self, trade: Trade, purchase: Purchased) -> Order:
        """Return the buyer's audit samples, received and checked once while they are proven."""
        key = trade.trade_id, purchase.input_commitment
        if key not in self._orders:
            self._orders[key] = self._receive_order(trade, purchase)
        return self._orders[key]

    def _receive_order(self, trade: Trade, purchase: Purchased) -> Order:
        """Take the buyer's audit samples, once they are those of its input commitment."""
        label = self._actor.label(Kind.AUDIT_INPUTS, purchase.input_commitment, trade.trade_id)
        limit_bytes = order_limit_bytes(self._goods.circuit)
        order = self._actor.mailbox.take(
            label, trade.buyer, limit_bytes, lambda message: self._open_order(message.read(), trade, purchase)
        )
        samples = {"samples": len(order.inputs.samples)}
        self._actor.note(EntryKind.AUDIT_INPUTS_RECEIVED, trade_id=trade.trade_id, details=samples)
        return order

    def _open_order(self, sealed: bytes, trade: Trade, purchase: Purchased) -> Order:
        """Open what the buyer has sealed, if it is what it has committed to.

        Raises:
            EnvelopeError, MessageError, RequestError: It is not, or no model can be sealed to its reply key.
        """
        goods = self._goods
        context = self._context(trade.trade_id, Purpose.AUDIT_INPUTS)
        order = Order.decode(goods.package.encryption_key.open(sealed, context), goods.circuit)
        try:
            points = input_commitment(goods.circuit, order.inputs.samples, order.inputs.salt, goods.srs)
        except StatementError as error:
            raise RequestError(f"the audit samples of trade {trade.trade_id} don't fit the circuit: {error}") from error
        if commitment_digest(points) != purchase.input_commitment:
            raise RequestError(
                f"the audit samples of trade {trade.trade_id} are not those that the buyer committed to: "
                f"0x{commitment_digest(points).hex()}, committed was 0x{purchase.input_commitment.hex()}"
            )
        seal(order.reply_key, b"", context)  # before a proof is made: the chain does not vouch for this key
        return order

    # ------------------------------------------------------------------------------------------ proof and delivery

    def _make_proof(self, trade: Trade, commitment: bytes, order: Order) -> Proof:
        """Return the trade's proof, made once and counted in the package's budget."""
        budget, goods, inputs = self._goods.package.budget, self._goods, order.inputs
        budget.count(self.proven_statements())
        budget.count_proofs(published_proofs(goods.package.folder / PUBLIC, goods.manifest))
        statement, context = self._statement(trade.trade_id, commitment), self._market.proof_context(trade.trade_id)
        job = ProofJob(statement, trade.buyer, goods.package.folder, goods.folder, inputs.samples, inputs.salt, context)
        return budget.publish(statement, lambda: self._engine.prove(job, lambda: self._prove(job)))

    def _prove(self, job: ProofJob) -> Proof:
        """Prove in this process what the package's parameters give for the buyer's audit samples."""
        goods = self._goods
        with self._actor.working("prove"):
            return prove(
                goods.circuit, job.samples, job.salt, goods.package.canonical.tensors, goods.srs, context=job.context
            )

    def _encrypt_model(self, trade_id: int, purchase: Purchased, order: Order, proof: Proof) -> ProofOffer:
        """Encrypt the model, keep it sealed to the buyer, and return what is offered on the chain."""
        goods, vault = self._goods, self._vault(trade_id)
        key = self._delivery_key(trade_id, vault)
        ciphertext = encrypt_artifact(self._conduct.delivered_artifact(goods), key)
        root = ciphertext_tree(ciphertext).root
        vault.write(CIPHERTEXT_ROOT, root)
        vault.write(MODEL, seal(order.reply_key, ciphertext, self._context(trade_id, Purpose.MODEL)))
        self._actor.mailbox.reserve(self._actor.label(Kind.MODEL, root, trade_id))
        made = {"bytes": len(proof.data), "samples": goods.circuit.audit_samples}
        self._actor.note(EntryKind.PROOF_MADE, trade_id=trade_id, details=made)
        answer = self._market.answer(trade_id)
        return ProofOffer(proof, goods.circuit, goods.statement, answer, purchase.outputs_digest, root, key_hash(key))

    def _delivery_key(self, trade_id: int, vault: Vault) -> bytes:
        """Return the trade's delivery key, made and kept once: a repeated `prove` delivers the same ciphertext.

        It follows from the folder's key and the session, so that a restored backup has no other key for the same trade
        (decision record 0051).
        """
        if not vault.has(DELIVERY_KEY):
            vault.write(DELIVERY_KEY, vault.derive(DELIVERY_KEY, self._market.session(trade_id).digest))
        return vault.read(DELIVERY_KEY)

    # -------------------------------------------------------------------------------- after a backup was restored

    def restore_key(self, trade_id: int) -> bytes:
        """Return the delivery key that was proven; a folder that lacks it, restored from a backup, gets it again.

        Raises:
            PartyFolderError: The folder's key is another one than when the trade was proven.
        """
        vault, proven = self._vault(trade_id), self._market.event(trade_id, Proven)
        if vault.has(DELIVERY_KEY):
            return vault.read(DELIVERY_KEY)
        key = vault.derive(DELIVERY_KEY, self._market.session(trade_id).digest)
        if key_hash(key) != proven.key_hash:
            raise PartyFolderError(
                f"the delivery key of trade {trade_id} is not in {vault.folder}, and does not follow from the folder's "
                "key: restore a newer backup, or else its deadline returns price and bond, but for the proof fee."
            )
        vault.write(DELIVERY_KEY, key)
        return key

    def _restore_model(self, trade_id: int) -> None:
        """Make what was delivered again, from the package and the proven key.

        Raises:
            PartyFolderError: The key is lost, or this is not what was proven.
            NotDeliveredError: The buyer's order is lost as well; the buyer sends it again when it misses the model.
        """
        vault, key = self._vault(trade_id), self.restore_key(trade_id)
        trade, proven = self._market.trade(trade_id), self._market.event(trade_id, Proven)
        order = self._order(trade, self._market.event(trade_id, Purchased))
        ciphertext = encrypt_artifact(self._conduct.delivered_artifact(self._goods), key)
        if ciphertext_tree(ciphertext).root != proven.ciphertext_root:
            raise PartyFolderError(
                f"what was proven in trade {trade_id} is not this package's model: restore a backup."
            )
        vault.write(CIPHERTEXT_ROOT, proven.ciphertext_root)
        vault.write(MODEL, seal(order.reply_key, ciphertext, self._context(trade_id, Purpose.MODEL)))

    def _statement(self, trade_id: int, input_commitment: bytes) -> bytes:
        """Return the digest of what a trade's proof depends on; it names the trade in which the proof is used."""
        context = self._market.proof_context(trade_id)
        return keccak(self._goods.manifest.manifest_hash() + context + input_commitment)

    def _context(self, trade_id: int, purpose: Purpose) -> Context:
        """Return what an envelope of a trade is bound to."""
        return self._actor.envelope_context(self._goods.manifest.manifest_hash(), trade_id, purpose)
