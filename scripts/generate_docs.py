"""Make the parts of the documentation that derive from code: states, payoffs, commands, settings, what packages export.

`python scripts/generate_docs.py` writes docs/reference and docs/configuration.md, `--check` exits with 1 if something
there is stale.
"""

import inspect
import json
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from configuration_page import configuration_page

from contracts.published import ARTIFACTS_PATH
from trader.cli.app import app
from trader.cli.deferred import Deferred
from trader.trade.machine import state_diagram
from trader.trade.payoffs import payoff_rows

PUBLIC = ("trader", "trader.clients", "trader.settings", "trader.verify", "trader.exchange", "trader.package")
PUBLIC += ("trader.trade_certificate", "trader.artifacts", "trader.service", "ledger", "contracts", "zk")
"""Packages that programs of users import."""
PYTHON = "What the packages export, in a line each; the docstrings say the rest. `help(trader.Buyer)` shows one."
REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
GAS_PATH = ARTIFACTS_PATH.with_name("gas.json")
NOTE = "<!-- Made by scripts/generate_docs.py; do not edit. -->\n\n"


def main() -> None:
    """Write or check every page."""
    pages = {"states.md": states_page(), "payoffs.md": payoffs_page(), "commands.md": commands_page()}
    pages["python.md"] = python_page()
    with tempfile.TemporaryDirectory() as folder:
        pages["../configuration.md"] = NOTE + configuration_page(Path(folder))
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


def python_page() -> str:
    """Everything public of the packages: each `__all__`, with signatures and the first line of docstrings."""
    return f"{NOTE}# Python\n\n{PYTHON}\n\n" + "\n".join(_public(import_module(name)) for name in PUBLIC)


def _public(module: Any) -> str:
    rows = (f"| `{name}` | {_first_line(getattr(module, name))} |" for name in module.__all__)
    head = f"## `{module.__name__}`\n\n{_first_line(module)}\n\n| | |\n|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _first_line(thing: Any) -> str:
    text = inspect.getdoc(thing) if inspect.ismodule(thing) or callable(thing) else ""
    return (text or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


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
