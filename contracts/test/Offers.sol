// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ListingPolicy} from "../src/periphery/ListingPolicy.sol";
import {Listing, State, Trade} from "../src/types/Types.sol";
import {Fixture} from "./Fixture.sol";
import {ReenteringReceiver} from "./ReenteringReceiver.sol";
import {VM} from "./Vm.sol";

/// @title What buyers show to the published policy, good and bad, and whether it is good by a reckoning of its own
/// @dev The seller may be a contract, which agrees (ERC-1271), or have a key, which signs.
abstract contract Offers is Fixture {
    /// @dev What a buyer shows, the price that it gives, and whether it may be taken: if it is the buyer of a trade, whether
    /// that has settled is asked later, since a token may settle it on the way.
    struct Shown {
        bytes data;
        uint256 price;
        bool good;
        uint256 ownedBy;
    }

    /// @dev The parts of an offer or admission in which it may be another one than it should be.
    struct Signed {
        bytes32 typehash;
        bytes32 listing;
        address signer;
        address buyer;
        uint256 price;
        uint256 expiry;
        uint256 nonce;
    }

    uint256 internal constant OWNERS_KEY = 0xA11CE;
    bytes32 private constant ADMISSION =
        keccak256("Admission(address market,bytes32 listing,address buyer,uint256 expiry,uint256 nonce)");
    bytes32 private constant OFFER =
        keccak256("Offer(address market,bytes32 listing,address buyer,uint256 price,uint256 expiry,uint256 nonce)");

    ListingPolicy public rules;
    mapping(address seller => mapping(bytes32 offer => ListingPolicy.Rules)) private said;
    mapping(address account => mapping(uint256 nonce => bool)) private takenBack;

    // ------------------------------------------------------------------------------------------------------ sellers

    function say(Listing memory listing, uint256 seed, address member) internal {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(member))));
        ListingPolicy.Rules memory next = ListingPolicy.Rules({
            admittedRoot: seed % 3 == 1 ? leaf : bytes32(0),
            admitter: seed % 5 == 1 ? VM.addr(OWNERS_KEY) : address(0),
            upgradeDiscount: uint96((seed >> 8) % 2e18)
        });
        said[listing.seller][listing.offer] = next;
        VM.prank(listing.seller);
        rules.setRules(address(market), listing.offer, next);
    }

    function takeBack(address account, uint256 nonce) internal {
        takenBack[account][nonce] = true;
        VM.prank(account);
        rules.cancel(nonce);
    }

    // ------------------------------------------------------------------------------------------------------- buyers

    function showToOpen(uint256 seed, Listing memory listing, address buyer, address other)
        internal
        returns (Shown memory shown)
    {
        ListingPolicy.Rules memory now_ = said[listing.seller][listing.offer];
        if (seed % 4 == 0) {
            shown.good = now_.admittedRoot == 0 && now_.admitter == address(0);
        } else if (seed % 4 == 1) {
            (shown.data, shown.good) = sign(offered(seed >> 8, listing, buyer, other), 3, listing, buyer);
        } else if (seed % 4 == 2) {
            Signed memory admission = offered(seed >> 8, listing, buyer, other);
            (admission.typehash, admission.signer) = (ADMISSION, VM.addr(OWNERS_KEY));
            (shown.data, shown.good) = sign(admission, 2, listing, buyer);
            shown.good = shown.good && now_.admitter == admission.signer;
        } else {
            shown.data = abi.encodePacked(bytes1(0x01), abi.encode(new bytes32[](0)));
            shown.good = now_.admittedRoot == keccak256(bytes.concat(keccak256(abi.encode(buyer))));
        }
    }

    function showToBuy(uint256 seed, Listing memory listing, address buyer, address other, uint256 tradeId)
        internal
        returns (Shown memory shown)
    {
        (shown.price, shown.good) = (listing.terms.price, true);
        if (seed % 4 == 1) {
            Signed memory offer = offered(seed >> 8, listing, buyer, other);
            (shown.data, shown.good) = sign(offer, 3, listing, buyer);
            shown.price = offer.price;
        } else if (seed % 4 > 1) {
            uint256 discount = said[listing.seller][listing.offer].upgradeDiscount;
            shown.price = discount < shown.price ? shown.price - discount : 0;
            shown.data = abi.encodePacked(bytes1(0x04), abi.encode(tradeId));
            shown.ownedBy = tradeId;
        }
        // Another price than the one that follows is never taken.
        if (seed >> 252 == 1) (shown.price, shown.good) = (shown.price + 1, false);
    }

    function isGood(Shown memory shown, Listing memory listing, address buyer) internal view returns (bool) {
        if (shown.ownedBy == 0) return shown.good;
        Trade memory owned = market.trade(shown.ownedBy);
        bool owns = owned.buyer == buyer && owned.state == State.Settled;
        return shown.good && owns && owned.listingId == listing.terms.supersedes;
    }

    // ------------------------------------------------------------------------------------------------------ the means

    /// @dev Mostly as it should be; now and then of another listing, for another buyer, by another signer, too late.
    function offered(uint256 seed, Listing memory listing, address buyer, address other)
        private
        view
        returns (Signed memory offer)
    {
        offer.typehash = OFFER;
        offer.listing = seed % 8 == 1 ? bytes32(seed) : listing.offer;
        offer.buyer = seed % 8 == 2 ? other : buyer;
        offer.signer = seed % 8 == 3 ? other : listing.seller;
        offer.expiry = seed % 8 == 4 ? block.timestamp : block.timestamp + 1;
        offer.price = (seed >> 8) % (uint256(listing.terms.price) + 2);
        offer.nonce = (seed >> 104) % 3;
    }

    /// @dev The evidence, and whether the policy should believe it: it sees price, expiry, nonce and signature, and reads the
    /// rest from the trade. So a contract may have agreed to what is shown before, in other words for this.
    function sign(Signed memory offer, uint8 kind, Listing memory listing, address buyer)
        private
        returns (bytes memory data, bool good)
    {
        address owner = VM.addr(OWNERS_KEY);
        bool priced = offer.typehash == OFFER;
        bytes32 digest = digestOf(offer, offer.listing, offer.buyer);
        bytes memory signature = offer.signer == owner ? signed(digest) : bytes("");
        if (offer.signer != owner) ReenteringReceiver(payable(offer.signer)).agree(digest);
        bytes memory fields = abi.encode(offer.expiry, offer.nonce, signature);
        if (priced) fields = abi.encode(offer.price, offer.expiry, offer.nonce, signature);
        data = abi.encodePacked(bytes1(kind), fields);

        address expected = priced ? listing.seller : owner;
        bytes32 read = digestOf(offer, listing.offer, buyer);
        bool agreed = expected == owner
            ? offer.signer == owner && digest == read
            : ReenteringReceiver(payable(expected)).agreed(read);
        good = agreed && block.timestamp < offer.expiry && !takenBack[expected][offer.nonce];
    }

    function digestOf(Signed memory offer, bytes32 listing, address buyer) private view returns (bytes32) {
        bytes memory named = abi.encode(offer.typehash, address(market), listing, buyer);
        bytes memory price = offer.typehash == OFFER ? abi.encode(offer.price) : bytes("");
        bytes memory until = abi.encode(offer.expiry, offer.nonce);
        return typed("ModelSeal policy", address(rules), keccak256(bytes.concat(named, price, until)));
    }

    function signed(bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(OWNERS_KEY, hash);
        return abi.encodePacked(r, s, v);
    }
}
