// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";

/// @title Answers by calling the market, which a static call forbids
contract WritingPolicy {
    function admit(uint256 listingId, address, uint32, bytes calldata data) external returns (bool done) {
        (done,) = msg.sender.call(abi.encodeCall(IModelMarket.delist, (listingId, abi.decode(data, (bytes32)))));
        require(done, "not done");
    }
}
