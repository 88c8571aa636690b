"""SEAL, through TenSEAL's raw bindings: contexts, keys, encryption, decryption.

Nothing else imports TenSEAL's bindings, but for `trader.he.seal.process`. The bindings read and write files only; an
anonymous file in memory serves. What is loaded here has been checked by `trader.he.wire.container` or was made by this
process. SEAL's serialization, version 4: a 16-byte header, then, as a whole compressed by Zstandard where SEAL writes
it, the fields below, little-endian, one more header, and the residues as u64 [component][prime][N]. Of a seeded
ciphertext the last component is left out; a header, the generator's number and the seed follow. Key-switching keys are
an identifier and a number of places, then for each place a count and so many public keys, one per prime:
relinearisation keys have one place, Galois keys N, most of them empty.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from tenseal import sealapi

from trader.he.errors import PlanError, SessionError
from trader.he.parallel import PerThread, run_tasks, worker_count
from trader.he.ring import kernels
from trader.he.ring.encoding import Slots, encode
from trader.he.ring.expansion import SEED_BYTES, expand_seed
from trader.he.ring.transform import prime_tables, transform
from trader.he.seal.process import HEADER, make_context, saved, scratch_file
from trader.he.seal.zeros import ZeroProcess
from trader.he.types import Buffer, Progress, Residues, Words

_FIELDS = struct.Struct("<4QBQQQdQ")
_PLAINTEXT = struct.Struct("<4QQd")
_COUNT = struct.Struct("<Q")
_KEYS = struct.Struct("<4QQ")
_BLAKE2XB = 1
_MAGIC, _HEADER_BYTES, _VERSION, _UNCOMPRESSED, _ZSTANDARD = 0xA15E, 0x10, (4, 3), 0, 2
SMALLEST_SHARED_COUNT = 128
"""From so many encryptions on it pays to start processes for them."""
SMALLEST_SHARED_KEYS = 4 * 8192
"""From so many Galois keys, times N, on it pays to start a process for half of them."""
MAXIMUM_PRIME_BITS = 31
"""The kernels keep residues in 32-bit words."""
ERROR_DEVIATION = 10.5**0.5
"""Standard deviation of an error coefficient: SEAL's centred binomial distribution of 2·21 coins."""


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
        both[0] = self.residues
        expand_seed(self.seed, primes, both[1])
        return both


@dataclass(frozen=True, slots=True)
class Parameters:
    """Encryption parameters as SEAL sees them.

    Attributes:
        degree: N.
        primes: of ciphertexts; the special prime is left out.
        special_prime: the last prime, of keys only.
        parameters_id: SEAL's hash of scheme, N and all primes.
        context: SEAL's context.
    """

    degree: int
    primes: tuple[int, ...]
    special_prime: int
    parameters_id: str
    context: Any

    @property
    def all_primes(self) -> tuple[int, ...]:
        """Primes of ciphertexts, then the special prime."""
        return (*self.primes, self.special_prime)


@lru_cache(maxsize=8)
def parameters(degree: int, modulus_bits: tuple[int, ...]) -> Parameters:
    """SEAL's parameters for a ring degree and prime sizes, the special prime last.

    SEAL's own security table isn't asked: `SecurityPolicy.check` is stricter and comes first.

    Raises:
        PlanError: there are no such parameters.
    """
    try:
        context = make_context(degree, modulus_bits)
    except (ValueError, RuntimeError) as error:
        raise PlanError(f"no primes of {modulus_bits} bits for ring degree {degree}: {error}") from error
    if not context.parameters_set():
        raise PlanError(
            f"SEAL refuses ring degree {degree} with {modulus_bits} bits: {context.parameters_error_message()}"
        )
    moduli = context.key_context_data().parms().coeff_modulus()
    primes = tuple(modulus.value() for modulus in moduli)
    identifier = "0x" + struct.pack("<4Q", *context.key_parms_id()).hex()
    return Parameters(degree, primes[:-1], primes[-1], identifier, context)


