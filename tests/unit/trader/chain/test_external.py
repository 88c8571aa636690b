"""Accounts that another program signs for: what it returns is the very thing that was asked for, or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from hexbytes import HexBytes

from tests.simulators.signing_server import OTHER, SigningServer, serving
from trader.chain import Chain
from trader.chain.external import ExternalAccount
from trader.chain.market import Market
from trader.errors import AccountError, SignerUnavailableError
from trader.exchange import Kind, Label
from trader.exchange.signing import read_trailer, sign_trailer

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = Account.from_key("0x" + "11" * 32)
KEY = bytes(range(32))
LABEL = Label(Kind.MODEL, 31337, "0x" + "ab" * 20, 2**70, bytes(range(32)))
TRANSACTION = {
    "from": ACCOUNT.address,
    "to": OTHER.address,
    "value": 10**18,
    "gas": 150_000,
    "nonce": 0,
    "chainId": 31337,
    "maxFeePerGas": 3 * 10**9,
    "maxPriorityFeePerGas": 0,
    "data": "0x" + KEY.hex(),
}
DIALECTS = {"clef": {"clef": True}, "eip-1193": {}, "text": {"typed_data_as_text": True}}


@pytest.fixture(params=DIALECTS)
def server(request: pytest.FixtureRequest) -> SigningServer:
    return SigningServer(ACCOUNT, **DIALECTS[request.param])


@pytest.fixture
def account(server: SigningServer) -> Iterator[ExternalAccount]:
    with serving(server) as url:
        yield ExternalAccount.connect(url)


def test_it_signs_what_a_local_account_would(account: ExternalAccount) -> None:
    assert account.address == ACCOUNT.address
    local = ACCOUNT.sign_transaction(TRANSACTION)
    assert account.sign_transaction(TRANSACTION) == local
    digest = bytes(reversed(range(32)))
    assert sign_trailer(LABEL, digest, account) == sign_trailer(LABEL, digest, ACCOUNT)
    assert read_trailer(LABEL, sign_trailer(LABEL, digest, account), ACCOUNT.address) == digest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("to", ACCOUNT.address),
        ("value", 1),
        ("nonce", 1),
        ("gas", 1),
        ("maxFeePerGas", 10**12),
        ("maxPriorityFeePerGas", 1),
        ("data", "0x"),
        ("chainId", 1),
        ("accessList", [{"address": OTHER.address, "storageKeys": []}]),
    ],
)
def test_another_transaction_than_asked_for_is_refused(
    account: ExternalAccount, server: SigningServer, name: str, value: Any
) -> None:
    server.change_request = lambda transaction: transaction | {name: value}
    with pytest.raises(AccountError, match="signed another transaction than it was given"):
        account.sign_transaction(TRANSACTION)


def test_another_accounts_signature_is_refused(account: ExternalAccount, server: SigningServer) -> None:
    server.change = lambda method, _: (
        OTHER.sign_transaction(TRANSACTION | {"from": OTHER.address}).raw_transaction.to_0x_hex()
        if "Transaction" in method
        else f"0x{sign_trailer(LABEL, bytes(32), OTHER)[-65:].hex()}"
    )
    with pytest.raises(AccountError, match=r"signed another transaction .*the account"):
        account.sign_transaction(TRANSACTION)
    with pytest.raises(AccountError, match="did not sign as"):
        sign_trailer(LABEL, bytes(32), account)


@pytest.mark.parametrize("result", [None, 7, "0x", "0xzz", "0x02c0", {"raw": "0x02"}, {}, [], "0x" + "11" * 65])
def test_what_is_no_signature_is_refused(account: ExternalAccount, server: SigningServer, result: Any) -> None:
    server.change = lambda _method, _result: result
    with pytest.raises(AccountError, match=r"returned no signed transaction|another transaction"):
        account.sign_transaction(TRANSACTION)
    with pytest.raises(AccountError, match=r"returned no signature|did not sign"):
        sign_trailer(LABEL, bytes(32), account)


def test_the_parity_alone_is_completed(account: ExternalAccount, server: SigningServer) -> None:
    def parity(_method: str, signature: str) -> str:
        whole = HexBytes(signature)
        return HexBytes(whole[:64] + bytes([whole[64] - 27])).to_0x_hex()

    server.change = parity
    assert read_trailer(LABEL, sign_trailer(LABEL, bytes(32), account), ACCOUNT.address) == bytes(32)


def test_a_refusal_names_the_signer_and_repeats_no_secret(account: ExternalAccount, server: SigningServer) -> None:
    server.refusal = {"code": -32000, "message": f"denied:\n{TRANSACTION['data']} and {KEY.hex()}"}
    with pytest.raises(AccountError, match=r"refuses to sign for 0x.*: denied") as refused:
        account.sign_transaction(TRANSACTION)
    told = str(refused.value)
    assert KEY.hex() not in told
    assert "\n" not in told
    assert refused.value.__cause__ is None


def test_a_signer_that_is_away_says_so_without_the_request() -> None:
    with serving(SigningServer(ACCOUNT)) as url:
        account = ExternalAccount.connect(url, timeout_seconds=2)
    with pytest.raises(SignerUnavailableError, match="does not answer") as gone:
        account.sign_transaction(TRANSACTION)
    assert KEY.hex() not in str(gone.value)
    with pytest.raises(SignerUnavailableError, match="does not answer"):
        ExternalAccount.connect("ipc:///nowhere/clef.ipc", timeout_seconds=1)


def test_an_account_is_named_where_there_are_several() -> None:
    server = SigningServer(ACCOUNT)
    with serving(server) as url:
        assert ExternalAccount.connect(url, ACCOUNT.address.lower()).address == ACCOUNT.address
        with pytest.raises(AccountError, match=f"has no account {OTHER.address}"):
            ExternalAccount.connect(url, OTHER.address)
        with pytest.raises(AccountError, match="is no address"):
            ExternalAccount.connect(url, "seller")
        server.change = lambda _method, _result: [ACCOUNT.address, OTHER.address]
        with pytest.raises(AccountError, match="has 2 accounts: name one"):
            ExternalAccount.connect(url)
        server.change = lambda _method, _result: "0x"
        with pytest.raises(AccountError, match="has 0 accounts"):
            ExternalAccount.connect(url)


@pytest.mark.parametrize("url", ["http://signer.example:8550", "ftp://x", "clef.ipc", "", "file:///tmp/x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(AccountError, match=r"is not this machine|a signer's URL is"):
        ExternalAccount.connect(url)


def test_credentials_in_the_url_are_not_for_messages() -> None:
    with serving(SigningServer(ACCOUNT)) as url:
        account = ExternalAccount.connect(url.replace("http://", "http://user:hunter2@"))
    assert "hunter2" not in f"{account!r} {account.name}"


def test_it_deploys_and_trades_on_a_chain(chain: Chain) -> None:
    """Contracts are deployed through web3's own signing; moves through ours."""
    chain.fund(ACCOUNT.address, 10**18)
    server = SigningServer(ACCOUNT, clef=True)
    with serving(server) as url:
        account = ExternalAccount.connect(url)
        market = Market(chain, chain.deploy(account))
        market.verify_code()
        market.register_vka(account, [bytes(32)] * 8)
    assert "account_signTransaction" in server.asked
    assert "account_signTypedData" not in server.asked


