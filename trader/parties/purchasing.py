"""The buyer's second move: it checks the test, pays, commits to audit samples, and checks what was proven for them.

The outputs of these samples stay here, behind a salted digest: from those of a crafted response its maker would read
the secret key (decision record 0024).
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import numpy as np

from contracts import ETH
from ledger import EntryKind
from trader import he
from trader.errors import AnswerError, NotYetError, PolicyError, PriceRaisedError
from trader.exchange import AuditInputs, EncryptionKey, Kind, Label, Purpose, seal
from trader.parties.filenames import (
    AGREEMENT,
    ANSWER,
    ENCRYPTION_KEY,
    ORDER,
    PRICE_DEPOSIT,
    PROOF_REFUSED,
    PURCHASE,
    TEST_REFUSED,
)
from trader.parties.funding import Funding
from trader.parties.messages import Order
from trader.parties.purchase import Purchase
from trader.trade import Purchased
from trader.verify import AuditedSamples, Comparison, UncertainTestError, check_range, compare_proven
from zk import commitment_digest, draw_input_salt, input_commitment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.chain.market import Trade
    from trader.parties.actor import Actor
    from trader.parties.conduct import BuyerConduct
    from trader.parties.entitlement import Asking, Entitlement
    from trader.parties.listing_check import ListingCheck
    from trader.parties.testing import EncryptedTesting
    from trader.parties.vault import Vault
    from trader.verify import BuyerPolicy


class Purchasing:
    """The payment of one purchase, and what was committed to with it.

    Attributes:
        proposed: What the buyer was asked for when it had to decide; None before.
    """

    def __init__(
        self,
        actor: Actor,
        listing: ListingCheck,
        policy: BuyerPolicy,
        conduct: BuyerConduct,
        vault: Vault,
        testing: EncryptedTesting,
        entitlement: Entitlement,
    ) -> None:
        """Set up one purchase.

        Args:
            actor: The buyer's account at work.
            listing: The listing.
            policy: What is asked of it.
            conduct: How the buyer behaves.
            vault: Its folder.
            testing: Its encrypted test.
            entitlement: What it shows to the listing's policy.
        """
        self._actor = actor
        self._market = actor.market
        self._listing = listing
        self._policy = policy
        self._conduct = conduct
        self._vault = vault
        self._testing = testing
        self._entitlement = entitlement
        self.proposed: Asking | None = None
        self._funding = Funding(actor)

    def purchase(self, trade_id: int) -> None:
        """Lock the price, commit to k samples and the outputs seen for them, and send these samples to the seller.

        Raises:
            IllegalMoveError: The seller has not answered, or the deadline has passed.
            WireError: The answer does not decrypt.
            AnswerError: It holds outputs that are no model's; nothing was committed to.
            UncertainTestError: The tolerance leaves room for a model with other classes or values; nothing was paid.
            NotYetError: The proof fee is more than the policy allows at present; nothing was paid.
            OfferError: The offer that the buyer holds is no good any more; nothing was paid.
            PriceRaisedError: The model costs more than what the buyer has agreed to; nothing was paid.
            TokenError: The token of the listing keeps a part of what it moves; nothing was paid for the model.
        """
        trade = self._actor.require_legal(Purchased, trade_id)
        if not self._vault.has(PURCHASE):
            self._check_test(trade)
            self._commit(trade_id)
        purchase, terms = self.kept_purchase(), self._listing.verify().terms
        asking = self.require_agreed()
        self._require_proof_fee(asking.price)
        self._actor.note(
            EntryKind.OUTPUTS_COMMITTED,
            trade_id=trade_id,
            details={"input_commitment": f"0x{purchase.input_commitment.hex()}", "samples": len(purchase.rows)},
        )
        self._actor.mailbox.reserve(self._order_label(trade_id))
        self._funding.top_up(terms.token, asking.price, self._vault, PRICE_DEPOSIT)
        self._actor.transact(
            "purchase",
            lambda: self._market.purchase(
                self._actor.account,
                trade_id,
                self._vault.read(ANSWER),
                purchase.input_commitment,
                purchase.outputs_digest,
                price_wei=asking.price,
                highest_proof_fees=terms.proof_fees_in(self._policy.highest_proof_fee(asking.price), asking.price),
                in_ether=terms.token == ETH,
                evidence=asking.evidence,
            ),
        )
        self.send_order(trade_id)

    def send_order(self, trade_id: int) -> bool:
        """See to it that the audit samples lie in the mailbox; return whether they had to be written."""
        return self._actor.deliver(self._order_label(trade_id), self._vault, EntryKind.AUDIT_INPUTS_SENT, trade_id)

    def kept_purchase(self) -> Purchase:
        """Read what was committed to.

        Raises:
            PartyFolderError: Nothing was, yet.
        """
        return Purchase.decode(self._vault.read(PURCHASE))

    def audited_samples(self) -> AuditedSamples:
        """Read the samples that were committed to, on the model's grid, and the outputs seen for them.

        Raises:
            PartyFolderError: Nothing was committed to, yet.
        """
        purchase = self.kept_purchase()
        return AuditedSamples(self._testing.read_inputs()[purchase.rows], purchase.outputs)

    # ----------------------------------------------------------------------------------------------- the price

    def asking(self) -> Asking:
        """Return what the model costs this buyer now, if the policy allows it.

        Raises:
            OfferError: The offer that the buyer holds is no good any more.
            PolicyError: It is more than the policy allows.
        """
        terms = self._listing.verify().terms
        asking = self._entitlement.to_purchase(terms)
        self._policy.check_price(asking.price, terms.token)
        return asking

    def is_agreed(self) -> bool:
        """Return whether the buyer has said yes to a price."""
        return self._vault.has(AGREEMENT)

    def propose(self) -> Asking:
        """Look what is asked, once, before the buyer decides: what it is shown is what it agrees to (`proposed`)."""
        self.proposed = self.asking()
        return self.proposed

    def agree(self, asking: Asking) -> None:
        """Keep that the buyer has said yes to a price: it pays no more than that, in no other currency."""
        token = self._listing.verify().terms.token
        self._vault.write(AGREEMENT, json.dumps({"token": token, "price": asking.price}).encode())

    def require_agreed(self) -> Asking:
        """Return what is asked, if the buyer has agreed to so much; who has agreed to nothing does so now.

        Raises:
            PriceRaisedError: It has agreed to less, or to another currency.
        """
        asking = self.asking()
        if not self.is_agreed():
            self.agree(asking)
        kept, terms = json.loads(self._vault.read(AGREEMENT)), self._listing.verify().terms
        if kept["token"] != terms.token or asking.price > kept["price"]:
            currencies = self._policy.currencies
            raise PriceRaisedError(
                f"the model costs {currencies.of(terms.token).format(asking.price)} now, and you have agreed to "
                f"{currencies.of(kept['token']).format(kept['price'])}: nothing was paid for it. Ask the seller for an "
                "offer of that price (`--offer`), or let the deadline pass and begin anew (`--again`)."
            )
        return asking

    # -------------------------------------------------------------------------------------------- before the price

    def _require_proof_fee(self, price_wei: int) -> None:
        """Look whether the policy allows what is due to the seller now for a proof that is not accepted.

        Raises:
            NotYetError: It doesn't; proofs that are accepted lower it again.
        """
        due = min(self._market.proof_fee(self._listing.listing_id), price_wei)
        try:
            self._policy.check_proof_fee(due, price_wei, self._listing.verify().terms.token)
        except PolicyError as error:
            raise NotYetError(
                f"{error} Others have raised it: waiting for proofs that are accepted, until the deadline."
            ) from error

    def _check_test(self, trade: Trade) -> None:
        """Run checks (1) to (3) of the answers (`trader.verify.answers`).

        Raises:
            AnswerError, UncertainTestError: One fails.
        """
        listing, result = self._listing.verify(), self._testing.read()
        try:
            plan = listing.plan.for_samples(trade.samples)
            check_range(result.outputs, plan, listing.circuit.output_scale_bits, listing.terms.tolerance)
            self._policy.check_test(result.assessment)
        except (AnswerError, UncertainTestError) as error:
            self._note_refusal(EntryKind.TEST_REFUSED, TEST_REFUSED, trade, error)
            raise

    def _commit(self, trade_id: int) -> None:
        """Choose the audit samples, commit to them, and keep everything that the rest of the trade needs."""
        listing, seen = self._listing.verify(), self._testing.read().outputs
        scale_bits = listing.manifest.circuit.commit_scale_bits
        rows = _choose_rows(len(seen), listing.terms.audit_samples)
        outputs = self._conduct.committed_outputs(he.commit_outputs(seen[rows], scale_bits), scale_bits)
        salt, inputs = draw_input_salt(listing.circuit), self._testing.read_inputs()[rows]
        points = input_commitment(listing.circuit, inputs, salt, listing.srs)
        reply_key = EncryptionKey.generate()
        order = Order(reply_key.public_key, AuditInputs(inputs, salt))
        context = self._actor.envelope_context(listing.terms.manifest_hash, trade_id, Purpose.AUDIT_INPUTS)
        seller_key = bytes.fromhex(listing.manifest.encryption_public_key[2:])
        self._vault.write(ENCRYPTION_KEY, reply_key.secret)
        self._vault.write(ORDER, seal(seller_key, order.encode(), context))
        self._vault.write(PURCHASE, Purchase(rows, outputs, commitment_digest(points)).encode())

    def _order_label(self, trade_id: int) -> Label:
        return self._actor.label(Kind.AUDIT_INPUTS, self.kept_purchase().input_commitment, trade_id)

    # -------------------------------------------------------------------------------------------- after the proof

    def compare_proven(self, trade_id: int) -> Comparison:
        """Compare the proven outputs of the audit samples with those seen.

        Raises:
            AnswerError: They can't be read from the chain, or there are not as many as were committed to.
            CallerError: Nothing was proven.
        """
        listing, rows = self._listing.verify(), self.kept_purchase().rows
        proven = self._market.proven_outputs(trade_id, listing.terms.audit_samples * listing.layout.outputs)
        labels = self._testing.labels
        return compare_proven(
            listing,
            proven,
            self.audited_samples(),
            self._testing.read().outputs[rows],
            None if labels is None else labels[rows],
        )

    def check_proven(self, trade: Trade) -> None:
        """Run checks (4) and (5) of the answers (`trader.verify.answers`).

        Raises:
            AnswerError: One fails.
        """
        try:
            self._policy.check_proven(self.compare_proven(trade.trade_id))
        except AnswerError as error:
            self._note_refusal(EntryKind.PROOF_REFUSED, PROOF_REFUSED, trade, error)
            raise

    # -------------------------------------------------------------------------------------------------- refusals

    def _note_refusal(self, kind: EntryKind, name: str, trade: Trade, error: AnswerError | UncertainTestError) -> None:
        """Log why the buyer does not go on, once: the next step looks again, as its policy may be another one."""
        if not self._vault.has(name):
            self._actor.note(kind, trade_id=trade.trade_id, details={"reason": error.finding})
            self._vault.write(name, str(error).encode())

    def read_refusal(self) -> str | None:
        """Read why the buyer did not pay after the test, or did not accept the proof; None where it refused neither."""
        for name in (PROOF_REFUSED, TEST_REFUSED):
            if self._vault.has(name):
                return self._vault.read(name).decode()
        return None


def _choose_rows(samples: int, audit_samples: int) -> NDArray[np.int64]:
    """Choose rows of the test set at random: a seller that answers some wrong can't know which will be audited."""
    chosen = secrets.SystemRandom().sample(range(samples), audit_samples)
    return np.array(sorted(chosen), dtype=np.int64)
