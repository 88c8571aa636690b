"""What can go wrong in the audit log.

::

    LedgerError
    ├── InvalidRecordError        the caller's record can't be an entry (caller misuse)
    │   └── RepeatedIdentityError the log has another record of that identity
    ├── UnknownTradeError         the log says nothing about that trade (caller misuse)
    ├── NotALedgerError           the file is not an audit log of a known schema (environment)
    │   └── OldSchemaError        it is one of an older schema: `modelseal audit migrate` (environment)
    ├── LedgerUnavailableError    the file can't be opened, locked or written now (environment)
    ├── KeyFileError              a file of signing keys can't be read: another password, another file (environment)
    ├── IndexingError             the chain could not be read into the log (environment)
    │   ├── ChainMovedError       blocks were replaced while they were read: run again
    │   ├── IncompleteLogsError   a node, or two of them, contradict themselves about what happened
    │   └── WrongMarketError      the log belongs to another market or chain
    └── TamperedError             the log is not what was written (somebody's fault)
        ├── MalformedEntryError   an entry can't be read as one
        ├── EntryHashError        an entry does not hash to the recorded hash: changed or reordered
        ├── SequenceError         an entry is missing or doubled
        ├── HeadError             the log does not end in the head that the caller knows
        ├── StorageError          the database has foreign parts, or indexes that don't hold what the entries say
        ├── TreeError             a stored node of the Merkle tree does not follow from the entries
        ├── IndexRootError        the log states an index that does not follow from its entries
        ├── ProofError            a proof does not lead from what it is about to the root
        ├── NoteError             a text is no signed checkpoint, key or policy in the form that it must have
        ├── SignatureError        a signature is not on what it stands under, or too many are missing
        └── ForkError             one log was shown differently to two, or took an entry back

`str(error)` is one line: the cause and, where there is one, the next step.
"""


class LedgerError(Exception):
    """Root of everything that this package raises on purpose."""


class InvalidRecordError(LedgerError):
    """A record that must not be logged: wrong shape, wrong range, or material that is too long to be a digest."""


class RepeatedIdentityError(InvalidRecordError):
    """A record with the identity of one that says something else: two steps were given one identity."""


class UnknownTradeError(LedgerError):
    """The log holds no entry of the trade that was asked for."""


class NotALedgerError(LedgerError):
    """The file is no SQLite database, another application's, or an audit log of another schema."""


class OldSchemaError(NotALedgerError):
    """An audit log that an older version of this program wrote: it is to be migrated first."""


class LedgerUnavailableError(LedgerError):
    """The operating system or another process keeps the file from being opened, locked or written."""


class KeyFileError(LedgerError):
    """A file of signing keys that can't be read or written, or is opened with another password."""


class IndexingError(LedgerError):
    """The chain could not be read into the log; nothing of the failed batch was appended."""


class ChainMovedError(IndexingError):
    """Blocks were replaced while they were being read, again and again."""


class IncompleteLogsError(IndexingError):
    """What a node gives as events is not what its receipts, its headers, another node or the market's rules say."""


class WrongMarketError(IndexingError):
    """The log already holds the events of another market contract, or of another chain."""


class TamperedError(LedgerError):
    """The log is not what was written; carries what was expected and what was found.

    Attributes:
        sequence: Number of the first entry at fault, None where the fault is the log's as a whole.
        expected: What should have been there.
        actual: What was there.
    """

    def __init__(self, message: str, *, sequence: int | None = None, expected: object = None, actual: object = None):
        super().__init__(message)
        self.sequence = sequence
        self.expected = expected
        self.actual = actual


class MalformedEntryError(TamperedError):
    """An entry whose fields can't be read as those of an entry."""


class EntryHashError(TamperedError):
    """An entry that does not hash to the hash recorded beside it: it, or one before it, was changed or moved."""


class SequenceError(TamperedError):
    """Sequence numbers that don't run 0, 1, 2, …: an entry is missing, doubled or moved."""


class HeadError(TamperedError):
    """A log that does not end in the head that the caller knows: it was truncated, extended or replaced."""


class StorageError(TamperedError):
    """A database with another schema than an audit log, or whose indexes don't hold the entries: queries may lie."""


class TreeError(TamperedError):
    """A stored node of the Merkle tree that does not follow from the entries: proofs made with it would fail."""


class IndexRootError(TamperedError):
    """An authenticated index, stated or stored, that does not follow from the entries: answers may lack some."""


class ProofError(TamperedError):
    """A proof that does not lead from what it is about to the root that is known, or that is about nothing there is."""


class NoteError(TamperedError):
    """A text that is no signed note, checkpoint, key or policy; or one of another log."""


class SignatureError(TamperedError):
    """A known key's signature that is not on the text it stands under, or a text that too few have signed."""


class ForkError(TamperedError):
    """Two views of one log of which neither begins with the other: entries were removed, changed, or shown to one."""
