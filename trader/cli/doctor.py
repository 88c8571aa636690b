"""`modelseal doctor`: is this machine ready to trade?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer
from rich.markup import escape

from trader.cli.options import ConfirmationsOption  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.errors import EnvironmentFaultError

MARKS = {"good": "[green]✓[/]", "remark": "[yellow]![/]", "bad": "[red]✗[/]"}
"""How each status of `trader.doctor` is shown."""


def doctor_command(
    chain: Annotated[
        str | None, typer.Option(metavar="URL", help="JSON-RPC node to ask as well.", envvar="ETH_RPC_URL")
    ] = None,
    confirmations: ConfirmationsOption = None,
    keyfile: Annotated[
        list[Path] | None, typer.Option(help="A keyfile outside of keystores; may be given again.")
    ] = None,
    package: Annotated[list[Path] | None, typer.Option(help="A seller's package; may be given again.")] = None,
    folder: Annotated[list[Path] | None, typer.Option(help="A party's folder; may be given again.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Look at machine, caches, keys, node and market, and say what to do; exit code 4 if a trade would fail."""
    from trader.doctor import Status, Surroundings, examine

    surroundings = Surroundings(chain, confirmations, keyfile or [], package or [], folder or [])
    findings = []
    with messages.status("looking"):
        for finding in examine(surroundings):
            findings.append(finding)
            if as_json:
                continue
            text = f"{MARKS[finding.status]} {escape(finding.subject)}: {escape(finding.text)}"
            results.print(text, highlight=False, soft_wrap=True)
            if finding.next_step:
                results.print(f"  {escape(finding.next_step)}", highlight=False, soft_wrap=True, style="dim")
    wrong = [finding.subject for finding in findings if finding.status is Status.BAD]
    if as_json:
        print_json_line({"ready": not wrong, "findings": [asdict(finding) for finding in findings]})
    if wrong:
        raise EnvironmentFaultError(f"this machine is not ready to trade: see {', '.join(wrong)}.")
