"""Deposits by signature: what a permit or an authorisation can be used for, and that nothing stays behind."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from eth_utils.crypto import keccak

from contracts import Periphery
from tests.contracts.periphery import Ground, ground

AMOUNT = 10**6
SALT = keccak(b"salt")


class Bank:
    """A token of which the buyer has some, a market that takes deposits, and the contract under test."""

    def __init__(self, chain: Ground) -> None:
        self.chain = chain
        self.deposits = chain.periphery(Periphery.DEPOSITS)
        self.token, self.market = chain.create("StandInToken"), chain.create("StandInVault")
        chain.send(self.token.functions.mint(chain.buyer, 10 * AMOUNT), chain.deployer)

    def sign(self, kind: str, **message: Any) -> tuple[int, bytes, bytes]:
        domain = {
            "name": "Token",
            "version": "1",
            "chainId": self.chain.web3.eth.chain_id,
            "verifyingContract": self.token.address,
        }
        types = {"owner": "address", "spender": "address", "from": "address", "to": "address", "nonce": "uint256"}
        if kind == "ReceiveWithAuthorization":
            types["nonce"] = "bytes32"
        members = [{"name": name, "type": types.get(name, "uint256")} for name in message]
        signed = self.chain.key(self.chain.buyer).sign_typed_data(domain, {kind: members}, message)
        return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")

    def permit(self, amount: int = AMOUNT, deadline: int = 2**64) -> tuple[int, bytes, bytes]:
        nonce = self.token.functions.nonces(self.chain.buyer).call()
        spender = self.deposits.address
        return self.sign(
            "Permit", owner=self.chain.buyer, spender=spender, value=amount, nonce=nonce, deadline=deadline
        )

    def deposit_with_permit(
        self, permit: Any = None, amount: int = AMOUNT, sender: str | None = None, market: str | None = None
    ) -> Any:
        permit = permit or self.permit(amount)
        arguments = (market or self.market.address, self.token.address, amount, 2**64, *permit)
        return self.chain.send(self.deposits.functions.depositWithPermit(*arguments), sender or self.chain.buyer)

    def authorisation(self, amount: int = AMOUNT, salt: bytes = SALT) -> tuple[int, bytes, bytes]:
        nonce = self.deposits.functions.authorizationNonce(self.market.address, salt).call()
        message = {
            "from": self.chain.buyer,
            "to": self.deposits.address,
            "value": amount,
            "validAfter": 0,
            "validBefore": 2**40,
            "nonce": nonce,
        }
        return self.sign("ReceiveWithAuthorization", **message)

    def deposit_with_authorisation(
        self, authorisation: Any = None, amount: int = AMOUNT, market: str | None = None, owner: str | None = None
    ) -> Any:
        signature = authorisation or self.authorisation(amount)
        market, owner = market or self.market.address, owner or self.chain.buyer
        arguments = (market, self.token.address, owner, amount, 0, 2**40, SALT, *signature)
        return self.chain.send(self.deposits.functions.depositWithAuthorization(*arguments), self.chain.stranger)

    def credit(self, account: str | None = None) -> int:
        return int(self.market.functions.balanceOf(account or self.chain.buyer, self.token.address).call())

    def left(self) -> tuple[int, int]:
        """Tokens of the contract, and what the market may take from it."""
        address = self.deposits.address
        allowed = self.token.functions.allowance(address, self.market.address).call()
        return self.token.functions.balanceOf(address).call(), allowed


@cache
def opened() -> Bank:
    return Bank(ground())


@pytest.fixture
def bank() -> Iterator[Bank]:
    with opened().chain.restored():
        yield opened()


@pytest.mark.parametrize("way", ["deposit_with_permit", "deposit_with_authorisation"])
@pytest.mark.parametrize(("fee_bps", "credited"), [(0, AMOUNT), (100, 980_100)])
def test_what_arrives_is_the_owners(bank: Bank, way: str, fee_bps: int, credited: int) -> None:
    """A token that keeps a hundredth keeps it of both transfers."""
    bank.chain.send(bank.token.functions.setFee(fee_bps), bank.chain.deployer)
    getattr(bank, way)()
    assert (bank.credit(), bank.left()) == (credited, (0, 0))


def test_a_permit_that_was_used_before_is_no_loss(bank: Bank) -> None:
    permit = bank.permit()
    function = bank.token.functions.permit(bank.chain.buyer, bank.deposits.address, AMOUNT, 2**64, *permit)
    bank.chain.send(function, bank.chain.stranger)
    bank.deposit_with_permit(permit)
    assert bank.credit() == AMOUNT


def test_a_permit_is_for_its_owner(bank: Bank) -> None:
    """The permit says nothing about the market: a stranger's would take the tokens."""
    permit, thief = bank.permit(), bank.chain.create("StandInVault")
    function = bank.token.functions.permit(bank.chain.buyer, bank.deposits.address, AMOUNT, 2**64, *permit)
    bank.chain.send(function, bank.chain.stranger)
    with bank.chain.refused("ERC20InsufficientAllowance"):
        bank.deposit_with_permit(permit, sender=bank.chain.stranger, market=thief.address)


