// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {VM} from "./Vm.sol";

/// @dev Deploys a contract of the committed artifacts.
function deployPublished(string memory name, bytes memory arguments) returns (address deployed) {
    string memory artifacts = VM.readFile("artifacts/contracts.json");
    bytes memory bytecode = VM.parseJsonBytes(artifacts, string.concat(".contracts.", name, ".bytecode"));
    bytes memory code = abi.encodePacked(bytecode, arguments);
    assembly ("memory-safe") {
        deployed := create(0, add(code, 32), mload(code))
    }
    require(deployed != address(0), "not deployed");
}
