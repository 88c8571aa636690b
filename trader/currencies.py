"""Currencies: the chain's own and tokens, as people write and read amounts in them.

A token is known by its address. What it is called, and how many decimals it has, is its user's word (a table of the
settings), never the token's own, which may claim any. One that nobody has named is written in its smallest unit::

    Currencies().of(ETH).format(2 * 10**17)       "0.2 ether"
    usdc.format(200_000_000)                      "200 USDC"
    Currencies().of("0xA0b8…").format(5)          "5 of 0xA0b8…"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts import ETH
from trader.amounts import ETHER_UNITS, format_amount, read_amount, token_units
from trader.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ETHER_SYMBOL: Final = "ether"


@dataclass(frozen=True, slots=True)
class Currency:
    """What amounts are in.

    Attributes:
        token: Its address; zero (`contracts.ETH`) for the chain's own.
        symbol: What it is called; empty for a token that nobody has named.
        units: Its units, each with what it is in the smallest one, the largest first.
    """

    token: str
    symbol: str
    units: Mapping[str, int]

    @classmethod
    def named(cls, token: str, symbol: str, decimals: int) -> Currency:
        """Return a token.

        Raises:
            QuantityError: Amounts can't be written with this symbol and these decimals, or they would be ether's.
        """
        if symbol.lower() in {"eth", *ETHER_UNITS}:
            raise QuantityError(f"{symbol!r} is the chain's own currency: give the token another symbol")
        return cls(token, symbol, token_units(symbol, decimals))

    @property
    def is_ether(self) -> bool:
        """Whether it is the chain's own."""
        return self.token == ETH

    @property
    def decimals(self) -> int:
        """How many decimals its largest unit has."""
        return len(str(max(self.units.values()))) - 1

    def read(self, text: str) -> int:
        """Return an amount in the smallest unit; raises as `read_amount`."""
        return read_amount(text, self.units)

    def format(self, amount: int) -> str:
        """Return an amount of the smallest unit as text, exactly."""
        return format_amount(amount, self.units)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency by its name: what a token's address is, the chain decides.

    Attributes:
        amount: In the smallest unit.
        symbol: Of the currency.
    """

    amount: int
    symbol: str = ETHER_SYMBOL


def read_money(text: str, decimals: Mapping[str, int]) -> Money:
    """Return an amount in ether or in one of the tokens that are named.

    Args:
        text: Such as `200 USDC`.
        decimals: Of each token, by its symbol.

    Raises:
        QuantityError: As `read_amount`.
    """
    tokens = {symbol: 10**number for symbol, number in decimals.items()}
    amount = read_amount(text, {**ETHER_UNITS, **tokens})
    unit = text.strip(" ").lstrip("0123456789. ")
    return Money(amount, unit if unit in tokens else ETHER_SYMBOL)


ETHER: Final = Currency(ETH, ETHER_SYMBOL, ETHER_UNITS)


class Currencies:
    """The currencies of one chain: its own, and tokens that somebody has named."""

    def __init__(self, *tokens: Currency) -> None:
        """Name tokens.

        Raises:
            QuantityError: Two have one symbol, or one address: an amount would not say which is meant.
        """
        self._tokens = {one.token.lower(): one for one in tokens}
        if len(self._tokens) != len(tokens) or len({one.symbol.lower() for one in tokens}) != len(tokens):
            raise QuantityError("two tokens have the same symbol or the same address: name each once")

    def __iter__(self) -> Iterator[Currency]:
        """Go through all of them, the chain's own first."""
        return iter((ETHER, *self._tokens.values()))

    def of(self, token: str) -> Currency:
        """Return the currency of an address; one without a name if nobody has named it."""
        if token == ETH:
            return ETHER
        return self._tokens.get(token.lower()) or Currency(token, "", {f"of {token}": 1})

    def called(self, symbol: str) -> Currency:
        """Return the currency of a name.

        Raises:
            QuantityError: None is called so on this chain.
        """
        for one in self:
            if one.symbol == symbol:
                return one
        raise QuantityError(
            f"nothing is called {symbol!r} on this chain: name the token's address on it in the settings ([tokens])"
        )
