"""A chain with the market on it, two parties, a clock, and the real proofs of `tests/vectors/audit_proofs.json`."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_tester.exceptions import TransactionFailed
from eth_utils.abi import get_abi_input_types
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from contracts import (
    ETH,
    MOST_PROOF_FEES,
    Acceptance,
    ChunkEvidence,
    Layout,
    MarketRevertedError,
    Refund,
    Statement,
    SumStepEvidence,
    Terms,
    Windows,
    answer_digest,
    bind_market,
    bind_verifier,
    decode_revert,
    deploy,
    session_digest,
)
from contracts import register_vka as vka_registration
from contracts.published import read_artifacts
from tests.contracts.backends import DrivenChain, key_of, new_salt, open_chain, revert_data
from tests.contracts.reference import Model, Tree, committed_outputs, delivered_tree
from tests.simulators import remembered  # noqa: F401 - makes the chain below remember

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "audit_proofs.json").read_text())
STATES = read_artifacts().enums["State"]
PRICE, BOND, ANSWER_FEE, PROOF_FEE = 10**18, 2 * 10**17, 10**14, 10**16
SAMPLES = 16
"""Of a session, unless a test says otherwise."""
FEE = SAMPLES * ANSWER_FEE
"""Of a buyer's first session of so many."""
WINDOWS = Windows(600, 700, 800, 900, 1000, 1100)
KEY = keccak(b"delivery key")
REQUEST, RESPONSE = keccak(b"request"), keccak(b"response")
SALT = keccak(b"salt of the outputs")
SELLER = to_canonical_address("0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF")
"""eth-tester's second account; sums are valid for one seller alone."""
GAS = 12_000_000


@dataclass(frozen=True)
class Audit:
    """The argument of `prove`, with fields that a test can replace."""

    proof: bytes
    instances: Sequence[int]
    vka: Sequence[bytes]
    layout: Layout
    outputs: Sequence[int]
    answer: bytes = b""
    """Empty for that of the trade that is proven."""
    circuit: bytes = b""
    """Digest of the circuit that the statement names; empty for that of the vka."""
    parameters: bytes = b""
    """Commitment to the parameters that the statement names; empty for that of the proof."""

    @classmethod
    def of(cls, statement: str, vka: str = "vka") -> "Audit":
        proof = bytes.fromhex(VECTORS[statement]["proof"])
        instances = [int(instance) for instance in VECTORS[statement]["instances"]]
        shift = VECTORS["output_shift_bits"]
        layout = Layout(
            1, 1, 0, len(proof), VECTORS["outputs"], shift, VECTORS["logrows"], tuple(VECTORS["column_lengths"])
        )
        words = [bytes.fromhex(element) for element in VECTORS[vka]]
        return cls(proof, instances, words, layout, committed_outputs(instances, shift))

    @property
    def input_commitment(self) -> bytes:
        return keccak(self.proof[:64])

    @property
    def parameter_commitment(self) -> bytes:
        return self.parameters or keccak(self.proof[64:128])

    @property
    def circuit_digest(self) -> bytes:
        return self.circuit or keccak(b"".join(self.vka))

    @property
    def statement(self) -> Statement:
        return Statement(self.circuit_digest, self.parameter_commitment, self.layout)

    @property
    def outputs_digest(self) -> bytes:
        return keccak(encode(["bytes32", "int64[]"], [SALT, list(self.outputs)]))

    def as_abi(self) -> tuple[Any, ...]:
        instances, vka = list(self.instances), list(self.vka)
        return (self.proof, instances, vka, self.statement.as_abi(), self.answer, self.outputs_digest)


FIRST = Audit.of("first")


def model_of(audit: Audit, columns: Sequence[Sequence[int]]) -> Model:
    return Model(columns, audit.layout.logrows, audit.parameter_commitment, SELLER)


MODEL = model_of(FIRST, [list(range(-16, 16))])


def terms_of(audit: Audit, model: Model = MODEL, sums: Sequence[int] | None = None, **changes: Any) -> Terms:
    """The listing of `model`, whose proof is `audit`."""
    terms = Terms(
        manifest_hash=keccak(b"manifest"),
        statement=audit.statement.digest,
        weights_root=model.weights_tree.root,
        sums_root=model.sums_tree(sums).root,
        price_wei=PRICE,
        bond_wei=BOND,
        fee_wei=ANSWER_FEE,
        audit_samples=VECTORS["audit_samples"],
        proof_fee_wei=PROOF_FEE,
        buyer_quota=96,
        listing_quota=160,
        tolerance=1 << audit.layout.output_shift_bits,
        windows=WINDOWS,
    )
    return replace(terms, **changes)


