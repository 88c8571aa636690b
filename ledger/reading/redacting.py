"""Finds the personal details that a log still holds (`ledger.redaction`)."""

from collections.abc import Collection

from sqlalchemy import select

from ledger.log import AuditLog
from ledger.storage.tables import CLEAR_VALUES, ENTRIES


def find_personal(
    log: AuditLog,
    *,
    sequences: Collection[int] | None = None,
    trade_id: int | None = None,
    before_seconds: int | None = None,
) -> list[int]:
    """Return the numbers of the entries that have personal details and meet all conditions, in log order.

    Args:
        log: The log.
        sequences: Numbers of entries; all if None.
        trade_id: The trade that they are about; any if None.
        before_seconds: A POSIX time that they are older than; whatever their time if None.
    """
    query = select(CLEAR_VALUES.c.sequence).join(ENTRIES, ENTRIES.c.sequence == CLEAR_VALUES.c.sequence)
    if trade_id is not None:
        query = query.where(ENTRIES.c.trade_id == str(trade_id))
    if before_seconds is not None:
        query = query.where(ENTRIES.c.occurred_at_seconds < before_seconds)
    with log.reading() as connection:
        found = sorted(set(connection.scalars(query)))
    return [sequence for sequence in found if sequences is None or not sequences or sequence in set(sequences)]
