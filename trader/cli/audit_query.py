"""`modelseal audit query | search | add-manifest | verify-answer | catalogue`: questions, and answers with proofs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader.cli.audit_options import (
    DEFAULT_LOG,
    LogFile,
    PolicyFile,
    PublicKey,
    in_time,
    open_log,
    read_notes,
    read_policy,
)
from trader.cli.output import JsonFlag, print_json_line, print_rows, results, warn
from trader.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger import AuditLog, Checkpoint
    from ledger.catalogue.keys import Key
    from ledger.reading.answers import VerifiedAnswer
    from ledger.reading.questions import Filter


class What(StrEnum):
    """What is asked for."""

    ENTRIES = "entries"
    TRADES = "trades"
    LISTINGS = "listings"
    SELLERS = "sellers"
    OBLIGATIONS = "obligations"


_FOR_PEOPLE = {
    What.ENTRIES: ("sequence", "occurred_at_seconds", "kind", "trade_id", "listing_id", "role", "actor", "gas_used"),
    What.TRADES: ("trade_id", "listing_id", "state", "ended_from", "price_wei", "seller", "buyer", "gas_used"),
    What.LISTINGS: ("listing_id", "seller", "open", "price_wei", "manifest_hash"),
    What.SELLERS: (
        "seller",
        "trades",
        "settled",
        "slashed",
        "not_proven",
        "open",
        "seconds_to_answer",
    ),
    What.OBLIGATIONS: ("trade_id", "state", "role", "who", "what", "deadline_seconds", "overdue"),
}
"""Columns of the table; the files and `--json` have all."""


def query(
    what: Annotated[What, typer.Argument(help="What to find.")] = What.TRADES,
    market: Annotated[str | None, typer.Option(metavar="ID:0x…", help="Chain id and contract.")] = None,
    trade: Annotated[int | None, typer.Option(min=0, help="Number of a trade.")] = None,
    listing: Annotated[int | None, typer.Option(min=0, help="Number of a listing.")] = None,
    seller: Annotated[str | None, typer.Option(metavar="0x…", help="Who sells.")] = None,
    buyer: Annotated[str | None, typer.Option(metavar="0x…", help="Who buys.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="0x…", help="Who acted.")] = None,
    event: Annotated[str | None, typer.Option(metavar="KIND", help="Kind of entry, such as Slashed.")] = None,
    digest: Annotated[str | None, typer.Option(metavar="0x…", help="A digest, or a transaction.")] = None,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="State of the trade, such as Settled.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="2026-01-31, with a time, or Unix time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="The same, inclusive.")] = None,
    first_block: Annotated[int | None, typer.Option(min=0, help="Not below this block.")] = None,
    last_block: Annotated[int | None, typer.Option(min=0, help="Not above this block.")] = None,
    min_price: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Such as `0.5 ether`; tokens meet none.")
    ] = None,
    max_price: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Such as `2 ether`.")] = None,
    min_gas: Annotated[int | None, typer.Option(min=0, help="Gas, at the least.")] = None,
    max_gas: Annotated[int | None, typer.Option(min=0, help="Gas, at the most.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows.")] = 1000,
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows as Parquet.")] = None,
    prove: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all entries of the rarest key, with proof that none is left out."),
    ] = None,
    signed: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="With --prove: for this signed checkpoint (`audit sign`)."),
    ] = None,
) -> None:
    """Find entries, trades, listings, sums per seller, or what is owed; all filters work together."""
    wanted = _filter(
        market=market,
        trade=trade,
        listing=listing,
        seller=seller,
        buyer=buyer,
        actor=actor,
        event=event,
        digest=digest,
        state=state,
        times=(since, until),
        blocks=(first_block, last_block),
        prices=(min_price, max_price),
        gas=(min_gas, max_gas),
    )
    with open_log(log_file) as log:
        rows = _ask(log, what, wanted, limit)
        if prove is not None:
            _prove(log, what, wanted, prove, signed)
    _write(what, rows, csv, parquet)
    if as_json:
        print_json_line({"what": what.value, "rows": rows})
        return
    print_rows([{name: _readable(name, row[name], row.get("token")) for name in _FOR_PEOPLE[what]} for row in rows])
    if len(rows) == limit:
        warn(f"the first {limit} are shown: raise --limit for more")


def search(
    words: Annotated[list[str], typer.Argument(help="Words that a manifest must all have.")],
    limit: Annotated[int, typer.Option(min=1, help="Most manifests.")] = 20,
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Find listings by WORDS in their manifests, of those that `audit add-manifest` was given."""
    from ledger.reading.manifests import search_manifests

    with open_log(log_file) as log:
        found = search_manifests(log, " ".join(words), limit=limit)
    rows = [
        {"listing_id": str(listing.listing_id), "seller": listing.seller, "open": listing.open, "excerpt": one.excerpt}
        for one in found
        for listing in one.listings
    ]
    if as_json:
        print_json_line({"rows": rows})
    else:
        print_rows(rows)


