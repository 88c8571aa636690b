// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev Where a trade stands. Each waiting state (Testing … Revealed) ends at a deadline; the last three are final.
enum State {
    /// No such trade.
    None,
    /// The buyer opened a session and paid its fee; the seller may answer.
    Testing,
    /// The seller answered and earned the fee; the buyer may purchase.
    Answered,
    /// The price is locked; the seller may prove.
    Purchased,
    /// The audit proof stands and the bond is locked; the buyer may accept the delivered ciphertext.
    Proven,
    /// The buyer holds the ciphertext; the seller may reveal its key.
    Accepted,
    /// The key is public; the buyer may confirm or dispute.
    Revealed,
    /// Final: price and bond went to the seller.
    Settled,
    /// Final: a deadline passed before the key was revealed; everybody got back what they had locked, but for the stake
    /// of the one who let the other's proof go to waste.
    Expired,
    /// Final: the buyer won a dispute and got price and bond.
    Slashed
}

/// @dev Which dispute slashed a seller.
enum Dispute {
    /// A decrypted chunk has other parameters (or another salt) than the weights tree.
    WeightsChunk,
    /// A decrypted chunk has another running sum (or another salt) than the sums tree.
    SumChunk,
    /// Two successive running sums do not differ by the contribution of the parameters between them.
    SumStep,
    /// A committed parameter is none: 2^24 or more in magnitude.
    Range
}

/// @dev What a seller offers. Fixed for the lifetime of the listing. Amounts are in the smallest unit of the token, windows
/// in seconds. The order packs into one word what each move of a plain trade reads.
struct Terms {
    /// keccak256 of the canonical manifest.
    bytes32 manifestHash;
    /// What is proven: keccak256(abi.encode(circuitDigest, parameterCommitment, layoutHash)), see `Statement`.
    bytes32 statement;
    /// Root of the tree of the chunks' parameters.
    bytes32 weightsRoot;
    /// Root of the tree of the chunks' running sums.
    bytes32 sumsRoot;
    /// What the buyer locks at `purchase`, unless the policy asks less of it.
    uint96 price;
    /// What the seller locks at `prove`.
    uint96 bond;
    /// Purchased: the seller proves.
    uint24 proofWindow;
    /// Proven: the buyer accepts.
    uint24 acceptanceWindow;
    /// Samples in an audit proof (k).
    uint16 auditSamples;
    /// What a buyer leaves to the seller if it doesn't accept a proof. After n proofs that were not accepted the next one
    /// risks n + 1 times as much, up to the price.
    uint96 proofFee;
    /// Testing: the seller answers.
    uint24 answerWindow;
    /// Answered: the buyer purchases.
    uint24 decisionWindow;
    /// Accepted: the seller reveals.
    uint24 revealWindow;
    /// Revealed: the buyer confirms or disputes.
    uint24 disputeWindow;
    /// Answers that all buyers together may have.
    uint32 listingQuota;
    /// An earlier listing of the same seller that this one improves on; zero if there is none. What its owners pay for this
    /// one is a policy's matter.
    uint32 supersedes;
    /// Fee of each answer of a buyer's first session; those of its n-th session cost n times as much.
    uint96 fee;
    /// Largest distance between an output that a buyer saw and the proven one at which both count as the same, in units of
    /// the instances. What was seen stays with the buyer, so that it is the buyer who compares, before it accepts.
    uint128 tolerance;
    /// Answers that one buyer may have: test samples and audit samples.
    uint32 buyerQuota;
    /// Currency of all amounts: an ERC-20 token, or zero for ETH.
    address token;
    /// Says who may test and what it pays (`IListingPolicy`), or zero: anybody, the price.
    address policy;
}

/// @dev How the audit circuit's commitments, proof, outputs and parameters are laid out.
struct Layout {
    /// Committed columns of the inputs; their commitments come first in the proof.
    uint32 inputColumns;
    /// Committed columns of the parameters; their commitments follow.
    uint32 parameterColumns;
    /// Committed columns of layers' results; their commitments follow. Zero if no layer is proven by a random check.
    uint32 hiddenColumns;
    /// Length of the canonical proof.
    uint32 proofBytes;
    /// Outputs per sample.
    uint32 outputs;
    /// An instance is an output as the buyer saw it, shifted left by so many bits, up to the tolerance.
    uint8 outputShiftBits;
    /// The circuit has 2^logrows rows.
    uint8 logrows;
    /// Number of parameters in each parameter column.
    uint32[] columnLengths;
}

/// @dev What a proof is about. A listing holds its digest alone: moves that need a part of it show the whole.
struct Statement {
    /// keccak256 of the verification key artifact (vka) of the audit circuit.
    bytes32 circuitDigest;
    /// keccak256 of the parameter columns' KZG commitments.
    bytes32 parameterCommitment;
    Layout layout;
}

