"""What `buyer` and `seller` have in common when they end trades and take money out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts import ETH
from trader.cli.output import print_json_line, results
from trader.clients.ending import end_trade, withdraw
from trader.currencies import ETHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trader.clients.connection import Connection
    from trader.currencies import Currencies
    from trader.trade import Role


def run_end(connection: Connection, trade_id: int, role: Role, as_json: bool) -> None:
    """End a trade and say what came of it."""
    ended = end_trade(connection, trade_id, role)
    if as_json:
        print_json_line({"trade_id": trade_id, "state": ended.state} | withdrawn_facts(ended.withdrawn))
        return
    taken = in_words(ended.withdrawn, connection.currencies)
    results.print(f"trade {trade_id}: {ended.state}; withdrawn: {taken}", highlight=False)


def print_withdrawn(connection: Connection, as_json: bool) -> None:
    """Take out what is owed, and say what it was."""
    taken = withdraw(connection)
    if as_json:
        print_json_line(withdrawn_facts(taken))
    else:
        results.print(f"withdrawn: {in_words(taken, connection.currencies)}", highlight=False)


def withdrawn_facts(taken: Mapping[str, int]) -> dict[str, Any]:
    """Return what was taken out for programs: ether, and tokens by their addresses, in the smallest unit."""
    tokens = {token: amount for token, amount in taken.items() if token != ETH}
    return {"withdrawn_wei": taken.get(ETH, 0), "withdrawn_tokens": tokens}


def in_words(taken: Mapping[str, int], currencies: Currencies) -> str:
    """Return what was taken out for people."""
    amounts = [currencies.of(token).format(amount) for token, amount in taken.items()]
    return ", ".join(amounts) or ETHER.format(0)
