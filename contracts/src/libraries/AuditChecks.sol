// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {AuditProof, Layout, Statement} from "../types/Types.sol";
import {Field} from "./Field.sol";
import {Layouts} from "./Layouts.sol";

/// @title What an audit proof is about
/// @dev The verifier says that a proof is valid. These checks say that it speaks of the listed parameters, and of the
/// inputs that the buyer committed to. What it saw for them it did not show: it compares before it accepts.
library AuditChecks {
    using Layouts for *;

    uint256 private constant POINT_BYTES = 64;
    /// @dev Challenge and result of a random check, behind the outputs.
    uint256 private constant CHECK_INSTANCES = 2;

    /// @notice The proof has its canonical length, and begins with the commitments of the buyer's inputs and of the
    /// listed parameters.
    /// @dev ezkl's verifier accepts trailing bytes, so without an exact length one proof would have many forms.
    /// @param listed The listing's `statement`.
    /// @param purchase What `purchase` stored: keccak256(abi.encode(answer, inputCommitment, outputsDigest)).
    function requireCommitments(AuditProof calldata audit, bytes32 listed, bytes32 purchase) internal pure {
        Statement calldata statement = audit.statement;
        statement.requireListed(listed);
        Layout calldata layout = statement.layout;
        bytes calldata proof = audit.proof;
        require(proof.length == layout.proofBytes, IModelMarket.UnexpectedProofLength(proof.length, layout.proofBytes));

        uint256 inputsEnd = POINT_BYTES * layout.inputColumns;
        uint256 parametersEnd = inputsEnd + POINT_BYTES * layout.parameterColumns;
        bytes32 parameters = keccak256(proof[inputsEnd:parametersEnd]);
        bytes32 expected = statement.parameterCommitment;
        require(parameters == expected, IModelMarket.UnexpectedParameterCommitment(parameters, expected));

        bytes32 digest = keccak256(abi.encode(audit.answer, keccak256(proof[:inputsEnd]), audit.outputsDigest));
        require(digest == purchase, IModelMarket.UnexpectedPurchase(digest, purchase));
    }

    /// @notice There are k samples' outputs, and each is canonical: ezkl's verifier computes mod p.
    function requireOutputs(AuditProof calldata audit, uint256 auditSamples) internal pure {
        Layout calldata layout = audit.statement.layout;
        uint256 count = auditSamples * layout.outputs;
        uint256[] calldata instances = audit.instances;
        uint256 expected = layout.hiddenColumns == 0 ? count : count + CHECK_INSTANCES;
        require(instances.length == expected, IModelMarket.UnexpectedInstanceCount(instances.length, expected));

        for (uint256 i = 0; i < count; ++i) {
            uint256 instance = instances[i];
            if (instance >= Field.MODULUS) revert IModelMarket.InstanceOutsideField(i, instance);
        }
    }

    /// @notice Where layers' results are committed, the proof is for the challenge that follows from everything that
    /// the circuit's random check is about, and this check gives zero.
    /// @dev The challenge is a hash (Fiat-Shamir) of the context, the circuit, the commitments to inputs, parameters and
    /// results, and the outputs. The prover fixes all of them before it can know it, or it would choose them to fit.
    /// Warning: the outputs must have been counted and found canonical, the proof's length exact.
    /// @param context Where the proof is used: it is valid there alone.
    function requireChallenge(AuditProof calldata audit, bytes32 context) internal pure {
        Statement calldata statement = audit.statement;
        Layout calldata layout = statement.layout;
        if (layout.hiddenColumns == 0) return;

        uint256[] calldata instances = audit.instances;
        uint256 count = instances.length - CHECK_INSTANCES;
        uint256 columns = uint256(layout.inputColumns) + layout.parameterColumns + layout.hiddenColumns;
        bytes32 commitments = keccak256(audit.proof[:POINT_BYTES * columns]);
        bytes32 outputs = keccak256(abi.encode(instances[:count]));
        bytes32 circuit = statement.circuitDigest;
        bytes memory transcript = abi.encodePacked("modelseal/audit", context, circuit, commitments, outputs);
        uint256 expected = uint256(keccak256(transcript)) % Field.MODULUS;
        uint256 challenge = instances[count];
        require(challenge == expected, IModelMarket.UnexpectedChallenge(challenge, expected));
        uint256 check = instances[count + 1];
        require(check == 0, IModelMarket.FailedCheck(check));
    }
}
