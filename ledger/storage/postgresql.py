"""An audit log in a PostgreSQL database of its own, for a team that writes from several machines.

A writer holds an advisory lock until its transaction ends, so that no two continue from the same head; a commit is
durable as far as the server's `fsync` is. Give the password in the environment (`PGPASSWORD`, `PGPASSFILE`) and not in
the URL, where other processes see it. Whoever administers the server can change anything: `ledger.reading.fsck` finds
it against a head that was kept elsewhere. Two logs share a database in schemas of their own
(`?options=-csearch_path%3Dteam`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ledger.details import as_reason
from ledger.errors import LedgerError, LedgerUnavailableError, NotALedgerError, OldSchemaError
from ledger.storage.schema import server_statements
from ledger.storage.store import Store
from ledger.storage.tables import METADATA, REVISION, VERSION

LOCK_TIMEOUT_SECONDS: Final = 60
WRITER_LOCK: Final = 0x4D534C31  # "MSL1": the key of the advisory lock
OLDEST_REVISION: Final = "0002"
_NOT_NOW: Final = ("08", "28", "3D", "40", "53", "55", "57")
"""SQLSTATE classes: connection, password, no such database, retry, resources, locked, shut down."""


class PostgresStore(Store):
    """A database on a server, opened."""

    def __init__(self, url: str, *, migrate: bool = False):
        """Connect to the database, and make the tables in an empty one; raises as `AuditLog.open` says.

        Args:
            url: `postgresql://user@host:port/database`.
            migrate: Whether a log of an older schema is brought to this one; else it is refused.
        """
        try:
            parsed = make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg")
            self.name = parsed.set(drivername="postgresql").render_as_string(hide_password=True)
            self._engine: Engine = create_engine(parsed)
        except (SQLAlchemyError, ValueError, ModuleNotFoundError) as error:
            raise LedgerUnavailableError(
                "the URL of the log can't be used: write postgresql://user@host:port/database, and install"
                " modelseal[postgres]"
            ) from error
        try:
            self._prepare(migrate=migrate)
        except LedgerError:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """There is no file.

        Raises:
            NotALedgerError: Always.
        """
        raise NotALedgerError(f"{self.name} is on a server and no file: export it first (`modelseal audit export`)")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a transaction that sees one state of the log throughout."""
        with self._translated_errors(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that no other writer shares; durable when the block ends, undone when it raises."""
        with self._translated_errors(), self._engine.connect() as connection:
            # Not REPEATABLE READ: what is read must be what the writer before this one has committed.
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                connection.execute(text(f"SET LOCAL lock_timeout = '{round(1000 * LOCK_TIMEOUT_SECONDS)}ms'"))
                connection.execute(text("SET LOCAL synchronous_commit = on"))
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
                yield connection

    def erase(self) -> None:
        """Write the table of personal details anew; the server's own logs and backups are *not* changed."""
        with self._translated_errors(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM FULL clear_values"))

    def _prepare(self, *, migrate: bool) -> None:
        with self.reading() as connection:
            if self._is_current(connection):
                return
        with self.writing() as connection:
            found = set(inspect(connection).get_table_names())
            if not found:
                for statement in server_statements():
                    connection.exec_driver_sql(statement)
                connection.execute(insert(VERSION), {"version_num": REVISION})
            elif not self._is_current(connection):
                self._refuse_or_migrate(connection, found, migrate=migrate)

    def _is_current(self, connection: Connection) -> bool:
        found = set(inspect(connection).get_table_names())
        return set(METADATA.tables) <= found and _read_revision(connection) == REVISION

    def _refuse_or_migrate(self, connection: Connection, found: set[str], *, migrate: bool) -> None:
        revision = _read_revision(connection) if VERSION.name in found else None
        if revision is None or "entries" not in found:
            raise NotALedgerError(f"{self.name} is a database of another application: choose another one")
        if not OLDEST_REVISION <= revision < REVISION:
            raise NotALedgerError(
                f"{self.name} has revision {revision}, this program reads {REVISION}: use the version of modelseal that"
                " wrote it"
            )
        if not migrate:
            raise OldSchemaError(f"{self.name} has revision {revision}: run `modelseal audit migrate --log URL`")
        from ledger.storage.migration import upgrade

        upgrade(connection, revision)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            now = isinstance(error, OperationalError) if state is None else state.startswith(_NOT_NOW)
            kind = LedgerUnavailableError if now else LedgerError
            raise kind(f"{self.name} can't be used now: {as_reason(error.orig)}") from error
        except SQLAlchemyError as error:
            raise LedgerError(f"{self.name}: {as_reason(error)}") from error


def _read_revision(connection: Connection) -> str | None:
    return connection.execute(select(VERSION.c.version_num)).scalars().first()
