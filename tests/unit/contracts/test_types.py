"""Python values against the compiled ABI."""

from dataclasses import fields, replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

import contracts
from contracts import (
    MOST_PROOF_FEES,
    ChunkEvidence,
    Layout,
    MarketEvent,
    RangeEvidence,
    Statement,
    SumStepEvidence,
    Terms,
    Windows,
    delivery_digest,
    layout_hash,
    offer_digest,
)
from contracts.published import read_artifacts

ABI = read_artifacts().contracts["ModelMarket"].abi
LAYOUT = Layout(1, 2, 1, 5504, 10, 14, 15, (32762, 17))
WINDOWS = Windows(1, 2, 3, 4, 5, 6)
TOKEN, POLICY = "0x" + "70" * 20, "0x" + "90" * 20
TERMS = Terms(*(bytes([i]) * 32 for i in range(4)), 7, 8, 9, 10, 11, 12, 13, 14, WINDOWS, 15, TOKEN, POLICY)
STATEMENT = Statement(b"c" * 32, b"p" * 32, LAYOUT)
CHUNK = ChunkEvidence(bytes(32), bytes(32), 1, bytes(1024), [bytes(32)], bytes(32), [], STATEMENT)
RANGE = RangeEvidence(1, 2, bytes(32), bytes(960), [bytes(32)], STATEMENT)
STEP = SumStepEvidence(1, 2, bytes(32), [], 3, bytes(32), [], bytes(960), [], STATEMENT)


def struct(name: str) -> dict[str, Any]:
    """The ABI of a struct, wherever a function takes it."""
    inputs = [field for entry in ABI if entry["type"] == "function" for field in entry["inputs"]]
    while not (found := [field for field in inputs if field["internalType"] == f"struct {name}"]):
        inputs = [component for field in inputs for component in field.get("components", [])]
    return found[0]


def type_of(field: dict[str, Any]) -> str:
    if "components" not in field:
        return str(field["type"])
    return "(" + ",".join(map(type_of, field["components"])) + ")" + field["type"].removeprefix("tuple")


@pytest.mark.parametrize("value", [TERMS, LAYOUT, STATEMENT, CHUNK, STEP, RANGE])
def test_values_encode_as_their_struct(value: Any) -> None:
    compiled = struct(type(value).__name__)
    assert len(value.as_abi()) == len(compiled["components"])
    encode([type_of(compiled)], [value.as_abi()])


@pytest.mark.parametrize("kind", [Layout, Statement, ChunkEvidence, SumStepEvidence, RangeEvidence])
def test_fields_stand_in_the_order_of_their_struct(kind: type) -> None:
    """Up to case and the unit at the end of a Python name."""
    for field, compiled in zip(fields(kind), struct(kind.__name__)["components"], strict=True):
        assert field.name.replace("_", "").startswith(compiled["name"].lower())


def test_terms_and_their_windows_stand_where_solidity_has_them() -> None:
    values = zip(struct("Terms")["components"], TERMS.as_abi(), strict=True)
    names = {component["name"]: value for component, value in values}
    windows = {name.removesuffix("Window"): value for name, value in names.items() if name.endswith("Window")}
    assert windows == {field.name.removesuffix("_seconds"): getattr(WINDOWS, field.name) for field in fields(Windows)}
    others = {name.lower(): value for name, value in names.items() if not name.endswith("Window")}
    plain = {field.name.removesuffix("_wei").replace("_", ""): field for field in fields(Terms)}
    assert others == {name: getattr(TERMS, field.name) for name, field in plain.items() if name != "windows"}


def test_proof_fees_are_counted_in_listed_ones() -> None:
    terms = replace(TERMS, price_wei=100, proof_fee_wei=7)
    assert [terms.proof_fee_of(count) for count in (0, 1, 14, 15, MOST_PROOF_FEES)] == [0, 7, 98, 100, 100]
    assert [terms.proof_fees_in(amount) for amount in (0, 6, 7, 99, 100)] == [0, 0, 1, 14, MOST_PROOF_FEES]
    assert replace(terms, proof_fee_wei=0).proof_fees_in(0) == MOST_PROOF_FEES


def test_terms_read_back_as_they_were() -> None:
    assert Terms.from_abi(TERMS.as_abi()) == TERMS


def test_the_statement_is_a_digest_of_three_words() -> None:
    words = [STATEMENT.circuit_digest, STATEMENT.parameter_commitment, layout_hash(LAYOUT)]
    assert STATEMENT.digest == keccak(encode(["bytes32"] * 3, words))


def test_the_layout_hash_is_that_of_the_abi_encoding() -> None:
    assert layout_hash(LAYOUT) == keccak(encode([type_of(struct("Layout"))], [LAYOUT.as_abi()]))


def test_digests_that_moves_name_are_those_of_the_abi_encoding() -> None:
    seller = "0x" + "5e" * 20
    compiled = encode(["address", type_of(struct("Terms"))], [seller, TERMS.as_abi()])
    assert offer_digest(seller, TERMS) == keccak(compiled)
    root, key_hash = b"r" * 32, b"k" * 32
    assert delivery_digest(root, key_hash) == keccak(encode(["bytes32", "bytes32"], [root, key_hash]))


def test_events_are_those_of_the_contract() -> None:
    never_emitted = {"EIP712DomainChanged"}  # a part of ERC-5267: our domain is fixed
    events = {entry["name"] for entry in ABI if entry["type"] == "event"}
    assert {event.value for event in MarketEvent} == events - never_emitted


def test_all_names_what_the_package_exports() -> None:
    assert all(hasattr(contracts, name) for name in contracts.__all__)
