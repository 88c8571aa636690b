"""Events are read by their ABI as web3 reads them, and what is none of the market's is an error of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3
from web3.datastructures import AttributeDict

from contracts import bind_market
from ledger import IndexingError, Record
from ledger.entries import CONTRACT_EVENTS, ActorRole, ChainPosition, EntryKind
from ledger.indexing.decoding import EventDecoder, read_arguments

if TYPE_CHECKING:
    from web3.contract import Contract

MARKET: Contract = bind_market(Web3(), "0x" + "11" * 20)
DECODER = EventDecoder(MARKET)
EVENTS = {event.name: event for event in MARKET.events if event.name in set(CONTRACT_EVENTS)}  # type: ignore[attr-defined]
HASH = "0x" + "22" * 32


def values_of(item: Any) -> st.SearchStrategy[Any]:
    kind = item["type"]
    if kind == "tuple":
        return st.tuples(*map(values_of, item["components"]))
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
    if kind == "bool":
        return st.booleans()
    if kind.startswith("bytes"):
        return st.binary(min_size=int(kind[5:]), max_size=int(kind[5:]))
    return st.integers(0, 2 ** int(kind.removeprefix("uint")) - 1)


def log_of(name: str, values: list[Any]) -> Any:
    inputs = EVENTS[name].abi["inputs"]
    pairs = list(zip(inputs, values, strict=True))
    topics = [HexBytes(encode([item["type"]], [value])) for item, value in pairs if item["indexed"]]
    data = [(collapse_if_tuple(item), value) for item, value in pairs if not item["indexed"]]
    return AttributeDict(
        {
            "address": MARKET.address,
            "topics": [HexBytes(EVENTS[name].topic), *topics],
            "data": HexBytes(encode([kind for kind, _ in data], [value for _, value in data])),
            "blockNumber": 1,
            "blockHash": HexBytes(HASH),
            "transactionHash": HexBytes(HASH),
            "transactionIndex": 0,
            "logIndex": 0,
        }
    )


@pytest.mark.parametrize("name", EVENTS)
@given(st.data())
def test_an_event_says_what_web3_reads_in_it(name: str, data: st.DataObject) -> None:
    log = log_of(name, [data.draw(values_of(item)) for item in EVENTS[name].abi["inputs"]])
    happened = DECODER.decode(log)
    record = Record(
        kind=happened.kind,
        actor="0x" + "33" * 20,
        role=ActorRole.ANYONE,
        occurred_at_seconds=0,
        listing_id=happened.listing_id,
        trade_id=happened.trade_id,
        chain=ChainPosition(
            chain_id=1,
            contract=MARKET.address,
            block_number=1,
            block_hash=HASH,
            transaction_hash=HASH,
            log_index=0,
            gas_used=0,
        ),
        details=happened.details,
    )
    assert read_arguments(MARKET, record) == dict(EVENTS[name]().process_log(log)["args"])


@pytest.mark.parametrize(
    "changes",
    [
        {"topics": []},
        {"topics": [HexBytes(HASH)]},
        {"topics": [HexBytes(EVENTS["Answered"].topic)]},
        {"topics": [HexBytes(EVENTS["Answered"].topic), HexBytes(HASH), HexBytes(HASH)]},
        {"topics": [HexBytes(EVENTS["Answered"].topic), HexBytes("0x01")]},
        {"data": HexBytes("0x")},
        {"data": HexBytes("0x" + "ff" * 64)},  # a deadline of 256 bits
        {"data": HexBytes("0x" + "00" * 63)},
    ],
)
def test_what_is_no_event_of_the_market_is_refused(changes: dict[str, Any]) -> None:
    log = log_of("Answered", [7, b"r" * 32, 1000])
    assert DECODER.decode(log).kind is EntryKind.ANSWERED
    with pytest.raises(IndexingError, match=r"doesn't know|can't be read"):
        DECODER.decode(AttributeDict({**log, **changes}))  # type: ignore[arg-type]
