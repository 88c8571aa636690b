// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {Listing} from "../types/Types.sol";

/// @title What the market owes to whom, and the only doors of its money
/// @dev Tokens come in through `deposit`, and go out with ether through `withdraw`: no other function of the market calls
/// a token or an account, so that a hostile one meets the escrow with nothing under way. Ether comes with the move that it
/// pays for.
abstract contract Balances is IModelMarket, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc IModelMarket
    mapping(address account => mapping(address token => uint256)) public balanceOf;

    /// @inheritdoc IModelMarket
    /// @dev What arrives is measured, since some tokens keep a fee.
    function deposit(address token, address account, uint256 amount) external nonReentrant {
        require(token != address(0), NotAToken(token));
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = IERC20(token).balanceOf(address(this)) - before;

        balanceOf[account][token] += arrived;

        emit Deposited(account, token, arrived);
    }

    /// @inheritdoc IModelMarket
    function withdraw(address token) external nonReentrant {
        uint256 amount = balanceOf[msg.sender][token];
        require(amount > 0, NothingToWithdraw(msg.sender, token));

        balanceOf[msg.sender][token] = 0;

        emit Withdrawn(msg.sender, token, amount);

        if (token != address(0)) return IERC20(token).safeTransfer(msg.sender, amount);
        (bool sent,) = msg.sender.call{value: amount}("");
        require(sent, TransferFailed(msg.sender, amount));
    }

    /// @dev Takes what a move costs: ether that came with it, or tokens that the caller has deposited.
    function _pay(Listing storage listing_, uint256 due) internal {
        uint256 dueInEther = listing_.inEther ? due : 0;
        require(msg.value == dueInEther, UnexpectedPayment(msg.value, dueInEther));
        if (listing_.inEther) return;

        address token = listing_.terms.token;
        uint256 balance = balanceOf[msg.sender][token];
        require(balance >= due, InsufficientBalance(msg.sender, token, balance, due));
        balanceOf[msg.sender][token] = balance - due;
    }

    /// @dev Owes an amount in the currency of a listing to an account.
    function _credit(address account, Listing storage listing_, uint256 amount) internal {
        if (amount == 0) return;
        balanceOf[account][listing_.inEther ? address(0) : listing_.terms.token] += amount;
    }
}
