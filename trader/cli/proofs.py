"""`modelseal proofs`: what is being proven on this machine, and what waits."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.errors import CallerError
from zk import ProofQueue

app = typer.Typer(help="The queue of proofs that this machine makes.", no_args_is_help=True)


@app.command(name="list")
def list_command(as_json: JsonFlag = False) -> None:
    """Show the jobs: what is proven, what waits, what failed and why. One that isn't alive lost its prover."""
    queue = ProofQueue.of_user()
    jobs = [asdict(job) | {"alive": queue.is_alive(job)} for job in queue.jobs()]
    for job in jobs:
        del job["owner"]
    if as_json:
        print_json_line({"jobs": jobs})
        return
    if not jobs:
        messages.print("nothing is being proven")
        return
    table = Table("statement", "state", "alive", "attempts", "seconds", "failed because", box=None)
    for job in jobs:
        seconds = f"{time.time() - job['started']:.0f}" if job["state"] == "proving" else ""
        alive = "" if job["state"] == "failed" else "yes" if job["alive"] else "no"
        table.add_row(job["statement"], job["state"], alive, str(job["attempts"]), seconds, job["error"])
    results.print(table)


@app.command()
def cancel(
    statement: Annotated[str, typer.Argument(metavar="STATEMENT", help="As `proofs list` names it.")],
    as_json: JsonFlag = False,
) -> None:
    """Stop a job, or forget one that failed. Whoever asked for it sees an error."""
    if not ProofQueue.of_user().remove(statement):
        raise CallerError(f"there is no job {statement}. See `modelseal proofs list`.")
    if as_json:
        print_json_line({"cancelled": statement})
    else:
        messages.print(f"{statement} is cancelled")
