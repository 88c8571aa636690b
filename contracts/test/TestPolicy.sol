// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IListingPolicy} from "../src/interfaces/IListingPolicy.sol";

/// @title A policy for tests: answers what it was told to, whatever it is asked; the data must be its secret
contract TestPolicy is IListingPolicy {
    bool public admits = true;
    uint256 public price;
    bool public reverts;
    bytes32 public secret;

    error NotToday();

    function answer(bool admits_, uint256 price_, bool reverts_) external {
        (admits, price, reverts) = (admits_, price_, reverts_);
    }

    function ask(bytes calldata data) external {
        secret = keccak256(data);
    }

    function admit(uint256, address, uint32, bytes calldata data) external view returns (bool) {
        if (reverts) revert NotToday();
        return admits && (secret == 0 || keccak256(data) == secret);
    }

    function priceFor(uint256, address, uint256, bytes calldata data) external view returns (uint256) {
        if (reverts) revert NotToday();
        require(secret == 0 || keccak256(data) == secret, NotToday());
        return price;
    }
}
