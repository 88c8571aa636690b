// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {IModelRequests} from "../src/interfaces/IModelRequests.sol";
import {Batch, Progress, Request, RequestStatus, Task, Wanted} from "../src/types/Requests.sol";
import {Listing, State, Trade} from "../src/types/Types.sol";
import {FickleMarket, Mood} from "./FickleMarket.sol";
import {deployPublished} from "./Published.sol";
import {ReenteringReceiver} from "./ReenteringReceiver.sol";
import {Flaw, TestSet} from "./TestSet.sol";
import {Manner, TestToken} from "./TestToken.sol";
import {VM} from "./Vm.sol";

/// @title Random parties making random moves around bounties, in and out of turn, in ether and in hostile tokens
/// @dev Every action tries one move; a refused one must change nothing, which the invariants would show. Of one that went
/// through, this contract asks that it was due, and keeps books of its own. Three parties are contracts that call back, two
/// are the tokens themselves. The markets are the test's: any proof is accepted that passes the checks before the verifier.
contract Bidders is TestSet {
    uint256 private constant LISTINGS = 4;

    IModelRequests public requests;
    address[5] private _accounts;
    /// @notice Ether, and tokens that change their manner.
    address[3] public currencies;
    FickleMarket[2] private _markets;

    /// @dev What was credited to an account, less what it withdrew.
    mapping(address account => mapping(address token => uint256)) private _credited;
    /// @notice What a token has kept in the contract although it said that it had moved.
    mapping(address token => uint256) public surplus;
    /// @notice Digest of a request as the last move that it allows left it.
    mapping(uint256 requestId => bytes32) public digests;
    /// @dev Offers for which a batch was proven, and how far they have come.
    mapping(uint256 requestId => bytes32[]) private _offers;
    mapping(uint256 requestId => mapping(bytes32 offer => Progress)) private _proven;
    mapping(uint256 requestId => mapping(bytes32 offer => mapping(uint256 place => bool))) private _isProven;
    /// @dev A request as the last move that was due has left it.
    mapping(uint256 requestId => Request) private _known;

    /// @notice How often a walk has seen what can become of a request.
    uint256 public claims;
    uint256 public releases;
    uint256 public returned;
    uint256 public reclaims;
    uint256 public closings;

    constructor() {
        makeTestSet();
        requests = IModelRequests(deployPublished("ModelRequests", ""));
        IModelMarket called = IModelMarket(address(requests)); // what receivers and tokens call back
        for (uint256 i = 1; i < currencies.length; ++i) {
            currencies[i] = address(new TestToken());
        }
        for (uint256 i = 0; i < _accounts.length; ++i) {
            _accounts[i] = i < 3 ? address(new ReenteringReceiver(called)) : currencies[i - 2];
            VM.deal(_accounts[i], 1e30);
            for (uint256 j = 1; j < currencies.length; ++j) {
                VM.prank(_accounts[i]);
                TestToken(currencies[j]).approve(address(requests), type(uint256).max);
            }
        }
        for (uint256 i = 0; i < _markets.length; ++i) {
            _markets[i] = new FickleMarket(CIRCUIT);
            for (uint256 id = 1; id <= LISTINGS; ++id) {
                _list(_markets[i], id, _accounts[id % 3], 1 ether);
            }
        }
        VM.deal(address(this), 1e30);
    }

    receive() external payable {}

    // --------------------------------------------------------------------------------------------------- actions

    /// @dev Four requests at most go on, so that none is out of reach. While a bounty is taken, a token may call back.
    function post(uint256 who, uint256 currency, uint96 bounty, uint256 size, uint256 times, uint256 attack) public {
        uint256 count = requests.requestCount();
        if (count >= 4 && _known[count - 3].status != RequestStatus.Ended) return;
        Wanted memory wanted = _wanted(currencies[currency % currencies.length], bounty % 1e20, size);
        wanted.deadline = uint40(block.timestamp + times % 1500);
        wanted.holdSeconds = uint32((times >> 16) % 500);
        bytes memory callback = _callback(wanted.bountyToken, attack);
        uint256 value = (times >> 32) % 16 == 0 ? 1 : 0; // too much, now and then
        if (wanted.bountyToken == address(0)) {
            value += wanted.bounty;
        } else {
            TestToken(wanted.bountyToken).mint(_account(who), 2 * uint256(wanted.bounty));
            _arm(wanted.bountyToken, callback);
        }
        bool allowed = _attempt(_account(who), value, abi.encodeCall(requests.post, (wanted, _task())));
        require(requests.requestCount() == (allowed ? count + 1 : count), "a request was lost or invented");
        _record(bytes4(callback));
        if (allowed) _checkPosted(_known[count + 1], _account(who), wanted);
    }

    /// @dev What is due, by the listing's seller.
    function prove(uint256 request, uint256 listing, uint256 hits) public {
        _prove(_pickRequest(request), 1 + listing % LISTINGS, address(0), hits, Flaw.None);
    }

    function proveOften(uint256 request, uint256 listing, uint256 times) external {
        for (uint256 i = 0; i < times % 5; ++i) {
            prove(request, listing, 3);
        }
    }

    function cheat(uint256 who, uint256 request, uint256 listing, uint256 hits, uint256 flaw) external {
        Flaw chosen = Flaw(flaw % (uint256(type(Flaw).max) + 1));
        _prove(_pickRequest(request), 1 + listing % LISTINGS, _account(who), hits, chosen);
    }

    /// @dev Release, reclaim or close, in and out of turn.
    function end(uint256 who, uint256 request, uint256 choice) external {
        bytes memory call = _endingCall(_pickRequest(request), choice);
        _attempt(_account(who), 0, call);
        _record(bytes4(call));
    }

    /// @dev While it is paid, the receiver, or the token, may call back.
    function withdraw(uint256 who, uint256 currency, uint256 attack) external {
        (address account, address token) = (_account(who), currencies[currency % currencies.length]);
        bytes memory callback = _callback(token, attack);
        uint256 due = requests.balanceOf(account, token);
        if (token != address(0)) {
            _arm(token, callback);
        } else if (!_isToken(account)) {
            ReenteringReceiver(payable(account)).setAttack(callback);
            ReenteringReceiver(payable(account)).setRefusing(attack % 16 == 15);
        }
        if (_attempt(account, 0, abi.encodeCall(requests.withdraw, (token)))) {
            _credited[account][token] -= due;
            if (token != address(0) && TestToken(token).manner() == Manner.Lies) surplus[token] += due;
        }
        _record(bytes4(callback));
    }

    /// @dev Tokens keep a fee, answer nothing or false, revert, call back, lie; mostly they are plain.
    function changeToken(uint256 currency, uint256 manner) external {
        address token = currencies[1 + currency % (currencies.length - 1)];
        Manner chosen = manner % 2 == 0 ? Manner(manner / 2 % (uint256(type(Manner).max) + 1)) : Manner.Plain;
        TestToken(token).behave(chosen, IModelMarket(address(requests)), "");
    }

    /// @dev Mostly plain again.
    function changeMarket(uint256 market, uint256 mood) external {
        _markets[market % 2].behave(mood % 4 == 0 ? Mood(mood / 4 % (uint256(type(Mood).max) + 1)) : Mood.Plain);
    }

    /// @dev No honest market opens again what was closed, or lists anew under an old number; the buyer chooses the market.
    function changeListing(uint256 market, uint256 listing, uint256 who, uint96 price, uint256 change) external {
        (FickleMarket chosen, uint256 listingId) = (_markets[market % 2], 1 + listing % LISTINGS);
        Listing memory found = chosen.listed(listingId);
        if (change % 4 == 0) found.open = !found.open;
        else if (change % 4 == 1) found.offer = chosen.listed(1 + who % LISTINGS).offer;
        else return _list(chosen, listingId, _accounts[who % 3], change % 4 == 2 ? 1 ether : price);
        chosen.setListing(listingId, found);
    }

    function convict(uint256 market, uint256 listing, uint256 state) external {
        uint256 listingId = 1 + listing % LISTINGS;
        State chosen = state % 2 == 0 ? State.Slashed : State(state / 2 % (uint256(type(State).max) + 1));
        _markets[market % 2].setTrade(listingId, listingId, chosen);
    }

    function pass(uint256 time) external {
        VM.warp(block.timestamp + time % 300);
    }

    // ------------------------------------------------------------------------------------------------------ means

    function _wanted(address token, uint96 bounty, uint256 size) private view returns (Wanted memory wanted) {
        wanted.market = IModelMarket(address(_markets[(size >> 8) % 2]));
        (wanted.bountyToken, wanted.bounty) = (token, bounty);
        (wanted.highestPrice, wanted.lowestBond) = (2 ether, 0.1 ether);
        wanted.samples = uint32(1 + size % (BATCHES * BATCH_SAMPLES));
        wanted.minimumCorrect = uint32((size >> 16) % (wanted.samples + 2)); // none, or too many, are refused
        wanted.testRoot = testRoot;
    }

    function _task() private pure returns (Task memory task) {}

    /// @dev Suitable for each request, but for some of those at odd prices.
    function _list(FickleMarket market, uint256 listingId, address seller, uint96 price) private {
        Listing memory listing;
        (listing.seller, listing.open) = (seller, true);
        listing.terms.statement = statementOf(listingId);
        listing.terms.auditSamples = price % 16 == 1 ? 1 : BATCH_SAMPLES;
        listing.terms.price = price % 3 ether;
        listing.terms.bond = price % 16 == 3 ? 0.01 ether : 0.2 ether;
        if (price % 16 == 5) listing.terms.token = currencies[1];
        if (price % 16 == 7) listing.terms.policy = address(this);
        listing.offer = keccak256(abi.encode(seller, listing.terms));
        market.setListing(listingId, listing);
    }

    function _endingCall(uint256 requestId, uint256 choice) private view returns (bytes memory) {
        if (choice % 3 == 0) return abi.encodeCall(requests.release, (requestId));
        if (choice % 3 == 1) return abi.encodeCall(requests.close, (requestId));
        uint256 tradeId = choice / 3 % 8 == 0 ? choice / 24 % (LISTINGS + 1) : _known[requestId].listingId;
        return abi.encodeCall(requests.reclaim, (requestId, tradeId));
    }

    function _callback(address token, uint256 attack) private view returns (bytes memory) {
        uint256 choice = attack % 4;
        if (choice == 1) return abi.encodeCall(requests.withdraw, (token));
        if (choice == 2) return abi.encodeCall(requests.post, (_wanted(token, 1000, attack >> 8), _task()));
        if (choice == 3) return _endingCall(_pickRequest(attack >> 8), attack >> 16);
        return "";
    }

    function _arm(address token, bytes memory callback) private {
        TestToken(token).behave(TestToken(token).manner(), IModelMarket(address(requests)), callback);
    }

    /// @dev The next batch for a listing, or whatever has the flaw.
    function _prove(uint256 requestId, uint256 listingId, address caller, uint256 hits, Flaw flaw) private {
        Request memory known = _known[requestId];
        if (known.status == RequestStatus.None) return;
        FickleMarket market = FickleMarket(address(known.wanted.market));
        Listing memory listing = market.listed(listingId);
        if (caller == address(0)) caller = listing.seller;
        uint256 place = requests.progressOf(requestId, listing.offer).batches % BATCHES;
        Batch memory batch = _batch(requestId, listingId, listing.offer, place, hits, flaw);
        if (!_attempt(caller, 0, abi.encodeCall(requests.prove, (requestId, listingId, batch)))) return;

        require(flaw == Flaw.None, "a bad proof was accepted");
        require(known.status == RequestStatus.Open, "a request that is not open took a proof");
        require(block.timestamp < known.wanted.deadline, "a proof was accepted too late");
        require(caller == listing.seller && market.mood() == Mood.Plain, "a stranger's proof was accepted");
        require(_suits(listing, known.wanted), "an unsuitable listing was accepted");
        uint256 correct = _countProven(requestId, listing.offer, place, hits, known.wanted.samples);
        if (correct >= known.wanted.minimumCorrect) _recordClaim(requestId, known, listingId, listing);
    }

    function _batch(uint256 requestId, uint256 listingId, bytes32 offer, uint256 place, uint256 hits, Flaw flaw)
        private
        view
        returns (Batch memory)
    {
        if (flaw == Flaw.Batch) place ^= 1;
        if (flaw == Flaw.Request) ++requestId;
        if (flaw == Flaw.Offer) offer = ~offer;
        address user = flaw == Flaw.Contract ? address(this) : address(requests);
        bytes32 context = keccak256(abi.encode(block.chainid, user, requestId, offer, place));
        return batchOf(context, listingId, place, hits, flaw);
    }

    function _suits(Listing memory listing, Wanted memory wanted) private pure returns (bool) {
        bool isPlain = listing.open && listing.terms.policy == address(0) && listing.terms.token == wanted.priceToken;
        bool isCheap = listing.terms.price <= wanted.highestPrice && listing.terms.bond >= wanted.lowestBond;
        return isPlain && isCheap && listing.terms.auditSamples == BATCH_SAMPLES;
    }

    function _countProven(uint256 requestId, bytes32 offer, uint256 place, uint256 hits, uint256 samples)
        private
        returns (uint256)
    {
        require(!_isProven[requestId][offer][place], "a batch was proven twice");
        _isProven[requestId][offer][place] = true;
        Progress storage progress = _proven[requestId][offer];
        if (progress.batches == 0) _offers[requestId].push(offer);
        ++progress.batches;
        for (uint256 i = 0; i < BATCH_SAMPLES; ++i) {
            if (place * BATCH_SAMPLES + i < samples) progress.correct += uint32(hits >> i & 1);
        }
        return progress.correct;
    }

    function _attempt(address who, uint256 value, bytes memory call) private returns (bool allowed) {
        if (_isToken(who)) {
            VM.prank(who);
            (allowed,) = address(requests).call{value: value}(call);
        } else {
            try ReenteringReceiver(payable(who)).forward{value: value}(call) {
                allowed = true;
            } catch {}
        }
    }

    // ------------------------------------------------------------------------------------------------------ books

    function _checkPosted(Request memory posted, address buyer, Wanted memory wanted) private view {
        require(block.timestamp < wanted.deadline && posted.wanted.bounty > 0, "an idle request");
        require(wanted.minimumCorrect > 0 && wanted.minimumCorrect <= wanted.samples, "an impossible request");
        wanted.bounty = posted.wanted.bounty; // a token may have kept a fee: the balances say whether it is right
        Request memory expected;
        (expected.buyer, expected.status, expected.wanted) = (buyer, RequestStatus.Open, wanted);
        require(keccak256(abi.encode(posted)) == keccak256(abi.encode(expected)), "another request was posted");
    }

    function _recordClaim(uint256 requestId, Request memory known, uint256 listingId, Listing memory listing) private {
        (known.status, known.seller) = (RequestStatus.Claimed, listing.seller);
        (known.listingId, known.offer) = (listingId, listing.offer);
        known.releasedAt = uint40(block.timestamp + known.wanted.holdSeconds);
        (_known[requestId], digests[requestId]) = (known, keccak256(abi.encode(known)));
        ++claims;
    }

    /// @dev Which requests were posted or ended; those before the last few are out of reach of the actions.
    function _record(bytes4 move) private {
        uint256 count = requests.requestCount();
        for (uint256 id = count < 5 ? 1 : count - 4; id <= count; ++id) {
            RequestStatus before = _known[id].status;
            if (before == RequestStatus.Ended) continue;
            Request memory found = requests.request(id);
            if (before == found.status) continue;
            Request memory known = _known[id];
            if (before == RequestStatus.None) {
                known = found;
            } else {
                require(found.status == RequestStatus.Ended, "a request was claimed without a proof");
                address account = _recordEnding(known, move);
                _credited[account][known.wanted.bountyToken] += known.wanted.bounty;
                known.status = RequestStatus.Ended;
            }
            (_known[id], digests[id]) = (known, keccak256(abi.encode(known)));
        }
    }

    /// @return account Whose the bounty is.
    function _recordEnding(Request memory known, bytes4 move) private returns (address account) {
        if (known.status == RequestStatus.Open) {
            require(move == requests.close.selector && block.timestamp >= known.wanted.deadline, "closed out of turn");
            ++closings;
            return known.buyer;
        }
        FickleMarket market = FickleMarket(address(known.wanted.market));
        if (move == requests.reclaim.selector) {
            require(_isConvicted(market, known.offer), "reclaimed from an honest seller");
            ++reclaims;
            return known.buyer;
        }
        require(move == requests.release.selector && block.timestamp >= known.releasedAt, "released out of turn");
        Listing memory listing = market.listed(known.listingId);
        bool isOffered = listing.open && listing.offer == known.offer;
        isOffered ? ++releases : ++returned;
        return isOffered ? known.seller : known.buyer;
    }

    function _isConvicted(FickleMarket market, bytes32 offer) private view returns (bool) {
        for (uint256 tradeId = 1; tradeId <= LISTINGS; ++tradeId) {
            Trade memory trade = market.trade(tradeId);
            if (trade.state == State.Slashed && market.listed(trade.listingId).offer == offer) return true;
        }
        return false;
    }

    function _account(uint256 who) private view returns (address) {
        return _accounts[who % _accounts.length];
    }

    function _isToken(address account) private view returns (bool) {
        return account == currencies[1] || account == currencies[2];
    }

    /// @dev One of the last few requests, ended ones among them.
    function _pickRequest(uint256 seed) private view returns (uint256) {
        uint256 count = requests.requestCount();
        return count < 4 ? seed % (count + 1) : count - seed % 4;
    }

    // ------------------------------------------------------------------------------------------------- for readers

    /// @notice The offers for which batches of a request were proven, and how far they have come.
    function provenOf(uint256 requestId) external view returns (bytes32[] memory offers, Progress[] memory proven) {
        offers = _offers[requestId];
        proven = new Progress[](offers.length);
        for (uint256 i = 0; i < offers.length; ++i) {
            proven[i] = _proven[requestId][offers[i]];
        }
    }

    /// @notice What the contract should owe each account.
    function creditedIn(address currency) external view returns (address[5] memory holders, uint256[5] memory amounts) {
        holders = _accounts;
        for (uint256 i = 0; i < _accounts.length; ++i) {
            amounts[i] = _credited[holders[i]][currency];
        }
    }

    function currencyCount() external view returns (uint256) {
        return currencies.length;
    }
}
