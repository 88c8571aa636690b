"""Rows of answers as tables that other programs read: CSV and Parquet.

Amounts are integers of 38 digits in Parquet (`decimal128(38, 0)`), times are UTC; CSV has all as text.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from ledger.catalogue.trades import ListingRow, TradeRow
from ledger.entries import Entry
from ledger.errors import LedgerUnavailableError
from ledger.reading.questions import Obligation
from ledger.reading.sellers import SellerSummary

Row = dict[str, Any]
_TIME: Final = "_seconds"
_AMOUNT: Final = "_wei"
_LARGEST_DECIMAL: Final = 10**38
_DURATIONS: Final = ("seconds_to_answer", "seconds_to_prove", "seconds_to_reveal")


ENTRY_COLUMNS: Final = (
    "sequence",
    "kind",
    "market",
    "listing_id",
    "trade_id",
    "actor",
    "role",
    "occurred_at_seconds",
    "block_number",
    "block_hash",
    "transaction_hash",
    "final",
    "gas_used",
    "details",
    "entry_hash",
)
OBLIGATION_COLUMNS: Final = ("market", "trade_id", "state", "role", "who", "what", "deadline_seconds", "overdue")
COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "entries": ENTRY_COLUMNS,
    "trades": tuple(TradeRow.__dataclass_fields__),
    "listings": tuple(ListingRow.__dataclass_fields__),
    "sellers": tuple(SellerSummary.__dataclass_fields__),
    "obligations": OBLIGATION_COLUMNS,
}
"""Columns of the rows of each question, which a file without rows has too."""


def entry_row(entry: Entry, final: int | None = None) -> Row:
    """Return an entry as a row, with the details as JSON.

    Args:
        entry: The entry.
        final: The last block of its market that the chain calls final, as far as the log's indexer knows.
    """
    record, chain = entry.record, entry.record.chain
    values = (
        entry.sequence,
        record.kind.value,
        record.market_name or None,
        None if record.listing_id is None else str(record.listing_id),
        None if record.trade_id is None else str(record.trade_id),
        record.actor,
        record.role.value,
        record.occurred_at_seconds,
        None if chain is None else chain.block_number,
        None if chain is None else chain.block_hash,
        None if chain is None else chain.transaction_hash,
        None if chain is None or final is None else chain.block_number <= final,
        None if chain is None else chain.gas_used,
        json.dumps(dict(entry.details), sort_keys=True),
        f"0x{entry.entry_hash.hex()}",
    )
    return dict(zip(ENTRY_COLUMNS, values, strict=True))


def trade_row(trade: TradeRow) -> Row:
    """Return a trade as a row."""
    return _with_numbers(vars(trade) | {"phases": json.dumps(trade.phases, sort_keys=True)})


def listing_row(listing: ListingRow) -> Row:
    """Return a listing as a row."""
    return _with_numbers(dict(vars(listing)))


def seller_row(summary: SellerSummary) -> Row:
    """Return an account's sums as a row, with the accuracies as JSON."""
    row = asdict(summary)
    return row | {"accuracies": json.dumps(row["accuracies"], sort_keys=True)}


def obligation_row(obligation: Obligation) -> Row:
    """Return what is owed as a row."""
    trade = obligation.trade
    move = obligation.role, obligation.who, obligation.what, obligation.deadline_seconds, obligation.overdue
    values = trade.market, str(trade.trade_id), trade.state, *move
    return dict(zip(OBLIGATION_COLUMNS, values, strict=True))


def _with_numbers(row: Row) -> Row:
    """Return the row with the contract's ids as text: they have 256 bits."""
    ids = {name: row[name] for name in ("trade_id", "listing_id") if name in row}
    return row | {name: None if value is None else str(value) for name, value in ids.items()}


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows with a head; times are ISO 8601 in UTC.

    Raises:
        LedgerUnavailableError: The file can't be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [_plain_name(name) for name in columns])
            writer.writeheader()
            for row in rows:
                writer.writerow({_plain_name(name): _plain(name, value) for name, value in row.items()})
    except OSError as error:
        raise LedgerUnavailableError(f"{path} can't be written: {error.strerror or error}") from error


def write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows as Parquet.

    Raises:
        LedgerUnavailableError: The file can't be written, or pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise LedgerUnavailableError("Parquet needs pyarrow: install modelseal[parquet]") from error
    arrays = {_plain_name(name): _array(pyarrow, name, [row[name] for row in rows]) for name in columns}
    try:
        parquet.write_table(pyarrow.table(arrays), path)
    except OSError as error:
        raise LedgerUnavailableError(f"{path} can't be written: {error.strerror or error}") from error


def _is_time(name: str) -> bool:
    return name.endswith(_TIME) and name not in _DURATIONS


def _plain_name(name: str) -> str:
    return name.removesuffix(_TIME) if _is_time(name) else name


def _plain(name: str, value: Any) -> Any:
    """Return a value for a spreadsheet: text that it would take for a formula is quoted."""
    if value is not None and _is_time(name):
        return datetime.fromtimestamp(value, UTC).isoformat()
    dangerous = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if dangerous else value


def _array(pyarrow: Any, name: str, values: Sequence[Any]) -> Any:
    if _is_time(name):
        return pyarrow.array(values, pyarrow.timestamp("s", tz="UTC"))
    if name.endswith(_AMOUNT):
        if all(value is None or value < _LARGEST_DECIMAL for value in values):
            decimals = [None if value is None else Decimal(value) for value in values]
            return pyarrow.array(decimals, pyarrow.decimal128(38, 0))
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
    return pyarrow.array(values, _type(pyarrow, name, values))


def _type(pyarrow: Any, name: str, values: Sequence[Any]) -> Any:
    """Return the type of a column, also of one without values."""
    kinds: Mapping[type, Any] = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
    found = {type(value) for value in values if value is not None}
    if name in _DURATIONS:
        return pyarrow.float64()
    return kinds.get(next(iter(found)), pyarrow.string()) if len(found) == 1 else pyarrow.string()
