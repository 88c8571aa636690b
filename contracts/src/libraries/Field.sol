// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The scalar field of BN254, in which ezkl's circuits compute
library Field {
    uint256 internal constant MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    /// @dev 7^((MODULUS - 1) / 2^28): the field's two-adicity is 28, and 7 generates its multiplicative group.
    uint256 internal constant ROOT_OF_UNITY_28 =
        1748695177688661943023146337482803886740723238769601073607632802312037301404;

    /// @notice The field element of a signed integer.
    function fromInt32(int32 value) internal pure returns (uint256) {
        unchecked {
            // A negative value is 2^256 - |value| here, so the sum wraps around to MODULUS - |value|.
            return value < 0 ? MODULUS + uint256(int256(value)) : uint256(int256(value));
        }
    }

    function add(uint256 a, uint256 b) internal pure returns (uint256) {
        return addmod(a, b, MODULUS);
    }

    /// @notice a - b, for b at most the modulus.
    function sub(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            return addmod(a, MODULUS - b, MODULUS);
        }
    }

    function mul(uint256 a, uint256 b) internal pure returns (uint256) {
        return mulmod(a, b, MODULUS);
    }
}
