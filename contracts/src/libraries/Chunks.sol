// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Chunk} from "../types/Types.sol";

/// @title Chunks of the delivered model: their cipher and their leaves
/// @dev The three leaves have preimages of 1,024, 992 and 96 bytes, inner nodes of 64: none passes for another.
library Chunks {
    /// @dev Parameters are integers of magnitude less than this: float32 holds them exactly, and no sum of the audit
    /// circuit wraps around.
    int256 private constant PARAMETER_BOUND = 1 << 24;

    /// @notice Word i of chunk `index` is XORed with keccak256(key ‖ index ‖ i), so that one chunk can be decrypted alone.
    function decrypt(bytes32 key, uint256 index, bytes32[32] calldata ciphertext)
        internal
        pure
        returns (Chunk memory chunk)
    {
        chunk.sum = uint256(ciphertext[0] ^ _pad(key, index, 0));
        chunk.salt = ciphertext[1] ^ _pad(key, index, 1);
        for (uint256 i = 2; i < 32; ++i) {
            chunk.parameters[i - 2] = ciphertext[i] ^ _pad(key, index, i);
        }
    }

    function ciphertextLeaf(bytes32[32] calldata ciphertext) internal pure returns (bytes32) {
        return keccak256(abi.encode(ciphertext));
    }

    function weightsLeaf(bytes32 salt, bytes32[30] memory parameters) internal pure returns (bytes32) {
        return keccak256(abi.encode(salt, parameters));
    }

    /// @dev The sum is salted with a hash of the chunk's salt: that of the last chunk is public before anyone pays, and
    /// the salt itself must go on hiding the few parameters that a last chunk may hold.
    function sumsLeaf(uint256 index, uint256 sum, bytes32 salt) internal pure returns (bytes32) {
        return keccak256(abi.encode(index, sum, keccak256(abi.encode(salt))));
    }

    /// @notice Whether parameter `position` of a chunk is none: int32, big-endian, eight in each word.
    function isOutOfRange(bytes32[30] calldata parameters, uint256 position) internal pure returns (bool) {
        int256 parameter = parameterAt(parameters, position);
        return parameter >= PARAMETER_BOUND || parameter <= -PARAMETER_BOUND;
    }

    /// @notice Parameter `position` of a chunk.
    function parameterAt(bytes32[30] calldata parameters, uint256 position) internal pure returns (int32) {
        return int32(uint32(uint256(parameters[position / 8]) >> (224 - 32 * (position % 8))));
    }

    function _pad(bytes32 key, uint256 index, uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode(key, index, i));
    }
}
