// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    AuditProof,
    ChunkEvidence,
    Dispute,
    Listing,
    RangeEvidence,
    State,
    SumStepEvidence,
    Terms,
    Trade
} from "../types/Types.sol";

/// @title Escrow of model trades
/// @notice Pays a seller only when the delivered model is the one that was listed, tested and proven.
///
/// A trade moves `Testing → Answered → Purchased → Proven → Accepted → Revealed → Settled`. Every waiting state has a
/// deadline: a party's move is valid iff `block.timestamp < deadline`, `expire` (or `settle`, once revealed) iff
/// `block.timestamp >= deadline`, so that at every second exactly one of the two is. Money is credited to balances and
/// leaves the contract through `withdraw` alone. Money of a token enters through `deposit` alone: what a move of a token
/// listing costs comes from the caller's balance, what one of an ETH listing costs comes with the call.
///
/// `accept` need not be a transaction: a buyer may sign it (EIP-712) instead, and the seller shows the signature in `reveal`.
///
/// @dev Ids are sequential, so a chain reorganisation may give one to another listing or trade. So every move names what it
/// answers, and fails where that is no longer there: `openSession` and `delist` the offer, `respond` the session, `purchase`
/// the answer, `prove` the purchase, `accept` and `confirm` the delivery, `reveal` its root. Session, answer and purchase are
/// chained: each is a digest over the one before, beginning with buyer and offer.
interface IModelMarket {
    // ---------------------------------------------------------------------------------------------------- events

    event Listed(uint256 indexed listingId, address indexed seller, bytes32 indexed manifestHash, Terms terms);
    event Delisted(uint256 indexed listingId);
    event SessionOpened(
        uint256 indexed tradeId,
        uint256 indexed listingId,
        address indexed buyer,
        uint32 samples,
        bytes32 requestDigest,
        uint96 fee,
        uint40 deadline
    );
    event Answered(uint256 indexed tradeId, bytes32 responseDigest, uint40 deadline);
    /// @param highestProofFees The most that the buyer leaves to the seller if it doesn't accept the proof, in listed proof
    /// fees.
    event Purchased(
        uint256 indexed tradeId,
        bytes32 inputCommitment,
        bytes32 outputsDigest,
        uint96 price,
        uint16 highestProofFees,
        uint40 deadline
    );
    /// @param proofFees What the buyer leaves to the seller if it doesn't accept, in listed proof fees; the price at most.
    event Proven(
        uint256 indexed tradeId, bytes32 ciphertextRoot, bytes32 keyHash, uint96 bond, uint16 proofFees, uint40 deadline
    );
    /// @notice The buyer accepted by a transaction. Where it signed instead, `Revealed` follows `Proven`.
    event Accepted(uint256 indexed tradeId, uint40 deadline);
    event Revealed(uint256 indexed tradeId, bytes32 key, uint40 deadline);
    /// @notice The buyer found the delivery right; the Settled of the same transaction follows.
    event Confirmed(uint256 indexed tradeId);
    /// @notice The buyer got a part of the price back, as agreed; the Settled of the same transaction follows.
    event Refunded(uint256 indexed tradeId, address indexed buyer, uint256 amount);
    /// @param amount What the seller got: price and bond, less refund and protocol fee.
    event Settled(uint256 indexed tradeId, address indexed seller, uint256 amount, uint256 protocolFee);
    /// @param ended The waiting state whose deadline passed.
    event Expired(uint256 indexed tradeId, State ended, uint256 toBuyer, uint256 toSeller);
    event Slashed(uint256 indexed tradeId, address indexed buyer, Dispute dispute, uint256 amount);
    /// @param amount What arrived: less than was sent, of a token that takes a fee.
    event Deposited(address indexed account, address indexed token, uint256 amount);
    event Withdrawn(address indexed account, address indexed token, uint256 amount);

    // ---------------------------------------------------------------------------------------------------- errors

