"""Bounties: what claims one, what doesn't, and where the money goes. The proofs are real (`make_request_proofs.py`)."""

from dataclasses import replace
from typing import Any

import pytest
from eth_utils.crypto import keccak

from contracts import ETH
from contracts.requests import PublicTestSet, Task, Wanted
from tests.contracts.board import BOND, BOUNTY, CIRCUIT, HOLD, LABELS, LAYOUT, OFFER, PRICE, SAMPLES, STATES, Board, K
from tests.contracts.periphery import event
from zk.field import MODULUS

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


def test_nothing_is_posted_at_its_deadline(board: Board) -> None:
    deadline = board.chain.now + 50
    board.chain.at(deadline)
    with board.chain.refused("DeadlinePassed", deadline=deadline):
        board.post(deadline=deadline)


def test_an_accuracy_that_nothing_reaches_is_named(board: Board) -> None:
    with board.chain.refused("ImpossibleAccuracy", correct=SAMPLES + 1, samples=SAMPLES):
        board.post(minimum_correct=SAMPLES + 1)


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
    withdrawn = board.chain.send(board.requests.functions.withdraw(token), board.chain.buyer)
    amounts = {"account": board.chain.buyer, "token": token, "amount": BOUNTY * 99 // 100}
    assert event(withdrawn, board.requests, "Withdrawn") == amounts
    assert board.token.functions.balanceOf(board.chain.buyer).call() == before + BOUNTY * 99 // 100
    assert board.token.functions.balanceOf(board.requests.address).call() == 0


def test_a_second_bounty_in_the_same_token_is_what_it_brings(board: Board) -> None:
    for request in (2, 3):
        board.post(bounty_token=board.token.address)
        assert Wanted.from_abi(board.requests.functions.request(request).call()[-1]).bounty == BOUNTY


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


def test_columns_of_a_circuit_are_not_exchanged(board: Board) -> None:
    """A buyer takes a circuit of two input columns and one of parameters: that one alone gets as far as its proof."""
    wide = replace(CIRCUIT, layout=replace(LAYOUT, input_columns=2))
    test_set = PublicTestSet(LABELS, [wide])
    board.post(test_root=test_set.root)
    batch = replace(board.batch(0, request=2), layout=wide.layout, path=tuple(test_set.path(wide, 0)))
    with board.chain.refused("UnexpectedStatement"):
        board.prove(batch, request=2)
    exchanged = replace(wide.layout, input_columns=wide.layout.parameter_columns, parameter_columns=2)
    with board.chain.refused("NotInTestSet"):
        board.prove(replace(batch, layout=exchanged), request=2)


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
    with board.chain.refused("NothingToWithdraw", account=wallet.address, token=ETH):
        board.chain.send(get_paid, board.chain.stranger)


def test_small_bounties_add_up_and_are_paid(board: Board) -> None:
    deadline = board.chain.now + 50
    board.post(bounty=1, deadline=deadline)
    board.post(bounty=2, deadline=deadline)
    board.chain.at(deadline)
    board.do("close", 2)
    with board.chain.restored():
        board.do("withdraw", ETH, sender=board.chain.buyer)
        assert board.credit(board.chain.buyer) == 0
    board.do("close", 3)
    assert board.credit(board.chain.buyer) == 3
