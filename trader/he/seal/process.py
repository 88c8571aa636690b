"""The process that runs SEAL for a buyer: Galois keys, or encryptions of zero.

Run as a script by `trader.he.seal.workers`; what `trader.he.seal.keys` needs as well is here too. It imports nothing
of the project, the raw bindings without TenSEAL around them, and little of the standard library: it starts in some
tens of milliseconds.
"""

import ctypes
import os
import queue
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import _sealapi_cpp as sealapi

JOB = struct.Struct("<5I")
"""Ring degree, number of prime sizes, bytes of the secret key, number of encryptions of zero, of Galois elements."""
AHEAD_BYTES = 64 << 20
"""Encryptions of zero that wait for their reader: they are made while it does what only it can do."""
ELEMENT = struct.Struct("<I")
HEADER = struct.Struct("<HBBBBHQ")
"""SEAL's own, before everything that it writes: its last field is the length of all, header included."""
FIELDS = struct.Struct("<4QBQQQdQ")
"""Of a ciphertext: identifier of its level, whether in NTT form, components, N, primes, scale, correction factor."""
COUNT = struct.Struct("<Q")
KEYS = struct.Struct("<4QQ")
"""Of key-switching keys: identifier of the parameters, places."""
_MAGIC, _VERSION, UNCOMPRESSED = 0xA15E, (4, 3), 0
_SEED_BYTES = 81
"""A header, the generator's number, the seed."""
_SEEDED = 2**64 - 1
"""SEAL's mark in place of a second component whose seed follows; no residue is as large."""

_ADDRESS = struct.Struct("<16xQ")
"""Of a Python object of the bindings: where SEAL's own is (pybind11's `instance`)."""
_CIPHERTEXT = struct.Struct("<4Q?7x3QdQ16x3Q24x")
"""Of a ciphertext in memory: as `FIELDS`, then words that there is room for, words, where they are."""
_PLACES = struct.Struct("<16x4Q2Q")
"""Of key-switching keys in memory: identifier of the parameters, where the places begin and end."""
_PLACE = struct.Struct("<2Q8x")
"""Of one place: where its ciphertexts begin and end."""
_SIZES = range(1, 65)
_DEGREES = tuple(1 << bits for bits in range(10, 17))


