// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Agreements} from "./base/Agreements.sol";
import {Balances} from "./base/Balances.sol";
import {PinnedVerifier} from "./base/PinnedVerifier.sol";
import {ProtocolFee} from "./base/ProtocolFee.sol";
import {IListingPolicy} from "./interfaces/IListingPolicy.sol";
import {IModelMarket} from "./interfaces/IModelMarket.sol";
import {AuditChecks} from "./libraries/AuditChecks.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {Evidence} from "./libraries/Evidence.sol";
import {RunningSums} from "./libraries/RunningSums.sol";
import {
    AuditProof,
    Chunk,
    ChunkEvidence,
    Dispute,
    Listing,
    RangeEvidence,
    State,
    SumStepEvidence,
    Terms,
    Trade,
    Usage
} from "./types/Types.sol";

/// @title Escrow of model trades
/// @dev Each function keeps one rhythm: what it requires, what it writes, the event. The only calls are static ones, to the
/// verifier and to policies; those that move money stand in `Balances`, signatures in `Agreements`. What shares a word of
/// storage is written side by side, with nothing read in between: the compiler then writes the word once.
contract ModelMarket is Agreements, Balances, PinnedVerifier, ProtocolFee {
    using AuditChecks for AuditProof;
    using Evidence for *;
    using RunningSums for SumStepEvidence;
    using SafeCast for uint256;

    /// @inheritdoc IModelMarket
    uint256 public listingCount;
    /// @inheritdoc IModelMarket
    uint256 public tradeCount;

    mapping(uint256 listingId => Listing) private _listings;
    mapping(uint256 listingId => mapping(address buyer => Usage)) private _usage;
    mapping(uint256 tradeId => Trade) private _trades;

    /// @param protocolFeeBps Of each settled price, in basis points.
    constructor(address verifier, bytes32 verifierCodehash, uint256 protocolFeeBps, address protocolFeeRecipient)
        PinnedVerifier(verifier, verifierCodehash)
        ProtocolFee(protocolFeeBps, protocolFeeRecipient)
    {}

    // ------------------------------------------------------------------------------------------------------ views

    /// @inheritdoc IModelMarket
    function listing(uint256 listingId) external view returns (Listing memory) {
        return _listings[listingId];
    }

    /// @inheritdoc IModelMarket
    function trade(uint256 tradeId) external view returns (Trade memory trade_) {
        trade_ = _trades[tradeId];
        trade_.price = _price(_trades[tradeId], _listings[trade_.listingId]);
    }

    /// @inheritdoc IModelMarket
    function sessionFee(uint256 listingId, address buyer, uint32 samples) public view returns (uint256) {
        uint256 nextSession = uint256(_usage[listingId][buyer].sessions) + 1;
        return uint256(_listings[listingId].terms.fee) * samples * nextSession;
    }

    /// @inheritdoc IModelMarket
    function answersLeft(uint256 listingId, address buyer) public view returns (uint256) {
        Listing storage listing_ = _listings[listingId];
        return Math.min(
            listing_.terms.buyerQuota - _usage[listingId][buyer].answers, listing_.terms.listingQuota - listing_.answers
        );
    }

    /// @inheritdoc IModelMarket
    function proofFee(uint256 listingId) public view returns (uint256) {
        Listing storage listing_ = _listings[listingId];
        return Math.min(_nextProofFees(listing_) * listing_.terms.proofFee, listing_.terms.price);
    }

    // ---------------------------------------------------------------------------------------------------- listing

    /// @inheritdoc IModelMarket
    function list(Terms calldata terms) external returns (uint256 listingId) {
        require(terms.answerWindow > 0 && terms.decisionWindow > 0 && terms.proofWindow > 0, EmptyWindow());
        require(terms.acceptanceWindow > 0 && terms.revealWindow > 0 && terms.disputeWindow > 0, EmptyWindow());
        if (terms.supersedes != 0) _requireSeller(_listings[terms.supersedes]);

        listingId = ++listingCount;
        _listings[listingId] = Listing({
            seller: msg.sender,
            open: true,
            inEther: terms.token == address(0),
            hasPolicy: terms.policy != address(0),
            answers: 0,
            unaccepted: 0,
            offer: keccak256(abi.encode(msg.sender, terms)),
            terms: terms
        });

        emit Listed(listingId, msg.sender, terms.manifestHash, terms);
    }

    /// @inheritdoc IModelMarket
    function delist(uint256 listingId, bytes32 offer) external {
        Listing storage listing_ = _openListing(listingId, offer);
        _requireSeller(listing_);

        listing_.open = false;

        emit Delisted(listingId);
    }

    // ---------------------------------------------------------------------------------------------------- testing

    /// @inheritdoc IModelMarket
    function openSession(uint256 listingId, bytes32 offer, uint32 samples, bytes32 requestDigest, bytes calldata data)
        external
        payable
        returns (uint256 tradeId)
    {
        Listing storage listing_ = _openListing(listingId, offer);
        require(samples > 0 && samples & (samples - 1) == 0, SamplesNotPowerOfTwo(samples));
        _requireQuota(listingId, msg.sender, uint256(samples) + listing_.terms.auditSamples);
        if (listing_.hasPolicy) _requireAdmitted(listingId, samples, data);
        uint96 fee = sessionFee(listingId, msg.sender, samples).toUint96();

        _pay(listing_, fee);
        _usage[listingId][msg.sender].sessions += 1;
        tradeId = ++tradeCount;
        Trade storage trade_ = _trades[tradeId];
        trade_.buyer = msg.sender;
        trade_.listingId = listingId.toUint32();
        trade_.fee = fee;
        trade_.samples = samples;
        trade_.digest = keccak256(abi.encode(msg.sender, offer, samples, requestDigest));
        uint40 deadline = _deadline(listing_.terms.answerWindow);
        (trade_.state, trade_.deadline) = (State.Testing, deadline);

        emit SessionOpened(tradeId, listingId, msg.sender, samples, requestDigest, fee, deadline);
    }

    /// @inheritdoc IModelMarket
    function respond(uint256 tradeId, bytes32 session, bytes32 responseDigest) external {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Testing);
        _requireSeller(listing_);
        _requireDigest(trade_, session);
        uint32 answers = trade_.samples + listing_.terms.auditSamples;
        _requireQuota(trade_.listingId, trade_.buyer, answers);

        _usage[trade_.listingId][trade_.buyer].answers += answers;
        listing_.answers += answers;
        trade_.digest = keccak256(abi.encode(session, responseDigest));
        _credit(listing_.seller, listing_, trade_.fee);
        uint40 deadline = _deadline(listing_.terms.decisionWindow);
        (trade_.state, trade_.deadline) = (State.Answered, deadline);

        emit Answered(tradeId, responseDigest, deadline);
    }

    // ------------------------------------------------------------------------------------------------------ trade

    /// @inheritdoc IModelMarket
    function purchase(
        uint256 tradeId,
        bytes32 answer,
        bytes32 inputCommitment,
        bytes32 outputsDigest,
        uint96 price,
        uint16 highestProofFees,
        bytes calldata data
    ) external payable {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Answered);
        _requireBuyer(trade_);
        _requireDigest(trade_, answer);
        _requireProofFees(listing_, highestProofFees);

        _setPrice(tradeId, trade_, listing_, price, data);
        _pay(listing_, price);
        trade_.digest = keccak256(abi.encode(answer, inputCommitment, outputsDigest));
        uint40 deadline = _deadline(listing_.terms.proofWindow);
        (trade_.state, trade_.deadline, trade_.proofFees) = (State.Purchased, deadline, highestProofFees);

        emit Purchased(tradeId, inputCommitment, outputsDigest, price, highestProofFees, deadline);
    }

    /// @inheritdoc IModelMarket
    function prove(uint256 tradeId, AuditProof calldata audit, bytes32 ciphertextRoot, bytes32 keyHash)
        external
        payable
    {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Purchased);
        Terms storage terms = listing_.terms;
        _requireSeller(listing_);
        uint16 proofFees = _requireProofFees(listing_, trade_.proofFees);
        audit.requireCommitments(terms.statement, trade_.digest);
        audit.requireOutputs(terms.auditSamples);
        audit.requireChallenge(_proofContext(tradeId));
        _requireAccepted(audit);
        uint96 bond = terms.bond;

        _pay(listing_, bond);
        listing_.unaccepted += 1;
        trade_.digest = _delivery(ciphertextRoot, keyHash);
        uint40 deadline = _deadline(terms.acceptanceWindow);
        (trade_.state, trade_.deadline, trade_.proofFees) = (State.Proven, deadline, proofFees);

        emit Proven(tradeId, ciphertextRoot, keyHash, bond, proofFees, deadline);
    }

    /// @inheritdoc IModelMarket
    function accept(uint256 tradeId, bytes32 delivery) external {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Proven);
        _requireBuyer(trade_);
        _requireDigest(trade_, delivery);

        listing_.unaccepted -= 1;
        uint40 deadline = _deadline(listing_.terms.revealWindow);
        (trade_.state, trade_.deadline) = (State.Accepted, deadline);

        emit Accepted(tradeId, deadline);
    }

    /// @inheritdoc IModelMarket
    function reveal(uint256 tradeId, bytes32 ciphertextRoot, bytes32 key, bytes calldata acceptance) external {
        bool signed = acceptance.length > 0 && _trades[tradeId].state == State.Proven;
        (Trade storage trade_, Listing storage listing_) =
            _beforeDeadline(tradeId, signed ? State.Proven : State.Accepted);
        _requireSeller(listing_);
        _requireKey(trade_, ciphertextRoot, key);
        if (signed) _requireAcceptance(trade_.buyer, tradeId, trade_.digest, acceptance);

        if (signed) listing_.unaccepted -= 1;
        uint40 deadline = _deadline(listing_.terms.disputeWindow);
        (trade_.state, trade_.deadline) = (State.Revealed, deadline);

        emit Revealed(tradeId, key, deadline);
    }

    /// @inheritdoc IModelMarket
    function confirm(uint256 tradeId, bytes32 delivery) external {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Revealed);
        _requireBuyer(trade_);
        _requireDigest(trade_, delivery);

        emit Confirmed(tradeId);
        _settle(tradeId, trade_, listing_, 0);
    }

    /// @inheritdoc IModelMarket
    function refund(uint256 tradeId, uint96 amount, bytes calldata sellerSignature) external {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Revealed);
        _requireBuyer(trade_);
        uint256 price = _price(trade_, listing_);
        require(amount <= price, AbovePrice(amount, price));
        _requireRefund(listing_.seller, tradeId, trade_.digest, amount, sellerSignature);

        _credit(trade_.buyer, listing_, amount);
        emit Refunded(tradeId, trade_.buyer, amount);
        _settle(tradeId, trade_, listing_, amount);
    }

    // --------------------------------------------------------------------------------------------------- disputes

    /// @inheritdoc IModelMarket
    function disputeWeightsChunk(uint256 tradeId, ChunkEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        _requireKey(trade_, evidence.ciphertextRoot, evidence.key);
        Chunk memory chunk = evidence.decrypt(terms.statement, terms.weightsRoot);
        bytes32 delivered = Chunks.weightsLeaf(chunk.salt, chunk.parameters);
        require(delivered != evidence.leaf, DisputeUnfounded(tradeId, evidence.index));

        _slash(tradeId, trade_, Dispute.WeightsChunk);
    }

    /// @inheritdoc IModelMarket
    function disputeSumChunk(uint256 tradeId, ChunkEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        _requireKey(trade_, evidence.ciphertextRoot, evidence.key);
        Chunk memory chunk = evidence.decrypt(terms.statement, terms.sumsRoot);
        bytes32 delivered = Chunks.sumsLeaf(evidence.index, chunk.sum, chunk.salt);
        require(delivered != evidence.leaf, DisputeUnfounded(tradeId, evidence.index));

        _slash(tradeId, trade_, Dispute.SumChunk);
    }

    /// @inheritdoc IModelMarket
    function disputeSumStep(uint256 tradeId, SumStepEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        evidence.requireCommitted(terms);
        address seller = _listings[trade_.listingId].seller;
        require(!evidence.isStep(terms.weightsRoot, seller), DisputeUnfounded(tradeId, evidence.index));

        _slash(tradeId, trade_, Dispute.SumStep);
    }

    /// @inheritdoc IModelMarket
    function disputeRange(uint256 tradeId, RangeEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        evidence.requireCommitted(terms);
        require(Chunks.isOutOfRange(evidence.parameters, evidence.position), DisputeUnfounded(tradeId, evidence.index));

        _slash(tradeId, trade_, Dispute.Range);
    }

    // ---------------------------------------------------------------------------------------------------- endings

    /// @inheritdoc IModelMarket
    function settle(uint256 tradeId) external {
        Trade storage trade_ = _trades[tradeId];
        require(trade_.state == State.Revealed, UnexpectedState(tradeId, trade_.state, State.Revealed));
        _requireDeadlineReached(tradeId, trade_);

        _settle(tradeId, trade_, _listings[trade_.listingId], 0);
    }

    /// @inheritdoc IModelMarket
    function expire(uint256 tradeId) external {
        Trade storage trade_ = _trades[tradeId];
        State ended = trade_.state;
        require(ended >= State.Testing && ended <= State.Accepted, NothingToExpire(tradeId, ended));
        _requireDeadlineReached(tradeId, trade_);
        Listing storage listing_ = _listings[trade_.listingId];

        _takeBackUnused(ended, trade_, listing_);
        (uint256 toBuyer, uint256 toSeller) = _locked(ended, trade_, listing_);
        trade_.state = State.Expired;
        _credit(trade_.buyer, listing_, toBuyer);
        _credit(listing_.seller, listing_, toSeller);

        emit Expired(tradeId, ended, toBuyer, toSeller);
    }

    // --------------------------------------------------------------------------------------------------- requires

    /// @dev The trade and its listing, if the trade is in the expected state and its deadline has not come.
    function _beforeDeadline(uint256 tradeId, State expected)
        private
        view
        returns (Trade storage trade_, Listing storage listing_)
    {
        trade_ = _trades[tradeId];
        require(trade_.state == expected, UnexpectedState(tradeId, trade_.state, expected));
        require(block.timestamp < trade_.deadline, DeadlinePassed(tradeId, trade_.deadline));
        listing_ = _listings[trade_.listingId];
    }

    function _disputed(uint256 tradeId) private view returns (Trade storage trade_, Terms storage terms) {
        Listing storage listing_;
        (trade_, listing_) = _beforeDeadline(tradeId, State.Revealed);
        _requireBuyer(trade_);
        terms = listing_.terms;
    }

    function _requireDeadlineReached(uint256 tradeId, Trade storage trade_) private view {
        require(block.timestamp >= trade_.deadline, DeadlineNotReached(tradeId, trade_.deadline));
    }

    function _requireSeller(Listing storage listing_) private view {
        require(msg.sender == listing_.seller, NotSeller(msg.sender, listing_.seller));
    }

    function _requireBuyer(Trade storage trade_) private view {
        require(msg.sender == trade_.buyer, NotBuyer(msg.sender, trade_.buyer));
    }

    /// @dev The listing, if it is open and offers what the caller believes.
    function _openListing(uint256 listingId, bytes32 offer) private view returns (Listing storage listing_) {
        listing_ = _listings[listingId];
        require(listing_.open, ListingNotOpen(listingId));
        require(offer == listing_.offer, UnexpectedOffer(offer, listing_.offer));
    }

    function _requireQuota(uint256 listingId, address buyer, uint256 answers) private view {
        uint256 left = answersLeft(listingId, buyer);
        require(answers <= left, QuotaExceeded(listingId, answers, left));
    }

    /// @dev The listing's policy lets the caller open this session.
    function _requireAdmitted(uint256 listingId, uint32 samples, bytes calldata data) private view {
        address policy = _listings[listingId].terms.policy;
        bool admitted = IListingPolicy(policy).admit(listingId, msg.sender, samples, data);
        require(admitted, NotAdmitted(policy, msg.sender));
    }

    /// @dev What the next proof of a listing risks, in listed proof fees, if that is no more than its buyer agreed to.
    function _requireProofFees(Listing storage listing_, uint16 highest) private view returns (uint16 proofFees) {
        proofFees = uint16(_nextProofFees(listing_));
        require(proofFees <= highest, ProofFeeTooHigh(proofFees, highest));
    }

    /// @dev So many that no price is left to lose count as this many.
    function _nextProofFees(Listing storage listing_) private view returns (uint256) {
        return Math.min(uint256(listing_.unaccepted) + 1, type(uint16).max);
    }

    /// @dev The trade has committed to what the caller believes, also after a reorganisation that gave its number away.
    function _requireDigest(Trade storage trade_, bytes32 digest) private view {
        require(digest == trade_.digest, UnexpectedDigest(digest, trade_.digest));
    }

    function _requireKey(Trade storage trade_, bytes32 ciphertextRoot, bytes32 key) private view {
        _requireDigest(trade_, _delivery(ciphertextRoot, keccak256(abi.encode(key))));
    }

    function _delivery(bytes32 ciphertextRoot, bytes32 keyHash) private pure returns (bytes32) {
        return Hashes.efficientKeccak256(ciphertextRoot, keyHash);
    }

    // ----------------------------------------------------------------------------------------------------- writes

    function _deadline(uint32 windowSeconds) private view returns (uint40) {
        return uint40(block.timestamp) + windowSeconds;
    }

    /// @dev The price is the buyer's to name, and must be the listing's, or what the listing's policy asks.
    function _setPrice(
        uint256 tradeId,
        Trade storage trade_,
        Listing storage listing_,
        uint96 price,
        bytes calldata data
    ) private {
        uint256 expected = listing_.terms.price;
        if (listing_.hasPolicy) {
            uint256 asked = IListingPolicy(listing_.terms.policy).priceFor(trade_.listingId, msg.sender, tradeId, data);
            require(asked <= expected, AbovePrice(asked, expected));
            expected = asked;
            trade_.price = price;
        }
        require(price == expected, UnexpectedPrice(price, expected));
    }

    function _settle(uint256 tradeId, Trade storage trade_, Listing storage listing_, uint256 refunded) private {
        uint256 price = _price(trade_, listing_) - refunded;
        uint256 protocolFee = _protocolFee(price);
        uint256 amount = price - protocolFee + listing_.terms.bond;
        trade_.state = State.Settled;
        _credit(listing_.seller, listing_, amount);
        _credit(PROTOCOL_FEE_RECIPIENT, listing_, protocolFee);

        emit Settled(tradeId, listing_.seller, amount, protocolFee);
    }

    function _slash(uint256 tradeId, Trade storage trade_, Dispute dispute) private {
        Listing storage listing_ = _listings[trade_.listingId];
        uint256 amount = _price(trade_, listing_) + listing_.terms.bond;
        trade_.state = State.Slashed;
        _credit(trade_.buyer, listing_, amount);

        emit Slashed(tradeId, trade_.buyer, dispute, amount);
    }

    /// @dev What the seller did no work for counts for nothing: a session that it never answered neither against the
    /// quotas nor towards the next fee, the audit of a trade that was never proven neither.
    function _takeBackUnused(State ended, Trade storage trade_, Listing storage listing_) private {
        Usage storage usage = _usage[trade_.listingId][trade_.buyer];
        if (ended == State.Testing) usage.sessions -= 1;
        if (ended == State.Answered || ended == State.Purchased) {
            uint32 audited = listing_.terms.auditSamples;
            usage.answers -= audited;
            listing_.answers -= audited;
        }
    }

    /// @dev What is locked in a waiting state before the key is revealed, and whose it is. Whoever let the other's work go
    /// to waste pays proof fees: a buyer that did not accept the proof, a seller that did not reveal the key.
    function _locked(State state, Trade storage trade_, Listing storage listing_)
        private
        view
        returns (uint256 toBuyer, uint256 toSeller)
    {
        if (state == State.Testing) return (trade_.fee, 0);
        if (state >= State.Purchased) toBuyer = _price(trade_, listing_);
        if (state < State.Proven) return (toBuyer, 0);
        toSeller = listing_.terms.bond;
        uint256 stake = Math.min(uint256(trade_.proofFees) * listing_.terms.proofFee, toBuyer);
        if (state == State.Proven) return (toBuyer - stake, toSeller + stake);
        stake = Math.min(stake, toSeller);
        return (toBuyer + stake, toSeller - stake);
    }

    /// @dev What the buyer pays, from `purchase` on.
    function _price(Trade storage trade_, Listing storage listing_) private view returns (uint96) {
        return listing_.hasPolicy ? trade_.price : listing_.terms.price;
    }
}
