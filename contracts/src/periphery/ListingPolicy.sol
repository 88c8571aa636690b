// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IListingPolicy} from "../interfaces/IListingPolicy.sol";
import {IModelMarket} from "../interfaces/IModelMarket.sol";
import {Listing, State, Trade} from "../types/Types.sol";

/// @title Admitted buyers, offers to one buyer, and prices for owners of an earlier model
/// @notice One contract for all listings, of all markets, that name it as their policy. Whatever is said about a listing names
/// its `offer`, keccak256(abi.encode(seller, terms)): so rules can be set before it is listed, and hold after a reorganisation
/// of the chain that gave its number away.
///
/// What a buyer shows is one byte that says what it is, and abi.encode of its fields:
///
///     1  member     bytes32[] path                                                admit
///     2  admission  uint256 expiry, uint256 nonce, bytes signature                admit
///     3  offer      uint256 price, uint256 expiry, uint256 nonce, bytes signature admit, priceFor
///     4  upgrade    uint256 tradeId                                               priceFor
///
/// Who shows nothing is admitted where nobody in particular is, and pays the listing's price: a buyer that was admitted is
/// never refused, whatever its seller says later.
///
/// @dev Signatures are of typed data (EIP-712, domain "ModelSeal policy", version "1", chain, this contract), by an account or
/// a contract (ERC-1271). The market calls statically, so nothing is used up: an offer holds for its buyer until it expires or
/// is cancelled. Whoever calls is the market, and hears about its own listings alone.
contract ListingPolicy is IListingPolicy, EIP712 {
    /// @dev Who may test a listing, and what owners of the one that it supersedes pay less.
    struct Rules {
        /// Root of the tree of admitted buyers, zero for none. A leaf is keccak256(bytes.concat(keccak256(abi.encode(buyer)))),
        /// pairs are sorted: OpenZeppelin's standard tree.
        bytes32 admittedRoot;
        /// Who signs admissions, zero for nobody.
        address admitter;
        /// What the price is lowered by, to zero at the least.
        uint96 upgradeDiscount;
    }

    event RulesSet(address indexed market, address indexed seller, bytes32 indexed offer, Rules rules);
    event Cancelled(address indexed account, uint256 nonce);

    /// @notice The signature is not the account's, or one of something else.
    error NotSignedBy(address account);
    /// @notice Admissions and offers hold before their expiry.
    error SignatureExpired(uint256 expiry);
    /// @notice The account has cancelled what it signed with this nonce.
    error SignatureCancelled(address account, uint256 nonce);
    /// @notice The trade is no settled one of the buyer's, of the listing that this one supersedes.
    error NotAnOwner(address buyer, uint256 tradeId);
    /// @notice What the buyer shows says nothing here.
    error UnexpectedEvidence(bytes1 kind);

    bytes1 private constant MEMBER = 0x01;
    bytes1 private constant ADMISSION = 0x02;
    bytes1 private constant OFFER = 0x03;
    bytes1 private constant UPGRADE = 0x04;
    bytes32 private constant ADMISSION_TYPEHASH =
        keccak256("Admission(address market,bytes32 listing,address buyer,uint256 expiry,uint256 nonce)");
    bytes32 private constant OFFER_TYPEHASH =
        keccak256("Offer(address market,bytes32 listing,address buyer,uint256 price,uint256 expiry,uint256 nonce)");

    mapping(address market => mapping(address seller => mapping(bytes32 offer => Rules))) private _rules;

    /// @notice Whether an account has cancelled what it signed, or will sign, with a nonce.
    mapping(address account => mapping(uint256 nonce => bool)) public isCancelled;

    constructor() EIP712("ModelSeal policy", "1") {}

    /// @notice What an account has said about a listing; it counts if the account is the listing's seller.
    function rulesOf(address market, address seller, bytes32 offer) external view returns (Rules memory) {
        return _rules[market][seller][offer];
    }

    /// @notice Set the rules of a listing of yours. Sessions that are open go on.
    /// @param offer keccak256(abi.encode(seller, terms)).
    function setRules(address market, bytes32 offer, Rules calldata rules) external {
        _rules[market][msg.sender][offer] = rules;

        emit RulesSet(market, msg.sender, offer, rules);
    }

    /// @notice Take back all offers and admissions of yours that have the nonce. A buyer may be faster.
    function cancel(uint256 nonce) external {
        isCancelled[msg.sender][nonce] = true;

        emit Cancelled(msg.sender, nonce);
    }

    /// @inheritdoc IListingPolicy
    function admit(uint256 listingId, address buyer, uint32, bytes calldata data) external view returns (bool) {
        Listing memory listing = IModelMarket(msg.sender).listing(listingId);
        if (data.length > 0 && data[0] == OFFER) {
            _requireOffer(listing, buyer, data[1:]);
            return true;
        }
        Rules storage rules = _rules[msg.sender][listing.seller][listing.offer];
        if (data.length == 0) return rules.admittedRoot == 0 && rules.admitter == address(0);
        if (data[0] == MEMBER) return _isMember(rules.admittedRoot, buyer, data[1:]);
        require(data[0] == ADMISSION, UnexpectedEvidence(data[0]));
        _requireAdmission(rules.admitter, listing.offer, buyer, data[1:]);
        return true;
    }

    /// @inheritdoc IListingPolicy
    function priceFor(uint256 listingId, address buyer, uint256, bytes calldata data)
        external
        view
        returns (uint256 price)
    {
        Listing memory listing = IModelMarket(msg.sender).listing(listingId);
        if (data.length == 0) return listing.terms.price;
        if (data[0] == OFFER) return _requireOffer(listing, buyer, data[1:]);
        require(data[0] == UPGRADE, UnexpectedEvidence(data[0]));
        _requireOwner(listing.terms.supersedes, buyer, abi.decode(data[1:], (uint256)));
        uint256 discount = _rules[msg.sender][listing.seller][listing.offer].upgradeDiscount;
        return listing.terms.price - Math.min(discount, listing.terms.price);
    }

    /// @dev A root of zero has no members: no path leads there.
    function _isMember(bytes32 root, address buyer, bytes calldata fields) private pure returns (bool) {
        bytes32[] memory path = abi.decode(fields, (bytes32[]));
        return MerkleProof.verify(path, root, keccak256(bytes.concat(keccak256(abi.encode(buyer)))));
    }

    function _requireAdmission(address admitter, bytes32 offer, address buyer, bytes calldata fields) private view {
        (uint256 expiry, uint256 nonce, bytes memory signature) = abi.decode(fields, (uint256, uint256, bytes));
        bytes memory admission = abi.encode(ADMISSION_TYPEHASH, msg.sender, offer, buyer, expiry, nonce);
        _requireSigned(admitter, keccak256(admission), expiry, nonce, signature);
    }

    function _requireOffer(Listing memory listing, address buyer, bytes calldata fields)
        private
        view
        returns (uint256 price)
    {
        uint256 expiry;
        uint256 nonce;
        bytes memory signature;
        (price, expiry, nonce, signature) = abi.decode(fields, (uint256, uint256, uint256, bytes));
        bytes memory offer = abi.encode(OFFER_TYPEHASH, msg.sender, listing.offer, buyer, price, expiry, nonce);
        _requireSigned(listing.seller, keccak256(offer), expiry, nonce, signature);
    }

    function _requireSigned(address account, bytes32 structHash, uint256 expiry, uint256 nonce, bytes memory signature)
        private
        view
    {
        require(block.timestamp < expiry, SignatureExpired(expiry));
        require(!isCancelled[account][nonce], SignatureCancelled(account, nonce));
        bytes32 digest = _hashTypedDataV4(structHash);
        require(SignatureChecker.isValidSignatureNow(account, digest, signature), NotSignedBy(account));
    }

    /// @dev No trade is of listing zero, which a listing that supersedes none names.
    function _requireOwner(uint256 superseded, address buyer, uint256 tradeId) private view {
        Trade memory trade = IModelMarket(msg.sender).trade(tradeId);
        bool owns = trade.state == State.Settled && trade.buyer == buyer && trade.listingId == superseded;
        require(owns, NotAnOwner(buyer, tradeId));
    }
}
