"""What a seller gives to a buyer as a file: a signed offer or admission, or its place in a list of admitted buyers.

`read_document` reads any of them. A place in a list needs no signature: the list's root is on the chain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, TypeAlias

from eth_utils.address import is_same_address
from eth_utils.hexadecimal import decode_hex, encode_hex
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts import offer_digest
from contracts.policy import is_admitted, member_evidence
from trader.chain.offers import MAX_FILE_BYTES, ListingRules, SignedOffer
from trader.errors import OfferError

if TYPE_CHECKING:
    from trader.chain.market import Market

MAX_PATH: Final = 64
"""Of a list's tree: nobody lists 2^64 buyers."""


@dataclass(frozen=True)
class Membership:
    """The place of a buyer in the list of those that a listing admits.

    Attributes:
        market: The market's address.
        listing: The listing's offer digest, 32 bytes.
        buyer: The account that is admitted.
        chain_id: EIP-155 id of the chain.
        path: Siblings from the buyer's leaf up to the root, 32 bytes each.
    """

    market: str
    listing: bytes
    buyer: str
    chain_id: int
    path: tuple[bytes, ...]

    price_wei = None
    """It says nothing about the price."""

    @property
    def evidence(self) -> bytes:
        """What the buyer shows to the market."""
        return member_evidence(self.path)

    def check(self, market: Market, listing_id: int, buyer: str) -> None:
        """Check that the market would take it from the buyer, now; silent on success.

        Raises:
            OfferError: It is about something else, or the list is another one by now.
            ChainUnavailableError: The node does not answer.
        """
        listing = market.listing(listing_id)
        root = ListingRules(market).of(listing_id).admitted_root
        for is_wrong, what in (
            (self.chain_id != market.chain.chain_id, f"it is for the chain {self.chain_id}"),
            (not is_same_address(self.market, market.deployment.market), f"it is for the market {self.market}"),
            (not is_same_address(self.buyer, buyer), f"it is for the buyer {self.buyer}"),
            (self.listing != offer_digest(listing.seller, listing.terms), f"it is not for listing {listing_id}"),
            (not is_admitted(root, buyer, self.path), "the list of admitted buyers is another one by now"),
        ):
            if is_wrong:
                raise OfferError(f"the admission can't be used: {what}. Ask the seller for another one.")

    def to_bytes(self) -> bytes:
        """Return the file: JSON."""
        path = [encode_hex(sibling) for sibling in self.path]
        named = {"market": self.market, "listing": encode_hex(self.listing), "buyer": self.buyer}
        return (
            json.dumps({"kind": "member", **named, "chain_id": self.chain_id, "path": path}, indent=1).encode() + b"\n"
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a file.

        Raises:
            OfferError: It is no place in a list.
        """
        try:
            file = _File.model_validate_json(data)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise OfferError(f"this is no admission: {where}: {fault['msg']}. Ask the seller for it again.") from error
        path = tuple(map(decode_hex, file.path))
        return cls(file.market, decode_hex(file.listing), file.buyer, file.chain_id, path)


Document: TypeAlias = SignedOffer | Membership
"""What a seller may give to a buyer."""
_Account = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
_Word = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Literal["member"]
    market: _Account
    listing: _Word
    buyer: _Account
    chain_id: Annotated[int, Field(ge=0, lt=1 << 256)]
    path: Annotated[list[_Word], Field(max_length=MAX_PATH)]


def read_document(data: bytes) -> Document:
    """Read a file that a seller gave.

    Raises:
        OfferError: It is none.
    """
    if len(data) > MAX_FILE_BYTES:
        raise OfferError(f"this is no offer: it has {len(data)} bytes. Ask the seller for it again.")
    try:
        kind = json.loads(data).get("kind")
    except (AttributeError, ValueError, RecursionError):
        kind = None  # whatever it is, it is no place in a list
    return Membership.from_bytes(data) if kind == "member" else SignedOffer.from_bytes(data)
