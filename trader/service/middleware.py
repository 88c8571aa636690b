"""Around every request: bodies where there are none, clients that stall, the log, the figures.

An ASGI application around the app, so that it sees the bytes as they come and go.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final, TypeVar

from trader.service.errors import RefusedError
from trader.service.problems import problem

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from trader.service.metrics import Metrics
    from trader.service.settings import ServiceSettings

T = TypeVar("T")

UNKNOWN_ROUTE: Final = "unknown"
_log = logging.getLogger("modelseal.service.access")


class StalledError(Exception):
    """A client takes nothing of an answer, or too slowly."""


class Entrance:
    """The service's outermost part."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_body = _has_body(scope)
        visit = _Visit(self._settings, receive, send, has_body=has_body)
        scope.setdefault("state", {})["request_id"] = visit.request_id
        try:
            if has_body and scope["method"] != "PATCH":
                await problem(413, "no body is taken here", "Only uploads have one.")(scope, visit.receive, visit.send)
            else:
                await self._app(scope, visit.receive, visit.send)
        except StalledError:
            pass  # an answer that ends too early makes the server close the connection
        finally:
            self._tell(scope, visit)

    def _tell(self, scope: Scope, visit: _Visit) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
        seconds = time.perf_counter() - visit.begin
        self._metrics.count(scope["method"], route, visit.status, seconds, visit.received, visit.sent)
        _log.info(
            "request",
            extra={
                "request_id": visit.request_id,
                "method": scope["method"],
                "path": scope["path"],
                "status": visit.status,
                "seconds": round(seconds, 4),
                "received_bytes": visit.received,
                "sent_bytes": visit.sent,
                "account": scope["state"].get("account"),
            },
        )


class _Visit:
    """One request: what came and went, and how slowly that may go."""

    def __init__(self, settings: ServiceSettings, receive: Receive, send: Send, *, has_body: bool) -> None:
        self.request_id = secrets.token_hex(8)
        self.begin = time.perf_counter()
        self.received = self.sent = self.status = 0
        self._settings = settings
        self._receive = receive
        self._send = send
        self._whole = not has_body
        self._waited = 0.0

    async def receive(self) -> Message:
        """Wait for bytes of the body, as long as a client may take for them."""
        if self._whole:
            return await self._receive()  # for the client to go away, which may take as long as the answer
        settings = self._settings
        allowed = 2 * settings.stall_seconds + self.received / settings.slowest_bytes_per_second - self._waited
        begin = time.perf_counter()
        try:
            message = await _within(self._receive(), min(settings.stall_seconds, allowed))
        except TimeoutError as error:
            detail = "Nothing came for too long, or it came too slowly. Go on with the upload."
            raise RefusedError(408, "too slow", detail) from error
        self._waited += time.perf_counter() - begin
        self.received += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, as long as a client may take for it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [(b"x-request-id", self.request_id.encode()), (b"x-content-type-options", b"nosniff")]
            if not self._whole and self.status >= 400:
                # Whatever is left of the body is not worth reading.
                extra.append((b"connection", b"close"))
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        body = message.get("body", b"")
        seconds = self._settings.stall_seconds + len(body) / self._settings.slowest_bytes_per_second
        try:
            await _within(self._send(message), seconds)
        except TimeoutError as error:
            raise StalledError from error
        self.sent += len(body)


async def _within(awaitable: Awaitable[T], seconds: float) -> T:
    async with asyncio.timeout(max(0.0, seconds)):
        return await awaitable


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""
