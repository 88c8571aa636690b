"""The service under uvicorn: limits on heads, connections and slow clients, and an end that lets requests finish."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from trader.service.rates import network_of

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from fastapi import FastAPI

HEAD_SECONDS: Final = 15.0
"""How long a client may take for the head of a request, from its connection or its last answer on."""
MOST_HEAD_BYTES: Final = 16 << 10
MOST_CONNECTIONS: Final = 512
MOST_CONNECTIONS_OF_ADDRESS: Final = 64
"""Of an IPv4 address or IPv6 /64 other than this machine's, where a proxy in front may be."""
END_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the service listens.

    Attributes:
        host: Address of an interface; others than this machine reach it behind TLS alone.
        port: TCP port; 0 takes a free one.
        certificate: TLS certificate chain, PEM; None where a proxy in front speaks TLS.
        certificate_key: Its private key, PEM, without a password.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    certificate_key: Path | None = None


class PromptProtocol(H11Protocol):
    """HTTP/1.1 for clients that say what they want.

    uvicorn itself waits for ever for the rest of a request's head, so that a few clients would take all connections.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait_for_head()
        if self._is_one_too_many():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; once they make a head whole, it is waited for no more."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head."""
        self._wait_for_head()
        super().on_response_complete()
        if not self.cycle.response_complete:  # one was here already
            self._stop_waiting()

    def _is_one_too_many(self) -> bool:
        """Whether its address has so many connections that others would be left without; this machine may have all."""
        if self.client is None or ip_address(self.client[0]).is_loopback:
            return False
        own = network_of(self.client[0])
        others = (getattr(each, "client", None) for each in self.connections)
        return sum(other is not None and network_of(other[0]) == own for other in others) > MOST_CONNECTIONS_OF_ADDRESS

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def make_server(app: FastAPI, listening: Listening) -> uvicorn.Server:
    """Return a server for the app; `run` serves until SIGTERM or SIGINT, and lets requests under way finish."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=listening.host,
            port=listening.port,
            http=PromptProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,  # the process's own
            access_log=False,  # the app's own
            server_header=False,
            proxy_headers=False,  # a client could say what it likes in them
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=END_SECONDS,
            ssl_certfile=listening.certificate,
            ssl_keyfile=listening.certificate_key,
        )
    )
