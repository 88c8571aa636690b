"""The mailbox that is a seller's service, as a buyer uses it over HTTP.

The service is trusted with nothing but keeping bytes: what is taken carries its sender's signature, and is checked
as in any other mailbox. Each request is signed by the buyer's account (`trader.exchange.request_signing`).

Uploads and downloads that break off are gone on with where they stopped: uploads after tus 1.0.0, also by another
process, since the service knows them by name and signature; downloads by ranges, within one call.

Nobody else can write a message of the buyer's there, so that no name has to be taken before others learn it. That a
message was delivered is believed for `LOOK_AGAIN_SECONDS`, then asked for again.
"""

from __future__ import annotations

import tempfile
import time
from base64 import b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

import httpx

from trader.errors import EnvironmentFaultError
from trader.exchange.errors import MailboxFaultError, NotDeliveredError, SkippedMessageError, TransferError
from trader.exchange.mailbox import PIECE_BYTES, Incoming, Mailbox
from trader.exchange.request_signing import HttpRequest, authorize, covered_lines
from trader.exchange.signing import TRAILER_BYTES, Kind, Label, read_trailer, sign_trailer
from trader.exchange.skipping import Skipping
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

T = TypeVar("T")

LOOK_AGAIN_SECONDS: Final = 60.0
ATTEMPTS: Final = 4
"""So often in a row a transfer may break off without having come any further."""
SLOW_START_SECONDS: Final = 60.0
SLOWEST_BYTES_PER_SECOND: Final = 32 << 10
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_TIMEOUT: Final = httpx.Timeout(30.0, connect=15.0)
_LAST_PIECE_SECONDS: Final = 600.0
"""The answer to an upload's last byte comes when the service has checked and kept all of them."""
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_MOST_DETAIL_CHARACTERS: Final = 300
_MOST_SAID_BYTES: Final = 1 << 14


class _Found(NamedTuple):
    """What the service says of a message.

    Attributes:
        tag: Its entity tag.
        size_bytes: Of message and trailer.
    """

    tag: str
    size_bytes: int


