"""Requests to a seller's service: signed, bounded in time, and with refusals as this project's errors.

A seller may gain from keeping its buyer busy: from a dispute, for instance. So nothing here takes longer than it says:
the head of an answer `HEAD_SECONDS`, bodies as long as `SLOWEST_BYTES_PER_SECOND` allows, after `SLOW_START_SECONDS`.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import httpx

from trader.exchange.errors import MailboxFaultError, NotDeliveredError, TransferError
from trader.exchange.mailbox import PIECE_BYTES
from trader.exchange.request_signing import HttpRequest, authorize, covered_lines
from trader.exchange.signing import PUBLIC_KINDS, Label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trader.signer import Signer

HEAD_SECONDS: Final = 45.0
SLOW_START_SECONDS: Final = 60.0
SLOWEST_BYTES_PER_SECOND: Final = 32 << 10
KEEPING_SECONDS: Final = 300.0
"""The answer to an upload's last byte comes when the service has checked and kept all of them."""
MOST_LEFT_BEHIND: Final = 8
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST_DETAIL_CHARACTERS: Final = 300
_MOST_SAID_BYTES: Final = 1 << 14
_LONGEST_PATIENCE_SECONDS: Final = 60.0
_NEXT_STEPS: Final = {
    401: "Check this machine's clock, and that the endpoint is written as in the manifest.",
    403: "Use the account that opened the session.",
    410: "The trade is over.",
    413: "Send less, or wait until a trade of yours has ended.",
}


