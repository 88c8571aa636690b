"""Bounties: what claims one, what doesn't, and where the money goes. The proofs are real (`make_request_proofs.py`)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from contracts import ETH, Layout, layout_hash
from contracts.published import read_artifacts
from contracts.requests import AcceptedCircuit, PublicTestSet, Task, Wanted, matching_classes
from tests.contracts.periphery import Ground, event, filled, ground
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
        columns = LAYOUT.input_columns + LAYOUT.parameter_columns + LAYOUT.hidden_columns
        words = b"".join(word.to_bytes(32, "big") for word in (32, len(outputs), *outputs))
        transcript = context + CIRCUIT.circuit_digest + keccak(proof[: 64 * columns]) + keccak(words)
        challenge = int.from_bytes(keccak(b"modelseal/audit" + transcript), "big") % MODULUS
        labels, path = test_set.labels(CIRCUIT, index), tuple(test_set.path(CIRCUIT, index))
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

    def do(self, name: str, *arguments: int, sender: str | None = None) -> Any:
        return self.chain.send(self.requests.functions[name](*arguments), sender or self.chain.stranger)

    def status(self, request: int = 1) -> str:
        return STATUS[self.requests.functions.request(request).call()[1]]

    def credit(self, account: str, token: str = ETH) -> int:
        return int(self.requests.functions.balanceOf(account, token).call())


@cache
def posted() -> Board:
    return Board(ground())


@pytest.fixture
def board() -> Iterator[Board]:
    with posted().chain.restored():
        yield posted()


# --------------------------------------------------------------------------------------------------------- posting


def test_a_bounty_is_locked(board: Board) -> None:
    receipt = board.post()
    told = event(receipt, board.requests, "Posted")
    assert (told["requestId"], told["buyer"]) == (2, board.chain.buyer)
    assert board.requests.functions.requestCount().call() == 2
    stored = board.requests.functions.request(2).call()
    assert Wanted.from_abi(stored[-1]) == board.wanted
    assert board.chain.web3.eth.get_balance(board.requests.address) == 2 * BOUNTY


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"deadline": 4_000_000_000}, "DeadlinePassed"),
        ({"minimum_correct": 0}, "ImpossibleAccuracy"),
        ({"minimum_correct": SAMPLES + 1}, "ImpossibleAccuracy"),
        ({"samples": 0}, "ImpossibleAccuracy"),
        ({"bounty": 0}, "NoBounty"),
        ({"value": BOUNTY - 1}, "UnexpectedPayment"),
        ({"value": BOUNTY + 1}, "UnexpectedPayment"),
    ],
)
def test_what_cant_be_claimed_is_not_posted(board: Board, changes: dict[str, Any], error: str) -> None:
    with board.chain.refused(error):
        board.post(**changes)


def test_a_bounty_in_tokens_is_what_arrives(board: Board) -> None:
    token = board.token.address
    with board.chain.refused("UnexpectedPayment", paid=1, due=0):
        board.post(bounty_token=token, value=1)
    board.chain.send(board.token.functions.setFee(100), board.chain.deployer)
    board.post(bounty_token=token)
    board.chain.send(board.token.functions.setFee(0), board.chain.deployer)
    assert Wanted.from_abi(board.requests.functions.request(2).call()[-1]).bounty == BOUNTY * 99 // 100
    board.chain.at(board.wanted.deadline)
    board.do("close", 2)
    before = board.token.functions.balanceOf(board.chain.buyer).call()
    board.chain.send(board.requests.functions.withdraw(token), board.chain.buyer)
    assert board.token.functions.balanceOf(board.chain.buyer).call() == before + BOUNTY * 99 // 100
    assert board.token.functions.balanceOf(board.requests.address).call() == 0


def test_a_token_cant_post_while_it_is_taken(board: Board) -> None:
    wanted = replace(board.wanted, bounty_token=board.token.address)
    task = Task(bytes(32), bytes(32), "")
    again = board.requests.functions.post(wanted.as_abi(), task.as_abi())._encode_transaction_data()
    board.chain.send(board.token.functions.setAttack(board.requests.address, again), board.chain.deployer)
    with board.chain.refused("ReentrancyGuardReentrantCall"):
        board.post(bounty_token=board.token.address)


# -------------------------------------------------------------------------------------------------------- claiming


def test_the_accuracy_claims_the_bounty(board: Board) -> None:
    first = board.prove(board.batch(0))
    assert event(first, board.requests, "BatchProven") == {"requestId": 1, "listingId": 1, "batch": 0, "correct": 3}
    assert (board.status(), board.requests.functions.progressOf(1, OFFER).call()) == ("Open", (1, 3))
    second = board.prove(board.batch(1))
    assert event(second, board.requests, "BatchProven")["correct"] == 2
    claim = event(second, board.requests, "Claimed")
    assert claim == {
        "requestId": 1,
        "listingId": 1,
        "seller": board.chain.seller,
        "releasedAt": board.chain.now + HOLD,
    }
    assert board.status() == "Claimed"
    with board.chain.refused("UnexpectedStatus", current="Claimed", expected="Open"):
        board.prove(board.batch(1))
    with board.chain.refused("UnexpectedStatus"):
        board.do("close", 1)
    with board.chain.refused("TooEarly"):
        board.do("release", 1)

    released = claim["releasedAt"]
    with board.chain.restored():  # the seller keeps what it offered
        board.chain.at(released)
        ended = event(board.do("release", 1), board.requests, "Ended")
        assert ended == {"requestId": 1, "account": board.chain.seller, "bounty": BOUNTY}
        with board.chain.refused("UnexpectedStatus"):
            board.do("release", 1)
        board.trade("Slashed")
        with board.chain.refused("UnexpectedStatus"):
            board.do("reclaim", 1, 7)
    for gone in ({"open": False}, {"offer": keccak(b"another offer")}):
        with board.chain.restored():  # or doesn't
            board.list(**gone)
            board.chain.at(released)
            board.do("release", 1)
            assert (board.credit(board.chain.buyer), board.credit(board.chain.seller)) == (BOUNTY, 0)
    for state in STATES:
        with board.chain.restored():  # or is convicted
            board.trade(state)
            if state == "Slashed":
                board.do("reclaim", 1, 7)
                assert board.credit(board.chain.buyer) == BOUNTY
                continue
            with board.chain.refused("NotConvicted", tradeId=7):
                board.do("reclaim", 1, 7)
    board.list(2, offer=keccak(b"another offer"))
    board.trade("Slashed", listing=2)
    with board.chain.refused("NotConvicted"):
        board.do("reclaim", 1, 7)


def test_too_few_right_answers_claim_nothing(board: Board) -> None:
    board.post(minimum_correct=6)
    wrong = replace(board.batch(0, request=2), instances=())
    with board.chain.refused("UnexpectedInstanceCount"):
        board.prove(wrong, request=2)
    board.prove(board.batch(0))
    # The other batch once more, and the same once more: each counts once.
    with board.chain.refused("NotInTestSet", batch=1):
        board.prove(board.batch(0))
    assert board.requests.functions.progressOf(1, OFFER).call() == (1, 3)


def test_a_proof_is_no_proof_elsewhere(board: Board) -> None:
    """Who copies a claim out of the mempool, lists the same commitment and pays more gas gets nothing."""
    stolen = keccak(b"the thief's offer")
    board.list(2, seller=board.chain.stranger, offer=stolen)
    with board.chain.refused("NotSeller", caller=board.chain.stranger, seller=board.chain.seller):
        board.prove(board.batch(0), sender=board.chain.stranger)
    with board.chain.refused("UnexpectedChallenge"):
        board.prove(board.batch(0), listing=2, sender=board.chain.stranger)
    with board.chain.refused("ProofRejected"):  # the right challenge, but not the one that the proof is for
        board.prove(board.batch(0, offer=stolen), listing=2, sender=board.chain.stranger)
    board.post()
    with board.chain.refused("UnexpectedChallenge"):  # nor can the seller claim two bounties with it
        board.prove(board.batch(0), request=2)


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"open": False}, "UnsuitableListing"),
        ({"price": PRICE + 1}, "UnsuitableListing"),
        ({"bond": BOND - 1}, "UnsuitableListing"),
        ({"token": "0x" + "1" * 40}, "UnsuitableListing"),
        ({"policy": "0x" + "1" * 40}, "UnsuitableListing"),
        ({"auditSamples": K + 1}, "UnexpectedLabels"),
        ({"statement": keccak(b"other parameters")}, "UnexpectedStatement"),
    ],
)
def test_a_listing_offers_what_was_asked_for(board: Board, terms: dict[str, Any], error: str) -> None:
    board.list(**terms)
    with board.chain.refused(error):
        board.prove(board.batch(0))


def test_a_batch_is_the_buyers(board: Board) -> None:
    batch = board.batch(0)
    ones = bytes([0, 1] * K)
    for changed in (
        replace(batch, labels=ones),
        replace(batch, input_commitment=keccak(b"easier samples")),
        replace(batch, circuit_digest=keccak(b"a circuit that knows the labels")),
        replace(batch, layout=replace(LAYOUT, hidden_columns=0)),
        replace(batch, layout=replace(LAYOUT, outputs=1)),
        replace(batch, layout=replace(LAYOUT, input_columns=2)),
        replace(batch, layout=replace(LAYOUT, parameter_columns=0)),
        replace(batch, layout=replace(LAYOUT, proof_bytes=LAYOUT.proof_bytes + 1)),
        replace(batch, path=batch.path[:-1]),
        replace(board.batch(1)),
    ):
        with board.chain.refused("NotInTestSet", batch=0):
            board.prove(changed)
    with board.chain.refused("UnexpectedLabels", length=2 * K - 2, samples=K):
        board.prove(replace(batch, labels=batch.labels[:-2]))


def test_a_proof_is_of_the_listed_parameters_and_says_canonical_outputs(board: Board) -> None:
    batch = board.batch(0)
    foreign = batch.proof[:64] + batch.proof[:64] + batch.proof[128:]
    shifted = (batch.instances[0] + MODULUS, *batch.instances[1:])
    for changed, error in (
        (replace(batch, proof=batch.proof + b"\0"), "UnexpectedProofLength"),
        (replace(batch, proof=foreign), "UnexpectedParameterCommitment"),
        (replace(batch, proof=foreign[64:128] + foreign[64:]), "UnexpectedParameterCommitment"),
        (replace(batch, proof=b"\1" + batch.proof[1:]), "UnexpectedPurchase"),
        (replace(batch, parameters=keccak(foreign[64:128])), "UnexpectedStatement"),
        (replace(batch, instances=shifted), "InstanceOutsideField"),
        (replace(batch, instances=(batch.instances[0] + 1, *batch.instances[1:])), "UnexpectedChallenge"),
        (replace(batch, instances=(*batch.instances[:-1], 1)), "FailedCheck"),
        (replace(batch, proof=batch.proof[:-1] + bytes([batch.proof[-1] ^ 1])), "ProofRejected"),
    ):
        with board.chain.refused(error):
            board.prove(changed)


def test_a_circuit_without_a_random_check_is_not_taken(board: Board) -> None:
    """Its proofs would hold in anybody's hands."""
    circuit = replace(CIRCUIT, layout=replace(LAYOUT, hidden_columns=0))
    test_set = PublicTestSet(LABELS, [CIRCUIT, circuit])
    board.post(test_root=test_set.root)
    batch = replace(board.batch(0, request=2, test_set=test_set), layout=circuit.layout)
    batch = replace(batch, path=tuple(test_set.path(circuit, 0)))
    with board.chain.refused("NoRandomCheck"):
        board.prove(batch, request=2)


