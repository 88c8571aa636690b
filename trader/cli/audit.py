"""`modelseal audit`: questions to the audit log."""

from __future__ import annotations

import sys
from collections.abc import Callable  # noqa: TC003 - typer reads the annotations
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from trader.cli import audit_index, audit_query, audit_signing, audit_views, audit_witness
from trader.cli.audit_options import DEFAULT_LOG, LogFile, check_is_there, open_log, read_notes
from trader.cli.options import ConfirmationsOption  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, print_json_line, results

app = typer.Typer(help="What was promised, tested, proven, delivered and paid.", no_args_is_help=True)

_COMMANDS: tuple[Callable[..., None], ...] = (
    *(audit_views.verify, audit_views.fsck, audit_views.diff, audit_views.watch, audit_views.redact),
    *(audit_index.index, audit_query.query, audit_query.search, audit_query.catalogue),
    *(audit_signing.keygen, audit_signing.sign, audit_signing.cosign, audit_signing.tiles, audit_signing.anchor),
)
for _command in _COMMANDS:
    app.command()(_command)
app.command(name="import")(audit_views.import_command)
app.command(name="add-manifest")(audit_query.add_manifest)
app.command(name="verify-answer")(audit_query.verify_answer)
app.add_typer(audit_witness.app, name="witness")


@app.command()
def migrate(log_file: LogFile = DEFAULT_LOG) -> None:
    """Bring a log that an older version wrote to this version's schema; keep a copy of the file first."""
    from ledger import migrate_log

    check_is_there(log_file)
    migrate_log(log_file)
    with open_log(log_file) as log:
        results.print(f"{log.name} has this version's schema; head {log.head()}", soft_wrap=True)


@app.command()
def show(
    trade: Annotated[int, typer.Argument(help="The trade's id.", min=1)],
    market: Annotated[
        str | None, typer.Option(metavar="ID:0x…", help="Chain id and contract, if the log holds several markets.")
    ] = None,
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Print the story of a TRADE: block, transaction, actor, gas."""
    from ledger import read_trade
    from trader.report.story import print_story, story_rows

    with open_log(log_file) as log:
        story = read_trade(log, trade, market)
    if as_json:
        print_json_line({"trade": trade, "entries": story_rows(story)})
    else:
        print_story(results, story)


@app.command()
def head(log_file: LogFile = DEFAULT_LOG, as_json: JsonFlag = False) -> None:
    """Print the log's head: write it down, and `audit verify --head` will prove the log against it."""
    with open_log(log_file) as log:
        current = log.head()
    if as_json:
        print_json_line({"head": str(current), "entries": current.entries})
    else:
        results.print(str(current), soft_wrap=True)


@app.command(name="verify-certificate")
def verify_certificate(
    file: Annotated[Path, typer.Argument(help="The certificate of a trade.")],
    chain: Annotated[
        str | None, typer.Option(metavar="URL", help="JSON-RPC node that has the blocks.", envvar="ETH_RPC_URL")
    ] = None,
    confirmations: ConfirmationsOption = None,
    package: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The listing's public package: the proof is verified with it.")
    ] = None,
    model: Annotated[Path | None, typer.Option(metavar="FILE", help="The delivered ONNX file, to be compared.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The log's checkpoint, from elsewhere than the certificate.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check the certificate of a finished trade: eight numbered checks, and what none of them can tell."""
    from trader.cli.trade_certificate import verify_certificate_command

    verify_certificate_command(file, chain, confirmations, package, model, checkpoint, as_json=as_json)


@app.command()
def checkpoint(log_file: LogFile = DEFAULT_LOG, as_json: JsonFlag = False) -> None:
    """Print the log's checkpoint, unsigned: write it down, and single entries can be proven against it."""
    with open_log(log_file) as log:
        current = log.checkpoint()
    if as_json:
        print_json_line({"origin": current.origin, "entries": current.entries, "root": current.root_hash.hex()})
    else:
        sys.stdout.write(str(current))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The .jsonl file to write.")],
    log_file: LogFile = DEFAULT_LOG,
    note_file: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The signed checkpoint: then a public key is enough."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the whole log as JSON Lines, which anyone can verify without a database."""
    from ledger import export_log

    notes = [] if note_file is None else read_notes([note_file])
    with open_log(log_file) as log:
        written = export_log(log, file, note=str(notes[0]) if notes else None)
    if as_json:
        print_json_line({"file": str(file), "head": str(written), "entries": written.entries})
        return
    results.print(f"{written.entries} entries written to {file}; head {written}", soft_wrap=True)