def _calldata(function: Any) -> str:
    if not function.fn_name.startswith("dispute"):
        return str(function._encode_transaction_data())
    # By the codec alone: web3 would walk through each word of the evidence three times before, a quarter of the time.
    return str(function.selector + encode(get_abi_input_types(function.abi), function.arguments).hex())


class Stage(DrivenChain):
    """One listing of `MODEL`, and trades that the tests drive. Moves send one transaction and return its receipt."""

    def __init__(self) -> None:
        self.tester, self.web3 = open_chain()
        self._refusing = False
        self._roots: dict[int, bytes] = {}
        deployer, self.seller, self.buyer, self.stranger = self.web3.eth.accounts[:4]
        assert to_canonical_address(self.seller) == SELLER
        self.deployment = deploy(self.web3, deployer, new_salt())
        self.market = bind_market(self.web3, self.deployment.market)
        self.verifier = bind_verifier(self.web3, self.deployment.verifier)
        for vka in ("vka", "foreign_vka"):
            words = [bytes.fromhex(element) for element in VECTORS[vka]]
            self.send(vka_registration(self.web3, self.deployment.verifier, words), deployer)
        self.offer(terms_of(FIRST))

    def create(self, name: str, *arguments: Any) -> Any:
        """A contract for tests (`contracts/test`), fresh on the chain."""
        artifact = read_artifacts().contracts[name]
        contract = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        address = self.send(contract.constructor(*arguments), self.stranger)["contractAddress"]
        return self.web3.eth.contract(address=address, abi=artifact.abi)

    def held(self, token: str = ETH) -> int:
        """What the market has of a token."""
        if token == ETH:
            return int(self.web3.eth.get_balance(self.market.address))
        abi = read_artifacts().contracts["TestToken"].abi
        return int(self.web3.eth.contract(address=token, abi=abi).functions.balanceOf(self.market.address).call())

    # ---------------------------------------------------------------------------------------------- chain and clock

    def send(self, function: Any, sender: str, value: int = 0) -> Any:
        """Mines one transaction. Where it is to be refused, runs it as a call in the next block instead and raises."""
        transaction = {"from": sender, "value": value, "gas": GAS}
        if not self._refusing:
            receipt = self.web3.eth.wait_for_transaction_receipt(function.transact(transaction))
            assert receipt["status"] == 1, f"{function.abi_element_identifier} was reverted"
            return receipt
        try:
            return self.tester.call({**transaction, "to": function.address, "data": _calldata(function)}, "pending")
        except TransactionFailed as error:
            raise decode_revert(revert_data(error)) from None

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Moves in the block are run as calls and change nothing; `MarketRevertedError` where they are refused."""
        self._refusing = True
        try:
            yield
        finally:
            self._refusing = False

    @contextmanager
    def refused(self, name: str, **arguments: Any) -> Iterator[None]:
        """The block inside is refused with this error; named arguments are compared, bytes as bytes."""
        with self.tried(), pytest.raises(MarketRevertedError) as caught:
            yield
        error = caught.value
        expected = {k: "0x" + v.hex() if isinstance(v, bytes) else v for k, v in arguments.items()}
        assert (error.name, {k: error.arguments.get(k) for k in expected}) == (name, expected)

    # ------------------------------------------------------------------------------------------------------- moves

    def offer(self, terms: Terms, sender: str | None = None) -> Any:
        return self.send(self.market.functions.list(terms.as_abi()), sender or self.seller)

    def offered(self, listing: int = 1) -> bytes:
        """What a move on a listing names."""
        return bytes(self.market.functions.listing(listing).call()[6])

    def open_session(
        self,
        listing: int = 1,
        samples: int = SAMPLES,
        value: int | None = None,
        sender: str | None = None,
        offer: bytes | None = None,
        data: bytes = b"",
    ) -> Any:
        """Pays the session's fee, unless another value is given."""
        offer, sender = self.offered(listing) if offer is None else offer, sender or self.buyer
        value = self.session_fee(listing, samples, sender) if value is None else value
        return self.send(self.market.functions.openSession(listing, offer, samples, REQUEST, data), sender, value)

    def respond(self, trade: int = 1, sender: str | None = None, session: bytes | None = None) -> Any:
        session = self.trade(trade)["digest"] if session is None else session
        return self.send(self.market.functions.respond(trade, session, RESPONSE), sender or self.seller)

    def purchase(
        self,
        trade: int = 1,
        audit: Audit = FIRST,
        value: int = PRICE,
        sender: str | None = None,
        answer: bytes | None = None,
        highest_proof_fees: int = MOST_PROOF_FEES,
        price: int | None = None,
        data: bytes = b"",
    ) -> Any:
        """Pays the price that it names: `value`, unless another is given."""
        answer = self.trade(trade)["digest"] if answer is None else answer
        committed = audit.input_commitment, audit.outputs_digest
        price = value if price is None else price
        function = self.market.functions.purchase(trade, answer, *committed, price, highest_proof_fees, data)
        return self.send(function, sender or self.buyer, value)

    def prove(
        self,
        trade: int = 1,
        audit: Audit = FIRST,
        value: int = BOND,
        sender: str | None = None,
        root: bytes | None = None,
    ) -> Any:
        root = self.ciphertext_tree.root if root is None else root
        self._roots[trade] = root
        audit = audit if audit.answer else replace(audit, answer=self.answer(trade))
        function = self.market.functions.prove(trade, audit.as_abi(), root, keccak(KEY))
        return self.send(function, sender or self.seller, value)

    def accept(self, trade: int = 1, sender: str | None = None, delivery: bytes | None = None) -> Any:
        delivery = self.trade(trade)["digest"] if delivery is None else delivery
        return self.send(self.market.functions.accept(trade, delivery), sender or self.buyer)

    def reveal(
        self,
        trade: int = 1,
        key: bytes = KEY,
        sender: str | None = None,
        root: bytes | None = None,
        acceptance: bytes = b"",
    ) -> Any:
        root = self._roots.get(trade, self.ciphertext_tree.root) if root is None else root
        return self.send(self.market.functions.reveal(trade, root, key, acceptance), sender or self.seller)

    def sign(self, agreement: Acceptance | Refund, account: str | None = None, **domain: Any) -> bytes:
        """The signature of the buyer, or another of eth-tester's accounts, for this market unless another is named."""
        account = account or self.buyer
        place = {"chain_id": self.web3.eth.chain_id, "market": self.market.address} | domain
        return bytes(key_of(self.tester, account).sign_typed_data(*agreement.typed_data(**place)).signature)

    def acceptance(
        self, trade: int = 1, delivery: bytes | None = None, account: str | None = None, **domain: Any
    ) -> bytes:
        """The buyer's signature, instead of its `accept`."""
        delivery = self.trade(trade)["digest"] if delivery is None else delivery
        return self.sign(Acceptance(trade, delivery), account, **domain)

    def confirm(self, trade: int = 1, sender: str | None = None, delivery: bytes | None = None) -> Any:
        delivery = self.trade(trade)["digest"] if delivery is None else delivery
        return self.send(self.market.functions.confirm(trade, delivery), sender or self.buyer)

    def refund(self, amount: int, trade: int = 1, signature: bytes | None = None, sender: str | None = None) -> Any:
        """With the seller's signature, unless another is given."""
        signature = self.refund_signature(amount, trade) if signature is None else signature
        return self.send(self.market.functions.refund(trade, amount, signature), sender or self.buyer)

    def refund_signature(self, amount: int, trade: int = 1, account: str | None = None) -> bytes:
        return self.sign(Refund(trade, self.trade()["digest"], amount), account or self.seller)

    def settle(self, trade: int = 1, sender: str | None = None) -> Any:
        return self.send(self.market.functions.settle(trade), sender or self.stranger)

    def expire(self, trade: int = 1, sender: str | None = None) -> Any:
        return self.send(self.market.functions.expire(trade), sender or self.stranger)

    def withdraw(self, sender: str, token: str = ETH) -> Any:
        return self.send(self.market.functions.withdraw(token), sender)

    def dispute(self, name: str, evidence: Any, trade: int = 1, sender: str | None = None) -> Any:
        return self.send(self.market.functions[name](trade, evidence.as_abi()), sender or self.buyer)

    def bring_to(
        self, state: str, *, trade: int = 1, listing: int = 1, audit: Audit = FIRST, root: bytes | None = None
    ) -> None:
        """Opens a session on the listing and moves the trade along to the named state."""
        if state == "None":
            return
        self.open_session(listing)
        waiting: list[tuple[str, Callable[[], Any]]] = [
            ("Testing", lambda: self.respond(trade)),
            ("Answered", lambda: self.purchase(trade, audit)),
            ("Purchased", lambda: self.prove(trade, audit, root=root)),
            ("Proven", lambda: self.accept(trade)),
            ("Accepted", lambda: self.reveal(trade)),
            ("Revealed", lambda: self.confirm(trade)),
        ]
        if state == "Expired":
            self.at(self.deadline(trade))
            self.expire(trade)
            return
        for current, move in waiting:
            if current == state:
                return
            move()

    def reveal_model(
        self,
        model: Model,
        *,
        sums: Sequence[int] | None = None,
        chunks: Sequence[bytes] | None = None,
        key: bytes = KEY,
    ) -> "Delivery":
        """Lists the model (with other sums, perhaps) and takes a trade to Revealed (with other chunks, perhaps)."""
        lengths = tuple(len(column) for column in model.columns)
        layout = replace(FIRST.layout, logrows=model.logrows, column_lengths=lengths)
        audit = replace(FIRST, layout=layout)
        sums = model.sums if sums is None else sums
        chunks = [model.chunk(j) for j in range(len(sums))] if chunks is None else chunks
        ciphertext, tree = delivered_tree(key, chunks)
        self.offer(terms_of(audit, model, sums))
        self.bring_to("Revealed", listing=2, audit=audit, root=tree.root)
        return Delivery(self, model, sums, layout, ciphertext, tree)

    # ------------------------------------------------------------------------------------------------------- reads

    @cached_property
    def ciphertext_tree(self) -> Any:
        return delivered_tree(KEY, [MODEL.chunk(0)])[1]

    def trade(self, trade: int = 1) -> dict[str, Any]:
        names = ("buyer", "deadline", "state", "listing_id", "proof_fees", "fee", "samples", "price", "digest")
        return dict(zip(names, self.market.functions.trade(trade).call(), strict=True))

    def session_fee(self, listing: int = 1, samples: int = SAMPLES, account: str | None = None) -> int:
        return int(self.market.functions.sessionFee(listing, account or self.buyer, samples).call())

    def answer(self, trade: int = 1) -> bytes:
        """What a purchase of the trade's answer names."""
        opened = self.trade(trade)
        session = session_digest(opened["buyer"], self.offered(opened["listing_id"]), opened["samples"], REQUEST)
        return answer_digest(session, RESPONSE)

    def state(self, trade: int = 1) -> str:
        return STATES[self.trade(trade)["state"]]

    def deadline(self, trade: int = 1) -> int:
        return int(self.trade(trade)["deadline"])

    def credit(self, account: str, token: str = ETH) -> int:
        return int(self.market.functions.balanceOf(account, token).call())

    def events(self, receipt: Any) -> list[tuple[str, dict[str, Any]]]:
        """All events of the market in the receipt, in order: name and arguments."""
        kinds = {bytes(HexBytes(event().topic)): event for event in self.market.events}
        own = [log for log in receipt["logs"] if log["address"] == self.market.address]
        logs = [kinds[bytes(log["topics"][0])]().process_log(log) for log in own]
        return [(log["event"], dict(log["args"])) for log in logs]

    def event(self, receipt: Any, name: str) -> dict[str, Any]:
        """The arguments of the one event of that name in the receipt."""
        (arguments,) = [arguments for event, arguments in self.events(receipt) if event == name]
        return arguments


