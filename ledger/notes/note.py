"""A text and the signatures under it (c2sp.org/signed-note v1.0.0); a signed checkpoint is one. Pure.

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZni…

Nothing of the text counts before a signature on it has been checked: `SignedNote.verify` says whose are good.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from ledger.checkpoint import Checkpoint
from ledger.errors import InvalidRecordError, NoteError
from ledger.notes.keys import KEY_ID_BYTES, VerifierKey, decode_base64
from ledger.notes.names import check_key_name

MAXIMUM_SIGNATURES: Final = 64
MAXIMUM_NOTE_BYTES: Final = 512 * 1024
_DASH: Final = "\N{EM DASH} "

Verified = Mapping[VerifierKey, int | None]
"""The keys whose signatures are good, and when each signed (POSIX seconds; None where that isn't signed)."""


@dataclass(frozen=True)
class NoteSignature:
    """One line under a note; whether it is good is *not* known.

    Attributes:
        name: Of the key that is said to have signed.
        key_id: The 4 bytes that tell which of its keys.
        signature: What follows them.
    """

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line, its newline included.

        Raises:
            NoteError: Not a signature line.
        """
        name, separator, encoded = line.removeprefix(_DASH).removesuffix("\n").partition(" ")
        try:
            check_key_name(name)
            decoded = decode_base64(encoded)
            if not (line.startswith(_DASH) and line.endswith("\n") and separator) or len(decoded) <= KEY_ID_BYTES:
                raise NoteError("it has another form")
        except (NoteError, ValueError) as error:
            raise NoteError(f"not a signature line ({error}): {line!r:.80}") from error
        return cls(name, decoded[:KEY_ID_BYTES], decoded[KEY_ID_BYTES:])


@dataclass(frozen=True)
class SignedNote:
    """A text with signature lines.

    Attributes:
        text: Ends in a newline.
        signatures: At least one; in the order of the lines.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    @classmethod
    def parse(cls, note: str) -> Self:
        """Read back `str(note)`; the signatures are *not* checked.

        Raises:
            NoteError: Not a signed note.
        """
        text, separator, lines = note.rpartition("\n\n")
        if any((character < " " and character != "\n") for character in note) or len(note) > MAXIMUM_NOTE_BYTES:
            raise NoteError(f"a signed note is plain text of at most {MAXIMUM_NOTE_BYTES} characters")
        if not separator or not lines.endswith("\n"):
            raise NoteError(f"a signed note is text, an empty line, and lines of signatures, got {note!r:.80}")
        signatures = tuple(NoteSignature.parse(f"{line}\n") for line in lines.split("\n")[:-1])
        if len(signatures) > MAXIMUM_SIGNATURES:
            raise NoteError(f"a note has at most {MAXIMUM_SIGNATURES} signatures, got {len(signatures)}")
        return cls(f"{text}\n", signatures)

    def verify(self, keys: Iterable[VerifierKey]) -> Verified:
        """Check the signatures of known keys; those of others are passed over, as if they were not there.

        Returns:
            The keys that have signed. Whether they are enough is the caller's to say: there may be none.

        Raises:
            SignatureError: A known key's signature is not on this text: the note is to be refused.
        """
        known = {(key.name, key.key_id): key for key in keys}
        verified: dict[VerifierKey, int | None] = {}
        for line in self.signatures:
            key = known.get((line.name, line.key_id))
            if key is not None:
                verified[key] = key.verify(self.text, line.signature)
        return verified

    def checkpoint(self) -> Checkpoint:
        """Read the text as a checkpoint; no signature is checked.

        Raises:
            NoteError: It is none.
        """
        try:
            return Checkpoint.parse(self.text)
        except InvalidRecordError as error:
            raise NoteError(str(error)) from error

    def with_signatures(self, signatures: Iterable[NoteSignature]) -> Self:
        """Return the note with these signatures too, each key's newest one alone."""
        lines = {(line.name, line.key_id): line for line in (*self.signatures, *signatures)}
        return replace(self, signatures=tuple(lines.values()))
