"""What is looked for among a market's events, for a node's search and for an index alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_utils.hexadecimal import decode_hex, encode_hex

from ledger.catalogue.keys import Key, KeyKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web3.contract import Contract

    from contracts import MarketEvent
    from ledger import MarketId

_NAMES = {
    "trade_id": "tradeId",
    "listing_id": "listingId",
    "buyer": "buyer",
    "seller": "seller",
    "manifest_hash": "manifestHash",
    "request_digest": "requestDigest",
}
"""What the contract calls the fields of a search."""


@dataclass(frozen=True, slots=True)
class EventSearch:
    """Events that meet all of this; None means that anything does.

    Attributes:
        kind: What happened.
        trade_id: To which trade.
        listing_id: Of which listing, where the event itself names it.
        buyer: The account that the event names as buyer.
        seller: As seller.
        manifest_hash: Of a listing.
        request_digest: Of a session.
    """

    kind: MarketEvent | None = None
    trade_id: int | None = None
    listing_id: int | None = None
    buyer: str | None = None
    seller: str | None = None
    manifest_hash: bytes | None = None
    request_digest: bytes | None = None

    def topics(self, contract: Contract) -> list[str | None]:
        """Return what a node searches for: it may find more than is looked for (`meets`)."""
        if self.kind is None:
            return [None] if self.trade_id is None else [None, _topic(self.trade_id)]
        event: Any = contract.events[self.kind.value]()
        indexed = [item["name"] for item in event.abi["inputs"] if item["indexed"]]
        values = self._values()
        return [str(event.topic), *(_topic(values[name]) if name in values else None for name in indexed)]

    def keys(self, market: MarketId) -> list[Key]:
        """Return under which keys of an index the events stand, among others."""
        named = (
            (KeyKind.EVENT, None if self.kind is None else self.kind.value),
            (KeyKind.TRADE, None if self.trade_id is None else f"{market}/{self.trade_id}"),
            (KeyKind.LISTING, None if self.listing_id is None else f"{market}/{self.listing_id}"),
            (KeyKind.BUYER, None if self.buyer is None else self.buyer.lower()),
            (KeyKind.SELLER, None if self.seller is None else self.seller.lower()),
            (KeyKind.DIGEST, None if self.manifest_hash is None else encode_hex(self.manifest_hash)),
            (KeyKind.DIGEST, None if self.request_digest is None else encode_hex(self.request_digest)),
        )
        return [Key(kind, value) for kind, value in named if value is not None]

    def meets(self, name: str, arguments: Mapping[str, Any]) -> bool:
        """Return whether an event is looked for."""
        values = self._values()
        return self.kind in (None, name) and all(arguments.get(one) == value for one, value in values.items())

    def _values(self) -> dict[str, Any]:
        values = {told: getattr(self, name) for name, told in _NAMES.items()}
        return {name: value for name, value in values.items() if value is not None}


def _topic(value: int | str | bytes) -> str:
    if isinstance(value, int):
        return encode_hex(value.to_bytes(32, "big"))
    return encode_hex((value if isinstance(value, bytes) else decode_hex(value)).rjust(32, b"\x00"))
