"""What pins a whole log: keep one, and nobody can change what the log held then without being found out. Pure.

A `Head` is the end of the hash chain: checking a log against it takes the whole log. A `Checkpoint` is the root of the
Merkle tree over the same entries: single entries, and growth, are proven against it in a few hashes
(`ledger.reading.merkle_proofs`).
"""

import base64
import re
from dataclasses import dataclass
from typing import Final, Self

from ledger.encoding import GENESIS_HASH
from ledger.errors import InvalidRecordError
from ledger.merkle import EMPTY_ROOT

CHECKPOINT_ORIGIN: Final = "modelseal/ledger"
"""Origin of a log that was given no name of its own."""
_HEAD: Final = re.compile("(0|[1-9][0-9]{0,15}):0x([0-9a-f]{64})")
_CHECKPOINT: Final = re.compile(r"([^\x00-\x1f]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n((?:[^\x00-\x1f]+\n)*)")
_MAXIMUM_SIZE: Final = 2**63 - 1


@dataclass(frozen=True)
class Head:
    """The end of a log's hash chain.

    Attributes:
        entries: Length of the log.
        entry_hash: Hash of the last entry, `GENESIS_HASH` for an empty log; 32 bytes.
    """

    entries: int
    entry_hash: bytes

    def __str__(self) -> str:
        return f"{self.entries}:0x{self.entry_hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read back `str(head)`; white space around it and upper case do not matter.

        Raises:
            InvalidRecordError: Not a head.
        """
        found = _HEAD.fullmatch(text.strip().lower())
        if found is None:
            raise InvalidRecordError(f"a head is written 12:0x and 64 hex digits, got {text!r:.90}")
        return cls(int(found[1]), bytes.fromhex(found[2]))


@dataclass(frozen=True)
class Checkpoint:
    """The root of the Merkle tree over a log's entries.

    Attributes:
        entries: Length of the log.
        root_hash: Root of the tree (`ledger.merkle`) whose leaves are the entries' bytes (`encode_entry`); 32 bytes.
        origin: Name of the log, like a URL without a scheme.
        extensions: Lines that other logs add; ours have none.
    """

    entries: int
    root_hash: bytes
    origin: str = CHECKPOINT_ORIGIN
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the body of a tlog checkpoint (https://c2sp.org/tlog-checkpoint), without signatures: three lines."""
        root = base64.b64encode(self.root_hash).decode()
        return "".join(f"{line}\n" for line in (self.origin, self.entries, root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read back `str(checkpoint)`.

        Raises:
            InvalidRecordError: Not a checkpoint.
        """
        found = _CHECKPOINT.fullmatch(text)
        if found is not None:
            extensions = tuple(found[4].split("\n")[:-1])
            checkpoint = cls(int(found[2]), base64.b64decode(found[3]), found[1], extensions)
            if str(checkpoint) == text and checkpoint.entries <= _MAXIMUM_SIZE:  # base64 has several forms of one value
                return checkpoint
        raise InvalidRecordError(f"a checkpoint has the lines origin, size and root, got {text!r:.80}")


EMPTY_HEAD: Final = Head(0, GENESIS_HASH)
EMPTY_CHECKPOINT: Final = Checkpoint(0, EMPTY_ROOT)
