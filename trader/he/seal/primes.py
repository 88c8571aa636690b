"""The primes that SEAL takes for given sizes (`CoeffModulus::Create`), known before there is a context.

Of each size b it takes as many as are asked for from the largest down: primes below 2^b that are 1 modulo 2N. They are
handed out from the smallest of these up, in the order of the sizes asked for, so that the largest of each size stand
last: (20, 20, 20) for N = 1024 are 1017857, 1032193 and 1038337.
"""

from functools import lru_cache
from itertools import count

_WITNESSES = (2, 3, 5, 7)
"""Bases that tell every composite below 3.2·10^9 (Jaeschke, "On strong pseudoprimes to several bases", 1993)."""


@lru_cache(maxsize=4096)
def largest_prime(degree: int, bits: int, index: int) -> int:
    """Return the prime of a size and ring degree N that is the largest but `index`; 0 where there are no more."""
    step = 2 * degree
    above = largest_prime(degree, bits, index - 1) if index else (((1 << bits) - 2) // step + 1) * step + 1
    for candidate in count(above - step, -step):
        if candidate < 1 << (bits - 1):
            return 0
        if _is_prime(candidate):
            return candidate
    raise AssertionError("count has no end")


def _is_prime(number: int) -> bool:
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(
        (power := pow(base, odd, number)) in (1, number - 1)
        or any((power := power * power % number) == number - 1 for _ in range(twos - 1))
        for base in _WITNESSES
    )
