// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {ListingPolicy} from "../src/periphery/ListingPolicy.sol";
import {Listing, State, Terms, Trade} from "../src/types/Types.sol";
import {Offers} from "./Offers.sol";
import {deployPublished} from "./Published.sol";
import {ReenteringReceiver} from "./ReenteringReceiver.sol";
import {TestPolicy} from "./TestPolicy.sol";
import {Manner, TestToken} from "./TestToken.sol";
import {VM} from "./Vm.sol";

/// @title Random parties making random moves, in and out of turn, with real proofs, in ether and in hostile tokens
/// @dev Every action tries one move. Whether it is allowed is the market's affair: a refused one must change nothing,
/// which the invariants would show. Three parties are contracts that call back; one has a key, and signs.
contract Parties is Offers {
    address[] public accounts;
    /// @notice Ether, and tokens that change their manner.
    address[3] public currencies;
    TestPolicy public policy = new TestPolicy();
    /// @notice What a token has kept in the market although it said that it had moved.
    mapping(address token => uint256) public surplus;
    /// @notice The state in which a trade ended; None while it goes on.
    mapping(uint256 tradeId => State) public ended;
    /// @notice Trades whose proof was accepted.
    mapping(uint256 tradeId => bool) public accepted;
    /// @notice The last trade by which a buyer has got a listing's model.
    mapping(address buyer => mapping(uint256 listingId => uint256 tradeId)) private owned;
    /// @notice How many trades a sequence has ended, by final state; how many by signatures.
    mapping(State => uint256) public endings;
    uint256 public signedAcceptances;
    uint256 public refunds;
    /// @notice How many purchases paid an offer's price, and an owner's.
    uint256 public offersTaken;
    uint256 public upgrades;

    constructor() {
        deployMarket();
        rules = ListingPolicy(deployPublished("ListingPolicy", ""));
        for (uint256 i = 0; i < 3; ++i) {
            accounts.push(address(new ReenteringReceiver(market)));
        }
        accounts.push(VM.addr(OWNERS_KEY));
        for (uint256 i = 1; i < currencies.length; ++i) {
            currencies[i] = address(new TestToken());
            TestToken(currencies[i]).depositOwn(market, 1e18); // what it would take out when it calls back
            approve(TestToken(currencies[i]));
        }
        VM.deal(address(this), 1e30);
        VM.deal(accounts[3], 1e30);
        list(0, 1 ether, 0.2 ether, 0.0001 ether, 0, false);
        require(market.listingCount() == 1, "nothing is listed");
    }

    receive() external payable {}

    // --------------------------------------------------------------------------------------------------- actions

    function list(uint256 who, uint96 price, uint96 bond, uint96 fee, uint256 currency, bool withPolicy) public {
        Terms memory listed = terms(price % 1e20, bond % 1e20, fee % 1e18);
        if (currency % 2 == 1) listed.token = currencies[currency / 2 % currencies.length];
        if (withPolicy) listed.policy = currency % 3 == 0 ? address(policy) : address(rules);
        // The first one often: it has the most owners.
        if (currency % 5 > 1) listed.supersedes = uint32(currency % 5 > 2 ? 1 : 1 + currency % market.listingCount());
        attempt(who, 0, abi.encodeCall(market.list, (listed)));
    }

    function delist(uint256 who, uint256 listing) external {
        // Seldom, or nothing is left to trade.
        uint256 listingId = pickListing(listing);
        if (listing % 16 == 0) {
            attempt(who, 0, abi.encodeCall(market.delist, (listingId, market.listing(listingId).offer)));
        }
    }

    /// @dev Mostly it asks for less than the price, and admits.
    function changePolicy(uint256 price, uint256 seed) external {
        policy.answer(seed % 4 != 0, price % 2e18, seed % 16 == 1);
    }

    /// @dev What the published policy is told, of any listing, and what its signers take back.
    function changeRules(uint256 listing, uint256 seed) external {
        Listing memory found = market.listing(pickListing(listing));
        if (seed % 16 == 15) takeBack(found.seller, (seed >> 8) % 3);
        else say(found, seed >> 4, account(seed));
    }

    /// @dev Tokens keep a fee, answer nothing or false, revert, call back, lie; mostly they are plain.
    function changeToken(uint256 currency, uint256 manner, uint256 attack) external {
        if (currency % currencies.length == 0) return;
        address token = currencies[currency % currencies.length];
        uint256 manners = uint256(type(Manner).max) + 1;
        Manner chosen = manner % 3 == 0 ? Manner(manner / 3 % manners) : Manner.Plain;
        TestToken(token).behave(chosen, market, attackCall(token, attack));
    }

    function openSession(uint256 who, uint256 listing, uint32 samples) external {
        uint256 listingId = pickListing(listing);
        // Mostly powers of two; others are refused.
        uint32 asked = samples % 8 == 0 ? samples % 60 : uint32(1) << (samples % 6);
        uint256 fee = market.sessionFee(listingId, account(who), asked);
        Listing memory found = market.listing(listingId);
        Shown memory shown = Shown("", 0, true, 0);
        if (found.terms.policy == address(rules)) {
            shown = showToOpen(listing >> 8, found, account(who), account(who / 2 + 1));
        }
        uint256 before = market.tradeCount();
        bytes memory call = abi.encodeCall(market.openSession, (listingId, found.offer, asked, REQUEST, shown.data));
        attemptPaid(account(who), found.terms.token, fee, call);
        require(shown.good || market.tradeCount() == before, "somebody was admitted who should not be");
    }

    /// @dev The move that is due, by the party whose turn it is: without it, random moves would seldom get far.
    function advance(uint256 trade) public {
        uint256 tradeId = pickTrade(trade);
        Trade memory current = market.trade(tradeId);
        if (current.state == State.None || current.state >= State.Revealed) return;
        Listing memory listing = market.listing(current.listingId);
        if (current.state == State.Testing) {
            attemptAs(listing.seller, 0, respondCall(tradeId));
        } else if (current.state == State.Answered) {
            buy(trade, tradeId, current.buyer, listing);
        } else if (current.state == State.Purchased) {
            attemptPaid(listing.seller, listing.terms.token, listing.terms.bond, proveCall(tradeId));
        } else if (current.state == State.Proven) {
            if (trade % 2 == 0) return revealSigned(tradeId, listing.seller);
            attemptAs(current.buyer, 0, abi.encodeCall(market.accept, (tradeId, delivery)));
        } else {
            attemptAs(listing.seller, 0, revealCall(tradeId, ""));
        }
    }

    /// @dev At the listing's price, or at one that a policy gives, by good reasons or bad ones.
    function buy(uint256 seed, uint256 tradeId, address buyer, Listing memory listing) private {
        Shown memory shown = Shown("", listing.terms.price, true, 0);
        if (listing.terms.policy == address(policy)) shown.price = policy.price();
        bool ruled = listing.terms.policy == address(rules);
        if (ruled) {
            shown = showToBuy(seed >> 8, listing, buyer, account(seed >> 4), pickOwned(seed >> 16, listing, buyer));
        }
        bytes memory call = purchaseCall(tradeId, uint96(shown.price), shown.data);
        attemptPaid(buyer, listing.terms.token, shown.price, call);
        if (!ruled || market.trade(tradeId).state != State.Purchased) return;
        require(isGood(shown, listing, buyer), "a price was taken that nobody has given");
        if (shown.data.length > 0) shown.data[0] == 0x03 ? ++offersTaken : ++upgrades;
    }

    /// @dev Several at once, so that late states are not rare.
    function advanceOften(uint256 trade, uint256 times) external {
        for (uint256 i = 0; i < times % 6; ++i) {
            advance(trade);
        }
    }

    /// @dev Only the party with a key can sign an acceptance; whoever is not the buyer signs in vain.
    function revealSigned(uint256 tradeId, address seller) private {
        bytes memory signature = signed(acceptance(tradeId));
        State before = market.trade(tradeId).state;
        attemptAs(seller, 0, revealCall(tradeId, signature));
        if (before == State.Proven && market.trade(tradeId).state == State.Revealed) ++signedAcceptances;
    }

    /// @dev The seller agrees to a part of the price, or to another one, or doesn't.
    function refund(uint256 who, uint256 trade, uint96 amount, uint256 agreed) external {
        uint256 tradeId = pickTrade(trade);
        Trade memory current = market.trade(tradeId);
        if (current.state != State.Revealed) return;
        amount = uint96(amount % (uint256(current.price) + 2));
        bytes32 hash = agreedRefund(tradeId, agreed % 4 == 0 ? amount + 1 : amount);
        address seller = market.listing(current.listingId).seller;
        if (seller != accounts[3] && agreed % 5 != 0) ReenteringReceiver(payable(seller)).agree(hash);
        address caller = agreed % 7 == 0 ? account(who) : current.buyer;
        attemptAs(caller, 0, abi.encodeCall(market.refund, (tradeId, amount, signed(hash))));
        if (market.trade(tradeId).state == State.Settled) ++refunds;
    }

    function confirm(uint256 who, uint256 trade) external {
        attempt(who, 0, abi.encodeCall(market.confirm, (pickTrade(trade), delivery)));
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

    function outOfTurn(uint256 who, uint256 trade, uint256 move, uint96 value) external {
        uint256 tradeId = pickTrade(trade);
        uint256 choice = move % 6;
        bytes memory call;
        if (choice == 0) call = respondCall(tradeId);
        else if (choice == 1) call = purchaseCall(tradeId, value % 1e20, "");
        else if (choice == 2) call = proveCall(tradeId);
        else if (choice == 3) call = abi.encodeCall(market.accept, (tradeId, delivery));
        else call = revealCall(tradeId, choice == 4 ? bytes("") : signed(acceptance(tradeId)));
        attempt(who, value % 1e20, call);
    }

    /// @dev Into one's own account or another's; the token may call back meanwhile.
    function deposit(uint256 who, uint256 beneficiary, uint256 currency, uint96 amount) external {
        address token = currencies[currency % currencies.length];
        if (token != address(0)) TestToken(token).mint(account(who), amount % 1e20);
        attempt(who, 0, abi.encodeCall(market.deposit, (token, account(beneficiary), amount % 1e20)));
    }

    /// @dev While it is paid, the receiver, or the token, may call back.
    function withdraw(uint256 who, uint256 currency, uint256 attack) external {
        address token = currencies[currency % currencies.length];
        uint256 before = market.balanceOf(account(who), token);
        bool calling = account(who) != accounts[3];
        if (calling) receiver(who).setAttack(attackCall(token, attack));
        attempt(who, 0, abi.encodeCall(market.withdraw, (token)));
        if (calling) receiver(who).setAttack("");
        bool paid = before > 0 && market.balanceOf(account(who), token) == 0;
        if (paid && token != address(0) && TestToken(token).manner() == Manner.Lies) surplus[token] += before;
    }

    function pass(uint256 time) external {
        VM.warp(block.timestamp + time % 700);
    }

    // ------------------------------------------------------------------------------------------------------ means

    function respondCall(uint256 tradeId) private view returns (bytes memory) {
        return abi.encodeCall(market.respond, (tradeId, session(tradeId), RESPONSE));
    }

    function purchaseCall(uint256 tradeId, uint96 price, bytes memory data) private view returns (bytes memory) {
        bytes32 answered = answer(tradeId);
        return
            abi.encodeCall(
                market.purchase, (tradeId, answered, inputCommitment(), OUTPUTS, price, type(uint16).max, data)
            );
    }

    function proveCall(uint256 tradeId) private view returns (bytes memory) {
        return abi.encodeCall(market.prove, (tradeId, auditOf(tradeId), ciphertextRoot, keccak256(abi.encode(KEY))));
    }

    function revealCall(uint256 tradeId, bytes memory signature) private view returns (bytes memory) {
        return abi.encodeCall(market.reveal, (tradeId, ciphertextRoot, KEY, signature));
    }

    function attackCall(address token, uint256 attack) private view returns (bytes memory) {
        uint256 tradeId = pickTrade(attack >> 8);
        uint256 choice = attack % 6;
        if (choice == 1) return abi.encodeCall(market.withdraw, (token));
        if (choice == 2) return abi.encodeCall(market.deposit, (token, accounts[0], 1));
        if (choice == 3) return abi.encodeCall(market.expire, (tradeId));
        if (choice == 4) return abi.encodeCall(market.settle, (tradeId));
        if (choice == 5) return abi.encodeCall(market.confirm, (tradeId, delivery));
        return "";
    }

    function attempt(uint256 who, uint256 value, bytes memory call) private {
        attemptAs(account(who), value, call);
    }

    /// @dev Ether goes with the move, tokens are deposited before it.
    function attemptPaid(address who, address token, uint256 due, bytes memory call) private {
        if (token == address(0)) return attemptAs(who, due, call);
        TestToken(token).mint(who, 2 * due);
        attemptAs(who, 0, abi.encodeCall(market.deposit, (token, who, 2 * due)));
        attemptAs(who, 0, call);
    }

    function attemptAs(address who, uint256 value, bytes memory call) private {
        if (who == accounts[3]) {
            VM.prank(who);
            (bool allowed,) = address(market).call{value: value}(call);
            allowed; // or not: that is the market's affair
        } else {
            try ReenteringReceiver(payable(who)).forward{value: value}(call) {} catch {}
        }
        recordEndings();
    }

    function approve(TestToken token) private {
        for (uint256 i = 0; i < 3; ++i) {
            ReenteringReceiver(payable(accounts[i])).approve(token);
        }
        VM.prank(accounts[3]);
        token.approve(address(market), type(uint256).max);
    }

    /// @dev Remembers how trades ended; those before the last few are out of reach of the actions.
    function recordEndings() private {
        uint256 count = market.tradeCount();
        for (uint256 tradeId = count < 5 ? 1 : count - 4; tradeId <= count; ++tradeId) {
            if (ended[tradeId] != State.None) continue;
            Trade memory trade = market.trade(tradeId);
            State state = trade.state;
            if (state == State.Accepted || state == State.Revealed) accepted[tradeId] = true;
            if (state == State.Settled) owned[trade.buyer][trade.listingId] = tradeId;
            if (state > State.Revealed) {
                ended[tradeId] = state;
                ++endings[state];
            }
        }
    }

    function account(uint256 who) public view returns (address) {
        return accounts[who % accounts.length];
    }

    function receiver(uint256 who) private view returns (ReenteringReceiver) {
        return ReenteringReceiver(payable(account(who)));
    }

    function pickListing(uint256 seed) private view returns (uint256) {
        return 1 + seed % market.listingCount();
    }

    /// @dev One of the last few trades, ended ones among them.
    function pickTrade(uint256 seed) private view returns (uint256) {
        uint256 count = market.tradeCount();
        return count < 4 ? seed % (count + 1) : count - seed % 4;
    }

    /// @dev One that makes the buyer an owner of the earlier model, if there is one; any other now and then.
    function pickOwned(uint256 seed, Listing memory listing, address buyer) private view returns (uint256 tradeId) {
        tradeId = owned[buyer][listing.terms.supersedes];
        if (tradeId == 0 || seed % 8 == 7) tradeId = 1 + seed % market.tradeCount();
    }

    // ------------------------------------------------------------------------------------------------- for readers

    /// @notice Answers that a trade has taken from the quotas, whether it has a proof that counts towards the next proof
    /// fee, and the state in which it has ended.
    function countsOf(uint256 tradeId, Trade calldata trade, bytes32 offer, uint256 auditSamples)
        external
        view
        returns (uint256 answers, bool unaccepted, State end)
    {
        unaccepted = trade.digest == delivery && !accepted[tradeId];
        end = ended[tradeId];
        bytes32 opened = keccak256(abi.encode(trade.buyer, offer, trade.samples, REQUEST));
        if (trade.state >= State.Answered && trade.digest != opened) {
            bool audited = trade.state != State.Expired || trade.digest == delivery;
            answers = trade.samples + (audited ? auditSamples : 0);
        }
    }

    function accountCount() external view returns (uint256) {
        return accounts.length;
    }

    function currencyCount() external view returns (uint256) {
        return currencies.length;
    }

    function feeRecipient() external pure returns (address) {
        return PROTOCOL_FEE_RECIPIENT;
    }
}
