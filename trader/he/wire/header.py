"""The first bytes of a container: `MAGIC`, the header's length (u32, little-endian), the header (canonical JSON).

They are called the frame here. One function reads it, from memory and from files.
"""

import struct
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.he.errors import WireError
from trader.he.types import Buffer

MAGIC = b"MSHE0001"
MAX_HEADER_BYTES = 1 << 20
NO_DIGEST = "0x" + bytes(32).hex()
"""Stands for a digest until it is known."""
_LENGTH = struct.Struct("<I")
_Digest = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]

Kind: TypeAlias = Literal["request", "response"]


class PartHeader(BaseModel):
    """Length in bytes and SHA-256 of one part."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: Annotated[int, Field(ge=1, lt=1 << 40)]
    sha256: _Digest


class Header(BaseModel):
    """What a container says of itself.

    Attributes:
        kind: Request or response.
        plan: `HePlan.digest` of the plan it was made under.
        samples: Number of samples n.
        reference: Nonce of a request; digest of the request that a response answers.
        parts: In order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    plan: _Digest
    samples: Annotated[int, Field(ge=1, lt=1 << 32)]
    reference: _Digest
    parts: Annotated[tuple[PartHeader, ...], Field(max_length=4096)]


def write_frame(header: Header) -> bytes:
    """Return the bytes with which a container of this header begins."""
    content = rfc8785.dumps(header.model_dump(mode="json"))
    return MAGIC + _LENGTH.pack(len(content)) + content


def read_frame(read: Callable[[int, int], Buffer]) -> bytes:
    """Read the first bytes of a container, up to the end of its header, which is not looked at.

    Args:
        read: Returns bytes of the container, given the first one's position and their count; fewer if it ends there.

    Raises:
        WireError: Not a container, or its header is longer than it may be or than what there is.
    """
    start = bytes(read(0, len(MAGIC) + _LENGTH.size))
    if len(start) < len(MAGIC) + _LENGTH.size or not start.startswith(MAGIC):
        raise WireError("this is not a container of encrypted data. Ask the other side to send it again.")
    (length,) = _LENGTH.unpack(start[len(MAGIC) :])
    content = bytes(read(len(start), length)) if length <= MAX_HEADER_BYTES else b""
    if len(content) < length:
        raise WireError(f"the container's header claims {length} bytes, more than there are or may be. Fetch it again.")
    return start + content


def parse_header(frame: bytes) -> Header:
    """Parse the bytes that `read_frame` returned.

    Raises:
        WireError: The header has another form, or its JSON is not canonical.
    """
    content = frame[len(MAGIC) + _LENGTH.size :]
    try:
        header = Header.model_validate_json(content)
    except ValidationError as error:
        raise WireError(f"the container's header is not valid: {error.errors()[0]['msg']}") from error
    if rfc8785.dumps(header.model_dump(mode="json")) != content:
        raise WireError("the container's header is not in canonical form (RFC 8785)")
    return header


def check_field(name: str, found: object, expected: object) -> None:
    """Compare what a container states with what it should be; silent if they agree.

    Raises:
        WireError: With both.
    """
    if found != expected:
        raise WireError(f"{name} is {found}, expected {expected}. Ask the other side to send it again.")
