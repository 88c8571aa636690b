// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title An account that is a contract (ERC-1271), and takes ether if it likes
contract StandInWallet is IERC1271 {
    address private immutable OWNER;

    /// @notice What it calls when it is paid; nothing if empty.
    bytes public attack;
    bool public refusing;

    constructor(address owner) {
        OWNER = owner;
    }

    receive() external payable {
        require(!refusing);
        if (attack.length == 0) return;
        (bool succeeded,) = msg.sender.call(attack);
        require(!succeeded, "the attack succeeded");
    }

    function setHostile(bool refusing_, bytes calldata attack_) external {
        (refusing, attack) = (refusing_, attack_);
    }

    function forward(address target, bytes calldata data) external payable {
        (bool succeeded, bytes memory result) = target.call{value: msg.value}(data);
        if (!succeeded) {
            assembly ("memory-safe") {
                revert(add(result, 32), mload(result))
            }
        }
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer,,) = ECDSA.tryRecoverCalldata(hash, signature);
        return signer == OWNER ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}
