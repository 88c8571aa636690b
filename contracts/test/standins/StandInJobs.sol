// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobs} from "../../src/interfaces/IJobs.sol";

/// @title The escrow of ERC-8183 (draft of 2026-02-25), without hooks and fees: its states, roles and checks
/// @dev Money is counted and not moved, so that a test needs no token: what an evaluator does depends on states alone.
contract StandInJobs is IJobs {
    enum Status {
        Open,
        Funded,
        Submitted,
        Completed,
        Rejected,
        Expired
    }

    struct Job {
        address client;
        address provider;
        address evaluator;
        uint256 budget;
        uint256 expiredAt;
        Status status;
    }

    event JobCompleted(uint256 indexed jobId, address indexed evaluator, bytes32 reason);
    event JobRejected(uint256 indexed jobId, address indexed rejector, bytes32 reason);

    error WrongStatus();
    error Unauthorized();

    uint256 public jobCount;
    mapping(uint256 jobId => Job) public jobs;
    mapping(address account => uint256) public paid;

    function createJob(address provider, address evaluator, uint256 expiredAt, string calldata, address)
        external
        returns (uint256 jobId)
    {
        require(evaluator != address(0) && expiredAt > block.timestamp);
        jobId = ++jobCount;
        jobs[jobId] = Job(msg.sender, provider, evaluator, 0, expiredAt, Status.Open);
    }

    function setBudget(uint256 jobId, uint256 amount, bytes calldata) external {
        Job storage job = jobs[jobId];
        require(job.status == Status.Open, WrongStatus());
        require(msg.sender == job.client || msg.sender == job.provider, Unauthorized());
        job.budget = amount;
    }

    function fund(uint256 jobId, uint256 expectedBudget, bytes calldata) external {
        Job storage job = jobs[jobId];
        require(job.status == Status.Open, WrongStatus());
        require(msg.sender == job.client && job.budget == expectedBudget && job.budget > 0, Unauthorized());
        job.status = Status.Funded;
    }

    function submit(uint256 jobId, bytes32, bytes calldata) external {
        Job storage job = jobs[jobId];
        require(job.status == Status.Funded, WrongStatus());
        require(msg.sender == job.provider, Unauthorized());
        job.status = Status.Submitted;
    }

    function complete(uint256 jobId, bytes32 reason, bytes calldata) external {
        Job storage job = jobs[jobId];
        require(job.status == Status.Submitted, WrongStatus());
        require(msg.sender == job.evaluator, Unauthorized());
        job.status = Status.Completed;
        paid[job.provider] += job.budget;
        emit JobCompleted(jobId, msg.sender, reason);
    }

    function reject(uint256 jobId, bytes32 reason, bytes calldata) external {
        Job storage job = jobs[jobId];
        address entitled = job.status == Status.Open ? job.client : job.evaluator;
        require(job.status <= Status.Submitted, WrongStatus());
        require(msg.sender == entitled, Unauthorized());
        if (job.status != Status.Open) paid[job.client] += job.budget;
        job.status = Status.Rejected;
        emit JobRejected(jobId, msg.sender, reason);
    }

    function claimRefund(uint256 jobId) external {
        Job storage job = jobs[jobId];
        require(job.status == Status.Funded || job.status == Status.Submitted, WrongStatus());
        require(block.timestamp >= job.expiredAt, WrongStatus());
        job.status = Status.Expired;
        paid[job.client] += job.budget;
    }
}
