// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AttestationRequest, IEAS, ISchemaRegistry} from "../../src/interfaces/IEAS.sol";

/// @title Registry and attestations of EAS 1.3: what it checks and keeps of an attestation without a resolver
contract StandInEAS is IEAS, ISchemaRegistry {
    struct Attestation {
        bytes32 schema;
        uint64 time;
        address recipient;
        address attester;
        bool revocable;
        bytes data;
    }

    event Attested(address indexed recipient, address indexed attester, bytes32 uid, bytes32 indexed schemaUID);

    error AlreadyExists();
    error InvalidSchema();
    error InvalidExpirationTime();
    error Irrevocable();
    error NotPayable();

    mapping(bytes32 uid => string) public schemas;
    mapping(bytes32 uid => bool) private _isRevocable;
    mapping(bytes32 uid => Attestation) public attestations;

    function getSchemaRegistry() external view returns (ISchemaRegistry) {
        return this;
    }

    function register(string calldata schema, address resolver, bool revocable) external returns (bytes32 uid) {
        uid = keccak256(abi.encodePacked(schema, resolver, revocable));
        require(bytes(schemas[uid]).length == 0, AlreadyExists());
        (schemas[uid], _isRevocable[uid]) = (schema, revocable);
    }

    function attest(AttestationRequest calldata request) external payable returns (bytes32 uid) {
        require(bytes(schemas[request.schema]).length > 0, InvalidSchema());
        uint64 expiry = request.data.expirationTime;
        require(expiry == 0 || expiry > block.timestamp, InvalidExpirationTime());
        require(_isRevocable[request.schema] || !request.data.revocable, Irrevocable());
        require(request.data.value == 0, NotPayable());
        uid = keccak256(
            abi.encodePacked(
                request.schema,
                request.data.recipient,
                msg.sender,
                uint64(block.timestamp),
                expiry,
                request.data.revocable,
                request.data.refUID,
                request.data.data,
                uint32(0)
            )
        );
        attestations[uid] = Attestation(
            request.schema,
            uint64(block.timestamp),
            request.data.recipient,
            msg.sender,
            request.data.revocable,
            request.data.data
        );
        emit Attested(request.data.recipient, msg.sender, uid, request.schema);
    }
}
