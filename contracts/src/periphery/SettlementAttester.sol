// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AttestationRequest, AttestationRequestData, IEAS} from "../interfaces/IEAS.sol";
import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {Listing, State, Trade} from "../types/Types.sol";

/// @title Attestations of settled trades, in the Ethereum Attestation Service
/// @notice Anyone may have a settled trade attested, once; the seller is the recipient. An attestation can't be revoked and
/// doesn't expire, since a settled trade doesn't change either.
/// @dev Warning: whoever reads one must know the market that it names: this contract believes any. It says that the seller was
/// paid for this model, and not that the two sides were not the same person.
contract SettlementAttester {
    string public constant SCHEMA =
        "address market,uint256 tradeId,uint256 listingId,address seller,address buyer,bytes32 manifestHash,bytes32 offer";

    event SettlementAttested(IEAS indexed eas, IModelMarket indexed market, uint256 indexed tradeId, bytes32 uid);

    error NotSettled(uint256 tradeId, State state);
    error AlreadyAttested(uint256 tradeId, bytes32 uid);

    /// @notice The attestation of a trade; zero if there is none.
    mapping(IEAS eas => mapping(IModelMarket market => mapping(uint256 tradeId => bytes32))) public uidOf;

    /// @notice The schema's name in the registry: no resolver, and nothing to revoke.
    function schemaUid() public pure returns (bytes32) {
        return keccak256(abi.encodePacked(SCHEMA, address(0), false));
    }

    /// @notice Bring the schema to the service's registry. Anyone may, once.
    function registerSchema(IEAS eas) external {
        eas.getSchemaRegistry().register(SCHEMA, address(0), false);
    }

    /// @notice Attest a trade that has settled.
    function attest(IEAS eas, IModelMarket market, uint256 tradeId) external returns (bytes32 uid) {
        uid = uidOf[eas][market][tradeId];
        require(uid == 0, AlreadyAttested(tradeId, uid));
        Trade memory trade = market.trade(tradeId);
        require(trade.state == State.Settled, NotSettled(tradeId, trade.state));
        Listing memory listing = market.listing(trade.listingId);

        uid = eas.attest(_request(market, tradeId, trade, listing));
        uidOf[eas][market][tradeId] = uid;

        emit SettlementAttested(eas, market, tradeId, uid);
    }

    function _request(IModelMarket market, uint256 tradeId, Trade memory trade, Listing memory listing)
        private
        pure
        returns (AttestationRequest memory)
    {
        address seller = listing.seller;
        AttestationRequestData memory data = AttestationRequestData({
            recipient: seller,
            expirationTime: 0,
            revocable: false,
            refUID: 0,
            data: abi.encode(
                market, tradeId, trade.listingId, seller, trade.buyer, listing.terms.manifestHash, listing.offer
            ),
            value: 0
        });
        return AttestationRequest(schemaUid(), data);
    }
}
