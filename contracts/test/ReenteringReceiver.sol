// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";

/// @title A seller that calls back into the market while it is being paid, or refuses the payment, for the tests
contract ReenteringReceiver {
    IModelMarket private immutable MARKET;

    /// @notice What the market is called with when it pays; empty to keep still.
    bytes public attack;
    /// @notice Whether payments are refused.
    bool public refusing;
    /// @notice What came of the attack.
    bool public succeeded;
    bytes public result;

    constructor(IModelMarket market) {
        MARKET = market;
    }

    receive() external payable {
        require(!refusing);
        if (attack.length > 0) (succeeded, result) = address(MARKET).call(attack);
    }

    function setRefusing(bool value) external {
        refusing = value;
    }

    function setAttack(bytes calldata data) external {
        attack = data;
    }

    /// @notice Calls the market in this contract's name.
    function forward(bytes calldata data) external payable {
        (bool called, bytes memory returned) = address(MARKET).call{value: msg.value}(data);
        if (!called) {
            assembly ("memory-safe") {
                revert(add(returned, 32), mload(returned))
            }
        }
    }
}
