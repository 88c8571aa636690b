import hashlib
import itertools
from dataclasses import replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

import ledger
from contracts import MarketEvent
from ledger import (
    ActorRole,
    ChainPosition,
    EntryKind,
    Head,
    InvalidRecordError,
    MalformedEntryError,
    MarketId,
    Record,
    as_reason,
)
from ledger.checkpoint import EMPTY_HEAD
from ledger.details import encode_details
from ledger.encoding import GENESIS_HASH, encode_entry, from_fields, hash_entry, parse_object, to_fields
from ledger.entries import CONTRACT_EVENTS
from tests.simulators.ledger_records import BUYER, MARKET, any_record, contract_event, hash_of, position, step


def test_public_names_are_all_there() -> None:
    assert len(ledger.__all__) == len(set(ledger.__all__))
    for name in ledger.__all__:
        assert hasattr(ledger, name), name


def test_contract_events_have_the_contracts_names() -> None:
    assert {kind.value for kind in CONTRACT_EVENTS} == {event.value for event in MarketEvent}


def test_encoding_is_canonical_json() -> None:
    assert encode_entry(5, step(1, listing_id=None)) == (
        b'{"actor":"' + BUYER.encode() + b'","details":{"bytes":1,"digest":"' + hash_of(1).encode() + b'"},'
        b'"kind":"RequestSent","occurred_at_seconds":1700000001,"role":"Buyer","sequence":5,"trade_id":"7"}'
    )


def test_hash_is_domain_separated_and_chained() -> None:
    encoded = encode_entry(0, step())
    entry_hash = hash_entry(GENESIS_HASH, encoded)
    assert entry_hash == hashlib.sha256(b"modelseal/ledger/entry/v1\0" + GENESIS_HASH + encoded).digest()
    assert hash_entry(bytes(32), encoded) != entry_hash
    assert hashlib.sha256(b"modelseal/ledger/genesis/v1").digest() == GENESIS_HASH


@given(any_record)
def test_fields_read_back(record: Record) -> None:
    fields = to_fields(3, record)
    assert from_fields(fields) == (3, record)
    assert encode_entry(*from_fields(fields)) == encode_entry(3, record)


def test_hex_is_lowered() -> None:
    assert step(actor=BUYER.upper().replace("0X", "0x")).actor == BUYER


@pytest.mark.parametrize(
    "changes",
    [
        {"actor": "0x12"},
        {"actor": 5},
        {"occurred_at_seconds": -1},
        {"occurred_at_seconds": 1.5},
        {"occurred_at_seconds": True},
        {"occurred_at_seconds": 2**53},
        {"trade_id": 2**256},
        {"listing_id": "3"},
        {"details": {"Name": 1}},
        {"details": {"name": 2**53}},
        {"details": {"name": 1.5}},
        {"details": {"name": None}},
        {"details": {"name": b"key"}},
        {"details": {"name": "x" * 257}},
        {"details": {"name": "a\nb"}},
        {"details": {"name": "\u202egnp.exe"}},
        {"details": {f"name_{i}": i for i in range(65)}},
        {"details": [1]},
        {"chain": position()},
        {"kind": EntryKind.SETTLED},
        {"kind": EntryKind.SETTLED, "chain": position(index=None)},
    ],
)
def test_record_out_of_shape_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidRecordError):
        step(**changes)


@pytest.mark.parametrize(
    "changes", [{"block_hash": "0x00"}, {"gas_used": -1}, {"log_index": 2**53}, {"contract": hash_of(1)}]
)
def test_position_out_of_shape_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidRecordError):
        replace(position(), **changes)


