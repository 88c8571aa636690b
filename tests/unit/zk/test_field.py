import pytest
from hypothesis import given
from hypothesis import strategies as st

import zk
from zk.field import MODULUS, to_field, to_signed

HALF = MODULUS // 2


@given(st.integers(-HALF, HALF))
def test_signed_integers_survive_the_field(value):
    assert to_signed(to_field(value)) == value
    assert 0 <= to_field(value) < MODULUS


@pytest.mark.parametrize("value", [HALF + 1, -HALF - 1, MODULUS])
def test_integers_beyond_the_middle_are_refused(value):
    with pytest.raises(ValueError, match="does not fit"):
        to_field(value)


@pytest.mark.parametrize("element", [-1, MODULUS])
def test_elements_outside_the_field_are_refused(element):
    with pytest.raises(ValueError, match="canonical"):
        to_signed(element)


def test_all_names_of_the_package_exist():
    assert all(hasattr(zk, name) for name in zk.__all__)
    assert sorted(zk.__all__) == zk.__all__
