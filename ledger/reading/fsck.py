"""The integrity checker: is the log what was written?

It reads a log's database, or an export of it, on its own, and shares with the writer only what the format is
(`entries`, `checkpoint`, `merkle`, `catalogue.index`), so that a fault of the writer's is not repeated here. For each
entry, in order:

(1) it can be read as an entry, in exactly the form in which the writer writes it;
(2) its sequence number is the next one: nothing dropped, doubled or moved;
(3) it hashes to the hash recorded beside it: nothing changed, nothing before it replaced;
(4) at the length of the head that the caller knows, the log has that head: nothing replaced from the start;
(5) in a database, the nodes of the Merkle tree follow from the entries that are in the tables: proofs will hold;

and (6) at the end, the log is at least as long as the known head: nothing truncated. A log that has grown is fine. The
same is checked of each checkpoint that the caller knows, whose signatures are `ledger.notes.policy`'s to check; of an
entry that was replaced together with all hashes after it, the checkpoints around it tell where it is.

Beside an entry may stand personal details, of which it has salted hashes: what is there must be what was hashed (10);
what was removed is not missed (`ledger.redaction`).

Of a database, what queries go through is checked too:

(7) its schema is `ledger.storage.schema.SCHEMA`, row by row, before anything is read through it: no view in a table's
    place, no foreign index, trigger or statistics; on a server, no rule or policy on our tables either;
(8) by SQLite's integrity check, every index holds all rows and nothing else, and no page is used twice; on a server,
    what is read through each index is what is read without: a query by an index shows what (1) to (5) have checked.

(9) Each index that the log committed itself to (`ledger.catalogue.index`) follows from the entries before it: an answer
that was proven complete with it is.

Without a known head (4) and (6) can't be checked: whoever can write the file can then replace all of it, or cut its
end off, unnoticed. What the caller must still check: contract events against the chain, by their positions.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import rfc8785

from ledger.catalogue.index import Index
from ledger.checkpoint import EMPTY_HEAD, Checkpoint, Head
from ledger.details import as_line
from ledger.encoding import encode_entry, from_fields, hash_entry, parse_object
from ledger.entries import ClearValue, Record
from ledger.errors import (
    EntryHashError,
    ForkError,
    HeadError,
    InvalidRecordError,
    LedgerUnavailableError,
    MalformedEntryError,
    NotALedgerError,
    SequenceError,
    StorageError,
    TreeError,
)
from ledger.merkle import Frontier, Node, hash_leaf
from ledger.reading.fsck_segments import LARGEST_SEGMENT_BYTES, SELECT_SEGMENTS, SELECT_SETTLED, read_segment_rows
from ledger.reading.fsck_server import open_rows
from ledger.redaction import SUFFIX, check_clear
from ledger.storage.location import is_server
from ledger.storage.schema import APPLICATION_ID, SCHEMA_VERSION, SELECT_SCHEMA, schema_rows

EXPORT_FORMAT: Final = "modelseal-ledger-export"
EXPORT_VERSION: Final = 2
MAXIMUM_ENTRY_BYTES: Final = 256 * 1024


_Stored = tuple[int, bytes, bytes]  # sequence, canonical bytes, recorded hash


def verify_log(path: Path | str, *, known_head: Head | None = None, checkpoints: Sequence[Checkpoint] = ()) -> Head:
    """Check a log's database, which may be in use, and return the head that it ends in.

    Args:
        path: The file, or the `postgresql://` URL of a database.
        known_head: A head of this log that the caller got earlier from a source it trusts.
        checkpoints: Checkpoints of this log that the caller trusts.

    Raises:
        TamperedError: The first fault, with what was expected and found.
        NotALedgerError: The file is no database with entries.
        LedgerUnavailableError: The file can't be read.
    """
    if is_server(path):
        with open_rows(str(path)) as stored:
            entries = chain(stored.entries(), read_segment_rows(stored.segments()))
            rows = _read_rows(entries, stored.clear_values, stored.count_clear_values)
            tree = _verify_tree(stored.node, stored.count_nodes, rows, stored.settled())
            return _verify_chain(_verify_index(_verify_roots(tree, checkpoints)), known_head)
    path = Path(path)
    if not path.is_file():
        raise LedgerUnavailableError(f"{path} is no file: give the path of an audit log")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            _begin_reading(connection)
            _check_schema(connection)
            node, count_nodes = partial(_read_node, connection), partial(_count, connection, "nodes")
            settled = connection.execute(SELECT_SETTLED).fetchone()[0]
            tree = _verify_tree(node, count_nodes, _read_file(connection), settled)
            head = _verify_chain(_verify_index(_verify_roots(tree, checkpoints)), known_head)
            _check_storage(connection)
            return head
    except sqlite3.OperationalError as error:
        raise LedgerUnavailableError(f"{path} can't be read: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter from damaged names of columns
        raise NotALedgerError(f"{path} is no audit log, or damaged: {error}") from error


def verify_export(path: Path | str, *, known_head: Head | None = None, checkpoints: Sequence[Checkpoint] = ()) -> Head:
    """Check a JSON Lines export (`ledger.reading.export`), offline, and return the head that it ends in.

    Args:
        path: The export.
        known_head: A head of this log that the caller got earlier from a source it trusts; the one that the export
            itself states is checked too, but whoever changes the export can change that.
        checkpoints: Checkpoints of this log that the caller trusts; see `read_export_note`.

    Raises:
        TamperedError: The first fault, with what was expected and found.
        NotALedgerError: The file is no export.
        LedgerUnavailableError: The file can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            stated_head, _ = _read_header(Path(path), file.readline(MAXIMUM_ENTRY_BYTES))
            lines = _read_lines(iter(lambda: file.readline(MAXIMUM_ENTRY_BYTES), b""))
            head = _verify_chain(_verify_index(_verify_roots(lines, checkpoints)), known_head)
    except OSError as error:
        raise LedgerUnavailableError(f"{path} can't be read: {error.strerror or error}") from error
    if head != stated_head:
        raise HeadError(f"{path} ends in {head}, its first line says {stated_head}", expected=stated_head, actual=head)
    return head


