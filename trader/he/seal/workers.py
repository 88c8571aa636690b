"""Encryptions of zero, and Galois keys, from processes of their own.

The bindings hold the interpreter lock while SEAL encrypts, so that threads don't help.
"""

import fcntl
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trader.he.seal import process as seal_process
from trader.he.seal.process import ELEMENT, HEADER, JOB, scratch_file

if TYPE_CHECKING:
    from io import BufferedReader


PIPE_BYTES = 1 << 20
"""What a process's pipe holds, where the system allows it. Linux makes pipes of 64 KiB, a sixth of a ciphertext, and
wakes a side whenever they are full or empty; this is the most that it gives to users without privileges."""


class SealProcess:
    """A process that makes seeded encryptions of zero under a secret key, ahead of the reader; or Galois keys.

    Args:
        degree: N.
        modulus_bits: sizes of the primes, the special prime last.
        key: the secret key in SEAL's serialization; it goes through a file in memory, where there are such files.
        zeros: number of encryptions of zero.
        elements: Galois elements whose keys are made, one after the other, instead of encryptions of zero.
    """

    def __init__(
        self, degree: int, modulus_bits: Sequence[int], key: bytes, *, zeros: int = 0, elements: Sequence[int] = ()
    ) -> None:
        # -P: the script's folder has modules with names of the standard library's, which must not be found first.
        command = [sys.executable, "-P", seal_process.__file__]
        head = JOB.pack(degree, len(modulus_bits), len(key), zeros, len(elements)) + bytes(modulus_bits)
        # A pipe holds less than a key, and would have to wait for the process to start.
        with scratch_file(head, key, *map(ELEMENT.pack, elements)) as path, Path(path).open("rb") as job:
            self._process = subprocess.Popen(command, stdin=job, stdout=subprocess.PIPE)  # noqa: S603 - our own
        self._output = cast("BufferedReader", self._process.stdout)
        _widen(self._output.fileno())

    def read(self) -> memoryview:
        """Return the next encryption or key, as SEAL writes it.

        Raises:
            EOFError: the process has ended.
        """
        header = bytearray(HEADER.size)
        self._read_into(memoryview(header))
        content = memoryview(bytearray(HEADER.unpack(header)[-1]))
        content[: HEADER.size] = header
        self._read_into(content[HEADER.size :])
        return content

    def _read_into(self, target: memoryview) -> None:
        if self._output.readinto(target) < len(target):
            raise EOFError(f"the process that encrypts ended with status {self._process.wait()}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._output.close()


def _widen(pipe: int) -> None:
    """Let a pipe hold `PIPE_BYTES`; it stays as it is where there is no such call, or the user has too many pipes."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
