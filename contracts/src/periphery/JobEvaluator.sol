// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {IJobs} from "../interfaces/IJobs.sol";
import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {State, Trade} from "../types/Types.sol";

/// @title A trade's outcome as the evaluator of a job (ERC-8183)
/// @notice Whoever delegates the purchase of a model pays for the job when the trade has settled, and gets the money back when
/// it has expired or its seller was slashed. No person judges, so none can be absent: anyone may call `evaluate`.
///
/// The evaluator of a job about a trade is `evaluatorOf(…)`, an address that follows from what it judges by. A client names it
/// when it creates the job, a provider computes it again before it works.
///
/// @dev The evaluator is a clone of this contract with the question in its code. It reads nothing of the job: the job's
/// escrow obeys it in jobs that name it, and no others. Warning: it has no use for a fee that an escrow pays to evaluators.
contract JobEvaluator {
    /// @dev What a job is about. The trade must have been opened: its number alone might become another one's.
    struct Question {
        IModelMarket market;
        uint256 tradeId;
        address buyer;
        /// The listing's: keccak256(abi.encode(seller, terms)).
        bytes32 offer;
    }

    event Evaluated(address indexed jobs, uint256 indexed jobId, bool completed);

    /// @notice This is the contract that evaluators are made of: it judges nothing itself.
    error NoQuestion();
    /// @notice The trade is another one's, or of another listing.
    error UnexpectedTrade(uint256 tradeId, address buyer, bytes32 offer);
    /// @notice The trade may still end this way or that.
    error NotDecided(uint256 tradeId, State state);

    address private immutable SELF = address(this);

    /// @notice Where the evaluator of a question is, or will be.
    function evaluatorOf(Question calldata asked) external view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(SELF, abi.encode(asked), 0, SELF);
    }

    /// @notice Create the evaluator of a question. Anyone may, once.
    function create(Question calldata asked) external returns (address evaluator) {
        require(address(this) == SELF, NoQuestion());
        return Clones.cloneDeterministicWithImmutableArgs(SELF, abi.encode(asked), 0);
    }

    /// @notice What this evaluator judges by.
    function question() public view returns (Question memory) {
        require(address(this) != SELF, NoQuestion());
        return abi.decode(Clones.fetchCloneArgs(address(this)), (Question));
    }

    /// @notice Complete a job whose trade has settled, reject one whose trade has ended otherwise. Anyone may call.
    /// @dev The reason that the escrow is given is keccak256(abi.encode(chain id, market, trade, state)).
    function evaluate(IJobs jobs, uint256 jobId) external {
        Question memory asked = question();
        State state = _outcome(asked);
        bytes32 reason = keccak256(abi.encode(block.chainid, asked.market, asked.tradeId, state));

        emit Evaluated(address(jobs), jobId, state == State.Settled);

        if (state == State.Settled) jobs.complete(jobId, reason, "");
        else jobs.reject(jobId, reason, "");
    }

    function _outcome(Question memory asked) private view returns (State state) {
        Trade memory trade = asked.market.trade(asked.tradeId);
        bytes32 offer = asked.market.listing(trade.listingId).offer;
        bool isAsked = trade.buyer == asked.buyer && offer == asked.offer;
        require(isAsked, UnexpectedTrade(asked.tradeId, trade.buyer, offer));
        state = trade.state;
        require(state >= State.Settled, NotDecided(asked.tradeId, state));
    }
}
