"""The audit log: every contract event and every step off the chain, as a hash chain in SQLite or PostgreSQL.

    with AuditLog.open("trades.sqlite") as log:
        log.append(Record(kind=EntryKind.REQUEST_SENT, …))   # a step off the chain
        Indexer(log, [Source(contract)]).catch_up()          # whatever the market emitted since
        story = read_trade(log, trade_id)
        head = export_log(log, "trades.jsonl")
    verify_export("trades.jsonl", known_head=head)

Read `entries` (what an entry is) and `encoding` (its bytes and hash), `log` and `storage` (how it is written),
`indexing` (where contract events come from), then `reading`: `queries`, `fsck` (how tampering is found), `export`, and
`merkle_proofs` (proofs of single entries, with `merkle` and `checkpoint`). What a log's keeper signs, and what others
check of it, stands in `notes`, `publishing` and `witness`; `redaction` says what can be taken out of a log.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.checkpoint import Checkpoint, Head
    from ledger.details import as_reason
    from ledger.encoding import GENESIS_HASH
    from ledger.entries import ActorRole, ChainPosition, Entry, EntryKind, MarketId, Record
    from ledger.errors import (
        ChainMovedError,
        EntryHashError,
        ForkError,
        HeadError,
        IncompleteLogsError,
        IndexingError,
        IndexRootError,
        InvalidRecordError,
        KeyFileError,
        LedgerError,
        LedgerUnavailableError,
        MalformedEntryError,
        NotALedgerError,
        NoteError,
        OldSchemaError,
        ProofError,
        RepeatedIdentityError,
        SequenceError,
        SignatureError,
        StorageError,
        TamperedError,
        TreeError,
        UnknownTradeError,
        WrongMarketError,
    )
    from ledger.indexing.indexer import Indexer, Source
    from ledger.log import AuditLog
    from ledger.notes.note import SignedNote
    from ledger.notes.policy import Policy, parse_policy
    from ledger.publishing.views import compare_views, verify_view
    from ledger.reading.export import export_log, import_log
    from ledger.reading.fsck import verify_export, verify_log
    from ledger.reading.merkle_proofs import EntryProof, prove_entry, prove_growth, verify_entry, verify_growth
    from ledger.reading.queries import TradeStory, count_by_kind, read_blocks, read_by_actor, read_by_kind, read_trade
    from ledger.storage.location import is_server
    from ledger.storage.migration import migrate_log

__all__ = [
    "GENESIS_HASH",
    "ActorRole",
    "AuditLog",
    "ChainMovedError",
    "ChainPosition",
    "Checkpoint",
    "Entry",
    "EntryHashError",
    "EntryKind",
    "EntryProof",
    "ForkError",
    "Head",
    "HeadError",
    "IncompleteLogsError",
    "IndexRootError",
    "Indexer",
    "IndexingError",
    "InvalidRecordError",
    "KeyFileError",
    "LedgerError",
    "LedgerUnavailableError",
    "MalformedEntryError",
    "MarketId",
    "NotALedgerError",
    "NoteError",
    "OldSchemaError",
    "Policy",
    "ProofError",
    "Record",
    "RepeatedIdentityError",
    "SequenceError",
    "SignatureError",
    "SignedNote",
    "Source",
    "StorageError",
    "TamperedError",
    "TradeStory",
    "TreeError",
    "UnknownTradeError",
    "WrongMarketError",
    "as_reason",
    "compare_views",
    "count_by_kind",
    "export_log",
    "import_log",
    "is_server",
    "migrate_log",
    "parse_policy",
    "prove_entry",
    "prove_growth",
    "read_blocks",
    "read_by_actor",
    "read_by_kind",
    "read_trade",
    "verify_entry",
    "verify_export",
    "verify_growth",
    "verify_log",
    "verify_view",
]

_MODULES = {
    "GENESIS_HASH": "ledger.encoding",
    "ActorRole": "ledger.entries",
    "AuditLog": "ledger.log",
    "ChainMovedError": "ledger.errors",
    "ChainPosition": "ledger.entries",
    "Checkpoint": "ledger.checkpoint",
    "Entry": "ledger.entries",
    "EntryHashError": "ledger.errors",
    "EntryKind": "ledger.entries",
    "EntryProof": "ledger.reading.merkle_proofs",
    "ForkError": "ledger.errors",
    "Head": "ledger.checkpoint",
    "HeadError": "ledger.errors",
    "IncompleteLogsError": "ledger.errors",
    "IndexRootError": "ledger.errors",
    "Indexer": "ledger.indexing.indexer",
    "IndexingError": "ledger.errors",
    "InvalidRecordError": "ledger.errors",
    "KeyFileError": "ledger.errors",
    "LedgerError": "ledger.errors",
    "LedgerUnavailableError": "ledger.errors",
    "MalformedEntryError": "ledger.errors",
    "MarketId": "ledger.entries",
    "NotALedgerError": "ledger.errors",
    "NoteError": "ledger.errors",
    "OldSchemaError": "ledger.errors",
    "Policy": "ledger.notes.policy",
    "ProofError": "ledger.errors",
    "Record": "ledger.entries",
    "RepeatedIdentityError": "ledger.errors",
    "SequenceError": "ledger.errors",
    "SignatureError": "ledger.errors",
    "SignedNote": "ledger.notes.note",
    "Source": "ledger.indexing.indexer",
    "StorageError": "ledger.errors",
    "TamperedError": "ledger.errors",
    "TradeStory": "ledger.reading.queries",
    "TreeError": "ledger.errors",
    "UnknownTradeError": "ledger.errors",
    "WrongMarketError": "ledger.errors",
    "as_reason": "ledger.details",
    "compare_views": "ledger.publishing.views",
    "count_by_kind": "ledger.reading.queries",
    "export_log": "ledger.reading.export",
    "import_log": "ledger.reading.export",
    "is_server": "ledger.storage.location",
    "migrate_log": "ledger.storage.migration",
    "parse_policy": "ledger.notes.policy",
    "prove_entry": "ledger.reading.merkle_proofs",
    "prove_growth": "ledger.reading.merkle_proofs",
    "read_blocks": "ledger.reading.queries",
    "read_by_actor": "ledger.reading.queries",
    "read_by_kind": "ledger.reading.queries",
    "read_trade": "ledger.reading.queries",
    "verify_entry": "ledger.reading.merkle_proofs",
    "verify_export": "ledger.reading.fsck",
    "verify_growth": "ledger.reading.merkle_proofs",
    "verify_log": "ledger.reading.fsck",
    "verify_view": "ledger.publishing.views",
}
"""Where each public name lives; it is imported when first used: who reads a log does not pay for web3."""

if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'ledger' has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
