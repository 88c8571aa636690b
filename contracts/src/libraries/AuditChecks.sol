// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {AuditProof, Terms} from "../types/Types.sol";
import {Field} from "./Field.sol";
import {Layouts} from "./Layouts.sol";

/// @title What an audit proof is about
/// @dev The verifier says that a proof is valid. These checks say that it speaks of the listed parameters, and of the
/// inputs and outputs that the buyer committed to.
library AuditChecks {
    using Layouts for *;

    uint256 private constant POINT_BYTES = 64;

    /// @notice The proof has its canonical length, and begins with the commitments of the buyer's inputs and of the
    /// listed parameters.
    /// @dev ezkl's verifier accepts trailing bytes, so without an exact length one proof would have many forms.
    /// @param purchaseDigest What `purchase` stored: keccak256(abi.encode(inputCommitment, outputs)).
    function requireCommitments(AuditProof calldata audit, Terms storage terms, bytes32 purchaseDigest) internal view {
        audit.layout.requireHash(terms.layoutHash);
        bytes calldata proof = audit.proof;
        require(
            proof.length == audit.layout.proofBytes,
            IModelMarket.UnexpectedProofLength(proof.length, audit.layout.proofBytes)
        );

        uint256 inputsEnd = POINT_BYTES * audit.layout.inputColumns;
        uint256 parametersEnd = inputsEnd + POINT_BYTES * audit.layout.parameterColumns;
        bytes32 parameterCommitment = keccak256(proof[inputsEnd:parametersEnd]);
        require(
            parameterCommitment == terms.parameterCommitment,
            IModelMarket.UnexpectedParameterCommitment(parameterCommitment, terms.parameterCommitment)
        );

        bytes32 digest = keccak256(abi.encode(keccak256(proof[:inputsEnd]), audit.outputs));
        require(digest == purchaseDigest, IModelMarket.UnexpectedPurchase(digest, purchaseDigest));
    }

    /// @notice There are k samples' outputs, each proven one is canonical, and within the tolerance of the committed one.
    /// @dev Warning: |committed << outputShiftBits| + tolerance must stay below half the modulus, or distances wrap
    /// around. The shift is part of the layout, which the buyer checks before it pays.
    function requireOutputs(AuditProof calldata audit, Terms storage terms) internal view {
        uint256 count = uint256(terms.auditSamples) * audit.layout.outputs;
        uint256[] calldata instances = audit.instances;
        int64[] calldata outputs = audit.outputs;
        require(instances.length == count, IModelMarket.UnexpectedInstanceCount(instances.length, count));
        require(outputs.length == count, IModelMarket.UnexpectedOutputCount(outputs.length, count));

        uint256 shiftBits = audit.layout.outputShiftBits;
        uint256 tolerance = terms.tolerance;
        for (uint256 i = 0; i < count; ++i) {
            uint256 instance = instances[i];
            if (instance >= Field.MODULUS) revert IModelMarket.InstanceOutsideField(i, instance);
            int256 proven = Field.toSigned(instance);
            int256 committed = int256(outputs[i]) << shiftBits;
            if (_distance(proven, committed) > tolerance) {
                revert IModelMarket.OutputOutsideTolerance(i, proven, committed);
            }
        }
    }

    /// @dev Of two integers that are less than 2^255 apart.
    function _distance(int256 a, int256 b) private pure returns (uint256) {
        unchecked {
            return SignedMath.abs(a - b);
        }
    }
}
