"""Details that can be taken out of a log later, without a proof of it failing. Pure, but for the salts' dice.

Free text (`reason`: what an error said, a note of a person's) may hold personal data. It is not hashed into the entry
itself: the entry has a salted hash of it, and the text stands beside the log with its salt.

    details of the entry    {"reason_salted_sha256": "0x5c1f…"}
    beside the log          sequence 4, reason, salt 0x9a07…, "the password of Jane's account was refused"

Whoever has text and salt can check that they are what was logged. Once both are removed, the hash says nothing of the
text, as the salt is 32 random bytes; entries, hashes, proofs and signatures stay as they were. Everything else in a log
is numbers, digests and public data of the chain, addresses included: that stays.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ledger.details import Detail
from ledger.entries import ClearValue, Entry, Record
from ledger.errors import EntryHashError

PERSONAL_DETAILS: Final = frozenset({"reason"})
"""Names of details that are hashed with a salt."""
SUFFIX: Final = "_salted_sha256"
SALT_BYTES: Final = 32
_DOMAIN: Final = b"modelseal/ledger/clear-value/v1\x00"


def conceal(record: Record) -> tuple[Record, tuple[ClearValue, ...]]:
    """Return the record with salted hashes in place of its personal details, and those details."""
    if PERSONAL_DETAILS.isdisjoint(record.details):
        return record, ()
    personal = PERSONAL_DETAILS & record.details.keys()
    clear = tuple(
        ClearValue(name, secrets.token_bytes(SALT_BYTES), str(record.details[name])) for name in sorted(personal)
    )
    hashed: dict[str, Detail] = {f"{value.name}{SUFFIX}": hash_clear(value) for value in clear}
    public = {name: value for name, value in record.details.items() if name not in personal}
    return replace(record, details=public | hashed), clear


def hash_clear(clear: ClearValue) -> str:
    """Return the salted hash of a detail, as an entry has it; `0x` and 64 hex digits."""
    content = _DOMAIN + clear.salt + clear.name.encode() + b"\x00" + clear.value.encode()
    return f"0x{hashlib.sha256(content).hexdigest()}"


def check_clear(sequence: int, details: dict[str, Detail], clear: Iterable[ClearValue]) -> None:
    """Check that what stands beside an entry is what was hashed into it; what was removed is not missed.

    Raises:
        EntryHashError: It is something else.
    """
    for value in clear:
        expected, actual = details.get(f"{value.name}{SUFFIX}"), hash_clear(value)
        if expected != actual or len(value.salt) != SALT_BYTES:
            message = f"the text of {value.name!r:.40} beside entry {sequence} is not what was logged"
            raise EntryHashError(message, sequence=sequence, expected=expected, actual=actual)


def redacted_names(entry: Entry) -> list[str]:
    """Return which details of an entry have been removed."""
    hashed = {name.removesuffix(SUFFIX) for name in entry.record.details if name.endswith(SUFFIX)}
    return sorted(hashed - {value.name for value in entry.clear})


def repeats(entry: Entry, record: Record) -> bool:
    """Whether a record says what an entry says, whenever it says so; details that were removed are not compared."""
    hashed = {name for name in entry.record.details if name.endswith(SUFFIX)}
    personal = {name.removesuffix(SUFFIX) for name in hashed}
    known = {value.name: value.value for value in entry.clear}
    logged = {name: value for name, value in entry.record.details.items() if name not in hashed} | known
    said = {name: value for name, value in record.details.items() if name not in personal or name in known}
    same = replace(record, occurred_at_seconds=entry.record.occurred_at_seconds, details=said)
    return same == replace(entry.record, details=logged) and personal <= record.details.keys()
