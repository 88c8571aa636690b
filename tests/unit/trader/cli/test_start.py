"""How commands start: what they don't need they don't import, and nobody sees that an import was put off."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from ledger import AuditLog
from trader.cli.app import app
from trader.cli.deferred import Deferred
from trader.cli.exit_codes import BAD_INPUT, DONE

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"eth_account", "eth_utils", "ezkl", "numba", "numpy", "onnx", "py_ecc", "sqlalchemy", "tenseal", "web3"}
"""Libraries that take long to import; the tests below say which of them a command does need."""
REPORT = """
import sys
from trader.cli import main
sys.argv[0] = "modelseal"
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", REPORT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def imported(*arguments: object, code: int = DONE) -> set[str]:
    """Run the command in a process of its own; return which modules it imported."""
    ran = run(*arguments)
    assert ran.returncode == code, ran.stderr
    return set(ran.stderr.splitlines()[-1].split())


def deferred(command: Any, *path: str) -> list[tuple[tuple[str, ...], Deferred]]:
    """Every deferred command in the tree."""
    found = [(path, command)] if isinstance(command, Deferred) else []
    loaded = command.load() if isinstance(command, Deferred) else command
    for name, below in getattr(loaded, "commands", {}).items():
        found += deferred(below, *path, name)
    return found


DEFERRED = deferred(get_command(app))


@pytest.mark.parametrize(
    "group",
    ["", "model", "audit", "keys", "keys rotate", "doctor", "package verify", "buyer", "buyer buy", "seller"],
)
def test_help_imports_no_heavy_library(group: str) -> None:
    modules = imported(*group.split(), "--help")
    assert not HEAVY & modules
    rooms = {name for name in modules if name.startswith("trader.") and name.count(".") == 1}
    assert rooms <= {"trader.amounts", "trader.cli", "trader.errors", "trader.variables"}


def test_the_version_imports_no_heavy_library() -> None:
    assert not HEAVY & imported("--version")


def test_help_on_reference_strings_imports_the_curve_alone() -> None:
    assert HEAVY & imported("srs", "--help") <= {"py_ecc"}


def test_whose_a_keyfile_is_takes_no_key_library(tmp_path: Path) -> None:
    assert HEAVY & imported("keys", "list") <= {"eth_utils"}


def test_questions_to_the_log_import_the_database_alone(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "log.sqlite") as log:
        assert log.head().entries == 0
    assert HEAVY & imported("audit", "head", "--log", tmp_path / "log.sqlite") <= {"sqlalchemy"}
    assert HEAVY & imported("audit", "verify", tmp_path / "log.sqlite") <= {"sqlalchemy"}


def test_what_is_wrong_is_said_without_importing_the_rest(tmp_path: Path) -> None:
    assert not HEAVY & imported("audit", "head", "--log", tmp_path / "none.sqlite", code=BAD_INPUT)


def test_every_command_but_those_of_loaded_groups_is_deferred() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group
    assert [name for name, command in commands.items() if not isinstance(command, Deferred)] == []
    assert {" ".join(path) for path, _ in DEFERRED} >= {*commands, "model prepare", "model try", "model certify"}


@pytest.mark.parametrize(("path", "command"), DEFERRED, ids=[" ".join(path) for path, _ in DEFERRED])
def test_a_deferred_command_has_the_name_and_the_help_of_what_it_stands_for(
    path: tuple[str, ...], command: Deferred
) -> None:
    loaded = command.load()
    assert loaded.name == command.name == path[-1]
    assert loaded.help == command.help
    assert loaded.hidden == command.hidden
    assert loaded.deprecated == command.deprecated


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("modelseal mod", {"model"}),
        ("modelseal model pr", {"prepare", "prove"}),
        ("modelseal model prepare --calib", {"--calibration"}),
        ("modelseal srs fe", {"fetch"}),
    ],
)
def test_the_shell_completes_what_is_deferred(typed: str, proposed: set[str]) -> None:
    word = len(f"{typed}x".split()) - 1
    ran = run(_MODELSEAL_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(word))
    assert set(ran.stdout.split()) == proposed


def test_a_buyer_needs_no_web_server() -> None:
    """What the base installation lacks (extras `service`, `dask`, `publish`) is missing here."""
    without = "import sys; sys.modules.update(dict.fromkeys({}))".format(
        "['fastapi', 'starlette', 'uvicorn', 'prometheus_client', 'distributed', 'cyclonedx', 'mlflow']"
    )
    used = "import trader.clients.purchases, trader.clients.discovery, trader.cli.buying, trader.cli.seller"
    ran = subprocess.run([sys.executable, "-c", f"{without}; {used}"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