class SecretKey:
    """A secret key, made by SEAL or kept; it leaves this object through `to_bytes` alone."""

    def __init__(self, parameters: Parameters, kept: bytes | None = None) -> None:
        """Make a fresh key, or read back what `to_bytes` gave (the caller's own file, never a peer's)."""
        context = parameters.context
        key = sealapi.KeyGenerator(context).secret_key() if kept is None else _read_key(parameters, kept)
        self._parameters = parameters
        self._key = key
        self._generator = sealapi.KeyGenerator(context, key)
        self._encryptor = sealapi.Encryptor(context, key)
        self._decryptor = sealapi.Decryptor(context, key)

    def __repr__(self) -> str:
        return "SecretKey(...)"

    def to_bytes(self) -> bytes:
        """The key in SEAL's own serialization. Secret."""
        return saved(self._key)

    def public_key(self) -> Seeded:
        """A fresh public key, [primes + 1, N], the special prime last: an encryption of zero modulo all primes."""
        level = self._parameters.context.key_parms_id()
        return _seeded(_content(saved(self._encryptor.encrypt_zero_symmetric(level))))

    def coefficients(self) -> NDArray[np.int64]:
        """The key s as ternary integers [N]. Secret."""
        degree, prime = self._parameters.degree, self._parameters.primes[0]
        count = degree * len(self._parameters.all_primes)
        residues = np.frombuffer(_content(self.to_bytes())[-8 * count :], dtype="<u8", count=degree).astype(np.uint32)
        return _centred(residues, degree, prime)

    def error(self, public: Seeded) -> NDArray[np.int64]:
        """The error p0 + p1·s of a public key of this key's, integers [N]. Secret."""
        degree, prime = self._parameters.degree, self._parameters.primes[0]
        key = transform(self.coefficients()[np.newaxis, np.newaxis], (0,), (prime,))[0, 0]
        first, second = public.expand(self._parameters.all_primes)[:, 0]
        kernels.multiply_accumulate(second, key, first, prime, key)
        return _centred(key, degree, prime)

    def relinearisation_keys(self) -> list[Seeded]:
        """Fresh keys that take a ciphertext from three components to two: one [primes + 1, N] per prime."""
        (keys,) = self.switching_keys(relinearise=True)
        return keys

    def galois_keys(self, elements: Sequence[int]) -> list[list[Seeded]]:
        """Fresh keys for automorphisms X → X^e, odd e < 2N: for each element one [primes + 1, N] per prime."""
        return self.switching_keys(elements)

    def switching_keys(self, elements: Sequence[int] = (), *, relinearise: bool = False) -> list[list[Seeded]]:
        """Keys for relinearisation, if asked for, then Galois keys by element; half of these by another process.

        Raises:
            SessionError: the process has ended before its time.
        """
        shared = worker_count() > 1 and len(elements) * self._parameters.degree >= SMALLEST_SHARED_KEYS
        # The process takes about as long to start as this one to unpack the keys of both.
        own = len(elements) - max(1, (len(elements) + relinearise) // 2) if shared else len(elements)
        with ExitStack() as stack, _raised_as_session_error():
            process = self._start_process(stack, elements[own:]) if shared else None
            found = [_read_keys(saved(self._generator.create_relin_keys()), 0)] if relinearise else []
            for element in elements[:own]:
                found.append(_read_keys(saved(self._generator.create_galois_keys([element])), _place(element)))
            if process is not None:
                found += [_read_keys(process.read(), _place(element)) for element in elements[own:]]
        return found

    def _start_process(self, stack: ExitStack, elements: Sequence[int] = ()) -> ZeroProcess:
        """A process that makes encryptions of zero, or keys; it ends with the stack."""
        bits = [prime.bit_length() for prime in self._parameters.all_primes]
        process = ZeroProcess(self._parameters.degree, bits, self.to_bytes(), elements)
        stack.callback(process.close)
        return process

    def encrypt(self, slots: Slots, scale: float) -> Seeded:
        """A fresh symmetric encryption of up to N/2 slots at a scale, [primes, N]: SEAL's of zero, plus the message."""
        return self._add_message(saved(self._encryptor.encrypt_zero_symmetric()), slots, scale)

    def encrypt_all(
        self,
        count: int,
        slots_of: Callable[[int], Slots],
        scale: float,
        take: Callable[[int, Seeded], None],
        progress: Progress | None = None,
    ) -> None:
        """Encrypt `count` vectors of slots on all cores, and hand each ciphertext with its index to `take`.

        Raises:
            SessionError: a process that encrypts has ended before its time.
        """
        if worker_count() < 2 or count < SMALLEST_SHARED_COUNT:
            run_tasks(lambda index: take(index, self.encrypt(slots_of(index), scale)), range(count), progress)
            return
        with ExitStack() as stack:
            processes = PerThread(lambda: self._start_process(stack))

            def encrypt(index: int) -> None:
                take(index, self._add_message(processes.get().read(), slots_of(index), scale))

            with _raised_as_session_error():
                run_tasks(encrypt, range(count), progress)

    def _add_message(self, saved_zero: bytes, slots: Slots, scale: float) -> Seeded:
        """Add the encoded slots to an encryption of zero."""
        zero = _seeded(_content(saved_zero))
        message = encode(slots, scale, self._parameters.degree, self._parameters.primes)
        for index, prime in enumerate(self._parameters.primes):
            kernels.add(message[index], prime, zero.residues[index])
        return zero

    def phase(self, residues: Residues) -> Residues:
        """Σ c_j·s^j of a ciphertext [components, l, N], NTT form [l, N]; l primes of the modulus are left."""
        ciphertext, plaintext = _load_ciphertext(self._parameters, residues, 1.0), sealapi.Plaintext()
        self._decryptor.decrypt(ciphertext, plaintext)
        form = _values(_content(saved(plaintext)), residues[0].size, _PLAINTEXT)
        return form.reshape(residues.shape[1:])


@contextmanager
def _raised_as_session_error() -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise SessionError(f"{error}; run the test again") from error


class PublicKey:
    """The other party's public key: `trader.he.wire.container` has checked its form, nothing says that it is a key.

    Args:
        parameters: of the ring.
        residues: [2, primes + 1, N], the special prime last.
    """

    def __init__(self, parameters: Parameters, residues: Residues) -> None:
        key = sealapi.PublicKey()
        with scratch_file(*_serialize(parameters.context.key_parms_id(), residues, 1.0)) as path:
            key.load(parameters.context, path)
        self._parameters = parameters
        self._encryptor = sealapi.Encryptor(parameters.context, key)

    def encrypt_zero(self, components: int = 2) -> Residues:
        """Fresh encryptions of zero z_j to Σ_j z_j·s^j, s the secret key, j < components - 1: [components, primes, N].

        z·s is z one component further on. z_j is multiplied by 2^(j + 1): of p0 only its double is proven
        (`trader.he.wire.key_proof`), and a single z would leak under p0 = p1/(1 - X), for instance.
        """
        primes = self._parameters.primes
        total = np.zeros((components, len(primes), self._parameters.degree), dtype=np.uint32)
        for power in range(components - 1):
            zero = _residues(saved(self._fresh_zero()))
            for component, addends in enumerate(zero, start=power):
                for index, prime in enumerate(primes):
                    for _ in range(2 << power):
                        kernels.add(addends[index], prime, total[component, index])
        return total

    def _fresh_zero(self) -> Any:
        ciphertext = sealapi.Ciphertext()
        self._encryptor.encrypt_zero(ciphertext)
        return ciphertext


def conjugation_element(degree: int) -> int:
    """The automorphism X → X^e that conjugates slots: e = 2N - 1."""
    return 2 * degree - 1


def rotation_element(rotation: int, degree: int) -> int:
    """The automorphism X → X^e that rotates slots: e = 3^rotation modulo 2N."""
    return pow(3, rotation, 2 * degree)


def _place(element: int) -> int:
    """Where SEAL keeps the Galois key of an element."""
    return (element - 1) // 2


def _read_keys(saved: bytes, place: int) -> list[Seeded]:
    """A key-switching key that SEAL has just written, the only one, at its place: the counts before it are zero."""
    content = _content(saved)
    position, keys = _KEYS.size + place * _COUNT.size, []
    (count,) = _COUNT.unpack_from(content, position)
    position += _COUNT.size
    for _ in range(count):
        size = HEADER.unpack_from(content, position)[-1]
        keys.append(_seeded(content[position + HEADER.size : position + size]))
        position += size
    return keys


def _read_key(parameters: Parameters, kept: bytes) -> Any:
    key = sealapi.SecretKey()
    with scratch_file(kept) as path:
        try:
            key.load(parameters.context, path)
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"the kept key is not one of this plan's: {error}. Open a new session.") from error
    return key


