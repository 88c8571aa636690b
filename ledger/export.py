"""Writes the log as JSON Lines, which `ledger.fsck.verify_export` checks without the database."""

from pathlib import Path

from ledger.log import AuditLog, Head


def export_log(log: AuditLog, path: Path | str) -> Head:
    """Writes all entries to `path`, atomically, and returns the head that they end in."""
    raise NotImplementedError
