// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Checkpoints of audit logs, where nobody can change them
/// @notice Whoever keeps a log anchors its size and root here. Since then its entries up to that size are fixed, and older
/// than the block; a log that shows others later contradicts its own keeper.
/// @dev An account speaks for itself alone: a checkpoint of a log counts if it comes from the account that keeps the log.
/// Not checked: that a root is one, and that it extends the one before (a consistency proof shows that off-chain).
contract AuditAnchor {
    /// @dev What an account has anchored last of a log.
    struct Checkpoint {
        /// Entries of the log; zero if nothing was anchored.
        uint64 size;
        /// Second of the block.
        uint64 timestamp;
        bytes32 root;
    }

    event Anchored(address indexed account, bytes32 indexed logId, uint64 size, bytes32 root);

    /// @notice A log only grows: not even the same size is anchored twice, or it might have two roots.
    error LogNotGrown(address account, bytes32 logId, uint64 size, uint64 anchored);

    mapping(address account => mapping(bytes32 logId => Checkpoint)) private _latest;

    /// @notice The checkpoint of a log that the account anchored last; all zeros if there is none.
    function latest(address account, bytes32 logId) external view returns (Checkpoint memory) {
        return _latest[account][logId];
    }

    /// @notice Anchor a checkpoint of a log of yours.
    /// @param logId The log's own name: the same one means nothing under another account.
    /// @param size Entries under the root, more than at the last checkpoint.
    function anchor(bytes32 logId, uint64 size, bytes32 root) external {
        Checkpoint storage last = _latest[msg.sender][logId];
        require(size > last.size, LogNotGrown(msg.sender, logId, size, last.size));

        (last.size, last.timestamp, last.root) = (size, uint64(block.timestamp), root);

        emit Anchored(msg.sender, logId, size, root);
    }
}
