// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../interfaces/IModelMarket.sol";

/// @title The share of settled prices that goes to whoever runs a market: fixed at deployment, nothing in the published one
abstract contract ProtocolFee is IModelMarket {
    uint256 private constant BASIS_POINTS = 10_000;
    uint256 private constant HIGHEST_BPS = 1_000;

    /// @inheritdoc IModelMarket
    uint256 public immutable PROTOCOL_FEE_BPS;
    /// @inheritdoc IModelMarket
    address public immutable PROTOCOL_FEE_RECIPIENT;

    constructor(uint256 basisPoints, address recipient) {
        require(basisPoints <= HIGHEST_BPS, ProtocolFeeTooHigh(basisPoints, HIGHEST_BPS));
        PROTOCOL_FEE_BPS = basisPoints;
        PROTOCOL_FEE_RECIPIENT = recipient;
    }

    /// @dev Rounded down: what can't be divided is the seller's.
    function _protocolFee(uint256 price) internal view returns (uint256) {
        return price * PROTOCOL_FEE_BPS / BASIS_POINTS;
    }
}
