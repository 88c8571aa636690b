"""The process that runs SEAL for a buyer: Galois keys, or encryptions of zero until nobody reads them any more.

Run as a script by `trader.he.seal.workers`; what `trader.he.seal.keys` needs as well is here too. It imports nothing
of the project, the raw bindings without TenSEAL around them, and little of the standard library: it starts in some
tens of milliseconds.
"""

import os
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import _sealapi_cpp as sealapi

JOB = struct.Struct("<4I")
"""Ring degree, number of prime sizes, bytes of the secret key, number of Galois elements."""
ELEMENT = struct.Struct("<I")
HEADER = struct.Struct("<HBBBBHQ")
"""SEAL's own, before everything that it writes: its last field is the length of all, header included."""
_STDOUT = "/dev/fd/1"


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
    """Return what SEAL writes of one of its objects."""
    with scratch_file() as path:
        serializable.save(path)
        with open(path, "rb") as file:  # noqa: PTH123 - see the module's text
            return file.read()


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
    degree, count, key_bytes, element_count = JOB.unpack(source.read(JOB.size))
    context = make_context(degree, source.read(count), levels=False)
    key = sealapi.SecretKey()
    with scratch_file(source.read(key_bytes)) as path:
        key.load(context, path)
    elements = [ELEMENT.unpack(source.read(ELEMENT.size))[0] for _ in range(element_count)]
    try:
        if elements:
            _write_galois_keys(context, key, elements)
        else:
            _write_zeros(context, key)
    except BrokenPipeError:
        # Nobody reads any more; Python would flush once more at exit.
        os._exit(0)


def _write_galois_keys(context: Any, key: Any, elements: Sequence[int]) -> None:
    """All of them are made before the first is written: a pipe holds less than one, and the reader is busy."""
    generator = sealapi.KeyGenerator(context, key)
    for item in [saved(generator.create_galois_keys([element])) for element in elements]:
        sys.stdout.buffer.write(item)
    sys.stdout.buffer.flush()


def _write_zeros(context: Any, key: Any) -> None:
    """SEAL writes into the pipe, without a file in between."""
    encryptor = sealapi.Encryptor(context, key)
    try:
        while True:
            encryptor.encrypt_zero_symmetric().save(_STDOUT)
    except RuntimeError as error:
        if "I/O error" in str(error):
            raise BrokenPipeError from error
        raise


if __name__ == "__main__":
    _main()
