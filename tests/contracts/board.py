"""A request with a bounty, a listing that reaches it, and real proofs of its accuracy (`make_request_proofs.py`)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from contracts import ETH, Layout, layout_hash
from contracts.published import read_artifacts
from contracts.requests import AcceptedCircuit, PublicTestSet, Task, Wanted
from tests.contracts.periphery import Ground, filled, ground
from zk.field import MODULUS, to_signed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "request_proofs.json").read_text())
OFFER = keccak(b"offer of the listing")
STATES = read_artifacts().enums["State"]
STATUS = read_artifacts().enums["RequestStatus"]
BOUNTY, PRICE, BOND, HOLD = 10**18, 5 * 10**17, 10**17, 1000
K, SAMPLES, WIDTH = VECTORS["audit_samples"], VECTORS["samples"], VECTORS["outputs"]
VKA = [bytes.fromhex(word) for word in VECTORS["vka"]]
PROOFS = [bytes.fromhex(proof["proof"]) for proof in VECTORS["proofs"]]
OUTPUTS = [[int(output) for output in proof["outputs"]] for proof in VECTORS["proofs"]]
LAYOUT = Layout(
    VECTORS["input_columns"],
    VECTORS["parameter_columns"],
    VECTORS["hidden_columns"],
    len(PROOFS[0]),
    WIDTH,
    14,
    VECTORS["logrows"],
    tuple(VECTORS["column_lengths"]),
)
CIRCUIT = AcceptedCircuit(keccak(b"".join(VKA)), LAYOUT, K, tuple(keccak(proof[:64]) for proof in PROOFS))
PARAMETERS = keccak(PROOFS[0][64:128])


def classes(outputs: list[int]) -> list[int]:
    """What the model says of each sample."""
    signed = [to_signed(output) for output in outputs]
    rows = [signed[start : start + WIDTH] for start in range(0, len(signed), WIDTH)]
    return [row.index(max(row)) for row in rows]


PREDICTED = [label for outputs in OUTPUTS for label in classes(outputs)][:SAMPLES]
# Of the first batch one label differs, of the second none: 3 of 4 and 2 of 2 are right.
LABELS = [(PREDICTED[0] + 1) % WIDTH, *PREDICTED[1:]]
TEST_SET = PublicTestSet(LABELS, [CIRCUIT])


def challenge_of(proof: bytes, outputs: Sequence[int], context: bytes) -> int:
    """What the random check of a proof must be for."""
    columns = LAYOUT.input_columns + LAYOUT.parameter_columns + LAYOUT.hidden_columns
    words = b"".join(word.to_bytes(32, "big") for word in (32, len(outputs), *outputs))
    transcript = context + CIRCUIT.circuit_digest + keccak(proof[: 64 * columns]) + keccak(words)
    return int.from_bytes(keccak(b"modelseal/audit" + transcript), "big") % MODULUS


@dataclass(frozen=True)
class Batch:
    """The argument of `prove`, with fields that a test can replace."""

    proof: bytes
    instances: tuple[int, ...]
    input_commitment: bytes
    labels: bytes
    path: tuple[bytes, ...]
    layout: Layout = LAYOUT
    parameters: bytes = PARAMETERS
    circuit_digest: bytes = CIRCUIT.circuit_digest

    @classmethod
    def of(cls, index: int, context: bytes, test_set: PublicTestSet = TEST_SET) -> "Batch":
        proof, outputs = PROOFS[index], OUTPUTS[index]
        labels, path = test_set.labels(CIRCUIT, index), tuple(test_set.path(CIRCUIT, index))
        challenge = challenge_of(proof, outputs, context)
        return cls(proof, (*outputs, challenge, 0), CIRCUIT.input_commitments[index], labels, path)

    def as_abi(self) -> tuple[Any, ...]:
        statement = (self.circuit_digest, self.parameters, self.layout.as_abi())
        audit = (self.proof, list(self.instances), VKA, statement, bytes(32), bytes(32))
        return (audit, self.input_commitment, self.labels, list(self.path))


class Board:
    """Request 1 of the buyer's in ETH, and the seller's listing 1, which reaches it with the second batch."""

    def __init__(self, chain: Ground) -> None:
        self.chain = chain
        # The first contract of an account that makes no other: the proofs name its address.
        self.requests = chain.create("ModelRequests", sender=chain.web3.eth.accounts[9])
        verifier = chain.create("Halo2VerifierReusable")
        chain.send(verifier.functions.registerVka(VKA), chain.stranger)
        self.market, self.token = chain.create("StandInMarket", verifier.address), chain.create("StandInToken")
        chain.send(self.token.functions.mint(chain.buyer, 10 * BOUNTY), chain.deployer)
        chain.send(self.token.functions.approve(self.requests.address, 10 * BOUNTY), chain.buyer)
        self.list()
        self.post()

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            market=self.market.address,
            deadline=5_000_000_000,
            hold_seconds=HOLD,
            bounty_token=ETH,
            bounty=BOUNTY,
            price_token=ETH,
            highest_price=PRICE,
            lowest_bond=BOND,
            samples=SAMPLES,
            minimum_correct=5,
            test_root=TEST_SET.root,
        )

    def list(self, listing: int = 1, *, seller: str | None = None, offer: bytes = OFFER, **terms: Any) -> None:
        words = CIRCUIT.circuit_digest + PARAMETERS + layout_hash(LAYOUT)
        values = {"open": True, "price": PRICE, "bond": BOND, "auditSamples": K, "statement": keccak(words)} | terms
        listed = filled(self.market, "setListing", seller=seller or self.chain.seller, offer=offer, **values)
        self.chain.send(self.market.functions.setListing(listing, listed), self.chain.deployer)

    def trade(self, state: str, listing: int = 1) -> None:
        trade = filled(self.market, "setTrade", listingId=listing, state=STATES.index(state))
        self.chain.send(self.market.functions.setTrade(7, trade), self.chain.deployer)

    def post(self, value: int | None = None, **changes: Any) -> Any:
        wanted = replace(self.wanted, **changes)
        task = Task(keccak(b"limits"), keccak(b"test set"), "tells flowers apart")
        value = (wanted.bounty if wanted.bounty_token == ETH else 0) if value is None else value
        return self.chain.send(self.requests.functions.post(wanted.as_abi(), task.as_abi()), self.chain.buyer, value)

    def batch(self, index: int, request: int = 1, offer: bytes = OFFER, test_set: PublicTestSet = TEST_SET) -> Batch:
        return Batch.of(index, self.requests.functions.proofContext(request, offer, index).call(), test_set)

    def prove(self, batch: Batch, request: int = 1, listing: int = 1, sender: str | None = None) -> Any:
        function = self.requests.functions.prove(request, listing, batch.as_abi())
        return self.chain.send(function, sender or self.chain.seller)

    def do(self, name: str, *arguments: Any, sender: str | None = None) -> Any:
        return self.chain.send(self.requests.functions[name](*arguments), sender or self.chain.stranger)

    def status(self, request: int = 1) -> str:
        return STATUS[self.requests.functions.request(request).call()[1]]

    def credit(self, account: str, token: str = ETH) -> int:
        return int(self.requests.functions.balanceOf(account, token).call())


@cache
def posted() -> Board:
    return Board(ground())
