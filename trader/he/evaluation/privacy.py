"""What keeps the seller's model private in a response: hidden coefficients, fresh randomness, flooding noise.

Without them a response gives the model away, since the buyer holds the secret key and knows every second half of its
own ciphertexts: c1 of a linear layer is Σ W·a with known a, and c2 of a network is a quadratic form of known a.
`Protection` turns a ciphertext into one whose components are pseudo-random but for its phase, and whose phase holds

- in the visible coefficients (`trader.he.layouts.visible`), n' for each output of n' samples that were paid for, the
  output and noise that is uniform in [-2^b, 2^b), under which the noise of the evaluation disappears (smudging: Asharov
  et al., 2012, Lemma 2.1);
- in every other coefficient a number that is uniform modulo the response's modulus Q, and independent of all else.

The second needs no assumption on what was sent. Whatever the phase p is, p + r with r uniform and secret is uniform
(a one-time pad), be p an honest result, one of other samples in slots that nobody paid for, of plaintexts beyond their
range, or what evaluation made of forged relinearisation and Galois keys. Where nothing is joined to an output, the
pairs p_gk and p_(N - gk) get the same r: of both together nothing but their difference is left. So the phase says no
more than its n' visible numbers per output do, and each of these at most log2 Q - b - 1 bits (`HePlan.capacity_bits`):
what is left of log2 Q, the most that a number modulo Q can say, after the b + 1 bits that the noise takes up. Among
hostile inputs, it is these bits that are the limit; among honest ones, the flooding also hides all that is not the
output, up to a distance of 2^-`statistical_bits` or so per coefficient.

In small numbers, with Q = 1021 and b = 6: the evaluation leaves the phase (203, 17, 850, 5), whose coefficient 0 shows
an output of 200 with an error of 3. Flooding -41, one of the 128 integers in [-64, 64), and hiding 611, 402 and 930
make it (203 - 41, 17 + 611, 850 + 402, 5 + 930) = (162, 628, 231, 935) modulo 1021. With the error, coefficient 0 is
one of 139 … 266, without it one of 136 … 263, each as likely as the others: 162 tells nothing of the error, and only
the 3 numbers at either end that just one of the ranges has would. The other coefficients are uniform, whatever the
phase was. As 1021/128 < 8, coefficient 0 says less than 3 bits, whatever the buyer sent.

A ciphertext of components c0 … cd is re-randomised with Σ_j z_j·s^j, j < d, where each z_j = (a, b) is a fresh
encryption of zero and s the secret key: adding a to c_j and b to c_(j + 1) takes no key. So every component but c0 gets
a pseudo-random addend of its own, and c0 follows from the phase. That b = u·p1 + e, with secret u and e, is
pseudo-random even beside a takes two things of the buyer's key, which the seller makes sure of. p1 is uniform: a
request holds its seed, and nobody has a choice of p1 itself. And p0 is p1 times something short, plus something short:
else a = u·p0 + e' could show u, and with it b. That is proven before anything is evaluated
(`trader.he.wire.key_proof`); as twice p0 is what is proven, z_j counts 2^(j + 1) times, and a follows from b but for
noise that the flooding covers (`trader.he.planning.policy.check_flooding`). Other keys need no proof: they are used
before all of this.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trader.he.layouts.visible import Visible
from trader.he.planning.plan import HePlan
from trader.he.ring import kernels
from trader.he.ring.sampling import random_residues, random_words
from trader.he.ring.transform import prime_tables
from trader.he.seal import Parameters, PublicKey
from trader.he.types import Residues

LIMB_BITS = 60


@dataclass(frozen=True, slots=True)
class Randomisation:
    """What protects one ciphertext, and no other.

    Attributes:
        primes: of the response.
        noise: encryptions of zero, hiding and flooding, [components, primes, N].
    """

    primes: tuple[int, ...]
    noise: Residues = field(repr=False)

    def apply(self, ciphertext: Residues) -> None:
        """Re-randomise, hide and flood a ciphertext [components, primes, N], in place."""
        for component, noise in zip(ciphertext, self.noise, strict=True):
            for index, prime in enumerate(self.primes):
                kernels.add(noise[index], prime, component[index])


@dataclass(frozen=True, slots=True)
class Protection:
    """Protects the ciphertexts of one response.

    Attributes:
        plan: says how much noise.
        parameters: of the ring; responses have the first `plan.response_primes` primes.
        public_key: the buyer's.
    """

    plan: HePlan
    parameters: Parameters
    public_key: PublicKey

    @property
    def _primes(self) -> tuple[int, ...]:
        return self.parameters.primes[: self.plan.response_primes]

    def draw(self, visible: Visible) -> Randomisation:
        """Return what protects one ciphertext that shows so much."""
        # Leaving out residues switches encryptions of zero to the response's level.
        noise = self.public_key.encrypt_zero(self.plan.components)[:, : len(self._primes)]
        for addend, total, prime in zip(self._noise(visible), noise[0], self._primes, strict=True):
            prime_tables(self.plan.ring_degree, prime).forward(addend)
            kernels.add(addend, prime, total)
        return Randomisation(self._primes, noise)

    def _noise(self, visible: Visible) -> Residues:
        """Return what is added to the phase, coefficients [primes, N]."""
        noise = self._hiding(visible)
        limbs = _uniform_integers(2 * visible.period, self.plan.visible_flooding_bits(visible))
        shown = np.ascontiguousarray(noise[:, :: visible.gap(self.plan.ring_degree)])
        for row, prime in zip(shown, self._primes, strict=True):
            for integers, position in limbs:
                kernels.add_integers(integers, prime, pow(2, position, prime), row)
        noise[:, :: visible.gap(self.plan.ring_degree)] = shown
        return noise

    def _hiding(self, visible: Visible) -> Residues:
        """Uniform coefficients [primes, N]; zero, or in equal pairs, in places that show something."""
        degree, period = self.plan.ring_degree, visible.period
        if visible.joined and visible.gap(degree) == 1:  # every place shows something: nothing is drawn for any
            return np.zeros((len(self._primes), degree), dtype=np.uint32)
        hiding = np.stack([random_residues(degree, prime) for prime in self._primes])
        shown = hiding[:, :: visible.gap(degree)]
        if visible.joined:
            shown[:] = 0
        else:
            # p_(N/2), the one in the middle, shows nothing.
            shown[:, 0] = 0
            shown[:, period + 1 :] = shown[:, period - 1 : 0 : -1]
        return hiding


def _uniform_integers(count: int, bits: int) -> list[tuple[NDArray[np.int64], int]]:
    """Uniform integers [count] in [-2^bits, 2^bits) as (limb, position in bits)."""
    limbs = []
    position, left = 0, bits + 1
    while left > LIMB_BITS:
        limbs.append(((random_words((count,)) >> np.uint64(64 - LIMB_BITS)).astype(np.int64), position))
        position, left = position + LIMB_BITS, left - LIMB_BITS
    top = random_words((count,)) >> np.uint64(64 - left)
    return [*limbs, (top.astype(np.int64) - (1 << (left - 1)), position)]
