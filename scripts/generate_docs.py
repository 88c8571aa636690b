"""Make the parts of the documentation that derive from code: the state diagram, the payoffs, the command reference.

`python scripts/generate_docs.py` writes docs/reference, `--check` exits with 1 if something there is stale.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from contracts.published import ARTIFACTS_PATH
from trader.cli.app import app
from trader.cli.deferred import Deferred
from trader.trade.machine import state_diagram
from trader.trade.payoffs import payoff_rows

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
GAS_PATH = ARTIFACTS_PATH.with_name("gas.json")
NOTE = "<!-- Made by scripts/generate_docs.py; do not edit. -->\n\n"


def main() -> None:
    """Write or check every page."""
    pages = {"states.md": states_page(), "payoffs.md": payoffs_page(), "commands.md": commands_page()}
    stale = [name for name, text in pages.items() if not _is_current(REFERENCE / name, text)]
    if "--check" in sys.argv[1:]:
        sys.exit(f"stale: {', '.join(stale)}; run `make docs`" if stale else 0)
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (REFERENCE / name).write_text(pages[name])
        print(f"wrote {REFERENCE / name}")


def states_page() -> str:
    """Return the transition table as a diagram."""
    source = "From `TRANSITIONS` in `trader/trade/machine.py`."
    return f"{NOTE}# States of a trade\n\n{source}\n\n```mermaid\n{state_diagram()}\n```\n"


def payoffs_page() -> str:
    """Return what each side has gained or lost when a trade ends."""
    source = (
        "From `PAYOFFS` in `trader/trade/payoffs.py`, which a test compares with the contract. Gas is what a side has "
        "spent on its own moves, as pinned in `contracts/artifacts/gas.json` (a proof of 8 samples of 2 outputs); "
        "`list`, `expire`, `settle` and `withdraw` are left out."
    )
    rows = "\n".join(f"| {' | '.join(row)} |" for row in payoff_rows(json.loads(GAS_PATH.read_text())))
    head = "| path | why | buyer | seller | buyer's gas | seller's gas |\n|---|---|---|---|---|---|"
    return f"{NOTE}# Payoffs\n\n{source}\n\n{head}\n{rows}\n"


def commands_page() -> str:
    """Every command with its arguments and options."""
    return NOTE + "# Commands\n\n" + "\n".join(_sections(typer.main.get_command(app), ("modelseal",)))


def _sections(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    context = typer.Context(command, info_name=" ".join(path))
    subcommands = getattr(command, "commands", {})
    if not subcommands:
        yield f"## `{' '.join(path)}`\n\n{(command.help or '').strip()}\n"
        yield from _parameters(command, context)
    for name, subcommand in sorted(subcommands.items()):
        yield from _sections(subcommand.load() if isinstance(subcommand, Deferred) else subcommand, (*path, name))


def _parameters(command: Any, context: typer.Context) -> Iterator[str]:
    rows = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    yield "| | |\n|---|---|"
    for names, text in rows:
        yield f"| `{names}` | {text.replace('|', chr(92) + '|')} |"
    yield ""


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    main()
