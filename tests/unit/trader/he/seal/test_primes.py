"""The primes that are planned with are those that SEAL takes."""

import pytest

from trader.he.seal import largest_prime, parameters


@pytest.mark.parametrize(
    ("degree", "sizes"),
    [
        (1024, (20, 20, 20)),
        (8192, (31, 30, 20, 31, 30, 20, 17)),
        (32768, (28, 27, *(25,) * 8, 28, *(31,) * 9)),
    ],
)
def test_the_largest_of_each_size_stand_last(degree: int, sizes: tuple[int, ...]) -> None:
    after = [sizes[place + 1 :].count(bits) for place, bits in enumerate(sizes)]
    expected = [largest_prime(degree, bits, index) for bits, index in zip(sizes, after, strict=True)]
    assert list(parameters(degree, sizes).all_primes) == expected


def test_a_ring_runs_out_of_primes() -> None:
    found = [largest_prime(32768, 20, index) for index in range(4)]
    assert found == [786433, 0, 0, 0]
