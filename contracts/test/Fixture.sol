// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {AuditProof, ChunkEvidence, Layout, Statement, Terms, Trade} from "../src/types/Types.sol";
import {deployPublished} from "./Published.sol";
import {VM} from "./Vm.sol";

interface IVkaRegistry {
    function registerVka(bytes32[] calldata vka) external returns (bytes32);
}

/// @title The published contracts, a real proof, and a listing that it fits
abstract contract Fixture {
    bytes32 internal constant REQUEST = keccak256("request");
    bytes32 internal constant RESPONSE = keccak256("response");
    bytes32 internal constant OUTPUTS = keccak256("outputs");
    bytes32 internal constant KEY = keccak256("delivery key");
    uint256 internal constant PROTOCOL_FEE_BPS = 250;
    address internal constant PROTOCOL_FEE_RECIPIENT = address(0xFEE);
    bytes32 internal constant WEIGHTS_LEAF = keccak256("leaf of another chunk than the delivered one");

    IModelMarket public market;
    AuditProof internal audit;
    bytes32[32] internal ciphertext;
    bytes32 internal ciphertextRoot;
    bytes32 internal delivery;

    function deployMarket() internal {
        string memory vectors = VM.readFile("../tests/vectors/audit_proofs.json");
        address verifier = deployPublished("Halo2VerifierReusable", "");
        bytes memory arguments = abi.encode(verifier, verifier.codehash, PROTOCOL_FEE_BPS, PROTOCOL_FEE_RECIPIENT);
        market = IModelMarket(deployPublished("ModelMarket", arguments));
        ciphertextRoot = keccak256(abi.encode(ciphertext));
        delivery = keccak256(abi.encode(ciphertextRoot, keccak256(abi.encode(KEY))));
        readAudit(vectors);
        IVkaRegistry(verifier).registerVka(audit.vka);
    }

    function readAudit(string memory vectors) private {
        audit.proof = VM.parseBytes(VM.parseJsonString(vectors, ".first.proof"));
        audit.instances = VM.parseJsonUintArray(vectors, ".first.instances");
        string[] memory words = VM.parseJsonStringArray(vectors, ".vka");
        for (uint256 i = 0; i < words.length; ++i) {
            audit.vka.push(bytes32(VM.parseBytes(words[i])));
        }
        uint256[] memory lengths = VM.parseJsonUintArray(vectors, ".column_lengths");
        audit.statement.circuitDigest = keccak256(abi.encodePacked(audit.vka));
        audit.statement.parameterCommitment = keccak256(slice(audit.proof, 64, 128));
        audit.statement.layout = Layout({
            inputColumns: 1,
            parameterColumns: 1,
            hiddenColumns: 0,
            proofBytes: uint32(audit.proof.length),
            outputs: uint32(VM.parseJsonUint(vectors, ".outputs")),
            outputShiftBits: uint8(VM.parseJsonUint(vectors, ".output_shift_bits")),
            logrows: uint8(VM.parseJsonUint(vectors, ".logrows")),
            columnLengths: new uint32[](0)
        });
        for (uint256 i = 0; i < lengths.length; ++i) {
            audit.statement.layout.columnLengths.push(uint32(lengths[i]));
        }
        audit.outputsDigest = OUTPUTS;
    }

    function inputCommitment() internal view returns (bytes32) {
        return keccak256(slice(audit.proof, 0, 64));
    }

    /// @dev A listing whose trees have one leaf, which is not that of the (all-zero) delivered chunk: every dispute wins.
    function terms(uint96 price, uint96 bond, uint96 fee) internal view returns (Terms memory listed) {
        Statement memory statement = audit.statement;
        bytes32 layoutHash = keccak256(abi.encode(statement.layout));
        listed.statement = keccak256(abi.encode(statement.circuitDigest, statement.parameterCommitment, layoutHash));
        listed.weightsRoot = WEIGHTS_LEAF;
        listed.sumsRoot = WEIGHTS_LEAF;
        (listed.price, listed.bond, listed.fee, listed.proofFee) = (price, bond, fee, fee * 16);
        (listed.buyerQuota, listed.listingQuota, listed.auditSamples) = (1000, 1500, 8);
        listed.tolerance = uint128(1) << statement.layout.outputShiftBits;
        (listed.answerWindow, listed.decisionWindow, listed.proofWindow) = (600, 700, 800);
        (listed.acceptanceWindow, listed.revealWindow, listed.disputeWindow) = (900, 1000, 1100);
    }

    function session(uint256 tradeId) internal view returns (bytes32) {
        Trade memory trade = market.trade(tradeId);
        return keccak256(abi.encode(trade.buyer, market.listing(trade.listingId).offer, trade.samples, REQUEST));
    }

    function answer(uint256 tradeId) internal view returns (bytes32) {
        return keccak256(abi.encode(session(tradeId), RESPONSE));
    }

    function auditOf(uint256 tradeId) internal view returns (AuditProof memory proven) {
        proven = audit;
        proven.answer = answer(tradeId);
    }

    function evidence() internal view returns (ChunkEvidence memory found) {
        found.ciphertextRoot = ciphertextRoot;
        found.key = KEY;
        found.ciphertext = ciphertext;
        found.leaf = WEIGHTS_LEAF;
        found.statement = audit.statement;
    }

    /// @dev What a buyer signs instead of calling `accept`.
    function acceptance(uint256 tradeId) internal view returns (bytes32) {
        bytes32 typehash = keccak256("Acceptance(uint256 tradeId,bytes32 delivery)");
        return typed("ModelSeal", address(market), keccak256(abi.encode(typehash, tradeId, delivery)));
    }

    /// @dev What a seller signs to give a part of the price back.
    function agreedRefund(uint256 tradeId, uint96 amount) internal view returns (bytes32) {
        bytes32 typehash = keccak256("Refund(uint256 tradeId,bytes32 delivery,uint256 amount)");
        return typed("ModelSeal", address(market), keccak256(abi.encode(typehash, tradeId, delivery, amount)));
    }

    /// @dev EIP-712; all our domains have version 1.
    function typed(string memory name, address verifying, bytes32 structHash) internal view returns (bytes32) {
        bytes32 typehash =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 domain =
            keccak256(abi.encode(typehash, keccak256(bytes(name)), keccak256("1"), block.chainid, verifying));
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function slice(bytes memory data, uint256 start, uint256 end) private pure returns (bytes memory part) {
        part = new bytes(end - start);
        for (uint256 i = start; i < end; ++i) {
            part[i - start] = data[i];
        }
    }
}
