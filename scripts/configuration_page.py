"""The page on settings: every key of both files, from the classes that read them and from their docstrings."""

import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trader.amounts import format_amount, format_duration
from trader.currencies import Money
from trader.settings import BuyerSettings, SellerSettings
from trader.settings.fields import (
    SIZE_UNITS,
    Account,
    Address,
    Amount,
    Depth,
    LocalPath,
    Prices,
    Seconds,
    Share,
    Size,
    Wei,
)
from trader.settings.template import write_template

INTRODUCTION = """\
# Configuration

Settings are written down once, in TOML. Each of these goes before those above it:

1. the defaults below;
2. the file;
3. the environment: `MODELSEAL_` and the key in capitals (`MODELSEAL_KEYFILE`), for keys at the top of a file;
   `ETH_RPC_URL` names the chain too;
4. flags of the command.

Relative paths start at the file that names them. A key that nobody knows is refused. Passwords stand in no settings:
they come from `password_file`, from `MODELSEAL_PASSWORD`, or from a prompt. Amounts have a unit (`"1.5 ether"`,
`"20 gwei"`, or a token of `[tokens]`: `"200 USDC"`), and so have spans of time (`"90s"`, `"1h"`, `"2d"`).
"""
BUYER = """\
## The buyer's file

`modelseal.toml` in the working folder or above it, or the table `[tool.modelseal]` of a `pyproject.toml`;
`--config` and `MODELSEAL_CONFIG` name another. A table under `profiles` holds what differs for one purpose;
`--profile` and `MODELSEAL_PROFILE` choose one:

```toml
chain = "http://127.0.0.1:8545"
keyfile = "buyer.json"
policy.min_accuracy = 0.9
policy.max_price = "2 ether"

[profiles.mainnet]
chain = "https://node.example"
confirmations = 64
policy.max_price = ["2 ether", "200 USDC"]

[tokens.USDC]
decimals = 6
addresses = { 1 = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48" }
```

A token is what its address says. What it is called and how many decimals it has is your word: its contract may claim
anything, and one that says other decimals than you is refused.
"""
SELLER = """\
## The seller's file

`modelseal seller init` writes it, with every key and what it means:
"""
KINDS = {
    Wei: "amount",
    Amount: "amount",
    Prices: "amount, or a list of them",
    Address: "address",
    Seconds: "time",
    Size: "size",
    Share: "0 to 1",
    LocalPath: "path",
    Account: "account",
    Depth: 'number or `"finalized"`',
    str: "text",
}
KINDS |= {
    "list of texts": "list of texts",
    "table": "addresses by chain id",
    int: "number",
    float: "number",
    bool: "true or false",
}


def configuration_page(folder: Path) -> str:
    """Return the page.

    Args:
        folder: Where a template may be written.
    """
    file = folder / "seller.toml"
    url, chain = "http://127.0.0.1:8420", "http://127.0.0.1:8545"
    write_template(file, package=Path("package"), price="1 ether", keyfile=Path("seller.json"), url=url, chain=chain)
    template = f"```toml\n{file.read_text()}```\n"
    parts = [
        INTRODUCTION,
        BUYER,
        *_tables(BuyerSettings, "buyer"),
        SELLER,
        template,
        *_tables(SellerSettings, "seller"),
    ]
    return "\n".join(parts)


def _tables(kind: type[BaseModel], whose: str, name: str = "") -> Iterator[str]:
    described = described_keys(kind)
    below = []
    rows = []
    for key, field in kind.model_fields.items():
        table = _table_of(field.annotation)
        if table is None:
            rows.append(f"| `{key}` | {_kind(kind, key)} | {_default(kind, key, field)} | {described[key]} |")
        else:
            named = ".SYMBOL" if typing.get_origin(field.annotation) is dict else ""
            below.append((f"{name}{key}{named}", table))
    title = f"Keys of `[{name.rstrip('.')}]`" if name else "Keys at the top"
    title = title.replace("[listings]", "[[listings]]")
    yield (f"### {title} ({whose})\n\n| key | kind | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    for path, table in below:
        yield from _tables(table, whose, f"{path}.")


def described_keys(kind: type[BaseModel]) -> dict[str, str]:
    """Return what docstrings say of each key, those of the classes that it is made of included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.getdoc(base) or ""
        section = re.search(r"Attributes:\n(.*?)(?:\n\S|\Z)", text, re.DOTALL)
        for key, meaning in re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", section[1] if section else "", re.M | re.S):
            found[key] = " ".join(meaning.split())
    return {key: found[key] for key in kind.model_fields}


def _table_of(annotation: Any) -> type[BaseModel] | None:
    """Return the class of a table, of a list of tables, or of a table that may be left out."""
    for part in (annotation, *typing.get_args(annotation)):
        if inspect.isclass(part) and not isinstance(part, types.GenericAlias) and issubclass(part, BaseModel):
            return part
    return None


def _kind(kind: type[BaseModel], key: str) -> str:
    """Return the kind of a value in a word, from the annotation as it was written."""
    owner = next(base for base in kind.__mro__ if key in vars(base).get("__annotations__", {}))
    annotation = eval(vars(owner)["__annotations__"][key], vars(sys.modules[owner.__module__]))  # noqa: S307 - our own
    parts = [part for part in _parts(annotation) if part is not type(None)]
    return " or ".join(KINDS.get(part, f"`{part!r}`".replace("'", '"')) for part in parts)


def _parts(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    if origin is dict:
        return ("table",)
    if origin is tuple:
        return ("list of texts",)
    if origin in (typing.Union, types.UnionType):
        return tuple(part for each in typing.get_args(annotation) for part in _parts(each))
    return typing.get_args(annotation) if origin is typing.Literal else (annotation,)


def _default(kind: type[BaseModel], key: str, field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value, unit = field.default, _kind(kind, key)
    if value is None or value == ():
        return "none"
    if unit == "time":
        return f'`"{format_duration(value)}"`'
    if unit == "size":
        name, size = next((name, size) for name, size in SIZE_UNITS.items() if value % size == 0)
        return f'`"{value // size} {name}"`'
    if unit == "amount":
        return f'`"{format_amount(value.amount if isinstance(value, Money) else value)}"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, int | float) else f'`"{value}"`'
