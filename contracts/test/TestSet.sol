// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Field} from "../src/libraries/Field.sol";
import {Batch} from "../src/types/Requests.sol";
import {AuditProof, Layout} from "../src/types/Types.sol";

/// @dev What is wrong with a proof of a batch.
enum Flaw {
    None,
    /// Of another batch than is due.
    Batch,
    Request,
    Offer,
    Contract,
    Challenge,
    Check,
    Path,
    Labels,
    Length,
    Inputs,
    Parameters,
    Output,
    NoCheck
}

/// @title A test set of four batches of two samples, and proofs of it that a verifier need only accept
abstract contract TestSet {
    bytes32 internal constant CIRCUIT = keccak256("circuit");
    uint256 internal constant BATCHES = 4;
    uint16 internal constant BATCH_SAMPLES = 2;
    /// @dev All samples are of class 1.
    bytes internal constant LABELS = hex"00010001";

    bytes32[BATCHES] private _leaves;
    bytes32 internal testRoot;

    function makeTestSet() internal {
        bytes32 circuit = keccak256(abi.encode(CIRCUIT, 1, 1, 1, 192, 1, BATCH_SAMPLES));
        for (uint256 i = 0; i < BATCHES; ++i) {
            bytes32 inner = keccak256(abi.encode(circuit, i, keccak256(_inputs(i)), keccak256(LABELS)));
            _leaves[i] = keccak256(bytes.concat(inner));
        }
        testRoot = _node(_node(_leaves[0], _leaves[1]), _node(_leaves[2], _leaves[3]));
    }

    /// @dev What a listing of a model names as its `statement`.
    function statementOf(uint256 model) internal pure returns (bytes32) {
        return keccak256(abi.encode(CIRCUIT, keccak256(_parameters(model)), keccak256(abi.encode(_layout()))));
    }

    /// @param context What the contract's `proofContext` should be.
    /// @param hits Which of the two samples are classified as their labels say, a bit for each.
    function batchOf(bytes32 context, uint256 model, uint256 index, uint256 hits, Flaw flaw)
        internal
        view
        returns (Batch memory batch)
    {
        AuditProof memory audit = batch.audit;
        audit.proof = bytes.concat(_inputs(index), _parameters(model), _results(hits));
        audit.statement.circuitDigest = CIRCUIT;
        audit.statement.parameterCommitment = keccak256(_parameters(model));
        audit.statement.layout = _layout();
        audit.instances = new uint256[](BATCH_SAMPLES + 2);
        (audit.instances[0], audit.instances[1]) = (hits & 1, hits >> 1 & 1);
        (batch.inputCommitment, batch.labels) = (keccak256(_inputs(index)), LABELS);
        batch.path = new bytes32[](2);
        uint256 pair = index ^ 2;
        (batch.path[0], batch.path[1]) = (_leaves[index ^ 1], _node(_leaves[pair], _leaves[pair ^ 1]));
        _spoilCommitted(audit, flaw);
        audit.instances[2] = _challenge(context, audit);
        _spoil(batch, flaw);
    }

    /// @dev What the challenge depends on, so that it fits all the same.
    function _spoilCommitted(AuditProof memory audit, Flaw flaw) private pure {
        if (flaw == Flaw.Inputs) audit.proof[0] ^= 0x01;
        if (flaw == Flaw.Parameters) audit.proof[64] ^= 0x01;
        if (flaw == Flaw.Output) audit.instances[0] += Field.MODULUS;
    }

    function _spoil(Batch memory batch, Flaw flaw) private pure {
        AuditProof memory audit = batch.audit;
        if (flaw == Flaw.Challenge) audit.instances[2] = addmod(audit.instances[2], 1, Field.MODULUS);
        if (flaw == Flaw.Check) audit.instances[3] = 1;
        if (flaw == Flaw.Path) batch.path[1] = ~batch.path[1];
        if (flaw == Flaw.Labels) batch.labels = hex"00000001";
        if (flaw == Flaw.Length) audit.proof = bytes.concat(audit.proof, hex"00");
        if (flaw == Flaw.NoCheck) audit.statement.layout.hiddenColumns = 0;
    }

    /// @dev As `AuditChecks` derives it; all of the proof is commitments here.
    function _challenge(bytes32 context, AuditProof memory audit) private pure returns (uint256) {
        bytes32 outputs = keccak256(abi.encode(_firstTwo(audit.instances)));
        bytes memory transcript = abi.encodePacked("modelseal/audit", context, CIRCUIT, keccak256(audit.proof), outputs);
        return uint256(keccak256(transcript)) % Field.MODULUS;
    }

    function _firstTwo(uint256[] memory instances) private pure returns (uint256[] memory outputs) {
        outputs = new uint256[](BATCH_SAMPLES);
        (outputs[0], outputs[1]) = (instances[0], instances[1]);
    }

    function _layout() private pure returns (Layout memory columns) {
        (columns.inputColumns, columns.parameterColumns, columns.hiddenColumns) = (1, 1, 1);
        (columns.proofBytes, columns.outputs) = (192, 1);
    }

    // Stand for a commitment each: 64 bytes.

    function _inputs(uint256 index) private pure returns (bytes memory) {
        return abi.encode(bytes32("inputs"), index);
    }

    function _parameters(uint256 model) private pure returns (bytes memory) {
        return abi.encode(bytes32("parameters"), model);
    }

    function _results(uint256 hits) private pure returns (bytes memory) {
        return abi.encode(bytes32("results"), hits);
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
    }
}
