"""Nodes that refuse large ranges, or many results, and nodes that can't be helped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from web3.exceptions import TooManyRequests, Web3RPCError

from contracts import read_logs
from contracts.logs import FIRST_RANGE_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Callable

LAST = 50_000
HOLDING = (0, 7, 9_999, 10_000, 10_001, 10_001, 31_234, LAST)
"""Blocks that hold a log each."""


class Node:
    """Answers `get_logs` from `HOLDING`, unless `refuse` says why not."""

    def __init__(self, refuse: Callable[[int, int, int], Exception | None]) -> None:
        self.eth = self
        self.calls: list[tuple[int, int]] = []
        self._refuse = refuse

    def get_logs(self, query: dict[str, Any]) -> list[dict[str, int]]:
        first, last = query["fromBlock"], query["toBlock"]
        self.calls.append((first, last))
        found = [
            {"blockNumber": block, "logIndex": index} for index, block in enumerate(HOLDING) if first <= block <= last
        ]
        if error := self._refuse(first, last, len(found)):
            raise error
        return found[::-1]


def read(node: Any, first: int = 0, last: int = LAST) -> list[int]:
    return [log["blockNumber"] for log in read_logs(node, {"address": "0x"}, first, last)]


def wide(most: int) -> Callable[[int, int, int], Exception | None]:
    return lambda first, last, _: Web3RPCError("query exceeds max block range") if last - first >= most else None


@pytest.mark.parametrize("most", [1, 3, 1000, 2000, 10_000, 10_001, 10**6])
def test_whatever_range_a_node_allows_nothing_is_missed(most: int) -> None:
    last = min(LAST, 12_000 if most < 1000 else LAST)
    node = Node(wide(most))
    assert read(node, last=last) == [block for block in HOLDING if block <= last]
    if most >= FIRST_RANGE_BLOCKS:
        assert len(node.calls) <= 2 * (LAST // FIRST_RANGE_BLOCKS + 1)  # at most one refusal for each answer


def test_too_many_results_are_asked_for_in_parts() -> None:
    node = Node(lambda _first, _last, found: Web3RPCError("more than 2 results") if found > 2 else None)
    assert read(node) == list(HOLDING)


def test_a_block_that_is_refused_by_itself_is_an_error_and_never_a_gap() -> None:
    node = Node(lambda first, last, _: Web3RPCError("no") if first <= 10_000 <= last else None)
    with pytest.raises(Web3RPCError):
        read(node)
    assert node.calls[-1] == (10_000, 10_000)


@pytest.mark.parametrize("error", [ConnectionError("refused"), TooManyRequests("slow down")])
def test_what_smaller_ranges_do_not_help_is_not_asked_again(error: Exception) -> None:
    node = Node(lambda *_: error)
    with pytest.raises(type(error)):
        read(node)
    assert len(node.calls) == 1


def test_an_http_status_of_a_gateway_is_a_refusal_too() -> None:
    class Response:
        status_code = 413

    error = OSError("413 Payload Too Large")
    error.response = Response()  # type: ignore[attr-defined]
    node = Node(lambda first, last, _: error if last - first >= 1000 else None)
    assert read(node) == list(HOLDING)


def test_a_node_that_gives_more_than_was_asked_for_tells_nothing_twice() -> None:
    node = Node(lambda *_: None)
    narrow = node.get_logs
    node.get_logs = lambda query: narrow({"fromBlock": 0, "toBlock": LAST})  # type: ignore[method-assign]
    assert read(node) == list(HOLDING)


def test_nothing_is_asked_of_no_blocks() -> None:
    node = Node(lambda *_: None)
    assert read(node, first=5, last=4) == []
    assert node.calls == []
