"""Containers for requests and responses: what they look like, and the checks before anything in them is used.

A container is `MAGIC`, the header's length (u32, little-endian), the header (canonical JSON, RFC 8785), then the parts,
one after the other. The header says which plan the container belongs to and holds length and SHA-256 of every part, so
its keccak256 (`digest`) stands for the whole container, and parts can be fetched and checked one at a time.

Parts hold residues as u32, little-endian. A request has the public key [primes + 1, N], the special prime last; the
seeds of everything, 64 bytes each; the public key's proof (`trader.he.wire.key_proof`); then, if the plan refreshes
ciphertexts, relinearisation keys [primes, primes + 1, N], and Galois keys of the same form for each rotation that the
plan needs; then for each batch and prime the ciphertexts [F, N]. Of all of them these are the first components; seeds
stand for the second ones, which is half the bytes, and keeps a buyer from choosing them
(`trader.he.evaluation.privacy`). What is left is random to all but its maker, so that nothing would compress it. A
response has one part [ciphertexts, components, primes, N] per batch. Secret keys have no place in this format, and
SEAL's own serialization is never read from a peer.

`read_container` checks, in this order: magic and lengths; header form and canonicity; kind; plan; samples; number,
sizes and digests of parts; every residue against its prime. Not checked, since it can't be: that ciphertexts decrypt to
anything.

Containers can be larger than one wants to hold in memory: they are written to and read from mapped files, and
`fetch_container` copies one from somebody else's file part by part, keeping the parts that are already there.
"""

import hashlib
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import numpy as np
import rfc8785
from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.he.errors import WireError
from trader.he.parallel import run_tasks
from trader.he.types import Buffer, Residues

MAGIC = b"MSHE0001"
MAX_HEADER_BYTES = 1 << 20
_COPY_BYTES = 1 << 20
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
    """A container being made in one buffer, or in a file: fill `parts`, then `finish`.

    The header is written last, so that what is left of an interrupted one is not a container.

    Attributes:
        parts: one writable array per part, zero at first.

    Raises:
        OSError: the file can't be made as large as the container is.
    """

    def __init__(
        self,
        kind: Literal["request", "response"],
        plan: str,
        samples: int,
        layout: Sequence[PartLayout],
        path: Path | None = None,
    ) -> None:
        sizes = [part.byte_count for part in layout]
        blank = tuple(PartHeader(bytes=size, sha256=_NO_DIGEST) for size in sizes)
        self._header = Header(kind=kind, plan=plan, samples=samples, reference=_NO_DIGEST, parts=blank)
        start = len(_frame(self._header))
        self._buffer = _allocate(start + sum(sizes), path)
        self.parts: list[Residues] = []
        for part in layout:
            view = memoryview(self._buffer)[start : start + part.byte_count]
            self.parts.append(np.frombuffer(view, dtype="<u4").reshape(part.shape))
            start += part.byte_count

    def finish(self, reference: bytes) -> memoryview:
        """Write the header with the parts' digests, and hand the buffer out; a file is on disk then."""
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
        if isinstance(self._buffer, mmap.mmap):
            self._buffer.flush()
        return memoryview(self._buffer)


def _allocate(size: int, path: Path | None) -> bytearray | mmap.mmap:
    """Writable zeros; a file's blocks are reserved at once, since a full disk would kill who writes to its map."""
    if path is None:
        return bytearray(size)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


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


def stated_samples(container: Buffer) -> int:
    """Number of samples that a container's header states.

    Raises:
        WireError: not a container.
    """
    return _parse_header(_header_frame(memoryview(container).cast("B"))).samples


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


def fetch_container(source: BinaryIO, target: Path, limit_bytes: int) -> memoryview:
    """Copy a container from a file that somebody else may change, into one of our own; then map that.

    Parts are checked against the header as they come. An interrupted copy is gone on with: parts that are whole are
    kept, the others are copied again.

    Args:
        source: the container, from its first byte on.
        target: is written under another name until it is whole.
        limit_bytes: largest size that is accepted.

    Returns:
        The container, read-only; `read_container` checks what this doesn't.

    Raises:
        WireError: not a container, too large, cut off, or a part that doesn't have its digest; what was good stays.
        OSError: the target can't be written.
    """
    frame = _read_frame(source)
    parts = _parse_header(memoryview(frame)).parts
    size = len(frame) + sum(part.bytes for part in parts)
    if size > limit_bytes:
        raise WireError(f"the container has {size} bytes, more than the {limit_bytes} that the plan allows")
    partial = target.with_name(f".{target.name}.partial")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        if file.read(len(frame)) != frame:
            file.seek(0)
            file.truncate()
            file.write(frame)
        position = len(frame)
        for index, part in enumerate(parts):
            if _digest_at(file, position, part.bytes) != part.sha256:
                source.seek(position)
                file.seek(position)
                found = _copy(source, file, part.bytes)
                _check_field(f"SHA-256 of part {index}", found, part.sha256)
            position += part.bytes
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())
        container = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    partial.replace(target)
    return container


def _read_frame(source: BinaryIO) -> bytes:
    """The bytes up to the end of the header; no more than it may have."""
    start = source.read(len(MAGIC) + _LENGTH.size)
    if len(start) < len(MAGIC) + _LENGTH.size or not start.startswith(MAGIC):
        raise WireError("this file is not a container of encrypted data. Ask the other side to send it again.")
    (length,) = _LENGTH.unpack(start[len(MAGIC) :])
    content = source.read(length) if length <= MAX_HEADER_BYTES else b""
    if len(content) < length:
        raise WireError(f"the container's header claims {length} bytes, more than there are or may be. Fetch it again.")
    return start + content


def _digest_at(file: BinaryIO, position: int, count: int) -> str:
    """SHA-256 of bytes of a file; of fewer, if it is shorter."""
    file.seek(position)
    hasher = hashlib.sha256()
    while count and (piece := file.read(min(count, _COPY_BYTES))):
        hasher.update(piece)
        count -= len(piece)
    return "0x" + hasher.hexdigest()


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> str:
    """Copy bytes and return their SHA-256."""
    hasher = hashlib.sha256()
    while count:
        piece = source.read(min(count, _COPY_BYTES))
        if not piece:
            raise WireError(f"the container ends {count} bytes before a part does. Fetch it again.")
        hasher.update(piece)
        target.write(piece)
        count -= len(piece)
    return "0x" + hasher.hexdigest()


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
