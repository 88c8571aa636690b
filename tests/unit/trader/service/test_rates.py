"""Token buckets, at their edges."""

from __future__ import annotations

import pytest

from trader.service import Rate, rates
from trader.service.rates import RateLimiter, network_of


def test_a_burst_and_then_the_rate():
    now = [0.0]
    limiter = RateLimiter(Rate(2.0, 3), clock=lambda: now[0])
    assert [limiter.wait_seconds("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limiter.wait_seconds("b") == 0.0
    now[0] += 0.5
    assert limiter.wait_seconds("a") == 0.0
    assert limiter.wait_seconds("a") > 0
    now[0] += 1000
    assert [limiter.wait_seconds("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_who_waits_as_told_is_served():
    now = [0.0]
    limiter = RateLimiter(Rate(0.3, 1), clock=lambda: now[0])
    for _ in range(50):
        wait = limiter.wait_seconds("a")
        now[0] += wait + 1e-9
        assert wait == 0.0 or limiter.wait_seconds("a") == 0.0


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(rates, "MOST_CALLERS", 10)
    limiter = RateLimiter(Rate(1.0, 1))
    for number in range(1000):
        limiter.wait_seconds(str(number))
    assert len(limiter._buckets) == 10


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("a socket", "a socket"),
    ],
)
def test_what_one_customer_has(address, network):
    assert network_of(address) == network