def read_export_note(path: Path | str) -> str | None:
    """Return the signed checkpoint in an export, as text, None if it has none; nothing is checked.

    Raises:
        NotALedgerError: The file is no export.
        LedgerUnavailableError: The file can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            return _read_header(Path(path), file.readline(MAXIMUM_ENTRY_BYTES))[1]
    except OSError as error:
        raise LedgerUnavailableError(f"{path} can't be read: {error.strerror or error}") from error


def read_stored(path: Path) -> Iterator[tuple[int, bytes]]:
    """Return sequence and canonical bytes of each entry of a database file or an export; nothing is checked of them.

    Raises:
        MalformedEntryError: An entry can't be read.
        NotALedgerError: The file is neither.
        LedgerUnavailableError: The file can't be read.
    """
    try:
        if is_export(path):
            with path.open("rb") as file:
                _read_header(path, file.readline(MAXIMUM_ENTRY_BYTES))
                lines = _read_lines(iter(lambda: file.readline(MAXIMUM_ENTRY_BYTES), b""))
                yield from ((sequence, encoded) for sequence, encoded, _ in lines)
        else:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
                _begin_reading(connection)
                _check_schema(connection)
                yield from ((sequence, encoded) for sequence, encoded, _ in _read_file(connection))
    except (OSError, sqlite3.OperationalError) as error:
        raise LedgerUnavailableError(f"{path} can't be read: {as_line(error)}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise NotALedgerError(f"{path} is no audit log, or damaged: {error}") from error


def read_raw(connection: sqlite3.Connection) -> Iterator[tuple[int, Record, bytes, tuple[ClearValue, ...]]]:
    """Return the entries of a database by its table alone: number, record, hash, personal details.

    Raises:
        MalformedEntryError: An entry can't be read. Whether hashes fit is *not* checked.
    """
    _begin_reading(connection)
    for sequence, encoded, entry_hash in _read_file(connection):
        _, record = from_fields(parse_object(encoded.decode()))
        clear = tuple(ClearValue(*row) for row in sorted(_read_clear(connection, sequence)))
        yield sequence, record, entry_hash, clear


def is_export(path: Path) -> bool:
    """Whether the name of a file is an export's."""
    return path.suffix == ".jsonl"


