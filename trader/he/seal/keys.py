"""Keys, encryption and decryption by SEAL, through TenSEAL's raw bindings.

Nothing else imports them, but for `trader.he.seal.process`. The bindings read files only; an anonymous file in memory
serves. What is loaded here has been checked by `trader.he.wire.container` or was made by this process.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from trader.he.errors import SessionError
from trader.he.parallel import run_tasks, worker_count
from trader.he.ring import kernels
from trader.he.ring.encoding import Slots, encode
from trader.he.ring.transform import prime_tables, transform
from trader.he.seal.encryption_parameters import Parameters
from trader.he.seal.process import saved, scratch_file
from trader.he.seal.serialization import (
    PLAINTEXT,
    Seeded,
    content_of,
    place_of,
    read_residues,
    read_seeded,
    read_switching_key,
    read_values,
    serialize,
)
from trader.he.seal.workers import SealProcess
from trader.he.types import Progress, Residues

Secret: TypeAlias = tuple[int, ...]
"""What a key switches from: (e, f, …) is s(X^e)·s(X^f)·…, s the secret key."""
RELINEARISATION: Secret = (1, 1)
"""s²."""
SMALLEST_SHARED_RESIDUES = 1 << 21
"""From this number of residues to encrypt on, some 0.2 s, it pays to start processes for them."""
SMALLEST_SHARED_KEYS = 4 * 8192
"""From this number of Galois keys, times N, on it pays to start a process for half of them."""


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
        """Return the key in SEAL's own serialization. Secret."""
        return saved(self._key)

    def public_key(self) -> Seeded:
        """Make a fresh public key, [all primes, N]: an encryption of zero modulo all primes, the special ones last."""
        level = self._parameters.context.key_parms_id()
        return read_seeded(content_of(saved(self._encryptor.encrypt_zero_symmetric(level))))

    def coefficients(self) -> NDArray[np.int64]:
        """Return the key s as ternary integers [N]. Secret."""
        degree, prime = self._parameters.degree, self._parameters.primes[0]
        count = degree * len(self._parameters.all_primes)
        residues = np.frombuffer(content_of(self.to_bytes())[-8 * count :], dtype="<u8", count=degree).astype(np.uint32)
        return _centred(residues, degree, prime)

    def error(self, public: Seeded) -> NDArray[np.int64]:
        """Return the error p0 + p1·s of a public key of this key's, integers [N]. Secret."""
        degree, prime = self._parameters.degree, self._parameters.primes[0]
        key = transform(self.coefficients()[np.newaxis, np.newaxis], (0,), (prime,))[0, 0]
        first, second = public.expand(self._parameters.all_primes)[:, 0]
        kernels.multiply_accumulate(second, key, first, prime, key)
        return _centred(key, degree, prime)

    def relinearisation_keys(self) -> list[Seeded]:
        """Fresh keys that take a ciphertext from three components to two: one [primes + 1, N] per prime."""
        (keys,) = self.switching_keys([RELINEARISATION])
        return keys

    def galois_keys(self, elements: Sequence[int]) -> list[list[Seeded]]:
        """Fresh keys for automorphisms X → X^e, odd e < 2N: for each element one [primes + 1, N] per prime."""
        return self.switching_keys([(element,) for element in elements])

    def switching_keys(self, secrets: Sequence[Secret]) -> list[list[Seeded]]:
        """Fresh keys that switch from other secrets to this one: one [all primes, N] per digit each.

        With one special prime those for relinearisation and for an automorphism are SEAL's, half of the latter another
        process's.

        Raises:
            SessionError: the process has ended before its time.
        """
        if len(self._parameters.special_primes) > 1:
            return [self._made_key(secret) for secret in secrets]
        elements = [secret[0] for secret in secrets if len(secret) == 1]
        others = len(secrets) - len(elements)
        shared = worker_count() > 1 and len(elements) * self._parameters.degree >= SMALLEST_SHARED_KEYS
        # The process takes about as long to start as this one to unpack the keys of both.
        share = min(len(elements), max(1, (len(elements) + others) // 2)) if shared else 0
        elsewhere = elements[len(elements) - share :]
        with ExitStack() as stack, _raised_as_session_error():
            process = self._start_process(stack, elements=elsewhere) if elsewhere else None
            own = [secret for secret in secrets if len(secret) > 1 or secret[0] not in elsewhere]
            found = {secret: self._own_key(secret) for secret in own}
            if process is not None:
                for element in elsewhere:
                    found[(element,)] = read_switching_key(process.read(), place_of(element))
        return [found[secret] for secret in secrets]

    def _own_key(self, secret: Secret) -> list[Seeded]:
        """SEAL's own key, where it makes such keys."""
        if secret == RELINEARISATION:
            return read_switching_key(saved(self._generator.create_relin_keys()), 0)
        if len(secret) > 1:
            return self._made_key(secret)
        return read_switching_key(saved(self._generator.create_galois_keys(list(secret))), place_of(secret[0]))

    def _made_key(self, secret: Secret) -> list[Seeded]:
        """Make a key as SEAL makes its own: P·s' added to encryptions of zero, for each digit modulo its primes."""
        own = self.coefficients()
        target, *factors = (self._form(_moved(own, element)) for element in secret)
        product = math.prod(self._parameters.special_primes)
        for index, prime in enumerate(self._parameters.primes):
            zero = np.zeros_like(target[index])
            for factor in (*factors, np.full_like(target, product % prime)):
                kernels.multiply_accumulate(target[index], factor[index], zero, prime, target[index])
        key = [self.public_key() for _ in self._parameters.digits]
        for digit, places in zip(key, self._parameters.digits, strict=True):
            for place in places:
                kernels.add(target[place], self._parameters.primes[place], digit.residues[place])
        return key

    def _form(self, coefficients: NDArray[np.int64]) -> Residues:
        """NTT form [primes, N] of small integers [N]."""
        form: Residues = transform(coefficients[np.newaxis, np.newaxis], (0,), self._parameters.primes)[0]
        return form

    def _start_process(self, stack: ExitStack, *, zeros: int = 0, elements: Sequence[int] = ()) -> SealProcess:
        """Return a process that makes encryptions of zero, or keys; it ends with the stack."""
        bits = [prime.bit_length() for prime in self._parameters.all_primes]
        process = SealProcess(self._parameters.degree, bits, self.to_bytes(), zeros=zeros, elements=elements)
        stack.callback(process.close)
        return process

    def encrypt(self, slots: Slots, scale: float) -> Seeded:
        """Encrypt up to N/2 slots at a scale, [primes, N]: SEAL's symmetric encryption of zero, plus the message."""
        return self.add_message(saved(self._encryptor.encrypt_zero_symmetric()), slots, scale)

    @contextmanager
    def encryption(self, count: int) -> Iterator["Encryption"]:
        """Begin to encrypt `count` vectors of slots on all cores, where that pays.

        Processes make encryptions of zero from now on, so that what else is to be done before can be done meanwhile.
        """
        residues = count * self._parameters.degree * len(self._parameters.primes)
        workers = worker_count() if residues >= SMALLEST_SHARED_RESIDUES else 1
        with ExitStack() as stack:
            shares = [len(range(worker, count, workers)) for worker in range(workers)] if workers > 1 else []
            yield Encryption(self, count, [self._start_process(stack, zeros=share) for share in shares])

    def add_message(self, saved_zero: bytes | memoryview, slots: Slots, scale: float) -> Seeded:
        """Add the encoded slots to an encryption of zero."""
        zero = read_seeded(content_of(saved_zero))
        zero = Seeded(zero.residues[: len(self._parameters.primes)], zero.seed)
        message = encode(slots, scale, self._parameters.degree, self._parameters.primes)
        for index, prime in enumerate(self._parameters.primes):
            kernels.add(message[index], prime, zero.residues[index])
        return zero

    def phase(self, residues: Residues) -> Residues:
        """Σ c_j·s^j of a ciphertext [components, l, N], NTT form [l, N]; l primes of the modulus are left."""
        ciphertext, plaintext = load_ciphertext(self._parameters, residues, 1.0), sealapi.Plaintext()
        self._decryptor.decrypt(ciphertext, plaintext)
        form = read_values(content_of(saved(plaintext)), residues[0].size, PLAINTEXT)
        return form.reshape(residues.shape[1:])


class Encryption:
    """Vectors of slots that are encrypted one by one, under one key; see `SecretKey.encryption`."""

    def __init__(self, key: SecretKey, count: int, processes: Sequence[SealProcess]) -> None:
        self._key = key
        self._count = count
        self._processes = [(process, Lock()) for process in processes]

    def run(
        self,
        slots_of: Callable[[int], Slots],
        scale: float,
        take: Callable[[int, Seeded], None],
        progress: Progress | None = None,
    ) -> None:
        """Encrypt what `slots_of` gives for each index at a scale, and hand the ciphertexts to `take` with it.

        Raises:
            SessionError: a process that encrypts has ended before its time.
        """

        def encrypt(index: int) -> None:
            if not self._processes:
                take(index, self._key.encrypt(slots_of(index), scale))
                return
            process, lock = self._processes[index % len(self._processes)]
            with lock, _raised_as_session_error():
                zero = process.read()
            take(index, self._key.add_message(zero, slots_of(index), scale))

        run_tasks(encrypt, range(self._count), progress)


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
        residues: [2, all primes, N], the special primes last.
    """

    def __init__(self, parameters: Parameters, residues: Residues) -> None:
        key = sealapi.PublicKey()
        with scratch_file(*serialize(parameters.context.key_parms_id(), residues, 1.0)) as path:
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
            zero = read_residues(saved(self._fresh_zero()))
            for component, addends in enumerate(zero, start=power):
                for index, prime in enumerate(primes):
                    for _ in range(2 << power):
                        kernels.add(addends[index], prime, total[component, index])
        return total

    def _fresh_zero(self) -> Any:
        ciphertext = sealapi.Ciphertext()
        self._encryptor.encrypt_zero(ciphertext)
        return ciphertext


def _read_key(parameters: Parameters, kept: bytes) -> Any:
    key = sealapi.SecretKey()
    with scratch_file(kept) as path:
        try:
            key.load(parameters.context, path)
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"the kept key is not one of this plan's: {error}. Open a new session.") from error
    return key


def load_ciphertext(parameters: Parameters, residues: Residues, scale: float) -> Any:
    """SEAL's object of a ciphertext [components, l, N]."""
    level = parameters.context.first_context_data()
    for _ in range(len(parameters.all_primes) - 1 - residues.shape[1]):
        level = level.next_context_data()
    ciphertext = sealapi.Ciphertext()
    with scratch_file(*serialize(level.parms_id(), residues, scale)) as path:
        ciphertext.load(parameters.context, path)
    return ciphertext


def _moved(coefficients: NDArray[np.int64], element: int) -> NDArray[np.int64]:
    """Coefficients [N] of a polynomial under X → X^element; X^N is -1."""
    degree = len(coefficients)
    places = np.arange(degree) * element % (2 * degree)
    moved = np.empty_like(coefficients)
    moved[places % degree] = np.where(places < degree, coefficients, -coefficients)
    return moved


def _centred(residues: Residues, degree: int, prime: int) -> NDArray[np.int64]:
    """Coefficients in (-q/2, q/2) of a polynomial in NTT form [N], which is overwritten."""
    prime_tables(degree, prime).inverse(residues)
    integers = residues.astype(np.int64)
    return np.where(integers > prime // 2, integers - prime, integers)
