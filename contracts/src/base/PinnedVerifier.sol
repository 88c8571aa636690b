// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {AuditProof} from "../types/Types.sol";

/// @title The verifier of audit proofs, fixed at deployment by address and code
abstract contract PinnedVerifier is IModelMarket {
    /// @inheritdoc IModelMarket
    address public immutable VERIFIER;
    /// @inheritdoc IModelMarket
    bytes32 public immutable VERIFIER_CODEHASH;

    /// @param codehash The published codehash of the verifier: a market for other code cannot be deployed.
    constructor(address verifier, bytes32 codehash) {
        VERIFIER = verifier;
        VERIFIER_CODEHASH = codehash;
        _requireVerifier(verifier, codehash);
    }

    /// @dev The verifier accepts the proof, for the circuit of the statement.
    function _requireAccepted(AuditProof calldata audit) internal view {
        _requireVerifier(VERIFIER, VERIFIER_CODEHASH);
        bytes32 expected = audit.statement.circuitDigest;
        try IVerifier(VERIFIER).verifyProof(audit.proof, audit.instances, audit.vka) returns (
            bool accepted, bytes32 circuitDigest
        ) {
            require(circuitDigest == expected, UnexpectedCircuit(circuitDigest, expected));
            require(accepted, ProofRejected());
        } catch {
            revert ProofRejected();
        }
    }

    /// @dev What the challenge of a trade's proof depends on, beside the statement.
    function _proofContext(uint256 tradeId) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), tradeId));
    }

    function _requireVerifier(address verifier, bytes32 expected) private view {
        bytes32 codehash = verifier.codehash;
        require(codehash == expected, UnexpectedVerifier(verifier, codehash, expected));
    }
}
