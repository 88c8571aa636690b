"""Real values in slots to integer polynomials: CKKS' canonical embedding, for many ciphertexts at once.

Slot j of a polynomial m holds m(ζ^(3^j)), ζ = exp(iπ/N) (Cheon, Kim, Kim and Song, 2017; SEAL's order). With real slots
the coefficients satisfy m_(N-t) = -m_t, so that one real cosine transform of length N/2 gives all of them.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.ring import prime_tables
from trader.he.types import Residues


@lru_cache(maxsize=8)
def _slot_positions(degree: int) -> NDArray[np.int64]:
    """Where slot j stands among the angles π(2k + 1)/N, k < N/2."""
    exponents = np.ones(degree // 2, dtype=np.int64)
    filled = 1
    while filled < exponents.size:
        exponents[filled : 2 * filled] = exponents[:filled] * pow(3, filled, 2 * degree) % (2 * degree)
        filled *= 2
    angles = (exponents - 1) // 2
    return np.minimum(angles, degree - 1 - angles)


def coefficients(slots: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Polynomials [k, N], not rounded, whose slots hold the given values [k, n], n <= N/2; other slots hold zero."""
    count = degree // 2
    ordered = np.zeros((slots.shape[0], count))
    ordered[:, _slot_positions(degree)[: slots.shape[1]]] = slots
    cosines = _cosine_transform(ordered) / count
    polynomials = np.zeros((slots.shape[0], degree))
    polynomials[:, :count] = cosines
    polynomials[:, count + 1 :] = -cosines[:, :0:-1]
    return polynomials


def _cosine_transform(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ_k x_k·cos(π(2k + 1)t/2n) along the last axis, through a real FFT of the same length (Makhoul, 1980)."""
    length = values.shape[-1]
    spectrum = np.fft.rfft(np.concatenate([values[:, ::2], values[:, ::-2]], axis=1))
    twiddled = spectrum * np.exp(-0.5j * np.pi * np.arange(spectrum.shape[-1]) / length)
    cosines = np.empty_like(values)
    cosines[:, : spectrum.shape[-1]] = twiddled.real
    cosines[:, spectrum.shape[-1] :] = -twiddled.imag[:, -2:0:-1]
    return cosines


def round_to_integers(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nearest integers; |values| must be below 2^62."""
    return np.rint(values).astype(np.int64)


def to_residues(integers: NDArray[np.int64], primes: tuple[int, ...]) -> Residues:
    """NTT form [primes, N] of a polynomial with integer coefficients [N] below 2^62."""
    residues = np.zeros((len(primes), integers.size), dtype=np.uint32)
    for index, prime in enumerate(primes):
        kernels.add_integers(integers, prime, 1, residues[index])
        prime_tables(integers.size, prime).forward(residues[index])
    return residues
