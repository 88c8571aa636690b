"""Figures for Prometheus. Labels are of few values: routes as they are declared, never what a client has sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from trader.service.index import Index

from trader.service.index import bytes_held

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST"})


class Metrics:
    """The figures of one service.

    Attributes:
        registry: Where they are; whatever runs the trades may add its own.
    """

    def __init__(self, index: Index, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "modelseal_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "modelseal_http_request_seconds",
            "From the request's head to the answer's end.",
            ("route",),
            registry=registry,
        )
        self._bytes = Counter("modelseal_http_body_bytes", "Bytes of bodies.", ("direction",), registry=registry)
        Gauge("modelseal_message_bytes", "Bytes of messages, and promised to uploads.", registry=registry).set_function(
            lambda: _held(index)
        )

    def count(self, method: str, route: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count one request."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._bytes.labels("received").inc(received)
        self._bytes.labels("sent").inc(sent)


def _held(index: Index) -> float:
    with index.reading() as connection:
        return float(bytes_held(connection))
