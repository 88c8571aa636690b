"""Amounts of money and spans of time as people write them, exactly: `1.5 ether`, `20 gwei`, `200 USDC`, `15m`, `2d`.

A text is a decimal number and a unit; what it means is an integer of the smallest unit (wei, seconds), or it is
refused. No float is anywhere between::

    read_amount("1.5 ether")             1500000000000000000
    read_amount("0.5 wei")               refused: half a wei is no amount
    format_amount(20_000_000_000)        "20 gwei"
    read_duration("1.5h")                5400
    format_duration(5400)                "90m"

What the format functions write, the read functions read as the same integer.
"""

from __future__ import annotations

import re
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from trader.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Mapping

ETHER_UNITS: Final[Mapping[str, int]] = MappingProxyType({"ether": 10**18, "gwei": 10**9, "wei": 1})
"""Units of the chain's own currency, in wei; the largest first."""
DURATION_UNITS: Final[Mapping[str, int]] = MappingProxyType({"d": 86_400, "h": 3600, "m": 60, "s": 1})
"""Units of time, in seconds; the largest first."""
MAX_AMOUNT: Final = (1 << 128) - 1
"""What the escrow's `uint128` holds."""
MAX_DURATION_SECONDS: Final = (1 << 32) - 1
"""What the escrow's `uint32` holds, 136 years."""
MAX_DECIMALS: Final = 38
"""Of a token: beyond, the escrow could not hold one of it."""
MAX_CHARACTERS: Final = 128

_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z][A-Za-z0-9.]*)")


def token_units(symbol: str, decimals: int) -> Mapping[str, int]:
    """Return the units of a token, for `read_amount` and `format_amount`: the token alone, in its smallest unit.

    Args:
        symbol: As users write it; a token list says it, never the token's contract, which may claim any.
        decimals: From the same list.

    Raises:
        QuantityError: The symbol can't be read back, or it has more than `MAX_DECIMALS` decimals.
    """
    if not 0 <= decimals <= MAX_DECIMALS or not _TEXT.fullmatch(f"1 {symbol}"):
        raise QuantityError(f"{symbol[:40]!r} with {decimals} decimals is no token that amounts can be written in")
    return {symbol: 10**decimals}


def read_amount(text: str, units: Mapping[str, int] = ETHER_UNITS) -> int:
    """Return an amount in the smallest unit (wei): a decimal number, at most one space, and one of the units.

    Args:
        text: Such as `1.5 ether`.
        units: That it may be in, each with what it is in the smallest unit.

    Raises:
        QuantityError: It is not of this form, not whole in the smallest unit, or above `MAX_AMOUNT`.
    """
    return _read(text, units, MAX_AMOUNT, "an amount", "1.5")


def format_amount(amount: int, units: Mapping[str, int] = ETHER_UNITS) -> str:
    """Return an amount of the smallest unit (wei) as text, exactly, in the largest unit of which it is a thousandth.

    Args:
        amount: From 0 to `MAX_AMOUNT`.
        units: To choose from, powers of ten, the largest first.

    Raises:
        QuantityError: It is out of that range.
    """
    _check_range(amount, MAX_AMOUNT, "an amount")
    last = len(units) - 1
    name, factor = next(
        (name, factor)
        for number, (name, factor) in enumerate(units.items())
        if number == last or amount * 1000 >= factor
    )
    whole, rest = divmod(amount, factor)
    decimals = f"{rest:0{len(str(factor)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{decimals} {name}" if decimals else f"{whole} {name}"


def read_duration(text: str) -> int:
    """Return a span of time in seconds: `90s`, `15m`, `1h`, `2d`, `1.5h`.

    Raises:
        QuantityError: It is not of this form, not whole in seconds, or above `MAX_DURATION_SECONDS`.
    """
    return _read(text, DURATION_UNITS, MAX_DURATION_SECONDS, "a duration", "15")


def format_duration(seconds: int) -> str:
    """Return a span of time as text, exactly, in the largest unit in which it is whole.

    Raises:
        QuantityError: It is negative or above `MAX_DURATION_SECONDS`.
    """
    _check_range(seconds, MAX_DURATION_SECONDS, "a duration")
    if not seconds:
        return "0s"
    name, factor = next((name, factor) for name, factor in DURATION_UNITS.items() if seconds % factor == 0)
    return f"{seconds // factor}{name}"


def _read(text: str, units: Mapping[str, int], largest: int, kind: str, example: str) -> int:
    """Return what a text says, in the smallest unit; the rest is for messages."""
    names = ", ".join(units)
    found = _TEXT.fullmatch(text.strip(" ")) if len(text) <= MAX_CHARACTERS else None
    if found is None or found[2] not in units:
        raise QuantityError(
            f"{text[:40]!r} is not {kind}; write a decimal number and a unit ({names}), such as "
            f"'{example} {next(iter(units))}'"
        )
    exact = Fraction(found[1]) * units[found[2]]
    if exact.denominator != 1:
        raise QuantityError(f"{text[:40]!r} is not a whole number of the smallest unit; take away decimals")
    _check_range(exact.numerator, largest, kind)
    return exact.numerator


def _check_range(value: int, largest: int, kind: str) -> None:
    if not 0 <= value <= largest:
        raise QuantityError(f"{kind} is from 0 to {largest} in the smallest unit, not {value}")
