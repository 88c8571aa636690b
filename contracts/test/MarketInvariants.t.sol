// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {Listing, State, Trade} from "../src/types/Types.sol";
import {Fixture} from "./Fixture.sol";
import {ReenteringReceiver} from "./ReenteringReceiver.sol";
import {VM} from "./Vm.sol";

/// @title Random parties making random moves, in and out of turn, with real proofs
/// @dev Every action tries one move. Whether it is allowed is the market's affair: a refused one must change nothing,
/// which the invariants would show.
contract Parties is Fixture {
    ReenteringReceiver[3] public accounts;
    /// @notice The state in which a trade ended; None while it goes on.
    mapping(uint256 tradeId => State) public ended;
    /// @notice Trades whose proof was accepted.
    mapping(uint256 tradeId => bool) public accepted;
    /// @notice How many trades a test sequence has ended, by final state.
    mapping(State => uint256) public endings;

    constructor() {
        deployMarket();
        for (uint256 i = 0; i < accounts.length; ++i) {
            accounts[i] = new ReenteringReceiver(market);
        }
        VM.deal(address(this), 1e30);
        list(0, 1 ether, 0.2 ether, 0.0001 ether);
    }

    receive() external payable {}

    // --------------------------------------------------------------------------------------------------- actions

    function list(uint256 who, uint96 price, uint96 bond, uint96 fee) public {
        attempt(who, 0, abi.encodeCall(market.list, (terms(price % 1e20, bond % 1e20, fee % 1e18))));
    }

    function delist(uint256 who, uint256 listing) external {
        // Seldom, or nothing is left to trade.
        uint256 listingId = pickListing(listing);
        if (listing % 16 == 0) {
            attempt(who, 0, abi.encodeCall(market.delist, (listingId, market.listing(listingId).offer)));
        }
    }

    function openSession(uint256 who, uint256 listing, uint32 samples) external {
        uint256 listingId = pickListing(listing);
        // Mostly powers of two; others are refused.
        uint32 asked = samples % 8 == 0 ? samples % 60 : uint32(1) << (samples % 6);
        uint256 fee = market.sessionFee(listingId, address(account(who)), asked);
        attempt(who, fee, abi.encodeCall(market.openSession, (listingId, market.listing(listingId).offer, asked, REQUEST, "")));
    }

    /// @dev The move that is due, by the party whose turn it is: without it, random moves would seldom get far.
    function advance(uint256 trade) public {
        uint256 tradeId = pickTrade(trade);
        Trade memory current = market.trade(tradeId);
        Listing memory listing = market.listing(current.listingId);
        if (current.state == State.Testing) {
            attemptAs(listing.seller, 0, abi.encodeCall(market.respond, (tradeId, session(tradeId), RESPONSE)));
        } else if (current.state == State.Answered) {
            attemptAs(current.buyer, listing.terms.price, purchaseCall(tradeId));
        } else if (current.state == State.Purchased) {
            bytes memory call =
                abi.encodeCall(market.prove, (tradeId, auditOf(tradeId), ciphertextRoot(), keccak256(abi.encode(KEY))));
            attemptAs(listing.seller, listing.terms.bond, call);
        } else if (current.state == State.Proven) {
            attemptAs(current.buyer, 0, abi.encodeCall(market.accept, (tradeId, delivery())));
        } else if (current.state == State.Accepted) {
            attemptAs(listing.seller, 0, abi.encodeCall(market.reveal, (tradeId, ciphertextRoot(), KEY, "")));
        }
    }

    /// @dev Several at once, so that late states are not rare.
    function advanceOften(uint256 trade, uint256 times) external {
        for (uint256 i = 0; i < times % 6; ++i) {
            advance(trade);
        }
    }

    function confirm(uint256 who, uint256 trade) external {
        attempt(who, 0, abi.encodeCall(market.confirm, (pickTrade(trade), delivery())));
    }

    function dispute(uint256 who, uint256 trade, bool sums) external {
        bytes memory call = sums
            ? abi.encodeCall(market.disputeSumChunk, (pickTrade(trade), evidence()))
            : abi.encodeCall(market.disputeWeightsChunk, (pickTrade(trade), evidence()));
        attempt(who, 0, call);
    }

    function settle(uint256 who, uint256 trade) external {
        attempt(who, 0, abi.encodeCall(market.settle, (pickTrade(trade))));
    }

    function expire(uint256 who, uint256 trade) external {
        attempt(who, 0, abi.encodeCall(market.expire, (pickTrade(trade))));
    }

    function outOfTurn(uint256 who, uint256 trade, uint256 move, uint128 value) external {
        uint256 tradeId = pickTrade(trade);
        bytes[5] memory calls = [
            abi.encodeCall(market.respond, (tradeId, session(tradeId), RESPONSE)),
            purchaseCall(tradeId),
            abi.encodeCall(market.accept, (tradeId, delivery())),
            abi.encodeCall(market.reveal, (tradeId, ciphertextRoot(), KEY, "")),
            abi.encodeCall(market.prove, (tradeId, auditOf(tradeId), ciphertextRoot(), keccak256(abi.encode(KEY))))
        ];
        attempt(who, value % 1e20, calls[move % calls.length]);
    }

    /// @dev While it is paid, the receiver calls back with one of these.
    function withdraw(uint256 who, uint256 trade, uint256 attack) external {
        uint256 tradeId = pickTrade(trade);
        bytes[5] memory attacks = [
            bytes(""),
            abi.encodeCall(market.withdraw, (address(0))),
            abi.encodeCall(market.expire, (tradeId)),
            abi.encodeCall(market.settle, (tradeId)),
            abi.encodeCall(market.confirm, (tradeId, delivery()))
        ];
        account(who).setAttack(attacks[attack % attacks.length]);
        attempt(who, 0, abi.encodeCall(market.withdraw, (address(0))));
        account(who).setAttack("");
    }

    function pass(uint256 time) external {
        VM.warp(block.timestamp + time % 700);
    }

    // ------------------------------------------------------------------------------------------------------ means

    function purchaseCall(uint256 tradeId) private view returns (bytes memory) {
        uint96 price = market.listing(market.trade(tradeId).listingId).terms.price;
        return abi.encodeCall(
            market.purchase, (tradeId, answer(tradeId), inputCommitment(), OUTPUTS, price, type(uint16).max, "")
        );
    }

    /// @notice Answers that a trade has taken from the quotas.
    function answersOf(uint256 tradeId) external view returns (uint256) {
        Trade memory trade = market.trade(tradeId);
        if (trade.state < State.Answered || trade.digest == session(tradeId)) return 0;
        bool audited = trade.state != State.Expired || trade.digest == delivery();
        return trade.samples + (audited ? market.listing(trade.listingId).terms.auditSamples : 0);
    }

    /// @notice Whether a trade has a proof that counts towards the next proof fee.
    function isUnaccepted(uint256 tradeId) external view returns (bool) {
        return market.trade(tradeId).digest == delivery() && !accepted[tradeId];
    }

    function attempt(uint256 who, uint256 value, bytes memory call) private {
        attemptAs(address(account(who)), value, call);
    }

    function attemptAs(address who, uint256 value, bytes memory call) private {
        try ReenteringReceiver(payable(who)).forward{value: value}(call) {} catch {}
        recordEndings();
    }

    /// @dev Remembers how each trade ended; one that ends a second time, or comes back to life, is caught here.
    function recordEndings() private {
        for (uint256 tradeId = 1; tradeId <= market.tradeCount(); ++tradeId) {
            State state = market.trade(tradeId).state;
            if (state == State.Accepted) accepted[tradeId] = true;
            if (ended[tradeId] != State.None) {
                require(state == ended[tradeId], "an ended trade changed");
            } else if (state > State.Revealed) {
                ended[tradeId] = state;
                ++endings[state];
            }
        }
    }

    function account(uint256 who) public view returns (ReenteringReceiver) {
        return accounts[who % accounts.length];
    }

    function pickListing(uint256 seed) private view returns (uint256) {
        return 1 + seed % market.listingCount();
    }

    /// @dev One of the last few trades, ended ones among them.
    function pickTrade(uint256 seed) private view returns (uint256) {
        uint256 count = market.tradeCount();
        return count < 4 ? seed % (count + 1) : count - seed % 4;
    }

    function accountCount() external view returns (uint256) {
        return accounts.length;
    }
}

