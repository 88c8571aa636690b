"""Plain calls: transactions that no contract's ABI describes, such as deployments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from hexbytes import HexBytes
from web3.middleware.base import Web3Middleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from web3 import Web3
    from web3.types import MakeRequestFn, RPCEndpoint, RPCResponse, TxParams, TxReceipt


class Call(Protocol):
    """What a transaction does: a contract's function with its arguments, or a `PlainCall`."""

    def build_transaction(self, transaction: TxParams | None = None, /) -> TxParams:
        """Return the transaction with recipient and calldata filled in."""

    def estimate_gas(self, transaction: TxParams | None = None, /) -> int:
        """Return what the node says that it takes; raises where it would fail."""


@dataclass(frozen=True)
class PlainCall:
    """A call by its calldata, or a payment.

    Attributes:
        web3: The chain.
        to: Recipient.
        data: Calldata.
    """

    web3: Web3
    to: str
    data: bytes = b""

    def build_transaction(self, transaction: TxParams | None = None, /) -> TxParams:
        """Return the transaction with recipient and calldata filled in."""
        return cast("TxParams", {**(transaction or {}), "to": self.to, "data": HexBytes(self.data)})

    def estimate_gas(self, transaction: TxParams | None = None, /) -> int:
        """Return what the node says that it takes."""
        return int(self.web3.eth.estimate_gas(self.build_transaction(transaction)))


class SendingMiddleware(Web3Middleware):
    """Sends what packages below hand to web3 unsigned, for one account, and waits until a block holds it.

    So what they send is numbered, raised and remembered as everything else (`transactions.py`).
    """

    def __init__(self, web3: Web3, address: str, send: Callable[[PlainCall, int], TxReceipt]) -> None:
        """Set up.

        Args:
            web3: The chain.
            address: The account.
            send: Signs a call that pays so many wei, sends it and waits.
        """
        super().__init__(web3)
        self._web3 = web3
        self._address = address
        self._send = send

    def wrap_make_request(self, make_request: MakeRequestFn) -> MakeRequestFn:
        """Return what answers requests: transactions of the account are sent here."""

        def answer(method: RPCEndpoint, params: Any) -> RPCResponse:
            if method != "eth_sendTransaction" or params[0].get("from") != self._address:
                return make_request(method, params)
            transaction = params[0]
            call = PlainCall(self._web3, transaction["to"], bytes(HexBytes(transaction.get("data", b""))))
            value = transaction.get("value", 0)
            receipt = self._send(call, value if isinstance(value, int) else int(value, 16))
            return {"jsonrpc": "2.0", "id": 1, "result": receipt["transactionHash"].to_0x_hex()}

        return answer
