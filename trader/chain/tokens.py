"""Tokens (ERC-20) on their way into a market: what one says of itself, what an owner signs and sends to deposit it.

A token is a stranger's contract. Nothing that it says is believed but for what it can't gain by: a domain for
signatures is built here for this token and this chain, and used if the token's own separator is its hash. How much has
arrived the market measures, and says in an event.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_abi.exceptions import DecodingError
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from web3.exceptions import BadFunctionCallOutput

from contracts import ETH, Periphery, UnexpectedCodeError, bind_periphery
from contracts.deployments import verify_periphery
from trader.chain.receipts import REFUSALS, decode_logs
from trader.chain.transactions import Ways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from web3.contract.contract import ContractFunction

    from trader.chain.market import Market
    from trader.chain.receipts import Receipt
    from trader.signer import Signer

SIGNATURE_SECONDS: Final = 24 * 3600
"""How long a permit or an authorisation can be used: longer than its transaction waits."""
_PERMIT = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"


def _function(name: str, inputs: str = "", outputs: str = "", *, view: bool = True) -> dict[str, Any]:
    def listed(types: str) -> list[dict[str, str]]:
        return [{"name": f"a{number}", "type": kind} for number, kind in enumerate(types.split())]

    mutability = "view" if view else "nonpayable"
    return {
        "type": "function",
        "name": name,
        "inputs": listed(inputs),
        "outputs": listed(outputs),
        "stateMutability": mutability,
    }


TOKEN_ABI: Final = [
    _function("decimals", outputs="uint8"),
    _function("balanceOf", "address", "uint256"),
    _function("allowance", "address address", "uint256"),
    _function("approve", "address uint256", view=False),  # old tokens return nothing
    _function("nonces", "address", "uint256"),
    _function("name", outputs="string"),
    _function("version", outputs="string"),
    _function("DOMAIN_SEPARATOR", outputs="bytes32"),
    _function("PERMIT_TYPEHASH", outputs="bytes32"),
    _function("authorizationState", "address bytes32", "bool"),
]


@dataclass(frozen=True)
class Arrival:
    """A deposit that was mined.

    Attributes:
        receipt: Of its transaction.
        arrived: What the market has credited to its owner, in the smallest unit; a token may keep a part.
    """

    receipt: Receipt
    arrived: int


class Token:
    """One token, and the ways into a market that it has."""

    def __init__(self, market: Market, address: str) -> None:
        """Name a token; nothing is asked yet."""
        self._market = market
        self._chain = market.chain
        self.address = self._chain.web3.to_checksum_address(address)
        self._contract = self._chain.web3.eth.contract(address=self.address, abi=TOKEN_ABI)
        self._deposits = bind_periphery(self._chain.web3, Periphery.DEPOSITS)

    def decimals(self) -> int | None:
        """Return how many decimals the token says that it has; None where it says nothing, or there is no token."""
        said = self._ask("decimals")
        return None if said is None else int(said)

    def balance(self, owner: str) -> int:
        """Return how much an account has of it outside the market, by the newest block, and the token's word."""
        return int(self._ask("balanceOf", owner) or 0)

    def ways_in(self, owner: Signer, amount: int) -> Iterator[Callable[[Callable[[bytes], None]], Arrival]]:
        """Return ways to deposit an amount of the owner's in the market, the best first; each is made when asked for.

        A permit or an authorisation, where the token has them and the published `Deposits` stands here, else an
        approval of this amount and no more. Each takes what is called with the signed transaction before it leaves, so
        that a killed process sends the same again (`resend`), and none twice.
        """
        domain = self._domain() if self._deposits_stand() else None
        if domain is not None and self._has_permit(owner.address):
            yield lambda keep: self._send(self._with_permit(owner, amount, domain), owner, keep)
        if domain is not None and self._ask("authorizationState", owner.address, bytes(32)) is not None:
            yield lambda keep: self._send(self._with_authorization(owner, amount, domain), owner, keep)
        yield lambda keep: self._with_approval(owner, amount, keep)

    def resend(self, owner: str, signed: bytes) -> Arrival:
        """Send a kept transaction of a deposit again: it takes effect once.

        Raises:
            TransactionRefusedError: It has failed, or another transaction of the account took its place.
        """
        return self._arrival(owner, self._chain.resend(signed, self._market.contract.functions.deposit(ETH, ETH, 0)))

    # ------------------------------------------------------------------------------------------------------ sending

    def _send(self, function: ContractFunction, owner: Signer, keep: Callable[[bytes], None]) -> Arrival:
        ways = Ways(before_sending=keep, replaceable=False, confirmed=False)
        return self._arrival(owner.address, self._chain.send(function, owner, ways=ways))

    def _arrival(self, owner: str, receipt: Receipt) -> Arrival:
        with self._chain.reachable():
            mined = self._chain.web3.eth.get_transaction_receipt(receipt.transaction_hash)  # type: ignore[arg-type]
        deposits = [
            log.arguments for log in decode_logs(self._market.contract, mined["logs"]) if log.name == "Deposited"
        ]
        own = [one["amount"] for one in deposits if one["token"] == self.address and one["account"] == owner]
        return Arrival(receipt, sum(own))

    def _with_approval(self, owner: Signer, amount: int, keep: Callable[[bytes], None]) -> Arrival:
        """Allow the market what is to be deposited, exactly, and have it take that."""
        market = self._market.deployment.market
        allowed = int(self._ask("allowance", owner.address, market) or 0)
        for wanted in (0, amount) if 0 < allowed < amount else (amount,):  # some tokens go from nothing alone
            if allowed < amount:
                self._chain.send(self._contract.functions.approve(market, wanted), owner, ways=Ways(confirmed=False))
        return self._send(self._market.contract.functions.deposit(self.address, owner.address, amount), owner, keep)

    def _with_permit(self, owner: Signer, amount: int, domain: dict[str, Any]) -> ContractFunction:
        deadline = self._chain.time().latest + SIGNATURE_SECONDS
        message = {
            "owner": owner.address,
            "spender": self._deposits.address,
            "value": amount,
            "nonce": self._ask("nonces", owner.address),
            "deadline": deadline,
        }
        signature = _sign(owner, domain, "Permit", message)
        arguments = self._market.deployment.market, self.address, amount, deadline, *signature
        return self._deposits.functions.depositWithPermit(*arguments)

    def _with_authorization(self, owner: Signer, amount: int, domain: dict[str, Any]) -> ContractFunction:
        market, before = self._market.deployment.market, self._chain.time().latest + SIGNATURE_SECONDS
        salt = secrets.token_bytes(32)
        message = {
            "from": owner.address,
            "to": self._deposits.address,
            "value": amount,
            "validAfter": 0,
            "validBefore": before,
            "nonce": keccak(bytes(12) + bytes.fromhex(market[2:]) + salt),
        }
        signature = _sign(owner, domain, "ReceiveWithAuthorization", message)
        arguments = market, self.address, owner.address, amount, 0, before, salt, *signature
        return self._deposits.functions.depositWithAuthorization(*arguments)

    # ------------------------------------------------------------------------------------------------------- asking

    def _deposits_stand(self) -> bool:
        with self._chain.reachable():
            try:
                verify_periphery(self._chain.web3, Periphery.DEPOSITS)
            except UnexpectedCodeError:
                return False
            return True

    def _has_permit(self, owner: str) -> bool:
        """Return whether it seems to have permits as EIP-2612 has them; the name alone does not say so (DAI's)."""
        own = self._ask("PERMIT_TYPEHASH")
        return self._ask("nonces", owner) is not None and own in (None, keccak(_PERMIT.encode()))

    def _domain(self) -> dict[str, Any] | None:
        """Return the token's domain for signatures (EIP-712); None where it has none of the usual form.

        Token and chain are ours to fill in, so that nothing signed is for another contract, whatever the token says.
        """
        separator, name = self._ask("DOMAIN_SEPARATOR"), self._ask("name")
        if separator is None or name is None:
            return None
        for version in dict.fromkeys((self._ask("version") or "1", "1", "2")):
            domain = {
                "name": name,
                "version": version,
                "chainId": self._chain.chain_id,
                "verifyingContract": self.address,
            }
            if encode_typed_data(domain, {"A": []}, {}).header == separator:
                return domain
        return None

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Return what the token answers, by the newest block; None where it has no such function, or no sense."""
        with self._chain.reachable():
            try:
                return self._contract.functions[name](*arguments).call()
            except (*REFUSALS, BadFunctionCallOutput, DecodingError, UnicodeError, OverflowError):
                return None


def _sign(owner: Signer, domain: dict[str, Any], kind: str, message: dict[str, Any]) -> tuple[int, bytes, bytes]:
    """Sign typed data of a token; return v, r and s."""
    members = [{"name": name, "type": _TYPES.get((kind, name), _TYPES.get(name, "uint256"))} for name in message]
    signature = bytes(owner.sign_typed_data(domain, {kind: members}, message).signature)
    v = signature[64]
    return v + 27 if v < 27 else v, signature[:32], signature[32:64]  # some signers give the parity alone


_TYPES: dict[str | tuple[str, str], str] = {
    "owner": "address",
    "spender": "address",
    "from": "address",
    "to": "address",
    ("ReceiveWithAuthorization", "nonce"): "bytes32",
}