def test_another_verifier_says_nothing(board: Board) -> None:
    board.chain.send(board.market.functions.setVerifier(board.token.address), board.chain.deployer)
    with board.chain.refused("UnexpectedVerifier", verifier=board.token.address):
        board.prove(board.batch(0))


def test_at_the_deadline_exactly_one_of_claim_and_close_holds(board: Board) -> None:
    deadline = board.chain.now + 100
    board.post(deadline=deadline)
    board.chain.at(deadline - 1)
    with board.chain.refused("TooEarly", until=deadline):
        board.do("close", 2)
    board.chain.at(deadline - 1)
    with board.chain.refused("UnexpectedChallenge"):  # not too late
        board.prove(board.batch(0), request=2)
    board.chain.at(deadline)
    with board.chain.refused("DeadlinePassed", deadline=deadline):
        board.prove(board.batch(0), request=2)
    board.chain.at(deadline)
    board.do("close", 2)
    assert (board.status(2), board.credit(board.chain.buyer)) == ("Ended", BOUNTY)
    with board.chain.refused("UnexpectedStatus"):
        board.do("close", 2)


def test_requests_that_are_not_there_do_nothing(board: Board) -> None:
    for name, arguments in (("close", (9,)), ("release", (9,)), ("reclaim", (9, 7))):
        with board.chain.refused("UnexpectedStatus", requestId=9, current="None"):
            board.do(name, *arguments)


