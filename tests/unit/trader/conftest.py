"""The command line as a user meets it: arguments in, exit code, standard output and standard error out."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from trader.cli import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def modelseal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command in this process, through the entry point that turns errors into exit codes."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr("sys.argv", ["modelseal", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        captured = capfd.readouterr()
        return Ran(int(exited.value.code or 0), captured.out, captured.err)

    return run
