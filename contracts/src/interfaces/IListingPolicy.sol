// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Who may test a listing, and what its model costs whom
/// @notice Offers to one buyer, lists of admitted buyers, and prices for owners of an earlier model are policies: contracts
/// that a listing names, beside the market.
/// @dev The market calls a policy statically, and asks for no more than these two answers. It takes none that would cost a
/// buyer more than the listing says, or than the buyer named; a policy that reverts or refuses keeps buyers away and touches
/// nothing else, money that is locked above all.
/// Warning: a policy may admit to a session, which is paid for, and then refuse the purchase. A buyer has to know it.
interface IListingPolicy {
    /// @notice Whether the buyer may open a session.
    /// @param data What the buyer shows for it, as the policy asks.
    function admit(uint256 listingId, address buyer, uint32 samples, bytes calldata data) external view returns (bool);

    /// @notice What the buyer of the trade pays; the market refuses more than the listing's price.
    /// @param data What the buyer shows for it, as the policy asks.
    function priceFor(uint256 listingId, address buyer, uint256 tradeId, bytes calldata data)
        external
        view
        returns (uint256 price);
}
