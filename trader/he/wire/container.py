"""Containers for requests and responses: what they look like, and the checks before anything in them is used.

A container is `MAGIC`, the header's length (u32, little-endian), the header (canonical JSON, RFC 8785), then the parts,
one after the other. The header says which plan the container belongs to and holds length and SHA-256 of every part, so
its keccak256 (`digest`) stands for the whole container, and parts can be fetched and checked one at a time.

Parts hold residues as u32, little-endian. A request has the public key [primes + 1, N], the special prime last; the
seeds of everything, 64 bytes each; the public key's proof (`trader.he.wire.key_proof`); then the key-switching keys
that the plan needs, [digits, primes + 1, N] each (`HePlan.switched_secrets`); then for each batch and prime its
ciphertexts [c, N]. Of all of them these are the first components; seeds
stand for the second ones, which is half the bytes, and keeps a buyer from choosing them
(`trader.he.evaluation.privacy`). What is left is random to all but its maker, so that nothing would compress it. A
response has one part [ciphertexts, components, primes, N] per batch. Secret keys have no place in this format, and
SEAL's own serialization is never read from a peer.

`read_container` checks, in this order: magic and lengths; header form and canonicity; kind; plan; samples; number,
sizes and digests of parts; every residue against its prime. Not checked, since it can't be: that ciphertexts decrypt to
anything.

Containers can be larger than memory: they are written to and read from mapped files (`trader.he.wire.fetch` copies one
from somebody else's file).
"""

import hashlib
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from eth_utils.crypto import keccak

from trader.he.errors import WireError
from trader.he.parallel import run_tasks
from trader.he.types import Buffer, Residues
from trader.he.wire.header import (
    NO_DIGEST,
    Header,
    Kind,
    PartHeader,
    check_field,
    parse_header,
    read_frame,
    write_frame,
)


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
        kind: Kind,
        plan: str,
        samples: int,
        layout: Sequence[PartLayout],
        path: Path | None = None,
    ) -> None:
        sizes = [part.byte_count for part in layout]
        blank = tuple(PartHeader(bytes=size, sha256=NO_DIGEST) for size in sizes)
        self._header = Header(kind=kind, plan=plan, samples=samples, reference=NO_DIGEST, parts=blank)
        start = len(write_frame(self._header))
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
        frame = write_frame(self._header.model_copy(update={"reference": "0x" + reference.hex(), "parts": parts}))
        self._buffer[: len(frame)] = frame
        self.parts = []
        if isinstance(self._buffer, mmap.mmap):
            self._buffer.flush()
        return memoryview(self._buffer)


def _allocate(size: int, path: Path | None) -> bytearray | mmap.mmap:
    """Writable zeros; a file's blocks are reserved at once, since a full disk would kill who writes to its map.

    Memory is mapped, not filled, so that those who write a part first, on any core, are given it.
    """
    if path is None:
        if not hasattr(mmap, "MADV_HUGEPAGE"):
            return bytearray(size)
        # An interruption for every 4,096 bytes would take as long as to write them.
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # of a system that was built without them
            memory.madvise(mmap.MADV_HUGEPAGE)
        return memory
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


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
        check_field("digest of the answered request", self.reference.hex(), expected.hex())


def digest(container: Buffer) -> bytes:
    """keccak256 that stands for a container on-chain, 32 bytes.

    It covers the header, and the header holds a digest of every part; it says nothing of whether they match.

    Raises:
        WireError: not a container.
    """
    return keccak(_frame_of(memoryview(container).cast("B")))


def stated_samples(container: Buffer) -> int:
    """Return the number of samples that a container's header states.

    Raises:
        WireError: not a container.
    """
    return parse_header(_frame_of(memoryview(container).cast("B"))).samples


def read_container(
    container: Buffer,
    kind: Kind,
    plan: str,
    samples: int,
    layout: Sequence[PartLayout],
) -> Container:
    """Check a container from the other party; see the module's text for what is checked.

    Raises:
        WireError: with what was found and what was expected.
    """
    view = memoryview(container).cast("B")
    frame = _frame_of(view)
    header = parse_header(frame)
    check_field("kind of container", header.kind, kind)
    check_field("plan", header.plan, plan)
    check_field("number of samples", header.samples, samples)
    check_field("number of parts", len(header.parts), len(layout))
    for index, (part, expected) in enumerate(zip(header.parts, layout, strict=True)):
        check_field(f"length of part {index}", part.bytes, expected.byte_count)
    check_field("length of the container", len(view), len(frame) + sum(part.bytes for part in header.parts))
    parts = _read_parts(view[len(frame) :], header, layout)
    return Container(bytes.fromhex(header.reference[2:]), keccak(frame), parts)


def _frame_of(view: memoryview) -> bytes:
    return read_frame(lambda start, count: view[start : start + count])


def _read_parts(content: memoryview, header: Header, layout: Sequence[PartLayout]) -> tuple[Residues, ...]:
    """Return views of the parts, digests and residues checked."""
    offsets = np.cumsum([0, *(part.bytes for part in header.parts)]).tolist()
    arrays = [
        np.frombuffer(content[start : start + part.bytes], dtype="<u4").reshape(expected.shape)
        for start, part, expected in zip(offsets[:-1], header.parts, layout, strict=True)
    ]

    def check_part(index: int) -> None:
        found = "0x" + hashlib.sha256(content[offsets[index] : offsets[index + 1]]).hexdigest()
        check_field(f"SHA-256 of part {index}", found, header.parts[index].sha256)
        limits = np.array(layout[index].primes, dtype=np.uint32)
        if limits.size and (arrays[index].max(axis=-1) >= limits).any():
            raise WireError(f"part {index} holds a residue that is not below its prime. Refuse this peer.")

    run_tasks(check_part, range(len(arrays)))
    for array in arrays:
        array.flags.writeable = False
    return tuple(arrays)
