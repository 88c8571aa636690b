"""Events that are asked for again and again, read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web3.contract import Contract

    from trader.chain.node import Block, Chain
    from trader.chain.receipts import LogEvent


class LogScan:
    """The confirmed events of a contract that match some topics, in order.

    Each `read` searches the blocks since the last one alone, and all of them again once that block has left the
    chain.
    """

    def __init__(self, chain: Chain, contract: Contract, topics: Sequence[Any], first_block: int) -> None:
        self._chain = chain
        self._contract = contract
        self._topics = [*topics]
        self._first_block = first_block
        self._found: list[LogEvent] = []
        self._newest: Block | None = None

    def read(self) -> Sequence[LogEvent]:
        """Return all events so far.

        Raises:
            ChainUnavailableError: The node does not answer, or refuses to search.
        """
        if self._newest is not None and self._newest == self._chain.confirmed_block():
            return tuple(self._found)  # most reads: a loop looks more often than blocks come
        if self._newest is not None and not self._chain.stands(self._newest.number, self._newest.hash):
            self._newest, self._found = None, []
        start = self._first_block if self._newest is None else max(self._first_block, self._newest.number + 1)
        found, newest = self._chain.logs_since(self._contract, self._topics, start)
        self._found += found
        if self._newest is None or newest.number > self._newest.number:
            self._newest = newest
        return tuple(self._found)
