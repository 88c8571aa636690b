// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";

/// @dev How a token of the tests behaves.
enum Manner {
    /// As the standard asks.
    Plain,
    /// Keeps a hundredth of each transfer.
    KeepsAFee,
    /// Returns false and moves nothing.
    ReturnsFalse,
    /// Moves, and returns nothing at all, as some old tokens do.
    ReturnsNothing,
    /// Refuses.
    Reverts,
    /// Calls the market from inside of each transfer, as an account that has a balance there.
    Reenters,
    /// Says that it moved, and did not.
    Lies
}

/// @title A token for tests, whose manner can change at any time
contract TestToken is ERC20("Test", "TEST") {
    Manner public manner;
    IModelMarket public market;
    bytes public attack;
    /// @notice Whether the call back went through.
    bool public succeeded;

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    /// @notice A rebase downwards.
    function burn(address account, uint256 amount) external {
        _burn(account, amount);
    }

    function behave(Manner manner_, IModelMarket market_, bytes calldata attack_) external {
        (manner, market, attack, succeeded) = (manner_, market_, attack_, false);
    }

    /// @notice Deposits for itself, so that it has something to take out when it calls back.
    function depositOwn(IModelMarket market_, uint256 amount) external {
        _mint(address(this), amount);
        _approve(address(this), address(market_), amount);
        market_.deposit(address(this), address(this), amount);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return _behaved(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        _spendAllowance(from, msg.sender, amount);
        return _behaved(from, to, amount);
    }

    function _behaved(address from, address to, uint256 amount) private returns (bool) {
        require(manner != Manner.Reverts, "no");
        if (manner == Manner.ReturnsFalse) return false;
        if (manner == Manner.Lies) return true;
        if (manner == Manner.Reenters) (succeeded,) = address(market).call(attack);
        uint256 kept = manner == Manner.KeepsAFee ? amount / 100 : 0;
        _transfer(from, to, amount - kept);
        if (kept > 0) _burn(from, kept);
        if (manner == Manner.ReturnsNothing) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return true;
    }
}
