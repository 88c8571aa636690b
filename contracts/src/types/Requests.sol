// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {AuditProof} from "./Types.sol";

/// @dev Where a request stands.
enum RequestStatus {
    /// No such request.
    None,
    /// Sellers may prove until the deadline.
    Open,
    /// A listing has reached the accuracy; the bounty is held.
    Claimed,
    /// Final: the bounty was credited.
    Ended
}

/// @dev What a buyer asks for.
struct Wanted {
    IModelMarket market;
    /// Proofs are valid before, `close` from this second on.
    uint40 deadline;
    /// How long the bounty is held after the claim, seconds. The listing must stay open so long.
    uint32 holdSeconds;
    /// Currency of the bounty; zero is ETH.
    address bountyToken;
    /// Of a token that keeps a fee: what arrived.
    uint96 bounty;
    /// What a listing may ask for, at most, in which currency, and its bond, at the least.
    address priceToken;
    uint96 highestPrice;
    uint96 lowestBond;
    /// Samples of the test set.
    uint32 samples;
    /// Samples that a model must classify as their labels say, among the batches that are proven.
    uint32 minimumCorrect;
    /// Root of the tree of batches (OpenZeppelin's standard tree) over
    /// abi.encode(circuit, index, inputCommitment, keccak256(labels)), of as many circuits as the buyer takes:
    /// circuit = keccak256(abi.encode(circuitDigest, inputColumns, parameterColumns, hiddenColumns, proofBytes, outputs, k)),
    /// with k samples per proof. Labels have two bytes each; those behind the last sample are zeros.
    bytes32 testRoot;
}

/// @dev What people read; no contract does.
struct Task {
    /// keccak256 of the limits to the architecture, a document of the buyer's.
    bytes32 architecture;
    /// keccak256 of the test set: rows, then labels, as certificates name them.
    bytes32 testSet;
    string description;
}

/// @dev A request as stored.
struct Request {
    address buyer;
    RequestStatus status;
    /// The claim's seller, and when it may be paid.
    address seller;
    uint40 releasedAt;
    uint256 listingId;
    bytes32 offer;
    Wanted wanted;
}

/// @dev How far a listing has come.
struct Progress {
    uint32 batches;
    uint32 correct;
}

/// @dev A batch of the test set, and the proof of what a model gives on it.
struct Batch {
    /// `answer` and `outputsDigest` mean nothing here.
    AuditProof audit;
    /// keccak256 of the commitments with which the proof begins.
    bytes32 inputCommitment;
    /// k labels.
    bytes labels;
    /// From the batch's leaf to `testRoot`.
    bytes32[] path;
}
