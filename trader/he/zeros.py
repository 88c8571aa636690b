"""Encryptions of zero from processes of their own.

The bindings hold the interpreter lock while SEAL encrypts and compresses, so that threads don't help. Run as a script
this module makes seeded encryptions of zero until nobody reads them any more. It imports nothing of the project, which
would take longer than what it saves.
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

from tenseal import sealapi

_JOB = struct.Struct("<III")
"""Ring degree, number of prime sizes, bytes of the secret key."""
_LENGTH = struct.Struct("<I")


class ZeroProcess:
    """A process that makes seeded encryptions of zero under a secret key, one ahead of the reader.

    Args:
        degree: N.
        modulus_bits: sizes of the primes, the special prime last.
        key: the secret key in SEAL's serialization; it goes through a pipe.
    """

    def __init__(self, degree: int, modulus_bits: Sequence[int], key: bytes) -> None:
        # -P: the script's folder has modules with names of the standard library's, which must not be found first.
        command = [sys.executable, "-P", __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
        self._output = cast("IO[bytes]", self._process.stdout)
        with cast("IO[bytes]", self._process.stdin) as job:
            job.write(_JOB.pack(degree, len(modulus_bits), len(key)) + bytes(modulus_bits) + key)

    def read(self) -> bytes:
        """The next encryption, as SEAL writes it.

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


def make_context(degree: int, modulus_bits: Sequence[int]) -> Any:
    """SEAL's context for CKKS with primes of these sizes, the special prime last; what it refuses raises."""
    settings = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(degree)
    settings.set_coeff_modulus(sealapi.CoeffModulus.Create(degree, list(modulus_bits)))
    return sealapi.SEALContext(settings, True, sealapi.SEC_LEVEL_TYPE.NONE)


def _main() -> None:
    degree, count, key_bytes = _JOB.unpack(sys.stdin.buffer.read(_JOB.size))
    context = make_context(degree, sys.stdin.buffer.read(count))
    key = sealapi.SecretKey()
    with scratch_file(sys.stdin.buffer.read(key_bytes)) as path:
        key.load(context, path)
    encryptor = sealapi.Encryptor(context, key)
    try:
        while True:
            zero = saved(encryptor.encrypt_zero_symmetric())
            sys.stdout.buffer.write(_LENGTH.pack(len(zero)) + zero)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nobody reads any more; Python would flush once more at exit.
        os._exit(0)


if __name__ == "__main__":
    _main()
