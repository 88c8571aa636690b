"""Prints the story of a trade, forwards in time: when, in which block and transaction, who, what, for how much gas.

`print_story` is for people: one line or two per entry, within 80 columns; `story_rows` says the same to programs. What
an entry says is text of whoever wrote it: it is never read as markup.

The chain says in which order its events happened, the log in which order its writer noted the rest. What happened on
the chain may be logged late (a seller learns of a session when it next reads the events), so an event is told before
the first step that presupposes it. The times of blocks and of a party's clock differ as well: where one is earlier than
that of an entry before it, the later one is told, marked with `~`.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts import ETH
from ledger import ActorRole, Entry, EntryKind, TradeStory
from ledger.entries import CONTRACT_EVENTS
from trader.currencies import Currencies
from trader.trade import State

_WORDS: Final[Mapping[EntryKind, str]] = {
    EntryKind.LISTED: "listed the model for {terms_price}",
    EntryKind.DELISTED: "took the listing off the market",
    EntryKind.SESSION_OPENED: "opened a test session of up to {samples} samples for {fee}",
    EntryKind.ANSWERED: "committed to the answer",
    EntryKind.PURCHASED: "locked the price of {price}",
    EntryKind.PROVEN: "proved the audit samples, locked a bond of {bond}",
    EntryKind.ACCEPTED: "accepted the encrypted model",
    EntryKind.REVEALED: "revealed the key",
    EntryKind.CONFIRMED: "confirmed the delivery",
    EntryKind.REFUNDED: "took an agreed refund of {amount}",
    EntryKind.SETTLED: "settled: {amount} to the seller",
    EntryKind.EXPIRED: "ended the trade, overdue in {ended}: {to_buyer} to the buyer, {to_seller} to the seller",
    EntryKind.SLASHED: "won the dispute ({dispute}): {amount} to the buyer",
    EntryKind.DEPOSITED: "deposited {amount}",
    EntryKind.WITHDRAWN: "withdrew {amount}",
    EntryKind.LISTING_VERIFIED: "verified the listing",
    EntryKind.LISTING_REFUSED: "refused the listing: {reason}",
    EntryKind.ACCURACY_CLAIMED: "claimed to have proven {correct} of {samples} public samples right",
    EntryKind.ACCURACY_VERIFIED: "verified the proof of {correct} of {samples} public samples right",
    EntryKind.REQUEST_SENT: "sent the encrypted test set, {bytes}",
    EntryKind.REQUEST_RECEIVED: "received the encrypted test set, {bytes}",
    EntryKind.REQUEST_REFUSED: "refused the request: {reason}",
    EntryKind.RESPONSE_SENT: "sent the encrypted answer, {bytes}",
    EntryKind.RESPONSE_RECEIVED: "received the encrypted answer, {bytes}",
    EntryKind.TEST_REFUSED: "did not buy after the test: {reason}",
    EntryKind.OUTPUTS_COMMITTED: "chose {samples} audit samples and fixed the outputs seen",
    EntryKind.AUDIT_INPUTS_SENT: "sent the audit samples, sealed",
    EntryKind.AUDIT_INPUTS_RECEIVED: "received the audit samples",
    EntryKind.PROOF_MADE: "made the proof, {bytes}",
    EntryKind.PROOF_REFUSED: "refused the proven outputs: {reason}",
    EntryKind.DELIVERY_OFFERED: "offered the encrypted model, {bytes}",
    EntryKind.DELIVERY_DOWNLOADED: "downloaded the encrypted model, {bytes}",
    EntryKind.ACCEPTANCE_SENT: "signed that it accepts the delivery",
    EntryKind.ACCEPTANCE_RECEIVED: "received the signed acceptance",
    EntryKind.KEY_RECEIVED: "received the key",
    EntryKind.DELIVERY_VERIFIED: "decrypted the model and verified it",
    EntryKind.DELIVERY_REFUSED: "refused the delivery: {reason}",
    EntryKind.DISPUTE_RAISED: "raised a dispute",
    EntryKind.MESSAGE_SKIPPED: "skipped a message: {reason}",
    EntryKind.MESSAGE_REPEATED: "repeated a message: {reason}",
    EntryKind.TRANSACTION_FAILED: "failed to {move}: {reason}",
    EntryKind.INDEX_COMMITTED: "committed the log to the index of its first {entries} entries",
    EntryKind.REORGANISED: "lost {undone_kind} (entry {undone_sequence}): the chain dropped its block",
}
_FOLLOWS: Final[Mapping[EntryKind, EntryKind]] = {
    kind: event
    for event, kinds in {
        EntryKind.SESSION_OPENED: (
            EntryKind.REQUEST_SENT,
            EntryKind.REQUEST_RECEIVED,
            EntryKind.REQUEST_REFUSED,
        ),
        EntryKind.ANSWERED: (
            EntryKind.RESPONSE_SENT,
            EntryKind.RESPONSE_RECEIVED,
            EntryKind.TEST_REFUSED,
            EntryKind.OUTPUTS_COMMITTED,
        ),
        EntryKind.PURCHASED: (EntryKind.AUDIT_INPUTS_SENT, EntryKind.AUDIT_INPUTS_RECEIVED, EntryKind.PROOF_MADE),
        EntryKind.PROVEN: (
            EntryKind.DELIVERY_OFFERED,
            EntryKind.DELIVERY_DOWNLOADED,
            EntryKind.PROOF_REFUSED,
            EntryKind.ACCEPTANCE_SENT,
            EntryKind.ACCEPTANCE_RECEIVED,
        ),
        EntryKind.REVEALED: (
            EntryKind.KEY_RECEIVED,
            EntryKind.DELIVERY_VERIFIED,
            EntryKind.DELIVERY_REFUSED,
            EntryKind.DISPUTE_RAISED,
        ),
    }.items()
    for kind in kinds
}
"""The event that a step off the chain presupposes."""
_AMOUNTS: Final = frozenset({"price", "terms_price", "fee", "bond", "amount", "to_buyer", "to_seller"})
_DISPUTES: Final = ("weights chunk", "sum chunk", "sum step")  # the contract's enum `Dispute`, in words
_WEI_PER_ETHER_DIGITS: Final = 18
_STYLES: Final = {ActorRole.SELLER: "cyan", ActorRole.BUYER: "green", ActorRole.ANYONE: ""}


def print_story(console: Console, story: TradeStory) -> None:
    """Print `story` as a table that fits 80 columns, and the gas of each side below it."""
    listing_ids = {entry.record.listing_id for entry in story.entries} - {None}
    listing = f" of listing {listing_ids.pop()}" if listing_ids else ""
    rows = story_rows(story)
    day = rows[0]["not_before"][:10]
    console.print(Text(f"Trade {story.trade_id}{listing}, {day} (UTC)", style="bold"))
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name, width, justify in (("time", 9, "left"), ("after", 6, "right"), ("block", 7, "right")):
        table.add_column(name, width=width, justify=justify)  # type: ignore[arg-type]  # literals, but mypy widens them
    table.add_column("tx", width=10, no_wrap=True)
    table.add_column("who", width=6)
    table.add_column("what", ratio=1)
    table.add_column("gas", width=9, justify="right")
    for row in rows:
        if row["not_before"][:10] != day:
            day = row["not_before"][:10]
            table.add_row(Text(day[5:], style="bold"))
        table.add_row(*_cells(row), style="dim strike" if row["undone"] else None)
    console.print(table)
    if any(row["time"] != row["not_before"] for row in rows):
        console.print(Text("~ at this time or later: a clock or a block says an earlier one", style="dim"))
    for role, gas_used in story.gas_used_by_role().items():
        console.print(Text(f"{role.value}: {gas_used:,} gas", style=_STYLES[role]))


def story_rows(story: TradeStory) -> list[dict[str, Any]]:
    """Return the same as a list of JSON objects, one per entry, oldest first.

    `time` is as it was recorded, by a block or by a party's clock; `not_before` is the latest so far, and never runs
    backwards. `gas_used` is that of the whole transaction and stands at its first event only, so that the column can be
    added up.
    """
    return list(_rows(story))


def order_of_events(story: TradeStory) -> tuple[Entry, ...]:
    """Return the entries in the order in which they happened: each event before the first step that presupposes it."""
    places = {entry.sequence: float(entry.sequence) for entry in story.entries}
    latest = math.inf  # place before which the next event of the chain was, so that these keep their order
    for entry in reversed(story.entries):
        kind = entry.record.kind
        if kind in CONTRACT_EVENTS and entry.sequence not in story.void_sequences:
            following = (later.sequence for later in story.entries if _FOLLOWS.get(later.record.kind) is kind)
            latest = places[entry.sequence] = min(places[entry.sequence], latest, next(following, math.inf) - 0.5)
    return tuple(sorted(story.entries, key=lambda entry: (places[entry.sequence], entry.sequence)))


def _rows(story: TradeStory) -> Iterator[dict[str, Any]]:
    entries = order_of_events(story)
    latest_seconds = previous_seconds = entries[0].record.occurred_at_seconds
    counted: set[tuple[str, str]] = set()
    for entry in entries:
        record, chain = entry.record, entry.record.chain
        latest_seconds = max(latest_seconds, record.occurred_at_seconds)
        transaction = None if chain is None else (chain.block_hash, chain.transaction_hash)
        first_of_transaction = transaction is not None and transaction not in counted
        counted |= {transaction} if transaction is not None else set()
        yield {
            "sequence": entry.sequence,
            "time": _time(record.occurred_at_seconds),
            "not_before": _time(latest_seconds),
            "seconds_since_previous": latest_seconds - previous_seconds,
            "block": None if chain is None else chain.block_number,
            "transaction": None if chain is None else chain.transaction_hash,
            "role": record.role.value,
            "actor": record.actor,
            "kind": record.kind.value,
            "what": describe_entry(entry, story.token),
            "gas_used": chain.gas_used if chain is not None and first_of_transaction else None,
            "undone": entry.sequence in story.void_sequences,
            "details": dict(entry.details),
        }
        previous_seconds = latest_seconds


def _cells(row: Mapping[str, Any]) -> tuple[Text, ...]:
    return (
        Text(("" if row["time"] == row["not_before"] else "~") + row["not_before"][11:19]),
        Text(_duration(row["seconds_since_previous"])),
        Text("" if row["block"] is None else str(row["block"])),
        Text("" if row["transaction"] is None else row["transaction"][:10]),
        Text(row["role"], style=_STYLES[ActorRole(row["role"])]),
        Text(("(undone) " if row["undone"] else "") + row["what"], overflow="fold"),
        Text("" if row["gas_used"] is None else f"{row['gas_used']:,}"),
    )


def describe_entry(entry: Entry, token: str | None = None) -> str:
    """Return what happened, in words; a detail that the entry lacks is told as `?`.

    Args:
        entry: The entry.
        token: What the trade is paid in; None for ether. An entry that names a token itself is told in that.
    """
    own = entry.details.get("token", entry.details.get("terms_token"))
    return _WORDS[entry.record.kind].format_map(_Facts(entry.details, token if own is None else str(own)))


class _Facts(dict[str, Any]):
    """An entry's details as people read them."""

    def __init__(self, details: Mapping[str, Any], token: str | None) -> None:
        super().__init__(details)
        self._token = token

    def __missing__(self, name: str) -> str:
        return "?"

    def __getitem__(self, name: str) -> str:
        return _phrase(name, super().__getitem__(name), self._token)


def _phrase(name: str, value: object, token: str | None) -> str:
    if name in _AMOUNTS and str(value).isdecimal():
        return ether(int(str(value))) if token in (None, ETH) else Currencies().of(str(token)).format(int(str(value)))
    if name == "bytes" and isinstance(value, int):
        return _size(value)
    if name == "ended" and isinstance(value, int) and value in list(State):
        return State(value).name.capitalize()
    if name == "dispute" and isinstance(value, int) and value in range(len(_DISPUTES)):
        return _DISPUTES[value]
    return str(value)


def ether(amount_wei: int) -> str:
    """Return an amount in ether, exactly."""
    whole, fraction = divmod(amount_wei, 10**_WEI_PER_ETHER_DIGITS)
    digits = f"{fraction:0{_WEI_PER_ETHER_DIGITS}}".rstrip("0")
    return f"{whole}.{digits} ETH" if digits else f"{whole} ETH"


def _size(number_bytes: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number_bytes >= scale:
            return f"{number_bytes / scale:.1f} {unit}"
    return f"{number_bytes} bytes"


def _duration(seconds: int) -> str:
    for unit, scale in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * scale:
            return f"{round(seconds / scale)} {unit}"
    return f"{seconds} s"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
