"""Polynomials in Chebyshev form Σ c_k·T_k, cut up so that few products make them.

Paterson and Stockmeyer's method (1973) in Chebyshev form (Chen, Chillotti and Song, "Improved bootstrapping for
approximate homomorphic encryption", 2019, §3.2): blocks of low degree are sums of the first T_k, the baby steps; they
are joined by products with T_n for powers of two n, the giant steps. As T_(a+b) + T_(a-b) = 2·T_a·T_b, a polynomial of
degree below 2n is T_n times one of degree below n, plus another one.
"""

from collections.abc import Sequence

BLOCK_SIZES = (2, 4, 8, 16)


def divide(coefficients: Sequence[float], n: int) -> tuple[list[float], list[float]]:
    """Return q and r, both of degree below n, with Σ c_k·T_k = q·T_n + r; the degree of the sum is below 2·n."""
    quotient = [coefficients[n], *(2 * c for c in coefficients[n + 1 :])]
    rest = list(coefficients[:n])
    for j, c in enumerate(coefficients[n + 1 :], start=1):
        rest[n - j] -= c
    return quotient, rest


def without_zeros(coefficients: Sequence[float]) -> list[float]:
    """Return them without zeros at the end, but for c_0."""
    kept = list(coefficients)
    while len(kept) > 1 and kept[-1] == 0:
        kept.pop()
    return kept


def block_size(coefficients: Sequence[float]) -> int:
    """Return the size of blocks, a power of two, with which a polynomial takes the fewest products."""
    return min(BLOCK_SIZES, key=lambda block: _products(without_zeros(coefficients), block))


def _products(coefficients: Sequence[float], block: int) -> int:
    """Return the products for blocks of a size: baby steps that aren't giant ones too, and joints."""
    even = not any(coefficients[3::2])
    babies = [k for k in range(3, min(block, len(coefficients))) if k & (k - 1) and not (even and k % 2)]
    return len(babies) + -(-len(coefficients) // block)
