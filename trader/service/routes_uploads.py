"""Uploads: the protocol tus 1.0.0 with its extensions creation, expiration and termination.

Every request is signed by the account whose message it is; what is announced also says who has signed the message.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from trader.exchange.mailbox import PIECE_BYTES
from trader.service.access import content_length
from trader.service.app import SignedAccount, anybody, parts_of
from trader.service.errors import RefusedError
from trader.service.problems import documented
from trader.service.uploads import Announcement

if TYPE_CHECKING:
    from trader.service.uploads import Receiver, Upload

VERSION = "1.0.0"
_TUS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
_OFFSET_STREAM = "application/offset+octet-stream"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {_OFFSET_STREAM: {"schema": {"type": "string", "format": "binary"}}},
    }
}


_DIGITS = {"pattern": "^[0-9]{1,15}$", "type": "string"}


def _speaks_tus(
    tus_resumable: Annotated[str | None, Header(json_schema_extra={"enum": [VERSION], "type": "string"})] = None,
) -> None:
    if tus_resumable != VERSION:
        raise RefusedError(412, "another protocol", f"Uploads speak tus {VERSION}.", {"Tus-Version": VERSION})


router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
_REFUSALS = documented(400, 401, 403, 404, 409, 410, 412, 413, 415, 422, 423, 429, 503, 507)


@router.options("", status_code=204, responses=documented(413, 429), dependencies=[Depends(anybody)])
async def describe_uploads() -> Response:
    """Say what is spoken here."""
    headers = {"Tus-Version": VERSION, "Tus-Extension": "creation,expiration,termination"}
    return Response(status_code=204, headers=_TUS | headers)


@router.post("", status_code=201, response_class=Response, responses=_REFUSALS, dependencies=[Depends(_speaks_tus)])
def announce_upload(
    request: Request,
    account: SignedAccount,
    upload_length: Annotated[
        str | None, Header(description="Bytes of the message, without its trailer.", json_schema_extra=_DIGITS)
    ] = None,
    upload_metadata: Annotated[str | None, Header(description="`name …,trailer …`, both in Base64.")] = None,
) -> Response:
    """Announce a message, or find the upload that was begun for it: `Upload-Offset` says how far it has come."""
    parts = parts_of(request)
    chain_id, market = parts.settings.chain_id, parts.settings.market
    announced = Announcement.parse(upload_length, upload_metadata, chain_id, market)
    upload, offset = parts.uploads.announce(announced, account)
    location = f"{parts.settings.endpoint.rstrip('/')}/v1/uploads/{upload.upload_id}"
    return _answer(201, upload, offset, Location=location)


@router.head("/{upload_id}", response_class=Response, responses=_REFUSALS, dependencies=[Depends(_speaks_tus)])
def show_upload(request: Request, account: SignedAccount, upload_id: str) -> Response:
    """Say how far an upload has come."""
    uploads = parts_of(request).uploads
    upload = uploads.find(upload_id, account)
    return _answer(200, upload, uploads.offset(upload))


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses={**_REFUSALS, **documented(408, 411)},
    dependencies=[Depends(_speaks_tus)],
    openapi_extra=_BODY,
)
async def continue_upload(
    request: Request,
    account: SignedAccount,
    upload_id: str,
    upload_offset: Annotated[
        str | None, Header(description="Where the upload stands.", json_schema_extra=_DIGITS)
    ] = None,
) -> Response:
    """Append bytes; with the last one the upload becomes a message. What came before a fault is kept."""
    offset, count = _offset_and_count(request, upload_offset)
    uploads = parts_of(request).uploads
    upload = await run_in_threadpool(uploads.find, upload_id, account)
    with uploads.receiving(upload, offset, count) as receiver:
        try:
            await _receive(request, receiver)
        finally:
            if uploads.offset(upload) > offset:
                upload = upload._replace(expires_at=await run_in_threadpool(uploads.extend, upload))
        offset = uploads.offset(upload)
        if offset == upload.size_bytes:
            await run_in_threadpool(uploads.finish, upload)
    return _answer(204, upload, offset)


@router.delete(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses=_REFUSALS,
    dependencies=[Depends(_speaks_tus)],
)
def give_up_upload(request: Request, account: SignedAccount, upload_id: str) -> Response:
    """Drop an upload."""
    uploads = parts_of(request).uploads
    uploads.drop(uploads.find(upload_id, account))
    return Response(status_code=204, headers=_TUS)


def _offset_and_count(request: Request, upload_offset: str | None) -> tuple[int, int]:
    if request.headers.get("content-type") != _OFFSET_STREAM:
        raise RefusedError(415, "another content type", f"Send {_OFFSET_STREAM}.")
    count = content_length(request)
    if count is None:
        raise RefusedError(411, "length required", "Say how many bytes come (Content-Length).")
    if upload_offset is None or not (upload_offset.isascii() and upload_offset.isdigit() and len(upload_offset) < 16):
        raise RefusedError(400, "bad Upload-Offset", "It must be a number of bytes.")
    return int(upload_offset), count


async def _receive(request: Request, receiver: Receiver) -> None:
    """Write the body to the disk, a piece at a time; what came before a fault, too."""
    pending = bytearray()
    try:
        async for chunk in request.stream():
            pending += chunk
            if len(pending) >= PIECE_BYTES:
                piece, pending = bytes(pending), bytearray()
                await run_in_threadpool(receiver.write, piece)
    except ClientDisconnect as error:
        raise RefusedError(400, "cut off", "Go on with the upload.") from error  # nobody reads it
    finally:
        if pending:
            await run_in_threadpool(receiver.write, bytes(pending))


def _answer(status: int, upload: Upload, offset: int, **headers: str) -> Response:
    expires = formatdate(upload.expires_at, usegmt=True)
    known = {"Upload-Offset": str(offset), "Upload-Length": str(upload.size_bytes), "Upload-Expires": expires}
    return Response(status_code=status, headers=_TUS | known | headers)
