"""What the sides of a trade sign for the market, off the chain: EIP-712 typed data under its domain.

`src/base/Agreements.sol` checks the same. A signature is made by whatever signs typed data for an account
(`sign_typed_data(*acceptance.typed_data(…))`), and read back here before anybody relies on it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature

SIGNATURE_BYTES: Final = 65
# The market takes no other forms; eth_account reads several (s in the upper half of the group's order among them).
_LAST_BYTES: Final = (27, 28)
_HIGHEST_S: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

TypedData = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""Domain, types without the domain's, and message: the arguments of `sign_typed_data`."""


class _Agreement:
    """Typed data about a delivery, of which each kind has a name and fields of its own."""

    _fields: ClassVar[tuple[tuple[str, str], ...]]

    def _message(self) -> dict[str, Any]:
        raise NotImplementedError

    def typed_data(self, chain_id: int, market: str) -> TypedData:
        """Return domain, types and message; valid at this market of this chain alone."""
        domain = {"name": "ModelSeal", "version": "1", "chainId": chain_id, "verifyingContract": market}
        types = {type(self).__name__: [{"name": name, "type": kind} for name, kind in self._fields]}
        return domain, types, self._message()

    def is_signed_by(self, account: str, signature: bytes, chain_id: int, market: str) -> bool:
        """Return whether the account, 0x and 40 hex digits, has signed this, in the form that the market takes.

        Not for contracts (ERC-1271), whose answer may be another one by the time that it counts.
        """
        if len(signature) != SIGNATURE_BYTES or signature[-1] not in _LAST_BYTES:
            return False
        if int.from_bytes(signature[32:64], "big") > _HIGHEST_S:
            return False
        try:
            signable = encode_typed_data(*self.typed_data(chain_id, market))
            return str(Account.recover_message(signable, signature=signature)).lower() == account.lower()
        except (ValueError, BadSignature):
            return False


@dataclass(frozen=True)
class Acceptance(_Agreement):
    """The buyer holds the ciphertext of a delivery (`contracts.delivery_digest`), and asks for its key."""

    trade_id: int
    delivery: bytes

    _fields: ClassVar = (("tradeId", "uint256"), ("delivery", "bytes32"))

    def _message(self) -> dict[str, Any]:
        return {"tradeId": self.trade_id, "delivery": self.delivery}


@dataclass(frozen=True)
class Refund(_Agreement):
    """The seller gives back a part of the price of a delivery, in the smallest unit of the token."""

    trade_id: int
    delivery: bytes
    amount_wei: int

    _fields: ClassVar = (("tradeId", "uint256"), ("delivery", "bytes32"), ("amount", "uint256"))

    def _message(self) -> dict[str, Any]:
        return {"tradeId": self.trade_id, "delivery": self.delivery, "amount": self.amount_wei}
