// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IModelMarket} from "./interfaces/IModelMarket.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {AuditChecks} from "./libraries/AuditChecks.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {ChunkTree} from "./libraries/ChunkTree.sol";
import {Layouts} from "./libraries/Layouts.sol";
import {RunningSums} from "./libraries/RunningSums.sol";
import {
    AuditProof,
    Chunk,
    ChunkEvidence,
    Dispute,
    Layout,
    Listing,
    RangeEvidence,
    State,
    SumStepEvidence,
    Terms,
    Trade,
    Usage,
    Windows
} from "./types/Types.sol";

/// @title Escrow of model trades
/// @dev Each function keeps one rhythm: what it requires, what it writes, the event, the external call. Ether leaves in
/// `withdraw` alone, and that is the only call that could come back: the verifier is called statically.
contract ModelMarket is IModelMarket, ReentrancyGuardTransient {
    using AuditChecks for AuditProof;
    using Layouts for Layout;
    using RunningSums for SumStepEvidence;
    using SafeCast for uint256;

    /// @inheritdoc IModelMarket
    address public immutable VERIFIER;
    /// @inheritdoc IModelMarket
    bytes32 public immutable VERIFIER_CODEHASH;

    /// @inheritdoc IModelMarket
    uint256 public listingCount;
    /// @inheritdoc IModelMarket
    uint256 public tradeCount;
    /// @inheritdoc IModelMarket
    mapping(address account => mapping(address token => uint256)) public balanceOf;

    mapping(uint256 listingId => Listing) private _listings;
    mapping(uint256 listingId => mapping(address buyer => Usage)) private _usage;
    mapping(uint256 tradeId => Trade) private _trades;

    /// @param verifierCodehash The published codehash of the verifier: a market for other code cannot be deployed.
    constructor(address verifier, bytes32 verifierCodehash) {
        VERIFIER = verifier;
        VERIFIER_CODEHASH = verifierCodehash;
        _requireVerifier(verifier, verifierCodehash);
    }

    // ------------------------------------------------------------------------------------------------------ views

    /// @inheritdoc IModelMarket
    function listing(uint256 listingId) external view returns (Listing memory) {
        return _listings[listingId];
    }

    /// @inheritdoc IModelMarket
    function trade(uint256 tradeId) external view returns (Trade memory) {
        return _trades[tradeId];
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
        return Math.min(uint256(listing_.terms.proofFee) * (uint256(listing_.unaccepted) + 1), listing_.terms.price);
    }

    // ---------------------------------------------------------------------------------------------------- listing

    /// @inheritdoc IModelMarket
    function list(Terms calldata terms) external returns (uint256 listingId) {
        require(terms.token == address(0), UnsupportedToken(terms.token));
        Windows calldata w = terms.windows;
        require(
            w.answer > 0 && w.decision > 0 && w.proof > 0 && w.acceptance > 0 && w.reveal > 0 && w.dispute > 0,
            EmptyWindow()
        );

        listingId = ++listingCount;
        _listings[listingId] = Listing({
            seller: msg.sender,
            open: true,
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
    function openSession(uint256 listingId, bytes32 offer, uint32 samples, bytes32 requestDigest)
        external
        payable
        returns (uint256 tradeId)
    {
        Listing storage listing_ = _openListing(listingId, offer);
        require(samples > 0 && samples & (samples - 1) == 0, SamplesNotPowerOfTwo(samples));
        _requireQuota(listingId, msg.sender, uint256(samples) + listing_.terms.auditSamples);
        uint128 fee = sessionFee(listingId, msg.sender, samples).toUint128();
        _requirePayment(fee);

        _usage[listingId][msg.sender].sessions += 1;
        tradeId = ++tradeCount;
        Trade storage trade_ = _trades[tradeId];
        trade_.buyer = msg.sender;
        trade_.listingId = listingId.toUint48();
        trade_.stake = fee;
        trade_.samples = samples;
        trade_.digest = keccak256(abi.encode(msg.sender, offer, samples, requestDigest));
        uint40 deadline = _enter(trade_, State.Testing, listing_.terms.windows.answer);

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
        _credit(listing_.seller, listing_.terms.token, trade_.stake);
        uint40 deadline = _enter(trade_, State.Answered, listing_.terms.windows.decision);

        emit Answered(tradeId, responseDigest, deadline);
    }

    // ------------------------------------------------------------------------------------------------------ trade

    /// @inheritdoc IModelMarket
    function purchase(
        uint256 tradeId,
        bytes32 answer,
        bytes32 inputCommitment,
        bytes32 outputsDigest,
        uint128 highestProofFee
    ) external payable {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Answered);
        _requireBuyer(trade_);
        _requireDigest(trade_, answer);
        uint128 price = listing_.terms.price;
        _requirePayment(price);
        _requireProofFee(trade_.listingId, highestProofFee);

        trade_.stake = highestProofFee;
        trade_.digest = keccak256(abi.encode(answer, inputCommitment, outputsDigest));
        uint40 deadline = _enter(trade_, State.Purchased, listing_.terms.windows.proof);

        emit Purchased(tradeId, inputCommitment, outputsDigest, price, highestProofFee, deadline);
    }

    /// @inheritdoc IModelMarket
    function prove(uint256 tradeId, AuditProof calldata audit, bytes32 ciphertextRoot, bytes32 keyHash)
        external
        payable
    {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Purchased);
        Terms storage terms = listing_.terms;
        _requireSeller(listing_);
        uint128 bond = terms.bond;
        _requirePayment(bond);
        uint128 stake = _requireProofFee(trade_.listingId, trade_.stake);
        audit.requireCommitments(terms, trade_.digest);
        audit.requireOutputs(terms);
        bytes32 circuitDigest = terms.circuitDigest;
        audit.requireChallenge(_proofContext(tradeId), circuitDigest);
        _requireAccepted(audit, circuitDigest);

        listing_.unaccepted += 1;
        trade_.stake = stake;
        trade_.digest = _delivery(ciphertextRoot, keyHash);
        uint40 deadline = _enter(trade_, State.Proven, terms.windows.acceptance);

        emit Proven(tradeId, ciphertextRoot, keyHash, bond, stake, deadline);
    }

    /// @inheritdoc IModelMarket
    function accept(uint256 tradeId, bytes32 delivery) external {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Proven);
        _requireBuyer(trade_);
        _requireDigest(trade_, delivery);

        listing_.unaccepted -= 1;
        uint40 deadline = _enter(trade_, State.Accepted, listing_.terms.windows.reveal);

        emit Accepted(tradeId, deadline);
    }

    /// @inheritdoc IModelMarket
    function reveal(uint256 tradeId, bytes32 ciphertextRoot, bytes32 key) external {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Accepted);
        _requireSeller(listing_);
        _requireKey(trade_, ciphertextRoot, key);

        uint40 deadline = _enter(trade_, State.Revealed, listing_.terms.windows.dispute);

        emit Revealed(tradeId, key, deadline);
    }

    /// @inheritdoc IModelMarket
    function confirm(uint256 tradeId, bytes32 delivery) external {
        (Trade storage trade_, Listing storage listing_) = _beforeDeadline(tradeId, State.Revealed);
        _requireBuyer(trade_);
        _requireDigest(trade_, delivery);

        emit Confirmed(tradeId);
        _settle(tradeId, trade_, listing_);
    }

    // --------------------------------------------------------------------------------------------------- disputes

    /// @inheritdoc IModelMarket
    function disputeWeightsChunk(uint256 tradeId, ChunkEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        Chunk memory chunk = _deliveredChunk(trade_, terms, evidence, terms.weightsRoot);
        bytes32 delivered = Chunks.weightsLeaf(chunk.salt, chunk.parameters);
        require(delivered != evidence.leaf, DisputeUnfounded(tradeId, evidence.index));

        _slash(tradeId, trade_, terms, Dispute.WeightsChunk);
    }

    /// @inheritdoc IModelMarket
    function disputeSumChunk(uint256 tradeId, ChunkEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        Chunk memory chunk = _deliveredChunk(trade_, terms, evidence, terms.sumsRoot);
        bytes32 delivered = Chunks.sumsLeaf(evidence.index, chunk.sum, chunk.salt);
        require(delivered != evidence.leaf, DisputeUnfounded(tradeId, evidence.index));

        _slash(tradeId, trade_, terms, Dispute.SumChunk);
    }

    /// @inheritdoc IModelMarket
    function disputeSumStep(uint256 tradeId, SumStepEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        _requireCommitted(terms, evidence);
        address seller = _listings[trade_.listingId].seller;
        require(!evidence.isStep(terms, seller), DisputeUnfounded(tradeId, evidence.index));

        _slash(tradeId, trade_, terms, Dispute.SumStep);
    }

    /// @inheritdoc IModelMarket
    function disputeRange(uint256 tradeId, RangeEvidence calldata evidence) external {
        (Trade storage trade_, Terms storage terms) = _disputed(tradeId);
        evidence.layout.requireHash(terms.layoutHash);
        bytes32 leaf = Chunks.weightsLeaf(evidence.salt, evidence.parameters);
        ChunkTree.requireLeaf(
            terms.weightsRoot, evidence.layout.chunkCount(), evidence.index, leaf, evidence.weightsPath
        );
        require(
            Chunks.isOutOfRange(evidence.parameters, evidence.position), DisputeUnfounded(tradeId, evidence.index)
        );

        _slash(tradeId, trade_, terms, Dispute.Range);
    }

    // ---------------------------------------------------------------------------------------------------- endings

    /// @inheritdoc IModelMarket
    function settle(uint256 tradeId) external {
        Trade storage trade_ = _trades[tradeId];
        require(trade_.state == State.Revealed, UnexpectedState(tradeId, trade_.state, State.Revealed));
        _requireDeadlineReached(tradeId, trade_);

        _settle(tradeId, trade_, _listings[trade_.listingId]);
    }

    /// @inheritdoc IModelMarket
    function expire(uint256 tradeId) external {
        Trade storage trade_ = _trades[tradeId];
        State ended = trade_.state;
        require(ended >= State.Testing && ended <= State.Accepted, NothingToExpire(tradeId, ended));
        _requireDeadlineReached(tradeId, trade_);
        Listing storage listing_ = _listings[trade_.listingId];

        _takeBackUnused(ended, trade_, listing_);
        (uint256 toBuyer, uint256 toSeller) = _locked(ended, trade_, listing_.terms);
        trade_.state = State.Expired;
        _credit(trade_.buyer, listing_.terms.token, toBuyer);
        _credit(listing_.seller, listing_.terms.token, toSeller);

        emit Expired(tradeId, ended, toBuyer, toSeller);
    }

    /// @inheritdoc IModelMarket
    function withdraw(address token) external nonReentrant {
        uint256 amount = balanceOf[msg.sender][token];
        require(amount > 0, NothingToWithdraw(msg.sender, token));

        balanceOf[msg.sender][token] = 0;

        emit Withdrawn(msg.sender, token, amount);

        (bool sent,) = msg.sender.call{value: amount}("");
        require(sent, TransferFailed(msg.sender, amount));
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

    /// @dev What the next proof of a listing risks, if that is no more than its buyer agreed to.
    function _requireProofFee(uint256 listingId, uint128 highest) private view returns (uint128 fee) {
        fee = uint128(proofFee(listingId)); // the price at most
        require(fee <= highest, ProofFeeTooHigh(fee, highest));
    }

    /// @dev The trade has committed to what the caller believes, also after a reorganisation that gave its number away.
    function _requireDigest(Trade storage trade_, bytes32 digest) private view {
        require(digest == trade_.digest, UnexpectedDigest(digest, trade_.digest));
    }

    function _requirePayment(uint256 due) private view {
        require(msg.value == due, UnexpectedPayment(msg.value, due));
    }

    function _requireKey(Trade storage trade_, bytes32 ciphertextRoot, bytes32 key) private view {
        _requireDigest(trade_, _delivery(ciphertextRoot, keccak256(abi.encode(key))));
    }

    function _delivery(bytes32 ciphertextRoot, bytes32 keyHash) private pure returns (bytes32) {
        return keccak256(abi.encode(ciphertextRoot, keyHash));
    }

    function _requireVerifier(address verifier, bytes32 expected) private view {
        require(verifier.codehash == expected, UnexpectedVerifier(verifier, verifier.codehash, expected));
    }

    /// @dev What the challenge of a trade's proof depends on, beside the statement.
    function _proofContext(uint256 tradeId) private view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), tradeId));
    }

    /// @dev The pinned verifier accepts the proof, for the listed circuit.
    function _requireAccepted(AuditProof calldata audit, bytes32 expectedCircuit) private view {
        _requireVerifier(VERIFIER, VERIFIER_CODEHASH);
        try IVerifier(VERIFIER).verifyProof(audit.proof, audit.instances, audit.vka) returns (
            bool accepted, bytes32 circuitDigest
        ) {
            require(circuitDigest == expectedCircuit, UnexpectedCircuit(circuitDigest, expectedCircuit));
            require(accepted, ProofRejected());
        } catch {
            revert ProofRejected();
        }
    }

    /// @dev Decrypts the delivered chunk of the evidence, if the chunk is in the ciphertext tree, the leaf in the
    /// committed tree, both at the same index, and the key is the revealed one.
    function _deliveredChunk(
        Trade storage trade_,
        Terms storage terms,
        ChunkEvidence calldata evidence,
        bytes32 committedRoot
    ) private view returns (Chunk memory) {
        _requireKey(trade_, evidence.ciphertextRoot, evidence.key);
        evidence.layout.requireHash(terms.layoutHash);
        uint256 index = evidence.index;
        uint256 count = evidence.layout.chunkCount();
        bytes32 ciphertextLeaf = Chunks.ciphertextLeaf(evidence.ciphertext);
        ChunkTree.requireLeaf(evidence.ciphertextRoot, count, index, ciphertextLeaf, evidence.ciphertextPath);
        ChunkTree.requireLeaf(committedRoot, count, index, evidence.leaf, evidence.path);
        return Chunks.decrypt(evidence.key, index, evidence.ciphertext);
    }

    /// @dev The sums and parameters of the evidence are those of the committed trees. They concern the listing alone, so
    /// neither key nor ciphertext is needed.
    function _requireCommitted(Terms storage terms, SumStepEvidence calldata evidence) private view {
        evidence.layout.requireHash(terms.layoutHash);
        uint256 index = evidence.index;
        uint256 count = evidence.layout.chunkCount();
        bytes32 weightsLeaf = Chunks.weightsLeaf(evidence.salt, evidence.parameters);
        ChunkTree.requireLeaf(terms.weightsRoot, count, index, weightsLeaf, evidence.weightsPath);
        bytes32 sumsLeaf = Chunks.sumsLeaf(index, evidence.sum, evidence.salt);
        ChunkTree.requireLeaf(terms.sumsRoot, count, index, sumsLeaf, evidence.sumPath);
        if (index == 0) return;
        bytes32 previousLeaf = Chunks.sumsLeaf(index - 1, evidence.previousSum, evidence.previousSalt);
        ChunkTree.requireLeaf(terms.sumsRoot, count, index - 1, previousLeaf, evidence.previousPath);
    }

    // ----------------------------------------------------------------------------------------------------- writes

    function _enter(Trade storage trade_, State state, uint32 windowSeconds) private returns (uint40 deadline) {
        deadline = uint40(block.timestamp) + windowSeconds;
        trade_.state = state;
        trade_.deadline = deadline;
    }

    function _settle(uint256 tradeId, Trade storage trade_, Listing storage listing_) private {
        uint256 amount = uint256(listing_.terms.price) + listing_.terms.bond;
        trade_.state = State.Settled;
        _credit(listing_.seller, listing_.terms.token, amount);

        emit Settled(tradeId, listing_.seller, amount);
    }

    function _slash(uint256 tradeId, Trade storage trade_, Terms storage terms, Dispute dispute) private {
        uint256 amount = uint256(terms.price) + terms.bond;
        trade_.state = State.Slashed;
        _credit(trade_.buyer, terms.token, amount);

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
    /// to waste pays the stake: a buyer that did not accept the proof, a seller that did not reveal the key.
    function _locked(State state, Trade storage trade_, Terms storage terms)
        private
        view
        returns (uint256 toBuyer, uint256 toSeller)
    {
        uint256 stake = trade_.stake;
        if (state == State.Testing) return (stake, 0);
        if (state >= State.Purchased) toBuyer = terms.price;
        if (state >= State.Proven) toSeller = terms.bond;
        if (state == State.Proven) return (toBuyer - stake, toSeller + stake);
        if (state == State.Accepted) {
            stake = Math.min(stake, toSeller);
            return (toBuyer + stake, toSeller - stake);
        }
    }

    function _credit(address account, address token, uint256 amount) private {
        if (amount > 0) balanceOf[account][token] += amount;
    }
}
