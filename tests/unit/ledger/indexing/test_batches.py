"""Receipts and blocks are asked for many at once, as far as the node takes that; what comes is what it gives alone."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
import requests
from web3.exceptions import TooManyRequests

from contracts import bind_market
from ledger import AuditLog, Indexer, Source
from ledger.indexing.batches import MOST_AT_ONCE, Batches
from tests.simulators.proxy import BATCH, BadBatch, Proxy, call_of, calls_of
from tests.unit.ledger.indexing.test_faulty_proxy import Played
from tests.unit.ledger.indexing.test_whole_index import rescan, standing
from trader.chain import Chain

if TYPE_CHECKING:
    from pathlib import Path

    from hexbytes import HexBytes
    from web3 import Web3

pytestmark = pytest.mark.anvil
SESSIONS = 12


class BatchProxy(Proxy):
    """Before a node that makes something of each batch, or takes small ones only.

    Attributes:
        sizes: Of the batches.
        alone: Calls that came in none.
    """

    def __init__(self, url: str, bad: BadBatch | None = None, most_calls: int = 10**9) -> None:
        super().__init__(url)
        self._bad, self._most_calls = bad, most_calls
        self.sizes: list[int] = []
        self.alone = 0

    def answer(self, body: bytes) -> bytes | None:
        answer = super().answer(body)
        if call_of(body)["method"] != BATCH:
            self.alone += 1
            return answer
        self.sizes.append(len(calls_of(body)))
        if self._bad is None and self.sizes[-1] <= self._most_calls:
            return answer
        told = (self._bad or BadBatch.REFUSED).of(json.loads(answer or b"[]"), random.Random(0))
        return json.dumps(told).encode()


@pytest.fixture(scope="module")
def played(anvil_url: str) -> Played:
    market = Played(Chain.connect(anvil_url).web3)
    for _ in range(SESSIONS):
        market.open_session()
    return market


def index_through(proxy: Proxy, played: Played, path: Path) -> AuditLog:
    log = AuditLog.open(path)
    with proxy.running() as url:
        contract = bind_market(Chain.connect(url).web3, played.market.address)
        Indexer(log, [Source(contract, played.first_block)]).catch_up()
    return log


def test_a_range_takes_few_requests(played: Played, anvil_url: str, tmp_path: Path) -> None:
    proxy = BatchProxy(anvil_url)
    with index_through(proxy, played, tmp_path / "audit.sqlite") as log:
        assert standing(log) == rescan(tmp_path, played.market)
    assert proxy.sizes == [SESSIONS + 1, SESSIONS + 1]  # receipts, and blocks; one is of the listing
    assert proxy.methods["eth_getTransactionReceipt"] == SESSIONS + 1


@pytest.mark.parametrize("bad", BadBatch)
def test_whatever_a_node_makes_of_batches_the_index_is_the_same(
    played: Played, anvil_url: str, tmp_path: Path, bad: BadBatch
) -> None:
    proxy = BatchProxy(anvil_url, bad)
    with index_through(proxy, played, tmp_path / "audit.sqlite") as log:
        assert standing(log) == rescan(tmp_path, played.market)
    assert proxy.sizes


def test_a_node_that_takes_few_at_once_is_asked_for_few(played: Played, anvil_url: str, tmp_path: Path) -> None:
    proxy = BatchProxy(anvil_url, most_calls=5)
    with index_through(proxy, played, tmp_path / "audit.sqlite") as log:
        assert standing(log) == rescan(tmp_path, played.market)
    assert proxy.sizes[:3] == [13, 6, 3]
    assert max(proxy.sizes[3:]) <= 6


class Counted:
    """A node, and what it was asked: how many at once, and what it does with more than it takes."""

    def __init__(self, web3: Web3, most: int, error: Exception) -> None:
        self.asked: list[int] = []
        self.batches = Batches(web3)
        ask = self.batches._ask

        def refuse(method: Any, hashes: list[bytes]) -> list[Any]:
            self.asked.append(len(hashes))
            if len(hashes) > most:
                raise error
            return ask(method, hashes)

        self.batches._ask = refuse  # type: ignore[method-assign]


def test_sizes_are_found_out_and_found_out_again(played: Played) -> None:
    """By what is asked alone in a request: it is halved when it is refused, and grows by one when it is not."""
    node = Counted(played.web3, 7, ValueError("too much"))
    block = bytes(played.web3.eth.get_block("latest")["hash"])
    found = list(node.batches.ask(played.web3.eth.get_block, [block] * 40))
    assert len(found) == 40
    assert node.asked[:4] == [40, 20, 10, 5]
    assert max(node.asked[4:]) == 8  # it was tried again, one at a time
    assert node.asked.count(8) < len(node.asked) / 3


def test_who_takes_none_is_asked_no_more_for_batches(played: Played) -> None:
    node = Counted(played.web3, 1, ValueError("no batches"))
    block = bytes(played.web3.eth.get_block("latest")["hash"])
    for _ in range(2):
        assert list(node.batches.ask(played.web3.eth.get_block, [block] * 40)) == []
    assert node.asked == [40, 20, 10, 5, 2]


@pytest.mark.parametrize("error", [requests.ConnectionError("refused"), TooManyRequests("slow down")])
def test_who_is_away_or_wants_a_rest_is_asked_once(played: Played, error: Exception) -> None:
    node = Counted(played.web3, 0, error)
    with pytest.raises(type(error)):
        list(node.batches.ask(played.web3.eth.get_block, [bytes(32)] * 40))
    assert node.asked == [40]


def test_what_the_node_does_not_know_is_left_to_be_asked_for_alone(played: Played) -> None:
    def known(one: HexBytes) -> Any:
        return played.web3.eth.get_block(one)

    latest = bytes(played.web3.eth.get_block("latest")["hash"])
    assert list(Batches(played.web3).ask(known, [latest, bytes(32)])) == []
    assert len(list(Batches(played.web3).ask(known, [latest] * (MOST_AT_ONCE + 2)))) == MOST_AT_ONCE + 2
