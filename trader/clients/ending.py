"""Ends trades whose deadlines have passed, with nothing but the account: no folder, no package, no seller.

For whoever has lost its folder, or restored one that is too old to go on. Anybody may end a trade; each side takes out
what the escrow owes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trader.errors import IllegalMoveError
from trader.trade import TIMEOUTS, Expired, legal_events

if TYPE_CHECKING:
    from trader.chain.market import Trade
    from trader.clients.connection import Connection
    from trader.trade import Role


@dataclass(frozen=True, slots=True)
class EndedTrade:
    """What `end_trade` has done.

    Attributes:
        trade_id: The trade.
        state: Name of the state that it ended in, in lower case.
        withdrawn: What the account has taken out, of this trade and of others, by currency.
    """

    trade_id: int
    state: str
    withdrawn: dict[str, int]


def end_trade(connection: Connection, trade_id: int, role: Role) -> EndedTrade:
    """End a trade whose deadline has passed, unless it has ended, and take out what the escrow owes the account.

    Raises:
        CallerError: There is no such trade.
        IllegalMoveError: Its deadline has not passed.
        TransactionRefusedError: The account can't pay for gas, or somebody was faster: repeat.
        ChainUnavailableError: The node does not answer.
    """
    market, account = connection.market, connection.account
    position = market.trade(trade_id).position
    if not position.final:
        due = legal_events(role, position, market.chain.time().confirmed) & TIMEOUTS
        if not due:
            raise IllegalMoveError(
                f"trade {trade_id} is {position.state.name.lower()}, and its deadline has not passed by the confirmed "
                "blocks: nobody can end it yet"
            )
        move = market.expire if Expired in due else market.settle
        move(account, trade_id)
    return EndedTrade(trade_id, market.trade(trade_id).position.state.name.lower(), withdraw(connection))


def withdraw(connection: Connection) -> dict[str, int]:
    """Take out what the escrow owes the account in each currency that it has to do with.

    That is ether, the tokens of the settings, and those of its own listings and trades. What strangers credit it with
    in tokens of their own making stays: to take it out would call these.

    Returns:
        Amounts by the currency's address (`contracts.ETH`), in wei or the token's smallest unit; never zero.
    """
    market, account = connection.market, connection.account
    address, taken = str(account.address), {}
    for token in _currencies(connection):
        owed = market.credit(address, token)
        if owed:
            market.withdraw(account, token)
            taken[token] = owed
    return taken


def _currencies(connection: Connection) -> tuple[str, ...]:
    market, address = connection.market, str(connection.account.address)
    traded = {market.opened[trade_id][0] for trade_id in market.find_trades_of(address)}
    listings = sorted({*traded, *market.listings_of(address)})
    tokens = (market.listing(listing_id).terms.token for listing_id in listings)
    return tuple(dict.fromkeys((*(one.token for one in connection.currencies), *tokens)))


def open_trades(connection: Connection) -> list[Trade]:
    """Return the trades that the account has opened as a buyer and that have not ended, oldest first."""
    market = connection.market
    trades = map(market.trade, market.find_trades_of(str(connection.account.address)))
    return [trade for trade in trades if not trade.position.final]
