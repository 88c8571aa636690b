"""`modelseal package`: is what lies on the seller's disk still what was prepared?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from trader.cli.options import PackageFolder  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.cli.passwords import PasswordFile, ask_password

app = typer.Typer(help="A seller's package on disk.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A seller's package on disk."""  # noqa: D401 - what the commands are about


@app.command()
def verify(
    folder: PackageFolder,
    with_password: Annotated[
        bool, typer.Option("--with-password", help="Also check that the password opens the encryption key.")
    ] = False,
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Check that nothing in a package was changed or damaged since it was prepared; no password is needed."""
    from trader.package import DamagedPackageError, verify_package

    wanted = with_password or password_file is not None
    password = ask_password(password_file, f"the encryption key of {folder}") if wanted else None
    with messages.status("checking the package"):
        parts = list(verify_package(folder, password))
    faults = [part.fault for part in parts if part.fault]
    if as_json:
        checks = [{"claim": part.claim, "holds": not part.fault, "fault": part.fault} for part in parts]
        print_json_line({"verified": not faults, "checks": checks})
    else:
        for number, part in enumerate(parts, start=1):
            mark = "[red]✗[/]" if part.fault else "[green]✓[/]"
            results.print(f"{mark} ({number}) {escape(part.claim)}", highlight=False)
            if part.fault:
                results.print(f"      {escape(part.fault)}", highlight=False, soft_wrap=True)
    if faults:
        raise DamagedPackageError(f"{folder}: {len(faults)} of {len(parts)} checks failed. Don't list or sell it so.")
