"""Who asks: signatures, nonces, rates, roles.

In this order, so that a stranger causes no write: (1) the form of the header, (2) its time, (3) its signature, (4) the
account's rate, (5) whether chain or settings know the account, (6) its nonce, which is then spent. Whoever fails is
counted by address, as is who does not sign at all.
"""

from __future__ import annotations

import hmac
import math
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete
from sqlalchemy.dialects.sqlite import insert

from trader.exchange.errors import MessageError
from trader.exchange.request_signing import (
    LONGEST_LIFETIME_SECONDS,
    SCHEME,
    Authorization,
    HttpRequest,
    covered_lines,
)
from trader.service.errors import RefusedError
from trader.service.index import NONCES, NONCES_METADATA, Index
from trader.service.rates import RateLimiter, network_of
from trader.service.settings import RIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from trader.service.book import TradeBook
    from trader.service.settings import Right, ServiceSettings

UNAUTHORIZED: Final = "a signed request is needed"
NOT_KNOWN: Final = "this account has no session here"
NOT_KNOWN_RETRY_SECONDS: Final = 2
_SWEEP_SECONDS: Final = 60.0


class Access:
    """Decides who a request is from, and whether that one may ask."""

    def __init__(self, settings: ServiceSettings, book: TradeBook, *, clock: Callable[[], float] = time.time) -> None:
        """Open the nonces that were spent, in a file of the service's folder.

        Raises:
            IndexFaultError: It can't be opened.
        """
        self._settings = settings
        self._book = book
        self._clock = clock
        self._nonces = Index(settings.folder / "nonces.sqlite", NONCES_METADATA)
        self._accounts = RateLimiter(settings.account_rate)
        self._addresses = RateLimiter(settings.address_rate)
        self._next_sweep = 0.0

    def close(self) -> None:
        """Close the file of nonces."""
        self._nonces.close()

    def count_stranger(self, request: Request) -> None:
        """Count a request that nobody has signed.

        Raises:
            RefusedError: The address asks too often.
        """
        address = network_of(request.client.host if request.client else "unknown")
        self._require_rate(self._addresses.wait_seconds(address), "this address")

    def account_of(self, request: Request) -> str:
        """Return the account that has signed a request, in lower case; the request can't be made again.

        Raises:
            RefusedError: Nobody known has signed this very request just now, or it was made before, or asks too often.
            ChainUnavailableError: Whether the account is known can't be told.
        """
        try:
            authorization = self._verified(request)
            self._require_rate(self._accounts.wait_seconds(authorization.account), "this account")
            self._require_known(authorization.account)
            self._spend(authorization)
        except RefusedError as refused:
            if refused.status in (401, 403):
                self.count_stranger(request)
            raise
        return authorization.account

    def require_right(self, request: Request, right: Right) -> None:
        """Ask for an account with a role that has the right.

        Raises:
            RefusedError: It has not.
        """
        role = self._settings.role_of(self.account_of(request))
        if role is None or right not in RIGHTS[role]:
            raise RefusedError(403, "this needs a role", f"Only those that may {right.value} are answered here.")

    def is_metrics_token(self, header: str | None) -> bool:
        """Return whether a header is the password for metrics, if there is one."""
        token = self._settings.metrics_token
        return token is not None and hmac.compare_digest((header or "").encode(), f"Bearer {token}".encode())

    def _verified(self, request: Request) -> Authorization:
        headers = request.headers.getlist("authorization")
        if len(headers) != 1:
            raise _unauthorized(
                f"Sign the request (EIP-712) for {self._settings.endpoint}, in one Authorization header."
            )
        try:
            authorization = Authorization.parse(headers[0])
        except MessageError as error:
            raise _unauthorized(str(error)) from error
        left = authorization.expires - self._clock()
        skew = self._settings.clock_skew_seconds
        if not -skew < left <= LONGEST_LIFETIME_SECONDS + skew:
            raise _unauthorized(
                f"It expires {left:+.0f} s from now by this server's clock; from now to {LONGEST_LIFETIME_SECONDS} s "
                "ahead is taken. Check your clock."
            )
        if not authorization.is_signed_for(self._signed_request(request)):
            raise _unauthorized(
                f"The signature is not that of {authorization.account} for this request to {self._settings.endpoint}."
            )
        return authorization

    def _signed_request(self, request: Request) -> HttpRequest:
        path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        return HttpRequest(
            self._settings.chain_id,
            self._settings.market,
            request.method,
            self._settings.endpoint.rstrip("/") + path + (f"?{query}" if query else ""),
            covered_lines(request.headers),
            content_length(request) or 0,
        )

    def _require_known(self, account: str) -> None:
        if self._settings.role_of(account) is not None:
            return
        if not self._settings.allows(account):
            raise RefusedError(403, "this account is not served", "The seller serves the accounts of its list alone.")
        if not self._book.knows(account):
            raise RefusedError(
                403,
                NOT_KNOWN,
                f"No confirmed block has a session of {account} with this seller. If you have just opened one, wait.",
                {"Retry-After": str(NOT_KNOWN_RETRY_SECONDS)},
            )

    def _spend(self, authorization: Authorization) -> None:
        now = self._clock()
        skew = self._settings.clock_skew_seconds
        row = {"account": authorization.account, "nonce": authorization.nonce}
        with self._nonces.writing() as connection:
            if now >= self._next_sweep:
                # Not by this account's clock: a nonce must be kept as long as its request is taken.
                connection.execute(delete(NONCES).where(NONCES.c.expires_at < now - skew))
                self._next_sweep = now + _SWEEP_SECONDS
            spent = insert(NONCES).values(**row, expires_at=authorization.expires).on_conflict_do_nothing()
            if connection.execute(spent).rowcount != 1:
                raise _unauthorized("This request was made before. Sign a new one, with another nonce.")

    @staticmethod
    def _require_rate(wait_seconds: float, who: str) -> None:
        if wait_seconds > 0:
            wait = str(max(1, math.ceil(wait_seconds)))
            raise RefusedError(429, "too many requests", f"Wait {wait} s: {who} asks too often.", {"Retry-After": wait})


def content_length(request: Request) -> int | None:
    """Return how many bytes a request's body has; None where it does not say.

    Raises:
        RefusedError: It says so in no number.
    """
    header = request.headers.get("content-length")
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) < 19):
        raise RefusedError(400, "bad Content-Length", "It must be a number of bytes.")
    return int(header)


def _unauthorized(detail: str) -> RefusedError:
    return RefusedError(401, UNAUTHORIZED, detail, {"WWW-Authenticate": SCHEME})
