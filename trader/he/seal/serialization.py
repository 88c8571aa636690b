"""SEAL's serialization, version 4: what SEAL writes and reads of ciphertexts and keys.

A 16-byte header, then, as a whole compressed by Zstandard where SEAL writes it itself, the fields below, little-endian,
one more header, and the residues as u64 [component][prime][N]. Of a seeded ciphertext the last component is left out; a
header, the generator's number and the seed follow. Key-switching keys are an identifier and a number of places, then
for each place a count and as many public keys, one per prime: relinearisation keys have one place, Galois keys N, most
of them empty.
"""

import struct
from dataclasses import dataclass

import numpy as np
import zstandard

from trader.he.errors import SessionError
from trader.he.ring.expansion import SEED_BYTES, expand_seed
from trader.he.seal.process import COUNT, FIELDS, HEADER, KEYS, with_header
from trader.he.types import Residues, Words

PLAINTEXT = struct.Struct("<4QQd")
"""Of a plaintext: identifier of its level, coefficients, scale."""
_BLAKE2XB = 1
_ZSTANDARD = 2


@dataclass(frozen=True, slots=True)
class Seeded:
    """A ciphertext or public key of two components, the second as the seed that it is expanded from.

    Attributes:
        residues: first component [primes, N].
        seed: public.
    """

    residues: Residues
    seed: bytes

    def expand(self, primes: tuple[int, ...]) -> Residues:
        """Both components, [2, primes, N]."""
        both = np.empty((2, *self.residues.shape), dtype=np.uint32)
        self.expand_into(both, primes)
        return both

    def expand_into(self, both: Residues, primes: tuple[int, ...]) -> None:
        """Write both components to [2, primes, N]."""
        both[0] = self.residues
        expand_seed(self.seed, primes, both[1])


def serialize(identifier: list[int], residues: Residues | Words, scale: float) -> list[bytes | memoryview]:
    """Residues [components, primes, N] as SEAL reads them, in pieces."""
    components, primes, degree = residues.shape
    fields = FIELDS.pack(*identifier, 1, components, degree, primes, scale, 1)
    values = residues.astype("<u8", order="C", copy=False).data.cast("B")
    return with_header(fields, *with_header(COUNT.pack(residues.size), values))


def content_of(saved: bytes | memoryview) -> bytes | memoryview:
    """Return what follows the header, decompressed."""
    compression = HEADER.unpack_from(saved)[4]
    content = saved[HEADER.size :]
    return zstandard.ZstdDecompressor().decompress(content) if compression == _ZSTANDARD else content


def read_residues(saved: bytes | memoryview) -> Residues:
    """Residues [components, primes, N] of a ciphertext or public key that SEAL has just written."""
    content = content_of(saved)
    components, degree, primes = FIELDS.unpack_from(content)[5:8]
    return read_values(content, components * degree * primes).reshape(components, primes, degree)


def read_seeded(content: bytes | memoryview) -> Seeded:
    """Return a seeded ciphertext or public key that SEAL has just written, its header left out."""
    degree, primes = FIELDS.unpack_from(content)[6:8]
    if content[-SEED_BYTES - 1] != _BLAKE2XB:
        raise SessionError("SEAL was built with another generator than BLAKE2Xb: install the TenSEAL of the lock file")
    return Seeded(read_values(content, degree * primes).reshape(primes, degree), bytes(content[-SEED_BYTES:]))


def read_values(content: bytes | memoryview, count: int, fields: struct.Struct = FIELDS) -> Residues:
    """Return the residues that follow some fields, one more header and their number."""
    start = fields.size + HEADER.size + COUNT.size
    return np.frombuffer(content, dtype="<u8", offset=start, count=count).astype(np.uint32)


def read_switching_key(saved: bytes | memoryview, place: int) -> list[Seeded]:
    """Read the only key-switching key that SEAL has just written, at its place: the counts before it are zero."""
    content = content_of(saved)
    position, keys = KEYS.size + place * COUNT.size, []
    (count,) = COUNT.unpack_from(content, position)
    position += COUNT.size
    for _ in range(count):
        size = HEADER.unpack_from(content, position)[-1]
        keys.append(read_seeded(content[position + HEADER.size : position + size]))
        position += size
    return keys


def place_of(element: int) -> int:
    """Where SEAL keeps the Galois key of an element."""
    return (element - 1) // 2
