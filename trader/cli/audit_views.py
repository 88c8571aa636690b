"""`modelseal audit verify | fsck | diff | import | watch | redact`: for those who are shown a log."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ledger.errors import SignatureError
from trader.cli.audit_options import (
    DEFAULT_LOG,
    CheckpointFiles,
    LogFile,
    PolicyFile,
    PublicKey,
    check_is_there,
    in_time,
    open_log,
    read_notes,
    read_policy,
)
from trader.cli.options import ConfirmationsOption  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, messages, print_figures, print_json_line, results
from trader.errors import CallerError

if TYPE_CHECKING:
    from ledger import Checkpoint
    from ledger.notes.policy import Policy
    from ledger.publishing.views import Verdict

View = Annotated[Path, typer.Argument(metavar="VIEW", help="An audit log, an export (.jsonl), or a folder of tiles.")]
HTTP_TIMEOUT_SECONDS = 30.0


def verify(
    file: Annotated[
        str, typer.Argument(metavar="VIEW", help="An audit log, an export (.jsonl), or a folder of tiles.")
    ] = DEFAULT_LOG,
    head: Annotated[
        str | None, typer.Option(help="The head that you wrote down earlier, as `audit head` prints it.")
    ] = None,
    key: PublicKey = None,
    policy: PolicyFile = None,
    checkpoint: CheckpointFiles = None,
    anchored_by: Annotated[
        str | None,
        typer.Option("--anchored-by", metavar="ADDRESS", help="The account that anchors the log on a chain."),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(metavar="URL", help="JSON-RPC node, for the anchors.", envvar="ETH_RPC_URL"),
    ] = None,
    confirmations: ConfirmationsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Check that no entry was changed, dropped, moved or added, and what was signed; offline. Names the first fault."""
    from ledger import Head
    from ledger.publishing.views import verify_view

    check_is_there(file)
    known = None if head is None else Head.parse(head)
    trusted, notes = read_policy(policy, key), read_notes(checkpoint or [])
    if notes and trusted is None:
        raise CallerError("a checkpoint counts by its signatures: name the log's keys with --key or --policy")
    anchors = [] if anchored_by is None else _read_anchors(anchored_by, trusted, chain, confirmations)
    verdict = verify_view(file, policy=trusted, notes=notes, anchors=anchors, known_head=known)
    if as_json:
        print_json_line({**_verdict_row(verdict), "anchored": [anchor.entries for anchor in anchors]})
    elif verdict.signed is None:
        found = "" if verdict.head is None else f"; head {verdict.head}"
        results.print(f"{verdict.entries} entries, unbroken{found}", soft_wrap=True)
    else:
        words = _verdict_words(verdict)
        if anchors:
            words["anchored"] = f"{anchors[-1].entries} entries by {anchored_by}"
        print_figures(words, as_json=False)


