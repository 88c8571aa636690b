"""The keeper of a log signs its checkpoints, and never two that contradict each other.

What was signed last stands in a file beside the keys (`KEY.signed`), not in the log: a log that was restored from a
backup has forgotten what was signed, and must not be signed as if nothing had happened. The file is written before the
signature leaves, so that a crash can only sign again what was signed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from ledger.checkpoint import Checkpoint
from ledger.errors import ForkError, InvalidRecordError, KeyFileError, ProofError
from ledger.files import write_whole
from ledger.log import AuditLog
from ledger.notes.keyfile import SigningKeys
from ledger.notes.note import SignedNote
from ledger.reading.merkle_proofs import prove_growth

SIGNED_SUFFIX: Final = ".signed"


def sign_checkpoint(log: AuditLog, keys: SigningKeys, key_file: Path, timestamp: int) -> SignedNote:
    """Sign the log as it is now.

    Args:
        log: The log.
        keys: Of the log: their name is its origin.
        key_file: Where the keys were read from; what was signed last stands beside it.
        timestamp: The time, in POSIX seconds.

    Raises:
        ForkError: The log does not begin with what was signed last: it was cut, changed, or is another one.
        InvalidRecordError: The log has another name than the keys.
        KeyFileError: What was signed last can't be read or written; nothing was signed.
        TreeError: The log's tree was damaged.
    """
    memory = key_file.with_name(key_file.name + SIGNED_SUFFIX)
    with _alone(memory):
        log.give_origin(keys.name)
        checkpoint = log.checkpoint()
        signed = _read(memory)
        if signed is not None:
            _check_extends(log, signed, checkpoint)
        _write(memory, checkpoint)
        return keys.sign(str(checkpoint), timestamp)


def _check_extends(log: AuditLog, signed: Checkpoint, checkpoint: Checkpoint) -> None:
    try:
        if signed.origin == checkpoint.origin:
            prove_growth(log, signed, checkpoint)
            return
        reason = f"these keys have signed the log {signed.origin!r}"
    except ProofError as error:
        reason = str(error)
    raise ForkError(
        f"{log.name} does not begin with the {signed.entries} entries that were signed before ({reason}). Nothing was"
        " signed: restore the newest copy of the log, or make new keys for a new log",
        expected=signed,
        actual=checkpoint,
    )


@contextmanager
def _alone(memory: Path) -> Iterator[None]:
    """Let no other process sign meanwhile."""
    try:
        with memory.with_name(memory.name + ".lock").open("a") as lock:
            flock(lock, LOCK_EX)
            yield
    except OSError as error:
        raise KeyFileError(f"{memory} can't be written: {error.strerror or error}; nothing was signed") from error


def _read(memory: Path) -> Checkpoint | None:
    try:
        return Checkpoint.parse(memory.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, InvalidRecordError) as error:
        raise KeyFileError(
            f"{memory} should say what was signed last, and can't be read: restore it. Without it two contradicting"
            " checkpoints could be signed"
        ) from error


def _write(memory: Path, checkpoint: Checkpoint) -> None:
    write_whole(memory, str(checkpoint).encode())
