"""Checkpoints of audit logs on the chain: whose they are, and that they only grow."""

from collections.abc import Iterator
from typing import Any

import pytest
from eth_utils.crypto import keccak

from contracts import Periphery
from tests.contracts.periphery import Ground, event, ground

LOG, ROOT, OTHER = keccak(b"log"), keccak(b"root"), keccak(b"another root")
LARGEST = 2**64 - 1


@pytest.fixture
def chain() -> Iterator[Ground]:
    with ground().restored():
        yield ground()


@pytest.fixture
def contract(chain: Ground) -> Any:
    return chain.periphery(Periphery.AUDIT_ANCHOR)


def test_the_last_checkpoint_stands_with_its_second(chain: Ground, contract: Any) -> None:
    assert contract.functions.latest(chain.seller, LOG).call() == (0, 0, bytes(32))
    for size, root in ((1, ROOT), (2, OTHER), (LARGEST, ROOT)):
        receipt = chain.send(contract.functions.anchor(LOG, size, root), chain.seller)
        anchored = event(receipt, contract, "Anchored")
        assert anchored == {"account": chain.seller, "logId": LOG, "size": size, "root": root}
        assert contract.functions.latest(chain.seller, LOG).call() == (size, chain.now, root)


@pytest.mark.parametrize("size", [0, 6, 7])
def test_a_log_that_has_not_grown_is_refused(chain: Ground, contract: Any, size: int) -> None:
    chain.send(contract.functions.anchor(LOG, 7, ROOT), chain.seller)
    with chain.refused("LogNotGrown", account=chain.seller, logId=LOG, size=size, anchored=7):
        chain.send(contract.functions.anchor(LOG, size, OTHER), chain.seller)
    assert contract.functions.latest(chain.seller, LOG).call()[2] == ROOT


def test_an_empty_log_is_refused(chain: Ground, contract: Any) -> None:
    with chain.refused("LogNotGrown", size=0, anchored=0):
        chain.send(contract.functions.anchor(LOG, 0, ROOT), chain.seller)


def test_nobody_speaks_for_another_account_or_log(chain: Ground, contract: Any) -> None:
    chain.send(contract.functions.anchor(LOG, LARGEST, OTHER), chain.stranger)
    assert contract.functions.latest(chain.seller, LOG).call()[0] == 0
    chain.send(contract.functions.anchor(LOG, 1, ROOT), chain.seller)
    chain.send(contract.functions.anchor(OTHER, 1, OTHER), chain.seller)
    assert contract.functions.latest(chain.seller, LOG).call()[2] == ROOT
    assert contract.functions.latest(chain.seller, OTHER).call()[2] == OTHER
