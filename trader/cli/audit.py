"""`modelseal audit`: questions to the audit log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger import NotALedgerError, is_server
from trader.cli.options import ConfirmationsOption  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, print_json_line, results

if TYPE_CHECKING:
    from ledger import AuditLog

app = typer.Typer(help="What was promised, tested, proven, delivered and paid.", no_args_is_help=True)

LogFile = Annotated[
    str,
    typer.Option(
        "--log",
        metavar="FILE|URL",
        help="The audit log: a file, or postgresql://user@host/database.",
        envvar="MODELSEAL_AUDIT_LOG",
    ),
]
DEFAULT_LOG = "demo-output/audit.sqlite"


def _open(log_file: str) -> AuditLog:
    _check_is_there(log_file)
    from ledger import AuditLog

    return AuditLog.open(log_file)


def _check_is_there(log_file: str) -> None:
    if not is_server(log_file) and not Path(log_file).exists():  # opening would make an empty log
        raise NotALedgerError(f"there is no audit log at {log_file}. Name one with --log, or run `modelseal demo`.")


@app.command()
def migrate(log_file: LogFile = DEFAULT_LOG) -> None:
    """Bring a log that an older version wrote to this version's schema; keep a copy of the file first."""
    from ledger import migrate_log

    _check_is_there(log_file)
    migrate_log(log_file)
    with _open(log_file) as log:
        results.print(f"{log.name} has this version's schema; head {log.head()}", soft_wrap=True)


@app.command()
def show(
    trade: Annotated[int, typer.Argument(help="The trade's id.", min=1)],
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Print the story of a TRADE: block, transaction, actor, gas."""
    from ledger import read_trade
    from trader.report.story import print_story, story_rows

    with _open(log_file) as log:
        story = read_trade(log, trade)
    if as_json:
        print_json_line({"trade": trade, "entries": story_rows(story)})
    else:
        print_story(results, story)


@app.command()
def verify(
    file: Annotated[str, typer.Argument(help="An audit log, or an export of one (.jsonl).")] = DEFAULT_LOG,
    head: Annotated[
        str | None, typer.Option(help="The head that you wrote down earlier, as `audit head` prints it.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check that no entry was changed, dropped, moved or added, and that queries can't miss any; offline."""
    from ledger import Head, verify_export, verify_log

    known = None if head is None else Head.parse(head)
    check = verify_export if file.endswith(".jsonl") else verify_log
    found = check(file, known_head=known)
    if as_json:
        print_json_line({"verified": True, "head": str(found), "entries": found.entries})
    else:
        results.print(f"{found.entries} entries, unbroken; head {found}", soft_wrap=True)


@app.command()
def head(log_file: LogFile = DEFAULT_LOG, as_json: JsonFlag = False) -> None:
    """Print the log's head: write it down, and `audit verify --head` will prove the log against it."""
    with _open(log_file) as log:
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
def checkpoint(log_file: LogFile = DEFAULT_LOG) -> None:
    """Print the log's checkpoint: write it down, and single entries can be proven against it."""
    with _open(log_file) as log:
        sys.stdout.write(str(log.checkpoint()))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The .jsonl file to write.")], log_file: LogFile = DEFAULT_LOG
) -> None:
    """Write the whole log as JSON Lines, which anyone can verify without a database."""
    from ledger import export_log

    with _open(log_file) as log:
        written = export_log(log, file)
    results.print(f"{written.entries} entries written to {file}; head {written}", soft_wrap=True)