contract MarketInvariants {
    Parties private parties;
    IModelMarket private market;

    function setUp() external {
        parties = new Parties();
        market = parties.market();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(parties);
    }

    /// @notice The market holds exactly what it owes: balances, and what open trades have locked.
    function invariant_balanceIsTheSumOfLiabilities() external view {
        uint256 owed = 0;
        for (uint256 i = 0; i < parties.accountCount(); ++i) {
            owed += market.balanceOf(address(parties.account(i)), address(0));
        }
        for (uint256 tradeId = 1; tradeId <= market.tradeCount(); ++tradeId) {
            owed += locked(tradeId);
        }
        require(address(market).balance == owed, "balance differs from liabilities");
    }

    /// @notice Answers granted are those of answered sessions and of audits that were not taken back, within the quota;
    /// proofs that count towards the next proof fee are those that were not accepted, or not yet.
    function invariant_quotasHold() external view {
        for (uint256 listingId = 1; listingId <= market.listingCount(); ++listingId) {
            uint256 granted = 0;
            uint256 unaccepted = 0;
            for (uint256 tradeId = 1; tradeId <= market.tradeCount(); ++tradeId) {
                if (market.trade(tradeId).listingId != listingId) continue;
                uint256 samples = market.trade(tradeId).samples;
                require(samples > 0 && samples & (samples - 1) == 0, "a session is not charged as a power of two");
                granted += parties.answersOf(tradeId);
                if (parties.isUnaccepted(tradeId)) ++unaccepted;
            }
            require(market.listing(listingId).answers == granted, "answers were lost or invented");
            require(market.listing(listingId).unaccepted == unaccepted, "proofs were lost or invented");
            require(granted <= market.listing(listingId).terms.listingQuota, "quota exceeded");
        }
    }

    /// @notice The invariants are about something: a random walk sees trades end in every way.
    function test_randomMovesReachEveryEnding() external {
        for (uint256 i = 0; i < 600; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            uint256 choice = seed % 8;
            if (choice == 0) parties.openSession(seed >> 8, seed >> 16, uint32(seed >> 24));
            else if (choice < 4) parties.advanceOften(seed >> 8, seed >> 16);
            else if (choice == 4) parties.confirm(seed >> 8, seed >> 16);
            else if (choice == 5) parties.dispute(seed >> 8, seed >> 16, seed >> 255 == 1);
            else if (choice == 6) parties.expire(seed >> 8, seed >> 16);
            else parties.pass(seed >> 8);
        }
        require(parties.endings(State.Settled) > 0, "no trade settled");
        require(parties.endings(State.Expired) > 0, "no trade expired");
        require(parties.endings(State.Slashed) > 0, "no trade was slashed");
    }

    function locked(uint256 tradeId) private view returns (uint256 amount) {
        Trade memory trade = market.trade(tradeId);
        Listing memory listing = market.listing(trade.listingId);
        if (trade.state == State.Testing) amount += trade.fee;
        if (trade.state >= State.Purchased && trade.state <= State.Revealed) amount += trade.price;
        if (trade.state >= State.Proven && trade.state <= State.Revealed) amount += listing.terms.bond;
    }
}
