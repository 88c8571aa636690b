"""Calls and events of the market, decoded from bytes: no node is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import Web3
from web3.datastructures import AttributeDict

from contracts import Layout, Statement, Terms, bind_market
from ledger.indexing.decoding import EventDecoder, Happened
from trader.chain.inclusion import InclusionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from web3.contract import Contract

    from trader.chain.inclusion import ReceiptLog


class OfflineMarket:
    """The market's interface, without a chain.

    Attributes:
        address: Where it is said to be, checksummed.
    """

    def __init__(self, address: str) -> None:
        self.address = to_checksum_address(address)
        self._contract: Contract = bind_market(Web3(), self.address)
        self._decoder = EventDecoder(self._contract)

    def decode_call(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """Return the function that calldata calls, and its arguments by name.

        Raises:
            InclusionError: It is none of the market's.
        """
        try:
            function, arguments = self._contract.decode_function_input(data)
        except (DecodingError, OverflowError, ValueError) as error:  # web3's own are ValueErrors
            raise InclusionError("it calls no function of the market") from error
        return str(function.fn_name), dict(arguments)

    def events(self, logs: Iterable[ReceiptLog]) -> Iterator[Happened]:
        """Yield the market's events among those of a receipt, in order.

        Raises:
            IndexingError: One can't be read.
        """
        for log in logs:
            if to_checksum_address(log.address) == self.address:
                fields: Any = {
                    "address": self.address,
                    "topics": [HexBytes(topic) for topic in log.topics],
                    "data": HexBytes(log.data),
                    "blockNumber": 0,
                    "blockHash": HexBytes(bytes(32)),
                    "transactionHash": HexBytes(bytes(32)),
                    "transactionIndex": 0,
                    "logIndex": 0,
                }
                yield self._decoder.decode(AttributeDict(fields))  # type: ignore[arg-type]  # as web3 gives them


def terms_of(arguments: dict[str, Any]) -> Terms:
    """Return the terms in the decoded arguments of `list`."""
    return Terms.from_abi(tuple(arguments["terms"].values()))


def statement_of(audit: dict[str, Any]) -> Statement:
    """Return what is proven by the decoded arguments of `prove`."""
    circuit_digest, parameter_commitment, layout = audit["statement"].values()
    *numbers, lengths = layout.values()
    values: Any = [*numbers, tuple(lengths)]
    return Statement(circuit_digest, parameter_commitment, Layout(*values))
