"""The buyer's audit samples on the wire."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.exchange import AuditInputs, MessageError
from zk.field import MODULUS

SAMPLES = np.array([[1, -2, 3], [2**62, -(2**63), 0]], dtype=np.int64)
SHAPE = {"audit_samples": 2, "features": 3, "salt_elements": 2}


@pytest.fixture
def message():
    return AuditInputs(SAMPLES, (5, MODULUS - 1)).encode()


def test_round_trip(message):
    decoded = AuditInputs.decode(message, **SHAPE)
    np.testing.assert_array_equal(decoded.samples, SAMPLES)
    assert decoded.samples.dtype == np.int64
    assert decoded.salt == (5, MODULUS - 1)


def test_format(message):
    header = b"MSAI" + struct.pack(">HHIH", 1, 2, 3, 2)
    salt = (5).to_bytes(32, "big") + (MODULUS - 1).to_bytes(32, "big")
    assert message == header + struct.pack(">6q", *SAMPLES.ravel().tolist()) + salt


@given(st.integers(-1, 200))
def test_messages_of_another_length_are_refused(size):
    message = AuditInputs(SAMPLES, (5, 6)).encode()
    resized = message[:size] if size >= 0 else message + b"\0"
    if len(resized) != len(message):
        with pytest.raises(MessageError, match="bytes"):
            AuditInputs.decode(resized, **SHAPE)


@pytest.mark.parametrize("position", range(14))
def test_other_headers_are_refused(message, position):
    changed = bytearray(message)
    changed[position] ^= 1
    with pytest.raises(MessageError, match="header"):
        AuditInputs.decode(bytes(changed), **SHAPE)


@pytest.mark.parametrize(
    "shape",
    [
        {"audit_samples": 3, "features": 2, "salt_elements": 2},
        {"audit_samples": 1, "features": 6, "salt_elements": 2},
        {"audit_samples": 2, "features": 7, "salt_elements": 0},
    ],
    ids=str,
)
def test_same_length_in_another_shape_is_refused(message, shape):
    with pytest.raises(MessageError):
        AuditInputs.decode(message, **shape)


@pytest.mark.parametrize("element", [MODULUS, 2**256 - 1])
def test_salt_outside_the_field_is_refused(element):
    message = AuditInputs(SAMPLES, (5, element)).encode()
    with pytest.raises(MessageError, match="canonical"):
        AuditInputs.decode(message, **SHAPE)


def test_inputs_are_not_in_the_representation():
    assert repr(AuditInputs(SAMPLES, (5, 6))) == "AuditInputs()"
