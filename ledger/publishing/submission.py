"""The keeper of a log asks witnesses to sign its checkpoint (c2sp.org/tlog-witness)."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ledger.errors import ForkError, LedgerUnavailableError, NoteError, SignatureError
from ledger.log import AuditLog
from ledger.notes.keys import VerifierKey
from ledger.notes.note import SignedNote
from ledger.reading.merkle_proofs import prove_sizes
from ledger.witness.request import AddCheckpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

ATTEMPTS: Final = 4


def cosign(
    log: AuditLog, note: SignedNote, url: str, keys: "Iterable[VerifierKey]", client: "httpx.Client"
) -> SignedNote:
    """Ask one witness, and return the checkpoint with its signatures as well.

    Args:
        log: The log, for the proof that it only grew.
        note: The checkpoint, signed by the log.
        url: The witness's submission prefix.
        keys: Of the witness; signatures of others are left out.
        client: Sends the requests, with a timeout of its own.

    Raises:
        ForkError: The witness has been shown another history of this log.
        SignatureError: The witness has not signed, or with another key.
        LedgerUnavailableError: The witness can't be reached, or refuses for a reason of its own.
    """
    entries = note.checkpoint().entries
    old_entries = 0
    for _ in range(ATTEMPTS):  # another process of ours may ask at the same time
        request = AddCheckpoint(old_entries, prove_sizes(log, old_entries, entries), note)
        response = _post(client, url, str(request).encode())
        if response.status_code != HTTPStatus.CONFLICT:
            break
        old_entries = _parse_size(url, response.text)
        if old_entries > entries:
            raise ForkError(
                f"the witness {url} has seen {old_entries} entries of this log, the checkpoint has {entries}: the log"
                " was cut, or a newer checkpoint was signed elsewhere",
                expected=old_entries,
                actual=entries,
            )
    if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise ForkError(f"the witness {url} was shown another history of this log: {response.text:.200}".strip())
    if response.status_code != HTTPStatus.OK:
        raise LedgerUnavailableError(f"the witness {url} answers {response.status_code}: {response.text:.200}".strip())
    return _add_signatures(note, url, response.text, tuple(keys))


def _add_signatures(note: SignedNote, url: str, lines: str, keys: tuple[VerifierKey, ...]) -> SignedNote:
    offered = SignedNote.parse(f"{note.text}\n{lines}")
    known = {(key.name, key.key_id) for key in offered.verify(keys)}
    if not known:
        raise SignatureError(f"the witness {url} did not sign with the key that is known of it")
    return note.with_signatures(line for line in offered.signatures if (line.name, line.key_id) in known)


def _post(client: "httpx.Client", url: str, body: bytes) -> "httpx.Response":
    import httpx

    try:
        return client.post(f"{url.rstrip('/')}/add-checkpoint", content=body)
    except httpx.HTTPError as error:
        raise LedgerUnavailableError(f"the witness {url} can't be reached: {error}") from error


def _parse_size(url: str, text: str) -> int:
    digits = text.removesuffix("\n")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(2**63))):
        raise NoteError(f"the witness {url} should answer with a size, got {text!r:.80}")
    return int(digits)
