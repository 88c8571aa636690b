"""What is signed off the chain, read back as the market reads it."""

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from contracts import Acceptance, Refund

ACCOUNT, OTHER = (Account.from_key(keccak(name)) for name in (b"one", b"other"))
MARKET, CHAIN_ID = "0x" + "ab" * 20, 7
ACCEPTANCE = Acceptance(3, keccak(b"delivery"))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def signed(agreement: Acceptance | Refund) -> bytes:
    return bytes(ACCOUNT.sign_typed_data(*agreement.typed_data(CHAIN_ID, MARKET)).signature)


@pytest.mark.parametrize("agreement", [ACCEPTANCE, Refund(3, keccak(b"delivery"), 10)])
def test_a_signature_is_read_back(agreement: Acceptance | Refund) -> None:
    signature = signed(agreement)
    assert agreement.is_signed_by(ACCOUNT.address, signature, CHAIN_ID, MARKET)
    assert agreement.is_signed_by(ACCOUNT.address.lower(), signature, CHAIN_ID, MARKET.upper().replace("X", "x"))


def test_it_is_nobody_elses_and_of_nothing_else() -> None:
    signature = signed(ACCEPTANCE)
    assert not ACCEPTANCE.is_signed_by(OTHER.address, signature, CHAIN_ID, MARKET)
    assert not ACCEPTANCE.is_signed_by(ACCOUNT.address, signature, CHAIN_ID + 1, MARKET)
    assert not ACCEPTANCE.is_signed_by(ACCOUNT.address, signature, CHAIN_ID, "0x" + "cd" * 20)
    for other in (
        Acceptance(4, ACCEPTANCE.delivery),
        Acceptance(3, keccak(b"other")),
        Refund(3, ACCEPTANCE.delivery, 0),
    ):
        assert not other.is_signed_by(ACCOUNT.address, signature, CHAIN_ID, MARKET)


def test_forms_that_the_market_refuses_are_none() -> None:
    """A seller that took one for good would publish its key in a call that fails."""
    signature = signed(ACCEPTANCE)
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    mirrored = r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    forms = [signature[:64], signature + b"\0", signature[:64] + bytes([v - 27]), mirrored, bytes(65), b""]
    assert not any(ACCEPTANCE.is_signed_by(ACCOUNT.address, form, CHAIN_ID, MARKET) for form in forms)