@pytest.mark.anvil
def test_a_node_with_unlocked_accounts_signs(anvil_url: str) -> None:
    """Anvil is a signer that we did not write."""
    node = Chain.connect(anvil_url)
    first = str(node.web3.eth.accounts[0])
    account = ExternalAccount.connect(anvil_url, first)
    assert read_trailer(LABEL, sign_trailer(LABEL, bytes(32), account), first) == bytes(32)
    assert Account.recover_transaction(account.sign_transaction(TRANSACTION).raw_transaction) == first


def test_a_signer_that_is_away_raises_no_fees(chain: Chain) -> None:
    """Nothing was sent, so that nothing is replaced: what is signed at last offers what the first would have."""
    chain.fund(ACCOUNT.address, 10**18)
    server, offered = SigningServer(ACCOUNT), []
    with serving(server) as url:
        account = ExternalAccount.connect(url)
        market = Market(chain, chain.deploy(account))
        server.change_request = lambda transaction: offered.append(transaction["maxFeePerGas"]) or transaction
        server.refusal = {"code": -1, "message": "locked"}
        for _ in range(3):
            with pytest.raises(AccountError, match="locked"):
                market.register_vka(account, [bytes(32)] * 8)
        server.refusal = None
        market.register_vka(account, [bytes(32)] * 8)
        (fees,) = offered
        latest = chain.web3.eth.get_block("latest")["baseFeePerGas"]
        assert int(fees, 16) <= 3 * latest + 2 * 10**9
