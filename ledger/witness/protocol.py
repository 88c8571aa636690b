"""What a witness answers to `add-checkpoint`, in the order of c2sp.org/tlog-witness.

(1) 400 if the request can't be read;
(2) 404 if the log is not one that it watches;
(3) 403 if no key of the log has signed, or one of its signatures is not on this checkpoint;
(4) 400 if the old size is above the new one;
(5) 409 with the size that it signed last, if that is not the old size;
(6) 422 if the new tree does not begin with all of the old one;
(7) 200 with its signatures, once it has written down what it signs.

(5) to (7) happen while no other request for this log is looked at: the sizes that it signs never fall.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from ledger.checkpoint import EMPTY_CHECKPOINT, Checkpoint
from ledger.errors import NoteError, ProofError, SignatureError
from ledger.merkle import verify_consistency
from ledger.notes.keyfile import SigningKeys
from ledger.notes.keys import VerifierKey
from ledger.notes.note import SignedNote, Verified
from ledger.witness.request import AddCheckpoint
from ledger.witness.state import Turn, WitnessState

SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes:
        status: HTTP status.
        body: Text.
        content_type: Its media type.
    """

    status: HTTPStatus
    body: str
    content_type: str = TEXT_TYPE


class Witness:
    """Signs the checkpoints of the logs that it knows."""

    def __init__(
        self,
        keys: SigningKeys,
        logs: Iterable[VerifierKey],
        state: WitnessState,
        clock: Callable[[], float] = time.time,
    ):
        """Watch the logs whose keys are given.

        Args:
            keys: The witness's own.
            logs: Keys of logs; the name of each is the log's origin.
            state: What it remembers.
            clock: The time, in POSIX seconds.
        """
        self._keys = keys
        self._logs: dict[str, tuple[VerifierKey, ...]] = {}
        for key in logs:
            self._logs[key.name] = (*self._logs.get(key.name, ()), key)
        self._state = state
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer a request for signatures."""
        try:
            request = AddCheckpoint.parse(body)  # (1)
            checkpoint = request.note.checkpoint()
        except NoteError as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        known = self._logs.get(checkpoint.origin)
        if known is None:  # (2)
            return Answer(HTTPStatus.NOT_FOUND, "this witness does not watch that log\n")
        try:
            verified = request.note.verify(known)
        except SignatureError as error:  # (3)
            return Answer(HTTPStatus.FORBIDDEN, f"{error}\n")
        if not verified:
            return Answer(HTTPStatus.FORBIDDEN, "no key of the log has signed\n")
        if request.old_entries > checkpoint.entries:  # (4)
            return Answer(HTTPStatus.BAD_REQUEST, "the old size is above the new one\n")
        with self._state.turn(checkpoint.origin) as turn:
            return self._advance(turn, request, checkpoint, verified)

    def latest(self, origin_hash: str) -> Answer:
        """Answer with the checkpoint of a log that was signed last, for whoever monitors the log."""
        note = self._state.latest(origin_hash)
        if note is None:
            return Answer(HTTPStatus.NOT_FOUND, "this witness has signed no checkpoint of that log\n")
        return Answer(HTTPStatus.OK, str(note))

    def _advance(self, turn: Turn, request: AddCheckpoint, checkpoint: Checkpoint, verified: Verified) -> Answer:
        latest = turn.latest()
        old = EMPTY_CHECKPOINT if latest is None else latest.checkpoint()
        signed_by_log = _only(request.note, verified)
        if request.old_entries != old.entries:  # (5)
            return Answer(HTTPStatus.CONFLICT, f"{old.entries}\n", SIZE_TYPE)
        if latest is not None and old.entries == checkpoint.entries and old.root_hash != checkpoint.root_hash:
            turn.accuse(latest, signed_by_log)
        try:
            verify_consistency(old.entries, checkpoint.entries, old.root_hash, checkpoint.root_hash, request.proof)
        except ProofError as error:  # (6)
            return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}\n")
        signatures = self._keys.signatures(str(checkpoint), int(self._clock()))
        turn.advance(signed_by_log.with_signatures(signatures))
        return Answer(HTTPStatus.OK, "".join(map(str, signatures)))  # (7), once the turn has ended


def _only(note: SignedNote, verified: Verified) -> SignedNote:
    """Return the note with the signatures that were verified: strangers' are not kept."""
    names = {(key.name, key.key_id) for key in verified}
    return SignedNote(note.text, tuple(line for line in note.signatures if (line.name, line.key_id) in names))