def add_manifest(
    files: Annotated[list[Path], typer.Argument(help="Manifests of listings: `manifest.json` of a package.")],
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Keep FILES beside the log, for `audit search`; each must have the digest that a listing names."""
    from ledger.reading.manifests import add_manifest as add

    digests = {}
    with open_log(log_file) as log:
        for file in files:
            try:
                digests[str(file)] = add(log, file.read_bytes())
            except OSError as error:
                raise CallerError(f"{file} can't be read: {error.strerror}") from error
    if as_json:
        print_json_line({"manifests": digests})
        return
    for file_name, digest in digests.items():
        results.print(f"{digest} {file_name}", soft_wrap=True, highlight=False)


def verify_answer(
    file: Annotated[Path, typer.Argument(help="An answer, as `audit query --prove` wrote it.")],
    checkpoint: Annotated[
        Path, typer.Option(metavar="FILE", help="The log's checkpoint, from elsewhere than the answer.")
    ],
    key: PublicKey = None,
    policy: PolicyFile = None,
    expect: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="What you asked, such as seller_trades:0x…; else see what it says."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check offline that an answer lacks no entry, up to the log's commitment, and print its entries."""
    from ledger.catalogue.keys import KeyKind
    from ledger.reading.tabular import seller_row

    found = read_answer(file, checkpoint, policy=policy, key=key, expect=expect)
    rows = [
        {
            "sequence": sequence,
            "kind": record.kind.value,
            "trade_id": None if record.trade_id is None else str(record.trade_id),
            "listing_id": None if record.listing_id is None else str(record.listing_id),
            "actor": record.actor,
            "occurred_at_seconds": record.occurred_at_seconds,
        }
        for sequence, record in found.records.items()
    ]
    record = None
    if found.key.kind is KeyKind.SELLER:
        from ledger.reading.records import derive_record

        record = seller_row(derive_record(found))
    if as_json:
        complete = {"complete_up_to": found.complete_up_to, "of_entries": found.of_entries}
        print_json_line({"verified": True, "key": str(found.key), **complete, "record": record, "rows": rows})
        return
    results.print(
        f"{len(rows)} entries of {found.key}, and no others among the first {found.complete_up_to} of"
        f" {found.of_entries} entries",
        soft_wrap=True,
    )
    print_rows([{name: _readable(name, value) for name, value in row.items()} for row in rows])
    if record is not None:
        print_rows([{name: _readable(name, record[name]) for name in _FOR_PEOPLE[What.SELLERS]}])


def catalogue(
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make it anew from the entries.")] = False,
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Check that what queries go through follows from the entries; reads the whole log."""
    from ledger.catalogue.upkeep import rebuild as rebuild_catalogue
    from ledger.reading.catalogue_check import verify_catalogue

    with open_log(log_file) as log:
        if rebuild:
            rebuild_catalogue(log)
        keys = verify_catalogue(log)
    if as_json:
        print_json_line({"verified": True, "keys": keys, "rebuilt": rebuild})
    else:
        results.print(f"{keys} keys, as the entries have them")


def read_answer(
    file: Path, checkpoint: Path, *, policy: Path | None = None, key: Path | None = None, expect: str | None = None
) -> VerifiedAnswer:
    """Return an answer that was checked against a log's checkpoint, and that as it is asked for.

    Raises:
        CallerError: A file can't be read.
        TamperedError: The answer lacks or adds something, or a signature is missing.
    """
    from ledger.reading.answers import Answer
    from ledger.reading.answers import verify_answer as verify

    known = _read_checkpoint(checkpoint, policy, key)
    try:
        answer = Answer.from_json(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    return verify(answer, known, None if expect is None else _parse_key(expect))


def _filter(
    *,
    event: str | None,
    times: tuple[str | None, str | None],
    blocks: tuple[int | None, int | None],
    prices: tuple[str | None, str | None],
    gas: tuple[int | None, int | None],
    **plain: Any,
) -> Filter:
    from ledger import EntryKind
    from ledger.reading.questions import Filter
    from trader.amounts import read_amount

    try:
        kind = None if event is None else EntryKind(event)
    except ValueError as error:
        raise CallerError(f"there is no entry of kind {event!r}: {', '.join(EntryKind)}") from error
    least, most = (None if price is None else read_amount(price) for price in prices)
    earliest, latest = (_read_time(one) for one in times)
    return Filter(
        **plain,
        event=kind,
        since_seconds=earliest,
        until_seconds=latest,
        first_block=blocks[0],
        last_block=blocks[1],
        least_wei=least,
        most_wei=most,
        least_gas=gas[0],
        most_gas=gas[1],
    )


def _read_time(text: str | None) -> int | None:
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallerError(f"{text!r} is no time: write 2026-01-31, 2026-01-31T12:00, or Unix time") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _ask(log: AuditLog, what: What, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    from ledger.reading import questions, tabular
    from ledger.reading.sellers import summarize_sellers

    if what is What.ENTRIES:
        entries = questions.find_entries(log, wanted, limit=limit)
        with log.reading() as connection:
            final = questions.read_final_blocks(connection)
        return [tabular.entry_row(entry, final.get(entry.record.market_name)) for entry in entries]
    if what is What.TRADES:
        return [tabular.trade_row(trade) for trade in questions.find_trades(log, wanted, limit=limit)]
    if what is What.LISTINGS:
        return [tabular.listing_row(listing) for listing in questions.find_listings(log, wanted, limit=limit)]
    if what is What.SELLERS:
        return [tabular.seller_row(seller) for seller in summarize_sellers(log, wanted)][:limit]
    owed = questions.find_obligations(log, int(time.time()), wanted)
    return [tabular.obligation_row(one) for one in owed][:limit]


def _prove(log: AuditLog, what: What, wanted: Filter, file: Path, signed: Path | None) -> None:
    from ledger.catalogue.keys import AUTHENTICATED, Key, KeyKind
    from ledger.catalogue.upkeep import read_keys, up_to_date
    from ledger.reading.answers import prove_answer
    from ledger.reading.questions import keys_in, only_market

    with up_to_date(log) as connection:
        keys = [key for key in keys_in(wanted, only_market(connection)) if key.kind in AUTHENTICATED]
        if what is What.TRADES:  # one entry for each trade is enough
            short = {KeyKind.SELLER: KeyKind.SELLER_TRADES, KeyKind.BUYER: KeyKind.BUYER_TRADES}
            keys = [Key(short.get(key.kind, key.kind), key.value) for key in keys]
        sizes = {key: tree.leaves for key, (_, tree) in read_keys(connection, keys).items()}
    if not keys:
        raise CallerError("--prove needs a key: --trade, --listing, --seller, --buyer, --actor or --event")
    rarest = min(keys, key=lambda key: sizes.get(key, 0))
    checkpoint = None if signed is None else read_notes([signed])[0].checkpoint()
    (answer,) = prove_answer(log, rarest, checkpoint=checkpoint)
    try:
        file.write_text(answer.to_json())
    except OSError as error:
        raise CallerError(f"{file} can't be written: {error.strerror}") from error
    warn(
        f"{len(answer.entries)} entries of {rarest}, proven for {answer.checkpoint.entries} entries: {file}; other"
        " filters are left to who reads it"
    )


def _read_checkpoint(file: Path, policy: Path | None, key: Path | None) -> Checkpoint:
    """Return a checkpoint that is signed as it must be; one without signatures if nobody's are asked for."""
    from ledger import Checkpoint

    trusted = read_policy(policy, key)
    if trusted is not None:
        (note,) = read_notes([file])
        return trusted.verify(note)[0]
    warn("nobody's signature is checked: name --key or --policy, unless you have the checkpoint from whom you trust")
    try:
        return Checkpoint.parse(file.read_text().split("\n\n")[0].rstrip("\n") + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error


def _parse_key(text: str) -> Key:
    from ledger.catalogue.keys import Key, KeyKind

    kind, _, value = text.partition(":")
    try:
        return Key(KeyKind(kind), value)
    except ValueError as error:
        raise CallerError(f"{text!r} is no key: write one of {', '.join(KeyKind)}, a colon and the value") from error


def _write(what: What, rows: Sequence[dict[str, Any]], csv: Path | None, parquet: Path | None) -> None:
    from ledger.reading.tabular import COLUMNS, write_csv, write_parquet

    if csv is not None:
        write_csv(csv, COLUMNS[what.value], rows)
    if parquet is not None:
        write_parquet(parquet, COLUMNS[what.value], rows)


def _readable(name: str, value: Any, token: str | None = None) -> str:
    """Return a value for people; amounts are in ether, or in the smallest unit of the row's token."""
    from contracts import ETH
    from trader.currencies import Currencies

    if value is None:
        return "-"
    if name.endswith("_wei"):
        return Currencies().of(token or ETH).format(value)
    return in_time(value) if name in ("occurred_at_seconds", "deadline_seconds") else str(value)
