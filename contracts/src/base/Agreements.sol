// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IModelMarket} from "../interfaces/IModelMarket.sol";

/// @title What the sides of a trade agree on by signature, off the chain
/// @dev Typed data of EIP-712. A signature names chain, market, trade and delivery, and a trade takes one once: so there
/// are no nonces, and it doesn't matter whether there are other forms of a signature.
abstract contract Agreements is IModelMarket, EIP712 {
    bytes32 private constant ACCEPTANCE_TYPEHASH = keccak256("Acceptance(uint256 tradeId,bytes32 delivery)");
    bytes32 private constant REFUND_TYPEHASH = keccak256("Refund(uint256 tradeId,bytes32 delivery,uint256 amount)");

    constructor() EIP712("ModelSeal", "1") {}

    /// @dev The key is public with the call that shows an acceptance, so nothing may make it fail once it is on its way.
    /// Hence plain ECDSA, also for an account that has code by then (EIP-7702): no code is asked.
    function _requireAcceptance(address buyer, uint256 tradeId, bytes32 delivery, bytes calldata signature)
        internal
        view
    {
        bytes32 accepted = _hashTypedDataV4(keccak256(abi.encode(ACCEPTANCE_TYPEHASH, tradeId, delivery)));
        (address signer,,) = ECDSA.tryRecoverCalldata(accepted, signature);
        require(signer == buyer, NotSignedBy(buyer));
    }

    /// @dev Of an account or a contract: nothing is lost if that takes its word back.
    function _requireRefund(address seller, uint256 tradeId, bytes32 delivery, uint256 amount, bytes calldata signature)
        internal
        view
    {
        bytes32 agreed = _hashTypedDataV4(keccak256(abi.encode(REFUND_TYPEHASH, tradeId, delivery, amount)));
        require(SignatureChecker.isValidSignatureNowCalldata(seller, agreed, signature), NotSignedBy(seller));
    }
}
