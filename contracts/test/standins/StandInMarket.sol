// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IListingPolicy} from "../../src/interfaces/IListingPolicy.sol";
import {Listing, Trade} from "../../src/types/Types.sol";

/// @title What contracts around the market read of it, set as a test likes
contract StandInMarket {
    address public VERIFIER;
    bytes32 public VERIFIER_CODEHASH;

    mapping(uint256 listingId => Listing) private _listings;
    mapping(uint256 tradeId => Trade) private _trades;

    constructor(address verifier) {
        VERIFIER = verifier;
        VERIFIER_CODEHASH = verifier.codehash;
    }

    function setListing(uint256 listingId, Listing calldata listing_) external {
        _listings[listingId] = listing_;
    }

    function setTrade(uint256 tradeId, Trade calldata trade_) external {
        _trades[tradeId] = trade_;
    }

    function setVerifier(address verifier) external {
        VERIFIER = verifier;
    }

    function listing(uint256 listingId) external view returns (Listing memory) {
        return _listings[listingId];
    }

    function trade(uint256 tradeId) external view returns (Trade memory) {
        return _trades[tradeId];
    }

    /// @notice Asks a policy, as `openSession` does.
    function admits(IListingPolicy policy, uint256 listingId, address buyer, bytes calldata data)
        external
        view
        returns (bool)
    {
        return policy.admit(listingId, buyer, 16, data);
    }

    /// @notice Asks a policy, as `purchase` does.
    function priceFor(IListingPolicy policy, uint256 listingId, address buyer, bytes calldata data)
        external
        view
        returns (uint256)
    {
        return policy.priceFor(listingId, buyer, 1, data);
    }
}
