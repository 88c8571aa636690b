"""The command tree, and the only place that exits.

Exit codes:

==== =====================================================================
0    done
1    a defect of ModelSeal: a traceback is shown, please report it
2    wrong usage or bad input: a file, a shape, a value, a password
3    the other side's fault, or a check that failed: do not pay, do not trust
4    the environment: node, disk, memory, time, a missing library
130  interrupted
==== =====================================================================
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.markup import escape

from contracts import ContractsError
from ledger import LedgerError, as_reason
from trader.cli import audit, certificate, keys, listing, model, package, proofs, srs
from trader.cli.bench import bench
from trader.cli.compile import compile_command
from trader.cli.demo import demo
from trader.cli.exit_codes import INTERRUPTED, exit_code_of
from trader.cli.output import messages
from trader.errors import TraderError
from zk import ZkError

app = typer.Typer(
    name="modelseal",
    help="Buy and sell machine-learning models that nobody has to trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
model.app.command(name="certify")(certificate.certify_command)
app.add_typer(model.app, name="model")
app.add_typer(package.app, name="package")
app.add_typer(listing.app, name="listing")
app.add_typer(certificate.app, name="certificate")
app.add_typer(proofs.app, name="proofs")
app.add_typer(srs.app, name="srs")
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.command()(demo)
app.command()(bench)
app.command(name="compile")(compile_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"modelseal {version('modelseal')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Buy and sell machine-learning models that nobody has to trust."""


def main() -> None:
    """Run the command line: errors of ours become one line and an exit code, anything else is a defect."""
    try:
        app()
    except (TraderError, ZkError, ContractsError, LedgerError) as error:
        # Parts of it may come from the other party: no markup, no escape sequences, one line.
        messages.print("[bold red]error:[/]", escape(as_reason(error)), highlight=False, soft_wrap=True)
        sys.exit(exit_code_of(error))
    except KeyboardInterrupt:
        messages.print("interrupted", style="yellow")
        sys.exit(INTERRUPTED)
