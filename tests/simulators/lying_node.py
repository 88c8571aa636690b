"""A node whose search for logs is as bad as public nodes' can be, in front of an honest chain."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3RPCError

from contracts import bind_market

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from web3.contract import Contract


class LyingNode:
    """Drops, doubles, changes and makes up events, refuses ranges, lags, and does not answer.

    Attributes:
        contract: The market, as this node shows it.
        told: How often it did what.
    """

    def __init__(self, web3: Web3, address: str, random: random.Random, share: float = 0.3) -> None:
        """Say how bad it is.

        Args:
            web3: The honest chain.
            address: Of the market.
            random: Draws.
            share: Of the answers that are bad.
        """
        self._random = random
        self._share = share
        self._honest = web3.eth
        self.told: Counter[str] = Counter()
        shown = Web3(web3.provider)
        eth: Any = shown.eth
        eth.get_logs = self._get_logs
        eth.get_block = self._get_block
        eth.get_transaction_receipt = self._get_receipt
        self.contract: Contract = bind_market(shown, address)

    def _bad(self) -> bool:
        return self._random.random() < self._share

    def _get_logs(self, query: Any) -> list[Any]:
        if not self._bad():
            return list(self._honest.get_logs(query))
        moves: list[Callable[[Any], list[Any]]] = [
            self._drop, self._double, self._change, self._make_up, self._refuse, self._hang_up, self._give_more,
        ]  # fmt: skip
        return self._random.choice(moves)(query)

    def _drop(self, query: Any) -> list[Any]:
        self.told["dropped"] += 1
        return [log for log in self._honest.get_logs(query) if self._random.random() < 0.5]

    def _double(self, query: Any) -> list[Any]:
        self.told["doubled"] += 1
        return [log for log in self._honest.get_logs(query) for _ in range(2)]

    def _change(self, query: Any) -> list[Any]:
        self.told["changed"] += 1
        logs = [dict(log) for log in self._honest.get_logs(query)]
        for log in logs[:1]:
            log["data"] = HexBytes(bytes(log["data"])[:-1] + b"\x07")
        return logs

    def _make_up(self, query: Any) -> list[Any]:
        self.told["made up"] += 1
        logs = [dict(log) for log in self._honest.get_logs(query)]
        return logs + [log | {"logIndex": log["logIndex"] + 90} for log in logs[:1]]

    def _refuse(self, query: Any) -> list[Any]:
        self.told["refused"] += 1
        raise Web3RPCError("range too wide")

    def _hang_up(self, query: Any) -> list[Any]:
        self.told["hung up"] += 1
        raise ConnectionError("reset by peer")

    def _give_more(self, query: Any) -> list[Any]:
        self.told["gave more"] += 1
        return list(self._honest.get_logs({**query, "fromBlock": 0, "toBlock": "latest"}))

    def _get_block(self, which: Any) -> Any:
        block = self._honest.get_block(which)
        if which == "latest" and block["number"] > 3 and self._bad():
            self.told["lagged"] += 1
            return self._honest.get_block(block["number"] - self._random.randrange(1, 3))
        return block

    def _get_receipt(self, transaction: Any) -> Any:
        if self._random.random() < self._share / 20:
            self.told["receipt missing"] += 1
            raise TransactionNotFound("not indexed yet")
        return self._honest.get_transaction_receipt(transaction)
