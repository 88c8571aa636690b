"""Requests over HTTP, signed by an account: who asks, for what, of which service, once and only for a while.

In the header `Authorization`, with names as the type below has them::

    EIP712 account="0x…", nonce="0x…", expires="1764412800", signature="0x…"

The signature is EIP-712 typed data (`HttpRequest`) under the market's domain, as that of a message
(`trader.exchange.signing`). `url` begins with the endpoint that the service is known by, so that one seller can't show
another what it was asked. `headers` has those of `COVERED_HEADERS` that the request has, one a line (`name: value`),
in the order of that list. The body is not covered beyond its length: what is uploaded is bytes of a message, which
carries its sender's signature, and counts for nothing until all of it is right.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature

from trader.exchange.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trader.signer import Signer

SCHEME: Final = "EIP712"
COVERED_HEADERS: Final = ("upload-length", "upload-metadata", "upload-offset", "range")
LIFETIME_SECONDS: Final = 60
"""How long a request that this program signs is good for."""
LONGEST_LIFETIME_SECONDS: Final = 300
"""The furthest that a service lets a request's end be ahead of its own clock."""
_FORM: Final = re.compile(
    r'EIP712 account="(0x[0-9a-fA-F]{40})", nonce="(0x[0-9a-f]{64})", expires="([0-9]{1,12})", '
    # The last byte says which of two keys it is: libraries read most others too, as chain ids.
    r'signature="(0x[0-9a-f]{128}(?:00|01|1b|1c))"',
    re.ASCII,
)
_TYPES: Final = {
    "HttpRequest": [
        {"name": "method", "type": "string"},
        {"name": "url", "type": "string"},
        {"name": "headers", "type": "string"},
        {"name": "contentLength", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
        {"name": "expires", "type": "uint256"},
    ]
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is asked of a service.

    Attributes:
        chain_id: Of the market's chain.
        market: The market's address, 0x and 40 hex digits.
        method: In upper case.
        url: The service's endpoint, the path below it, and the query if there is one.
        headers: The covered ones, as lines.
        content_length: Bytes of the body.
    """

    chain_id: int
    market: str
    method: str
    url: str
    headers: str = ""
    content_length: int = 0


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a request says about who signed it, until `signer` is found to be `account`.

    Attributes:
        account: Address of the one who asks, 0x-hex in lower case.
        nonce: 32 bytes, never used twice by an account.
        expires: Unix time in seconds, from which on the request is not good any more.
        signature: 65 bytes.
    """

    account: str
    nonce: bytes
    expires: int
    signature: bytes

    @classmethod
    def parse(cls, header: str) -> Authorization:
        """Read the header.

        Raises:
            MessageError: It has another form.
        """
        match = _FORM.fullmatch(header)
        if match is None:
            raise MessageError(
                f'the header Authorization is not of the form: {SCHEME} account="0x…", nonce="0x…", expires="…", '
                'signature="0x…"'
            )
        account, nonce, expires, signature = match.groups()
        return cls(account.lower(), bytes.fromhex(nonce[2:]), int(expires), bytes.fromhex(signature[2:]))

    def is_signed_for(self, request: HttpRequest) -> bool:
        """Return whether `account` has signed this very request; *not* whether it is still good, or was made before."""
        try:
            signable = encode_typed_data(*_typed_data(request, self.nonce, self.expires))
            return str(Account.recover_message(signable, signature=self.signature)).lower() == self.account
        except (ValueError, BadSignature):
            return False


def authorize(request: HttpRequest, account: Signer, *, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
    """Sign a request; return the header `Authorization`, which is good once."""
    nonce, expires = secrets.token_bytes(32), int(time.time()) + lifetime_seconds
    signature = bytes(account.sign_typed_data(*_typed_data(request, nonce, expires)).signature)
    return (
        f'{SCHEME} account="{account.address.lower()}", nonce="0x{nonce.hex()}", expires="{expires}", '
        f'signature="0x{signature.hex()}"'
    )


def covered_lines(headers: Mapping[str, str]) -> str:
    """Return what is signed of a request's headers, given in lower case or by a mapping that ignores case."""
    return "\n".join(f"{name}: {headers[name]}" for name in COVERED_HEADERS if name in headers)


def _typed_data(
    request: HttpRequest, nonce: bytes, expires: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return domain, types and message."""
    domain = {"name": "ModelSeal", "version": "1", "chainId": request.chain_id, "verifyingContract": request.market}
    message = {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "contentLength": request.content_length,
        "nonce": nonce,
        "expires": expires,
    }
    return domain, _TYPES, message
