"""What a ciphertext of a response shows: the few coefficients of its polynomial that repeated samples have.

Slots that repeat with a period n', a power of two, are those of a polynomial in X^g, g = N/2n', and sums, products and
squares of such polynomials are polynomials in X^g again. So a response to repeated samples says all that it has to say
in 2n' coefficients p_0, p_g, p_2g, …; whatever stands in the others is none of the buyer's business, and is hidden
(`trader.he.evaluation.privacy`). Of real slots p_(N - i) = -p_i: where nothing is joined to them, p_0 and the
differences p_gk - p_(N - gk), 1 <= k < n', say it all: n' numbers for n' samples. Where two outputs are joined, as m +
J·m' with J = X^(N/2), all 2n' coefficients do.

An example with N = 8 and n' = 2: slots a, b, a, b are those of p_0 + p_2·X² + p_6·X⁶ with p_0 = (a + b)/2 and
p_2 = -p_6 = (a - b)/√8, so that the reader takes p_0 and p_2 - p_6 = 2·p_2. Other slots than these, a, b, c, d, have
other coefficients besides, but show only (a + c)/2 and (b + d)/2: the visible coefficients average the repeats.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.transform import prime_tables
from trader.he.types import Residues


class Visible(NamedTuple):
    """What one ciphertext of a response shows.

    Attributes:
        period: n', a power of two up to N/2: number of slots after which they repeat.
        joined: Whether there are two real values in every slot.
    """

    period: int
    joined: bool

    @property
    def values(self) -> int:
        """Number of real values that are shown."""
        return self.period * (1 + self.joined)

    def gap(self, degree: int) -> int:
        """Return the distance g of the visible coefficients in a ring of degree N."""
        return degree // (2 * self.period)


def period_of(count: int) -> int:
    """Return the period of `count` things that are repeated: the power of two at or above it."""
    return 1 << (count - 1).bit_length()


def charged_samples(samples: int) -> int:
    """Return what a test counts as, in quotas and on the chain: the power of two at or above its number of samples.

    A response shows as many numbers per output (in several batches, no more), so that a buyer may as well send as many.
    """
    return period_of(samples)


def read_values(phase: Residues, primes: tuple[int, ...], visible: Visible) -> NDArray[np.float64]:
    """Return what a ciphertext shows, at the scale that it has.

    Args:
        phase: Σ c_j·s^j of the ciphertext, NTT form [primes, N].
        primes: Of the form.
        visible: Says where to look.

    Returns:
        [1, n'], or [2, n'] if two outputs are joined.
    """
    degree = phase.shape[1]
    seen = np.empty((len(primes), 2 * visible.period), dtype=np.uint32)
    for row, form, prime in zip(seen, phase, primes, strict=True):
        coefficients = form.copy()
        prime_tables(degree, prime).inverse(coefficients)
        row[:] = coefficients[:: visible.gap(degree)]
    if visible.joined:
        slots = _slots(centre(seen, primes))
        signs = 1 - 2 * (np.arange(visible.period) % 2)  # the slots of J are i and -i by turns
        return np.stack([slots.real, slots.imag * signs])
    return _slots(_odd_part(seen, primes))[np.newaxis].real


def _odd_part(seen: Residues, primes: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the polynomial [2n'] of real slots, given what it shows: p_0, and half of each p_k - p_(2n' - k)."""
    period = seen.shape[1] // 2
    columns = np.array(primes, dtype=np.int64)[:, np.newaxis]
    shown = seen[:, :period].astype(np.int64)
    shown[:, 1:] = (shown[:, 1:] - seen[:, :period:-1]) % columns
    values = centre(shown, primes)
    values[1:] /= 2
    return np.concatenate([values, [0.0], -values[:0:-1]])


def centre(residues: NDArray[np.integer], primes: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the numbers [n] nearest to zero with these residues [primes, n], to double precision.

    By mixed radix with balanced digits (Garner, "The residue number system", 1959): digits above a number's own size
    are zero, so that the precision is relative to the number and not to the modulus.
    """
    digits: list[NDArray[np.int64]] = []
    for index, prime in enumerate(primes):
        rest = residues[index].astype(np.int64)
        for digit, earlier in zip(digits, primes, strict=False):
            rest = (rest - digit) % prime * pow(earlier, -1, prime) % prime
        digits.append(np.where(rest > prime // 2, rest - prime, rest))
    values = np.zeros(residues.shape[1])
    for digit, prime in zip(reversed(digits), reversed(primes), strict=True):
        values = values * prime + digit
    return values


@lru_cache(maxsize=32)
def _slot_angles(period: int) -> NDArray[np.int64]:
    """For slot j, [n'], the k of its argument ζ^(2k + 1) = ζ^(3^j), ζ = exp(iπ/2n')."""
    return np.array([(pow(3, slot, 4 * period) - 1) // 2 for slot in range(period)], dtype=np.int64)


def _slots(polynomial: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Slots [n'] of a polynomial [2n'] in X^g."""
    size = polynomial.size
    turned = polynomial * np.exp(1j * np.pi / size * np.arange(size))
    values: NDArray[np.complex128] = np.fft.ifft(turned) * size
    return values[_slot_angles(size // 2)]
