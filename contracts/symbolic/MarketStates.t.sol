// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ModelMarket} from "../src/ModelMarket.sol";
import {
    AuditProof,
    ChunkEvidence,
    Listing,
    RangeEvidence,
    State,
    Statement,
    Trade
} from "../src/types/Types.sol";
import {AcceptingVerifier} from "./AcceptingVerifier.sol";
import {SVM, VM} from "./Symbolic.sol";

/// @title What each move does to a trade, whatever the market's storage holds
/// @dev For halmos (`make analyse`): arguments and all of the market's storage are symbols, so that a check stands for every
/// trade, listing and balance at once. As nothing is assumed of how they came about, what holds for one move holds for any
/// sequence of them. A move that goes through must come from its state, before its deadline (`settle` and `expire`: not
/// before), by its side; must lead to its state, leave every other trade as it is, and neither make nor lose money: what
/// the market owes grows by what was paid. A move that is refused changes nothing, which the chain sees to.
///
/// No move leads out of Settled, Expired or Slashed: none of the checks below has one of them in its place of origin, and
/// together they are all of the market's functions that take a trade, but for `disputeSumStep`: halmos can't follow its
/// powers (MODEXP). It begins and ends with the same two functions as the other disputes.
contract MarketStates {
    address private constant PROTOCOL = address(0xFEE);
    uint256 private constant PROTOCOL_FEE_BPS = 250;
    ModelMarket private market;

    /// @dev What a move may depend on, and must leave.
    struct Snapshot {
        Trade trade;
        Trade other;
        Listing listing;
        uint256 owed;
    }

    /// @dev Who moves, when, and with how much.
    struct Scene {
        uint256 tradeId;
        uint256 otherId;
        address caller;
        uint40 second;
        uint96 value;
    }

    enum Side {
        Anyone,
        Buyer,
        Seller
    }

    function setUp() external {
        address verifier = address(new AcceptingVerifier());
        market = new ModelMarket(verifier, verifier.codehash, PROTOCOL_FEE_BPS, PROTOCOL);
        SVM.enableSymbolicStorage(address(market));
    }

    // ---------------------------------------------------------------------------------------------------- the moves

    function check_respond(Scene calldata scene, bytes32 session, bytes32 response) external {
        bytes memory call = abi.encodeCall(market.respond, (scene.tradeId, session, response));
        _check(scene, call, State.Testing, State.Answered, Side.Seller);
    }

    function check_purchase(
        Scene calldata scene,
        bytes32 answer,
        bytes32 inputs,
        bytes32 outputs,
        uint96 price,
        uint16 highest
    ) external {
        VM.assume(!_listingOf(scene.tradeId).hasPolicy);
        bytes memory call =
            abi.encodeCall(market.purchase, (scene.tradeId, answer, inputs, outputs, price, highest, ""));
        _check(scene, call, State.Answered, State.Purchased, Side.Buyer);
    }

    function check_prove(Scene calldata scene, bytes32[4] calldata proof, bytes32[6] calldata words) external {
        bytes memory call = abi.encodeCall(market.prove, (scene.tradeId, _audit(proof, words), words[4], words[5]));
        _check(scene, call, State.Purchased, State.Proven, Side.Seller);
    }

    function check_accept(Scene calldata scene, bytes32 delivery) external {
        bytes memory call = abi.encodeCall(market.accept, (scene.tradeId, delivery));
        _check(scene, call, State.Proven, State.Accepted, Side.Buyer);
    }

    function check_revealAccepted(Scene calldata scene, bytes32 root, bytes32 key) external {
        bytes memory call = abi.encodeCall(market.reveal, (scene.tradeId, root, key, ""));
        _check(scene, call, State.Accepted, State.Revealed, Side.Seller);
    }

    /// @dev With an acceptance by signature at hand, also a trade that was accepted by transaction is revealed.
    function check_revealSigned(Scene calldata scene, bytes32 root, bytes32 key, bytes32 r, bytes32 s, uint8 v)
        external
    {
        State from = market.trade(scene.tradeId).state == State.Accepted ? State.Accepted : State.Proven;
        bytes memory call = abi.encodeCall(market.reveal, (scene.tradeId, root, key, abi.encodePacked(r, s, v)));
        _check(scene, call, from, State.Revealed, Side.Seller);
    }

    function check_confirm(Scene calldata scene, bytes32 delivery) external {
        bytes memory call = abi.encodeCall(market.confirm, (scene.tradeId, delivery));
        _check(scene, call, State.Revealed, State.Settled, Side.Buyer);
    }

    function check_refund(Scene calldata scene, uint96 amount, bytes32 r, bytes32 s, uint8 v) external {
        VM.assume(_listingOf(scene.tradeId).seller.code.length == 0);
        bytes memory call = abi.encodeCall(market.refund, (scene.tradeId, amount, abi.encodePacked(r, s, v)));
        _check(scene, call, State.Revealed, State.Settled, Side.Buyer);
    }

    function check_settle(Scene calldata scene) external {
        bytes memory call = abi.encodeCall(market.settle, (scene.tradeId));
        _check(scene, call, State.Revealed, State.Settled, Side.Anyone);
    }

    /// @dev One check for each state, so that none takes long.
    function check_expireTesting(Scene calldata scene) external {
        _checkExpiry(scene, State.Testing);
    }

    function check_expireAnswered(Scene calldata scene) external {
        _checkExpiry(scene, State.Answered);
    }

    function check_expirePurchased(Scene calldata scene) external {
        _checkExpiry(scene, State.Purchased);
    }

    function check_expireProven(Scene calldata scene) external {
        _checkExpiry(scene, State.Proven);
    }

    function check_expireAccepted(Scene calldata scene) external {
        _checkExpiry(scene, State.Accepted);
    }

    function _checkExpiry(Scene calldata scene, State from) private {
        VM.assume(market.trade(scene.tradeId).state == from);
        _check(scene, abi.encodeCall(market.expire, (scene.tradeId)), from, State.Expired, Side.Anyone);
    }

    function check_expireOtherwise(Scene calldata scene) external {
        State from = market.trade(scene.tradeId).state;
        VM.assume(from >= State.Revealed || from == State.None);
        VM.warp(scene.second);
        (bool moved,) = address(market).call(abi.encodeCall(market.expire, (scene.tradeId)));
        assert(!moved);
    }

    // ------------------------------------------------------------------------------------------------- the disputes

    function check_disputeWeightsChunk(Scene calldata scene, bytes32[4] calldata words, bytes32[32] calldata chunk)
        external
    {
        bytes memory call = abi.encodeCall(market.disputeWeightsChunk, (scene.tradeId, _evidence(words, chunk)));
        _check(scene, call, State.Revealed, State.Slashed, Side.Buyer);
    }

    function check_disputeSumChunk(Scene calldata scene, bytes32[4] calldata words, bytes32[32] calldata chunk)
        external
    {
        bytes memory call = abi.encodeCall(market.disputeSumChunk, (scene.tradeId, _evidence(words, chunk)));
        _check(scene, call, State.Revealed, State.Slashed, Side.Buyer);
    }

    /// @dev The third parameter of the third word, which may be anything: halmos needs to know where it reads.
    function check_disputeRange(Scene calldata scene, bytes32[30] calldata parameters, bytes32 salt) external {
        RangeEvidence memory evidence;
        (evidence.parameters, evidence.salt, evidence.position) = (parameters, salt, 18);
        evidence.statement = _statement(new uint32[](1));
        evidence.statement.layout.columnLengths[0] = 240;
        bytes memory call = abi.encodeCall(market.disputeRange, (scene.tradeId, evidence));
        _check(scene, call, State.Revealed, State.Slashed, Side.Buyer);
    }

    // -------------------------------------------------------------------------------------------- what isn't a move

    /// @dev Sessions open under a number that no trade had; others stay as they are.
    function check_openSession(Scene calldata scene, uint256 listingId, bytes32 offer, uint32 samples) external {
        Listing memory listing = market.listing(listingId);
        VM.assume(!listing.hasPolicy);
        uint256 next = market.tradeCount() + 1;
        VM.assume(scene.otherId != next && scene.caller != address(market));
        bytes32 before = keccak256(abi.encode(market.trade(scene.otherId)));
        address token = listing.inEther ? address(0) : listing.terms.token;
        uint256 balance = market.balanceOf(scene.caller, token);
        VM.warp(scene.second);
        VM.deal(scene.caller, scene.value);
        bytes memory call = abi.encodeCall(market.openSession, (listingId, offer, samples, "request", ""));
        VM.prank(scene.caller);
        (bool moved,) = address(market).call{value: scene.value}(call);
        VM.assume(moved);
        Trade memory opened = market.trade(next);
        assert(opened.state == State.Testing && opened.buyer == scene.caller && listing.open);
        assert(keccak256(abi.encode(market.trade(scene.otherId))) == before);
        uint256 paid = listing.inEther ? scene.value : balance - market.balanceOf(scene.caller, token);
        assert(paid == opened.fee);
    }

    // -------------------------------------------------------------------------------------------------------- checks

    function _check(Scene calldata scene, bytes memory call, State from, State to, Side side) private {
        VM.assume(scene.tradeId != scene.otherId);
        Snapshot memory before = _snapshot(scene);
        address buyer = before.trade.buyer;
        address seller = before.listing.seller;
        VM.assume(buyer != seller && buyer != PROTOCOL && seller != PROTOCOL);
        VM.warp(scene.second);
        VM.deal(scene.caller, scene.value);
        VM.prank(scene.caller);
        (bool moved,) = address(market).call{value: scene.value}(call);
        VM.assume(moved);

        Snapshot memory afterwards = _snapshot(scene);
        assert(before.trade.state == from && afterwards.trade.state == to);
        bool waited = to == State.Expired || (to == State.Settled && side == Side.Anyone);
        assert(waited == (scene.second >= before.trade.deadline));
        assert(side != Side.Buyer || scene.caller == buyer);
        assert(side != Side.Seller || scene.caller == seller);
        assert(keccak256(abi.encode(before.other)) == keccak256(abi.encode(afterwards.other)));
        assert(afterwards.trade.buyer == buyer && afterwards.trade.listingId == before.trade.listingId);
        unchecked {
            assert(before.owed + scene.value == afterwards.owed);
        }
    }

    /// @dev Sums wrap around like the chain's: equal is equal.
    function _snapshot(Scene calldata scene) private view returns (Snapshot memory now_) {
        now_.trade = market.trade(scene.tradeId);
        now_.other = market.trade(scene.otherId);
        now_.listing = market.listing(now_.trade.listingId);
        address token = now_.listing.inEther ? address(0) : now_.listing.terms.token;
        unchecked {
            now_.owed = market.balanceOf(now_.trade.buyer, token) + market.balanceOf(now_.listing.seller, token)
                + market.balanceOf(PROTOCOL, token) + _locked(now_.trade, now_.listing.terms.bond);
        }
    }

    function _locked(Trade memory trade, uint256 bond) private pure returns (uint256) {
        if (trade.state == State.Testing) return trade.fee;
        if (trade.state == State.Purchased) return trade.price;
        bool proven = trade.state >= State.Proven && trade.state <= State.Revealed;
        return proven ? trade.price + bond : 0;
    }

    function _listingOf(uint256 tradeId) private view returns (Listing memory) {
        return market.listing(market.trade(tradeId).listingId);
    }

    // ---------------------------------------------------------------------------------------------------- arguments

    function _statement(uint32[] memory columnLengths) private pure returns (Statement memory statement) {
        statement.layout.columnLengths = columnLengths;
        (statement.layout.inputColumns, statement.layout.parameterColumns) = (1, 1);
        (statement.layout.proofBytes, statement.layout.outputs) = (128, 1);
    }

    function _audit(bytes32[4] calldata proof, bytes32[6] calldata words)
        private
        pure
        returns (AuditProof memory audit)
    {
        audit.proof = abi.encodePacked(proof);
        audit.instances = new uint256[](1);
        audit.instances[0] = uint256(words[0]);
        audit.vka = new bytes32[](1);
        audit.vka[0] = words[1];
        (audit.answer, audit.outputsDigest) = (words[2], words[3]);
        audit.statement = _statement(new uint32[](0));
        audit.statement.circuitDigest = words[1];
        audit.statement.parameterCommitment = keccak256(abi.encodePacked(proof[2], proof[3]));
    }

    /// @dev One chunk in all.
    function _evidence(bytes32[4] calldata words, bytes32[32] calldata chunk)
        private
        pure
        returns (ChunkEvidence memory evidence)
    {
        (evidence.ciphertextRoot, evidence.key, evidence.leaf) = (words[0], words[1], words[2]);
        evidence.ciphertext = chunk;
        evidence.statement = _statement(new uint32[](1));
        evidence.statement.parameterCommitment = words[3];
        evidence.statement.layout.columnLengths[0] = 240;
    }
}
