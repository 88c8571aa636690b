"""Tokens into the market before a move that they pay for: exactly what is missing there, and once.

The signed transaction of a deposit is kept before it is sent: a process that was killed sends it again, and makes
another one only when that can't take effect any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts import ETH
from trader.chain.tokens import Token
from trader.errors import TokenError, TransactionRefusedError

if TYPE_CHECKING:
    from trader.chain.receipts import Receipt
    from trader.chain.tokens import Arrival
    from trader.parties.actor import Actor
    from trader.parties.vault import Vault

_AMOUNT_BYTES = 32


class Funding:
    """Deposits of one account."""

    def __init__(self, actor: Actor) -> None:
        """Take the account at work."""
        self._actor = actor
        self._market = actor.market

    def top_up(self, token: str, needed: int, vault: Vault, name: str) -> None:
        """See to it that the account's balance in the market covers an amount of a token.

        Of ether nothing is deposited: it comes with the move that it pays for.

        Args:
            token: Its address.
            needed: In its smallest unit.
            vault: Where the signed transaction is kept.
            name: Under which name.

        Raises:
            TokenError: Less arrived than was sent: the token keeps a part of what it moves.
            TransactionRefusedError: The account has too little of the token, or the token refuses.
            ChainUnavailableError: The node does not answer.
        """
        if token == ETH or self._missing(token, needed) <= 0:
            return
        if vault.has(name):
            self._finish(Token(self._market, token), vault.read(name))
        missing = self._missing(token, needed)
        if missing > 0:
            self._deposit(Token(self._market, token), missing, vault, name)

    def _missing(self, token: str, needed: int) -> int:
        return needed - self._market.credit(self._actor.address, token, newest=True)

    def _finish(self, token: Token, kept: bytes) -> None:
        """Bring a deposit that was signed to its end, if it can still take effect."""
        amount, signed = int.from_bytes(kept[:_AMOUNT_BYTES], "big"), kept[_AMOUNT_BYTES:]
        arrivals: list[Arrival] = []

        def send() -> Receipt:
            arrivals.append(token.resend(self._actor.address, signed))
            return arrivals[0].receipt

        try:
            self._actor.transact("deposit", send)
        except TransactionRefusedError:
            return
        _require_whole(token, amount, arrivals[0])

    def _deposit(self, token: Token, amount: int, vault: Vault, name: str) -> None:
        account = self._actor.account
        owned = token.balance(account.address)
        if owned < amount:
            raise TransactionRefusedError(
                f"{account.address} has {owned} of the token {token.address} in its smallest unit, {amount} are "
                "missing in the market: send it more"
            )
        arrivals: list[Arrival] = []
        *better, last = token.ways_in(account, amount)
        for way in (*better, last):

            def send(way: Any = way) -> Receipt:
                arrivals.append(way(lambda signed: vault.write(name, amount.to_bytes(_AMOUNT_BYTES, "big") + signed)))
                return arrivals[0].receipt

            try:
                self._actor.transact("deposit", send)
                break
            except TransactionRefusedError:
                if way is last:
                    raise
        _require_whole(token, amount, arrivals[0])


def _require_whole(token: Token, amount: int, arrival: Arrival) -> None:
    if arrival.arrived < amount:
        raise TokenError(
            f"of {amount} sent of the token {token.address} (smallest unit) {arrival.arrived} arrived in the market: "
            "it keeps a part of what it moves, so that a price in it is none. Nothing more is sent; take out what "
            "arrived (`withdraw`), and trade in another currency."
        )
