"""The mailbox that is a seller's service, as a buyer uses it over HTTP.

The service is trusted with nothing but keeping bytes: what is taken carries its sender's signature, and is checked
as in any other mailbox. How requests are made, signed and bounded is `trader.exchange.service_client`'s.

Uploads and downloads that break off are gone on with where they stopped: uploads after tus 1.0.0, also by another
process, since the service knows them by name and signature; downloads by ranges, by another process where the mailbox
has a folder (`trader.exchange.downloads`).

Nobody else can write a message of the buyer's there, so that no name has to be taken before others learn it. That a
message was delivered is believed for `LOOK_AGAIN_SECONDS`, then asked for again.
"""

from __future__ import annotations

import time
from base64 import b64encode
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from trader.errors import EnvironmentFaultError
from trader.exchange.downloads import Download, open_download
from trader.exchange.errors import MailboxFaultError, NotDeliveredError, SkippedMessageError, TransferError
from trader.exchange.mailbox import Incoming, Mailbox
from trader.exchange.pacing import Pacing
from trader.exchange.service_client import Pace, ServiceClient, read_body
from trader.exchange.signing import TRAILER_BYTES, Label, read_trailer, sign_trailer
from trader.exchange.skipping import Skipping
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from trader.signer import Signer

T = TypeVar("T")

