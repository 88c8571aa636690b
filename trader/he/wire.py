"""Containers for requests and responses: what they look like, and the checks before anything in them is used.

A container is `MAGIC`, the header's length (u32, little-endian), the header (canonical JSON, RFC 8785), then the parts,
one after the other. The header says which plan the container belongs to and holds length and SHA-256 of every part, so
its keccak256 (`digest`) stands for the whole container, and parts can be fetched and checked one at a time.

Parts hold residues as u32, little-endian. A request has the public key [2, primes + 1, N], the special prime last; the
seeds of everything that follows, 64 bytes each; then, if the plan refreshes ciphertexts, relinearisation keys
[primes, primes + 1, N], and Galois keys of the same form for each rotation that the plan needs; then for each batch and
prime the ciphertexts [F, N]. Of seeded keys and ciphertexts these are the first components; seeds stand for the second
ones, which is half the bytes, and what is left is random to all but its maker, so that nothing would compress it.
A response has one part [O, components, primes, N] per batch. Secret keys have no place in this format, and SEAL's own
serialization is never read from a peer.

`read_container` checks, in this order: magic and lengths; header form and canonicity; kind; plan; samples; number,
sizes and digests of parts; every residue against its prime. Not checked, since it can't be: that ciphertexts decrypt to
anything.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import rfc8785
from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.he.errors import WireError
from trader.he.parallel import run_tasks
from trader.he.types import Buffer, Residues

MAGIC = b"MSHE0001"
MAX_HEADER_BYTES = 1 << 20
_LENGTH = struct.Struct("<I")
_Digest = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
_NO_DIGEST = "0x" + bytes(32).hex()


class PartHeader(BaseModel):
    """Length in bytes and SHA-256 of one part."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: Annotated[int, Field(ge=1, lt=1 << 40)]
    sha256: _Digest


class Header(BaseModel):
    """What a container says of itself.

    Attributes:
        kind: request or response.
        plan: `HePlan.digest` of the plan it was made under.
        samples: number of samples n.
        reference: nonce of a request; digest of the request that a response answers.
        parts: in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["request", "response"]
    plan: _Digest
    samples: Annotated[int, Field(ge=1, lt=1 << 32)]
    reference: _Digest
    parts: Annotated[tuple[PartHeader, ...], Field(max_length=4096)]


@dataclass(frozen=True, slots=True)
class PartLayout:
    """Form of one part: an array of residues, and the primes along its axis -2 (or one prime for all of it).

    Seeds are words without primes.
    """

    shape: tuple[int, ...]
    primes: tuple[int, ...]

    @property
    def byte_count(self) -> int:
        """Bytes of the part."""
        return 4 * int(np.prod(self.shape, dtype=np.int64))


class ContainerWriter:
    """A container being made in one buffer: fill `parts`, then `finish`.

    Attributes:
        parts: one writable array per part, zero at first.
    """

    def __init__(self, kind: Literal["request", "response"], plan: str, samples: int, layout: Sequence[PartLayout]):
        sizes = [part.byte_count for part in layout]
        blank = tuple(PartHeader(bytes=size, sha256=_NO_DIGEST) for size in sizes)
        self._header = Header(kind=kind, plan=plan, samples=samples, reference=_NO_DIGEST, parts=blank)
        start = len(_frame(self._header))
        self._buffer = bytearray(start + sum(sizes))
        self.parts: list[Residues] = []
        for part in layout:
            view = memoryview(self._buffer)[start : start + part.byte_count]
            self.parts.append(np.frombuffer(view, dtype="<u4").reshape(part.shape))
            start += part.byte_count

    def finish(self, reference: bytes) -> bytearray:
        """Write the header with the parts' digests, and hand the buffer out."""
        digests = [""] * len(self.parts)

        def hash_part(index: int) -> None:
            digests[index] = "0x" + hashlib.sha256(self.parts[index].data).hexdigest()

        run_tasks(hash_part, range(len(self.parts)))
        parts = tuple(
            PartHeader(bytes=part.bytes, sha256=digest)
            for part, digest in zip(self._header.parts, digests, strict=True)
        )
        frame = _frame(self._header.model_copy(update={"reference": "0x" + reference.hex(), "parts": parts}))
        self._buffer[: len(frame)] = frame
        self.parts = []
        return self._buffer


