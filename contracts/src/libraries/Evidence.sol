// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Chunk, ChunkEvidence, RangeEvidence, SumStepEvidence, Terms} from "../types/Types.sol";
import {Chunks} from "./Chunks.sol";
import {ChunkTree} from "./ChunkTree.sol";
import {Layouts} from "./Layouts.sol";

/// @title What makes the evidence of a dispute authentic
/// @dev Each function reverts unless what the evidence shows is what was listed, and delivered.
library Evidence {
    using Layouts for *;

    /// @notice Decrypts the delivered chunk, if it is in the ciphertext tree and the leaf in the committed one, both at the
    /// same index.
    /// @dev Warning: that ciphertext root and key are the delivered ones is the caller's to check.
    /// @param committedRoot Of the listing's weights tree, or of its sums tree.
    function decrypt(ChunkEvidence calldata evidence, bytes32 statement, bytes32 committedRoot)
        internal
        pure
        returns (Chunk memory)
    {
        evidence.statement.requireListed(statement);
        uint256 index = evidence.index;
        uint256 count = evidence.statement.layout.chunkCount();
        bytes32 ciphertextLeaf = Chunks.ciphertextLeaf(evidence.ciphertext);
        ChunkTree.requireLeaf(evidence.ciphertextRoot, count, index, ciphertextLeaf, evidence.ciphertextPath);
        ChunkTree.requireLeaf(committedRoot, count, index, evidence.leaf, evidence.path);
        return Chunks.decrypt(evidence.key, index, evidence.ciphertext);
    }

    /// @notice The sums and parameters are those of the committed trees. They concern the listing alone, so neither key nor
    /// ciphertext is needed.
    function requireCommitted(SumStepEvidence calldata evidence, Terms storage terms) internal view {
        evidence.statement.requireListed(terms.statement);
        uint256 index = evidence.index;
        uint256 count = evidence.statement.layout.chunkCount();
        bytes32 weightsLeaf = Chunks.weightsLeaf(evidence.salt, evidence.parameters);
        ChunkTree.requireLeaf(terms.weightsRoot, count, index, weightsLeaf, evidence.weightsPath);
        bytes32 sumsLeaf = Chunks.sumsLeaf(index, evidence.sum, evidence.salt);
        ChunkTree.requireLeaf(terms.sumsRoot, count, index, sumsLeaf, evidence.sumPath);
        if (index == 0) return;
        bytes32 previousLeaf = Chunks.sumsLeaf(index - 1, evidence.previousSum, evidence.previousSalt);
        ChunkTree.requireLeaf(terms.sumsRoot, count, index - 1, previousLeaf, evidence.previousPath);
    }

    /// @notice The parameters are those of a chunk of the weights tree.
    function requireCommitted(RangeEvidence calldata evidence, Terms storage terms) internal view {
        evidence.statement.requireListed(terms.statement);
        uint256 count = evidence.statement.layout.chunkCount();
        bytes32 leaf = Chunks.weightsLeaf(evidence.salt, evidence.parameters);
        ChunkTree.requireLeaf(terms.weightsRoot, count, evidence.index, leaf, evidence.weightsPath);
    }
}