    /// @notice The verifier's code is not the one that the market was deployed for.
    error UnexpectedVerifier(address verifier, bytes32 codehash, bytes32 expected);
    error ProtocolFeeTooHigh(uint256 basisPoints, uint256 highest);
    /// @notice ETH is not deposited: it comes with the move that it pays for.
    error NotAToken(address token);
    /// @notice A window of zero seconds would leave a state no time to be left.
    error EmptyWindow();
    /// @notice The listing does not exist, or its seller has delisted it.
    error ListingNotOpen(uint256 listingId);
    error NotSeller(address caller, address seller);
    error NotBuyer(address caller, address buyer);
    /// @notice The signature is not the account's, or one of something else.
    error NotSignedBy(address account);
    /// @notice The listing's policy does not let the buyer open this session.
    error NotAdmitted(address policy, address buyer);
    /// @notice The buyer named another price than the listing, or its policy, asks.
    error UnexpectedPrice(uint256 price, uint256 expected);
    /// @notice A price that a policy names, or a refund, is at most what was to be paid.
    error AbovePrice(uint256 amount, uint256 price);
    /// @notice Sessions are charged as powers of two, since a response shows as many answers.
    error SamplesNotPowerOfTwo(uint256 samples);
    /// @notice A session takes its samples and those of the audit.
    error QuotaExceeded(uint256 listingId, uint256 answers, uint256 answersLeft);
    /// @notice The listing is another one than the caller believes: keccak256(abi.encode(seller, terms)) differs.
    error UnexpectedOffer(bytes32 offer, bytes32 expected);
    /// @notice The trade has committed to something else than the caller believes.
    error UnexpectedDigest(bytes32 digest, bytes32 expected);
    /// @notice Others have not accepted their proofs: the fee of the next one has grown beyond what its buyer agreed to.
    error ProofFeeTooHigh(uint256 proofFees, uint256 highest);
    error UnexpectedPayment(uint256 paid, uint256 due);
    /// @notice What a move of a token listing costs comes from the caller's balance: see `deposit`.
    error InsufficientBalance(address account, address token, uint256 balance, uint256 due);
    error UnexpectedState(uint256 tradeId, State current, State expected);
    /// @notice The trade is in no state that expires (see `settle` for a revealed one).
    error NothingToExpire(uint256 tradeId, State current);
    error DeadlinePassed(uint256 tradeId, uint256 deadline);
    error DeadlineNotReached(uint256 tradeId, uint256 deadline);
    /// @notice Circuit, parameters or layout are not the listed ones: keccak256 of the three words differs.
    error UnexpectedStatement(bytes32 circuitDigest, bytes32 parameterCommitment, bytes32 layoutHash, bytes32 expected);
    error UnexpectedProofLength(uint256 length, uint256 expected);
    error UnexpectedInstanceCount(uint256 count, uint256 expected);
    /// @notice The proof is about other parameters than the listed ones.
    error UnexpectedParameterCommitment(bytes32 commitment, bytes32 expected);
    /// @notice The proof's inputs, or what else it is for, are not what the buyer committed to.
    error UnexpectedPurchase(bytes32 digest, bytes32 expected);
    error InstanceOutsideField(uint256 index, uint256 instance);
    /// @notice The proof is for another challenge than the one that follows from what it is about, or another trade.
    error UnexpectedChallenge(uint256 challenge, uint256 expected);
    /// @notice The circuit's random check of its layers does not give zero: some committed result is false.
    error FailedCheck(uint256 check);
    /// @notice The proof is about another circuit than the listed one.
    error UnexpectedCircuit(bytes32 circuitDigest, bytes32 expected);
    error ProofRejected();
    error ChunkOutOfRange(uint256 index, uint256 count);
    error UnexpectedPathLength(uint256 length, uint256 expected);
    /// @notice Leaf and path lead to another root.
    error NotInTree(bytes32 root, bytes32 expected);
    /// @notice The evidence is authentic and does not convict the seller.
    error DisputeUnfounded(uint256 tradeId, uint256 index);
    error NothingToWithdraw(address account, address token);
    error TransferFailed(address account, uint256 amount);

    // ----------------------------------------------------------------------------------------------------- views

    /// @notice The pinned ezkl verifier, and its codehash, which is checked at deployment and at each proof.
    function VERIFIER() external view returns (address);
    function VERIFIER_CODEHASH() external view returns (bytes32);

