"""Messages, to be read: packages by anybody, a trade's responses and models by its buyer, and what one has sent."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from trader.exchange import PUBLIC_KINDS, Label, MessageError
from trader.exchange.signing import MAX_NAME_CHARACTERS
from trader.service.app import anybody, parts_of, signed_account
from trader.service.downloads import respond
from trader.service.errors import RefusedError
from trader.service.problems import documented
from trader.service.store import SELLERS_KINDS
from trader.service.uploads import require_market

router = APIRouter(prefix="/v1/messages", tags=["messages"])
_NO_SUCH = RefusedError(404, "no such message", "It has not been delivered, or its trade is over.")
_BYTES: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The message and its trailer (105 bytes: its sender's signature).", **_BYTES},
    206: {"description": "The range of it that `Range` asks for.", **_BYTES},
    304: {"description": "It is still the one that `If-None-Match` names."},
    **documented(400, 401, 403, 404, 413, 416, 422, 429, 503),
}


@router.get("/{name}", responses=_RESPONSES, response_class=Response)
@router.head("/{name}", responses=_RESPONSES, response_class=Response)
def read_message(request: Request, name: Annotated[str, Path(max_length=MAX_NAME_CHARACTERS)]) -> Response:
    """Return a message: its bytes, then its trailer. The `ETag` is their SHA-256.

    Packages, claims and certificates are for anybody. Everything else asks for a signed request: responses and models
    by the trade's buyer, requests and audit inputs by the account that has sent them.
    """
    parts = parts_of(request)
    try:
        label = Label.parse(name)
    except MessageError:
        anybody(request)
        raise _NO_SUCH from None
    if label.kind in PUBLIC_KINDS:
        anybody(request)
        sender = parts.mailbox.seller
    else:
        account = signed_account(request)
        sender = parts.mailbox.seller if label.kind in SELLERS_KINDS else account
        if label.kind in SELLERS_KINDS:
            session = parts.book.session_of_trade(label.trade_id)
            if session is None or session.buyer != account:
                raise RefusedError(403, "another's trade", f"Trade {label.trade_id} is not one of {account}.")
    require_market(label, parts.settings.chain_id, parts.settings.market)
    message = parts.mailbox.find(name, sender)
    if message is None:
        raise _NO_SUCH
    return respond(request, parts.mailbox, message)
