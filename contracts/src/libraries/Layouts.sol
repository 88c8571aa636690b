// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {Layout, Statement} from "../types/Types.sol";

/// @title Where parameters lie: columns of the circuit, and chunks of the delivery
/// @dev Chunks are numbered through the columns in order. A column starts a new chunk, so a chunk lies in one column.
library Layouts {
    uint256 internal constant PARAMETERS_PER_CHUNK = 240;

    /// @notice Reverts unless the statement is the listed one: circuit, parameters and layout.
    function requireListed(Statement calldata statement, bytes32 expected) internal pure {
        (bytes32 circuit, bytes32 parameters) = (statement.circuitDigest, statement.parameterCommitment);
        bytes32 layoutHash = keccak256(abi.encode(statement.layout));
        bytes32 actual = keccak256(abi.encode(circuit, parameters, layoutHash));
        require(actual == expected, IModelMarket.UnexpectedStatement(circuit, parameters, layoutHash, expected));
    }

    /// @notice Number of chunks of the whole model.
    function chunkCount(Layout calldata layout) internal pure returns (uint256 count) {
        uint32[] calldata lengths = layout.columnLengths;
        for (uint256 column = 0; column < lengths.length; ++column) {
            count += _chunksIn(lengths[column]);
        }
    }

    /// @notice The parameters that chunk `index` holds: `length` of them, from row `firstRow` of `column` on.
    /// @dev Warning: `index` must be less than `chunkCount`.
    function locate(Layout calldata layout, uint256 index)
        internal
        pure
        returns (uint256 column, uint256 firstRow, uint256 length)
    {
        uint32[] calldata lengths = layout.columnLengths;
        while (index >= _chunksIn(lengths[column])) {
            index -= _chunksIn(lengths[column]);
            ++column;
        }
        firstRow = index * PARAMETERS_PER_CHUNK;
        length = lengths[column] - firstRow;
        if (length > PARAMETERS_PER_CHUNK) length = PARAMETERS_PER_CHUNK;
    }

    function _chunksIn(uint256 columnLength) private pure returns (uint256) {
        return (columnLength + PARAMETERS_PER_CHUNK - 1) / PARAMETERS_PER_CHUNK;
    }
}
