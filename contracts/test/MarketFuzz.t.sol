// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {AuditProof, ChunkEvidence, RangeEvidence, State, SumStepEvidence, Terms} from "../src/types/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title Single trades with amounts, endings and evidence of any kind
contract MarketFuzz is Fixture {
    uint256 private constant SELLERS_KEY = 0x5E11E4;
    uint256 private constant BUYERS_KEY = 0xB0B;
    uint256 private constant CHUNKS = 3;
    address private seller = VM.addr(SELLERS_KEY);
    address private buyer = VM.addr(BUYERS_KEY);
    /// @dev The delivered chunks: all parameters and sums are zero, which is a model, with salts of their own.
    bytes32[32][CHUNKS] private chunks;

    function setUp() external {
        deployMarket();
        audit.statement.layout.columnLengths[0] = 720;
        VM.deal(seller, type(uint128).max);
        VM.deal(buyer, type(uint128).max);
    }

    // -------------------------------------------------------------------------------------------------- the money

    /// @notice However a trade ends, what was locked goes to the two sides and the protocol, and all of it can be withdrawn.
    function testFuzz_everyEndingPaysOutWhatWasLocked(
        uint96 price,
        uint96 bond,
        uint64 fee,
        uint96 proofFee,
        uint8 ending,
        uint96 amount
    ) external {
        Terms memory listed = terms(price, bond, fee);
        listed.proofFee = proofFee;
        State end = State(uint8(State.Testing) + ending % 6);
        uint256 locked = bring(listed, end);
        if (end == State.Revealed) finish(ending / 6, price, amount);
        else expire();
        uint256 toBuyer = market.balanceOf(buyer, address(0));
        uint256 toSeller = market.balanceOf(seller, address(0));
        uint256 toProtocol = market.balanceOf(PROTOCOL_FEE_RECIPIENT, address(0));
        require(toBuyer + toSeller + toProtocol == locked, "something was made, or lost");
        require(toProtocol <= uint256(price) * PROTOCOL_FEE_BPS / 10_000, "the protocol took too much");
        require(market.trade(1).state == State.Settled || toProtocol == 0, "the protocol took a share of a refund");
        withdraw(buyer, toBuyer);
        withdraw(seller, toSeller);
        withdraw(PROTOCOL_FEE_RECIPIENT, toProtocol);
        require(address(market).balance == 0, "the market kept something");
    }

    function finish(uint256 choice, uint96 price, uint96 amount) private {
        if (choice % 3 == 0) {
            VM.warp(market.trade(1).deadline);
            market.settle(1);
        } else if (choice % 3 == 1) {
            VM.prank(buyer);
            market.confirm(1, delivery);
        } else {
            uint96 back = uint96(amount % (uint256(price) + 1));
            bytes memory signature = sign(SELLERS_KEY, agreedRefund(1, back));
            VM.prank(buyer);
            market.refund(1, back, signature);
        }
    }

    function expire() private {
        VM.warp(market.trade(1).deadline);
        market.expire(1);
    }

    function withdraw(address account, uint256 owed) private {
        uint256 before = account.balance;
        VM.prank(account);
        try market.withdraw(address(0)) {} catch {}
        require(account.balance == before + owed, "a balance could not be withdrawn");
    }

    // ----------------------------------------------------------------------------------------------- the evidence

    /// @notice No evidence convicts a seller whose listing and delivery are right: parts are exchanged for those of other
    /// chunks, changed, left out, added.
    function testFuzz_noEvidenceConvictsAnHonestSeller(
        uint256 kind,
        uint256 one,
        uint256 other,
        uint256 fault,
        bytes32 noise
    ) external {
        deliver();
        bring(honestTerms(), State.Revealed);
        (one, other) = (one % CHUNKS, other % CHUNKS);
        VM.prank(buyer);
        (bool convicted,) = address(market).call(disputeCall(kind % 4, one, other, fault, noise));
        require(!convicted, "an honest seller was convicted");
        require(market.trade(1).state == State.Revealed, "a refused dispute changed something");
    }

    /// @notice The evidence that is exchanged and changed above is authentic as it stands: only the last check refuses it.
    function test_authenticEvidenceOfAnHonestDeliveryIsUnfounded() external {
        deliver();
        bring(honestTerms(), State.Revealed);
        for (uint256 kind = 0; kind < 4; ++kind) {
            for (uint256 index = 0; index < CHUNKS; ++index) {
                VM.prank(buyer);
                (bool convicted, bytes memory reason) = address(market).call(disputeCall(kind, index, index, 0, 0));
                require(!convicted && bytes4(reason) == IModelMarket.DisputeUnfounded.selector, "not authentic");
            }
        }
    }

    function disputeCall(uint256 kind, uint256 one, uint256 other, uint256 fault, bytes32 noise)
        private
        view
        returns (bytes memory)
    {
        if (kind == 0) {
            return abi.encodeCall(market.disputeWeightsChunk, (1, chunkEvidence(one, other, fault, noise, true)));
        }
        if (kind == 1) {
            return abi.encodeCall(market.disputeSumChunk, (1, chunkEvidence(one, other, fault, noise, false)));
        }
        if (kind == 2) return abi.encodeCall(market.disputeSumStep, (1, stepEvidence(one, other, fault, noise)));
        return abi.encodeCall(market.disputeRange, (1, rangeEvidence(one, other, fault, noise)));
    }

    function chunkEvidence(uint256 one, uint256 other, uint256 fault, bytes32 noise, bool weights)
        private
        view
        returns (ChunkEvidence memory found)
    {
        bytes32[4] memory leaves = weights ? weightsLeaves() : sumsLeaves();
        found.ciphertextRoot = ciphertextRoot;
        found.key = fault % 9 == 1 ? noise : KEY;
        found.index = fault % 9 == 2 ? other : fault % 9 == 3 ? uint256(noise) : one;
        found.ciphertext = chunks[fault % 9 == 4 ? other : one];
        if (fault % 9 == 5) found.ciphertext[uint256(noise) % 32] ^= noise;
        found.ciphertextPath = path(ciphertextLeaves(), fault % 9 == 4 ? other : one);
        found.leaf = fault % 9 == 6 ? noise : leaves[fault % 9 == 7 ? other : one];
        found.path = fault % 9 == 8 ? new bytes32[](uint256(noise) % 5) : path(leaves, fault % 9 == 7 ? other : one);
        found.statement = audit.statement;
    }

    function stepEvidence(uint256 one, uint256 other, uint256 fault, bytes32 noise)
        private
        view
        returns (SumStepEvidence memory found)
    {
        found.index = fault % 8 == 1 ? other : one;
        found.sum = fault % 8 == 2 ? uint256(noise) : 0;
        found.salt = fault % 8 == 3 ? noise : salt(fault % 8 == 4 ? other : one);
        found.sumPath = path(sumsLeaves(), fault % 8 == 4 ? other : one);
        if (fault % 8 == 5) found.parameters[uint256(noise) % 30] = noise;
        found.weightsPath = fault % 8 == 6 ? new bytes32[](uint256(noise) % 5) : path(weightsLeaves(), one);
        if (one > 0) {
            found.previousSum = fault % 8 == 7 ? uint256(noise) : 0;
            found.previousSalt = salt(one - 1);
            found.previousPath = path(sumsLeaves(), one - 1);
        }
        found.statement = audit.statement;
    }

    function rangeEvidence(uint256 one, uint256 other, uint256 fault, bytes32 noise)
        private
        view
        returns (RangeEvidence memory found)
    {
        found.index = fault % 5 == 1 ? other : one;
        found.position = fault / 5 % 240;
        found.salt = fault % 5 == 2 ? noise : salt(one);
        if (fault % 5 == 3) found.parameters[found.position / 8] = noise;
        found.weightsPath = path(weightsLeaves(), fault % 5 == 4 ? other : one);
        found.statement = audit.statement;
    }

    // --------------------------------------------------------------------------------------------------- the trade

    /// @dev Takes a trade there, signed acceptance and all; returns what was paid in.
    function bring(Terms memory listed, State to) private returns (uint256 paid) {
        VM.prank(seller);
        market.list(listed);
        paid = market.sessionFee(1, buyer, 4);
        bytes32 offer = market.listing(1).offer;
        VM.prank(buyer);
        market.openSession{value: paid}(1, offer, 4, REQUEST, "");
        if (to == State.Testing) return paid;
        bytes32 digest = session(1);
        VM.prank(seller);
        market.respond(1, digest, RESPONSE);
        if (to == State.Answered) return paid;
        digest = answer(1);
        paid += listed.price;
        VM.prank(buyer);
        market.purchase{value: listed.price}(1, digest, inputCommitment(), OUTPUTS, listed.price, 1, "");
        if (to == State.Purchased) return paid;
        paid += listed.bond;
        AuditProof memory proven = auditOf(1);
        VM.prank(seller);
        market.prove{value: listed.bond}(1, proven, ciphertextRoot, keccak256(abi.encode(KEY)));
        if (to == State.Proven) return paid;
        bytes memory signature = sign(BUYERS_KEY, acceptance(1));
        if (to == State.Accepted) {
            VM.prank(buyer);
            market.accept(1, delivery);
        } else {
            VM.prank(seller);
            market.reveal(1, ciphertextRoot, KEY, signature);
        }
    }

    /// @dev Three chunks of zeros, encrypted, under the root that the seller will prove.
    function deliver() private {
        for (uint256 j = 0; j < CHUNKS; ++j) {
            for (uint256 i = 0; i < 32; ++i) {
                bytes32 plain = i == 1 ? salt(j) : bytes32(0);
                chunks[j][i] = plain ^ keccak256(abi.encode(KEY, j, i));
            }
        }
        ciphertextRoot = root(ciphertextLeaves());
        delivery = keccak256(abi.encode(ciphertextRoot, keccak256(abi.encode(KEY))));
    }

    function honestTerms() private view returns (Terms memory listed) {
        listed = terms(1 ether, 0.2 ether, 0.0001 ether);
        listed.weightsRoot = root(weightsLeaves());
        listed.sumsRoot = root(sumsLeaves());
    }

    function salt(uint256 index) private pure returns (bytes32) {
        return keccak256(abi.encode("salt", index));
    }

    function weightsLeaves() private pure returns (bytes32[4] memory leaves) {
        bytes32[30] memory zeros;
        for (uint256 j = 0; j < CHUNKS; ++j) {
            leaves[j] = keccak256(abi.encode(salt(j), zeros));
        }
    }

    function sumsLeaves() private pure returns (bytes32[4] memory leaves) {
        for (uint256 j = 0; j < CHUNKS; ++j) {
            leaves[j] = keccak256(abi.encode(j, uint256(0), keccak256(abi.encode(salt(j)))));
        }
    }

    function ciphertextLeaves() private view returns (bytes32[4] memory leaves) {
        for (uint256 j = 0; j < CHUNKS; ++j) {
            leaves[j] = keccak256(abi.encode(chunks[j]));
        }
    }

    function root(bytes32[4] memory leaves) private pure returns (bytes32) {
        bytes32 left = keccak256(abi.encode(leaves[0], leaves[1]));
        return keccak256(abi.encode(left, keccak256(abi.encode(leaves[2], leaves[3]))));
    }

    function path(bytes32[4] memory leaves, uint256 index) private pure returns (bytes32[] memory siblings) {
        siblings = new bytes32[](2);
        siblings[0] = leaves[index ^ 1];
        uint256 pair = index < 2 ? 2 : 0;
        siblings[1] = keccak256(abi.encode(leaves[pair], leaves[pair + 1]));
    }

    function sign(uint256 key, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }
}
