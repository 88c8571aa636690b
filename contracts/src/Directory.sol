// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Where the sellers of listings can be reached
/// @notice A buyer who knows a chain finds the packages of its listings here, and asks nobody for an address.
/// @dev Anyone may announce anything: an announcement counts for a listing if the account that made it is the listing's
/// seller, which readers look up in the market. So there is no storage, and nothing to check.
contract Directory {
    /// @notice `account` says where buyers of a listing reach it. Its newest announcement of a listing counts.
    /// @param endpoint A URL in UTF-8, if its announcer is honest (so these are bytes: no reader trips over a bad one); empty to take an earlier one back.
    event Announced(address indexed market, uint256 indexed listingId, address indexed account, bytes endpoint);

    /// @notice Say where buyers of a listing reach you.
    function announce(address market, uint256 listingId, bytes calldata endpoint) external {
        emit Announced(market, listingId, msg.sender, endpoint);
    }
}
