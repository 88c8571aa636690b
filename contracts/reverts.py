"""Turns the return data of a reverted call into the error that the contract meant."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector
from eth_utils.hexadecimal import encode_hex

from contracts.errors import MarketRevertedError
from contracts.published import read_artifacts

if TYPE_CHECKING:
    from eth_typing import ABIError

_BUILT_IN: tuple[dict[str, Any], ...] = (
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


def decode_revert(data: bytes) -> MarketRevertedError:
    """Return the error that a revert's return data encode.

    Data that encode none of our contracts' errors give `name="Unknown"` and the data in hex: a contract that is not
    ours, or a revert without data.

    Args:
        data: Return data of the reverted call: 4-byte selector, then the ABI-encoded arguments.
    """
    for error in _errors():
        if function_signature_to_4byte_selector(_signature(error)) == data[:4]:
            try:
                values = decode([field["type"] for field in error["inputs"]], data[4:])
                pairs = zip(error["inputs"], values, strict=True)
                return MarketRevertedError(
                    error["name"], {field["name"]: _readable(field, value) for field, value in pairs}
                )
            except (DecodingError, IndexError):  # too short, or no member of the enum
                break
    return MarketRevertedError("Unknown", {"data": encode_hex(data)})


@cache
def _errors() -> tuple[Mapping[str, Any], ...]:
    """Return the errors of all our contracts, the market's first: two of one signature say the same."""
    contracts = read_artifacts().contracts
    abis = (contracts["ModelMarket"].abi, *(artifact.abi for artifact in contracts.values()))
    return (*_BUILT_IN, *(entry for abi in abis for entry in abi if entry["type"] == "error"))


def _signature(error: Mapping[str, Any]) -> str:
    return abi_to_signature(cast("ABIError", error))


def _readable(field: Mapping[str, Any], value: Any) -> Any:
    """Return a value as people read it: enum members by name, bytes in hex."""
    if field.get("internalType", "").startswith("enum "):
        return read_artifacts().enums[field["internalType"].removeprefix("enum ")][value]
    return encode_hex(value) if isinstance(value, bytes) else value
