"""From canonical bytes to rows: what was appended in segments is moved into the tables, whole and in order.

    with store.writing() as connection:
        settle(connection)

It is done in one transaction, so that a crash leaves the segments, and by whoever reads the log next, so that no
question misses an entry that was acknowledged. Until then an entry costs its hash and its bytes alone.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from ledger.checkpoint import Head
from ledger.encoding import encode_entry
from ledger.entries import Entry
from ledger.merkle import Frontier, cover, hash_leaf
from ledger.storage.rows import insert_clear_values, insert_encoded, insert_entries, insert_nodes, select_nodes
from ledger.storage.segments import delete_segments, read_segments, read_settled_end


def settle(connection: Connection) -> None:
    """Move all segments into the tables; the caller holds the write lock.

    Raises:
        MalformedEntryError: A segment can't be read. Whether hashes fit is *not* checked: that is
            `ledger.reading.fsck`'s.
    """
    frontier: Frontier | None = None
    for first, encoded, hashes in read_segments(connection):
        insert_encoded(connection, encoded, hashes)
        frontier = _add_leaves(connection, frontier or read_frontier(connection, first), map(hash_leaf, encoded))
    if frontier is not None:
        delete_segments(connection)


def insert_settled(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert entries that continue the tables, with what stands beside them; there are no segments."""
    if entries:
        insert_entries(connection, entries)
        insert_clear_values(connection, entries)
        leaves = (hash_leaf(encode_entry(entry.sequence, entry.record)) for entry in entries)
        _add_leaves(connection, read_frontier(connection, entries[0].sequence), leaves)


def read_head(connection: Connection) -> Head:
    """Return the head of the tables; nothing is *checked*: that is `ledger.reading.fsck`'s."""
    end = read_settled_end(connection)
    return Head(end.entries, end.entry_hash)


def read_frontier(connection: Connection, entries: int) -> Frontier:
    """Return the frontier of the tree over the first `entries` entries.

    Raises:
        TreeError: A node is missing.
    """
    nodes = cover(range(entries))
    hashes = select_nodes(connection, nodes)
    return Frontier(entries, tuple(hashes[node] for node in nodes))


def _add_leaves(connection: Connection, frontier: Frontier, leaves: Iterable[bytes]) -> Frontier:
    frontier, completed = frontier.extend(list(leaves))
    insert_nodes(connection, completed)
    return frontier