# ------------------------------------------------------------------------------------------------------ withdrawal


def test_money_is_paid_once_and_to_nobody_who_calls_back(board: Board) -> None:
    wallet = board.chain.create("StandInWallet", board.chain.stranger)
    task, wanted = Task(bytes(32), bytes(32), ""), replace(board.wanted, deadline=board.chain.now + 50)
    post = board.requests.functions.post(wanted.as_abi(), task.as_abi())._encode_transaction_data()
    forward = wallet.functions.forward(board.requests.address, post)
    board.chain.send(forward, board.chain.stranger, value=BOUNTY)
    board.chain.at(wanted.deadline)
    board.do("close", 2)
    withdraw = board.requests.functions.withdraw(ETH)._encode_transaction_data()
    get_paid = wallet.functions.forward(board.requests.address, withdraw)
    board.chain.send(wallet.functions.setHostile(True, b""), board.chain.stranger)
    with board.chain.refused("TransferFailed", account=wallet.address, amount=BOUNTY):
        board.chain.send(get_paid, board.chain.stranger)
    board.chain.send(wallet.functions.setHostile(False, withdraw), board.chain.stranger)
    board.chain.send(get_paid, board.chain.stranger)
    assert board.chain.web3.eth.get_balance(wallet.address) == BOUNTY
    assert board.chain.web3.eth.get_balance(board.requests.address) == BOUNTY
    with board.chain.refused("NothingToWithdraw", account=wallet.address):
        board.chain.send(get_paid, board.chain.stranger)


# -------------------------------------------------------------------------------------------------------- counting


@pytest.mark.parametrize(
    ("outputs", "labels", "correct"),
    [
        ([1, 2, 3, 3, 2, 1], [2, 0], 2),
        ([1, 2, 2, -1, -2, -3], [1, 0], 1),
        ([0, 0, 0], [0], 0),
        ([5, 1, -1, 0], [1, 1, 0, 0], 4),
        ([1, 2, 3], [3], 0),
    ],
)
def test_ties_and_signs(outputs: list[int], labels: list[int], correct: int) -> None:
    assert matching_classes(outputs, labels) == correct
