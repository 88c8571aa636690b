"""Encryptions of zero, and Galois keys, from processes of their own.

The bindings hold the interpreter lock while SEAL encrypts and compresses, so that threads don't help. Run as a script
this module makes the Galois keys that it is asked for, or seeded encryptions of zero until nobody reads them any more.
It imports nothing of the project, and of TenSEAL the raw bindings alone, so that it starts in no time.
"""

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import _sealapi_cpp as sealapi

_JOB = struct.Struct("<4I")
"""Ring degree, number of prime sizes, bytes of the secret key, number of Galois elements."""
_ELEMENT = struct.Struct("<I")
_LENGTH = struct.Struct("<I")


class ZeroProcess:
    """A process that makes seeded encryptions of zero under a secret key, one ahead of the reader; or Galois keys.

    Args:
        degree: N.
        modulus_bits: sizes of the primes, the special prime last.
        key: the secret key in SEAL's serialization; it goes through a file in memory, where there are such files.
        elements: Galois elements whose keys are made, one after the other, instead of encryptions of zero.
    """

    def __init__(self, degree: int, modulus_bits: Sequence[int], key: bytes, elements: Sequence[int] = ()) -> None:
        # -P: the script's folder has modules with names of the standard library's, which must not be found first.
        command = [sys.executable, "-P", __file__]
        head = _JOB.pack(degree, len(modulus_bits), len(key), len(elements)) + bytes(modulus_bits)
        # A pipe holds less than a key, and would have to wait for the process to start.
        with scratch_file(head, key, *map(_ELEMENT.pack, elements)) as path, Path(path).open("rb") as job:
            self._process = subprocess.Popen(command, stdin=job, stdout=subprocess.PIPE)  # noqa: S603 - our own
        self._output = cast("IO[bytes]", self._process.stdout)

    def read(self) -> bytes:
        """The next encryption or key, as SEAL writes it.

        Raises:
            EOFError: the process has ended.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return self._read(length)

    def _read(self, count: int) -> bytes:
        data = self._output.read(count)
        if len(data) < count:
            raise EOFError(f"the process that encrypts ended with status {self._process.wait()}")
        return data

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._output.close()


@contextmanager
def scratch_file(*content: bytes | bytearray | memoryview) -> Iterator[str]:
    """A file that holds the pieces of content, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ciphertext")
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.writelines(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.writelines(content)
            file.flush()
            yield file.name


def saved(serializable: Any) -> bytes:
    """What SEAL writes of one of its objects."""
    with scratch_file() as path:
        serializable.save(path)
        return Path(path).read_bytes()


def make_context(degree: int, modulus_bits: Sequence[int], *, levels: bool = True) -> Any:
    """SEAL's context for CKKS with primes of these sizes, the special prime last; what it refuses raises.

    Without levels below that of fresh ciphertexts it takes a third of the time.
    """
    settings = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(degree)
    settings.set_coeff_modulus(sealapi.CoeffModulus.Create(degree, list(modulus_bits)))
    return sealapi.SEALContext(settings, levels, sealapi.SEC_LEVEL_TYPE.NONE)


def _main() -> None:
    source = sys.stdin.buffer
    degree, count, key_bytes, element_count = _JOB.unpack(source.read(_JOB.size))
    context = make_context(degree, source.read(count), levels=False)
    key = sealapi.SecretKey()
    with scratch_file(source.read(key_bytes)) as path:
        key.load(context, path)
    elements = [_ELEMENT.unpack(source.read(_ELEMENT.size))[0] for _ in range(element_count)]
    try:
        for item in _galois_keys(context, key, elements) if elements else _zeros(context, key):
            sys.stdout.buffer.write(_LENGTH.pack(len(item)) + item)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nobody reads any more; Python would flush once more at exit.
        os._exit(0)


def _galois_keys(context: Any, key: Any, elements: Sequence[int]) -> list[bytes]:
    """All of them before the first is written: a pipe holds less than one, and the reader is busy."""
    generator = sealapi.KeyGenerator(context, key)
    return [saved(generator.create_galois_keys([element])) for element in elements]


def _zeros(context: Any, key: Any) -> Iterator[bytes]:
    encryptor = sealapi.Encryptor(context, key)
    while True:
        yield saved(encryptor.encrypt_zero_symmetric())


if __name__ == "__main__":
    _main()
