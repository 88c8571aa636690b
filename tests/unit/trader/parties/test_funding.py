"""Tokens on their way into the market: what is missing and no more, once, whatever the token and whenever killed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from contracts import ETH, Periphery, periphery_address
from contracts.published import read_artifacts
from tests.simulators.tokens import Coin
from trader.chain import Chain
from trader.chain.market import Market
from trader.chain.tokens import Token
from trader.errors import TokenError, TransactionRefusedError
from trader.parties.funding import Funding
from trader.parties.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from trader.chain.receipts import Receipt

NAME = "price.deposit"
KEEPS_A_FEE, RETURNS_NOTHING, LIES = 1, 3, 6
"""Members of `Manner`, in `TestToken.sol`."""


class KilledError(Exception):
    """The process ends here."""


@dataclass
class Worker:
    """An account at work, as `Actor` is: it sends, and remembers what."""

    market: Market
    account: LocalAccount
    sent: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.account.address

    def transact(self, name: str, send: Any) -> Receipt:
        receipt = send()
        self.sent.append(receipt.transaction_hash)
        return receipt


@dataclass
class Purse:
    """An account with a token, a market, and a folder."""

    actor: Worker
    coin: Coin
    vault: Vault

    def top_up(self, needed: int) -> None:
        Funding(self.actor).top_up(self.coin.address, needed, self.vault, NAME)  # type: ignore[arg-type]

    @property
    def credit(self) -> int:
        return self.actor.market.credit(self.actor.address, self.coin.address)

    @property
    def allowed(self) -> tuple[int, int]:
        market = self.actor.market.deployment.market
        spenders = market, periphery_address(Periphery.DEPOSITS)
        return tuple(self.coin.allowed(self.actor.address, one) for one in spenders)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def market() -> Market:
    chain, deployer = Chain.embedded(), Account.create()
    chain.fund(deployer.address, 10**19)
    market = Market(chain, chain.deploy(deployer))
    chain.deploy_periphery(deployer, Periphery.DEPOSITS)
    return market


@pytest.fixture(params=["StandInToken", "TestToken"])
def purse(request: pytest.FixtureRequest, market: Market, tmp_path: Path) -> Purse:
    return purse_of(market, tmp_path, request.param)


def purse_of(market: Market, folder: Path, kind: str) -> Purse:
    account, coin = Account.create(), Coin.make(market.chain, kind)
    market.chain.fund(account.address, 10**18)
    coin.mint(account.address, 1000)
    return Purse(Worker(market, account), coin, Vault(folder, None))


def test_what_is_missing_is_deposited_and_nothing_stays_allowed(purse: Purse) -> None:
    purse.top_up(300)
    assert (purse.credit, purse.coin.of(purse.actor.address), purse.allowed) == (300, 700, (0, 0))
    purse.top_up(300)
    purse.top_up(200)
    assert len(purse.actor.sent) == 1
    purse.top_up(450)
    assert (purse.credit, purse.coin.of(purse.actor.address), purse.allowed) == (450, 550, (0, 0))
    assert len(set(purse.actor.sent)) == 2
    with pytest.raises(TransactionRefusedError, match=r"has 550 of the token .* 551 are missing"):
        purse.top_up(1001)
    assert purse.credit == 450


def test_ether_is_not_deposited(purse: Purse) -> None:
    Funding(purse.actor).top_up(ETH, 10**30, purse.vault, NAME)  # type: ignore[arg-type]
    assert purse.actor.sent == []


@pytest.mark.parametrize("kind", ["StandInToken", "TestToken"])
@pytest.mark.parametrize("left", [False, True])
def test_a_killed_process_deposits_once(market: Market, tmp_path: Path, kind: str, left: bool) -> None:
    """Killed with the deposit signed, before it has left or after it was mined."""
    purse = purse_of(market, tmp_path, kind)
    signed = kept_before_the_kill(purse, 300, left=left)
    assert purse.credit == (300 if left else 0)
    purse.top_up(300)
    purse.top_up(300)
    assert (purse.credit, purse.coin.of(purse.actor.address), purse.allowed) == (300, 700, (0, 0))
    assert purse.vault.read(NAME)[32:] == signed
    assert len(purse.actor.sent) == (0 if left else 1)


def test_a_deposit_that_can_not_take_effect_any_more_is_made_anew(market: Market, tmp_path: Path) -> None:
    purse = purse_of(market, tmp_path, "StandInToken")
    signed = kept_before_the_kill(purse, 300, left=False)
    elsewhere = {"to": purse.actor.address, "value": 0, "gas": 21_000, "chainId": market.chain.chain_id, "nonce": 0}
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 1}
    other = purse.actor.account.sign_transaction({**elsewhere, **fees})
    market.chain.web3.eth.send_raw_transaction(other.raw_transaction)
    purse.top_up(300)
    assert purse.credit == 300
    assert purse.vault.read(NAME)[32:] != signed


def kept_before_the_kill(purse: Purse, amount: int, *, left: bool) -> bytes:
    """What the folder holds after a process was killed around its sending; the rest is as if it had never been."""
    market, kept = purse.actor.market, list[bytes]()
    (way, *_) = Token(market, purse.coin.address).ways_in(purse.actor.account, amount)

    def keep(signed: bytes) -> None:
        kept.append(signed)
        purse.vault.write(NAME, amount.to_bytes(32, "big") + signed)
        if not left:
            raise KilledError

    if left:
        way(keep)
    else:
        with pytest.raises(KilledError):
            way(keep)
    return kept[0]


def test_an_authorisation_where_there_is_no_permit(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    purse = purse_of(market, tmp_path, "StandInToken")
    monkeypatch.setattr(Token, "_has_permit", lambda *_: False)
    purse.top_up(300)
    assert (purse.credit, purse.allowed) == (300, (0, 0))
    sent = market.chain.web3.eth.get_transaction(purse.actor.sent[0])  # type: ignore[arg-type]
    assert called(sent["input"]) == "depositWithAuthorization"


def called(calldata: bytes) -> str:
    abi = read_artifacts().contracts[Periphery.DEPOSITS].abi
    return str(Chain.embedded().web3.eth.contract(abi=abi).decode_function_input(calldata)[0].fn_name)


def test_where_deposits_was_not_deployed_an_approval_is_enough(tmp_path: Path) -> None:
    chain, deployer = Chain.embedded(), Account.create()
    chain.fund(deployer.address, 10**19)
    purse = purse_of(Market(chain, chain.deploy(deployer)), tmp_path, "StandInToken")
    purse.top_up(300)
    assert (purse.credit, purse.allowed) == (300, (0, 0))


def test_an_allowance_that_is_there_is_used_and_one_too_small_replaced(market: Market, tmp_path: Path) -> None:
    """Not added to: some tokens go from nothing alone."""
    purse = purse_of(market, tmp_path, "TestToken")
    account, contract = purse.actor.account, purse.coin.contract
    market.chain.send(contract.functions.approve(market.deployment.market, 7), account)
    purse.top_up(300)
    assert (purse.credit, purse.allowed) == (300, (0, 0))
    market.chain.send(contract.functions.approve(market.deployment.market, 500), account)
    purse.top_up(400)
    assert (purse.credit, purse.allowed) == (400, (400, 0))  # its owner's, who has given it


@pytest.mark.parametrize(("manner", "arrived"), [(KEEPS_A_FEE, 297), (LIES, 0)])
def test_a_token_that_keeps_a_part_is_no_money(market: Market, tmp_path: Path, manner: int, arrived: int) -> None:
    """And a second try sends no more after it."""
    purse = purse_of(market, tmp_path, "TestToken")
    purse.coin.send(purse.coin.contract.functions.behave(manner, market.deployment.market, b""))
    for _ in range(2):
        with pytest.raises(TokenError, match=f"of 300 sent .* {arrived} arrived"):
            purse.top_up(300)
        assert purse.credit == arrived
    assert purse.coin.of(purse.actor.address) == (700 if manner == KEEPS_A_FEE else 1000)


def test_a_permit_of_such_a_token_helps_no_more(market: Market, tmp_path: Path) -> None:
    purse = purse_of(market, tmp_path, "StandInToken")
    purse.coin.send(purse.coin.contract.functions.setFee(100))
    for _ in range(2):
        with pytest.raises(TokenError):
            purse.top_up(1000)
    assert purse.coin.of(purse.actor.address) == 0


def test_old_tokens_return_nothing(market: Market, tmp_path: Path) -> None:
    purse = purse_of(market, tmp_path, "TestToken")
    purse.coin.send(purse.coin.contract.functions.behave(RETURNS_NOTHING, market.deployment.market, b""))
    purse.top_up(300)
    assert purse.credit == 300


def test_what_is_signed_is_for_this_token_on_this_chain(market: Market, tmp_path: Path) -> None:
    """A token that gives out another one's domain has no permits here."""
    purse = purse_of(market, tmp_path, "StandInToken")
    other = Coin.make(market.chain)
    token = Token(market, other.address)
    asked = token._ask

    def borrowed(name: str, *arguments: Any) -> Any:
        return Token(market, purse.coin.address)._ask(name) if name == "DOMAIN_SEPARATOR" else asked(name, *arguments)

    token._ask = borrowed  # type: ignore[method-assign]
    assert token._domain() is None
    assert len(list(token.ways_in(purse.actor.account, 1))) == 1


def test_what_is_no_token_says_nothing(market: Market) -> None:
    for address in (Account.create().address, market.deployment.market):
        token = Token(market, address)
        assert (token.decimals(), token.balance(address)) == (None, 0)


def test_decimals_are_the_tokens_word(market: Market) -> None:
    assert Token(market, Coin.make(market.chain, "TestToken").address).decimals() == 6
