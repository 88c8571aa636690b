"""Announcements of endpoints: the seller's newest one counts, whatever others say."""

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from contracts import Deployment, bind_directory, published_deployment
from trader.chain import Chain
from trader.chain.directory import MAX_ENDPOINT_BYTES, Directory
from trader.chain.market import Market
from trader.errors import CallerError

HERE = "https://models.example/shop"


def funded(chain: Chain) -> LocalAccount:
    account: LocalAccount = Account.create()
    chain.fund(account.address, 10**18)
    return account


@pytest.fixture
def market(chain: Chain) -> Market:
    return Market(chain, published_deployment())


def test_nothing_was_announced_where_nobody_deployed_the_directory(market: Market) -> None:
    assert Directory(market).endpoint(1, Account.create().address) is None


def test_newest_word_of_the_seller_counts(chain: Chain, market: Market) -> None:
    directory, seller, stranger = Directory(market), funded(chain), funded(chain)
    assert directory.announce(seller, 1, "file:///srv/old") is not None
    assert directory.announce(seller, 1, HERE) is not None
    assert directory.announce(stranger, 1, "https://elsewhere.example") is not None
    assert directory.endpoint(1, seller.address) == Directory(market).endpoint(1, seller.address) == HERE
    assert directory.endpoint(2, seller.address) is None


def test_what_stands_there_is_not_announced_again(chain: Chain, market: Market) -> None:
    directory, seller = Directory(market), funded(chain)
    directory.announce(seller, 1, HERE)
    assert directory.announce(seller, 1, HERE) is None
    assert directory.announce(seller, 1, "") is not None
    assert directory.endpoint(1, seller.address) is None


def test_announcement_for_another_market_is_of_no_account(chain: Chain, market: Market) -> None:
    other = Market(chain, Deployment("0x" + "11" * 20, market.deployment.verifier))  # type: ignore[arg-type]
    seller = funded(chain)
    Directory(other).announce(seller, 1, HERE)
    assert Directory(market).endpoint(1, seller.address) is None


@pytest.mark.parametrize("endpoint", ["https://a.example/\x1b[2J", "https://" + "a" * MAX_ENDPOINT_BYTES])
def test_what_is_no_url_is_not_announced(chain: Chain, market: Market, endpoint: str) -> None:
    with pytest.raises(CallerError, match="no URL"):
        Directory(market).announce(funded(chain), 1, endpoint)


def test_stranger_cannot_poison_the_directory(chain: Chain, market: Market) -> None:
    directory, seller, stranger = Directory(market), funded(chain), funded(chain)
    directory.announce(seller, 1, HERE)
    contract = bind_directory(chain.web3)
    word = contract.encode_abi("announce", [market.deployment.market, 1, b"abc"]).replace(b"abc".hex(), "ff00fe")
    chain.web3.eth.send_raw_transaction(
        stranger.sign_transaction(
            {
                "to": contract.address,
                "data": word,
                "gas": 200_000,
                "gasPrice": 10**10,
                "nonce": chain.web3.eth.get_transaction_count(stranger.address),
                "chainId": chain.chain_id,
            }
        ).raw_transaction
    )
    directory.announce(seller, 2, HERE)
    assert directory.endpoint(1, seller.address) == directory.endpoint(2, seller.address) == HERE
