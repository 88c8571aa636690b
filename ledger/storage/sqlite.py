"""The SQLite file of an audit log: transactions, rows to entries and back. It knows nothing of hash chain and tree.

The file is in WAL mode with synchronous=FULL: a commit is on disk when it returns. A file may come from another party:
it is refused unless its schema is exactly `ledger.storage.schema.SCHEMA`, which leaves no room for foreign triggers,
views, indexes or generated columns (https://sqlite.org/security.html). That the indexes hold all rows is *not* checked,
it would take a look at each: that is `ledger.reading.fsck`'s.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    column,
    create_engine,
    event,
    insert,
    or_,
    select,
    table,
)
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from ledger.entries import Entry, as_reason, encode_details, from_fields, parse_object, to_fields
from ledger.errors import LedgerError, LedgerUnavailableError, NotALedgerError, TreeError
from ledger.merkle import Node
from ledger.storage.schema import APPLICATION_ID, ENTRY_COLUMNS, SCHEMA, SCHEMA_VERSION, SELECT_SCHEMA, schema_rows

LOCK_TIMEOUT_SECONDS: Final = 60

ENTRIES: Final = table("entries", *(column(name) for name in ENTRY_COLUMNS))
NODES: Final = table("nodes", column("level"), column("position"), column("hash"))


class Store:
    """One database file, opened; `reading` and `writing` give transactions on it."""

    def __init__(self, path: Path):
        """Open `path`, and make it where there is no file (mode 0600); raises as `AuditLog.open` says."""
        self.path = path
        with self._translated_errors():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._engine = _create_engine(path)
        try:
            self._prepare()
        except LedgerError:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

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

    def _prepare(self) -> None:
        """Make the schema in an empty file, then refuse every file that has another one."""
        with self.reading() as connection:
            self._check_identity(connection)
        with self._translated_errors(), self._engine.connect() as connection:
            connection.execution_options(begin=None).exec_driver_sql("PRAGMA journal_mode = WAL")
        with self.writing() as connection:
            if not _read_schema(connection):  # an empty file
                for statement in SCHEMA.values():
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
            if _read_schema(connection) != schema_rows():
                raise NotALedgerError(f"{self.path} has tables that no audit log has: it was changed; restore a copy")

    def _check_identity(self, connection: Connection) -> None:
        application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if (application, version) == (0, 0) and not _read_schema(connection):
            return  # an empty file: a log to be
        if application != APPLICATION_ID:
            raise NotALedgerError(f"{self.path} is a database of another application: choose another file")
        if version != SCHEMA_VERSION:
            raise NotALedgerError(
                f"{self.path} has schema version {version}, this program reads {SCHEMA_VERSION}: use the version of"
                " modelseal that wrote it"
            )

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LedgerUnavailableError(f"{self.path} can't be opened: {error.strerror or error}") from error
        except OperationalError as error:
            raise LedgerUnavailableError(f"{self.path} can't be used now: {error.orig}") from error
        except (DatabaseError, UnicodeDecodeError) as error:
            raise NotALedgerError(f"{self.path} is no audit log, or damaged: {as_reason(error)}") from error
        except SQLAlchemyError as error:
            raise LedgerError(f"{self.path}: {as_reason(error)}") from error


def insert_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert `entries`; that they continue the chain is *not* checked."""
    if entries:
        connection.execute(insert(ENTRIES), [_to_row(entry) for entry in entries])


def insert_nodes(connection: Connection, nodes: Mapping[Node, bytes]) -> None:
    """Insert nodes of the Merkle tree; that they follow from the entries is *not* checked."""
    if nodes:
        rows = [{"level": level, "position": place, "hash": node_hash} for (level, place), node_hash in nodes.items()]
        connection.execute(insert(NODES), rows)


def select_nodes(connection: Connection, nodes: Collection[Node]) -> dict[Node, bytes]:
    """Return the hashes of `nodes`; that they follow from the entries is *not* checked (`ledger.reading.fsck` does).

    Raises:
        TreeError: One is missing.
    """
    if not nodes:
        return {}
    # Not `(level, position) IN (…)`: SQLite reads the whole table for that.
    one_of = [and_(NODES.c.level == level, NODES.c.position == position) for level, position in nodes]
    query = select(NODES).where(or_(*one_of))
    found = {(level, position): node_hash for level, position, node_hash in connection.execute(query)}
    if len(found) != len(set(nodes)):
        raise TreeError(f"the tree lacks {len(set(nodes)) - len(found)} nodes: the log was damaged or changed")
    return found


def select_entries(
    connection: Connection, *criteria: ColumnElement[bool], newest_first: bool = False, limit: int | None = None
) -> list[Entry]:
    """Return the entries that meet all `criteria` on the columns of `ENTRIES`, in log order unless `newest_first`.

    Raises:
        MalformedEntryError: A row that can't be read as an entry. Hashes are *not* checked: that is
            `ledger.reading.fsck`'s.
    """
    order = ENTRIES.c.sequence.desc() if newest_first else ENTRIES.c.sequence
    return [_from_row(row) for row in connection.execute(select(ENTRIES).where(*criteria).order_by(order).limit(limit))]


def _to_row(entry: Entry) -> dict[str, Any]:
    fields = to_fields(entry.sequence, entry.record)
    return (
        dict.fromkeys(ENTRY_COLUMNS)
        | fields
        | {"details": encode_details(entry.record), "entry_hash": entry.entry_hash}
    )


def _from_row(row: Row[Any]) -> Entry:
    fields = dict(row._mapping)  # public, despite its name: SQLAlchemy documents it
    entry_hash = fields.pop("entry_hash")
    fields["details"] = parse_object(fields["details"])
    sequence, record = from_fields(fields)
    return Entry(sequence=sequence, record=record, entry_hash=entry_hash)


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
    for setting in ("synchronous = FULL", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {setting}")


def _begin_transaction(connection: Connection) -> None:
    # A writer takes the write lock before it reads the head, so two writers can't continue from the same one.
    statement = connection.get_execution_options().get("begin", "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)
