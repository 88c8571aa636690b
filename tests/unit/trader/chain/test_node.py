"""Sending, waiting, time and refusals on the embedded chain and on anvil; nodes that are dead, mute or not nodes."""

import itertools
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from contracts import MarketRevertedError, Terms, Windows, offer_digest
from tests.simulators.node import connect_impatient
from tests.simulators.proxy import Proxy
from trader.chain import Chain, Ways
from trader.chain.fees import Bid, Fees, TooDearError
from trader.chain.market import Market
from trader.errors import CallerError, ChainUnavailableError, TransactionRefusedError

ETHER = 10**18
TERMS = Terms(
    manifest_hash=b"m" * 32,
    statement=b"c" * 32,
    weights_root=b"w" * 32,
    sums_root=b"s" * 32,
    price_wei=ETHER,
    bond_wei=ETHER // 5,
    fee_wei=1000,
    tolerance=5,
    audit_samples=8,
    proof_fee_wei=10,
    buyer_quota=100,
    listing_quota=200,
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
    assert isinstance(refused.value.__cause__, MarketRevertedError)
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
    assert after.confirmed <= after.newest <= after.latest


def test_what_does_not_exist_is_said_to_be_missing(market: Market) -> None:
    with pytest.raises(CallerError, match="there is no listing 7"):
        market.listing(7)
    with pytest.raises(CallerError, match="there is no trade 7"):
        market.trade(7)


def test_a_kept_transaction_takes_effect_once_however_often_it_is_sent(market: Market, account: LocalAccount) -> None:
    market.list(account, TERMS)
    kept: list[bytes] = []
    first = market.open_session(
        account, 1, offer_digest(account.address, TERMS), 16, b"d" * 32, 16 * TERMS.fee_wei, kept.append
    )
    again = market.resend_session(kept[0])
    assert again == first
    assert market.session_fee(1, account.address, 16) == 2 * 16 * TERMS.fee_wei
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
        market.open_session(account, 1, offer_digest(account.address, TERMS), 16, b"d" * 32, 16 * TERMS.fee_wei, crash)
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
    hasty = connect_impatient(anvil_url, 0.5, confirmations=3)
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


# Public nodes


@pytest.mark.anvil
def test_a_node_that_searches_few_blocks_at_once_gives_every_event(anvil_url: str) -> None:
    plain = Chain.connect(anvil_url)
    account = Account.create()
    plain.fund(account.address, ETHER)
    deployment = plain.deploy(account, new_salt())
    first_block = plain.block_number
    others = [replace(TERMS, manifest_hash=bytes([number]) * 32) for number in range(3)]
    for terms in others:
        Market(plain, deployment).list(account, terms)
        plain.web3.manager.request_blocking("anvil_mine", [700])
    proxy = Proxy(anvil_url, most_blocks=100)
    with proxy.running() as url:
        market = Market(Chain.connect(url), deployment, first_block)
        assert [market.find_listing(account.address, terms) for terms in others] == [1, 2, 3]
    assert proxy.refused > 0


@pytest.mark.anvil
def test_a_search_that_a_node_refuses_block_by_block_is_an_error(anvil_url: str) -> None:
    plain = Chain.connect(anvil_url)
    account = Account.create()
    plain.fund(account.address, ETHER)
    deployment = plain.deploy(account, new_salt())
    with Proxy(anvil_url, most_blocks=0).running() as url, pytest.raises(ChainUnavailableError, match="range over 0"):
        Market(Chain.connect(url), deployment).find_trades(1)


@pytest.mark.anvil
def test_a_public_chain_has_no_default_of_confirmations_but_its_own_word(
    anvil_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trader.chain.development.DEVELOPMENT_CHAINS", frozenset())

    class Unfinal(Proxy):
        """A node of a chain on which nothing is ever final."""

        def answer(self, body: bytes) -> bytes | None:
            call = json.loads(body)
            if "finalized" not in call["params"]:
                return super().answer(body)
            error = {"code": -32602, "message": "unknown block tag"}
            return json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}).encode()

    assert Chain.connect(anvil_url).finalized
    with Unfinal(anvil_url).running() as url:
        for confirmations in (None, "finalized"):
            with pytest.raises(CallerError, match="is on chain 31337, and names no finalized block: say how many"):
                Chain.connect(url, confirmations=confirmations)
    assert Chain.connect(anvil_url, confirmations=2).confirmations == 2
    with pytest.raises(CallerError, match="1 is the least"):
        Chain.connect(anvil_url, confirmations=0)


