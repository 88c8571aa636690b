"""What seller and buyer have in common: whose move it is, and what anybody may do.

A party performs one step of the protocol per method. Each step looks at the chain first, keeps its secrets in the
party's folder before it sends a transaction, and can be repeated: a killed process goes on where the chain says that it
stands. Which step comes next is read from the table of `trader.trade`; the two sides say how each move is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts import ETH
from trader.errors import IllegalMoveError, NotYetError, TooLateError
from trader.parties.actor import Actor
from trader.trade import Event, Expired, Role, Settled, last_move, legal_events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trader.chain.market import Trade
    from trader.parties.actor import Equipment
    from trader.parties.conduct import Conduct


class Party:
    """One side of a trade.

    Attributes:
        role: Which side.
        actor: The account at work.
        market: The escrow.
        account: Signs and pays.
        mailbox: Where messages to and from the other party are.
        folder: The party's own, for its secrets.
        lingers: Whether `expire`, `settle` and `withdraw` wait for their confirmations; else for one block, as a
            seller's own moves do, and whoever calls looks again whether they stand.
        moves: For each event that this side causes by itself, the method that causes it, given the trade's number. When
            it is due, the table says.
        messages: For each of these events that a message belongs to, the method that sees to it that the message lies
            in the mailbox while the other side is on move. It tells whether there was something to do.
    """

    role: Role
    lingers = True
    moves: Mapping[type[Event], Callable[[int], object]]
    messages: Mapping[type[Event], Callable[[int], bool]]

    def __init__(self, equipment: Equipment, conduct: Conduct) -> None:
        """Take the folder.

        Raises:
            PartyFolderError: Another process works in it, or it belongs to another account.
            EnvironmentFaultError: It can't be written.
        """
        self.actor = Actor(self.role, equipment, conduct)
        self.market = equipment.market
        self.account = equipment.account
        self.mailbox = equipment.mailbox
        self.folder = equipment.folder
        self._makes = conduct.makes

    @property
    def address(self) -> str:
        """The party's account."""
        return self.actor.address

    def catch_up(self) -> None:
        """Log the events that could not be read when they happened; `step` does it first.

        Raises:
            WrongMarketError: The log belongs to another market: no step is done before it is replaced.
        """
        self.actor.catch_up()

    # -------------------------------------------------------------------------------------------------------- step

    def _advance(self, trade: Trade) -> bool:
        """Do what the table has for this side now; return whether there was something to do.

        That is its move, a timeout from the deadline on; while the other side is on move, the message of its last one.
        """
        due = self._due_move(trade)
        move = due or last_move(self.role, trade.position.state)
        if move is None or not self._goes_on(move, trade):
            return False
        if due is None:
            return move in self.messages and self.messages[move](trade.trade_id)
        if not self._makes(due, trade, self.market):
            return False
        return self._make(due, trade)

    def _make(self, move: type[Event], trade: Trade) -> bool:
        """Make a move that was legal when the trade was read; return whether to look again at once.

        Since then the other side may have moved, or the deadline passed in blocks that are not confirmed. Then there is
        nothing wrong: the next step begins with what has become of the trade.
        """
        try:
            self.moves[move](trade.trade_id)
        except (NotYetError, TooLateError):
            raise
        except IllegalMoveError:
            position = self.market.trade(trade.trade_id).position
            if position == trade.position and not position.overdue(self.market.chain.time().newest):
                raise
            return position != trade.position
        return True

    def _due_move(self, trade: Trade) -> type[Event] | None:
        """Return the move that this side may make now; None while the other side is on move.

        By the time of the confirmed blocks. Each move looks at that of the newest one before it is made.
        """
        legal = legal_events(self.role, trade.position, self.market.chain.time().confirmed)
        return next((event for event in self.moves if event in legal), None)

    def _goes_on(self, move: type[Event], trade: Trade) -> bool:  # noqa: ARG002 - the two sides decide
        """Return whether this side makes a move that is due, or keeps the message of its last one in place."""
        return True

    # ----------------------------------------------------------------------------------------------- what anybody may

    def expire(self, trade_id: int) -> None:
        """End a trade whose deadline passed before the key was revealed: everybody gets back what it had locked.

        Raises:
            IllegalMoveError: The deadline has not passed, or the trade has ended.
        """
        self.actor.require_legal(Expired, trade_id)
        self.actor.transact("expire", lambda: self.market.expire(self.account, trade_id, confirmed=self.lingers))

    def settle(self, trade_id: int) -> None:
        """End a revealed trade whose dispute window passed in silence: price and bond go to the seller.

        Raises:
            IllegalMoveError: The window has not passed, or the trade is in another state.
        """
        self.actor.require_legal(Settled, trade_id)
        self.actor.transact("settle", lambda: self.market.settle(self.account, trade_id, confirmed=self.lingers))

    def withdraw(self) -> dict[str, int]:
        """Take out what the escrow owes this account; return the amounts by currency, empty where it owes nothing.

        Nor where a withdrawal has taken it out in blocks that may still be replaced. Amounts are in wei, or in the
        smallest unit of the token that is their key.
        """
        taken: dict[str, int] = {}
        for token in self.currencies():
            credit = self.market.credit(self.address, token)
            if credit and self.market.credit(self.address, token, newest=True):
                self._withdraw(token)
                taken[token] = credit
        return taken

    def _withdraw(self, token: str) -> None:
        self.actor.transact("withdraw", lambda: self.market.withdraw(self.account, token, confirmed=self.lingers))

    def is_owed(self) -> bool:
        """Return whether the escrow owes this account something, as far as confirmed blocks say."""
        return any(self.market.credit(self.address, token) for token in self.currencies())

    def currencies(self) -> tuple[str, ...]:
        """Return what this side's trades are paid in: ether, and the tokens of their listings.

        No others: a stranger may credit anybody with a token of its own making, and taking it out would call that.
        """
        return (ETH,)
