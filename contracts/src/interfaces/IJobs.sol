// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title What an evaluator calls of a job escrow (ERC-8183, draft of 2026-02-25)
/// @dev From ethereum/ERCs, ERCS/erc-8183.md, at commit 08ca9975. The text names no getters, and those of its reference
/// implementations differ: so an evaluator that is to work with all of them reads nothing.
interface IJobs {
    /// @notice Pays the provider of a submitted job. The evaluator alone may call.
    function complete(uint256 jobId, bytes32 reason, bytes calldata optParams) external;

    /// @notice Refunds the client of a funded or submitted job. The evaluator alone may call.
    function reject(uint256 jobId, bytes32 reason, bytes calldata optParams) external;
}
