"""Proof that a public key is one: knowledge of short w1, w2 with p0 = p1·w1 + w2 modulo all primes, nothing else told.

Re-randomisation hides a response under (p0, p1) only if p0 is p1 times something short, plus something short
(`trader.he.evaluation.privacy`); a p0 of the buyer's choice lets it read the seller's randomness. So a request proves
it. SEAL has p0 + p1·s = e, hence w1 = -s and w2 = e.

The protocol is that of Benhamouda, Camenisch, Krenn, Lyubashevsky and Neven ("Better Zero-Knowledge Proofs for Lattice
Encryption and Their Application to Group Signatures", ASIACRYPT 2014), whose challenges are monomials X^c, c < 2N, with
uniform masks in place of Gaussian ones, made non-interactive by hashing (Fiat and Shamir). K times side by side, with
y1, y2 uniform integer polynomials: t = p1·y1 + y2; challenge c = H(statement, all t); z_i = y_i + X^c·w_i. The verifier
checks that z1 and z2 are short, computes t = p1·z1 + z2 - X^c·p0 and compares the hash.

Knowledge soundness. Two accepting transcripts with one t and c ≠ c' give (X^c - X^c')·p0 = p1·(z1 - z1') + (z2 - z2').
2/(X^c - X^c') is a polynomial with coefficients in {-1, 0, 1}, so 2·p0 = p1·w1 + w2 with the integers
w_i = 2/(X^c - X^c')·(z_i - z_i'), whose norms `Statement.extracted` bounds. Whoever doesn't know such w answers one
challenge of 2N at most in each repetition: (2N)^-K <= 2^-128 for each hash that it tries. That one hash means one t
holds but for collisions of SHA-256, 2^128 hashes again. Mind the 2: what hides under this key has to be doubled
(`trader.he.seal.keys.PublicKey.encrypt_zero`).

Zero knowledge. Let |w_i| <= b_i per coefficient, y_i uniform in [-M_i, M_i), and z_i shown only if it lies in a set S
of polynomials within [-B_i, B_i), B_i = M_i - b_i; S is fixed by the statement's form. For every c and every z in S
there is exactly one y = z - X^c·w, and it is within the mask's box since |X^c·w| <= b_i. So each z in S is shown with
the same probability, and a try succeeds with probability |S| / |box of masks|, whatever w is. With H a random oracle, a
simulator draws c and z in S, sets t, and programs H. Rejected tries never leave `prove`.

The box. All coefficients are within it with probability Π (1 - b_i/M_i)^(N·K). M_i is a power of two, so
that a mask is some bits of a random word, and at least 2·N·K·b_2, or the try would seldom succeed. A wider one costs
what flooding has to hide (`Form.hidden_noise_bits`). Of that, in ciphertexts of two components, nearly all comes from
the error, which is 21 times as large as the secret. So the secret's box is the wider one, at least 8·N·K·b_1, but in
rings of less than 8192, whose plans have the least to spare. A proof takes 1.6 tries, there 2.1 to 2.4.
"""

import hashlib
import math
import struct
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trader.he.errors import SessionError, WireError
from trader.he.ring import kernels, ntt
from trader.he.ring.sampling import random_signed
from trader.he.ring.transform import monomial_places, ring_tables
from trader.he.types import Residues

