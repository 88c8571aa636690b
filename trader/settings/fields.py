"""The kinds of values that settings have, as people write them and as the program takes them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from eth_utils.address import is_checksum_address, is_hex_address, to_checksum_address
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from trader.amounts import MAX_DECIMALS, read_amount, read_duration
from trader.currencies import Money, read_money
from trader.errors import CallerError, QuantityError

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", bound="Settings")
BASE: Final = "folder"
"""Of the context of validation: relative paths start there."""
TOKENS: Final = "tokens"
"""Key of the settings, and of the context: how many decimals each token has, by its symbol."""


class SettingsError(CallerError):
    """A setting is missing, unknown, or has a value that it can't have; the message names it."""


def _quantity(read: Any, value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return read(value)
    except QuantityError as error:
        raise ValueError(str(error)) from error


def _path(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    return (info.context or {}).get(BASE, Path()) / Path(value).expanduser()


def _account(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or "://" in value:
        return value
    path = (info.context or {}).get(BASE, Path()) / Path(value).expanduser()
    return str(path) if path.exists() else value


Account = Annotated[str, BeforeValidator(_account)]
"""An account: a keyfile (relative to the file that names it), the name or address of one in a keystore, or a signer's
URL (`trader.chain.keystores.open_account`)."""


def _money(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return _quantity(partial(read_money, decimals=(info.context or {}).get(TOKENS, {})), value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("an amount is not negative")
        return Money(value)
    return value


def _prices(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _one_of_each(prices: tuple[Money, ...]) -> tuple[Money, ...]:
    if len({price.symbol for price in prices}) != len(prices):
        raise ValueError("two amounts in one currency: which one holds?")
    return prices


def _address(value: object) -> object:
    written = isinstance(value, str) and value.startswith("0x") and is_hex_address(value)
    if not isinstance(value, str) or not written or (value != value.lower() and not is_checksum_address(value)):
        raise ValueError("it is no address, or has a typing error: 0x and 40 hex digits")
    return str(to_checksum_address(value))


Amount = Annotated[Money, BeforeValidator(_money)]
"""An amount in ether or in a token that the settings name: `"200 USDC"`; from programs, an integer of wei."""
Prices = Annotated[tuple[Amount, ...], BeforeValidator(_prices), AfterValidator(_one_of_each)]
"""Amounts in different currencies, or one: `["2 ether", "200 USDC"]`."""
Address = Annotated[str, BeforeValidator(_address)]
"""An address on the chain."""
Wei = Annotated[int, BeforeValidator(partial(_quantity, read_amount)), Field(ge=0)]
"""An amount: `"1.5 ether"`; from programs, an integer of wei."""
SIZE_UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}
)
Size = Annotated[int, BeforeValidator(partial(_quantity, partial(read_amount, units=SIZE_UNITS))), Field(ge=0)]
"""Room on a disk: `"4 GiB"`; from programs, an integer of bytes."""
Seconds = Annotated[int, BeforeValidator(partial(_quantity, read_duration)), Field(ge=0)]
"""A span of time: `"1h"`; from programs, an integer of seconds."""
Depth = Annotated[Annotated[int, Field(ge=1)] | Literal["finalized"], Field(union_mode="left_to_right")]
"""What counts on a chain: blocks with so many confirmations, or `"finalized"` ones."""
LocalPath = Annotated[Path, BeforeValidator(_path)]
"""A path; a relative one is relative to the file that names it."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Settings(BaseModel):
    """A table of settings: frozen, and without a key that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def _decimals(tokens: object) -> dict[str, int]:
    """Return what the table of tokens says of decimals, as far as it is one; the rest is refused with the table."""
    found = tokens.items() if isinstance(tokens, dict) else ()
    said = {symbol: table.get("decimals") for symbol, table in found if isinstance(table, dict)}
    return {symbol: number for symbol, number in said.items() if type(number) is int and 0 <= number <= MAX_DECIMALS}


def parse(kind: type[S], document: dict[str, Any], source: object, folder: Path) -> S:
    """Return settings of a kind.

    Args:
        kind: Their class.
        document: Keys and values.
        source: Where they come from, for messages.
        folder: Where relative paths start.

    Raises:
        SettingsError: Names the first that is wrong.
    """
    try:
        return kind.model_validate(document, context={BASE: folder, TOKENS: _decimals(document.get(TOKENS))})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        what = "nobody knows this key" if first["type"] == "extra_forbidden" else first["msg"]
        what = "is missing" if first["type"] == "missing" else what.removeprefix("Value error, ")
        raise SettingsError(f"{source}: {where}: {what}. See docs/configuration.md.") from error
