// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Layout, SumStepEvidence} from "../types/Types.sol";
import {Chunks} from "./Chunks.sol";
import {Field} from "./Field.sol";
import {Layouts} from "./Layouts.sol";

/// @title One step of the running sum that binds the delivered bytes to the proven commitments
/// @dev Parameter θ at row t of column c contributes γᶜ · θ · ωᵗ / (r - ωᵗ): the barycentric form of the value at r of
/// the columns' polynomials, combined by powers of γ. Both points are derived from the roots that were fixed before
/// them, and from the account that listed them (Fiat–Shamir). S_j is the sum over all parameters up to those of chunk j.
library RunningSums {
    using Layouts for Layout;

    /// @notice Whether S_j = S_{j-1} + the contribution of chunk j's parameters, S_j being canonical.
    /// @dev Fractions are added over a common denominator and the equation is multiplied by it: no inversion. It would
    /// vanish only if the hash r hit one of the 2^logrows powers of ω.
    /// Warning: the evidence's index must be in range, its statement the listed one, its leaves in the trees.
    /// @param weightsRoot Of the listing.
    /// @param seller Of the listing: sums and opening are valid for this account alone.
    function isStep(SumStepEvidence calldata evidence, bytes32 weightsRoot, address seller)
        internal
        view
        returns (bool)
    {
        if (evidence.sum >= Field.MODULUS) return false;
        bytes memory bound = abi.encodePacked(weightsRoot, evidence.statement.parameterCommitment, seller);
        (uint256 numerator, uint256 denominator) =
            _contribution(evidence, _challenge("modelseal/r", bound), _challenge("modelseal/gamma", bound));
        uint256 previous = evidence.index == 0 ? 0 : evidence.previousSum % Field.MODULUS;
        return Field.mul(Field.sub(evidence.sum, previous), denominator) == numerator;
    }

    function _contribution(SumStepEvidence calldata evidence, uint256 r, uint256 gamma)
        private
        view
        returns (uint256 numerator, uint256 denominator)
    {
        (uint256 column, uint256 firstRow, uint256 length) = evidence.statement.layout.locate(evidence.index);
        uint256 omega = _rootOfUnity(evidence.statement.layout.logrows);
        uint256 power = Math.modExp(omega, firstRow, Field.MODULUS);
        denominator = 1;
        for (uint256 t = 0; t < length; ++t) {
            uint256 term = Field.mul(Field.fromInt32(Chunks.parameterAt(evidence.parameters, t)), power);
            uint256 difference = Field.sub(r, power);
            numerator = Field.add(Field.mul(numerator, difference), Field.mul(term, denominator));
            denominator = Field.mul(denominator, difference);
            power = Field.mul(power, omega);
        }
        numerator = Field.mul(numerator, Math.modExp(gamma, column, Field.MODULUS));
    }

    /// @dev Of order 2^logrows.
    function _rootOfUnity(uint256 logrows) private pure returns (uint256 root) {
        root = Field.ROOT_OF_UNITY_28;
        for (uint256 order = 28; order > logrows; --order) {
            root = Field.mul(root, root);
        }
    }

    function _challenge(string memory domain, bytes memory bound) private pure returns (uint256) {
        return uint256(keccak256(abi.encodePacked(domain, bound))) % Field.MODULUS;
    }
}
