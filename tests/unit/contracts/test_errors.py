from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

import contracts.published
from contracts import ArtifactError, ContractsError, MarketRevertedError, decode_revert


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


def test_a_custom_error_is_named_with_its_arguments() -> None:
    data = selector("UnexpectedState(uint256,uint8,uint8)") + encode(["uint256", "uint8", "uint8"], [7, 4, 6])
    error = decode_revert(data)
    assert isinstance(error, ContractsError)
    assert error.name == "UnexpectedState"
    assert error.arguments == {"tradeId": 7, "current": "Proven", "expected": "Revealed"}
    assert str(error) == "the market refused: UnexpectedState(tradeId=7, current=Proven, expected=Revealed)"


def test_digests_are_readable() -> None:
    data = selector("UnexpectedDigest(bytes32,bytes32)") + encode(["bytes32", "bytes32"], [b"\1" * 32, b"\2" * 32])
    assert decode_revert(data).arguments == {"digest": "0x" + "01" * 32, "expected": "0x" + "02" * 32}


def test_errors_of_libraries_and_of_the_language_are_known() -> None:
    assert decode_revert(selector("ReentrancyGuardReentrantCall()")).name == "ReentrancyGuardReentrantCall"
    message = decode_revert(selector("Error(string)") + encode(["string"], ["VKA not registered"]))
    assert (message.name, message.arguments) == ("Error", {"message": "VKA not registered"})
    assert decode_revert(selector("Panic(uint256)") + encode(["uint256"], [0x11])).arguments == {"code": 0x11}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1",
        b"\1\2\3\4",
        selector("UnexpectedState(uint256,uint8,uint8)"),
        selector("UnexpectedState(uint256,uint8,uint8)") + bytes(40),
        selector("UnexpectedState(uint256,uint8,uint8)") + encode(["uint256"] * 3, [1, 200, 1]),
        selector("Error(string)") + b"\xff" * 64,
    ],
)
def test_anything_else_is_unknown(data: bytes) -> None:
    error = decode_revert(data)
    assert isinstance(error, MarketRevertedError)
    assert (error.name, error.arguments) == ("Unknown", {"data": "0x" + data.hex()})


def test_missing_artifacts_give_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "contracts.json"
    monkeypatch.setattr(contracts.published, "ARTIFACTS_PATH", path)
    contracts.published.read_artifacts.cache_clear()
    try:
        with pytest.raises(ArtifactError, match="make contracts"):
            contracts.published.read_artifacts()
        path.write_text("{}")
        with pytest.raises(ArtifactError, match="make contracts"):
            contracts.published.read_artifacts()
    finally:
        contracts.published.read_artifacts.cache_clear()
