"""Offers and admissions that a seller signs for one buyer, as files, and the rules of a listing (`ListingPolicy.sol`).

A file is JSON: what was signed, the chain, the account that signed, and the signature. The buyer shows `evidence()` in
the `data` of `openSession` (offer, admission) and of `purchase` (offer), with the offer's price as the price that it
names. What the file says is checked before anything is paid (`check`), and by the contract again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import is_same_address
from eth_utils.hexadecimal import decode_hex, encode_hex
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts import Periphery, bind_periphery, offer_digest
from contracts.policy import Admission, Offer, Rules
from trader.errors import CallerError, OfferError

if TYPE_CHECKING:
    from trader.chain.market import Market
    from trader.chain.receipts import Receipt
    from trader.signer import Signer

MAX_FILE_BYTES = 1 << 16
MAX_SIGNATURE_BYTES = 4096
"""Of a contract's account; those of keys have 65."""


@dataclass(frozen=True)
class SignedOffer:
    """What a seller, or an admitter, gives to a buyer.

    Attributes:
        document: What was signed.
        chain_id: EIP-155 id of the chain on which it holds.
        signer: The account that signed; a contract's account says in the chain whether it has.
        signature: Of the document's typed data.
    """

    document: Offer | Admission
    chain_id: int
    signer: str
    signature: bytes

    @classmethod
    def sign(cls, account: Signer, chain_id: int, document: Offer | Admission) -> Self:
        """Sign a document with an account."""
        signed = account.sign_typed_data(*document.typed_data(chain_id))
        return cls(document, chain_id, str(account.address), bytes(signed.signature))

    @property
    def evidence(self) -> bytes:
        """What the buyer shows to the market."""
        return self.document.evidence(self.signature)

    @property
    def price_wei(self) -> int | None:
        """The offered price in the smallest unit of the listing's currency; None of an admission."""
        return self.document.price if isinstance(self.document, Offer) else None

    def check(self, market: Market, listing_id: int, buyer: str) -> None:
        """Check that the market would take it from the buyer, now; silent on success.

        Not checked where the signer is a contract: its signature. Nor that the nonce will not be cancelled.

        Raises:
            OfferError: It is about something else, has expired or was cancelled, or isn't what the signer signed.
            ChainUnavailableError: The node does not answer.
        """
        listing = market.listing(listing_id)
        document, offered = self.document, offer_digest(listing.seller, listing.terms)
        rules = ListingRules(market)
        entitled = listing.seller if isinstance(document, Offer) else rules.of(listing_id).admitter
        for is_wrong, what in (
            (self.chain_id != market.chain.chain_id, f"it is for the chain {self.chain_id}"),
            (not is_same_address(document.market, market.deployment.market), f"it is for the market {document.market}"),
            (not is_same_address(document.buyer, buyer), f"it is for the buyer {document.buyer}"),
            (document.listing != offered, f"it is for other terms than those of listing {listing_id}"),
            (not is_same_address(self.signer, entitled), f"{self.signer} signed it, not {entitled}"),
            (not self._is_signed(market), "its signature is not of what it says"),
            (market.chain.time().latest >= document.expiry, "it has expired"),
            (rules.is_cancelled(self.signer, document.nonce), "it was cancelled"),
        ):
            if is_wrong:
                raise OfferError(f"the offer can't be used: {what}. Ask the seller for another one.")

    def _is_signed(self, market: Market) -> bool:
        if market.chain.web3.eth.get_code(self.signer):  # type: ignore[arg-type]
            return True
        domain, types, message = self.document.typed_data(self.chain_id)
        try:
            recovered = Account.recover_message(encode_typed_data(domain, types, message), signature=self.signature)
        except Exception:  # eth_keys has errors of several families for signatures of a wrong form
            return False
        return is_same_address(recovered, self.signer)

    def to_bytes(self) -> bytes:
        """Return the file: JSON."""
        document = {
            key: encode_hex(value) if isinstance(value, bytes) else value for key, value in self._fields.items()
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @property
    def _fields(self) -> dict[str, Any]:
        kind = "offer" if isinstance(self.document, Offer) else "admission"
        signed = {"chain_id": self.chain_id, "signer": self.signer, "signature": self.signature}
        return {"kind": kind, **asdict(self.document), **signed}

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a file.

        Raises:
            OfferError: It is no offer or admission.
        """
        try:
            if len(data) > MAX_FILE_BYTES:
                raise ValueError(f"it has {len(data)} bytes")
            file = _File.model_validate_json(data)
            return cls(file.document(), file.chain_id, file.signer, decode_hex(file.signature))
        except (ValidationError, ValueError) as error:
            raise OfferError(f"this is no offer: {_first_fault(error)}. Ask the seller for it again.") from error


_Account = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
_Word = Annotated[int, Field(ge=0, lt=1 << 256)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Literal["offer", "admission"]
    market: _Account
    listing: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
    buyer: _Account
    price: _Word | None = None
    expiry: _Word
    nonce: _Word
    chain_id: _Word
    signer: _Account
    signature: Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})+$", max_length=2 + 2 * MAX_SIGNATURE_BYTES)]

    def document(self) -> Offer | Admission:
        named = self.market, decode_hex(self.listing), self.buyer
        if self.kind == "admission" and self.price is None:
            return Admission(*named, self.expiry, self.nonce)
        if self.kind == "offer" and self.price is not None:
            return Offer(*named, self.price, self.expiry, self.nonce)
        raise ValueError("offers have a price, admissions have none")


def _first_fault(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


class ListingRules:
    """The rules of listings of one market, and what their sellers have cancelled."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._contract = bind_periphery(market.chain.web3, Periphery.LISTING_POLICY)

    @property
    def address(self) -> str:
        """The policy that a listing's terms name for these rules to hold."""
        return str(self._contract.address)

    def of(self, listing_id: int) -> Rules:
        """Return what the seller of a listing says about it; nothing where nobody deployed the policy."""
        listing = self._market.listing(listing_id)
        offer = offer_digest(listing.seller, listing.terms)
        arguments = (self._market.deployment.market, listing.seller, offer)
        return Rules.from_abi(self._read("rulesOf", *arguments)) if self._is_deployed else Rules()

    def set(self, account: Signer, offer: bytes, rules: Rules) -> Receipt:
        """Set the rules of a listing of the account's, which may be listed later.

        Args:
            account: The listing's seller.
            offer: Its offer digest (`contracts.offer_digest`).
            rules: The rules.
        """
        self._market.chain.deploy_periphery(account, Periphery.LISTING_POLICY)
        function = self._contract.functions.setRules(self._market.deployment.market, offer, rules.as_abi())
        return self._market.chain.send(function, account)

    def is_cancelled(self, account: str, nonce: int) -> bool:
        """Whether an account has cancelled what it signed with a nonce."""
        return self._is_deployed and bool(self._read("isCancelled", account, nonce))

    def cancel(self, account: Signer, nonce: int) -> Receipt:
        """Take back all that the account signed, or will sign, with the nonce; a buyer may be faster.

        Raises:
            CallerError: The nonce is out of range.
        """
        if not 0 <= nonce < 1 << 256:
            raise CallerError(f"{nonce} is no nonce: give the one that stands in the offer's file")
        self._market.chain.deploy_periphery(account, Periphery.LISTING_POLICY)
        return self._market.chain.send(self._contract.functions.cancel(nonce), account)

    @property
    def _is_deployed(self) -> bool:
        with self._market.chain.reachable():
            return bool(self._market.chain.web3.eth.get_code(self._contract.address))

    def _read(self, name: str, *arguments: Any) -> Any:
        return self._market.chain.call(self._contract.functions[name](*arguments))
