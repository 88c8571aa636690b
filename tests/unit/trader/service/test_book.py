"""The trade book: what it knows of the chain, and how seldom it asks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trader.chain.receipts import LogEvent
from trader.errors import ChainUnavailableError
from trader.exchange import Kind
from trader.service import ChainTradeBook

BUYER, OTHER = "0x" + "Ab" * 20, "0x" + "cd" * 20


def opened(trade_id: int, listing_id: int = 1, buyer: str = BUYER, digest: bytes = b"\1" * 32) -> LogEvent:
    names = ("tradeId", "listingId", "buyer", "samples", "requestDigest")
    arguments = dict(zip(names, (trade_id, listing_id, buyer, 16, digest), strict=True))
    return LogEvent("SessionOpened", arguments, 1, b"", "0x")


class Market:
    """Events by listing; `asked` counts searches."""

    def __init__(self, **sessions) -> None:
        self.sessions = {1: [opened(1)], 2: [opened(2, 2, OTHER, b"\2" * 32)], 3: [opened(3, 3)]}
        self.asked = 0
        self.away = False

    def find_sessions(self, listing_id):
        self.asked += 1
        if self.away:
            raise ChainUnavailableError("away")
        return self.sessions[listing_id]


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def market():
    return Market()


@pytest.fixture
def book(market, now):
    plan = SimpleNamespace(for_samples=lambda _: SimpleNamespace(request_bytes=lambda samples: 1000 * samples))
    circuit = SimpleNamespace(input_elements=10)
    limits = SimpleNamespace(plan=plan, circuit=circuit)
    return ChainTradeBook(market, lambda: {1: limits, 2: limits}, clock=lambda: now[0])


def test_sessions_of_the_sellers_own_listings(book):
    assert book.knows(BUYER)
    assert book.knows(BUYER.lower())
    assert book.session_of(BUYER, b"\1" * 32).trade_id == 1
    assert book.session_of(OTHER, b"\1" * 32) is None
    assert book.session_of_trade(2).buyer == OTHER
    assert book.session_of_trade(3) is None, "another seller's listing"
    assert not book.knows("0x" + "00" * 20)


def test_of_two_sessions_with_one_request_the_newest_counts(book, market):
    market.sessions[1] = [opened(5), opened(4)]
    assert book.session_of(BUYER, b"\1" * 32).trade_id == 5


def test_whatever_is_asked_the_node_is_asked_once_in_a_while(book, market, now):
    for number in range(500):
        book.knows(f"0x{number:040x}")
        book.session_of_trade(10**6 + number)
        book.session_of(BUYER, bytes([number % 256]) * 32)
    assert market.asked == 2  # one search per listing
    now[0] += 2.0
    book.session_of_trade(1)
    assert market.asked == 4


def test_a_new_session_is_seen_in_time_and_one_that_was_reorganised_away_is_not(book, market, now):
    assert book.session_of_trade(1) is not None
    market.sessions[1] = [opened(7)]
    assert book.session_of_trade(7) is None
    now[0] += 2.0
    assert book.session_of_trade(7) is not None
    assert book.session_of_trade(1) is None


def test_while_the_node_is_away_what_is_known_stays(book, market, now):
    assert book.session_of_trade(1) is not None
    market.away, now[0] = True, 10.0
    assert book.session_of_trade(1) is not None
    asked = market.asked
    assert book.session_of_trade(1) is not None
    assert market.asked == asked, "a node that is away is not hammered either"


def test_a_node_that_never_answered_says_nothing(book, market, now):
    market.away = True
    with pytest.raises(ChainUnavailableError):
        book.knows(BUYER)
    asked = market.asked
    with pytest.raises(ChainUnavailableError):
        book.knows(BUYER)
    assert market.asked == asked
    market.away, now[0] = False, 2.0
    assert book.knows(BUYER)


def test_limits_follow_from_what_was_paid_for(book):
    session = book.session_of_trade(1)
    assert book.limit_bytes(Kind.REQUEST, session) == 16_000 + (1 << 21)
    assert 1000 < book.limit_bytes(Kind.AUDIT_INPUTS, session) < 4000
    assert book.limit_bytes(Kind.RESPONSE, session) == 0
