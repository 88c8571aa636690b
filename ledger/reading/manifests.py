"""Texts whose digest a listing names, kept beside the log, and searched by words.

The log holds a manifest's digest, which the chain has too; the text itself comes from a package. It is taken in only if
it has a digest that the log names, so that it is as certain as the listing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak
from sqlalchemy import Connection, Text, cast, column, func, insert, select, table, text

from ledger.catalogue.trades import ListingRow
from ledger.catalogue.upkeep import up_to_date
from ledger.errors import InvalidRecordError
from ledger.log import AuditLog
from ledger.storage.tables import LISTINGS, MANIFESTS

LONGEST_MANIFEST: Final = 4 * 1024 * 1024
_WORDS: Final = "simple"
_SEARCH: Final = table("manifest_search", column("manifest_hash"), column("content"))


@dataclass(frozen=True)
class FoundManifest:
    """A manifest that has the words.

    Attributes:
        manifest_hash: Its digest.
        excerpt: Where the words stand.
        listings: The listings that name it.
    """

    manifest_hash: str
    excerpt: str
    listings: tuple[ListingRow, ...]


def add_manifest(log: AuditLog, content: bytes) -> str:
    """Keep a manifest beside the log, and return its digest; one that is there is left alone.

    Raises:
        InvalidRecordError: It is no text, too long, or no listing in the log names its digest.
    """
    digest = f"0x{keccak(content).hex()}"
    try:
        words = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidRecordError("a manifest is text in UTF-8") from error
    if len(content) > LONGEST_MANIFEST or "\0" in words:
        raise InvalidRecordError(f"a manifest has at most {LONGEST_MANIFEST} bytes, and no zeros")
    with up_to_date(log) as connection:
        if not connection.execute(select(LISTINGS.c.listing_id).where(LISTINGS.c.manifest_hash == digest)).first():
            raise InvalidRecordError(f"no listing in {log.name} names a manifest with the digest {digest}")
    with log.writing() as connection:
        if not connection.execute(select(MANIFESTS.c.manifest_hash).where(MANIFESTS.c.manifest_hash == digest)).first():
            connection.execute(insert(MANIFESTS), {"manifest_hash": digest, "content": words})
    return digest


def search_manifests(log: AuditLog, words: str, *, limit: int = 20) -> list[FoundManifest]:
    """Return the manifests that have all `words`, the best first; SQLite's FTS5 or PostgreSQL's text search finds them.

    The search's own index is made for the question: manifests are few, and a log's file holds nothing but the log.
    """
    quoted = words.split()
    if not quoted:
        return []
    with up_to_date(log) as connection:
        search = _search_server if connection.dialect.name == "postgresql" else _search_file
        found = search(connection, quoted, limit)
        return [FoundManifest(digest, excerpt, _listings(connection, digest)) for digest, excerpt in found]


def _listings(connection: Connection, digest: str) -> tuple[ListingRow, ...]:
    query = select(LISTINGS).where(LISTINGS.c.manifest_hash == digest).order_by(LISTINGS.c.listed_at_seconds)
    return tuple(ListingRow.from_columns(dict(row._mapping)) for row in connection.execute(query))


def _search_file(connection: Connection, words: Sequence[str], limit: int) -> list[tuple[str, str]]:
    phrase = " ".join('"' + word.replace('"', '""') + '"' for word in words)
    connection.execute(text("CREATE VIRTUAL TABLE temp.manifest_search USING fts5(manifest_hash UNINDEXED, content)"))
    try:
        copied = select(MANIFESTS.c.manifest_hash, MANIFESTS.c.content)
        connection.execute(insert(_SEARCH).from_select(["manifest_hash", "content"], copied))
        query = text(
            "SELECT manifest_hash, snippet(manifest_search, 1, '', '', '…', 12) FROM manifest_search"
            " WHERE manifest_search MATCH :phrase ORDER BY rank, manifest_hash LIMIT :limit"
        )
        return [(row[0], row[1]) for row in connection.execute(query, {"phrase": phrase, "limit": limit})]
    finally:
        connection.execute(text("DROP TABLE temp.manifest_search"))


def _search_server(connection: Connection, words: Sequence[str], limit: int) -> list[tuple[str, str]]:
    content = func.to_tsvector(_WORDS, MANIFESTS.c.content)
    wanted = func.plainto_tsquery(_WORDS, " ".join(words))
    options = "StartSel='', StopSel='', MaxWords=14, MinWords=6"
    excerpt = cast(func.ts_headline(_WORDS, MANIFESTS.c.content, wanted, options), Text)
    query = select(MANIFESTS.c.manifest_hash, excerpt).where(content.op("@@")(wanted))
    ordered = query.order_by(func.ts_rank(content, wanted).desc(), MANIFESTS.c.manifest_hash).limit(limit)
    return [(row[0], row[1]) for row in connection.execute(ordered)]
