"""An audit log in a SQLite file.

The file is in WAL mode with synchronous=FULL: a commit is on disk when it returns. A file may come from another party:
it is refused unless its schema is exactly `ledger.storage.schema.SCHEMA`, which leaves no room for foreign triggers,
views, indexes or generated columns (https://sqlite.org/security.html). That the indexes hold all rows is *not* checked,
it would take a look at each: that is `ledger.reading.fsck`'s.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from ledger.details import as_reason
from ledger.errors import LedgerError, LedgerUnavailableError, NotALedgerError, OldSchemaError
from ledger.storage.schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, SELECT_SCHEMA, schema_rows
from ledger.storage.store import Store
from ledger.storage.tables import REVISION, VERSION

LOCK_TIMEOUT_SECONDS: Final = 60
_CHECKPOINT_PAGES: Final = 16 * 1024
"""The write-ahead log gets so long, 64 MiB, before it is taken into the file: what many appends change goes there once.
"""
_CACHE_KIB: Final = 64 * 1024
"""What a connection keeps of the file, if it reads so much: indexes are written out of order, and grow with the log."""


class SqliteStore(Store):
    """One database file, opened."""

    def __init__(self, path: Path, *, migrate: bool = False):
        """Open `path`, and make it where there is no file (mode 0600); raises as `AuditLog.open` says.

        Args:
            path: The file.
            migrate: Whether a file of an older schema is brought to this one; else it is refused.
        """
        self._path = path
        self.name = str(path)
        with self._translated_errors():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._engine = _create_engine(path)
        try:
            self._prepare(migrate=migrate)
        except LedgerError:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a transaction that sees one state of the log throughout."""
        with self._translated_errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that no other writer shares; durable when the block ends, undone when it raises."""
        with self._translated_errors(), self._engine.connect() as connection:
            connection.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def erase(self) -> None:
        """Take what the write-ahead log still holds into the file, whose deleted cells are overwritten with zeros.

        Raises:
            LedgerUnavailableError: Somebody else reads the log for longer than the lock is waited for.
        """
        with self._translated_errors(), self._engine.connect() as connection:
            connection.execution_options(begin=None)
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            raise LedgerUnavailableError(
                f"the details are deleted, but the write-ahead log of {self.name} still holds them, because somebody"
                " reads it: close other programs and repeat the command"
            )

    def _prepare(self, *, migrate: bool) -> None:
        """Make the schema in an empty file, bring an old one up to date if asked to, then refuse every other one."""
        with self.reading() as connection:
            version = self._read_version(connection)
        if version < SCHEMA_VERSION and not migrate:
            raise OldSchemaError(
                f"{self.name} was written by an older version of modelseal (schema {version}): run"
                f" `modelseal audit migrate --log {self.name}`, which takes it to schema {SCHEMA_VERSION}"
            )
        with self._translated_errors(), self._engine.connect() as connection:
            connection.execution_options(begin=None).exec_driver_sql("PRAGMA journal_mode = WAL")
        with self.writing() as connection:
            if not _read_schema(connection):  # an empty file
                create_file(connection)
            elif migrate:
                self._migrate(connection)
            if _read_schema(connection) != schema_rows():
                raise NotALedgerError(f"{self.name} has tables that no audit log has: it was changed; restore a copy")

    def _migrate(self, connection: Connection) -> None:
        version = self._read_version(connection)
        if version < SCHEMA_VERSION:
            from ledger.storage.migration import schemas, upgrade  # Alembic, which only this needs

            if _read_schema(connection) != schema_rows(schemas()[version]):
                raise NotALedgerError(f"{self.name} has tables that no audit log has: it was changed; restore a copy")
            upgrade(connection, f"{version:04d}")
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _read_version(self, connection: Connection) -> int:
        """Return the schema's version; this one's for an empty file, which is a log to be."""
        application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if (application, version) == (0, 0) and not _read_schema(connection):
            return SCHEMA_VERSION
        if application != APPLICATION_ID:
            raise NotALedgerError(f"{self.name} is a database of another application: choose another file")
        if not 1 <= version <= SCHEMA_VERSION:
            raise NotALedgerError(
                f"{self.name} has schema version {version}, this program reads {SCHEMA_VERSION}: use the version of"
                " modelseal that wrote it"
            )
        return version

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LedgerUnavailableError(f"{self.name} can't be opened: {error.strerror or error}") from error
        except OperationalError as error:
            raise LedgerUnavailableError(f"{self.name} can't be used now: {error.orig}") from error
        except (DatabaseError, UnicodeDecodeError) as error:
            raise NotALedgerError(f"{self.name} is no audit log, or damaged: {as_reason(error)}") from error
        except SQLAlchemyError as error:
            raise LedgerError(f"{self.name}: {as_reason(error)}") from error


def create_file(connection: Connection) -> None:
    """Make an audit log in an empty file."""
    for statement in SCHEMA.values():
        connection.exec_driver_sql(statement)
    connection.execute(insert(VERSION), {"version_num": REVISION})
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _read_schema(connection: Connection) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in connection.exec_driver_sql(SELECT_SCHEMA)), key=repr)


def _create_engine(path: Path) -> Engine:
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _configure_connection)
    event.listen(engine, "begin", _begin_transaction)
    return engine


def _configure_connection(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own: _begin_transaction does
    caching = f"cache_size = -{_CACHE_KIB}", f"wal_autocheckpoint = {_CHECKPOINT_PAGES}"
    for setting in ("synchronous = FULL", "secure_delete = ON", *caching):
        connection.execute(f"PRAGMA {setting}")
    for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):  # the file may be another party's
        connection.execute(f"PRAGMA {setting}")


def _begin_transaction(connection: Connection) -> None:
    # A writer takes the write lock before it reads the head, so two writers can't continue from the same one.
    statement = connection.get_execution_options().get("begin", "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)
