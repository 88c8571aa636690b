// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The few cheat codes that halmos shares with forge, and its own one
interface ISymbolicVm {
    function assume(bool condition) external pure;
    function warp(uint256 timestamp) external;
    function deal(address account, uint256 balance) external;
    function prank(address sender) external;
}

interface ISvm {
    /// @dev From now on every word of the account's storage may hold anything.
    function enableSymbolicStorage(address account) external;
}

ISymbolicVm constant VM = ISymbolicVm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
ISvm constant SVM = ISvm(0xF3993A62377BCd56AE39D773740A5390411E8BC9);
