"""A buyer's record of its purchase."""

import numpy as np

from contracts import outputs_digest
from trader.parties.purchase import SALT_BYTES, Purchase


def purchase() -> Purchase:
    return Purchase(np.array([3, 7]), np.array([[5, -(2**62)], [0, 1]]), b"c" * 32)


def test_what_is_kept_is_what_was_committed_to() -> None:
    made = purchase()
    kept = Purchase.decode(made.encode())
    assert kept.outputs_digest == made.outputs_digest == outputs_digest(made.salt, [5, -(2**62), 0, 1])
    np.testing.assert_array_equal(kept.rows, made.rows)
    np.testing.assert_array_equal(kept.outputs, made.outputs)
    assert kept.input_commitment == made.input_commitment


def test_the_digest_is_salted_anew_each_time() -> None:
    first, second = purchase(), purchase()
    assert len(first.salt) == SALT_BYTES
    assert first.outputs_digest != second.outputs_digest


def test_outputs_and_salt_are_in_no_text() -> None:
    made = purchase()
    assert made.salt.hex() not in repr(made)
    assert str(2**62) not in repr(made)
    assert repr(made.salt) not in repr(made)