def _frame(header: Header) -> bytes:
    content = rfc8785.dumps(header.model_dump(mode="json"))
    return MAGIC + _LENGTH.pack(len(content)) + content


@dataclass(frozen=True, slots=True)
class Container:
    """A container that passed all checks.

    Attributes:
        reference: nonce, or digest of the request.
        digest: keccak256 that stands for the container.
        parts: read-only arrays of residues.
    """

    reference: bytes
    digest: bytes
    parts: tuple[Residues, ...]

    def check_reference(self, expected: bytes) -> None:
        """Refuse a response to another request.

        Raises:
            WireError: with both digests.
        """
        _check_field("digest of the answered request", self.reference.hex(), expected.hex())


def digest(container: Buffer) -> bytes:
    """keccak256 that stands for a container on-chain, 32 bytes.

    It covers the header, and the header holds a digest of every part; it says nothing of whether they match.

    Raises:
        WireError: not a container.
    """
    return keccak(bytes(_header_frame(memoryview(container))))


def read_container(
    container: Buffer,
    kind: Literal["request", "response"],
    plan: str,
    samples: int,
    layout: Sequence[PartLayout],
) -> Container:
    """Check a container from the other party; see the module's text for what is checked.

    Raises:
        WireError: with what was found and what was expected.
    """
    view = memoryview(container).cast("B")
    frame = _header_frame(view)
    header = _parse_header(frame)
    _check_field("kind of container", header.kind, kind)
    _check_field("plan", header.plan, plan)
    _check_field("number of samples", header.samples, samples)
    _check_field("number of parts", len(header.parts), len(layout))
    for index, (part, expected) in enumerate(zip(header.parts, layout, strict=True)):
        _check_field(f"length of part {index}", part.bytes, expected.byte_count)
    _check_field("length of the container", len(view), len(frame) + sum(part.bytes for part in header.parts))
    parts = _read_parts(view[len(frame) :], header, layout)
    return Container(bytes.fromhex(header.reference[2:]), keccak(bytes(frame)), parts)


def _check_field(name: str, found: object, expected: object) -> None:
    if found != expected:
        raise WireError(f"{name} is {found}, expected {expected}. Ask the other side to send it again.")


def _header_frame(view: memoryview) -> memoryview:
    """The bytes up to the end of the header."""
    start = len(MAGIC) + _LENGTH.size
    if len(view) < start or view[: len(MAGIC)] != MAGIC:
        raise WireError("these bytes are not a container of encrypted data. Ask the other side to send it again.")
    (length,) = _LENGTH.unpack(view[len(MAGIC) : start])
    if length > MAX_HEADER_BYTES or start + length > len(view):
        raise WireError(f"the container's header claims {length} bytes, more than there are or may be. Fetch it again.")
    return view[: start + length]


def _parse_header(frame: memoryview) -> Header:
    content = bytes(frame[len(MAGIC) + _LENGTH.size :])
    try:
        header = Header.model_validate_json(content)
    except ValidationError as error:
        raise WireError(f"the container's header is not valid: {error.errors()[0]['msg']}") from error
    if rfc8785.dumps(header.model_dump(mode="json")) != content:
        raise WireError("the container's header is not in canonical form (RFC 8785)")
    return header


def _read_parts(content: memoryview, header: Header, layout: Sequence[PartLayout]) -> tuple[Residues, ...]:
    """Views of the parts, digests and residues checked."""
    offsets = np.cumsum([0, *(part.bytes for part in header.parts)]).tolist()
    arrays = [
        np.frombuffer(content[start : start + part.bytes], dtype="<u4").reshape(expected.shape)
        for start, part, expected in zip(offsets[:-1], header.parts, layout, strict=True)
    ]

    def check_part(index: int) -> None:
        found = "0x" + hashlib.sha256(content[offsets[index] : offsets[index + 1]]).hexdigest()
        _check_field(f"SHA-256 of part {index}", found, header.parts[index].sha256)
        limits = np.array(layout[index].primes, dtype=np.uint32)
        if limits.size and (arrays[index].max(axis=-1) >= limits).any():
            raise WireError(f"part {index} holds a residue that is not below its prime. Refuse this peer.")

    run_tasks(check_part, range(len(arrays)))
    for array in arrays:
        array.flags.writeable = False
    return tuple(arrays)