def test_a_permit_is_for_one_deposit(bank: Bank) -> None:
    permit = bank.permit()
    bank.deposit_with_permit(permit)
    with bank.chain.refused("ERC20InsufficientAllowance"):
        bank.deposit_with_permit(permit)


def test_a_permit_of_another_amount_is_none(bank: Bank) -> None:
    with bank.chain.refused("ERC20InsufficientAllowance"):
        bank.deposit_with_permit(bank.permit(AMOUNT - 1))


def test_an_authorisation_is_for_one_market_owner_and_amount(bank: Bank) -> None:
    signature, thief = bank.authorisation(), bank.chain.create("StandInVault")
    for changes in ({"market": thief.address}, {"owner": bank.chain.stranger}, {"amount": AMOUNT + 1}):
        with bank.chain.refused("ERC3009InvalidSignature"):
            bank.deposit_with_authorisation(signature, **changes)
    # Nor can it be used at the token itself: the recipient alone may.
    nonce = bank.deposits.functions.authorizationNonce(bank.market.address, SALT).call()
    arguments = (bank.chain.buyer, bank.deposits.address, AMOUNT, 0, 2**40, nonce, *signature)
    with bank.chain.refused("ERC20InvalidReceiver"):
        bank.chain.send(bank.token.functions.receiveWithAuthorization(*arguments), bank.chain.stranger)
    bank.deposit_with_authorisation(signature)
    with bank.chain.refused("ERC3009UsedAuthorization"):
        bank.deposit_with_authorisation(signature)
    assert bank.credit() == AMOUNT


@pytest.mark.parametrize("way", ["deposit_with_permit", "deposit_with_authorisation"])
def test_the_least_amount_is_a_deposit_and_nothing_is_none(bank: Bank, way: str) -> None:
    with bank.chain.refused("NothingArrived", token=bank.token.address):
        getattr(bank, way)(amount=0)
    getattr(bank, way)(amount=1)
    assert bank.credit() == 1


def test_a_market_takes_all_or_nothing(bank: Bank) -> None:
    hostile = bank.market.functions.setHostile(1, bank.market.address, b"")
    bank.chain.send(hostile, bank.chain.deployer)
    with bank.chain.refused("NotDeposited", market=bank.market.address, left=1):
        bank.deposit_with_permit()
    assert bank.left() == (0, 0)


def test_neither_market_nor_token_can_call_back(bank: Bank) -> None:
    again = bank.deposits.functions.depositWithPermit(
        bank.market.address, bank.token.address, AMOUNT, 2**64, *bank.permit()
    )._encode_transaction_data()
    permit = bank.permit()
    for hostile in (
        bank.market.functions.setHostile(0, bank.deposits.address, again),
        bank.token.functions.setAttack(bank.deposits.address, again),
    ):
        with bank.chain.refused("ReentrancyGuardReentrantCall"):
            bank.chain.send(hostile, bank.chain.deployer)
            bank.deposit_with_permit(permit)


def test_tokens_that_somebody_left_here_are_nobodys(bank: Bank) -> None:
    """They stay: a deposit is what arrived in its own transaction, and no market is allowed more."""
    bank.chain.send(bank.token.functions.transfer(bank.deposits.address, 7), bank.chain.buyer)
    bank.deposit_with_permit()
    assert (bank.credit(), bank.left()) == (AMOUNT, (7, 0))


def test_an_account_without_code_is_no_token(bank: Bank) -> None:
    function = bank.deposits.functions.depositWithPermit(
        bank.market.address, bank.chain.stranger, 1, 2**64, 27, SALT, SALT
    )
    with bank.chain.refused("Unknown"):
        bank.chain.send(function, bank.chain.buyer)