    /// @notice Share of the price that goes to the recipient when a trade settles, in basis points; rounded down.
    function PROTOCOL_FEE_BPS() external view returns (uint256);
    function PROTOCOL_FEE_RECIPIENT() external view returns (address);

    /// @notice Ids run from 1 to these counts.
    function listingCount() external view returns (uint256);
    function tradeCount() external view returns (uint256);

    function listing(uint256 listingId) external view returns (Listing memory);
    function trade(uint256 tradeId) external view returns (Trade memory);

    /// @notice What `withdraw(token)` would pay `account`.
    function balanceOf(address account, address token) external view returns (uint256);

    /// @notice What the buyer's next session on the listing costs: the listed fee times its samples times its number.
    function sessionFee(uint256 listingId, address buyer, uint32 samples) external view returns (uint256);

    /// @notice Answers that the buyer may still get: the smaller rest of its quota and the listing's. A session of n samples
    /// takes n and the k of its audit.
    function answersLeft(uint256 listingId, address buyer) external view returns (uint256);

    /// @notice What the next proof on the listing leaves to the seller if it isn't accepted: the listed proof fee, and as
    /// much again for each earlier proof that was not accepted (or not yet); at most the price.
    function proofFee(uint256 listingId) external view returns (uint256);

    // --------------------------------------------------------------------------------------------------- listing

    /// @notice Offers a model. The caller is the seller, also of the listing that this one supersedes, if it does.
    /// @dev Warning: a token whose balances change by themselves (rebasing) can't be seen here, and one that takes balances
    /// back leaves the market short of it. A policy decides who buys, and no more. Buyers accept tokens and policies by name.
    function list(Terms calldata terms) external returns (uint256 listingId);

    /// @notice Takes a listing off the market: no new sessions. Trades that are open go on.
    /// @param offer keccak256(abi.encode(seller, terms)).
    function delist(uint256 listingId, bytes32 offer) external;

    // ----------------------------------------------------------------------------------------------------- money

    /// @notice Takes tokens from the caller and credits the account with as many as arrive.
    function deposit(address token, address account, uint256 amount) external;

    /// @notice Pays the caller its whole balance.
    function withdraw(address token) external;

    // ----------------------------------------------------------------------------------------------------- trade

    /// @notice Opens a test session of up to `samples` samples, paying `sessionFee`. The caller is the buyer.
    /// @param offer keccak256(abi.encode(seller, terms)): what the buyer believes that it pays for.
    /// @param samples What counts in the quotas, a power of two: the request says how many samples there are really.
    /// @param requestDigest keccak256 of the encrypted request, which travels off-chain.
    /// @param data For the listing's policy, if it has one.
    function openSession(uint256 listingId, bytes32 offer, uint32 samples, bytes32 requestDigest, bytes calldata data)
        external
        payable
        returns (uint256 tradeId);

    /// @notice Answers the session; the seller earns the fee. Samples and audit samples are taken from the quotas: sessions
    /// that only wait take nothing from anybody.
    /// @param session keccak256(abi.encode(buyer, offer, samples, requestDigest)): what the seller has answered.
    /// @param responseDigest keccak256 of the encrypted response, which travels off-chain.
    function respond(uint256 tradeId, bytes32 session, bytes32 responseDigest) external;

    /// @notice Locks the price and commits to the audit samples of the buyer's choice, and to what it saw for them.
    /// @param answer keccak256(abi.encode(session, responseDigest)): what the buyer saw.
    /// @param inputCommitment keccak256 of the input columns' KZG commitments.
    /// @param outputsDigest keccak256(abi.encode(bytes32 salt, int64[] outputs)) of the outputs of the k samples, row by row.
    /// @dev Warning: the outputs themselves must not be shown. They come from decryption, and a seller that chose its
    /// response would read the buyer's secret key from them. Opened to an auditor, the digest shows who was right.
    /// @param price What the buyer means to pay: the listing's price, or what its policy asks.
    /// @param highestProofFees The most that the buyer leaves to the seller if it doesn't accept the proof, in listed proof
    /// fees: no proof is taken that would cost it more (see `proofFee`).
    /// @param data For the listing's policy, if it has one.
    function purchase(
        uint256 tradeId,
        bytes32 answer,
        bytes32 inputCommitment,
        bytes32 outputsDigest,
        uint96 price,
        uint16 highestProofFees,
        bytes calldata data
    ) external payable;

