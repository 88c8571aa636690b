"""What keeps the seller's model private in a response: masked slots, fresh randomness, flooding noise.

Without them a response gives the model away, since the buyer holds the secret key and knows every second half of its
own ciphertexts: c1 of a linear layer is Σ W·a with known a, and c2 of a network is a quadratic form of known a.
`Protection` turns a ciphertext into one whose components are pseudo-random but for its phase, and whose phase holds

- in the n used slots the output, and noise that is uniform in [-2^flooding_bits, 2^flooding_bits) per coefficient,
  under which the noise of the evaluation disappears (smudging: Asharov et al., 2012, Lemma 2.1);
- in the other slots the value times a random complex factor (the mask's own randomised rounding, about
  2^-mask_scale_bits of it) plus uniform noise that is larger than any honest output. A buyer who puts samples there to
  get more than it paid for learns at most roughly how large the values are, however much it scales them up.

A ciphertext of components c0 … cd is re-randomised with Σ_j (products of j fresh encryptions of zero), j = 1 … d: every
component but c0 gets a pseudo-random addend, and c0 follows from the phase.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.encoding import coefficients, round_to_integers
from trader.he.plan import HePlan
from trader.he.planner import GUARD_BITS
from trader.he.ring import prime_tables
from trader.he.sampling import random_fractions, random_words, round_at_random
from trader.he.seal import Parameters, PublicKey
from trader.he.types import Residues

LIMB_BITS = 60
DOUBLE_BITS = 52
UNUSED_HEADROOM_BITS = 24
"""Noise in unused slots exceeds the outputs' scale by this at most: more would cost the used slots double precision."""


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

    def protect(self, ciphertext: Residues, used: NDArray[np.bool_]) -> None:
        """Mask, re-randomise and flood one ciphertext [components, primes, N], in place.

        `used` says which slots [N/2] hold outputs. Without a mask scale, the last layer's weights were masked.
        """
        noise = self._zero(ciphertext.shape[0])
        noise[0] = self._add_noise(noise[0], used)
        if not self.plan.mask_scale_bits:
            for component in range(ciphertext.shape[0]):
                self._add(ciphertext[component], noise[component])
            return
        mask = self._mask(used)
        for component in range(ciphertext.shape[0]):
            for index, prime in enumerate(self._primes):
                values = ciphertext[component, index]
                kernels.multiply_accumulate(values, mask[index], noise[component, index], prime, values)

    def _mask(self, used: NDArray[np.bool_]) -> Residues:
        """NTT form [primes, N] of 2^mask_scale_bits in used and 0 in other slots, rounded at random."""
        exact = coefficients(used[np.newaxis].astype(np.float64), self.plan.ring_degree)[0]
        return self._transform([(round_at_random(np.ldexp(exact, self.plan.mask_scale_bits)), 0)])

    def _zero(self, components: int) -> Residues:
        """Sum of products of 1 … components - 1 fresh encryptions of zero, [components, primes, N]."""
        # Leaving out residues switches an encryption of zero to the response's level.
        return self.public_key.encrypt_zero(components)[:, : len(self._primes)]

    def _add(self, total: Residues, addend: Residues) -> None:
        for index, prime in enumerate(self._primes):
            kernels.add(addend[index], prime, total[index])

    def _add_noise(self, first: Residues, used: NDArray[np.bool_]) -> Residues:
        """The first component plus flooding and the noise of unused slots, NTT form [primes, N]."""
        noise = self._transform(
            [*self._flooding(), *self._unused_noise(used)],
        )
        self._add(noise, first)
        return noise

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
        slots = np.where(used, 0.0, 2 * random_fractions(used.shape) - 1)
        polynomial = coefficients(slots[np.newaxis], self.plan.ring_degree)[0]
        return [(round_to_integers(polynomial * 2.0 ** (room - position)), position)]

    def _transform(self, limbs: list[tuple[NDArray[np.int64], int]]) -> Residues:
        """Σ limb·2^position in NTT form, [primes, N]."""
        degree = self.parameters.degree
        result = np.zeros((len(self._primes), degree), dtype=np.uint32)
        for index, prime in enumerate(self._primes):
            for integers, position in limbs:
                kernels.add_integers(integers, prime, pow(2, position, prime), result[index])
            prime_tables(degree, prime).forward(result[index])
        return result
