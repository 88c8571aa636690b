"""Messages on their way out: whole, or a range of them, with a digest for an entity tag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from trader.service.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from trader.service.store import StoredMessage, StoreMailbox

PIECE_BYTES: Final = 1 << 18
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def respond(request: Request, mailbox: StoreMailbox, message: StoredMessage) -> Response:
    """Return a message as a response to GET or HEAD: RFC 9110, sections 13 and 14, with one range at most.

    Raises:
        RefusedError: The range begins beyond the end.
        NotDeliveredError: The bytes are damaged or gone; the sender has to put them again.
        MailboxFaultError: The store can't be read.
    """
    tag = f'"{message.artifact}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-transform"}
    if tag in [each.strip() for each in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    whole = range(message.size_bytes)
    if_range = request.headers.get("if-range")
    wanted = whole if if_range not in (None, tag) else _wanted(request.headers.get("range"), whole)
    headers["Content-Length"] = str(len(wanted))
    status = 200
    if wanted is not whole:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{len(whole)}"
        status = 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    file = mailbox.open(message)
    file.seek(wanted.start)
    return _FileResponse(file, len(wanted), status, headers)


def _wanted(header: str | None, whole: range) -> range:
    """Return the range that is asked for; all of it where none is, or several, or none that can be read."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return whole
    first, last = match.groups()
    if not first:
        start, stop = max(0, len(whole) - int(last)), len(whole)
    else:
        start, stop = int(first), min(len(whole), int(last) + 1) if last else len(whole)
        if last and int(last) < start:
            return whole
    if start >= len(whole):
        raise RefusedError(416, "no such range", "It begins at the end.", {"Content-Range": f"bytes */{len(whole)}"})
    return range(start, stop)


class _FileResponse(StreamingResponse):
    """Bytes of an open file, which is closed whatever becomes of the client."""

    def __init__(self, file: BinaryIO, count: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(_pieces(file, count), status, headers, "application/octet-stream")
        self._file = file

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # Starlette's
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _pieces(file: BinaryIO, count: int) -> AsyncIterator[bytes]:
    while count > 0 and (piece := await run_in_threadpool(file.read, min(count, PIECE_BYTES))):
        count -= len(piece)
        yield piece
