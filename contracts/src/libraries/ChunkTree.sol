// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IModelMarket} from "../interfaces/IModelMarket.sol";

/// @title Merkle trees whose paths bind the position of a leaf
/// @dev Binary keccak256 trees; leaves are padded to the next power of two with zero words.
///
/// OpenZeppelin's MerkleProof sorts each pair of siblings, so its paths prove that a leaf is *somewhere* in the tree. A
/// dispute is about chunk j in two trees: with sorted pairs the path of chunk i would pass for chunk j's and convict an
/// honest seller. Here left and right follow from the bits of the index, and the length of the path from the number of
/// leaves, so that an inner node cannot pass for a leaf either.
library ChunkTree {
    /// @notice Reverts unless `leaf` is leaf `index` of the tree of `count` leaves with the given root.
    function requireLeaf(bytes32 root, uint256 count, uint256 index, bytes32 leaf, bytes32[] calldata path)
        internal
        pure
    {
        require(index < count, IModelMarket.ChunkOutOfRange(index, count));
        uint256 depth = Math.log2(count, Math.Rounding.Ceil);
        require(path.length == depth, IModelMarket.UnexpectedPathLength(path.length, depth));

        bytes32 node = leaf;
        for (uint256 level = 0; level < depth; ++level) {
            bool isRight = (index >> level) & 1 == 1;
            node = isRight ? Hashes.efficientKeccak256(path[level], node) : Hashes.efficientKeccak256(node, path[level]);
        }
        require(node == root, IModelMarket.NotInTree(node, root));
    }
}
