// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelRequests} from "../src/interfaces/IModelRequests.sol";
import {Progress, Request, RequestStatus} from "../src/types/Requests.sol";
import {Bidders} from "./Bidders.sol";
import {TestToken} from "./TestToken.sol";

/// @title What no sequence of moves around bounties may break
contract BountyInvariants {
    Bidders private bidders;
    IModelRequests private requests;

    function setUp() external {
        bidders = new Bidders();
        requests = bidders.requests();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(bidders);
    }

    /// @notice All of it in one walk, since each invariant of its own would cost as many moves again.
    function invariant_everyBountyIsCreditedOnce() external view {
        uint256[] memory held = new uint256[](bidders.currencyCount());
        for (uint256 requestId = 1; requestId <= requests.requestCount(); ++requestId) {
            Request memory request = requests.request(requestId);
            require(keccak256(abi.encode(request)) == bidders.digests(requestId), "a request changed unasked");
            checkProgress(requestId, request.wanted.samples);
            bool isHeld = request.status == RequestStatus.Open || request.status == RequestStatus.Claimed;
            if (isHeld) held[indexOf(request.wanted.bountyToken)] += request.wanted.bounty;
        }
        for (uint256 i = 0; i < held.length; ++i) {
            checkCurrency(bidders.currencies(i), held[i]);
        }
    }

    /// @dev Every account has what the ended requests gave it, and the contract holds that and the bounties of the others.
    function checkCurrency(address currency, uint256 held) private view {
        uint256 owed = held + bidders.surplus(currency);
        (address[5] memory holders, uint256[5] memory credited) = bidders.creditedIn(currency);
        for (uint256 i = 0; i < holders.length; ++i) {
            uint256 balance = requests.balanceOf(holders[i], currency);
            require(balance == credited[i], "a bounty went to another account, or twice");
            owed += balance;
        }
        bool isEther = currency == address(0);
        uint256 holds = isEther ? address(requests).balance : TestToken(currency).balanceOf(address(requests));
        require(holds == owed, "the balance differs from the liabilities");
    }

    function checkProgress(uint256 requestId, uint256 samples) private view {
        (bytes32[] memory offers, Progress[] memory proven) = bidders.provenOf(requestId);
        for (uint256 i = 0; i < offers.length; ++i) {
            Progress memory progress = requests.progressOf(requestId, offers[i]);
            require(progress.batches == proven[i].batches, "batches were lost or invented");
            require(progress.correct == proven[i].correct && progress.correct <= samples, "samples were invented");
        }
    }

    function indexOf(address currency) private view returns (uint256 index) {
        while (bidders.currencies(index) != currency) ++index;
    }

    /// @notice The invariants are about something: a random walk sees requests end in every way.
    function test_randomMovesReachEveryEnding() external {
        for (uint256 i = 0; i < 800; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            (uint256 choice, uint256 who, uint256 other) = (seed % 16, seed >> 8, seed >> 88);
            if (choice == 0) bidders.post(who, other, uint96(seed), seed >> 16, seed >> 32, seed >> 64);
            else if (choice < 4) bidders.proveOften(who, other, seed >> 16);
            else if (choice < 6) bidders.prove(who, other, seed >> 16);
            else if (choice < 8) bidders.changeListing(who, other, seed >> 32, uint96(seed), seed >> 128);
            else if (choice == 8) bidders.convict(who, other, seed >> 32);
            else if (choice == 9) bidders.withdraw(who, other, seed >> 16);
            else if (choice < 13) bidders.pass(who);
            else bidders.end(who, other, seed >> 16);
        }
        require(bidders.claims() > 0, "no request was claimed");
        require(bidders.releases() > 0, "no seller got a bounty");
        require(bidders.returned() > 0, "no buyer got a bounty of a listing that was closed");
        require(bidders.reclaims() > 0, "no bounty was reclaimed");
        require(bidders.closings() > 0, "no request was closed");
        this.invariant_everyBountyIsCreditedOnce();
    }
}
