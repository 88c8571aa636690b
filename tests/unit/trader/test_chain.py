"""Sending, waiting, time and refusals on the embedded chain and on anvil; nodes that are dead, mute or not nodes."""

import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from contracts import ETH, MarketReverted, Terms, Windows
from trader.chain import Chain
from trader.errors import CallerError, ChainUnavailableError, TransactionRefusedError
from trader.market import Market

ETHER = 10**18
TERMS = Terms(
    manifest_hash=b"m" * 32,
    circuit_digest=b"c" * 32,
    parameter_commitment=b"p" * 32,
    weights_root=b"w" * 32,
    sums_root=b"s" * 32,
    layout_hash=b"l" * 32,
    token=ETH,
    price_wei=ETHER,
    bond_wei=ETHER // 5,
    fee_wei=1000,
    buyer_quota_samples=100,
    listing_quota_samples=200,
    audit_samples=8,
    tolerance=5,
    windows=Windows(60, 60, 60, 60, 60, 60),
)


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.anvil)])
def any_chain(request: pytest.FixtureRequest) -> Chain:
    return Chain.embedded() if request.param == "embedded" else Chain.connect(request.getfixturevalue("anvil_url"))


def new_salt() -> bytes:
    """A market of the test's own: tests share a node."""
    return secrets.token_bytes(32)


@pytest.fixture
def account(any_chain: Chain) -> LocalAccount:
    fresh = Account.create()
    any_chain.fund(fresh.address, 5 * ETHER)
    return fresh


@pytest.fixture
def market(any_chain: Chain, account: LocalAccount) -> Market:
    return Market(any_chain, any_chain.deploy(account, new_salt()))


def test_a_transaction_gives_hash_block_gas_cost_and_events(market: Market, account: LocalAccount) -> None:
    before = market.chain.balance(account.address)
    receipt = market.list(account, TERMS)
    assert len(bytes.fromhex(receipt.transaction_hash[2:])) == 32
    assert receipt.block_number > 0
    assert before - market.chain.balance(account.address) == receipt.gas_cost_wei
    assert receipt.gas_cost_wei >= receipt.gas_used > 21_000
    (event,) = receipt.events
    assert (event.name, event.arguments["listingId"]) == ("Listed", 1)
    listing = market.listing(1)
    assert (listing.seller, listing.open, listing.terms) == (account.address, True, TERMS)
    assert market.find_listing(account.address, TERMS) == 1
    assert market.find_listing(account.address, replace(TERMS, price_wei=TERMS.price_wei + 1)) is None
    market.verify_code()


def test_a_refused_transaction_names_the_broken_fact_and_costs_nothing(market: Market, account: LocalAccount) -> None:
    before = market.chain.balance(account.address)
    empty = replace(TERMS, windows=replace(TERMS.windows, reveal_seconds=0))
    with pytest.raises(TransactionRefusedError, match=r"EmptyWindow\(\)") as refused:
        market.list(account, empty)
    assert isinstance(refused.value.__cause__, MarketReverted)
    assert refused.value.__cause__.name == "EmptyWindow"
    assert market.chain.balance(account.address) == before
    with pytest.raises(TransactionRefusedError, match="NothingToWithdraw"):
        market.withdraw(account)
    market.list(account, TERMS)  # the account's next transaction is not affected


def test_an_account_without_money_is_told_so(market: Market) -> None:
    poor = Account.create()
    with pytest.raises(TransactionRefusedError, match=f"{poor.address} has 0 wei"):
        market.list(poor, TERMS)


def test_time_passes_only_forward_and_by_as_much_as_asked(any_chain: Chain) -> None:
    before = any_chain.time()
    any_chain.advance_time(1000)
    after = any_chain.time()
    assert 1000 <= after.newest - before.newest < 1030
    assert after.confirmed <= after.newest


def test_what_does_not_exist_is_said_to_be_missing(market: Market) -> None:
    with pytest.raises(CallerError, match="there is no listing 7"):
        market.listing(7)
    with pytest.raises(CallerError, match="there is no trade 7"):
        market.trade(7)


def test_a_kept_transaction_takes_effect_once_however_often_it_is_sent(market: Market, account: LocalAccount) -> None:
    market.list(account, TERMS)
    kept: list[bytes] = []
    first = market.open_session(account, 1, 16, b"d" * 32, 1000, kept.append)
    again = market.resend_session(kept[0])
    assert again == first
    assert market.samples_left(1, account.address) == TERMS.buyer_quota_samples - 16
    assert market.find_session(account.address, b"d" * 32) == 1
    assert market.find_session(account.address, b"e" * 32) is None


def test_a_kept_transaction_whose_place_was_taken_is_refused(market: Market, account: LocalAccount) -> None:
    market.list(account, TERMS)

    class CrashError(Exception):
        pass

    kept: list[bytes] = []

    def crash(signed: bytes) -> None:
        kept.append(signed)
        raise CrashError

    with pytest.raises(CrashError):
        market.open_session(account, 1, 16, b"d" * 32, 1000, crash)
    market.list(account, TERMS)  # takes the number of the transaction that was not sent
    with pytest.raises(TransactionRefusedError, match="another transaction of 0x"):
        market.resend_session(kept[0])


def test_dead_node_gives_one_clear_line() -> None:
    with pytest.raises(ChainUnavailableError) as refused:
        Chain.connect("http://127.0.0.1:1")
    assert "\n" not in str(refused.value)
    assert "the node at http://127.0.0.1:1 failed" in str(refused.value)


def test_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(ChainUnavailableError) as refused:
        Chain.connect("http://user:secret@127.0.0.1:1")
    assert "secret" not in str(refused.value)


def test_mute_node_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ChainUnavailableError):
            Chain.connect(url, timeout_seconds=0.2)


class _NotANode(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web_page() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _NotANode)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_web_page_is_no_node(web_page: str) -> None:
    with pytest.raises(ChainUnavailableError):
        Chain.connect(web_page)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ftp://127.0.0.1", "file:///etc/passwd"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(CallerError, match="is not the URL of a node"):
        Chain.connect(url)


@pytest.mark.anvil
def test_too_few_confirmations_in_time_are_an_environment_fault(anvil_url: str) -> None:
    patient = Chain.connect(anvil_url)
    account = Account.create()
    patient.fund(account.address, ETHER)
    deployment = patient.deploy(account, new_salt())
    hasty = Chain.connect(anvil_url, confirmations=3, timeout_seconds=0.5)
    with pytest.raises(ChainUnavailableError, match="1 of 3 confirmations"):
        Market(hasty, deployment).list(account, TERMS)


@pytest.mark.anvil
def test_what_a_reorganisation_may_undo_does_not_count_yet(anvil_url: str) -> None:
    """A seller that reveals its key on an unconfirmed acceptance would give the model away."""
    hasty = Chain.connect(anvil_url)
    account = Account.create()
    hasty.fund(account.address, ETHER)
    deployment = hasty.deploy(account, new_salt())
    hasty.advance_time(1)
    hasty.advance_time(1)
    careful = Market(Chain.connect(anvil_url, confirmations=3), deployment)
    Market(hasty, deployment).list(account, TERMS)
    for _ in range(2):
        assert careful.find_listing(account.address, TERMS) is None
        with pytest.raises(CallerError):
            careful.listing(1)
        hasty.advance_time(1)
    assert careful.listing(1).seller == account.address
    assert careful.find_listing(account.address, TERMS) == 1
