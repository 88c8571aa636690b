"""For those with a role: figures, trades, storage. `trader.service.settings.RIGHTS` says who may what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from trader.service.app import parts_of
from trader.service.index import bytes_held
from trader.service.problems import documented
from trader.service.settings import Right
from trader.service.status import TradeProgress

if TYPE_CHECKING:
    from collections.abc import Callable

router = APIRouter(tags=["roles"], responses=documented(400, 401, 403, 413, 422, 429, 503))


@dataclass(frozen=True, slots=True)
class Storage:
    """What messages take up.

    Attributes:
        held_bytes: Of messages, and promised to uploads.
        quota_bytes: Most that there may be.
    """

    held_bytes: int
    quota_bytes: int


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What went when the storage was cleaned.

    Attributes:
        uploads: Files of uploads that were given up.
        artifacts: Artifacts that no message is made of any more.
        artifact_bytes: Their length together.
    """

    uploads: int
    artifacts: int
    artifact_bytes: int


def _role(right: Right) -> Callable[[Request], None]:
    def require(request: Request) -> None:
        parts_of(request).access.require_right(request, right)

    return require


def _metrics_reader(request: Request, authorization: Annotated[str | None, Header()] = None) -> None:
    access = parts_of(request).access
    if not access.is_metrics_token(authorization):
        access.require_right(request, Right.READ_METRICS)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Figures for Prometheus.", "content": {"text/plain": {}}}},
    dependencies=[Depends(_metrics_reader)],
)
def metrics(request: Request) -> Response:
    """Return figures, in Prometheus' form."""
    return Response(generate_latest(parts_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/trades", dependencies=[Depends(_role(Right.READ_TRADES))])
def trades(request: Request) -> list[TradeProgress]:
    """Return the trades under way, and those that have ended of late."""
    return list(parts_of(request).status.trades())


@router.get("/v1/storage", dependencies=[Depends(_role(Right.MAINTAIN))])
def storage(request: Request) -> Storage:
    """Return what messages take up."""
    parts = parts_of(request)
    with parts.mailbox.index.reading() as connection:
        return Storage(bytes_held(connection), parts.settings.total_quota_bytes)


@router.post("/v1/storage/clean", dependencies=[Depends(_role(Right.MAINTAIN))])
def clean_storage(request: Request) -> Cleaned:
    """Drop uploads that have expired, and artifacts that no message is made of."""
    parts = parts_of(request)
    uploads, artifacts = parts.uploads.sweep(), parts.mailbox.collect()
    return Cleaned(uploads, len(artifacts), sum(blob.size_bytes for blob in artifacts))
