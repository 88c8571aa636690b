"""A market on a fresh embedded chain, and trades on it that count their gas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.statement import CONTEXT
from contracts import (
    MOST_PROOF_FEES,
    Acceptance,
    Statement,
    Terms,
    answer_digest,
    bind_verifier,
    delivery_digest,
    offer_digest,
    session_digest,
)
from trader.chain import Chain
from trader.chain.market import ProofOffer
from trader.delivery.cipher import key_hash
from trader.demo.setup import (
    ANSWER_FEE_WEI,
    BOND_WEI,
    PRICE_WEI,
    PROOF_FEE_WEI,
    WEI_PER_ETHER,
    WINDOWS,
    funded_account,
    open_market,
)
from zk import commitment_digest
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from benchmarks.disputes import Dispute
    from benchmarks.statement import Statement as Proven

FUNDS_WEI = 1000 * WEI_PER_ETHER
"""For all trades of a run."""
SAMPLES = 128
KEY = keccak256(b"delivery key")
TRANSACTION_GAS = 21_000
"""What every transaction costs, whatever it does."""


class Escrow:
    """One market, one statement, a seller and a buyer; the statement is proven anew in every trade.

    Roots and digests that no move looks into are the hashes of their names.
    """

    def __init__(self, statement: Proven) -> None:
        self._statement, self._proof = statement, statement.prove().proof
        chain = Chain.embedded()
        self._seller, self._buyer = (funded_account(chain, FUNDS_WEI) for _ in range(2))
        self._market = open_market(chain, self._seller)
        self._market.register_vka(self._seller, statement.circuit.vka)

    def verify(self) -> int:
        """Gas of a bare call of the verifier with the proof."""
        verifier = bind_verifier(self._market.chain.web3, self._market.deployment.verifier)
        circuit, proof = self._statement.circuit, self._proof
        instances = proof.public_instances(circuit, CONTEXT)
        function = verifier.functions.verifyProof(proof.data, list(instances), list(circuit.vka))
        return self._market.chain.send(function, self._seller).gas_used

    def trade(self, *, signed: bool = True) -> dict[str, int]:
        """Gas of each move of a trade that settles; the seller still has the fee in credit when it is paid.

        Args:
            signed: The seller shows the buyer's signature; else the buyer accepts by a transaction.
        """
        terms = self._terms(self.listed, keccak256(b"weights"), keccak256(b"sums"))
        trade, gas = self._reveal(terms, self.listed, keccak256(b"ciphertext"), signed=signed)
        delivery = self._market.trade(trade).digest
        gas["confirm"] = self._market.confirm(self._buyer, trade, delivery).gas_used
        return gas

    def dispute(self, dispute: Dispute) -> int:
        """Gas of a dispute that the buyer wins, with nothing in credit before: its payout takes a new storage slot."""
        terms = self._terms(dispute.statement, dispute.weights_root, dispute.sums_root)
        trade, _ = self._reveal(terms, dispute.statement, dispute.ciphertext_root)
        function = self._market.contract.functions[dispute.function](trade, dispute.evidence.as_abi())
        gas = self._market.chain.send(function, self._buyer).gas_used
        self._market.withdraw(self._buyer)
        return gas

    def _reveal(
        self, terms: Terms, statement: Statement, ciphertext_root: bytes, *, signed: bool = True
    ) -> tuple[int, dict[str, int]]:
        """List and trade up to the revealed key: the trade's number, and the gas of each move."""
        market, seller, buyer = self._market, self._seller, self._buyer
        listed = market.list(seller, terms)
        listing = listed.events[0].arguments["listingId"]
        fee = market.session_fee(listing, buyer.address, SAMPLES)
        offer = offer_digest(seller.address, terms)
        request, response = keccak256(b"request"), keccak256(b"response")
        opened = market.open_session(buyer, listing, offer, SAMPLES, request, fee, lambda _: None)
        trade = opened.events[0].arguments["tradeId"]
        proof = self._statement.prove(market.proof_context(trade)).proof
        session = session_digest(buyer.address, offer, SAMPLES, request)
        answer, outputs = answer_digest(session, response), keccak256(b"outputs")
        proven = ProofOffer(proof, self._statement.circuit, statement, answer, outputs, ciphertext_root, key_hash(KEY))
        receipts = {
            "list": listed,
            "openSession": opened,
            "respond": market.respond(seller, trade, session, response),
            "purchase": market.purchase(
                buyer,
                trade,
                answer,
                self._input_commitment,
                outputs,
                price_wei=PRICE_WEI,
                highest_proof_fees=MOST_PROOF_FEES,
            ),
            "prove": market.prove(seller, trade, proven, BOND_WEI),
        }
        delivery = delivery_digest(ciphertext_root, key_hash(KEY))
        if not signed:
            receipts["accept"] = market.accept(buyer, trade, delivery)
        acceptance = self._sign(Acceptance(trade, delivery)) if signed else b""
        receipts["reveal"] = market.reveal(seller, trade, ciphertext_root, KEY, acceptance)
        return trade, {name: receipt.gas_used for name, receipt in receipts.items()}

    def _sign(self, acceptance: Acceptance) -> bytes:
        """Return the buyer's signature, which the seller shows."""
        typed_data = acceptance.typed_data(self._market.chain.chain_id, self._market.deployment.market)
        return bytes(self._buyer.sign_typed_data(*typed_data).signature)

    @property
    def _input_commitment(self) -> bytes:
        circuit = self._statement.circuit
        return commitment_digest(self._proof.points(circuit)[: circuit.input_columns])

    @property
    def listed(self) -> Statement:
        """What is proven, as a listing has it."""
        circuit = self._statement.circuit
        first = circuit.input_columns
        points = self._proof.points(circuit)[first : first + circuit.parameter_columns]
        return Statement(circuit.digest, commitment_digest(points), self._statement.layout)

    def _terms(self, statement: Statement, weights_root: bytes, sums_root: bytes) -> Terms:
        circuit = self._statement.circuit
        return Terms(
            manifest_hash=keccak256(b"manifest"),
            statement=statement.digest,
            weights_root=weights_root,
            sums_root=sums_root,
            price_wei=PRICE_WEI,
            bond_wei=BOND_WEI,
            fee_wei=ANSWER_FEE_WEI,
            audit_samples=circuit.audit_samples,
            proof_fee_wei=PROOF_FEE_WEI,
            buyer_quota=1 << 20,
            listing_quota=1 << 20,
            tolerance=1 << statement.layout.output_shift_bits,
            windows=WINDOWS,
        )
