"""The seller's service: an application whose parts are given to it, for any ASGI server (`trader.service.server`).

- `routes_messages`: who may read what;
- `routes_uploads`: who may write what;
- `routes_public`: listings and health, for anybody;
- `routes_roles`: metrics, trades, storage, for those with a role.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from trader.errors import TraderError
from trader.service.access import Access
from trader.service.metrics import Metrics
from trader.service.middleware import Entrance
from trader.service.problems import add_handlers
from trader.service.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trader.service.book import TradeBook
    from trader.service.settings import ServiceSettings
    from trader.service.status import Status
    from trader.service.store import StoreMailbox


CLEANING_SECONDS: Final = 600.0
_log = logging.getLogger("modelseal.service")


@dataclass(frozen=True, slots=True)
class Parts:
    """What routes work with.

    Attributes:
        settings: What the service was told.
        mailbox: The seller's.
        book: The chain's facts.
        status: What the seller says of itself.
        access: Who asks.
        uploads: What is on its way in.
        metrics: Figures.
    """

    settings: ServiceSettings
    mailbox: StoreMailbox
    book: TradeBook
    status: Status
    access: Access
    uploads: Uploads
    metrics: Metrics


def parts_of(request: Request) -> Parts:
    """Return the parts of the app that a request has come to."""
    parts: Parts = request.app.state.parts
    return parts


def signed_account(request: Request) -> str:
    """Return the account that has signed a request; routes depend on it.

    Raises:
        RefusedError: Nobody known has.
    """
    account = parts_of(request).access.account_of(request)
    request.state.account = account
    return account


def anybody(request: Request) -> None:
    """Count a request for which nobody has to sign; routes depend on it.

    Raises:
        RefusedError: The address asks too often.
    """
    parts_of(request).access.count_stranger(request)


SignedAccount = Annotated[str, Depends(signed_account)]


def create_app(
    settings: ServiceSettings,
    mailbox: StoreMailbox,
    book: TradeBook,
    status: Status,
    registry: CollectorRegistry | None = None,
) -> FastAPI:
    """Make the application.

    Args:
        settings: Its own; endpoint, chain and market are those of the mailbox's messages.
        mailbox: The seller's, which the seller's loop uses too.
        book: The chain's facts.
        status: What the seller says of itself.
        registry: Where figures go; one of its own by default.

    Raises:
        ServiceError: The service's folder can't be used.
    """
    # Each knows this module, which knows them last.
    from trader.service import routes_messages, routes_public, routes_roles, routes_uploads

    access = Access(settings, book)
    uploads = Uploads(settings, mailbox, book)
    metrics = Metrics(mailbox.index, registry or CollectorRegistry())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        cleaning = asyncio.create_task(_keep_clean(uploads, mailbox))
        yield
        cleaning.cancel()
        access.close()

    app = FastAPI(
        title="ModelSeal seller",
        description=__doc__.partition("\n")[0] if __doc__ else "",
        version=version("modelseal"),
        docs_url="/docs" if settings.documentation else None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.parts = Parts(settings, mailbox, book, status, access, uploads, metrics)
    for routes in (routes_public, routes_messages, routes_uploads, routes_roles):
        app.include_router(routes.router)
    add_handlers(app)
    app.add_middleware(Entrance, settings=settings, metrics=metrics)
    return app


async def _keep_clean(uploads: Uploads, mailbox: StoreMailbox) -> None:
    """Drop uploads that have expired, and artifacts that nobody needs, now and every so often."""
    while True:
        try:
            await run_in_threadpool(uploads.sweep)
            await run_in_threadpool(mailbox.collect)
        except TraderError as error:
            _log.warning("the storage could not be cleaned", extra={"error": str(error)})
        await asyncio.sleep(CLEANING_SECONDS)
