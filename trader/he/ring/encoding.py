"""Real values in slots to integer polynomials: CKKS' canonical embedding, for many ciphertexts at once.

Slot j of a polynomial m holds m(ζ^(3^j)), ζ = exp(iπ/N) (Cheon, Kim, Kim and Song, 2017; SEAL's order). With real slots
the coefficients satisfy m_(N-t) = -m_t, so that one real cosine transform of length N/2 gives all of them.

Errors of encoding must stay below those of encryption, some 2^7, whatever the scale: from `DOUBLE_SCALE_BITS` on,
polynomials are computed in extended precision (64 bits).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from trader.he.errors import SessionError
from trader.he.ring.transform import transform
from trader.he.types import Residues

Floats: TypeAlias = NDArray[np.float64] | NDArray[np.longdouble]
Slots: TypeAlias = NDArray[np.float64] | NDArray[np.complex128]
_Floats = TypeVar("_Floats", NDArray[np.float64], NDArray[np.longdouble])
_Numbers = TypeVar("_Numbers", NDArray[np.int64], NDArray[np.float64], NDArray[np.longdouble])

DOUBLE_SCALE_BITS = 50
EXTENDED_BITS = 64
LIMB_BITS = 40
_PI = np.longdouble("3.14159265358979323846264338327950288")


def encode(slots: Slots, scale: float, degree: int, primes: tuple[int, ...]) -> Residues:
    """Slots [n], n <= N/2, at a scale, as a polynomial in NTT form [primes, N].

    Imaginary parts stand at X^(N/2), whose slots are i or -i: their own polynomial times that.

    Args:
        slots: values within 2^(70 - log2 scale).
        scale: a power of two.
        degree: N.
        primes: of the form.

    Raises:
        SessionError: the scale asks for extended precision, which this machine lacks.
    """
    parts, factor = _parts(slots), scale / (degree // 2)
    # Rounded before they are put together, as sums of integers are cheaper than those of extended floats.
    if scale <= 2.0**DOUBLE_SCALE_BITS:
        limbs = _limbs(_cosines(parts, degree) * factor)
    elif np.finfo(np.longdouble).nmant + 1 >= EXTENDED_BITS:
        limbs = _limbs(_cosines(parts.astype(np.longdouble), degree) * np.longdouble(factor))
    else:
        raise SessionError("inputs at this plan's scale take floats of 64 bits' precision: use an x86-64 machine")
    polynomials = np.stack([_join(_extend(limb)) for limb in limbs])
    residues: Residues = transform(polynomials[np.newaxis], _positions(limbs), primes)[0]
    return residues


def _parts(slots: Slots) -> NDArray[np.float64]:
    """Real and, if there are any, imaginary parts [1 or 2, n]."""
    return np.stack([slots.real, slots.imag] if np.iscomplexobj(slots) else [slots]).astype(np.float64)


def _join(parts: _Numbers) -> _Numbers:
    """Polynomials [1 or 2, N]: the first, plus X^(N/2) times the second."""
    joined: _Numbers = parts[0]
    half = joined.size // 2
    for part in parts[1:]:
        joined[half:] += part[:half]
        joined[:half] -= part[half:]
    return joined


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


def coefficients(slots: _Floats, degree: int) -> _Floats:
    """Polynomials [k, N], not rounded, whose slots hold the given values [k, n], n <= N/2; other slots hold zero.

    The precision is that of the slots' type.
    """
    return _extend(_cosines(slots, degree) / (degree // 2))


def _cosines(slots: _Floats, degree: int) -> _Floats:
    """The first half of the coefficients, times N/2, [k, N/2]."""
    ordered = np.zeros((slots.shape[0], degree // 2), dtype=slots.dtype)
    ordered[:, _slot_positions(degree)[: slots.shape[1]]] = slots
    return _cosine_transform(ordered)


def _extend(halves: _Numbers) -> _Numbers:
    """Polynomials [k, N] of real slots from their first halves [k, N/2]: m_(N - t) = -m_t."""
    count = halves.shape[1]
    polynomials = np.zeros((len(halves), 2 * count), dtype=halves.dtype)
    polynomials[:, :count] = halves
    polynomials[:, count + 1 :] = -halves[:, :0:-1]
    return polynomials


def _cosine_transform(values: _Floats) -> _Floats:
    """Σ_k x_k·cos(π(2k + 1)t/2n) along the last axis, through a real FFT of the same length (Makhoul, 1980)."""
    length = values.shape[-1]
    spectrum = np.fft.rfft(np.concatenate([values[:, ::2], values[:, ::-2]], axis=1))
    twiddled = spectrum * _twiddles(length, values.dtype)
    cosines = np.empty_like(values)
    cosines[:, : spectrum.shape[-1]] = twiddled.real
    cosines[:, spectrum.shape[-1] :] = -twiddled.imag[:, -2:0:-1]
    return cosines


@lru_cache(maxsize=16)
def _twiddles(length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """exp(-iπt/2n), t <= n/2, in the precision of a type of real numbers."""
    angles = (_PI / 2 * np.arange(length // 2 + 1) / length).astype(dtype)
    turns: NDArray[Any] = np.exp(-1j * angles)
    return turns


def to_residues(polynomials: NDArray[np.float64], primes: tuple[int, ...]) -> Residues:
    """NTT form [..., primes, N] of polynomials [..., N] with coefficients, below 2^100, rounded to integers."""
    limbs = _limbs(polynomials.reshape(-1, polynomials.shape[-1]))
    residues = transform(np.stack(limbs, axis=1), _positions(limbs), primes)
    return residues.reshape(*polynomials.shape[:-1], *residues.shape[1:])


def _limbs(values: Floats) -> list[NDArray[np.int64]]:
    """Integers nearest to numbers below 2^100, as limbs of `LIMB_BITS`, the lowest first; one if they are small."""
    high = np.rint((values * 2.0**-LIMB_BITS).astype(np.float64))
    low = np.rint((values - high * 2.0**LIMB_BITS).astype(np.float64))
    return [low.astype(np.int64), *([high.astype(np.int64)] if high.any() else [])]


def _positions(limbs: Sequence[object]) -> range:
    return range(0, LIMB_BITS * len(limbs), LIMB_BITS)
