// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Listing, State, Trade} from "../src/types/Types.sol";

/// @dev How a market of the tests behaves.
enum Mood {
    /// Answers; its verifier accepts every proof.
    Plain,
    /// Answers nothing.
    Reverts,
    /// Its verifier is another one than it was made with.
    NamesAnother,
    /// Its verifier returns false.
    Rejects,
    /// Its verifier accepts a proof of another circuit.
    TakesAnotherCircuit
}

/// @title A market for tests as a buyer may name it: its own verifier, with listings and trades that are what one says
contract FickleMarket {
    bytes32 private immutable CIRCUIT;

    Mood public mood;
    mapping(uint256 listingId => Listing) private _listings;
    mapping(uint256 tradeId => Trade) private _trades;

    constructor(bytes32 circuit) {
        CIRCUIT = circuit;
    }

    modifier answering() {
        require(mood != Mood.Reverts, "no");
        _;
    }

    function behave(Mood mood_) external {
        mood = mood_;
    }

    function setListing(uint256 listingId, Listing calldata listing_) external {
        _listings[listingId] = listing_;
    }

    function setTrade(uint256 tradeId, uint256 listingId, State state) external {
        (_trades[tradeId].listingId, _trades[tradeId].state) = (uint32(listingId), state);
    }

    /// @notice What is listed, in every mood.
    function listed(uint256 listingId) external view returns (Listing memory) {
        return _listings[listingId];
    }

    function listing(uint256 listingId) external view answering returns (Listing memory) {
        return _listings[listingId];
    }

    function trade(uint256 tradeId) external view answering returns (Trade memory) {
        return _trades[tradeId];
    }

    function VERIFIER() external view answering returns (address) {
        return address(this);
    }

    function VERIFIER_CODEHASH() external view answering returns (bytes32) {
        return mood == Mood.NamesAnother ? bytes32(0) : address(this).codehash;
    }

    function verifyProof(bytes calldata, uint256[] calldata, bytes32[] calldata) external view returns (bool, bytes32) {
        return (mood != Mood.Rejects, mood == Mood.TakesAnotherCircuit ? bytes32(0) : CIRCUIT);
    }
}
