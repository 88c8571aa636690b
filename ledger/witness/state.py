"""What a witness remembers: of each log the checkpoint that it signed last, and any two that contradict each other.

A file of SQLite, synchronous=FULL: what it says is on disk before the witness answers. Whoever restores an old copy of
it makes the witness forget; then two stories can be signed.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ledger.errors import LedgerUnavailableError
from ledger.notes.note import SignedNote

LOCK_TIMEOUT_SECONDS: Final = 30
MAXIMUM_EVIDENCE: Final = 16
"""Contradictions kept of each log: one is proof enough, and a log must not fill the disk."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS latest (origin_hash TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS evidence (origin_hash TEXT NOT NULL, ours TEXT NOT NULL, theirs TEXT NOT NULL) STRICT;
"""


class Turn:
    """One log's memory, for as long as nobody else can change it."""

    def __init__(self, connection: sqlite3.Connection, origin: str):
        self._connection = connection
        self._key = hash_origin(origin)

    def latest(self) -> SignedNote | None:
        """Return the checkpoint that was signed last, None if there was none."""
        return _select(self._connection, self._key)

    def advance(self, note: SignedNote) -> None:
        """Remember `note` as the one that was signed last."""
        self._connection.execute("INSERT OR REPLACE INTO latest VALUES (?, ?)", (self._key, str(note)))

    def accuse(self, ours: SignedNote, theirs: SignedNote) -> None:
        """Keep two checkpoints of one size and two roots, both signed by the log."""
        count = "SELECT count(*) FROM evidence WHERE origin_hash = ?"
        if self._connection.execute(count, (self._key,)).fetchone()[0] < MAXIMUM_EVIDENCE:
            self._connection.execute("INSERT INTO evidence VALUES (?, ?, ?)", (self._key, str(ours), str(theirs)))


class WitnessState:
    """The file, for any number of threads and processes."""

    def __init__(self, path: Path):
        """Open the file, and make it where there is none.

        Raises:
            LedgerUnavailableError: It can't be opened.
        """
        self._path = path
        with self._connected() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def turn(self, origin: str) -> Iterator[Turn]:
        """Give the memory of one log to the caller alone; durable when the block ends, undone when it raises."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield Turn(connection, origin)

    def latest(self, origin_hash: str) -> SignedNote | None:
        """Return the checkpoint of a log that was signed last, by the hash of its origin."""
        with self._connected() as connection:
            return _select(connection, origin_hash)

    def evidence(self) -> list[tuple[SignedNote, SignedNote]]:
        """Return pairs of checkpoints that a log has signed and that contradict each other."""
        with self._connected() as connection:
            rows = connection.execute("SELECT ours, theirs FROM evidence").fetchall()
        return [(SignedNote.parse(ours), SignedNote.parse(theirs)) for ours, theirs in rows]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self._path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None)
            with closing(connection):
                for setting in ("journal_mode = WAL", "synchronous = FULL", "trusted_schema = OFF"):
                    connection.execute(f"PRAGMA {setting}")
                yield connection
        except sqlite3.DatabaseError as error:
            raise LedgerUnavailableError(f"the witness's memory {self._path} can't be used: {error}") from error


def hash_origin(origin: str) -> str:
    """Return what a log is called in a witness's paths: SHA-256 of its origin, hex."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _select(connection: sqlite3.Connection, origin_hash: str) -> SignedNote | None:
    row = connection.execute("SELECT note FROM latest WHERE origin_hash = ?", (origin_hash,)).fetchone()
    return None if row is None else SignedNote.parse(row[0])
