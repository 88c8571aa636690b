"""The audit log: every contract event and every step off the chain, as a hash chain in SQLite.

    with AuditLog.open("trades.sqlite") as log:
        log.append(Record(kind=EntryKind.REQUEST_SENT, …))   # a step off the chain
        index_events(log, market_contract)                   # whatever the contract emitted since
        story = read_trade(log, trade_id)
        head = export_log(log, "trades.jsonl")
    verify_export("trades.jsonl", known_head=head)

Read `entries` (what an entry is), `log` and `storage` (how it is written), `indexing` (where contract events come from),
`reading`: `queries`, `fsck` (how tampering is found), `export`, `merkle_proofs` (single entries, proven); and `merkle`,
`checkpoint`, which these proofs rest on.
"""

from ledger.checkpoint import Checkpoint, Head
from ledger.entries import GENESIS_HASH, ActorRole, ChainPosition, Entry, EntryKind, Record, as_reason
from ledger.errors import (
    ChainMovedError,
    EntryHashError,
    HeadError,
    IndexingError,
    InvalidRecordError,
    LedgerError,
    LedgerUnavailableError,
    MalformedEntryError,
    NotALedgerError,
    ProofError,
    SequenceError,
    StorageError,
    TamperedError,
    TreeError,
    UnknownTradeError,
    WrongMarketError,
)
from ledger.indexing.indexer import index_events
from ledger.log import AuditLog
from ledger.reading.export import export_log
from ledger.reading.fsck import verify_export, verify_log
from ledger.reading.merkle_proofs import EntryProof, prove_entry, prove_growth, verify_entry, verify_growth
from ledger.reading.queries import TradeStory, count_by_kind, read_blocks, read_by_actor, read_by_kind, read_trade

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
    "Head",
    "HeadError",
    "IndexingError",
    "InvalidRecordError",
    "LedgerError",
    "LedgerUnavailableError",
    "MalformedEntryError",
    "NotALedgerError",
    "ProofError",
    "Record",
    "SequenceError",
    "StorageError",
    "TamperedError",
    "TradeStory",
    "TreeError",
    "UnknownTradeError",
    "WrongMarketError",
    "as_reason",
    "count_by_kind",
    "export_log",
    "index_events",
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
]
