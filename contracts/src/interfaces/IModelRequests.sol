// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Batch, Progress, Request, RequestStatus, Task, Wanted} from "../types/Requests.sol";

/// @title Bounties for models of a proven accuracy
/// @notice A buyer asks for a model: so many of the samples of a public test set classified as their labels say, by a listing
/// that it could buy for no more than it names. The bounty goes to the first seller that proves so, batch by batch, or back
/// to the buyer.
///
/// What is sound. A batch's proof (the market's verifier, the market's checks) says what the *listed* parameters give on the
/// *committed* inputs. The buyer has fixed, for each circuit that it takes, the commitments of the test set's batches and
/// their labels, as a Merkle tree: commitments to public samples are made without salt, so that everyone computes the same.
/// The challenge in the proof depends on chain, contract, request, the listing's seller and terms, and the batch: a proof that
/// was seen in another transaction, trade or request is worth nothing to anybody else. Batches are taken in order and once,
/// so no sample counts twice.
///
/// What is not. A seller can train on a public test set: test the model with data of your own, encrypted, before you buy.
/// Parameters may leave the range that floats hold: the buyer that finds so after delivery gets price, bond and, while the
/// bounty is held, the bounty. A seller can keep its listing open and still not answer. The test set's outputs become public,
/// and a small model with them. A circuit, its tree's leaves and the market are the buyer's choice: sellers compute the leaves
/// again and look at the market before they work.
///
/// Gas: a batch costs what `prove` of a trade costs, the verifier most of it (650,000 and more), and about 100,000 beside it.
/// So a request is for hundreds of samples, not for thousands. Anyone may claim first, the buyer with a model of its own too.
interface IModelRequests {
    event Posted(uint256 indexed requestId, address indexed buyer, Wanted wanted, Task task);
    event BatchProven(uint256 indexed requestId, uint256 indexed listingId, uint256 batch, uint256 correct);
    event Claimed(uint256 indexed requestId, uint256 indexed listingId, address indexed seller, uint40 releasedAt);
    event Ended(uint256 indexed requestId, address indexed account, uint256 bounty);
    event Withdrawn(address indexed account, address indexed token, uint256 amount);

    error DeadlinePassed(uint256 deadline);
    error TooEarly(uint256 until);
    error ImpossibleAccuracy(uint256 correct, uint256 samples);
    error NoBounty();
    error UnexpectedPayment(uint256 paid, uint256 due);
    error UnexpectedStatus(uint256 requestId, RequestStatus current, RequestStatus expected);
    error NotSeller(address caller, address seller);
    /// @notice The listing is closed, has a policy, another currency, a higher price or a lower bond than was asked for.
    error UnsuitableListing(bytes32 offer);
    /// @notice All batches of the test set have been proven.
    error NoSampleLeft(uint256 batch);
    error UnexpectedLabels(uint256 length, uint256 samples);
    /// @notice Circuit, inputs or labels are not those of the batch.
    error NotInTestSet(uint256 batch, bytes32 circuit);
    /// @notice The circuit has no random check, and its proofs no place: anyone could show them. Circuits of two samples and
    /// more have one.
    error NoRandomCheck();
    error UnexpectedVerifier(address verifier);
    error ProofRejected();
    /// @notice The trade is no slashed one of the claim's listing.
    error NotConvicted(uint256 tradeId);
    error NothingToWithdraw(address account, address token);
    error TransferFailed(address account, uint256 amount);

    /// @notice Ids run from 1 to this count.
    function requestCount() external view returns (uint256);

    function request(uint256 requestId) external view returns (Request memory);

    /// @notice How far a listing has come; `offer` is keccak256(abi.encode(seller, terms)).
    function progressOf(uint256 requestId, bytes32 offer) external view returns (Progress memory);

    /// @notice What the challenge of a batch's proof depends on, beside the statement.
    function proofContext(uint256 requestId, bytes32 offer, uint256 batch) external view returns (bytes32);

    /// @notice What `withdraw(token)` would pay `account`.
    function balanceOf(address account, address token) external view returns (uint256);

    /// @notice Ask for a model. The caller is the buyer; the bounty comes with the call, or from an allowance. It can't be
    /// taken back before the deadline.
    function post(Wanted calldata wanted, Task calldata task) external payable returns (uint256 requestId);

    /// @notice Prove the next batch for a listing of yours. The proof that reaches the accuracy claims the bounty.
    function prove(uint256 requestId, uint256 listingId, Batch calldata batch) external;

    /// @notice Pay the claim once it was held: to the seller if the listing is still open, else to the buyer. Anyone may call.
    function release(uint256 requestId) external;

    /// @notice Give the bounty back to the buyer since the claim's listing was found to be a fraud: a trade of it ended in
    /// `Slashed`. Anyone may call, until the claim is paid.
    function reclaim(uint256 requestId, uint256 tradeId) external;

    /// @notice Give the bounty of a request that nobody claimed back to the buyer. Anyone may call, from the deadline on.
    function close(uint256 requestId) external;

    /// @notice Pays the caller its whole balance.
    function withdraw(address token) external;
}
