"""The command tree, and the only place that exits. What a command needs is imported when it runs (`Deferred`).

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

import errno
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Final, NoReturn

import typer
from rich.markup import escape

from contracts.errors import ContractsError
from ledger.details import as_line
from ledger.errors import LedgerError
from trader.cli.deferred import MARKUP, Deferred
from trader.cli.exit_codes import ENVIRONMENT_FAULT, INTERRUPTED, exit_code_of
from trader.cli.output import messages
from trader.errors import TraderError
from zk.errors import ZkError

Command = Callable[..., None]
MAXIMUM_ERROR_CHARACTERS: Final = 2000
"""Of an error on the terminal: ours end with the next step, and are shorter; a stranger's text has an end."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

app = typer.Typer(
    name="modelseal",
    help="Buy and sell machine-learning models that nobody has to trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
)
model = typer.Typer(help="Prepare a model for sale, and try what buyers will do with it.", no_args_is_help=True)


@app.command(name="demo", cls=Deferred)
def _demo() -> Command:
    """Run one complete trade: list, verify, encrypted test, purchase, prove, deliver, reveal, check, settle."""
    from trader.cli.demo import demo

    return demo


@app.command(name="bench", cls=Deferred)
def _bench() -> Command:
    """Measure speed, memory and gas against peers; `holds` says which bars hold, the exit code does not."""
    from trader.cli.bench import bench

    return bench


@app.command(name="compile", cls=Deferred)
def _compile() -> Command:
    """Compile the kernels of encrypted tests now, so that the first test does not wait for it."""
    from trader.cli.compile import compile_command

    return compile_command


@app.command(name="doctor", cls=Deferred)
def _doctor() -> Command:
    """Look at machine, caches, keys, node and market, and say what to do; exit code 4 if a trade would fail."""
    from trader.cli.doctor import doctor_command

    return doctor_command


@app.command(name="model", cls=Deferred)
def _model() -> typer.Typer:
    """Prepare a model for sale, and try what buyers will do with it."""
    return model


@app.command(name="package", cls=Deferred)
def _package() -> typer.Typer:
    """A seller's package on disk."""  # noqa: D401 - what the commands are about
    from trader.cli import package

    return package.app


@app.command(name="seller", cls=Deferred)
def _seller() -> typer.Typer:
    """Sell models: list them, serve their buyers, be paid."""
    from trader.cli import seller

    return seller.app


@app.command(name="buyer", cls=Deferred)
def _buyer() -> typer.Typer:
    """Find a model, check it, test it on encrypted data, buy it."""
    from trader.cli import buyer

    return buyer.app


@app.command(name="listing", cls=Deferred)
def _listing() -> typer.Typer:
    """Check a listing before you pay."""
    from trader.cli import listing

    return listing.app


@app.command(name="certificate", cls=Deferred)
def _certificate() -> typer.Typer:
    """Accuracy on public data sets, proven by the seller."""
    from trader.cli import certificate

    return certificate.app


@app.command(name="request", cls=Deferred)
def _request() -> typer.Typer:
    """Bounties for models of a proven accuracy."""
    from trader.cli import request

    return request.app


@app.command(name="proofs", cls=Deferred)
def _proofs() -> typer.Typer:
    """The queue of proofs that this machine makes."""  # noqa: D401 - what the commands are about
    from trader.cli import proofs

    return proofs.app


@app.command(name="srs", cls=Deferred)
def _srs() -> typer.Typer:
    """Structured reference strings: the public parameters of all proofs."""
    from trader.cli import srs

    return srs.app


@app.command(name="audit", cls=Deferred)
def _audit() -> typer.Typer:
    """What was promised, tested, proven, delivered and paid."""  # noqa: D401 - what the commands are about
    from trader.cli import audit

    return audit.app


@app.command(name="chain", cls=Deferred)
def _chain() -> typer.Typer:
    """The contracts: where they stand, and bringing them to a chain."""  # noqa: D401 - what the commands are about
    from trader.cli import chain

    return chain.app


@app.command(name="keys", cls=Deferred)
def _keys() -> typer.Typer:
    """Accounts in encrypted keyfiles (Web3 Secret Storage v3)."""
    from trader.cli import keys

    return keys.app


@model.command(name="prepare", cls=Deferred)
def _prepare() -> Command:
    """Make a package of an ONNX file: canonical parameters, audit circuit, encryption plan, manifest."""
    from trader.cli.prepare import prepare_command

    return prepare_command


@model.command(name="grid", cls=Deferred)
def _grid() -> Command:
    """Divide columns into bins, by the order of magnitude of their ranges; a tree trained on bins loses nothing."""
    from trader.cli.grid import grid_command

    return grid_command


@model.command(name="try", cls=Deferred)
def _try() -> Command:
    """Test the model on encrypted data, both roles on this machine, and report."""
    from trader.cli.model import try_command

    return try_command


@model.command(name="adapt", cls=Deferred)
def _adapt() -> Command:
    """Fine-tune a small network with squares for activations, so that it is tested exactly; needs PyTorch."""
    from trader.cli.adapt import adapt_command

    return adapt_command


@model.command(name="prove", cls=Deferred)
def _prove() -> Command:
    """Prove the model's answers on the first samples of a file; verify off the chain and in the verifier contract."""
    from trader.cli.model import prove_command

    return prove_command


@model.command(name="plan", cls=Deferred)
def _plan() -> Command:
    """Show the encryption plan, what a test would cost on this machine, and the alternatives that were rejected."""
    from trader.cli.model import plan_command

    return plan_command


@model.command(name="certify", cls=Deferred)
def _certify() -> Command:
    """Prove how many samples of a public data set the model classifies correctly: one proof for every k rows."""
    from trader.cli.certificate import certify_command

    return certify_command


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
        said = as_line(error)[:MAXIMUM_ERROR_CHARACTERS]
        _end(exit_code_of(error), f"[bold red]error:[/] {escape(said)}")
    except KeyboardInterrupt:
        _end(INTERRUPTED, "[yellow]interrupted[/]")
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _end(ENVIRONMENT_FAULT, f"[bold red]error:[/] nothing can be written: {escape(as_line(error))}")


def _end(code: int, said: str) -> NoReturn:
    """Say it and exit; where standard error lies on a full disk, the code alone says it."""
    try:
        messages.print(said, highlight=False, soft_wrap=True)
    except OSError:
        sys.stderr = None  # what it could not write would be tried again at the exit, and change the code
    sys.exit(code)
