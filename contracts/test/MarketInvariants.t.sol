// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {Listing, State, Trade} from "../src/types/Types.sol";
import {Parties} from "./Parties.sol";
import {TestToken} from "./TestToken.sol";

/// @title What no sequence of moves may break
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

    /// @notice All of it in one walk, since each invariant of its own would cost as many moves again.
    function invariant_theBooksAreRight() external view {
        uint256[] memory locked = new uint256[](parties.currencyCount());
        Trade[] memory trades = new Trade[](market.tradeCount());
        for (uint256 i = 0; i < trades.length; ++i) {
            trades[i] = market.trade(i + 1);
        }
        for (uint256 listingId = 1; listingId <= market.listingCount(); ++listingId) {
            Listing memory listing = market.listing(listingId);
            locked[indexOf(listing.terms.token)] += checkListing(listingId, listing, trades);
        }
        for (uint256 i = 0; i < locked.length; ++i) {
            checkCurrency(parties.currencies(i), locked[i]);
        }
    }

    /// @dev The market holds exactly what it owes in each currency: balances, and what open trades have locked.
    function checkCurrency(address currency, uint256 locked) private view {
        uint256 owed = locked + market.balanceOf(parties.feeRecipient(), currency);
        for (uint256 i = 0; i < parties.accountCount(); ++i) {
            owed += market.balanceOf(parties.accounts(i), currency);
        }
        if (currency == address(0)) {
            require(address(market).balance == owed, "the balance differs from the liabilities");
        } else {
            owed += market.balanceOf(currency, currency) + parties.surplus(currency);
            require(TestToken(currency).balanceOf(address(market)) == owed, "a token's balance differs");
        }
    }

    /// @dev Answers granted are those of answered sessions and of audits that were not taken back, within the quota; proofs
    /// that count towards the next proof fee are those that were not accepted, or not yet.
    function checkListing(uint256 listingId, Listing memory listing, Trade[] memory trades)
        private
        view
        returns (uint256 locked)
    {
        uint256 granted = 0;
        uint256 waiting = 0;
        for (uint256 i = 0; i < trades.length; ++i) {
            Trade memory trade = trades[i];
            if (trade.listingId != listingId) continue;
            (uint256 answers, bool unaccepted, State end) =
                parties.countsOf(i + 1, trade, listing.offer, listing.terms.auditSamples);
            require(end == State.None || end == trade.state, "an ended trade changed");
            require(trade.price <= listing.terms.price, "a price is above the listing's");
            require(trade.samples > 0 && trade.samples & (trade.samples - 1) == 0, "samples are no power of two");
            granted += answers;
            if (unaccepted) ++waiting;
            locked += lockedIn(trade, listing);
        }
        require(listing.answers == granted, "answers were lost or invented");
        require(listing.unaccepted == waiting, "proofs were lost or invented");
        require(granted <= listing.terms.listingQuota, "quota exceeded");
    }

    function lockedIn(Trade memory trade, Listing memory listing) private pure returns (uint256 amount) {
        if (trade.state == State.Testing) amount += trade.fee;
        if (trade.state >= State.Purchased && trade.state <= State.Revealed) amount += trade.price;
        if (trade.state >= State.Proven && trade.state <= State.Revealed) amount += listing.terms.bond;
    }

    function indexOf(address currency) private view returns (uint256 index) {
        while (parties.currencies(index) != currency) ++index;
    }

    /// @notice The invariants are about something: a random walk sees trades end in every way, in every currency.
    function test_randomMovesReachEveryEnding() external {
        parties.list(0, 1 ether, 0.2 ether, 1e12, 8, true); // in ether, by the published policy, better than the first
        for (uint256 i = 0; i < 2000; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            uint256 choice = seed % 9;
            if (i % 50 == 49) parties.changeRules(seed >> 8, seed >> 16);
            if (i % 200 == 199) parties.list(i / 200, uint96(seed), uint96(seed >> 96), 1e12, i / 100, seed % 2 == 0);
            else if (choice == 0) parties.openSession(seed >> 8, seed >> 16, 4);
            else if (choice < 5) parties.advanceOften(seed >> 8, seed >> 16);
            else if (choice == 5) parties.confirm(seed >> 8, seed >> 16);
            else if (choice == 6) parties.dispute(seed >> 8, seed >> 16, seed >> 255 == 1);
            else if (choice == 7) parties.refund(seed >> 8, seed >> 16, uint96(seed >> 24), seed >> 120);
            else if (seed >> 255 == 1) parties.expire(seed >> 8, seed >> 16);
            else parties.pass(seed >> 8);
        }
        require(parties.endings(State.Settled) > 0, "no trade settled");
        require(parties.endings(State.Expired) > 0, "no trade expired");
        require(parties.endings(State.Slashed) > 0, "no trade was slashed");
        require(parties.signedAcceptances() > 0, "no acceptance was signed");
        require(parties.refunds() > 0, "no price was given back");
        require(parties.offersTaken() > 0, "no offer was taken");
        require(parties.upgrades() > 0, "no owner bought a better model");
        this.invariant_theBooksAreRight();
    }
}
