"""`modelseal demo`: one complete trade, honest or with a cheat."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from trader.chain import Chain
from trader.chain.keystores import open_account
from trader.cli.options import ConfirmationsOption  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.cli.passwords import PasswordFile, ask_password
from trader.demo.cheats import CHEATS, HONEST
from trader.demo.run import Wallets, run_demo
from trader.demo.training import HIDDEN
from trader.errors import EnvironmentFaultError
from trader.report.timeline import Timeline

if TYPE_CHECKING:
    from trader.demo.summary import DemoReport
    from trader.signer import Signer

Dataset = StrEnum("Dataset", {name: name for name in HIDDEN})  # type: ignore[misc]  # members are made from data
CheatKind = StrEnum("CheatKind", {name: name for name in CHEATS})  # type: ignore[misc]  # members are made from data
DEFAULT_DATASET = Dataset("breast-cancer")

DEFAULT_OUT = Path("demo-output")


def demo(
    dataset: Annotated[Dataset, typer.Option(help="Data set of the model that is sold.")] = DEFAULT_DATASET,
    cheat: Annotated[CheatKind | None, typer.Option(help="Who misbehaves, and how.")] = None,
    chain: Annotated[
        str | None, typer.Option(metavar="URL", help="JSON-RPC node to run on instead of the embedded chain.")
    ] = None,
    confirmations: ConfirmationsOption = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is written.")] = DEFAULT_OUT,
    seller_keyfile: Annotated[str | None, typer.Option(help="The seller's account; a fresh one if not given.")] = None,
    buyer_keyfile: Annotated[str | None, typer.Option(help="The buyer's account; a fresh one if not given.")] = None,
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Run one complete trade: list, verify, encrypted test, purchase, prove, deliver, reveal, check, settle."""
    if missing := [name for name in ("sklearn", "onnxruntime") if find_spec(name) is None]:
        raise EnvironmentFaultError(f"the demo needs {' and '.join(missing)}: pip install 'modelseal[demo]'")
    wallets = Wallets(_account(seller_keyfile, password_file), _account(buyer_keyfile, password_file))
    node = Chain.embedded() if chain is None else Chain.connect(chain, confirmations=confirmations)
    played = HONEST if cheat is None else CHEATS[cheat.value]
    with Timeline(messages) as timeline:
        report = run_demo(
            dataset.value,
            node,
            out,
            timeline,
            played=played,
            wallets=wallets,
        )
    if as_json:
        print_json_line(report.as_json())
    else:
        _print_report(report)


def _account(account: str | None, password_file: Path | None) -> Signer | None:
    return None if account is None else open_account(account, lambda purpose: ask_password(password_file, purpose))


def _print_report(report: DemoReport) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a digest that is cut short can't be compared
    for name, value in _rows(report):
        table.add_row(name, value)
    results.print()
    results.print(table)
    results.print(_account_of(report))


def _account_of(report: DemoReport) -> Table:
    """Return who got what in the end: wei without gas, gas, and what the gas cost."""
    table = Table("", "wei, without gas", "gas", "wei for gas", box=None, padding=(0, 2))
    for column in table.columns[1:]:
        column.justify = "right"
    for role, wei in report.balances.items():
        table.add_row(role, f"{wei:+,}", f"{report.gas_by_role[role]:,}", f"{report.gas_cost[role]:,}")
    return table


def _rows(report: DemoReport) -> list[tuple[str, str]]:
    rows = [("outcome", f"[bold]{report.outcome}[/]")]
    if report.cheat is not None:
        noticed = "not at all" if report.noticed is None else escape(report.noticed)
        rows += [("who cheated", report.cheat), ("how it came out", noticed), ("who lost what", report.lost)]
    if report.accuracy_encrypted is not None:
        rows += [
            ("accuracy", f"{report.accuracy_encrypted:.2%} encrypted, {report.accuracy_plain:.2%} plain"),
            ("largest output error", f"{report.max_output_error:.1e} over {report.samples} samples"),
            ("within the tolerance", f"{report.changeable_samples} of {report.samples} classes could change"),
        ]
    if report.proven_changes is not None:
        same = report.audit_samples - report.proven_changes
        rows.append(("proven classes", f"{same} of {report.audit_samples} are those that the test showed"))
    if report.refusal is not None:
        rows.append(("the buyer refused", escape(report.refusal)))
    rows += [
        ("audit", f"a half-wrong seller fails it with probability {report.detection_probability:.1%}"),
        ("time in all", f"{report.seconds['total']:.1f} s"),
        ("audit log's head", report.ledger_head),
    ]
    if report.delivered_model is not None:
        computes = "computes exactly what was sold" if report.delivered_matches else "differs from what was sold"
        rows.append(("delivered model", f"{escape(report.delivered_model)}: {computes}"))
    return rows