@pytest.mark.anvil
def test_what_is_not_finalized_does_not_count_yet(anvil_url: str) -> None:
    """The node's word counts, not a number: anvil calls final what lies 64 blocks back."""
    hasty, account = Chain.connect(anvil_url), Account.create()
    hasty.fund(account.address, ETHER)
    deployment = hasty.deploy(account, new_salt())
    hasty.web3.manager.request_blocking("anvil_mine", [64])
    careful = Market(connect_impatient(anvil_url, 1.0, confirmations="finalized"), deployment)
    sent = hasty.web3.eth.get_transaction_count(account.address, "latest") + 1
    assert (careful.chain.finalized, careful.chain.confirmations) == (True, 96)
    with pytest.raises(ChainUnavailableError, match="1 of finalized confirmations"):
        careful.list(account, TERMS)
    with pytest.raises(CallerError):
        careful.listing(1)
    hasty.web3.manager.request_blocking("anvil_mine", [64])
    assert careful.listing(1).seller == account.address
    assert careful.chain.confirmed_block().number == hasty.block_number - 64
    assert careful.list(account, TERMS).block_number == hasty.block_number - 64  # it had landed, and is not sent again
    assert hasty.web3.eth.get_transaction_count(account.address, "latest") == sent


# What waits


@pytest.fixture
def mined_by_hand(anvil_url: str) -> Iterator[Chain]:
    chain = Chain.connect(anvil_url, timeout_seconds=20.0)
    yield chain
    chain.web3.manager.request_blocking("evm_setAutomine", [True])


@pytest.mark.anvil
def test_fees_are_raised_while_a_transaction_waits_and_one_version_is_mined(mined_by_hand: Chain) -> None:
    chain, account, kept = mined_by_hand, Account.create(), []
    chain.fund(account.address, ETHER)
    market = Market(chain, chain.deploy(account, new_salt()))
    market.list(account, TERMS)
    chain.web3.manager.request_blocking("evm_setAutomine", [False])
    chain._transactions.route.raise_after_seconds = 0.3

    def mine_at_last(signed: bytes) -> None:
        kept.append(signed)
        if len(kept) == 4:
            threading.Timer(0.3, lambda: chain.web3.manager.request_blocking("evm_mine", [])).start()

    listing = market.contract.functions.list(replace(TERMS, manifest_hash=b"n" * 32).as_abi())
    receipt = chain.send(listing, account, ways=Ways(before_sending=mine_at_last))
    versions = [TypedTransaction.from_bytes(HexBytes(signed)).as_dict() for signed in kept]
    assert len(versions) >= 4
    assert len({version["nonce"] for version in versions}) == 1
    for before, after in itertools.pairwise(versions):
        for fee in ("maxFeePerGas", "maxPriorityFeePerGas"):
            assert after[fee] >= before[fee] * 1.125
    assert versions[-1]["maxFeePerGas"] < 10 * versions[0]["maxFeePerGas"]
    assert receipt.transaction_hash in {"0x" + keccak(signed).hex() for signed in kept}
    assert market.contract.functions.listingCount().call() == 2


@pytest.mark.anvil
def test_a_kept_transaction_has_one_version(mined_by_hand: Chain) -> None:
    """Another one that was mined would not be known as the same, and the fee be paid again."""
    chain, account, kept = mined_by_hand, Account.create(), []
    chain.fund(account.address, ETHER)
    market = Market(chain, chain.deploy(account, new_salt()))
    market.list(account, TERMS)
    chain.web3.manager.request_blocking("evm_setAutomine", [False])
    chain._transactions.route.raise_after_seconds = 0.2
    threading.Timer(1.5, lambda: chain.web3.manager.request_blocking("evm_mine", [])).start()
    market.open_session(
        account, 1, offer_digest(account.address, TERMS), 16, b"d" * 32, 16 * TERMS.fee_wei, kept.append
    )
    assert len(kept) == 1


def test_fees_are_raised_no_further_than_eightfold_unless_the_market_asks_more() -> None:
    bid = Bid(Fees(100, 10), Fees(100, 10))
    for _ in range(50):
        if (fees := bid.raised(Fees(50, 5), 10**6)) is None:
            break
        bid = replace(bid, newest=fees)
    assert 700 < bid.newest.most <= 800
    assert bid.raised(Fees(2000, 5), 10**6) == Fees(2000, bid.newest.raised(Fees(0, 0)).tip)
    assert bid.raised(Fees(2000, 5), 1999) is None


def test_no_fee_is_above_the_ceiling_whatever_the_node_advises() -> None:
    assert Fees.of_market(100, 3, 1000) == Fees(203, 3)
    assert Fees.of_market(100, 10**18, 1000) == Fees(1000, 900)
    assert Fees.of_market(600, 3, 1000) == Fees(1000, 3)
    with pytest.raises(TooDearError, match="your ceiling is 1 gwei"):
        Fees.of_market(2 * 10**9, 3, 10**9)