def _verify_chain(stored: Iterable[_Stored], known_head: Head | None) -> Head:
    head = EMPTY_HEAD
    for sequence, encoded, entry_hash in stored:
        if sequence != head.entries:  # (2)
            message = f"entry {head.entries} is missing or out of order: found entry {sequence} in its place"
            raise SequenceError(message, sequence=head.entries, expected=head.entries, actual=sequence)
        computed = hash_entry(head.entry_hash, encoded)
        if computed != entry_hash:  # (3)
            message = f"entry {sequence} was changed: it hashes to 0x{computed.hex()}, 0x{entry_hash.hex()} is recorded"
            raise EntryHashError(message, sequence=sequence, expected=entry_hash, actual=computed)
        head = Head(sequence + 1, computed)
        if known_head is not None and head.entries == known_head.entries and head != known_head:  # (4)
            message = f"the log was replaced: after {head.entries} entries its head is {head}, known is {known_head}"
            raise HeadError(message, sequence=sequence, expected=known_head, actual=head)
    if known_head is not None and head.entries < known_head.entries:  # (6)
        message = f"the log was truncated: it ends after {head.entries} entries, {known_head.entries} are known"
        raise HeadError(message, expected=known_head, actual=head)
    return head


def _verify_roots(stored: Iterable[_Stored], checkpoints: Sequence[Checkpoint]) -> Iterator[_Stored]:
    """Hand on `stored`, and compare the root of its tree with each checkpoint; (4) and (6)."""
    known = sorted(checkpoints, key=lambda checkpoint: checkpoint.entries)
    frontier, good = Frontier(), 0
    while known and known[0].entries == 0:
        _check_root(known.pop(0), frontier, 0)
    for sequence, encoded, entry_hash in stored:
        yield sequence, encoded, entry_hash
        if known:  # else there is nothing to compare with
            frontier = frontier.grow([hash_leaf(encoded)])
        while known and known[0].entries == frontier.leaves:
            good = _check_root(known.pop(0), frontier, good)
    if known:
        message = f"the log was truncated: it ends after {frontier.leaves} entries, {known[0].entries} are signed"
        raise HeadError(message, sequence=frontier.leaves, expected=known[0], actual=frontier.leaves)


def _check_root(checkpoint: Checkpoint, frontier: Frontier, good: int) -> int:
    """Compare the tree with a checkpoint of its size, and return up to where it is now known to be good."""
    root = frontier.root()
    if root != checkpoint.root_hash:
        which = f"entry {good}" if good + 1 == checkpoint.entries else f"one of the entries {good} to"
        message = (
            f"{which}{'' if good + 1 == checkpoint.entries else f' {checkpoint.entries - 1}'} is not what was signed:"
            f" after {checkpoint.entries} entries the log has another root than its checkpoint"
        )
        raise ForkError(message, sequence=good, expected=checkpoint.root_hash, actual=root)
    return checkpoint.entries


def _verify_tree(
    read_node: Callable[[Node], bytes | None],
    count_nodes: Callable[[], int],
    stored: Iterable[_Stored],
    settled: int | None,
) -> Iterator[_Stored]:
    """Hand on `stored`, and compare the tree over what was accepted with the stored nodes; (5).

    Entries from `settled` on, if there are, are in segments, and have no nodes yet.
    """
    frontier = Frontier()
    expected_nodes = 0
    for sequence, encoded, entry_hash in stored:
        yield sequence, encoded, entry_hash
        if settled is not None and sequence >= settled:
            continue
        frontier, completed = frontier.append(hash_leaf(encoded))
        expected_nodes += len(completed)
        for node, computed in completed:
            found = read_node(node)
            if found != computed:
                message = f"node {node} of the tree, which entry {sequence} completed, was changed or is missing"
                raise TreeError(message, sequence=sequence, expected=computed, actual=found)
    actual_nodes = count_nodes()
    if actual_nodes != expected_nodes:
        message = f"the tree has {actual_nodes} nodes, its entries make {expected_nodes}"
        raise TreeError(message, expected=expected_nodes, actual=actual_nodes)


