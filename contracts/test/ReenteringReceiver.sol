// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

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

    /// @notice What it has signed (ERC-1271).
    mapping(bytes32 hash => bool) public agreed;

    function agree(bytes32 hash) external {
        agreed[hash] = true;
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        return agreed[hash] ? this.isValidSignature.selector : bytes4(0);
    }

    /// @notice Lets the market take a token from it.
    function approve(IERC20 token) external {
        token.approve(address(MARKET), type(uint256).max);
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
