"""The index of a seller's messages: which there are, whose, of which trade, and which artifacts their bytes are.

One SQLite file. A commit is on the disk when it returns; a writer has the file to itself (`Index.writing`), so that
what is decided in a transaction (quotas, whether an artifact is still needed) holds until its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
)

from trader.database import Database
from trader.service.errors import IndexFaultError

if TYPE_CHECKING:
    from pathlib import Path

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


class Index(Database):
    """The index in one file, used by many threads and processes at once."""

    def __init__(self, path: Path, tables: MetaData = _METADATA) -> None:
        """Open the file; it is made as needed, for its owner alone.

        Args:
            path: The file.
            tables: What is in it.

        Raises:
            IndexFaultError: It can't be opened; so do `reading` and `writing` where it can't be read or written.
        """
        super().__init__(path, tables, "index", IndexFaultError)


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
