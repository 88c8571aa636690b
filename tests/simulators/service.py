"""A seller's service on this machine, whose chain is a list of sessions.

`Seller` has everything of a service but a chain; `serving` has uvicorn serve an app in a thread, on a free port.
"""

from __future__ import annotations

import contextlib
import threading
import time
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from eth_account import Account
from eth_utils.crypto import keccak

from trader.artifacts import ArtifactStore
from trader.exchange import Kind, Label
from trader.exchange.request_signing import HttpRequest, authorize, covered_lines
from trader.exchange.signing import sign_trailer
from trader.service import (
    AccessRole,
    Index,
    Listening,
    OfferedListing,
    OpenedSession,
    ServiceSettings,
    StoreMailbox,
    TradeProgress,
    create_app,
    make_server,
)
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from eth_account.signers.local import LocalAccount
    from fastapi import FastAPI

CHAIN_ID, MARKET = 31337, "0x" + "ab" * 20
ENDPOINT = "http://127.0.0.1:7777"
SELLER, BUYER, OTHER_BUYER, STRANGER, OWNER, OPERATOR, AUDITOR = (
    Account.from_key(keccak(name.encode())) for name in ("seller", "buyer", "other", "stranger", "owner", "op", "audit")
)
ROLES = {
    OWNER.address: AccessRole.OWNER,
    OPERATOR.address: AccessRole.OPERATOR,
    AUDITOR.address: AccessRole.AUDITOR,
}
REQUEST_DIGEST, OTHER_DIGEST = keccak(b"request"), keccak(b"other request")
LIMITS = {Kind.REQUEST: 5_000_000, Kind.AUDIT_INPUTS: 1_000}
TUS = {"Tus-Resumable": "1.0.0"}
STREAM = {"Content-Type": "application/offset+octet-stream"}


def label(kind: Kind, trade_id: int = 0, anchor: bytes = REQUEST_DIGEST) -> Label:
    return Label(kind, CHAIN_ID, MARKET, trade_id, anchor)


REQUEST = label(Kind.REQUEST)
AUDIT_INPUTS = label(Kind.AUDIT_INPUTS, 1)
RESPONSE = label(Kind.RESPONSE, 1)
PACKAGE = label(Kind.PACKAGE)


@dataclass
class SessionList:
    """A trade book that somebody has written down."""

    sessions: list[OpenedSession] = field(
        default_factory=lambda: [
            OpenedSession(1, 1, BUYER.address.lower(), 16, REQUEST_DIGEST),
            OpenedSession(2, 1, OTHER_BUYER.address.lower(), 16, OTHER_DIGEST),
        ]
    )

    def knows(self, account: str) -> bool:
        return any(session.buyer == account for session in self.sessions)

    def session_of(self, account: str, request_digest: bytes) -> OpenedSession | None:
        wanted = (account, request_digest)
        return next((each for each in self.sessions if (each.buyer, each.request_digest) == wanted), None)

    def session_of_trade(self, trade_id: int) -> OpenedSession | None:
        return next((each for each in self.sessions if each.trade_id == trade_id), None)

    def limit_bytes(self, kind: Kind, session: OpenedSession) -> int:
        return LIMITS[kind]


class Told:
    """A seller's status."""

    def listings(self) -> list[OfferedListing]:
        return [OfferedListing(1, "a model", "0x" + "11" * 32, PACKAGE.name, 10**18, True)]

    def trades(self) -> list[TradeProgress]:
        return [TradeProgress(1, 1, BUYER.address, "testing", 1_800_000_000, "the request")]

    def checks(self) -> dict[str, bool]:
        return {"loop": True}


class Seller:
    """A service, and what is behind it."""

    def __init__(self, folder: Path, endpoint: str = ENDPOINT, **settings: Any) -> None:
        self.folder = folder
        self.settings = replace(
            ServiceSettings(endpoint, CHAIN_ID, MARKET, folder / "service", ROLES, minimum_free_bytes=0), **settings
        )
        self.book = SessionList()
        self.open()

    def open(self) -> None:
        """As a process does when it starts."""
        self.mailbox = StoreMailbox(
            Index(self.folder / "index.sqlite"),
            ArtifactStore.at(str(self.folder / "artifacts")),
            self.settings.endpoint,
            SELLER.address,
        )
        self.app: FastAPI = create_app(self.settings, self.mailbox, self.book, Told())

    def restart(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.mailbox.index.close()
        self.app.state.parts.access.close()

    @property
    def uploads(self) -> list[Path]:
        return list((self.settings.folder / "uploads").iterdir())


def signed_headers(
    account: LocalAccount,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    signed: dict[str, Any] | None = None,
) -> dict[str, str]:
    """Headers with an authorization; `signed` has fields of the request that is signed instead."""
    lines = covered_lines({name.lower(): value for name, value in (headers or {}).items()})
    request = HttpRequest(CHAIN_ID, MARKET, method, ENDPOINT + path, lines, len(body))
    changed = dict(signed or {})
    lifetime = changed.pop("lifetime_seconds", 60)
    return {
        **(headers or {}),
        "Authorization": authorize(replace(request, **changed), account, lifetime_seconds=lifetime),
    }


def announcement(message: bytes, named: Label = REQUEST, account: LocalAccount = BUYER, **other: Any) -> dict[str, str]:
    trailer = other.get("trailer", sign_trailer(named, keccak256(message), account))
    metadata = f"name {encoded(other.get('name', named.name).encode())},trailer {encoded(trailer)}"
    return TUS | {"Upload-Length": str(other.get("length", len(message))), "Upload-Metadata": metadata}


def encoded(data: bytes) -> str:
    return b64encode(data).decode()


class Caller:
    """Somebody who speaks to a service as they like."""

    def __init__(self, client: Any, account: LocalAccount = BUYER) -> None:
        self.client = client
        self.account = account

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", **other: Any
    ) -> Any:
        signed = signed_headers(other.pop("account", self.account), method, path, headers, body, **other)
        return self.client.request(method, path, headers=signed, **({"content": body} if body else {}))

    def announce(self, message: bytes, **other: Any) -> Any:
        return self.ask("POST", "/v1/uploads", announcement(message, **{"account": self.account, **other}))

    def append(self, location: str, offset: int, data: bytes, **other: Any) -> Any:
        path = location.removeprefix(ENDPOINT)
        headers = TUS | STREAM | {"Upload-Offset": str(offset), **other.pop("headers", {})}
        return self.ask("PATCH", path, headers, data, **other)

    def upload(self, message: bytes, **other: Any) -> Any:
        announced = self.announce(message, **other)
        assert announced.status_code == 201, announced.text
        return self.append(announced.headers["location"], int(announced.headers["upload-offset"]), message)

    def read(self, named: Label, **headers: str) -> Any:
        return self.ask("GET", f"/v1/messages/{named.name}", {name.replace("_", "-"): v for name, v in headers.items()})


@contextlib.contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[int]:
    """Yields the port that uvicorn serves the app on."""
    server = make_server(app, Listening(port=port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server has not started"
        time.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


def plain_client(app: FastAPI) -> httpx.Client:
    from starlette.testclient import TestClient

    return TestClient(app, base_url=ENDPOINT, raise_server_exceptions=False)
