// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

/// @title A token with permits and authorisations, which keeps a fee of each transfer and calls its recipient if it is told to
contract StandInToken is ERC20Permit, ERC3009 {
    uint256 public feeBps;
    address public target;
    bytes public attack;

    constructor() ERC20("Token", "T") ERC20Permit("Token") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function setFee(uint256 feeBps_) external {
        feeBps = feeBps_;
    }

    /// @notice What it calls at each transfer; nothing if empty.
    function setAttack(address target_, bytes calldata attack_) external {
        (target, attack) = (target_, attack_);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0) && to != address(0) && attack.length > 0) {
            (bool succeeded, bytes memory result) = target.call(attack);
            if (!succeeded) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
        }
        uint256 fee = from == address(0) || to == address(0) ? 0 : (value * feeBps) / 10_000;
        if (fee > 0) super._update(from, address(0), fee);
        super._update(from, to, value - fee);
    }
}
