// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title An account that is a contract: it says that signatures are its own, until it changes its mind
contract FickleWallet {
    bool public agrees = true;

    function setAgrees(bool agrees_) external {
        agrees = agrees_;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return agrees ? this.isValidSignature.selector : bytes4(0);
    }

    function forward(address target, bytes calldata call) external payable returns (bytes memory) {
        (bool succeeded, bytes memory result) = target.call{value: msg.value}(call);
        if (!succeeded) {
            assembly ("memory-safe") {
                revert(add(result, 32), mload(result))
            }
        }
        return result;
    }

    receive() external payable {}
}
