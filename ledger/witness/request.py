"""The body of `add-checkpoint`: how large the witness's tree is, what leads from it to ours, and our checkpoint. Pure.

old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=

example.com/behind-the-sofa
20852163
…
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from ledger.errors import NoteError
from ledger.notes.keys import decode_base64
from ledger.notes.note import MAXIMUM_NOTE_BYTES, SignedNote

HASH_BYTES: Final = 32
MAXIMUM_PROOF_HASHES: Final = 63
MAXIMUM_REQUEST_BYTES: Final = MAXIMUM_NOTE_BYTES + 64 * (MAXIMUM_PROOF_HASHES + 1)
_OLD: Final = re.compile("old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class AddCheckpoint:
    """A request for a witness's signature.

    Attributes:
        old_entries: Size of the tree that the witness signed last.
        proof: Hashes that lead from that tree to the new one; 32 bytes each.
        note: The new checkpoint, signed by the log.
    """

    old_entries: int
    proof: Sequence[bytes]
    note: SignedNote

    def __str__(self) -> str:
        proof = "".join(f"{base64.b64encode(value).decode()}\n" for value in self.proof)
        return f"old {self.old_entries}\n{proof}\n{self.note}"

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a request; neither signature nor proof is checked.

        Raises:
            NoteError: It has another form.
        """
        try:
            head, _, note = body.decode().partition("\n\n")
            first, *lines = head.split("\n")
            old, proof = _OLD.fullmatch(first), tuple(map(decode_base64, lines))
        except ValueError as error:
            raise NoteError(f"the request can't be read: {error}") from error
        if old is None or len(proof) > MAXIMUM_PROOF_HASHES or any(len(value) != HASH_BYTES for value in proof):
            raise NoteError(f"a request begins `old SIZE` and has at most {MAXIMUM_PROOF_HASHES} hashes")
        return cls(int(old[1]), proof, SignedNote.parse(note))