@contextmanager
def scratch_file(*content: bytes | bytearray | memoryview) -> Iterator[str]:
    """Yield a file that holds the pieces of content, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ciphertext")
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.writelines(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        import tempfile

        with tempfile.NamedTemporaryFile() as file:
            file.writelines(content)
            file.flush()
            yield file.name


def saved(serializable: Any) -> bytes:
    """Return what SEAL writes of one of its objects, as a rule uncompressed."""
    return b"".join(pieces_of(serializable))


def pieces_of(serializable: Any) -> list[bytes | memoryview]:
    """Return what SEAL writes of one of its objects, in pieces that live as long as the object.

    The bindings write files only, and compressed: residues are uniform, so that this takes as long as to encrypt, and
    gains nothing. Ciphertexts and key-switching keys are read where they are, in SEAL's memory. What doesn't look as
    this module says, in a release of other layout, say, SEAL writes itself.
    """
    found = None
    if sys.implementation.name == "cpython" and sys.byteorder == "little":
        (address,) = _read(_ADDRESS, id(serializable))
        if isinstance(serializable, sealapi.SerializableCiphertext | sealapi.Ciphertext):
            found = _ciphertext_at(address)
        elif isinstance(serializable, sealapi.SerializableGaloisKeys | sealapi.SerializableRelinKeys):
            found = _switching_keys_at(address)
    return [written(serializable)] if found is None else found


def written(serializable: Any) -> bytes:
    """Return what SEAL itself writes, compressed."""
    with scratch_file() as path:
        serializable.save(path)
        with open(path, "rb") as file:  # noqa: PTH123 - see the module's text
            return file.read()


def header_of(content_bytes: int) -> bytes:
    """Return the header of content that is not compressed."""
    return HEADER.pack(_MAGIC, HEADER.size, *_VERSION, UNCOMPRESSED, 0, HEADER.size + content_bytes)


def with_header(*content: bytes | memoryview) -> list[bytes | memoryview]:
    """Return pieces of content with their header, not compressed."""
    return [header_of(sum(map(len, content))), *content]


def _read(form: struct.Struct, address: int) -> tuple[Any, ...]:
    return form.unpack(ctypes.string_at(address, form.size))


def _memory(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def _ciphertext_at(address: int) -> list[bytes | memoryview] | None:
    """Return a ciphertext or public key, its header included; None where there is none."""
    *fields, room, words, values = _read(_CIPHERTEXT, address)
    _, _, _, _, _, components, degree, primes, _, _ = fields
    sizes_fit = components in _SIZES and primes in _SIZES and degree in _DEGREES
    if not sizes_fit or not words == components * degree * primes <= room:
        return None
    second = values + COUNT.size * degree * primes
    seeded = _read(COUNT, second) == (_SEEDED,)
    count = degree * primes if seeded else words
    seed = [_memory(second + COUNT.size, _SEED_BYTES)] if seeded else []
    residues = with_header(COUNT.pack(count), _memory(values, COUNT.size * count))
    return with_header(FIELDS.pack(*fields), *residues, *seed)


def _switching_keys_at(address: int) -> list[bytes | memoryview] | None:
    """Return key-switching keys: for every place their number, and as many public keys. None where there are none."""
    *identifier, begin, end = _read(_PLACES, address)
    count, rest = divmod(end - begin, _PLACE.size)
    if rest or count not in (1, *_DEGREES):
        return None
    content: list[bytes | memoryview] = [KEYS.pack(*identifier, count)]
    for place in range(count):
        first, last = _read(_PLACE, begin + place * _PLACE.size)
        keys, rest = divmod(last - first, _CIPHERTEXT.size)
        if rest or keys >= len(_SIZES):
            return None
        content.append(COUNT.pack(keys))
        for key in range(keys):
            ciphertext = _ciphertext_at(first + key * _CIPHERTEXT.size)
            if ciphertext is None:
                return None
            content += ciphertext
    return with_header(*content)


def make_context(degree: int, modulus_bits: Sequence[int], *, levels: bool = True) -> Any:
    """SEAL's context for CKKS with primes of these sizes, the special prime last; what it refuses raises.

    Without levels below that of fresh ciphertexts it takes a third of the time.
    """
    settings = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(degree)
    settings.set_coeff_modulus(sealapi.CoeffModulus.Create(degree, list(modulus_bits)))
    return sealapi.SEALContext(settings, levels, sealapi.SEC_LEVEL_TYPE.NONE)


def _main() -> None:
    if hasattr(os, "SCHED_BATCH"):
        # Not to be interrupted whenever a reader wakes up: what SEAL reads would leave the core's cache.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    source = sys.stdin.buffer
    degree, count, key_bytes, zeros, element_count = JOB.unpack(source.read(JOB.size))
    context = make_context(degree, source.read(count), levels=False)
    key = sealapi.SecretKey()
    with scratch_file(source.read(key_bytes)) as path:
        key.load(context, path)
    elements = [ELEMENT.unpack(source.read(ELEMENT.size))[0] for _ in range(element_count)]
    try:
        if elements:
            _write_galois_keys(context, key, elements)
        else:
            _write_zeros(context, key, zeros)
    except BrokenPipeError:
        # Nobody reads any more; Python would flush once more at exit.
        os._exit(0)


def _write_galois_keys(context: Any, key: Any, elements: Sequence[int]) -> None:
    """All of them are made before the first is written: a pipe holds less than one, and the reader is busy."""
    generator = sealapi.KeyGenerator(context, key)
    for item in [saved(generator.create_galois_keys([element])) for element in elements]:
        sys.stdout.buffer.write(item)
    sys.stdout.buffer.flush()


def _write_zeros(context: Any, key: Any, count: int) -> None:
    """Into the pipe, by a thread of its own, so that a reader who is busy stops nothing."""
    encryptor = sealapi.Encryptor(context, key)
    first = saved(encryptor.encrypt_zero_symmetric())
    made: queue.Queue[bytes] = queue.Queue(max(1, AHEAD_BYTES // len(first)))
    # SEAL holds the interpreter lock; the writer gets it whenever a ciphertext is made.
    sys.setswitchinterval(1e-5)
    writer = threading.Thread(target=_write_made, args=(made, count), daemon=True)
    writer.start()
    for number in range(count):
        made.put(saved(encryptor.encrypt_zero_symmetric()) if number else first)
    writer.join()


def _write_made(made: "queue.Queue[bytes]", count: int) -> None:
    for _ in range(count):
        left = memoryview(made.get())
        while left:
            try:
                left = left[os.write(sys.stdout.fileno(), left) :]
            except OSError:
                # Nobody reads any more: nor is anything to be made.
                os._exit(0)


if __name__ == "__main__":
    _main()