class HttpMailbox(Mailbox):
    """A seller's service."""

    def __init__(
        self,
        endpoint: str,
        account: LocalAccount | None = None,
        *,
        plain_http: bool = False,
        folder: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Connect when it is first used.

        Args:
            endpoint: Its URL, as in the manifest: what is signed begins with it.
            account: Signs the requests; without one only packages can be read.
            plain_http: Whether `http://` is allowed to other machines than this one.
            folder: Where downloads lie until they are read; by default where temporary files do.
            transport: How requests travel; for tests.

        Raises:
            TransferError: It is no URL of a service, or asks for what `plain_http` allows.
        """
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
        self._endpoint = endpoint.rstrip("/")
        self._account = account
        self._folder = folder
        # A proxy of the environment can't reach this machine's own services.
        self._client = httpx.Client(transport=transport, trust_env=parts.hostname not in _LOOPBACK)
        self._skipping = Skipping()
        self._delivered: dict[str, float] = {}
        self._not_before = 0.0

    @property
    def endpoint(self) -> str:
        """The service's URL."""
        return self._endpoint

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    # ------------------------------------------------------------------------------------------------------ sending

    def reserve(self, label: Label) -> None:
        """Do nothing: the service keeps each account's messages apart, so that nobody can take this one's name."""

    def needs_delivery(self, label: Label) -> bool:
        """Return whether this process has not delivered it, or the service does not have it any more.

        The service is asked at most once in `LOOK_AGAIN_SECONDS`; while it is away, what was delivered counts as there.
        """
        looked_at = self._delivered.get(label.name)
        if looked_at is None:
            return True
        if time.monotonic() < looked_at + LOOK_AGAIN_SECONDS:
            return False
        self._delivered[label.name] = time.monotonic()
        try:
            with self._answered("HEAD", self._path(label), label):
                return False
        except NotDeliveredError:
            del self._delivered[label.name]
            return True
        except TransferError:
            return False

    def holds(self, label: Label, sender: str, limit_bytes: int) -> bytes | None:
        """Return the keccak256 of the sender's message if the service says that it has it, whole.

        Its last bytes are read, the sender's signature of the digest; *not* the others.

        Raises:
            MailboxFaultError: The service does not answer.
        """
        try:
            with self._answered("GET", self._path(label), label, {"Range": f"bytes=-{TRAILER_BYTES}"}) as response:
                size_bytes = _found(response, label).size_bytes - TRAILER_BYTES
                trailer = _read(response, TRAILER_BYTES)
            if size_bytes > limit_bytes:
                return None
            digest = read_trailer(label, trailer, sender)
        except NotDeliveredError:
            return None
        self._delivered[label.name] = time.monotonic()
        return digest

    def put(self, label: Label, message: bytes | memoryview, account: LocalAccount) -> bool:
        """Deliver a message, unless the service has it; go on with an upload that broke off, of this process or not.

        Returns:
            Whether it had to be sent.

        Raises:
            MailboxFaultError: The service does not answer, or has no room now.
            TransferError: It refuses the message.
        """
        digest = keccak256(message)
        if self.holds(label, account.address, len(message)) == digest:
            return False
        self._upload(label, memoryview(message), sign_trailer(label, digest, account))
        self._delivered[label.name] = time.monotonic()
        return True

    def _upload(self, label: Label, message: memoryview, trailer: bytes) -> None:
        path, offset = self._announce(label, len(message), trailer)
        failures = 0
        while True:
            try:
                self._send_from(path, label, message, offset)
                return
            except MailboxFaultError:
                failures += 1
                if failures >= ATTEMPTS:
                    raise
            # Not asked of the upload itself: it may have become a message whose confirmation was lost.
            if self.holds(label, self._require_account().address, len(message)) == keccak256(message):
                return
            path, reached = self._announce(label, len(message), trailer)
            failures, offset = (0 if reached > offset else failures), reached

    def _announce(self, label: Label, size_bytes: int, trailer: bytes) -> tuple[str, int]:
        """Return the path of an upload, new or begun, and how many of its bytes the service has."""
        metadata = f"name {_base64(label.name.encode())},trailer {_base64(trailer)}"
        headers = {"Upload-Length": str(size_bytes), "Upload-Metadata": metadata}
        with self._answered("POST", "/v1/uploads", label, _TUS | headers) as response:
            location, offset = response.headers.get("location", ""), response.headers.get("upload-offset", "")
        if not location.startswith(f"{self._endpoint}/") or not offset.isdigit() or int(offset) > size_bytes:
            raise TransferError(f"{self._endpoint} does not answer as a seller's service does: is it the endpoint?")
        return location.removeprefix(self._endpoint), int(offset)

    def _send_from(self, path: str, label: Label, message: memoryview, offset: int) -> None:
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        timeout = httpx.Timeout(_TIMEOUT.write, connect=_TIMEOUT.connect, read=_LAST_PIECE_SECONDS)
        with self._answered("PATCH", path, label, _TUS | headers, message[offset:], timeout):
            return

    # ---------------------------------------------------------------------------------------------------- receiving

    def take(self, label: Label, sender: str, limit_bytes: int, read: Callable[[Incoming], T]) -> T:
        """Take a message that has arrived, as `Mailbox.take`, out of a temporary file that it is downloaded to."""
        with self._answered("HEAD", self._path(label), label) as response:
            found = _found(response, label)
        size_bytes = found.size_bytes - TRAILER_BYTES
        if size_bytes > limit_bytes:
            text = f"what lies there for the {label} has {size_bytes} bytes, more than the {limit_bytes} allowed"
            raise SkippedMessageError(text)
        self._skipping.raise_if_skipped(label, sender, found)
        with tempfile.TemporaryFile(dir=self._folder) as opened, self._skipping.judging(label, sender, found):
            file = cast("BinaryIO", opened)
            # Its signature first: what is another's isn't worth its download.
            trailer = self._download(label, found, max(0, size_bytes), found.size_bytes)
            digest = read_trailer(label, b"".join(trailer), sender)
            try:
                for piece in self._download(label, found, 0, size_bytes):
                    file.write(piece)
            except OSError as error:
                text = f"the {label} can't be kept: {error.strerror}. Make room where temporary files lie (TMPDIR)."
                raise EnvironmentFaultError(text) from error
            file.seek(0)
            return read(Incoming(file, size_bytes, digest))

    def _download(self, label: Label, found: _Found, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a message from `start` to `stop`, over as many connections as that takes.

        Raises:
            SkippedMessageError: Another message lies there now.
            MailboxFaultError: The service does not answer any more.
        """
        failures, pace = 0, _Pace()
        while start < stop:
            headers = {"Range": f"bytes={start}-{stop - 1}", "If-Range": found.tag}
            reached = start
            try:
                with self._answered("GET", self._path(label), label, headers) as response:
                    if response.status_code != 206 or _found(response, label) != found:
                        raise SkippedMessageError(f"what lies there for the {label} has just changed")
                    for piece in response.iter_raw():
                        if len(piece) > stop - reached:
                            raise SkippedMessageError(f"more bytes than announced came for the {label}")
                        reached += len(piece)
                        yield piece
                        pace.count(len(piece))
                if reached == start:
                    raise MailboxFaultError(f"{self._endpoint} sends nothing of the {label}. Trying again.")
            except MailboxFaultError:
                pace.count(0)
                failures = 0 if reached > start else failures + 1
                if failures >= ATTEMPTS:
                    raise
            start = reached

    # ------------------------------------------------------------------------------------------------------- inside

    def _path(self, label: Label) -> str:
        return f"/v1/messages/{label.name}"

    @contextmanager
    def _answered(
        self,
        method: str,
        path: str,
        label: Label,
        headers: dict[str, str] | None = None,
        body: memoryview | None = None,
        timeout: httpx.Timeout = _TIMEOUT,
    ) -> Iterator[httpx.Response]:
        """Yield the answer to a request, whose body is still to be read.

        Raises:
            NotDeliveredError: There is no such thing.
            MailboxFaultError: The service does not answer, or not now.
            TransferError: It refuses.
        """
        self._require_patience()
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        content = None if body is None else _pieces(body)
        if body is not None:
            sent["Content-Length"] = str(len(body))
        if label.kind is not Kind.PACKAGE or method not in ("GET", "HEAD"):
            sent["Authorization"] = self._authorization(method, path, label, sent, 0 if body is None else len(body))
        try:
            with self._client.stream(
                method, self._endpoint + path, headers=sent, content=content, timeout=timeout
            ) as response:
                if response.status_code >= 300:
                    self._refuse(response, label)
                yield response
                if not response.is_stream_consumed:
                    _read(response, _MOST_SAID_BYTES)  # else the connection could not be used again
        except httpx.HTTPError as error:
            text = f"the seller's service at {self._endpoint} does not answer: {error or type(error).__name__}"
            raise MailboxFaultError(f"{text}. Trying again.") from error

    def _authorization(self, method: str, path: str, label: Label, headers: dict[str, str], content_length: int) -> str:
        lines = covered_lines({name.lower(): value for name, value in headers.items()})
        url = self._endpoint + path
        request = HttpRequest(label.chain_id, label.market, method, url, lines, content_length)
        return authorize(request, self._require_account())

    def _require_account(self) -> LocalAccount:
        if self._account is None:
            raise TransferError(f"{self._endpoint} answers signed requests: open the mailbox with your account")
        return self._account

    def _require_patience(self) -> None:
        """While the service has asked for patience, it is not asked.

        Raises:
            MailboxFaultError: It has.
        """
        wait = self._not_before - time.monotonic()
        if wait > 0:
            raise MailboxFaultError(f"{self._endpoint} has asked to wait {wait:.0f} s more. Trying again.")

    def _refuse(self, response: httpx.Response, label: Label) -> None:
        """Raise what a refusal means here."""
        status, said = response.status_code, _said(response)
        where = f"the seller's service at {self._endpoint}"
        if 300 <= status < 400:
            raise TransferError(f"{where} has moved ({status}): ask the seller for its new endpoint, and use that")
        if status in (404, 410) and response.request.method in ("GET", "HEAD"):
            raise NotDeliveredError(f"the {label} has not arrived at {self._endpoint}")
        if "retry-after" in response.headers:
            self._not_before = time.monotonic() + _retry_seconds(response.headers["retry-after"])
        if status >= 500 or status in (404, 408, 409, 423, 425, 429) or "retry-after" in response.headers:
            raise MailboxFaultError(f"{where} can't take or give the {label} now ({status}): {said} Trying again.")
        raise TransferError(f"{where} refuses the {label} ({status}): {said} {_NEXT_STEPS.get(status, '')}".rstrip())


_NEXT_STEPS: Final = {
    401: "Check this machine's clock, and that the endpoint is written as in the manifest.",
    403: "Use the account that opened the session.",
    410: "The trade is over.",
    413: "Send less, or wait until a trade of yours has ended.",
}


def _has_place(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # no number, or too large a one
        return False


def _found(response: httpx.Response, label: Label) -> _Found:
    """Read what an answer says of the message.

    Raises:
        SkippedMessageError: It says nothing that can be read.
    """
    length = response.headers.get("content-range", "").rpartition("/")[2] or response.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise SkippedMessageError(f"what lies there for the {label} has no length")
    return _Found(response.headers.get("etag", ""), int(length))


def _read(response: httpx.Response, most_bytes: int) -> bytes:
    """Return the body, of which no more than this is read."""
    data, pace = bytearray(), _Pace()
    for piece in response.iter_raw():
        pace.count(len(piece))
        data += piece
        if len(data) > most_bytes:
            break
    return bytes(data)


def _said(response: httpx.Response) -> str:
    """Return what a refusal says, shortened: it comes from whoever answers, and ends up in logs and terminals."""
    try:
        body = httpx.Response(200, content=_read(response, _MOST_SAID_BYTES)).json()
        text = f"{body.get('title', '')}. {body.get('detail', '')}".strip()
    except (ValueError, AttributeError, httpx.HTTPError, MailboxFaultError):
        text = "it says no more."
    return "".join(character for character in text[:_MOST_DETAIL_CHARACTERS] if character.isprintable())


def _retry_seconds(header: str) -> float:
    return min(60.0, float(header)) if header.isascii() and header.isdigit() else 5.0


class _Pace:
    """How fast a transfer is: a seller that lets bytes drip must not keep its buyer from everything else."""

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


def _pieces(body: memoryview) -> Iterator[bytes]:
    pace = _Pace()
    for start in range(0, len(body), PIECE_BYTES):
        piece = bytes(body[start : start + PIECE_BYTES])
        yield piece
        pace.count(len(piece))


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
