"""What keeps the seller's model private in a response: masked slots, fresh randomness, flooding noise.

Without them a response gives the model away, since the buyer holds the secret key and knows every second half of its
own ciphertexts: c1 of a linear layer is Σ W·a with known a, and c2 of a network is a quadratic form of known a.
`Protection` turns a ciphertext into one whose components are pseudo-random but for its phase, and whose phase holds

- in the n used slots the output, and noise that is uniform in [-2^flooding_bits, 2^flooding_bits) per coefficient,
  under which the noise of the evaluation disappears (smudging: Asharov et al., 2012, Lemma 2.1);
- in the other slots the value times a random complex factor (the mask's own randomised rounding, about
  2^-mask_scale_bits of it) plus uniform noise that is larger than any honest output. A buyer who puts samples there to
  get more than it paid for learns at most roughly how large the values are, however much it scales them up.

A ciphertext of components c0 … cd is re-randomised with Σ_j z_j·s^j, j < d, where each z_j = (a, b) is a fresh
encryption of zero and s the secret key: adding a to c_j and b to c_(j + 1) takes no key. So every component but c0 gets
a pseudo-random addend of its own, and c0 follows from the phase. That b is pseudo-random takes a public key whose
second component p1 is uniform: b = u·p1 + e with secret u and e is a sample of the ring-LWE problem. Therefore a
request holds the seed of p1, and its maker has no choice of p1 itself.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.encoding import coefficients, polynomial, round_to_integers
from trader.he.plan import HePlan
from trader.he.planner import GUARD_BITS
from trader.he.ring import transform
from trader.he.sampling import random_fractions, random_words, round_at_random
from trader.he.seal import Parameters, PublicKey
from trader.he.types import Residues

LIMB_BITS = 60
DOUBLE_BITS = 52
UNUSED_HEADROOM_BITS = 24
"""Noise in unused slots exceeds the outputs' scale by this at most: more would cost the used slots double precision."""


@dataclass(frozen=True, slots=True)
class Cover:
    """What protects one ciphertext, and no other.

    Attributes:
        primes: of the response.
        mask: by which it is multiplied, NTT form [primes, N]; None for weights that were masked.
        noise: what is added then: encryptions of zero, flooding, [components, primes, N].
    """

    primes: tuple[int, ...]
    mask: Residues | None = field(repr=False)
    noise: Residues = field(repr=False)

    def apply(self, ciphertext: Residues) -> None:
        """Mask, re-randomise and flood a ciphertext [components, primes, N], in place."""
        for component, noise in zip(ciphertext, self.noise, strict=True):
            for index, prime in enumerate(self.primes):
                if self.mask is None:
                    kernels.add(noise[index], prime, component[index])
                else:
                    mask = self.mask[index]
                    kernels.multiply_accumulate(component[index], mask, noise[index], prime, component[index])


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

    def draw(self, used: NDArray[np.bool_]) -> Cover:
        """What protects one ciphertext whose slots [N/2] hold outputs where `used` says so.

        Without a mask scale, the last layer's weights were masked.
        """
        # Leaving out residues switches encryptions of zero to the response's level.
        noise = self.public_key.encrypt_zero(self.plan.components)[:, : len(self._primes)]
        limbs = [*self._flooding(), *self._unused_noise(used)]
        for addend, total, prime in zip(self._transform(limbs), noise[0], self._primes, strict=True):
            kernels.add(addend, prime, total)
        return Cover(self._primes, self._mask(used) if self.plan.mask_scale_bits else None, noise)

    def _mask(self, used: NDArray[np.bool_]) -> Residues:
        """NTT form [primes, N] of 2^mask_scale_bits in used and 0 in other slots, rounded at random."""
        exact = coefficients(used[np.newaxis].astype(np.float64), self.plan.ring_degree)[0]
        return self._transform([(round_at_random(np.ldexp(exact, self.plan.mask_scale_bits)), 0)])

    def _flooding(
        self,
    ) -> list[tuple[NDArray[np.int64], int]]:
        """Uniform integers in [-2^b, 2^b) as (limb, position in bits)."""
        limbs = []
        position = 0
        bits = self.plan.flooding_bits + 1
        while bits - position > LIMB_BITS:
            words = random_words((self.plan.ring_degree,)) >> np.uint64(64 - LIMB_BITS)
            limbs.append((words.astype(np.int64), position))
            position += LIMB_BITS
        words = random_words((self.plan.ring_degree,)) >> np.uint64(64 - (bits - position))
        limbs.append((words.astype(np.int64) - (1 << (bits - position - 1)), position))
        return limbs

    def _unused_noise(self, used: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], int]]:
        """Zero in used slots, uniform over the room that the modulus leaves in the others, as (integers, position)."""
        modulus_bits = math.prod(self._primes).bit_length() - 1
        room = min(modulus_bits - GUARD_BITS, self.plan.output_scale_bits + UNUSED_HEADROOM_BITS)
        position = max(0, room - DOUBLE_BITS)
        noise = 2 * random_fractions((1 + self.plan.joined, *used.shape)) - 1
        slots = np.where(used, 0.0, noise[0] + (1j * noise[1] if self.plan.joined else 0))
        exact = polynomial(slots, self.plan.ring_degree)
        return [(round_to_integers(exact * 2.0 ** (room - position)), position)]

    def _transform(self, limbs: list[tuple[NDArray[np.int64], int]]) -> Residues:
        """Σ limb·2^position in NTT form, [primes, N]."""
        integers, positions = zip(*limbs, strict=True)
        result: Residues = transform(np.stack(integers)[np.newaxis], positions, self._primes)[0]
        return result
