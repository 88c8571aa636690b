"""Labels and signatures: which message something is, and whose.

A message is named by its kind, the chain, the market, the trade and an *anchor*: 32 bytes that the chain holds, or will
hold, for it. So both parties know its name, nobody else does before the sender uses it, and no message of another
trade, market or chain has the same. After its bytes comes a trailer of `TRAILER_BYTES`::

    "MSSIGN01" ‖ keccak256 of the message (32) ‖ signature of label and digest by the sender's account (65)

The signature is EIP-712 typed data under the market's domain (`eth_account`). Anyone may write into a mailbox; what a
party reads carries the signature of the account that the chain knows as its counterparty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature

from trader.exchange.errors import MessageError, SkippedMessageError

if TYPE_CHECKING:
    from eth_account.messages import SignableMessage

    from trader.signer import Signer
_MAGIC = b"MSSIGN01"
_DIGEST_BYTES, _SIGNATURE_BYTES = 32, 65
TRAILER_BYTES = len(_MAGIC) + _DIGEST_BYTES + _SIGNATURE_BYTES
_TYPES = {
    "Message": [
        {"name": "kind", "type": "string"},
        {"name": "trade", "type": "uint256"},
        {"name": "anchor", "type": "bytes32"},
        {"name": "digest", "type": "bytes32"},
    ]
}


class Kind(Enum):
    """The messages of a trade and of a listing."""

    PACKAGE = "package"
    CLAIMS = "claims"
    CERTIFICATE = "certificate"
    REQUEST = "request"
    RESPONSE = "response"
    AUDIT_INPUTS = "audit-inputs"
    MODEL = "model"
    ACCEPTANCE = "acceptance"


PUBLIC_KINDS = frozenset({Kind.PACKAGE, Kind.CLAIMS, Kind.CERTIFICATE})
"""A listing's messages, which anybody may read."""
MAX_NAME_CHARACTERS = 210
_MAX_NUMBER = 2**63 - 1  # what a column of a database holds; markets count trades from 1
# One name for one label: numbers have no leading zeros.
_NAME = re.compile(
    rf"({'|'.join(kind.value for kind in Kind)})-(0|[1-9][0-9]*)-([0-9a-f]{{40}})-(0|[1-9][0-9]*)-([0-9a-f]{{64}})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Label:
    """Which message.

    Attributes:
        kind: What it is.
        chain_id: Of the market's chain.
        market: The market's address, 0x and 40 hex digits, in any case.
        trade_id: The trade; 0 for a listing's messages and the request, which exist before their trade has a number.
        anchor: 32 bytes that the chain holds for it: of a package and the claims about it the manifest hash, of a
            request and a response their digests, of audit inputs the input commitment, of a model the root of its
            ciphertext, of an acceptance the digest of the delivery. Of a certificate its keccak256, which the claims
            hold.
    """

    kind: Kind
    chain_id: int
    market: str
    trade_id: int
    anchor: bytes

    def __post_init__(self) -> None:
        """Check the lengths, so that a name is one file's, in one folder."""
        if len(self.anchor) != 32 or len(bytes.fromhex(self.market.removeprefix("0x"))) != 20:
            raise ValueError(f"a label has an address and an anchor of 32 bytes: {self}")

    @property
    def name(self) -> str:
        """The message's file name, at most `MAX_NAME_CHARACTERS` of ASCII."""
        market = self.market.lower().removeprefix("0x")
        return f"{self.kind.value}-{self.chain_id}-{market}-{self.trade_id}-{self.anchor.hex()}"

    @classmethod
    def parse(cls, name: str) -> Label:
        """Return the label of this name.

        Raises:
            MessageError: No label has it.
        """
        match = _NAME.fullmatch(name)
        if match is None or len(name) > MAX_NAME_CHARACTERS:
            raise MessageError("this is no message's name: <kind>-<chain>-<market>-<trade>-<anchor>")
        kind, chain_id, market, trade_id, anchor = match.groups()
        if max(int(chain_id), int(trade_id)) > _MAX_NUMBER:
            raise MessageError("no chain and no trade has such a number as this message's name")
        return cls(Kind(kind), int(chain_id), f"0x{market}", int(trade_id), bytes.fromhex(anchor))

    def __str__(self) -> str:
        """Return the message, to people."""
        words = self.kind.value.replace("-", " ")
        return f"{words} of trade {self.trade_id}" if self.trade_id else f"{words} 0x{self.anchor.hex()[:8]}…"


def sign_trailer(label: Label, digest: bytes, account: Signer) -> bytes:
    """Return the trailer of a message with this keccak256; the same for the same message (RFC 6979)."""
    return _MAGIC + digest + bytes(account.sign_typed_data(*_typed_data(label, digest)).signature)


def read_trailer(label: Label, trailer: bytes, sender: str) -> bytes:
    """Return the digest that a trailer says the sender has signed for this label.

    Not checked: that the message has this digest.

    Raises:
        SkippedMessageError: It is no trailer, or signed by another account or for another label.
    """
    digest, signature = trailer[len(_MAGIC) : -_SIGNATURE_BYTES], trailer[-_SIGNATURE_BYTES:]
    if len(trailer) != TRAILER_BYTES or not trailer.startswith(_MAGIC):
        raise SkippedMessageError(f"what lies there for the {label} is cut off, or signed by nobody")
    try:
        signer = str(Account.recover_message(_signable(label, digest), signature=signature))
    except (ValueError, BadSignature) as error:
        raise SkippedMessageError(f"what lies there for the {label} has no valid signature") from error
    if signer.lower() != sender.lower():
        # Another label's signature recovers to some account as well, so its address would mislead.
        raise SkippedMessageError(f"what lies there for the {label} is not signed by {sender} for it")
    return digest


def _signable(label: Label, digest: bytes) -> SignableMessage:
    return encode_typed_data(*_typed_data(label, digest))


def _typed_data(label: Label, digest: bytes) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return domain, types and message."""
    domain = {"name": "ModelSeal", "version": "1", "chainId": label.chain_id, "verifyingContract": label.market}
    message: dict[str, Any] = {
        "kind": label.kind.value,
        "trade": label.trade_id,
        "anchor": label.anchor,
        "digest": digest,
    }
    return domain, _TYPES, message