/// @dev A listing as stored.
struct Listing {
    address seller;
    /// False once the seller has delisted; trades that were open go on.
    bool open;
    /// Whether `terms.token` is zero, and `terms.policy` isn't: kept here, so that a plain trade reads neither.
    bool inEther;
    bool hasPolicy;
    /// Answers granted to all buyers.
    uint32 answers;
    /// Proofs that were not accepted, or not yet.
    uint32 unaccepted;
    /// keccak256(abi.encode(seller, terms)): what a move that costs money names.
    bytes32 offer;
    Terms terms;
}

/// @dev What one buyer has used of one listing.
struct Usage {
    /// Sessions that were answered, or may still be.
    uint32 sessions;
    /// Answers granted: those of tests and of audits, from `respond` on.
    uint32 answers;
}

/// @dev A trade as stored: three words.
struct Trade {
    address buyer;
    /// Moves of the current state are valid before, `expire` or `settle` from this second on.
    uint40 deadline;
    State state;
    uint32 listingId;
    /// What whoever lets the proof go to waste pays, in listed proof fees: at most (Purchased), exactly (from Proven on).
    uint16 proofFees;
    /// What the session was paid with: the buyer's again if the seller doesn't answer.
    uint96 fee;
    /// Test samples that the session is charged, a power of two.
    uint32 samples;
    /// What the buyer has locked (from Purchased on). Stored where a policy named it, elsewhere it is the listing's.
    uint96 price;
    /// What the trade has committed to so far, each keccak256 of abi.encode of what stands here:
    /// session = (buyer, offer, samples, requestDigest) (Testing), answer = (session, responseDigest) (Answered),
    /// (answer, inputCommitment, outputsDigest) (Purchased), delivery = (ciphertextRoot, keyHash) (from Proven on).
    bytes32 digest;
}

/// @dev An audit proof and what it is checked against.
struct AuditProof {
    bytes proof;
    /// Public instances of the proof: the outputs of the k samples, row by row; where layers' results are committed,
    /// the challenge of the circuit's random check and the zero that it gives follow.
    uint256[] instances;
    /// Verification key artifact of the audit circuit.
    bytes32[] vka;
    Statement statement;
    /// What the trade had committed to when it was purchased: the answer.
    bytes32 answer;
    /// The digest that the buyer gave at `purchase`.
    bytes32 outputsDigest;
}

/// @dev A chunk in clear: 1,024 bytes.
struct Chunk {
    /// S_j: the running sum of the binding up to and with this chunk.
    uint256 sum;
    /// Hides the leaves of both trees.
    bytes32 salt;
    /// 240 parameters, eight big-endian int32 in each word; the last chunk of a column is padded with zeros.
    bytes32[30] parameters;
}

/// @dev Evidence that a delivered chunk, once decrypted, is not the one in a committed tree.
struct ChunkEvidence {
    /// Root of the tree of the delivered ciphertext chunks.
    bytes32 ciphertextRoot;
    /// The delivery key.
    bytes32 key;
    /// Index j of the chunk.
    uint256 index;
    /// The chunk as delivered: 1,024 bytes of ciphertext.
    bytes32[32] ciphertext;
    /// Siblings from the ciphertext chunk's leaf up to the ciphertext root.
    bytes32[] ciphertextPath;
    /// Leaf j of the committed tree (weights or sums).
    bytes32 leaf;
    /// Siblings from that leaf up to the committed root.
    bytes32[] path;
    Statement statement;
}

/// @dev Evidence that a committed running sum is not its predecessor plus the contribution of the chunk's parameters.
struct SumStepEvidence {
    /// Index j of the chunk.
    uint256 index;
    /// S_{j-1} and its salt; ignored for j = 0, where the running sum starts at zero.
    uint256 previousSum;
    bytes32 previousSalt;
    bytes32[] previousPath;
    /// S_j and the salt of chunk j.
    uint256 sum;
    bytes32 salt;
    bytes32[] sumPath;
    /// The parameters of chunk j: eight big-endian int32 in each word.
    bytes32[30] parameters;
    bytes32[] weightsPath;
    Statement statement;
}

/// @dev Evidence that a committed parameter is out of range.
struct RangeEvidence {
    /// Index j of the chunk.
    uint256 index;
    /// Position of the parameter in it, below 240.
    uint256 position;
    bytes32 salt;
    /// The parameters of chunk j: eight big-endian int32 in each word.
    bytes32[30] parameters;
    bytes32[] weightsPath;
    Statement statement;
}
