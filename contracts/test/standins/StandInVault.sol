// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title A market's deposits: honest ones, and what a hostile market would do
contract StandInVault {
    using SafeERC20 for IERC20;

    /// @notice How much less than asked it takes.
    uint256 public shortfall;
    /// @notice What it calls before it takes anything; nothing if empty.
    address public target;
    bytes public attack;

    mapping(address account => mapping(address token => uint256)) public balanceOf;

    function setHostile(uint256 shortfall_, address target_, bytes calldata attack_) external {
        (shortfall, target, attack) = (shortfall_, target_, attack_);
    }

    function deposit(address token, address account, uint256 amount) external {
        if (attack.length > 0) {
            (bool succeeded, bytes memory result) = target.call(attack);
            if (!succeeded) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
        }
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount - shortfall);
        balanceOf[account][token] += IERC20(token).balanceOf(address(this)) - before;
    }
}
