// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Two ways to bring a verification key artifact to a call: with it, or from another contract's code
/// @dev For `tests/contracts/vka_storage.py`, which compares what they cost.
contract StandInVkaStore {
    event Stored(address pointer);

    error NotStored();

    /// @notice Keep the words as the code of a new contract, behind a byte that makes calls to it stop.
    function store(bytes32[] calldata vka) external {
        bytes memory code = abi.encodePacked(hex"00", vka);
        // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE (zero), CODECOPY, RETURNDATASIZE, RETURN
        bytes memory creation = abi.encodePacked(hex"61", uint16(code.length), hex"80600a3d393df3", code);
        address pointer;
        assembly ("memory-safe") {
            pointer := create(0, add(creation, 32), mload(creation))
        }
        require(pointer != address(0), NotStored());
        emit Stored(pointer);
    }

    /// @notice The digest of words that come with the call, brought to memory as for a call to the verifier.
    function fromCalldata(bytes32[] calldata vka) external pure returns (bytes32 digest) {
        bytes memory words = abi.encodePacked(vka);
        digest = keccak256(words);
    }

    /// @notice The digest of words that were stored.
    function fromCode(address pointer) external view returns (bytes32 digest) {
        bytes memory words = new bytes(pointer.code.length - 1);
        assembly ("memory-safe") {
            extcodecopy(pointer, add(words, 32), 1, mload(words))
        }
        digest = keccak256(words);
    }
}