def _load_ciphertext(parameters: Parameters, residues: Residues, scale: float) -> Any:
    """SEAL's object of a ciphertext [components, l, N]."""
    level = parameters.context.first_context_data()
    for _ in range(len(parameters.primes) - residues.shape[1]):
        level = level.next_context_data()
    ciphertext = sealapi.Ciphertext()
    with scratch_file(*_serialize(level.parms_id(), residues, scale)) as path:
        ciphertext.load(parameters.context, path)
    return ciphertext


def _serialize(identifier: list[int], residues: Residues | Words, scale: float) -> list[Buffer]:
    """Residues [components, primes, N] as SEAL reads them, in pieces."""
    components, primes, degree = residues.shape
    fields = _FIELDS.pack(*identifier, 1, components, degree, primes, scale, 1)
    values: list[Buffer] = [_COUNT.pack(residues.size), residues.astype("<u8", order="C", copy=False).data.cast("B")]
    inner: list[Buffer] = [_header(_length(values)), *values]
    return [_header(len(fields) + _length(inner)), fields, *inner]


def _length(pieces: Sequence[Buffer]) -> int:
    return sum(map(len, pieces))


def _header(content_bytes: int) -> bytes:
    return HEADER.pack(_MAGIC, _HEADER_BYTES, *_VERSION, _UNCOMPRESSED, 0, HEADER.size + content_bytes)


