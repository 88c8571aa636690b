// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IModelMarket} from "../interfaces/IModelMarket.sol";

/// @title Deposits in a market without an approval before
/// @notice Takes tokens that their owner has signed for, and deposits them in a market to the owner's credit, in one
/// transaction. Nothing stays here, neither tokens nor allowances.
/// @dev What arrives is measured twice, here and in the market: a token that keeps a fee keeps it twice.
contract Deposits is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice No token arrived: there is nothing to deposit.
    error NothingArrived(address token);
    /// @notice The market didn't take what it was given.
    error NotDeposited(address market, address token, uint256 left);

    /// @notice Deposit tokens of yours, with a permit for this contract (EIP-2612).
    /// @dev A permit doesn't say where its tokens go, so its owner has to call. Whoever saw it may have used it before, which
    /// leaves the allowance that it gives: so a permit that fails is no reason to stop.
    function depositWithPermit(
        IModelMarket market,
        address token,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        try IERC20Permit(token).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        _deposit(market, token, msg.sender, before);
    }

    /// @notice Deposit tokens that their owner sends here by an authorisation (EIP-3009). Anyone may call, and pay the gas.
    /// @param salt Chosen by the owner. The authorisation's nonce is `authorizationNonce(market, salt)`: so it holds for this
    /// market alone.
    function depositWithAuthorization(
        IModelMarket market,
        address token,
        address owner,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 salt,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        bytes32 nonce = authorizationNonce(market, salt);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC3009(token).receiveWithAuthorization(
            owner, address(this), amount, validAfter, validBefore, nonce, v, r, s
        );
        _deposit(market, token, owner, before);
    }

    /// @notice The nonce of an authorisation for a deposit in the market.
    function authorizationNonce(IModelMarket market, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(market, salt));
    }

    function _deposit(IModelMarket market, address token, address owner, uint256 before) private {
        uint256 arrived = IERC20(token).balanceOf(address(this)) - before;
        require(arrived > 0, NothingArrived(token));

        IERC20(token).forceApprove(address(market), arrived);
        market.deposit(token, owner, arrived);

        uint256 left = IERC20(token).allowance(address(this), address(market));
        require(left == 0, NotDeposited(address(market), token, left));
    }
}
