"""Reads what `ledger.reading.fsck` checks from a PostgreSQL database, with the driver alone.

The server itself is trusted to give what it holds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ledger.errors import LedgerUnavailableError, NotALedgerError
from ledger.merkle import Node
from ledger.reading.fsck_segments import SELECT_SEGMENTS, SELECT_SETTLED
from ledger.reading.server_check import check_indexes, check_schema


class ServerRows:
    """The rows of a log in one state, as they stand in the database."""

    def __init__(self, connection: Any):
        self._connection = connection

    def entries(self) -> Iterator[dict[str, Any]]:
        """Return the rows of `entries` in order, a part at a time."""
        from psycopg.rows import dict_row

        with self._connection.cursor("entries", row_factory=dict_row) as cursor:
            cursor.itersize = 5000
            yield from cursor.execute("SELECT * FROM entries ORDER BY sequence")

    def segments(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Return the rows of `segments` in order, one at a time."""
        with self._connection.cursor("segments") as cursor:
            cursor.itersize = 1
            yield from cursor.execute(SELECT_SEGMENTS)

    def settled(self) -> int | None:
        """Return the number of the first entry in a segment, None if there is none."""
        return self._connection.execute(SELECT_SETTLED).fetchone()[0]  # type: ignore[no-any-return]

    def node(self, node: Node) -> bytes | None:
        """Return the hash of a stored node of the tree, None if there is none."""
        query = "SELECT hash FROM nodes WHERE level = %s AND position = %s"
        row = self._connection.execute(query, node).fetchone()
        return None if row is None else bytes(row[0])

    def clear_values(self, sequence: int) -> list[tuple[str, bytes, str]]:
        """Return names, salts and values of the personal details of an entry."""
        query = "SELECT name, salt, value FROM clear_values WHERE sequence = %s"
        return [(name, bytes(salt), value) for name, salt, value in self._connection.execute(query, (sequence,))]

    def count_clear_values(self) -> int:
        """Return how many personal details are stored."""
        return int(self._connection.execute("SELECT count(*) FROM clear_values").fetchone()[0])

    def count_nodes(self) -> int:
        """Return how many nodes are stored."""
        return int(self._connection.execute("SELECT count(*) FROM nodes").fetchone()[0])


@contextmanager
def open_rows(url: str) -> Iterator[ServerRows]:
    """Yield the rows of the log at a `postgresql://` URL, in one state.

    Raises:
        NotALedgerError: There are no tables of a log.
        StorageError: There are other ones, or foreign parts on them; at the end, an index does not hold their rows.
        LedgerUnavailableError: The server can't be read.
    """
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise LedgerUnavailableError("PostgreSQL's driver is missing: install modelseal[postgres]") from error
    try:
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            check_schema(connection)
            yield ServerRows(connection)
            check_indexes(connection)
    except psycopg.OperationalError as error:
        raise LedgerUnavailableError(f"the log can't be read: {' '.join(str(error).split())}") from error
    except psycopg.Error as error:
        raise NotALedgerError(f"the database is no audit log: {' '.join(str(error).split())}") from error
