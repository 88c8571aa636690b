"""What the chain says of a transaction: its receipt, and the events of a contract in it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_tester.exceptions import TransactionFailed
from eth_utils.hexadecimal import encode_hex
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError
from web3.logs import DISCARD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web3.contract import Contract
    from web3.types import LogReceipt, TxReceipt

REFUSALS = (ContractLogicError, TransactionFailed)
"""What a call or an estimate raises when the contract refuses: of web3, and of eth-tester."""


@dataclass(frozen=True)
class LogEvent:
    """One event of a contract.

    Attributes:
        name: As in the ABI.
        arguments: By name.
        block_number: Block that holds it.
        block_hash: That of this block: as long as it stands, so does the event.
        transaction_hash: 0x-hex, of the transaction that caused it.
    """

    name: str
    arguments: dict[str, Any]
    block_number: int
    block_hash: bytes
    transaction_hash: str


@dataclass(frozen=True)
class Receipt:
    """A transaction that was mined and succeeded.

    Attributes:
        transaction_hash: 0x-hex.
        block_number: Block that holds it.
        gas_used: Gas that its sender paid for.
        gas_cost_wei: What that gas cost.
        events: Events of the called contract, in order.
    """

    transaction_hash: str
    block_number: int
    gas_used: int
    gas_cost_wei: int
    events: tuple[LogEvent, ...]

    @classmethod
    def of(cls, receipt: TxReceipt, contract: Contract) -> Receipt:
        """Return the node's receipt of a call of `contract`, with the contract's events."""
        return cls(
            transaction_hash=receipt["transactionHash"].to_0x_hex(),
            block_number=receipt["blockNumber"],
            gas_used=receipt["gasUsed"],
            gas_cost_wei=receipt["gasUsed"] * receipt["effectiveGasPrice"],
            events=tuple(decode_logs(contract, receipt["logs"])),
        )


@dataclass(frozen=True, slots=True)
class TransactionCost:
    """What a mined transaction cost whoever sent it.

    Attributes:
        sender: Its address.
        block_number: Block that holds it.
        gas_used: Its gas.
        gas_cost_wei: What that gas cost.
    """

    sender: str
    block_number: int
    gas_used: int
    gas_cost_wei: int


def decode_logs(contract: Contract, logs: Sequence[LogReceipt]) -> list[LogEvent]:
    """Return the contract's events among logs, in order; other contracts' are left out."""
    if not any(entry["type"] == "event" for entry in contract.abi):  # web3 takes that for a mistake
        return []
    own: Any = {"logs": [log for log in logs if log["address"] == contract.address]}
    events: Any = contract.events  # iterable, though its annotation says otherwise
    decoded = [found for event in events for found in event().process_receipt(own, errors=DISCARD)]
    decoded.sort(key=lambda log: (log["blockNumber"], log["logIndex"]))
    return [
        LogEvent(
            log["event"],
            dict(log["args"]),
            log["blockNumber"],
            bytes(log["blockHash"]),
            encode_hex(bytes(log["transactionHash"])),
        )
        for log in decoded
    ]


def revert_data(error: BaseException) -> bytes | None:
    """Return what the contract returned when it reverted, if the exception still has it."""
    if isinstance(error, ContractLogicError):
        return bytes(HexBytes(error.data)) if isinstance(error.data, (str, bytes)) else None
    # eth-tester gives the data as the text of a bytes literal, or the text of a revert with a message.
    literal = str(error).removeprefix("execution reverted: ")
    return bytes(ast.literal_eval(literal)) if literal.startswith(("b'", 'b"')) else None
