"""The integrity checker: is the log what was written? Shares only `ledger.entries` with the writer."""

from pathlib import Path


def verify_log(path: Path | str, *, expected_head: bytes | None = None) -> None:
    """Checks a log's database file.

    Raises:
        TamperedError: The first fault, with what was expected and found.
    """
    raise NotImplementedError


def verify_export(path: Path | str, *, expected_head: bytes | None = None) -> None:
    """Checks a JSON Lines export of a log, offline.

    Raises:
        TamperedError: The first fault, with what was expected and found.
    """
    raise NotImplementedError
