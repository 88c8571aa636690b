"""Python values against the compiled ABI."""

from dataclasses import fields
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

import contracts
from contracts import (
    ETH,
    ChunkEvidence,
    Layout,
    MarketEvent,
    RangeEvidence,
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
TERMS = Terms(*(bytes([i]) * 32 for i in range(6)), ETH, 7, 8, 9, 10, 11, 12, 13, 14, WINDOWS)
CHUNK = ChunkEvidence(bytes(32), bytes(32), 1, bytes(1024), [bytes(32)], bytes(32), [], LAYOUT)
RANGE = RangeEvidence(1, 2, bytes(32), bytes(960), [bytes(32)], LAYOUT)
STEP = SumStepEvidence(1, 2, bytes(32), [], 3, bytes(32), [], bytes(960), [], LAYOUT)


def struct(name: str) -> dict[str, Any]:
    """The ABI of a struct, wherever a function takes it."""
    inputs = [field for entry in ABI if entry["type"] == "function" for field in entry["inputs"]]
    nested = [component for field in inputs for component in field.get("components", [])]
    return next(field for field in [*inputs, *nested] if field["internalType"] == f"struct {name}")


def type_of(field: dict[str, Any]) -> str:
    if "components" not in field:
        return str(field["type"])
    return "(" + ",".join(map(type_of, field["components"])) + ")" + field["type"].removeprefix("tuple")


@pytest.mark.parametrize("value", [WINDOWS, TERMS, LAYOUT, CHUNK, STEP, RANGE])
def test_values_encode_as_their_struct(value: Any) -> None:
    compiled = struct(type(value).__name__)
    assert len(value.as_abi()) == len(compiled["components"])
    encode([type_of(compiled)], [value.as_abi()])


@pytest.mark.parametrize("kind", [Windows, Terms, Layout, ChunkEvidence, SumStepEvidence, RangeEvidence])
def test_fields_stand_in_the_order_of_their_struct(kind: type) -> None:
    """Up to case and the unit at the end of a Python name."""
    for field, compiled in zip(fields(kind), struct(kind.__name__)["components"], strict=True):
        assert field.name.replace("_", "").startswith(compiled["name"].lower())


def test_terms_read_back_as_they_were() -> None:
    assert Terms.from_abi(TERMS.as_abi()) == TERMS


def test_the_layout_hash_is_that_of_the_abi_encoding() -> None:
    assert layout_hash(LAYOUT) == keccak(encode([type_of(struct("Layout"))], [LAYOUT.as_abi()]))


def test_digests_that_moves_name_are_those_of_the_abi_encoding() -> None:
    seller = "0x" + "5e" * 20
    compiled = encode(["address", type_of(struct("Terms"))], [seller, TERMS.as_abi()])
    assert offer_digest(seller, TERMS) == keccak(compiled)
    root, key_hash = b"r" * 32, b"k" * 32
    assert delivery_digest(root, key_hash) == keccak(encode(["bytes32", "bytes32"], [root, key_hash]))


def test_events_are_those_of_the_contract() -> None:
    assert {event.value for event in MarketEvent} == {entry["name"] for entry in ABI if entry["type"] == "event"}


def test_all_names_what_the_package_exports() -> None:
    assert all(hasattr(contracts, name) for name in contracts.__all__)