def _verify_index(stored: Iterable[_Stored]) -> Iterator[_Stored]:
    """Hand on `stored`, and compare each index that the log commits itself to with its entries; (9)."""
    index = Index()
    for sequence, encoded, entry_hash in stored:
        yield sequence, encoded, entry_hash
        index.append(from_fields(parse_object(encoded.decode()))[1], hash_leaf(encoded))


def _read_node(connection: sqlite3.Connection, node: Node) -> bytes | None:
    row = connection.execute("SELECT hash FROM nodes WHERE level = ? AND position = ?", node).fetchone()
    return None if row is None else row["hash"]


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - names of our own


def _read_clear(connection: sqlite3.Connection, sequence: int) -> list[tuple[Any, Any, Any]]:
    rows = connection.execute("SELECT name, salt, value FROM clear_values WHERE sequence = ?", (sequence,))
    return [(row["name"], row["salt"], row["value"]) for row in rows]


def _read_file(connection: sqlite3.Connection) -> Iterator[_Stored]:
    rows = map(dict, connection.execute("SELECT * FROM entries NOT INDEXED ORDER BY sequence"))
    segments = read_segment_rows(map(tuple, connection.execute(SELECT_SEGMENTS)))
    read_clear, count_clear = partial(_read_clear, connection), partial(_count, connection, "clear_values")
    return _read_rows(chain(rows, segments), read_clear, count_clear)


def _begin_reading(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_SEGMENT_BYTES)
    for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN")  # one state of the log throughout, whatever is appended meanwhile
    connection.text_factory = lambda raw: raw.decode(errors="replace")  # damaged text is a finding, no reason to stop
    connection.row_factory = sqlite3.Row


def _check_schema(connection: sqlite3.Connection) -> None:
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if found != [APPLICATION_ID, SCHEMA_VERSION]:
        raise NotALedgerError("it is the database of another application, or of another version of modelseal")
    expected, actual = schema_rows(), sorted(map(tuple, connection.execute(SELECT_SCHEMA)), key=repr)
    if actual != expected:  # (7)
        foreign = next(row for row in [*actual, *expected] if actual.count(row) != expected.count(row))
        raise StorageError(
            f"the database has another schema than an audit log: see {foreign[0]} {foreign[1]!r:.80}. It was changed: "
            "restore a copy",
            expected=expected,
            actual=actual,
        )


def _check_storage(connection: sqlite3.Connection) -> None:
    fault = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if fault != "ok":  # (8)
        raise StorageError(
            f"all entries are there, but queries could miss some or show others: {fault:.200}. The database was "
            "changed or damaged: restore a copy, or go by an export",
            expected="ok",
            actual=fault,
        )


def _read_rows(
    rows: Iterable[dict[str, Any]],
    read_clear: Callable[[int], Sequence[tuple[Any, Any, Any]]],
    count_clear: Callable[[], int],
) -> Iterator[_Stored]:
    expected_clear = 0
    for fields in rows:
        entry_hash, text = fields.pop("entry_hash", None), fields.get("details")
        fields["details"] = parse_object(text)
        if rfc8785.dumps(fields["details"]).decode() != text:  # (1)
            raise MalformedEntryError(f"entry {fields.get('sequence')}: details are not in canonical form")
        sequence, encoded, entry_hash = _checked(fields, entry_hash)
        if any(name.endswith(SUFFIX) for name in fields["details"]):
            clear = read_clear(sequence)
            _check_clear(sequence, fields["details"], clear)
            expected_clear += len(clear)
        yield sequence, encoded, entry_hash
    if count_clear() != expected_clear:  # (10)
        raise StorageError("the database has personal details of entries that have none: it was changed")


