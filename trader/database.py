"""A database file of our own: SQLite through SQLAlchemy, used by many threads and processes at once.

A commit is on the disk when it returns; a writer has the file to itself (`Database.writing`), so that what is decided
in a transaction holds until its end. The audit log has a store of its own (`ledger.storage`).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from trader.errors import EnvironmentFaultError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

LOCK_TIMEOUT_SECONDS: Final = 60


class Database:
    """Tables in one file.

    Attributes:
        path: The file.
    """

    def __init__(
        self, path: Path, tables: MetaData, name: str, fault: type[EnvironmentFaultError] = EnvironmentFaultError
    ) -> None:
        """Open the file; it is made as needed, for its owner alone.

        Args:
            path: The file.
            tables: What is in it.
            name: What it is, for messages.
            fault: Raised where the file can't be used.

        Raises:
            EnvironmentFaultError: `fault`: it can't be opened.
        """
        self.path = path
        self._name = name
        self._fault = fault
        with self._translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._engine = _create_engine(path)
        with self.writing() as connection:
            tables.create_all(connection)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a transaction that sees one state throughout.

        Raises:
            EnvironmentFaultError: `fault`: the file can't be read.
        """
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that no other writer shares; undone when the block raises.

        Raises:
            EnvironmentFaultError: `fault`: the file can't be written.
        """
        with self._translated(), self._engine.connect() as connection:
            connection.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise self._fault(
                f"the {self._name} {self.path} can't be used now: {cause}. Make room; try again."
            ) from error


def _create_engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": LOCK_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own: _begin does
    for setting in ("journal_mode = WAL", "synchronous = FULL", "trusted_schema = OFF"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
