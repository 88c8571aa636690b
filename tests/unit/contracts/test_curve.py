"""The tests' own curve arithmetic against py_ecc's, which embedded chains come with."""

import random

import pytest
from eth.precompiles.ecmul import ValidationError
from py_ecc.optimized_bn128 import G1, curve_order, field_modulus, normalize
from py_ecc.optimized_bn128 import multiply as slow_multiply

from tests.simulators.curve import INFINITY, multiply
from tests.simulators.remembered import multiply_encoded

CHANCE = random.Random(1)
FACTORS = [
    0,
    1,
    2,
    3,
    curve_order - 1,
    curve_order,
    curve_order + 1,
    2**256 - 1,
    *(CHANCE.getrandbits(256) for _ in range(12)),
]


@pytest.mark.parametrize("factor", FACTORS)
def test_multiples_are_those_of_py_ecc(factor):
    start = slow_multiply(G1, CHANCE.getrandbits(256))
    affine = tuple(map(int, normalize(start)))
    expected = tuple(map(int, normalize(slow_multiply(start, factor))))
    assert multiply(affine, factor) == expected
    data = b"".join(number.to_bytes(32, "big") for number in (*affine, factor))
    assert tuple(map(int, multiply_encoded(data))) == expected
    assert multiply(INFINITY, factor) == INFINITY


def test_what_is_no_point_is_refused_and_short_data_is_padded():
    for x, y in ((1, 3), (field_modulus + 1, 2)):
        with pytest.raises(ValidationError):
            multiply_encoded(x.to_bytes(32, "big") + y.to_bytes(32, "big") + bytes(32))
    assert tuple(map(int, multiply_encoded(b""))) == INFINITY
    assert tuple(map(int, multiply_encoded((1).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"\x80"))) == multiply(
        (1, 2), 1 << 255
    )
