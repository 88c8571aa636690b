"""Where an audit log is kept: one interface, whatever the database.

    store = open_store("trades.sqlite")            # a file, or
    store = open_store("postgresql://host/audit")  # a database of its own on a PostgreSQL server
    with store.writing() as connection: …          # no other writer meanwhile, durable at the end
    with store.reading() as connection: …          # one state of the log throughout

What is done with a connection stands in `ledger.storage.rows`, the same for all. A store knows nothing of hash chain
and tree.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from ledger.storage.location import is_server


class Store(ABC):
    """An opened database with the tables of an audit log.

    Attributes:
        name: What it is called in messages; without a password.
    """

    name: str
    _engine: Engine

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @abstractmethod
    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a transaction that sees one state of the log throughout."""

    @abstractmethod
    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that no other writer shares; durable when the block ends, undone when it raises."""

    @abstractmethod
    def erase(self) -> None:
        """Let nothing of what was deleted be left in files of the database, as far as that is up to it."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """The database file.

        Raises:
            NotALedgerError: It is no file.
        """


def open_store(location: Path | str, *, migrate: bool = False) -> Store:
    """Open the store at a path or URL, and make an empty log where there is nothing; raises as `AuditLog.open` says.

    Args:
        location: Where it is.
        migrate: Whether a log of an older schema is brought to this one; else it is refused.
    """
    if is_server(location):
        from ledger.storage.postgresql import PostgresStore  # the driver is an optional part of the installation

        return PostgresStore(str(location), migrate=migrate)
    from ledger.storage.sqlite import SqliteStore

    return SqliteStore(Path(location), migrate=migrate)