def fsck(
    log_file: Annotated[str, typer.Argument(metavar="LOG", help="The audit log.")] = DEFAULT_LOG,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Make the whole log anew from its raw entries, in this file.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compute all hashes, the tree and the indexes again from the raw entries, and compare them with what is stored."""
    from ledger import is_server, verify_log
    from ledger.reading.rebuild import rebuild_log

    check_is_there(log_file)
    if into is not None and is_server(log_file):
        raise CallerError("--into reads a database file: export a log on a server, and import it")
    found = verify_log(log_file) if into is None else rebuild_log(Path(log_file), into)
    if as_json:
        print_json_line({"head": str(found), "entries": found.entries, "rebuilt": None if into is None else str(into)})
        return
    done = "as they should be" if into is None else f"made anew in {escape(str(into))}"
    results.print(f"{found.entries} entries: hashes, tree and indexes {done}; head {found}", soft_wrap=True)


def diff(left: View, right: View, as_json: JsonFlag = False) -> None:
    """Compare two views of one log: the same, one behind the other, or two stories. Ends with code 3 on the last."""
    from ledger.errors import ForkError
    from ledger.publishing.views import compare_views

    found = compare_views(left, right)
    row: dict[str, Any] = {"common": found.common, "left": found.left_entries, "right": found.right_entries}
    if as_json:
        print_json_line({**row, "forked": found.forked})
    if found.forked:
        raise ForkError(
            f"two stories: the first {found.common} entries are the same, entry {found.common} differs"
            f" ({left} has {found.left_entries} entries, {right} {found.right_entries})",
            sequence=found.common,
        )
    if as_json:
        return
    if found.left_entries == found.right_entries:
        results.print(f"the same {found.common} entries", highlight=False)
        return
    behind, by = (left, right) if found.left_entries < found.right_entries else (right, left)
    missing = abs(found.left_entries - found.right_entries)
    results.print(f"{escape(str(behind))} is {missing} entries behind {escape(str(by))}", highlight=False)
    results.print(f"the first {found.common} are the same", highlight=False)


def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export (.jsonl).")],
    log_file: Annotated[str, typer.Argument(metavar="LOG", help="The log to make: a new file, or an empty database.")],
    key: PublicKey = None,
    policy: PolicyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Check an export, and make a log of it with the same entries and hashes."""
    from ledger.publishing.views import verify_view
    from ledger.reading.export import import_log

    trusted = read_policy(policy, key)
    if trusted is not None:
        verify_view(str(file), policy=trusted)
    head = import_log(file, log_file)
    if as_json:
        print_json_line({"log": log_file, "head": str(head), "entries": head.entries})
        return
    results.print(f"{head.entries} entries in {escape(log_file)}; head {head}", soft_wrap=True)


def watch(
    view: Annotated[str, typer.Argument(metavar="URL|DIR", help="Where the log is published as tiles.")],
    policy: Annotated[Path, typer.Option(metavar="FILE", help="The log's key, and witnesses with their URLs.")],
    state: Annotated[Path, typer.Option(metavar="FILE", help="Remembers what was seen.")] = Path("watched"),
    every: Annotated[int, typer.Option(metavar="SECONDS", help="How often to look.", min=1)] = 300,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Follow a log and its witnesses: ends with code 3 as soon as two checkpoints of it contradict each other."""
    import httpx

    from ledger.errors import LedgerUnavailableError
    from ledger.publishing.tile_reader import TileReader, fetch_url
    from ledger.publishing.watching import look

    trusted = read_policy(policy, None)
    assert trusted is not None  # noqa: S101 - a file was named
    with httpx.Client(timeout=HTTP_TIMEOUT_SECONDS) as client:
        remote = view.startswith(("http://", "https://"))
        reader = TileReader.of_url(view, client) if remote else TileReader.of_folder(Path(view))
        while True:
            try:
                sight = look(reader, trusted, state, lambda url: fetch_url(client, url))
                row = {"entries": sight.log.entries, "lagging": sight.lagging, "witnesses": sight.witnesses}
                print_json_line(row) if as_json else results.print(_sight_words(row), highlight=False)
            except LedgerUnavailableError as error:
                if once:
                    raise
                messages.print(escape(str(error)), highlight=False, soft_wrap=True)
            if once:
                return
            time.sleep(every)


def redact(
    entries: Annotated[list[int] | None, typer.Argument(metavar="[ENTRY]...", help="Numbers of entries.")] = None,
    trade: Annotated[int | None, typer.Option(metavar="TRADE", help="All entries of a trade.", min=1)] = None,
    before: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="All entries of before this day (UTC).")
    ] = None,
    log_file: LogFile = DEFAULT_LOG,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove personal details (free texts) from the log for good; all proofs and signatures hold afterwards."""
    from ledger.reading.redacting import find_personal

    if not entries and trade is None and before is None:
        raise CallerError("say which entries: their numbers, --trade, or --before")
    seconds = None if before is None else int(before.replace(tzinfo=UTC).timestamp())
    with open_log(log_file) as log:
        found = find_personal(log, sequences=entries, trade_id=trade, before_seconds=seconds)
        if not yes and found:
            typer.confirm(
                f"Remove the free texts of {len(found)} entries? They can't be restored.", abort=True, err=True
            )
        removed = log.redact(found)
    if as_json:
        print_json_line({"entries": found, "removed": removed})
    else:
        results.print(f"{removed} texts removed; exports and backups made earlier still hold them", highlight=False)


def _read_anchors(
    account: str, trusted: Policy | None, chain: str | None, confirmations: int | None
) -> list[Checkpoint]:
    from eth_utils.address import is_address

    from trader.chain import Chain
    from trader.chain.anchors import Anchors

    if trusted is None or chain is None or not is_address(account):
        raise CallerError("an anchor is of an account and a log's name: give --anchored-by, --key and --chain")
    anchored = Anchors(Chain.connect(chain, confirmations=confirmations)).anchored(account, trusted.logs[0].name)
    if not anchored:
        raise SignatureError(f"{account} has anchored nothing of {trusted.logs[0].name} on this chain")
    return [anchor.checkpoint for anchor in anchored]


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    row: dict[str, Any] = {"verified": True, "head": None if verdict.head is None else str(verdict.head)}
    row["entries"] = verdict.entries
    if verdict.signed is not None:
        signers = [
            {"name": key.name, "algorithm": key.type.label, "seconds": seconds}
            for key, seconds in verdict.signers.items()
        ]
        row |= {"origin": verdict.signed.origin, "signed_entries": verdict.signed.entries, "signers": signers}
    return row


def _verdict_words(verdict: Verdict) -> dict[str, Any]:
    assert verdict.signed is not None  # noqa: S101 - the caller has looked
    words: dict[str, Any] = {"log": verdict.signed.origin, "entries": f"{verdict.entries}, unbroken"}
    if verdict.head is not None:
        words["head"] = verdict.head
    rest = verdict.entries - verdict.signed.entries
    words["signed"] = f"{verdict.signed.entries} entries" + (f"; the last {rest} are not" if rest else "")
    for number, (key, seconds) in enumerate(verdict.signers.items(), start=1):
        when = "" if seconds is None else f", {in_time(seconds)}"
        words[f"signer {number}"] = f"{key.name} ({key.type.label}{when})"
    return words


def _sight_words(row: dict[str, Any]) -> str:
    told = [f"{row['entries']} entries, no contradiction"]
    if row["lagging"]:
        told.append(f"{row['lagging']} entries behind what others have seen")
    for name, entries in row["witnesses"].items():
        told.append(f"{escape(name)}: " + ("can't be reached" if entries is None else f"{entries} entries"))
    return "; ".join(told)
