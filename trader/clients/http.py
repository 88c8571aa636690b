"""A seller's HTTP service, in a thread of its own and on a connection of its own."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError
from trader.service import AccessRole, ChainTradeBook, Limits, Listening, Rate, ServiceSettings, create_app, make_server
from trader.service.store import StoreMailbox
from trader.settings.fields import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fastapi import FastAPI
    from uvicorn import Server

    from trader.chain.market import Market
    from trader.clients.shop import Shop
    from trader.parties.desk import Desk
    from trader.service.status import Status
    from trader.settings.seller import HttpSettings

UPLOADS = "uploads"
LEAST_TOKEN_CHARACTERS = 16
LOOK_SECONDS = 0.02
BURST_SECONDS = 5
"""An account may ask at once for what it may ask for in so many seconds."""


def make_app(http: HttpSettings, shop: Shop, desk: Desk, status: Status, market: Market) -> FastAPI:
    """Return the application that buyers talk to.

    Args:
        http: Its settings.
        shop: Whose messages it serves.
        desk: Whose listings.
        status: What it tells of the seller.
        market: The market, on a connection that nobody else uses.

    Raises:
        SettingsError: The shop's messages travel through a shared folder, or the metrics' token can't be used.
        ServiceError: The service's folder can't be used.
    """
    if not isinstance(shop.mailbox, StoreMailbox):
        raise SettingsError("the service needs messages of its own: leave `exchange` out")

    def limits() -> Mapping[int, Limits]:
        goods = {number: seller.goods for number, seller in desk.listings.items()}
        return {number: Limits(each.plan, each.circuit) for number, each in goods.items()}

    limits()  # builds circuits that nobody has asked for yet: the first buyer must not wait for them
    roles = {
        **dict.fromkeys(http.auditors, AccessRole.AUDITOR),
        **dict.fromkeys(http.operators, AccessRole.OPERATOR),
        **dict.fromkeys(http.owners, AccessRole.OWNER),
    }
    settings = ServiceSettings(
        endpoint=http.url,
        chain_id=market.chain.chain_id,
        market=market.deployment.market,
        folder=shop.folder / UPLOADS,
        roles=roles,
        allowed_accounts=frozenset(http.allow) or None,
        metrics_token=read_token(http.metrics_token_file),
        account_rate=Rate(http.requests_per_second, int(BURST_SECONDS * http.requests_per_second) + 1),
        account_quota_bytes=http.account_storage,
        total_quota_bytes=http.total_storage,
    )
    return create_app(settings, shop.mailbox, ChainTradeBook(market, limits), status)


def read_token(file: Path | None) -> str | None:
    """Read the token with which figures may be read.

    Args:
        file: Its first line is the token; None for no token.

    Raises:
        SettingsError: The file is no text, or the token is so short that it could be guessed.
    """
    if file is None:
        return None
    try:
        token = file.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"metrics_token_file {file} can't be read as text: make it, or leave it out") from error
    if len(token) < LEAST_TOKEN_CHARACTERS:
        raise SettingsError(
            f"the token in {file} has fewer than {LEAST_TOKEN_CHARACTERS} characters: write a longer one"
        )
    return token


@contextmanager
def serving(app: FastAPI, listening: Listening) -> Iterator[int]:
    """Serve an application while the block runs; yield the port.

    Raises:
        EnvironmentFaultError: The port is taken, or the interface is not there.
    """
    server = make_server(app, listening)
    thread = threading.Thread(target=_run, args=(server,), name="http", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise EnvironmentFaultError(
                f"the service can't listen at {listening.host}:{listening.port}: is the port taken?"
            )
        time.sleep(LOOK_SECONDS)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def _run(server: Server) -> None:
    with suppress(SystemExit):  # uvicorn's way to say that it could not start: who waits for it sees the thread end
        server.run()