VERSION = 2
SOUNDNESS_BITS = 128
WITNESS_BOUNDS = (1, 21)
"""Largest |coefficient| of secret and error: SEAL's are ternary and the difference of 21 coins and 21 coins."""
DIGEST_BYTES = 32
MAXIMUM_TRIES = 400
"""All fail with probability below 2^-200."""
_DOMAIN = b"modelseal key proof commitments"
_SPARE_DEGREE = 8192
"""Plans of rings from here on have flooding to spare."""
_L2_MARGIN = 1.05
_FAILURE_BITS = 40
_UNIFORM_TERNARY, _BINOMIAL = 2 / 3, 10.5
"""Variances of SEAL's u and e; both are strictly sub-Gaussian."""
_SHAPE = struct.Struct("<IIIII")
_Integers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Norms of a polynomial: largest coefficient, l2 of the coefficients, largest value at a root of X^N + 1.

    A coefficient may be -largest, but not largest: there is an even number of them, as there is of masks.
    """

    largest: int
    l2: float
    canonical: float

    def contain(self, polynomials: _Integers) -> bool:
        """Whether all coefficients, of any number of polynomials, are within the first."""
        return int(polynomials.min()) >= -self.largest and int(polynomials.max()) < self.largest

    def hold(self, polynomial: _Integers) -> bool:
        """Whether an integer polynomial [N] is within all three."""
        values = polynomial.astype(np.float64)
        return (
            self.contain(polynomial)
            # BLAS would take threads for a product of 10,000 values, and wait for a core longer than the sum takes.
            and float(np.square(values).sum()) <= self.l2**2
            and canonical_norm(values) <= self.canonical
        )


def canonical_norm(values: NDArray[np.float64]) -> float:
    """Largest |value| of a real polynomial [N] at the roots of X^N + 1, by one FFT of N/2 points."""
    half = values.size // 2
    # Bin k is the value at exp(iπ(1 - 4k)/N); the other roots are these ones' conjugates.
    found = np.fft.fft((values[:half] + 1j * values[half:]) * _twist(values.size))
    return math.sqrt(float((found.real**2 + found.imag**2).max()))


@lru_cache(maxsize=8)
def _twist(degree: int) -> NDArray[np.complex128]:
    """exp(iπj/N) for j < N/2, read-only."""
    factors: NDArray[np.complex128] = np.exp(1j * np.pi * np.arange(degree // 2) / degree)
    factors.flags.writeable = False
    return factors


@dataclass(frozen=True, slots=True)
class Form:
    """Everything about a proof that follows from the ring.

    Attributes:
        degree: N.
        primes: all of them, the special one last.
    """

    degree: int
    primes: tuple[int, ...]

    @property
    def repetitions(self) -> int:
        """K: (2N)^-K is at most 2^-128."""
        return math.ceil(SOUNDNESS_BITS / math.log2(2 * self.degree))

    @property
    def bounds(self) -> tuple[Bounds, Bounds]:
        """Of z1 and z2; the last two are what a uniform polynomial in the box keeps, but for a few in a thousand."""
        return _bounds(self.degree, self.repetitions)

    @property
    def byte_count(self) -> int:
        """Exact length of a proof."""
        return DIGEST_BYTES + self.degree * self.repetitions * sum(self._widths)

    @property
    def mask_bits(self) -> list[int]:
        """Bits of a coefficient of y1 and of y2, in two's complement: log2(2·M)."""
        pairs = zip(self.bounds, WITNESS_BOUNDS, strict=True)
        return [(bounds.largest + bound).bit_length() for bounds, bound in pairs]

    @property
    def _widths(self) -> list[int]:
        """Bytes of a coefficient of z1 and of z2."""
        return [-(-bits // 8) for bits in self.mask_bits]

    def pack(self, digest: bytes, answers: tuple[_Integers, _Integers]) -> bytes:
        """Digest and z1, z2 [K, N] as bytes: coefficients + B, little-endian."""
        packed = [digest]
        for values, bounds, width in zip(answers, self.bounds, self._widths, strict=True):
            content = np.empty(values.size * width, dtype=np.uint8)
            kernels.split_bytes(values.reshape(-1), 8 * width, bounds.largest, content)
            packed.append(content.tobytes())
        return b"".join(packed)

    def unpack(self, proof: bytes) -> tuple[bytes, tuple[_Integers, _Integers]]:
        """Return what `pack` was given.

        Raises:
            WireError: not of the exact length.
        """
        if len(proof) != self.byte_count:
            raise WireError(f"the public key's proof has {len(proof)} bytes, expected {self.byte_count}")
        start, found = DIGEST_BYTES, []
        for bounds, width in zip(self.bounds, self._widths, strict=True):
            values = np.empty(self.repetitions * self.degree, dtype=np.int32)
            content = np.frombuffer(proof, np.uint8, values.size * width, start)
            # All bits are read: a word of 2·B or more is an answer that isn't short, never another way to write one.
            kernels.join_bytes(content, 8 * width, bounds.largest, values)
            found.append(values.reshape(self.repetitions, self.degree))
            start += content.size
        return proof[:DIGEST_BYTES], (found[0], found[1])

    def hidden_noise_bits(self, components: int) -> float:
        """log2 of the largest noise that flooding must hide under a proven key, for so many components.

        The phase of Σ_j 2^(j+1)·z_j·s^j under s = -w1/2 is Σ_j (-w1)^j·(u_j·w2 - w1·e1_j + 2·e0_j). The bound holds for
        all coefficients but with probability 2^-40: sums of u and e with fixed factors are sub-Gaussian with their
        variance, at most the factors' squared l2 norm times that of a coefficient.
        """
        first, second = self.bounds
        roots = np.exp(1j * np.pi * (2 * np.arange(self.degree // 2) + 1) / self.degree)
        inverse = 2 / np.abs(1 - roots)  # odd c - c': the largest norms of 2/(X^c - X^c')

        def l2(secrets: int, errors: int) -> float:
            """Of w1^secrets·w2^errors: the extracted w_i are `inverse` times differences of two answers."""
            power = secrets + errors
            if not power:
                return 1.0
            values = (2 * first.canonical) ** secrets * (2 * second.canonical) ** errors
            by_mean = values * math.sqrt((inverse ** (2 * power)).mean())
            last = second if errors else first
            by_largest = values / (2 * last.canonical) * float(inverse.max()) ** power * 2 * last.l2
            return float(min(by_mean, by_largest))

        variance = 0.0
        for power in range(components - 1):
            variance += _UNIFORM_TERNARY * l2(power, 1) ** 2
            variance += _BINOMIAL * (l2(power + 1, 0) ** 2 + 4 * l2(power, 0) ** 2)
        deviations = math.sqrt(2 * math.log(2 * self.degree * 2.0**_FAILURE_BITS))
        return math.log2(deviations) + math.log2(variance) / 2


@lru_cache(maxsize=16)
def _bounds(degree: int, repetitions: int) -> tuple[Bounds, Bounds]:
    count = degree * repetitions
    # |z| at a root is about complex Gaussian of variance N·B²/3.
    deviations = math.sqrt(math.log(2 * count) + 3)
    factors = (8 if degree >= _SPARE_DEGREE else 2, 2)
    found = []
    for witness, factor in zip(WITNESS_BOUNDS, factors, strict=True):
        largest = (1 << (factor * count * witness - 1).bit_length()) - witness
        l2 = largest * math.sqrt(degree / 3)
        found.append(Bounds(largest, _L2_MARGIN * l2, deviations * l2))
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class Statement:
    """What is proven, and for which request.

    Attributes:
        form: of the proof.
        first: p0 in NTT form, [primes, N].
        second: p1 in NTT form, [primes, N].
        seed: that p1 is expanded from.
        binding: everything else that the proof is to hold for alone.
    """

    form: Form
    first: Residues = field(repr=False)
    second: Residues = field(repr=False)
    seed: bytes
    binding: bytes

    def prove(self, secret: NDArray[np.int64], error: NDArray[np.int64]) -> bytes:
        """Return a proof for p0 = p1·secret + error, both [N].

        Raises:
            SessionError: a witness beyond its bounds; nothing is shown then.
        """
        form, witness = self.form, (secret.astype(np.int32), error.astype(np.int32))
        if any(int(np.abs(w).max()) > bound for w, bound in zip((secret, error), WITNESS_BOUNDS, strict=True)):
            raise SessionError("the key's secret or error is larger than SEAL's are; open a new session")
        shape = (form.repetitions, form.degree)
        for _ in range(MAXIMUM_TRIES):
            masks = [random_signed(bits, shape) for bits in form.mask_bits]
            digest = self._digest(self._images(masks[0], masks[1]))
            challenges = self.challenges(digest)
            first, second = (
                mask + np.stack([shift(w, challenge) for challenge in challenges])
                for mask, w in zip(masks, witness, strict=True)
            )
            if self._short(first, second):
                return form.pack(digest, (first, second))
        raise SessionError("no try at a proof for the public key succeeded: the random generator is broken")

    def verify(self, proof: bytes) -> None:
        """Refuse a key that isn't proven for this request.

        Raises:
            WireError: wrong length, an answer that isn't short, or another statement's.
        """
        digest, (first, second) = self.form.unpack(proof)
        if not self._short(first, second):
            raise WireError("the public key isn't proven: an answer isn't short. Refuse this peer.")
        challenges = self.challenges(digest)
        if self._digest(self.commitments(first, second, challenges)) != digest:
            raise WireError("the public key isn't proven for this request. Refuse this peer.")

    def challenges(self, digest: bytes) -> list[int]:
        """Return the exponents c, one per repetition, uniform in [0, 2N)."""
        stream = hashlib.shake_256(b"modelseal key proof challenges" + digest).digest(4 * self.form.repetitions)
        words = np.frombuffer(stream, dtype="<u4") % np.uint32(2 * self.form.degree)  # 2N divides 2^32
        return [int(word) for word in words]

    def commitments(self, first: _Integers, second: _Integers, challenges: list[int]) -> Residues:
        """T = p1·z1 + z2 - X^c·p0, [K, primes, N]."""
        images = self._images(first, second)
        tables = ring_tables(self.form.degree, self.form.primes)
        places = monomial_places(self.form.degree, challenges)
        ntt.subtract_shifted(self.first, places, tables.primes, tables.roots, images)
        return images

    def _images(self, first: _Integers, second: _Integers) -> Residues:
        """p1·y1 + y2, [K, primes, N]."""
        tables = ring_tables(self.form.degree, self.form.primes)
        images = np.empty((len(first), *self.second.shape), dtype=np.uint32)
        ntt.transform_sums(first, second, self.second, tables.primes, tables.roots, tables.quotients, images)
        return images

    def _short(self, first: _Integers, second: _Integers) -> bool:
        pairs = list(zip((first, second), self.form.bounds, strict=True))
        # Nearly all tries that fail do so in the box, which is the cheapest to look at.
        return all(bounds.contain(answers) for answers, bounds in pairs) and all(
            bounds.hold(polynomial) for answers, bounds in pairs for polynomial in answers
        )

    def _digest(self, commitments: Residues) -> bytes:
        form = self.form
        # Nothing hashed is the beginning of anything else: all lengths follow from what stands first. So SHA-256's
        # chaining gives nobody a digest that it didn't ask for.
        hasher = hashlib.sha256(_DOMAIN)
        hasher.update(_SHAPE.pack(VERSION, form.degree, form.repetitions, len(form.primes), len(self.binding)))
        hasher.update(struct.pack(f"<{len(form.primes)}Q", *form.primes))
        for bounds in form.bounds:
            hasher.update(struct.pack("<Qdd", bounds.largest, bounds.l2, bounds.canonical))
        hasher.update(struct.pack("<I", len(self.seed)) + self.seed + self.binding)
        hasher.update(np.ascontiguousarray(self.first, dtype="<u4").data)
        hasher.update(np.ascontiguousarray(commitments, dtype="<u4").data)
        return hasher.digest()


def shift(polynomial: _Integers, exponent: int) -> _Integers:
    """X^exponent times a polynomial [N], modulo X^N + 1; 0 <= exponent < 2N."""
    turns, places = divmod(exponent, polynomial.size)
    rolled = np.roll(polynomial, places)
    rolled[:places] *= -1
    return -rolled if turns else rolled
