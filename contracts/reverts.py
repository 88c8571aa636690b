"""Turns the return data of a reverted call into the error that the contract meant."""

from collections.abc import Mapping
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
    """The error that a revert's return data encode.

    Data that encode none of the market's errors give `name="Unknown"` and the data in hex: a contract that is not ours,
    or a revert without data.

    Args:
        data: Return data of the reverted call: 4-byte selector, then the ABI-encoded arguments.
    """
    for error in (*_BUILT_IN, *read_artifacts().contracts["ModelMarket"].abi):
        if error["type"] == "error" and function_signature_to_4byte_selector(_signature(error)) == data[:4]:
            try:
                values = decode([field["type"] for field in error["inputs"]], data[4:])
                pairs = zip(error["inputs"], values, strict=True)
                return MarketRevertedError(
                    error["name"], {field["name"]: _readable(field, value) for field, value in pairs}
                )
            except (DecodingError, IndexError):  # too short, or no member of the enum
                break
    return MarketRevertedError("Unknown", {"data": encode_hex(data)})


def _signature(error: Mapping[str, Any]) -> str:
    return abi_to_signature(cast("ABIError", error))


def _readable(field: Mapping[str, Any], value: Any) -> Any:
    """Enum members by name, bytes in hex."""
    if field.get("internalType", "").startswith("enum "):
        return read_artifacts().enums[field["internalType"].removeprefix("enum ")][value]
    return encode_hex(value) if isinstance(value, bytes) else value
