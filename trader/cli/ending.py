"""What `buyer end` and `seller end` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.amounts import format_amount
from trader.cli.output import print_json_line, results
from trader.clients.ending import end_trade

if TYPE_CHECKING:
    from trader.clients.connection import Connection
    from trader.trade import Role


def run_end(connection: Connection, trade_id: int, role: Role, as_json: bool) -> None:
    """End a trade and say what came of it."""
    ended = end_trade(connection, trade_id, role)
    if as_json:
        print_json_line({name: getattr(ended, name) for name in ended.__slots__})
        return
    results.print(f"trade {trade_id}: {ended.state}; withdrawn: {format_amount(ended.withdrawn_wei)}", highlight=False)