LOOK_AGAIN_SECONDS: Final = 60.0
ATTEMPTS: Final = 4
"""So often in a row a transfer may break off without having come any further."""
_TUS: Final = {"Tus-Resumable": "1.0.0"}


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
        account: Signer | None = None,
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
            folder: Where downloads lie until they are read, so that the next process goes on with them; None for
                temporary files.
            transport: How requests travel; for tests.

        Raises:
            TransferError: It is no URL of a service, or asks for what `plain_http` allows.
        """
        self._client = ServiceClient(endpoint, account, transport, plain_http=plain_http)
        self._folder = folder
        self._skipping = Skipping()
        self._pacing = Pacing()
        self._delivered: dict[str, float] = {}

    @property
    def endpoint(self) -> str:
        """The service's URL."""
        return self._client.endpoint

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
        if self._pacing.pausing("send", label):
            return False
        looked_at = self._delivered.get(label.name)
        if looked_at is None:
            return True
        if time.monotonic() < looked_at + LOOK_AGAIN_SECONDS:
            return False
        self._delivered[label.name] = time.monotonic()
        try:
            with self._client.answered("HEAD", _path(label), label):
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
            with self._client.answered("GET", _path(label), label, {"Range": f"bytes=-{TRAILER_BYTES}"}) as response:
                size_bytes = _found(response, label).size_bytes - TRAILER_BYTES
                trailer = read_body(response, TRAILER_BYTES)
            if size_bytes > limit_bytes:
                return None
            if size_bytes >= 0 and len(trailer) < TRAILER_BYTES:
                raise MailboxFaultError(f"{self._client.endpoint} cut its answer about the {label} off. Trying again.")
            digest = read_trailer(label, trailer, sender)
        except NotDeliveredError:
            return None
        self._delivered[label.name] = time.monotonic()
        return digest

    def put(self, label: Label, message: bytes | memoryview, account: Signer) -> bool:
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
        with self._pacing.around("send", label, failed_too=False):  # what broke off is gone on with at once
            self._upload(label, memoryview(message), sign_trailer(label, digest, account))
        self._delivered[label.name] = time.monotonic()
        return True

    def _upload(self, label: Label, message: memoryview, trailer: bytes) -> None:
        path, offset = self._announce(label, len(message), trailer)
        failures, pace = 0, Pace()
        while True:
            try:
                self._send_from(path, label, message, offset)
                return
            except MailboxFaultError:
                failures += 1
                if failures >= ATTEMPTS:
                    raise
            # Not asked of the upload itself: it may have become a message whose confirmation was lost.
            if self.holds(label, self._client.account.address, len(message)) == keccak256(message):
                return
            path, reached = self._announce(label, len(message), trailer)
            pace.count(max(0, reached - offset))
            failures, offset = (0 if reached > offset else failures), reached

    def _announce(self, label: Label, size_bytes: int, trailer: bytes) -> tuple[str, int]:
        """Return the path of an upload, new or begun, and how many of its bytes the service has."""
        metadata = f"name {_base64(label.name.encode())},trailer {_base64(trailer)}"
        headers = {"Upload-Length": str(size_bytes), "Upload-Metadata": metadata}
        with self._client.answered("POST", "/v1/uploads", label, _TUS | headers) as response:
            location, offset = response.headers.get("location", ""), response.headers.get("upload-offset", "")
        if not location.startswith(f"{self._client.endpoint}/") or not offset.isdigit() or int(offset) > size_bytes:
            raise TransferError(
                f"{self._client.endpoint} does not answer as a seller's service does: is it the endpoint?"
            )
        return location.removeprefix(self._client.endpoint), int(offset)

    def _send_from(self, path: str, label: Label, message: memoryview, offset: int) -> None:
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        with self._client.answered("PATCH", path, label, _TUS | headers, message[offset:]):
            return

    # ---------------------------------------------------------------------------------------------------- receiving

    def take(self, label: Label, sender: str, limit_bytes: int, read: Callable[[Incoming], T]) -> T:
        """Take a message that has arrived, as `Mailbox.take`, out of a file that it is downloaded to."""
        found = self._find(label)
        size_bytes = found.size_bytes - TRAILER_BYTES
        if size_bytes > limit_bytes:
            text = f"what lies there for the {label} has {size_bytes} bytes, more than the {limit_bytes} allowed"
            raise SkippedMessageError(text)
        self._skipping.raise_if_skipped(label, sender, found, pausing=self._pacing.pausing("read", label, sender))
        with (
            self._skipping.judging(label, sender, found),
            self._pacing.around("read", label, sender),
            self._found_again(label, found),
            ExitStack() as stack,
        ):
            # Its signature first: what is another's isn't worth its download.
            trailer = self._download(label, found, max(0, size_bytes), found.size_bytes)
            digest = read_trailer(label, b"".join(trailer), sender)
            try:
                download = stack.enter_context(open_download(self._folder, label.name, found.tag))
                self._complete(download, label, found, digest)
            except OSError as error:
                where = "where temporary files lie (TMPDIR)" if self._folder is None else f"for {self._folder}"
                text = f"the {label} can't be kept: {error.strerror}. Make room {where}."
                raise EnvironmentFaultError(text) from error
            download.file.seek(0)
            return read(Incoming(download.file, size_bytes, digest))

    def _find(self, label: Label) -> _Found:
        with self._client.answered("HEAD", _path(label), label) as response:
            return _found(response, label)

    @contextmanager
    def _found_again(self, label: Label, found: _Found) -> Iterator[None]:
        """Around what is read of a message: it is not one only if the service still says the same of it.

        A proxy that cuts an answer off may cut its stated length as well.

        Raises:
            MailboxFaultError: It says something else now.
        """
        try:
            yield
        except SkippedMessageError as error:
            again = None
            with suppress(NotDeliveredError):
                again = self._find(label)
            if again == found:
                raise
            raise self._contradiction(label) from error

    def _contradiction(self, label: Label) -> MailboxFaultError:
        return MailboxFaultError(f"{self._client.endpoint} does not say twice the same of the {label}. Trying again.")

    def _complete(self, download: Download, label: Label, found: _Found, digest: bytes) -> None:
        """Download what an earlier process has not; all of it, if what that left is torn."""
        size_bytes = found.size_bytes - TRAILER_BYTES
        if download.size_bytes > size_bytes:
            download.restart()
        download.append(self._download(label, found, download.size_bytes, size_bytes))
        if download.resumed and not download.holds(size_bytes, digest):
            download.restart()
            download.append(self._download(label, found, 0, size_bytes))

    def _download(self, label: Label, found: _Found, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a message from `start` to `stop`, over as many connections as that takes.

        Raises:
            SkippedMessageError: More comes than was announced.
            MailboxFaultError: The service does not answer any more, or another message lies there now.
        """
        failures, pace = 0, Pace()
        while start < stop:
            headers = {"Range": f"bytes={start}-{stop - 1}", "If-Range": found.tag}
            reached = start
            try:
                with self._client.answered("GET", _path(label), label, headers) as response:
                    if response.status_code != 206 or _found(response, label) != found:
                        raise self._contradiction(label)
                    for piece in response.iter_raw():
                        if len(piece) > stop - reached:
                            raise SkippedMessageError(f"more bytes than announced came for the {label}")
                        reached += len(piece)
                        yield piece
                        pace.count(len(piece))
                if reached == start:
                    raise MailboxFaultError(f"{self._client.endpoint} sends nothing of the {label}. Trying again.")
            except MailboxFaultError:
                pace.count(0)
                failures = 0 if reached > start else failures + 1
                if failures >= ATTEMPTS:
                    raise
            start = reached


def _found(response: httpx.Response, label: Label) -> _Found:
    """Read what an answer says of the message.

    Raises:
        MailboxFaultError: It says nothing that can be read.
    """
    length = response.headers.get("content-range", "").rpartition("/")[2] or response.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise MailboxFaultError(f"nothing says how long the {label} is. Trying again.")
    return _Found(response.headers.get("etag", ""), int(length))


def _path(label: Label) -> str:
    return f"/v1/messages/{label.name}"


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
