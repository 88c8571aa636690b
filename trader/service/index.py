"""The index of a seller's messages: which there are, whose, of which trade, and which artifacts their bytes are.

One SQLite file. A commit is on the disk when it returns; a writer has the file to itself (`Index.writing`), so that
what is decided in a transaction (quotas, whether an artifact is still needed) holds until its end.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from trader.service.errors import IndexFaultError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

LOCK_TIMEOUT_SECONDS: Final = 60
_METADATA = MetaData()

MESSAGES: Final = Table(
    "messages",
    _METADATA,
    Column("name", String, primary_key=True),
    Column("sender", String, primary_key=True, comment="Address in lower case: two buyers may name one request."),
    Column("trade_id", BigInteger, nullable=False, index=True, comment="0 for packages."),
    Column("artifact", String, nullable=False, index=True, comment="SHA-256 of message and trailer, in hex."),
    Column("size_bytes", BigInteger, nullable=False, comment="Of message and trailer."),
    Column("digest", LargeBinary, nullable=False, comment="keccak256 of the message."),
    Column("written_at", BigInteger, nullable=False, comment="Unix time in seconds."),
)
UPLOADS: Final = Table(
    "uploads",
    _METADATA,
    Column("upload_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("trade_id", BigInteger, nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False, comment="Of the message, without trailer."),
    Column("trailer", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    UniqueConstraint("name", "sender"),
)
ENDED: Final = Table(
    "ended", _METADATA, Column("trade_id", BigInteger, primary_key=True, comment="Nothing is taken for it any more.")
)
# In a file of their own: a request must not wait while an artifact is given its name in a bucket.
NONCES_METADATA: Final = MetaData()
NONCES: Final = Table(
    "nonces",
    NONCES_METADATA,
    Column("account", String, primary_key=True),
    Column("nonce", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)


class Index:
    """The index in one file, used by many threads and processes at once."""

    def __init__(self, path: Path, tables: MetaData = _METADATA) -> None:
        """Open the file; it is made as needed, for its owner alone.

        Args:
            path: The file.
            tables: What is in it.

        Raises:
            IndexFaultError: It can't be opened.
        """
        self.path = path
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
            IndexFaultError: The file can't be read.
        """
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that no other writer shares; undone when the block raises.

        Raises:
            IndexFaultError: The file can't be written.
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
            raise IndexFaultError(f"the index {self.path} can't be used now: {cause}. Make room; try again.") from error


def bytes_held(connection: Connection, sender: str | None = None) -> int:
    """Return what messages and unfinished uploads take up, all of them or one sender's."""
    total = 0
    for table in (MESSAGES, UPLOADS):
        query = select(func.coalesce(func.sum(table.c.size_bytes), 0))
        total += connection.execute(query if sender is None else query.where(table.c.sender == sender)).scalar_one()
    return int(total)


def has_ended(connection: Connection, trade_id: int) -> bool:
    """Return whether a trade was forgotten."""
    return connection.execute(select(ENDED).where(ENDED.c.trade_id == trade_id)).first() is not None


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
