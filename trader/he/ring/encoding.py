"""Real values in slots to integer polynomials: CKKS' canonical embedding.

Slot j of a polynomial m holds m(ζ^(3^j)), ζ = exp(iπ/N) (Cheon, Kim, Kim and Song, 2017; SEAL's order). Real slots are
one complex transform of length N/2 (`trader.he.ring.embedding`), and so are twice as many values, as real and imaginary
parts.

Errors of encoding must stay below those of encryption, some 2^7, whatever the scale, which doubles don't: what is
encrypted is encoded in doubled precision. Diagonals of packed plans have smaller scales.
"""

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.embedding import embed, embedding_tables, slot_positions
from trader.he.ring.transform import transform
from trader.he.types import Residues

Slots: TypeAlias = NDArray[np.float64] | NDArray[np.complex128]

LIMB_BITS = 40
LARGEST_LIMB_BITS = 50
"""Integers below serve as one limb (`trader.he.ring.transform.transform`)."""


def encode(slots: Slots, scale: float, degree: int, primes: tuple[int, ...]) -> Residues:
    """Slots [n], n <= N/2, at a scale, as a polynomial in NTT form [primes, N].

    Imaginary parts stand at X^(N/2), whose slots are i or -i: their own polynomial times that.

    Args:
        slots: values within 2^(70 - log2 scale).
        scale: a power of two.
        degree: N.
        primes: of the form.
    """
    limbs = np.empty((2, degree))
    embed(slots.astype(np.complex128), scale, LIMB_BITS, embedding_tables(degree), limbs)
    residues: Residues = transform(limbs[np.newaxis], (0, LIMB_BITS), primes)[0]
    return residues


def coefficients(slots: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Polynomials [k, N], not rounded, whose slots hold the given values [k, n], n <= N/2; other slots hold zero."""
    values = np.zeros((len(slots), degree // 2), dtype=np.complex128)
    values[:, slot_positions(degree)[: slots.shape[1]]] = slots
    halves = np.fft.fft(values)
    halves *= _turns(degree)
    return np.concatenate([halves.real, halves.imag], axis=1)


@lru_cache(maxsize=8)
def _turns(degree: int) -> NDArray[np.complex128]:
    """ζ^-t / (N/2), t < N/2."""
    turns: NDArray[np.complex128] = np.exp(-1j * np.pi * np.arange(degree // 2) / degree) / (degree // 2)
    return turns


def to_residues(polynomials: NDArray[np.float64], primes: tuple[int, ...]) -> Residues:
    """NTT form [..., primes, N] of polynomials [..., N] with coefficients, below 2^90, rounded to integers."""
    flat = polynomials.reshape(-1, polynomials.shape[-1])
    if max(flat.max(initial=0.0), -flat.min(initial=0.0)) < 2.0**LARGEST_LIMB_BITS:
        residues = transform(np.rint(flat)[:, np.newaxis], (0,), primes)
    else:
        high = np.rint(flat * 2.0**-LIMB_BITS)
        low = np.rint(flat - high * 2.0**LIMB_BITS)
        residues = transform(np.stack([low, high], axis=1), (0, LIMB_BITS), primes)
    return residues.reshape(*polynomials.shape[:-1], *residues.shape[1:])