    /// @notice Proves what the listed parameters give on the committed inputs, and locks the bond.
    /// @param audit The proof and what it is checked against.
    /// @param ciphertextRoot Root of the tree of the delivered ciphertext chunks.
    /// @param keyHash keccak256 of the key that decrypts them.
    /// @dev The vka is given at each proof and must have been registered with the verifier, once per circuit, by anyone.
    /// Registration vouches for nothing, the digest that the verifier returns and the listing's `circuitDigest` do; so
    /// nothing is lost by leaving it to whoever needs it, and no word of the vka is stored.
    /// Warning: a malicious vka can hold its author's trapdoor. A buyer must rebuild `circuitDigest` from the public
    /// circuit and a known SRS, and check the layout, before it pays.
    function prove(uint256 tradeId, AuditProof calldata audit, bytes32 ciphertextRoot, bytes32 keyHash) external payable;

    /// @notice The buyer found the proven outputs to be what it saw, holds the ciphertext with the proven root, and asks for
    /// the key. For a buyer that can't sign, or whose signature the seller leaves unused: without this move it would pay
    /// for the proof that it had accepted.
    /// @param delivery keccak256(abi.encode(ciphertextRoot, keyHash)).
    function accept(uint256 tradeId, bytes32 delivery) external;

    /// @notice Publishes the key. One that does not hash to the proven `keyHash` is refused.
    /// @param acceptance The buyer's signature of `Acceptance(uint256 tradeId,bytes32 delivery)`, 65 bytes (EIP-712, domain
    /// "ModelSeal", version "1", chain and market), in `Proven`; nothing in `Accepted`, where it is not looked at, since the
    /// buyer may have accepted while this was on its way.
    /// @dev Signatures of ERC-1271 are not taken here. A contract can take its word back at any time, in the block of this
    /// call too, and a key in a call that fails is public. Contracts call `accept`.
    function reveal(uint256 tradeId, bytes32 ciphertextRoot, bytes32 key, bytes calldata acceptance) external;

    /// @notice The buyer is content: pays the seller at once.
    /// @param delivery keccak256(abi.encode(ciphertextRoot, keyHash)).
    function confirm(uint256 tradeId, bytes32 delivery) external;

    /// @notice Buyer and seller agree on less: the buyer gets a part of the price back, the seller the rest and its bond.
    /// @param amount What goes back to the buyer, the price at most.
    /// @param sellerSignature Of `Refund(uint256 tradeId,bytes32 delivery,uint256 amount)` (EIP-712 as above, or ERC-1271).
    function refund(uint256 tradeId, uint96 amount, bytes calldata sellerSignature) external;

    // -------------------------------------------------------------------------------------------------- disputes

    /// @notice Slashes a seller whose decrypted chunk hashes to another leaf than the weights tree's.
    function disputeWeightsChunk(uint256 tradeId, ChunkEvidence calldata evidence) external;

    /// @notice Slashes a seller whose decrypted chunk has another running sum than the sums tree.
    function disputeSumChunk(uint256 tradeId, ChunkEvidence calldata evidence) external;

    /// @notice Slashes a seller whose committed running sums do not follow from the committed parameters.
    function disputeSumStep(uint256 tradeId, SumStepEvidence calldata evidence) external;

    /// @notice Slashes a seller of whose committed parameters one is 2^24 or more in magnitude: float32 would not hold it,
    /// and sums of the audit circuit may have wrapped around the field's modulus.
    function disputeRange(uint256 tradeId, RangeEvidence calldata evidence) external;

    // ---------------------------------------------------------------------------------------------------- endings

    /// @notice Pays the seller of a revealed, undisputed trade once the dispute window is over. Anyone may call.
    function settle(uint256 tradeId) external;

    /// @notice Ends a trade whose deadline passed before the key was revealed: fee or price go back to the buyer, the
    /// bond to the seller; but the proof fee goes to the seller whose proof was not accepted, and from the bond of a seller
    /// that did not reveal to the buyer. Anyone may call.
    function expire(uint256 tradeId) external;
}