@dataclass(frozen=True)
class Delivery:
    """A revealed trade: what was listed, what came, and the evidence that the buyer can draw from it."""

    stage: Stage
    model: Model
    sums: Sequence[int]
    layout: Layout
    ciphertext: Sequence[bytes]
    tree: Tree

    @property
    def statement(self) -> Statement:
        return Statement(FIRST.circuit_digest, FIRST.parameter_commitment, self.layout)

    def chunk_evidence(self, kind: str, index: int) -> ChunkEvidence:
        committed = self.model.weights_tree if kind == "disputeWeightsChunk" else self.model.sums_tree(self.sums)
        return ChunkEvidence(
            ciphertext_root=self.tree.root,
            key=KEY,
            index=index,
            ciphertext=self.ciphertext[index],
            ciphertext_path=self.tree.path(index),
            leaf=committed.leaves[index],
            path=committed.path(index),
            statement=self.statement,
        )

    def step_evidence(self, index: int) -> SumStepEvidence:
        sums_tree, is_first = self.model.sums_tree(self.sums), index == 0
        return SumStepEvidence(
            index=index,
            previous_sum=0 if is_first else self.sums[index - 1],
            previous_salt=bytes(32) if is_first else self.model.salt(index - 1),
            previous_path=[] if is_first else sums_tree.path(index - 1),
            sum=self.sums[index],
            salt=self.model.salt(index),
            sum_path=sums_tree.path(index),
            parameters=self.model.parameters(index),
            weights_path=self.model.weights_tree.path(index),
            statement=self.statement,
        )


StageAt = Callable[[str], Stage]
"""The market with a trade in the named state: what the fixture `stage_at` gives."""