def _read_lines(lines: Iterable[bytes]) -> Iterator[_Stored]:
    for number, line in enumerate(lines):
        content = _parse_line(line, f"entry {number}")
        entry_hash, fields = content.get("hash"), content.get("entry")
        clear = content.get("clear", {"": {}})
        known = {"entry", "hash"} <= set(content) <= {"entry", "hash", "clear"} and isinstance(clear, dict) and clear
        if not known or not isinstance(fields, dict) or not isinstance(entry_hash, str):
            raise MalformedEntryError(f"entry {number}: the line must hold an entry and its hash", sequence=number)
        stored = _checked(fields, _parse_hash(entry_hash))
        if "clear" in content:
            _check_clear(number, fields["details"], [parse_clear(number, *item) for item in clear.items()])
        yield stored


def parse_clear(sequence: int, name: str, fields: object) -> tuple[str, bytes, str]:
    """Read a personal detail in an export: its name, salt and value.

    Raises:
        MalformedEntryError: It has another form.
    """
    match fields:
        case {"salt": str(salt), "value": str(value), **rest} if not rest:
            parsed = _parse_hash(salt)
            if parsed is not None:
                return name, parsed, value
    raise MalformedEntryError(f"entry {sequence}: a personal detail has a salt and a value", sequence=sequence)


def _check_clear(sequence: int, details: dict[str, Any], clear: Iterable[tuple[Any, Any, Any]]) -> None:
    """Check what stands beside an entry; (10)."""
    for name, salt, value in clear:
        if not (isinstance(name, str) and isinstance(salt, bytes) and isinstance(value, str)):
            raise MalformedEntryError(f"entry {sequence}: a personal detail can't be read", sequence=sequence)
        check_clear(sequence, details, [ClearValue(name, salt, value)])


def _read_header(path: Path, line: bytes) -> tuple[Head, str | None]:
    """Return the head that an export says it ends in, and its signed checkpoint."""
    try:
        header = _parse_line(line, "the first line")
        if header["format"] != EXPORT_FORMAT or header["version"] not in (1, EXPORT_VERSION):
            raise NotALedgerError(f"{path} is no export of version 1 to {EXPORT_VERSION}: {line[:80]!r}")
        head, note = Head.parse(header["head"]), header.get("checkpoint")
        keys = {"format", "version", "head"} | ({"checkpoint"} if note is not None else set())
        if str(head) != header["head"] or set(header) != keys or not isinstance(note, str | None):
            raise MalformedEntryError("the first line is not in the form in which it is written")
        return head, note
    except (MalformedEntryError, InvalidRecordError, KeyError, AttributeError) as error:
        raise NotALedgerError(f"{path} is no export of an audit log: {error}") from error


def _parse_line(line: bytes, name: str) -> dict[str, Any]:
    """Read one line in exactly the form in which it is written: canonical JSON and a newline; (1) for exports."""
    try:
        content = parse_object(line.decode())
        canonical = rfc8785.dumps(content) + b"\n"
    except (ValueError, RecursionError) as error:
        raise MalformedEntryError(f"{name} can't be read: {error}") from error
    if canonical != line:
        raise MalformedEntryError(f"{name} is not in canonical form: the file was changed or cut")
    return content


def _checked(fields: dict[str, Any], entry_hash: object) -> _Stored:
    sequence, record = from_fields(fields)
    if not isinstance(entry_hash, bytes):
        raise MalformedEntryError(f"entry {sequence} has no hash", sequence=sequence)
    return sequence, encode_entry(sequence, record), entry_hash


def _parse_hash(text: str) -> bytes | None:
    try:
        entry_hash = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return None
    return entry_hash if f"0x{entry_hash.hex()}" == text else None
