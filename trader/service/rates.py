"""How often somebody may ask: token buckets, in memory, for the busiest callers."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.service.settings import Rate

MOST_CALLERS: Final = 10_000
"""As many are remembered, those that asked last; who is forgotten begins anew."""


class RateLimiter:
    """One bucket per caller."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_seconds(self, caller: str) -> float:
        """Count one request; return 0.0 where it is within the rate, else how long the caller has to wait."""
        with self._lock:
            now = self._clock()
            tokens, then = self._buckets.pop(caller, (float(self._rate.burst), now))
            tokens = min(float(self._rate.burst), tokens + (now - then) * self._rate.per_second)
            allowed = tokens >= 1.0
            self._buckets[caller] = (tokens - 1.0 if allowed else tokens, now)
            if len(self._buckets) > MOST_CALLERS:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1.0 - tokens) / self._rate.per_second


def network_of(address: str) -> str:
    """Return what one customer of a provider has: an IPv4 address, or the first 64 bits of an IPv6 address."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))