def test_details_cannot_be_changed_afterwards() -> None:
    details = {"bytes": 1}
    record = step(details=details)
    details["bytes"] = 2
    assert record.details["bytes"] == 1
    with pytest.raises(TypeError):
        record.details["bytes"] = 2  # type: ignore[index]  # that is the point


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": None},
        {"sequence": "0"},
        {"sequence": -1},
        {"kind": "Bribed"},
        {"kind": 3},
        {"kind": ["Listed"]},
        {"role": "Auditor"},
        {"role": None},
        {"actor": BUYER.upper().replace("0X", "0x")},
        {"trade_id": 7},
        {"trade_id": "07"},
        {"trade_id": "-1"},
        {"trade_id": "9" * 5000},
        {"details": None},
        {"details": "{}"},
        {"chain_id": 1},
        {"surprise": 1},
        {"chain": "x"},
    ],
)
def test_hostile_fields_are_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedEntryError):
        from_fields(to_fields(0, step()) | changes)


ODD_VALUES = (
    None, True, False, 0, 1, -1, 1.0, 2**60, "", "x", "0", "01", "1", BUYER, BUYER.upper().replace("0X", "0x"), " 1",
    "0x" + "AB" * 32, "0x" + "ab" * 32, [], {}, {"a": 1}, {"a": 1.0}, {"A": 1}, "Settled", "Seller", "seller", b"1",
)  # fmt: skip


@pytest.mark.parametrize(
    "record", [step(), contract_event(), replace(step(), market=MarketId(chain_id=1, contract=MARKET), identity="one")]
)
def test_what_is_read_is_what_would_be_written(record: Record) -> None:
    fields = to_fields(3, record)
    names = {*fields, "identity", "log_index", "gas_used", "chain_id", "contract", "block_hash", "trade_id", "surprise"}
    read = 0
    for name, value in itertools.product(sorted(names), ODD_VALUES):
        changed = fields | {name: value}
        try:
            again = to_fields(*from_fields(changed))
        except MalformedEntryError:
            continue
        read += 1
        assert again == {one: what for one, what in changed.items() if what is not None}
    assert read > len(names) / 2


def test_missing_position_is_malformed() -> None:
    fields = to_fields(0, contract_event())
    for name in ("chain_id", "contract", "block_number", "block_hash", "transaction_hash", "log_index", "gas_used"):
        with pytest.raises(MalformedEntryError):
            from_fields({key: value for key, value in fields.items() if key != name})


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"a":1}' + " " * 70_000, "[" * 60_000, None, b"{}", "9" * 9999])
def test_hostile_json_is_malformed(text: object) -> None:
    with pytest.raises(MalformedEntryError):
        parse_object(text)


def test_head_reads_back() -> None:
    head = Head(12, bytes(range(32)))
    assert Head.parse(str(head)) == head
    assert Head.parse(f" {EMPTY_HEAD}\n") == EMPTY_HEAD


@pytest.mark.parametrize("text", ["", "12", "12:", "12:0x00", "-1:" + hash_of(1), "x:" + hash_of(1), hash_of(1)])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InvalidRecordError):
        Head.parse(text)


def test_reason_of_any_error_fits_a_detail() -> None:
    for error in (ValueError("a\n  b\x00\u202e" + "x" * 1000), ValueError(), KeyError("k")):
        step(details={"reason": as_reason(error)})
    assert as_reason(ValueError("first\n second")) == "first second"
    assert as_reason(ValueError()) == "ValueError"


def test_roles_and_positions_are_plain_values() -> None:
    assert ActorRole("Seller") is ActorRole.SELLER
    assert isinstance(contract_event().chain, ChainPosition)
    assert hash(position()) == hash(position())


@given(any_record, st.text(st.characters(exclude_categories=("C", "Z")), max_size=256))
def test_encoding_is_that_of_rfc_8785_whatever_the_record(record: Record, text: str) -> None:
    told = replace(record, details={**record.details, "text": text, "quote": '"\\/é€😀'})
    assert encode_entry(7, told) == rfc8785.dumps(to_fields(7, told))
    assert encode_details(told.details) == rfc8785.dumps(dict(told.details)).decode()
