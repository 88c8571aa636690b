"""What is told of an entry beside its fields: names and short values, and how they are written. Pure: no IO."""

import re
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Final

from ledger.errors import InvalidRecordError

MAXIMUM_INTEGER: Final = 2**53 - 1  # what RFC 8785 can carry exactly; SQLite and JavaScript read it back unchanged
MAXIMUM_DETAILS: Final = 64
MAXIMUM_DETAIL_CHARACTERS: Final = 256  # room for digests, amounts and short reasons, not for data or key material
MAXIMUM_DETAILS_BYTES: Final = 60_000  # an entry has less than 2^16 bytes: standard logs have no room for more
_DETAILS_THAT_FIT: Final = 48  # whatever is in them: at most 64 + 4 * 256 bytes each, and some signs between
_LITERALS: Final = ("false", "true")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

Detail = str | int | bool
quote: Final = encode_basestring  # as RFC 8785 quotes what an entry can hold: printable text


def checked_details(details: object) -> dict[str, Detail]:
    """Return details in a dictionary of their own.

    Raises:
        InvalidRecordError: They are none, too many or too long. That none is a secret is *not* checked.
    """
    if not isinstance(details, Mapping) or len(details) > MAXIMUM_DETAILS:
        raise InvalidRecordError(f"details must be a mapping of at most {MAXIMUM_DETAILS} values")
    for name, value in details.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRecordError(f"detail names are snake_case, at most 64 characters, got {name!r:.80}")
        _check_detail(name, value)
    if len(details) > _DETAILS_THAT_FIT and len(encode_details(details).encode()) > MAXIMUM_DETAILS_BYTES:
        raise InvalidRecordError(f"details have at most {MAXIMUM_DETAILS_BYTES} bytes in all")
    return dict(details)


def _check_detail(name: str, value: object) -> None:
    if type(value) is bool:
        return
    if type(value) is int:
        if abs(value) > MAXIMUM_INTEGER:
            raise InvalidRecordError(f"detail {name} is above 2^53 - 1: write it as a decimal string")
        return
    if not isinstance(value, str) or len(value) > MAXIMUM_DETAIL_CHARACTERS or not value.isprintable():
        limit = MAXIMUM_DETAIL_CHARACTERS
        raise InvalidRecordError(f"detail {name} must be a bool, an int or at most {limit} printable characters")


def encode_details(details: Mapping[str, Detail]) -> str:
    """Return details alone as canonical JSON, the form in which the database holds them."""
    told = []
    for name in sorted(details):
        value = details[name]
        if isinstance(value, str):
            told.append(f'"{name}":{quote(value)}')
        else:
            told.append(f'"{name}":{value if type(value) is int else _LITERALS[value]}')
    return f"{{{','.join(told)}}}"


def as_reason(error: object) -> str:
    """Return what an error or a text says as a detail: one line of printable characters, cut to a detail's length."""
    return as_line(error)[:MAXIMUM_DETAIL_CHARACTERS]


def as_line(error: object) -> str:
    """Return what an error or a text says as one line of printable characters, whatever its length."""
    line = " ".join(str(error).split()) or type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in line)