class Pace:
    """How fast a transfer is."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._bytes = 0

    def count(self, count: int) -> None:
        """Count bytes that came or went.

        Raises:
            MailboxFaultError: They are too few for the time that they took.
        """
        self._bytes += count
        if time.monotonic() > self._begin + SLOW_START_SECONDS + self._bytes / SLOWEST_BYTES_PER_SECOND:
            raise MailboxFaultError(
                f"the seller's service is slow, less than {SLOWEST_BYTES_PER_SECOND} bytes a second. Trying again."
            )


class ServiceClient:
    """A connection to one seller's service.

    Attributes:
        endpoint: Its URL, without a slash at the end; what is signed begins with it.
    """

    def __init__(
        self, endpoint: str, account: Signer | None, transport: httpx.BaseTransport | None, *, plain_http: bool
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not _has_place(parts) or parts.query or parts.fragment:
            raise TransferError(f"the endpoint {endpoint!r} is no service's: expected https://host[:port][/path]")
        if parts.username is not None or parts.password is not None:
            raise TransferError(f"the endpoint at {parts.hostname} holds credentials: requests are signed instead")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not plain_http:
            raise TransferError(
                f"{endpoint} is not encrypted on its way: everybody between could see who trades and hold messages "
                "back. Ask the seller for an https:// endpoint, or allow plain HTTP to it."
            )
        self.endpoint = endpoint.rstrip("/")
        self._account = account
        # A proxy of the environment can't reach this machine's own services.
        self._new_client = partial(httpx.Client, transport=transport, trust_env=parts.hostname not in _LOOPBACK)
        self._client = self._new_client()
        self._left_behind: set[threading.Thread] = set()
        self._not_before = 0.0

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    @property
    def account(self) -> Signer:
        """Whose requests these are.

        Raises:
            TransferError: Nobody's.
        """
        if self._account is None:
            raise TransferError(f"{self.endpoint} answers signed requests: open the mailbox with your account")
        return self._account

    @contextmanager
    def answered(
        self,
        method: str,
        path: str,
        label: Label,
        headers: dict[str, str] | None = None,
        body: memoryview | None = None,
    ) -> Iterator[httpx.Response]:
        """Yield the answer to a request about a message, its body still to be read.

        Raises:
            NotDeliveredError: There is no such thing.
            MailboxFaultError: The service does not answer, or not now.
            TransferError: It refuses.
        """
        self._require_patience()
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        size = 0 if body is None else len(body)
        longest, reading = HEAD_SECONDS, 30.0
        if body is not None:
            sent["Content-Length"] = str(size)
            longest += SLOW_START_SECONDS + size / SLOWEST_BYTES_PER_SECOND + KEEPING_SECONDS
            reading = KEEPING_SECONDS
        if label.kind not in PUBLIC_KINDS or method not in ("GET", "HEAD"):
            sent["Authorization"] = self._authorization(method, path, label, sent, size)
        request = self._client.build_request(
            method,
            self.endpoint + path,
            headers=sent,
            content=None if body is None else _pieces(body),
            timeout=httpx.Timeout(30.0, connect=15.0, read=reading),
        )
        try:
            with closing(self._send(request, longest)) as response:
                if response.status_code >= 300:
                    self._refuse(response, label)
                yield response
                if not response.is_stream_consumed:
                    read_body(response, _MOST_SAID_BYTES)  # else the connection could not be used again
        except httpx.HTTPError as error:
            text = f"the seller's service at {self.endpoint} does not answer: {error or type(error).__name__}"
            raise MailboxFaultError(f"{text}. Trying again.") from error

    def _authorization(self, method: str, path: str, label: Label, headers: dict[str, str], size: int) -> str:
        lines = covered_lines({name.lower(): value for name, value in headers.items()})
        request = HttpRequest(label.chain_id, label.market, method, self.endpoint + path, lines, size)
        return authorize(request, self.account)

    def _send(self, request: httpx.Request, longest_seconds: float) -> httpx.Response:
        """Send a request; return the answer once its head is here.

        httpx limits the time between two bytes alone. So the whole is waited for in another thread, which is left
        behind if it must be: until the service lets go of the connection.

        Raises:
            MailboxFaultError: It takes longer, or too many have been left behind.
            httpx.HTTPError: As httpx has it.
        """
        self._left_behind = {thread for thread in self._left_behind if thread.is_alive()}
        if len(self._left_behind) >= MOST_LEFT_BEHIND:
            raise MailboxFaultError(f"{self.endpoint} has not answered {MOST_LEFT_BEHIND} requests. Trying again.")
        answers: SimpleQueue[httpx.Response | Exception] = SimpleQueue()
        client = self._client

        def send() -> None:
            try:
                answers.put(client.send(request, stream=True))
            except Exception as error:  # raised again in the caller's thread
                answers.put(error)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            answer = answers.get(timeout=longest_seconds)
        except Empty:
            self._left_behind.add(thread)
            self._client = self._new_client()
            text = f"the seller's service at {self.endpoint} has begun no answer in {longest_seconds:.0f} s"
            raise MailboxFaultError(f"{text}. Trying again.") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _require_patience(self) -> None:
        """While the service has asked for patience, it is not asked.

        Raises:
            MailboxFaultError: It has.
        """
        wait = self._not_before - time.monotonic()
        if wait > 0:
            raise MailboxFaultError(f"{self.endpoint} has asked to wait {wait:.0f} s more. Trying again.")

    def _refuse(self, response: httpx.Response, label: Label) -> None:
        """Raise what a refusal means here."""
        status, said = response.status_code, _said(response)
        where = f"the seller's service at {self.endpoint}"
        if 300 <= status < 400:
            raise TransferError(f"{where} has moved ({status}): ask the seller for its new endpoint, and use that")
        if status in (404, 410) and response.request.method in ("GET", "HEAD"):
            raise NotDeliveredError(f"the {label} has not arrived at {self.endpoint}")
        patience = response.headers.get("retry-after")
        if patience is not None:
            self._not_before = time.monotonic() + _seconds(patience)
        if status >= 500 or status in (404, 408, 409, 423, 425, 429) or patience is not None:
            raise MailboxFaultError(f"{where} can't take or give the {label} now ({status}): {said} Trying again.")
        raise TransferError(f"{where} refuses the {label} ({status}): {said} {_NEXT_STEPS.get(status, '')}".rstrip())


def read_body(response: httpx.Response, most_bytes: int) -> bytes:
    """Return the body of an answer, of which no more than about this is read.

    Raises:
        MailboxFaultError: It comes too slowly.
    """
    data, pace = bytearray(), Pace()
    for piece in response.iter_raw():
        pace.count(len(piece))
        data += piece
        if len(data) > most_bytes:
            break
    return bytes(data)


def _has_place(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # no number, or too large a one
        return False


def _said(response: httpx.Response) -> str:
    """Return what a refusal says, shortened: it comes from whoever answers, and ends up in logs and terminals."""
    try:
        body = httpx.Response(200, content=read_body(response, _MOST_SAID_BYTES)).json()
        text = f"{body.get('title', '')}. {body.get('detail', '')}".strip()
    except (ValueError, RecursionError, AttributeError, httpx.HTTPError, MailboxFaultError):
        text = "it says no more."
    return "".join(character for character in text[:_MOST_DETAIL_CHARACTERS] if character.isprintable())


def _seconds(header: str) -> float:
    known = header.isascii() and header.isdigit() and len(header) < 9
    return min(_LONGEST_PATIENCE_SECONDS, float(header)) if known else 5.0


def _pieces(body: memoryview) -> Iterator[bytes]:
    pace = Pace()
    for start in range(0, len(body), PIECE_BYTES):
        piece = bytes(body[start : start + PIECE_BYTES])
        yield piece
        pace.count(len(piece))