def _content(saved: bytes) -> bytes:
    """What follows the header, decompressed."""
    compression = HEADER.unpack_from(saved)[4]
    content = saved[HEADER.size :]
    return zstandard.ZstdDecompressor().decompress(content) if compression == _ZSTANDARD else content


def _centred(residues: Residues, degree: int, prime: int) -> NDArray[np.int64]:
    """Coefficients in (-q/2, q/2) of a polynomial in NTT form [N], which is overwritten."""
    prime_tables(degree, prime).inverse(residues)
    integers = residues.astype(np.int64)
    return np.where(integers > prime // 2, integers - prime, integers)


def _residues(saved: bytes) -> Residues:
    """Residues [components, primes, N] of a ciphertext or public key that SEAL has just written."""
    content = _content(saved)
    components, degree, primes = _FIELDS.unpack_from(content)[5:8]
    return _values(content, components * degree * primes).reshape(components, primes, degree)


def _seeded(content: bytes) -> Seeded:
    """A seeded ciphertext or public key that SEAL has just written, its header left out."""
    degree, primes = _FIELDS.unpack_from(content)[6:8]
    if content[-SEED_BYTES - 1] != _BLAKE2XB:
        raise SessionError("SEAL was built with another generator than BLAKE2Xb: install the TenSEAL of the lock file")
    return Seeded(_values(content, degree * primes).reshape(primes, degree), content[-SEED_BYTES:])


def _values(content: bytes, count: int, fields: struct.Struct = _FIELDS) -> Residues:
    start = fields.size + HEADER.size + _COUNT.size
    return np.frombuffer(content, dtype="<u8", offset=start, count=count).astype(np.uint32)