@pytest.mark.anvil
def test_a_transaction_that_ran_out_of_gas_is_sent_again_with_more(
    anvil_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, account = Chain.connect(anvil_url), Account.create()
    chain.fund(account.address, ETHER)
    market = Market(chain, chain.deploy(account, new_salt()))
    enough = market.list(account, TERMS).gas_used
    monkeypatch.setattr(chain._transactions, "_gas_limit", lambda *_: enough * 2 // 3)
    before = chain.web3.eth.get_transaction_count(account.address)
    assert market.list(account, replace(TERMS, manifest_hash=b"n" * 32)).gas_used > enough * 2 // 3
    assert chain.web3.eth.get_transaction_count(account.address) == before + 2

    monkeypatch.setattr(chain._transactions, "_gas_limit", lambda *_: enough // 8)
    with pytest.raises(TransactionRefusedError, match="failed"):
        market.list(account, replace(TERMS, manifest_hash=b"o" * 32))


@pytest.mark.anvil
def test_a_secret_goes_to_the_relay_alone(anvil_url: str) -> None:
    seen: list[str] = []

    class Relay(Proxy):
        def answer(self, body: bytes) -> bytes | None:
            seen.append(json.loads(body)["method"])
            return super().answer(body)

    with Relay(anvil_url).running() as url:
        chain, account = Chain.connect(anvil_url, reveal_url=url), Account.create()
        chain.fund(account.address, ETHER)
        market = Market(chain, chain.deploy(account, new_salt()))
        market.list(account, TERMS)
        assert seen == []
        delisting = market.contract.functions.delist(1, offer_digest(account.address, TERMS))
        chain.send(delisting, account, ways=Ways(secret=True))
        assert seen == ["eth_sendRawTransaction"]
        chain.send(market.contract.functions.list(TERMS.as_abi()), account)
        assert seen == ["eth_sendRawTransaction"]


@pytest.mark.anvil
def test_a_secret_does_not_wait_behind_another_transaction(mined_by_hand: Chain) -> None:
    """It would wait in public for as long as that one does, whatever its own fees."""
    chain, account = mined_by_hand, Account.create()
    chain.fund(account.address, ETHER)
    market = Market(chain, chain.deploy(account, new_salt()))
    market.list(account, TERMS)
    chain.web3.manager.request_blocking("evm_setAutomine", [False])
    impatient = Market(connect_impatient(chain.web3.provider.endpoint_uri, 0.5), market.deployment)
    with pytest.raises(ChainUnavailableError, match="0 of 1 confirmations"):
        impatient.list(account, replace(TERMS, manifest_hash=b"n" * 32))
    secret, left = market.contract.functions.delist(1, offer_digest(account.address, TERMS)), list[bytes]()
    with pytest.raises(ChainUnavailableError, match=r"1 transactions of 0x.* wait to be mined: a secret"):
        chain.send(secret, account, ways=Ways(before_sending=left.append, secret=True))
    assert left == []
    chain.web3.manager.request_blocking("evm_mine", [])
    chain.web3.manager.request_blocking("evm_setAutomine", [True])
    chain.send(secret, account, ways=Ways(before_sending=left.append, secret=True))
    assert len(left) == 1


@pytest.mark.anvil
def test_a_secret_that_a_killed_process_has_sent_is_sent_again_under_its_number(mined_by_hand: Chain) -> None:
    """It waits with too small a fee, say: a process that does not know it sees that something waits, and no more."""
    chain, account, left = mined_by_hand, Account.create(), list[bytes]()
    chain.fund(account.address, ETHER)
    market = Market(chain, chain.deploy(account, new_salt()))
    market.list(account, TERMS)
    secret = market.contract.functions.delist(1, offer_digest(account.address, TERMS))
    ways = Ways(before_sending=left.append, secret=True)
    chain.web3.manager.request_blocking("evm_setAutomine", [False])
    url = chain.web3.provider.endpoint_uri
    for earlier, reason in ((b"", "0 of 1 confirmations"), (b"", "wait to be mined"), (None, "0 of 1 confirmations")):
        restarted = connect_impatient(url, 0.5)
        with pytest.raises(ChainUnavailableError, match=reason):
            restarted.send(secret, account, ways=replace(ways, earlier=left[-1] if earlier is None else earlier))
    chain.web3.manager.request_blocking("evm_setAutomine", [True])
    first, second = (TypedTransaction.from_bytes(HexBytes(signed)).as_dict() for signed in left)
    assert (second["nonce"], second["data"]) == (first["nonce"], first["data"])
    assert second["maxFeePerGas"] > first["maxFeePerGas"]
    chain.web3.manager.request_blocking("evm_mine", [])
    assert chain.web3.eth.get_transaction_receipt(HexBytes(keccak(left[-1])))["status"] == 1
    # A number that was used since is not taken again.
    market.list(account, replace(TERMS, manifest_hash=b"o" * 32))
    again = market.contract.functions.delist(2, offer_digest(account.address, replace(TERMS, manifest_hash=b"o" * 32)))
    chain.send(again, account, ways=replace(ways, earlier=left[-1]))
