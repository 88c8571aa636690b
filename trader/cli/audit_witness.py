"""`modelseal audit witness`: sign what logs show, if it begins with all that they ever showed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from trader.cli.audit_options import KeysFile  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.cli.passwords import PasswordFile, ask_password
from trader.errors import CallerError

app = typer.Typer(help="Sign what logs show, if it begins with all that they ever showed.", no_args_is_help=True)

StateFile = Annotated[Path, typer.Option("--state", metavar="FILE", help="Remembers what was signed; keep it.")]


@app.command()
def serve(
    keys: KeysFile,
    logs: Annotated[list[Path], typer.Option("--log", metavar="FILE", help="Public keys of a log (.pub); repeated.")],
    state: StateFile = Path("witness.sqlite"),
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.", min=0, max=65535)] = 8642,
    password_file: PasswordFile = None,
) -> None:
    """Serve as a witness (c2sp.org/tlog-witness) for the logs whose keys are named; put a TLS proxy before it."""
    try:
        import uvicorn

        from ledger.witness.app import make_app
    except ModuleNotFoundError as error:
        raise CallerError("the witness is served with FastAPI: pip install 'modelseal[service]'") from error
    from ledger.notes.keyfile import KeyRole, read_keys, read_public
    from ledger.witness.protocol import Witness
    from ledger.witness.state import WitnessState

    opened = read_keys(keys, ask_password(password_file, str(keys)))
    if opened.role is not KeyRole.WITNESS:
        raise CallerError(f"{keys} has keys of a log: a witness needs its own (`audit keygen --witness`)")
    watched = [key for file in logs for key in read_public(file)]
    witness = Witness(opened, watched, WitnessState(state))
    origins = ", ".join(sorted({key.name for key in watched}))
    messages.print(f"{escape(opened.name)} watches {escape(origins)}", highlight=False, soft_wrap=True)
    uvicorn.run(make_app(witness), host=host, port=port, log_level="warning")


@app.command()
def evidence(state: StateFile = Path("witness.sqlite"), as_json: JsonFlag = False) -> None:
    """Show checkpoints that a log has signed and that contradict each other: proof that it forked."""
    from ledger.witness.state import WitnessState

    if not state.exists():
        raise CallerError(f"there is no memory of a witness at {state}")
    pairs = WitnessState(state).evidence()
    if as_json:
        print_json_line({"contradictions": [[str(ours), str(theirs)] for ours, theirs in pairs]})
        return
    for ours, theirs in pairs:
        results.print(f"signed twice:\n{escape(str(ours))}\n{escape(str(theirs))}", highlight=False, soft_wrap=True)
    if not pairs:
        results.print("no log has contradicted itself", highlight=False)
