"""What the commands of `modelseal audit` have in common: which log, whose keys, which checkpoints."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger import NotALedgerError, is_server
from trader.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger import AuditLog
    from ledger.notes.note import SignedNote
    from ledger.notes.policy import Policy

LogFile = Annotated[
    str,
    typer.Option(
        "--log",
        metavar="FILE|URL",
        help="The audit log: a file, or postgresql://user@host/database.",
        envvar="MODELSEAL_AUDIT_LOG",
    ),
]
DEFAULT_LOG = "demo-output/audit.sqlite"

KeysFile = Annotated[Path, typer.Option("--keys", metavar="FILE", help="Signing keys, as `audit keygen` made them.")]
PublicKey = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The log's public keys (.pub): each of them must have signed."),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy", metavar="FILE", help="Whose signatures are enough: logs, witnesses, m of n (tlog-policy)."
    ),
]
CheckpointFiles = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", metavar="FILE", help="A signed checkpoint from elsewhere; may be repeated."),
]


def check_is_there(log_file: str) -> None:
    """Check that there is a log: opening one that is missing would make it.

    Raises:
        NotALedgerError: There is none.
    """
    if not is_server(log_file) and not Path(log_file).exists():
        raise NotALedgerError(f"there is no audit log at {log_file}. Name one with --log, or run `modelseal demo`.")


def open_log(log_file: str) -> AuditLog:
    """Open a log that is there; raises as `check_is_there` and `AuditLog.open` do."""
    check_is_there(log_file)
    from ledger import AuditLog

    return AuditLog.open(log_file)


def read_policy(policy: Path | None, key: Path | None) -> Policy | None:
    """Return whose signatures count, None if neither file was named.

    Raises:
        CallerError: Both were named, or the policy can't be read.
        NoteError: A file is not what it should be.
        KeyFileError: The public keys can't be read.
    """
    if policy is not None and key is not None:
        raise CallerError("--key and --policy say the same in two ways: name one of them")
    if policy is not None:
        from ledger.notes.policy import parse_policy

        return parse_policy(_read_text(policy))
    if key is None:
        return None
    from ledger.notes.keyfile import read_public
    from ledger.notes.policy import Policy

    return Policy(read_public(key), all_logs=True)


def read_notes(files: Sequence[Path]) -> list[SignedNote]:
    """Return signed checkpoints; the signatures are *not* checked.

    Raises:
        CallerError: A file can't be read.
        NoteError: It holds something else.
    """
    from ledger.notes.note import SignedNote

    return [SignedNote.parse(_read_text(file)) for file in files]


def in_time(seconds: int) -> str:
    """Return a POSIX time as people read it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _read_text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
