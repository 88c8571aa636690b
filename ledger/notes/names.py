"""What a log or a witness may be called (c2sp.org/signed-note v1.0.0). Pure."""

from typing import Final

from ledger.errors import NoteError

MAXIMUM_NAME_BYTES: Final = 255  # what the message of a cosignature has room for


def check_key_name(name: str) -> None:
    """Check that a name can stand in a signature line.

    Raises:
        NoteError: It can't.
    """
    forbidden = not name.isprintable() or any(character.isspace() or character == "+" for character in name)
    if forbidden or not 1 <= len(name.encode()) <= MAXIMUM_NAME_BYTES:
        raise NoteError(f"a name has 1 to {MAXIMUM_NAME_BYTES} bytes, no spaces and no plus sign, got {name!r:.80}")
