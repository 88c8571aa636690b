// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {Layout} from "../types/Types.sol";

/// @title Where parameters lie: columns of the circuit, and chunks of the delivery
/// @dev Chunks are numbered through the columns in order. A column starts a new chunk, so a chunk lies in one column.
library Layouts {
    uint256 internal constant PARAMETERS_PER_CHUNK = 240;

    /// @notice Reverts unless the layout is the listed one.
    function requireHash(Layout calldata layout, bytes32 expected) internal pure {
        bytes32 actual = keccak256(abi.encode(layout));
        require(actual == expected, IModelMarket.UnexpectedLayout(actual, expected));
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
