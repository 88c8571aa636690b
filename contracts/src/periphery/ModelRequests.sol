// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {IModelRequests} from "../interfaces/IModelRequests.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {AuditChecks} from "../libraries/AuditChecks.sol";
import {Classes} from "../libraries/Classes.sol";
import {Batch, Progress, Request, RequestStatus, Task, Wanted} from "../types/Requests.sol";
import {AuditProof, Layout, Listing, State, Trade} from "../types/Types.sol";

/// @title Bounties for models of a proven accuracy
/// @dev Each function requires, writes, emits, then calls. Tokens are called by `post` and `withdraw` alone; market and
/// verifier are called statically.
contract ModelRequests is IModelRequests, ReentrancyGuardTransient {
    using AuditChecks for AuditProof;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @inheritdoc IModelRequests
    uint256 public requestCount;
    /// @inheritdoc IModelRequests
    mapping(address account => mapping(address token => uint256)) public balanceOf;

    mapping(uint256 requestId => Request) private _requests;
    mapping(uint256 requestId => mapping(bytes32 offer => Progress)) private _progress;

    // ------------------------------------------------------------------------------------------------------ views

    /// @inheritdoc IModelRequests
    function request(uint256 requestId) external view returns (Request memory) {
        return _requests[requestId];
    }

    /// @inheritdoc IModelRequests
    function progressOf(uint256 requestId, bytes32 offer) external view returns (Progress memory) {
        return _progress[requestId][offer];
    }

    /// @inheritdoc IModelRequests
    function proofContext(uint256 requestId, bytes32 offer, uint256 batch) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), requestId, offer, batch));
    }

    // ------------------------------------------------------------------------------------------------------ buyer

    /// @inheritdoc IModelRequests
    function post(Wanted calldata wanted, Task calldata task) external payable nonReentrant returns (uint256 requestId) {
        require(block.timestamp < wanted.deadline, DeadlinePassed(wanted.deadline));
        bool isPossible = wanted.minimumCorrect > 0 && wanted.minimumCorrect <= wanted.samples;
        require(isPossible, ImpossibleAccuracy(wanted.minimumCorrect, wanted.samples));
        uint96 bounty = _takeBounty(wanted.bountyToken, wanted.bounty).toUint96();
        require(bounty > 0, NoBounty());

        requestId = ++requestCount;
        Request storage posted = _requests[requestId];
        (posted.buyer, posted.status, posted.wanted) = (msg.sender, RequestStatus.Open, wanted);
        posted.wanted.bounty = bounty;

        emit Posted(requestId, msg.sender, posted.wanted, task);
    }

    /// @inheritdoc IModelRequests
    function close(uint256 requestId) external {
        Request storage open = _inStatus(requestId, RequestStatus.Open);
        require(block.timestamp >= open.wanted.deadline, TooEarly(open.wanted.deadline));

        _pay(requestId, open, open.buyer);
    }

    /// @inheritdoc IModelRequests
    function reclaim(uint256 requestId, uint256 tradeId) external {
        Request storage claimed = _inStatus(requestId, RequestStatus.Claimed);
        IModelMarket market = claimed.wanted.market;
        Trade memory trade = market.trade(tradeId);
        bytes32 offer = market.listing(trade.listingId).offer;
        bool isConvicted = trade.state == State.Slashed && offer == claimed.offer;
        require(isConvicted, NotConvicted(tradeId));

        _pay(requestId, claimed, claimed.buyer);
    }

    // ----------------------------------------------------------------------------------------------------- seller

    /// @inheritdoc IModelRequests
    function prove(uint256 requestId, uint256 listingId, Batch calldata batch) external {
        Request storage open = _inStatus(requestId, RequestStatus.Open);
        require(block.timestamp < open.wanted.deadline, DeadlinePassed(open.wanted.deadline));
        Listing memory listing = open.wanted.market.listing(listingId);
        require(msg.sender == listing.seller, NotSeller(msg.sender, listing.seller));
        _requireTerms(open.wanted, listing);

        Progress storage progress = _progress[requestId][listing.offer];
        uint256 index = progress.batches;
        uint256 samples = _requireBatch(open.wanted, listing, index, batch);
        _requireProof(open.wanted.market, listing, proofContext(requestId, listing.offer, index), batch);

        uint32 correct = uint32(Classes.countCorrect(batch.audit, batch.labels, samples)); // the samples at most
        progress.batches += 1;
        progress.correct += correct;
        emit BatchProven(requestId, listingId, index, correct);

        if (progress.correct >= open.wanted.minimumCorrect) _claim(requestId, open, listingId, listing);
    }

    /// @inheritdoc IModelRequests
    function release(uint256 requestId) external {
        Request storage claimed = _inStatus(requestId, RequestStatus.Claimed);
        require(block.timestamp >= claimed.releasedAt, TooEarly(claimed.releasedAt));
        Listing memory listing = claimed.wanted.market.listing(claimed.listingId);
        bool isOffered = listing.open && listing.offer == claimed.offer;

        _pay(requestId, claimed, isOffered ? claimed.seller : claimed.buyer);
    }

    /// @inheritdoc IModelRequests
    function withdraw(address token) external nonReentrant {
        uint256 amount = balanceOf[msg.sender][token];
        require(amount > 0, NothingToWithdraw(msg.sender, token));

        balanceOf[msg.sender][token] = 0;

        emit Withdrawn(msg.sender, token, amount);

        if (token != address(0)) return IERC20(token).safeTransfer(msg.sender, amount);
        (bool sent,) = msg.sender.call{value: amount}("");
        require(sent, TransferFailed(msg.sender, amount));
    }

    // --------------------------------------------------------------------------------------------------- requires

    function _inStatus(uint256 requestId, RequestStatus expected) private view returns (Request storage found) {
        found = _requests[requestId];
        require(found.status == expected, UnexpectedStatus(requestId, found.status, expected));
    }

    /// @dev The listing is one that the buyer could buy, for no more than it said.
    function _requireTerms(Wanted storage wanted, Listing memory listing) private view {
        bool fits = listing.open && listing.terms.policy == address(0) && listing.terms.token == wanted.priceToken
            && listing.terms.price <= wanted.highestPrice && listing.terms.bond >= wanted.lowestBond;
        require(fits, UnsuitableListing(listing.offer));
    }

    /// @dev Circuit, inputs and labels are those of batch `index` of the buyer's test set.
    /// @return samples How many of the batch count: the last one is filled up with others.
    function _requireBatch(Wanted storage wanted, Listing memory listing, uint256 index, Batch calldata batch)
        private
        view
        returns (uint256 samples)
    {
        uint256 size = listing.terms.auditSamples;
        uint256 first = index * size;
        require(first < wanted.samples, NoSampleLeft(index));
        require(batch.labels.length == size * Classes.LABEL_BYTES, UnexpectedLabels(batch.labels.length, size));
        samples = wanted.samples - first < size ? wanted.samples - first : size;

        Layout calldata layout = batch.audit.statement.layout;
        bytes32 circuit = keccak256(
            abi.encode(
                batch.audit.statement.circuitDigest,
                layout.inputColumns,
                layout.parameterColumns,
                layout.hiddenColumns,
                layout.proofBytes,
                layout.outputs,
                size
            )
        );
        bytes32 leaf = keccak256(
            bytes.concat(keccak256(abi.encode(circuit, index, batch.inputCommitment, keccak256(batch.labels))))
        );
        require(MerkleProof.verifyCalldata(batch.path, wanted.testRoot, leaf), NotInTestSet(index, circuit));
    }

    /// @dev The proof says what the listed parameters give on the batch, and was made for this very place.
    function _requireProof(IModelMarket market, Listing memory listing, bytes32 context, Batch calldata batch)
        private
        view
    {
        AuditProof calldata audit = batch.audit;
        require(audit.statement.layout.hiddenColumns > 0, NoRandomCheck());
        bytes32 inputs = keccak256(abi.encode(audit.answer, batch.inputCommitment, audit.outputsDigest));
        audit.requireCommitments(listing.terms.statement, inputs);
        audit.requireOutputs(listing.terms.auditSamples);
        audit.requireChallenge(context);

        address verifier = market.VERIFIER();
        require(verifier.codehash == market.VERIFIER_CODEHASH(), UnexpectedVerifier(verifier));
        try IVerifier(verifier).verifyProof(audit.proof, audit.instances, audit.vka) returns (
            bool accepted, bytes32 circuit
        ) {
            require(accepted && circuit == audit.statement.circuitDigest, ProofRejected());
        } catch {
            revert ProofRejected();
        }
    }

    // ----------------------------------------------------------------------------------------------------- writes

    function _claim(uint256 requestId, Request storage open, uint256 listingId, Listing memory listing) private {
        uint40 releasedAt = uint40(block.timestamp) + open.wanted.holdSeconds;
        (open.status, open.seller, open.releasedAt) = (RequestStatus.Claimed, listing.seller, releasedAt);
        (open.listingId, open.offer) = (listingId, listing.offer);

        emit Claimed(requestId, listingId, listing.seller, releasedAt);
    }

    /// @dev Ends a request: the bounty is the account's.
    function _pay(uint256 requestId, Request storage ending, address account) private {
        (address token, uint256 bounty) = (ending.wanted.bountyToken, ending.wanted.bounty);
        ending.status = RequestStatus.Ended;
        balanceOf[account][token] += bounty;

        emit Ended(requestId, account, bounty);
    }

    function _takeBounty(address token, uint256 amount) private returns (uint256) {
        uint256 dueInEther = token == address(0) ? amount : 0;
        require(msg.value == dueInEther, UnexpectedPayment(msg.value, dueInEther));
        if (token == address(0)) return amount;

        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        return IERC20(token).balanceOf(address(this)) - before;
    }
}
