"""Exit codes say whose fault an error is, for errors of every room."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trader.cli.app as app_module
from contracts import ArtifactError, MarketRevertedError, UnexpectedCodeError
from ledger import LedgerUnavailableError, TamperedError, UnknownTradeError
from trader.cli.exit_codes import BAD_INPUT, ENVIRONMENT_FAULT, PEER_FAULT, exit_code_of
from trader.delivery import CiphertextError, DeliveryFaultError
from trader.errors import AccountError, ChainUnavailableError, ListingError, TraderError
from trader.exchange import EnvelopeError, KeyFileError, MailboxFaultError, MessageError, TransferError
from trader.he import PlanError, WireError
from trader.model import DataError, ManifestError
from trader.package import DamagedPackageError, QuotaError
from zk.errors import InvalidProofError, StatementError, UnsupportedArchitectureError, WorkerFailedError

CODES = {
    BAD_INPUT: {AccountError, DataError, KeyFileError, ManifestError, MarketRevertedError, PlanError, QuotaError}
    | {StatementError, TraderError, UnknownTradeError, UnsupportedArchitectureError},
    PEER_FAULT: {CiphertextError, DamagedPackageError, DeliveryFaultError, EnvelopeError, InvalidProofError}
    | {ListingError, MessageError, TamperedError, TransferError, UnexpectedCodeError, WireError},
    ENVIRONMENT_FAULT: {ArtifactError, ChainUnavailableError, LedgerUnavailableError, MailboxFaultError}
    | {WorkerFailedError},
}


@pytest.mark.parametrize(
    ("error", "code"),
    [(error, code) for code, errors in CODES.items() for error in sorted(errors, key=lambda kind: kind.__name__)],
)
def test_exit_code(error: type[Exception], code: int) -> None:
    assert exit_code_of(error.__new__(error)) == code


def test_an_error_is_shown_to_its_end_where_the_next_step_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise TraderError(f"{'what happened, ' * 60}\x1b[2J: do this")

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(SystemExit) as ended:
        app_module.main()
    assert ended.value.code == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("what happened") == 60
    assert said.endswith("?[2J: do this\n")


def without_room(*arguments: object, cwd: Path) -> int:
    """The exit code of a command whose output lies on the full disk that it writes to (EFBIG, for ENOSPC)."""
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); from trader.cli.app import main; main()"
    )
    with (cwd / "output.txt").open("w") as output:
        command = [sys.executable, "-c", limited, *map(str, arguments)]
        environment = {**os.environ, "MODELSEAL_PASSWORD": "correct horse", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=cwd, stdout=output, stderr=output, env=environment).returncode


@pytest.mark.parametrize(
    "command", [("keys", "new", "account.json"), ("keys", "list", "--json"), ("seller", "init", "a.toml")]
)
def test_a_full_disk_is_the_environments_fault_even_if_it_can_not_be_said(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    assert without_room(*command, cwd=tmp_path) == ENVIRONMENT_FAULT
    assert (tmp_path / "output.txt").read_text() == ""
