// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What an attestation says, as the service takes it.
struct AttestationRequestData {
    address recipient;
    /// Seconds; zero for never.
    uint64 expirationTime;
    bool revocable;
    /// Another attestation that this one is about; zero for none.
    bytes32 refUID;
    /// abi.encode of the schema's fields.
    bytes data;
    /// Ether for the schema's resolver.
    uint256 value;
}

struct AttestationRequest {
    bytes32 schema;
    AttestationRequestData data;
}

/// @title What is used of the registry of schemas (Ethereum Attestation Service 1.3)
interface ISchemaRegistry {
    /// @return uid keccak256(abi.encodePacked(schema, resolver, revocable)).
    function register(string calldata schema, address resolver, bool revocable) external returns (bytes32 uid);
}

/// @title What is used of the Ethereum Attestation Service, version 1.3
/// @dev From ethereum-attestation-service/eas-contracts, contracts/IEAS.sol, at commit 0004f19b.
interface IEAS {
    function getSchemaRegistry() external view returns (ISchemaRegistry);

    function attest(AttestationRequest calldata request) external payable returns (bytes32 uid);
}
