// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title ezkl's reusable verifier, as much of it as the market uses
/// @dev The contract also returns "rescaled" instances, after the two words below and in a form that no ABI decoder
/// accepts. They can be forged with calldata that is not canonically encoded, so they are left unread and the arguments
/// are encoded by the market itself. Declared `view`, so that the call is a static one.
interface IVerifier {
    /// @param vka The circuit's verification key artifact. Refused unless somebody has registered it, which anyone can.
    /// @return accepted Never false: an invalid proof reverts.
    /// @return circuitDigest keccak256 of the vka's words.
    function verifyProof(bytes calldata proof, uint256[] calldata instances, bytes32[] calldata vka)
        external
        view
        returns (bool accepted, bytes32 circuitDigest);
}
