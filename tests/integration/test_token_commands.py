"""The page on tokens and offers, as it is written: its settings, and its commands, in one trade."""

import json
import re
import shlex
from pathlib import Path

import pytest
from eth_account import Account
from typer.testing import CliRunner

from contracts import Periphery, periphery_address
from tests.simulators.companies import PASSWORD, Companies, finish, read_listing
from tests.simulators.tokens import Coin
from tests.simulators.walkthrough import Command, read_page
from trader.chain import Chain
from trader.cli.app import app
from trader.demo.training import DemoModel

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "tokens.md"
ONE = 10**18
PRICE, OFFERED, BOND, FEE = 200 * ONE, 150 * ONE, 40 * ONE, 256 * 10**13
BUYER_ON_PAGE, LISTINGS_ON_PAGE = "0x8ba1f109551bD432803012645Ac136ddd64DBA72", ("7", "8")
HEADS = {
    "seller.toml": 'chain = "{chain}"\nexchange = "{exchange}"\nkeyfile = "seller.json"\nfolder = "seller"\n'
    'jobs.engine = "here"\n',
    "modelseal.toml": 'chain = "{chain}"\nexchange = "{exchange}"\nkeyfile = "buyer.json"\nfolder = "buyer"\n'
    "policy.development = true\n",
}


def run(*arguments: object) -> tuple[int, str]:
    """How a command ends, and what it prints; asked, its user says yes."""
    typed = [str(argument) for argument in arguments]
    ran = CliRunner().invoke(app, typed, input="y\n", env={"MODELSEAL_PASSWORD": PASSWORD})
    return ran.exit_code, " ".join(f"{ran.output} {ran.exception or ''}".split())


def command(*arguments: object) -> str:
    """What a command prints that must end well."""
    code, output = run(*arguments)
    assert code == 0, output
    return output


def refusal(*arguments: object) -> str:
    """What a command says that must not end well."""
    code, output = run(*arguments)
    assert code != 0, output
    return output


def written(name: str, places: dict[str, str], token: str) -> str:
    """A settings file of the page, for this chain and a token with 18 decimals."""
    (block,) = re.findall(rf'^```toml title="{name}"\n(.*?)^```$', PAGE.read_text(), re.M | re.S)
    block = re.sub(r'\{ 1 = "0x\w{40}" \}', f'{{ 31337 = "{token}" }}', block)
    return HEADS[name].format(**places) + block.replace("decimals = 6", "decimals = 18")


@pytest.mark.slow
@pytest.mark.anvil
def test_the_page_on_tokens_is_what_people_can_type(
    anvil_url: str, trained_model: DemoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    companies, chain = Companies(tmp_path, trained_model), Chain.connect(anvil_url)
    companies.prepare()
    buyer, deployer = companies.new_account("buyer"), Account.create()
    (tmp_path / "buyers.txt").write_text(f"{buyer}\n{deployer.address}\n")
    chain.fund(deployer.address, 10**18)
    for contract in (Periphery.DEPOSITS, Periphery.LISTING_POLICY):
        chain.deploy_periphery(deployer, contract)
    coin = Coin.make(chain)
    coin.mint(buyer, PRICE)
    coin.mint(companies.address("seller"), BOND)
    places = {"chain": anvil_url, "exchange": companies.exchange}
    for name in HEADS:
        (tmp_path / name).write_text(written(name, places, coin.address))
    for name in ("seller", "buyer"):
        companies.fund(chain, name)

    seller = companies.start("sell_model.py", tmp_path / "seller.toml", "--trades", 1)
    try:
        _, listing = read_listing(seller)
        check_limits(buyer, listing)
        follow(buyer, listing)
        finish(seller)
    finally:
        seller.kill()
        seller.communicate()

    sides = {"buyer": PRICE - OFFERED - FEE, "seller": BOND + OFFERED + FEE}
    for name, left in sides.items():
        account = companies.address(name)
        assert coin.of(account) == left
        assert coin.allowed(account, periphery_address(Periphery.DEPOSITS)) == 0
    assert "200 USDC, bond 40 USDC" in command("seller", "listings", "seller.toml")
    assert "withdrawn: 0 wei" in command("seller", "withdraw", "seller.toml")
    check_papers(coin, listing, companies.audit_log("buyer"))


def check_limits(buyer: str, listing: int) -> None:
    """What is too much is refused with both amounts, before anything is begun."""
    assert f"{listing} 200 USDC bond 40 USDC, test 0.00001 USDC a sample" in command("buyer", "discover")
    test_set = ("--data", "test.csv", "--labels", "labels.csv")
    refused = refusal("buyer", "buy", listing, *test_set, "--yes")
    assert "price: 200 USDC, your policy asks for at most 180 USDC" in refused
    offer = ("seller", "offer", "seller.toml", listing, buyer, "--price")
    assert "201 USDC is more than the listing's 200 USDC" in refusal(*offer, "201 USDC")
    assert "'150 ether' is not an amount" in refusal(*offer, "150 ether")


def follow(buyer: str, listing: int) -> None:
    """Type what the page has its readers type, but for what the companies have done."""
    there = {BUYER_ON_PAGE: buyer} | dict.fromkeys(LISTINGS_ON_PAGE, str(listing))
    for step in read_page(PAGE):
        assert isinstance(step, Command)
        words = [there.get(word, word) for word in shlex.split(step.line)]
        if words[1:3] != ["model", "prepare"]:
            printed = command(*words[1:])
            assert all(line in printed for line in step.shown), printed


def check_papers(coin: Coin, listing: int, log: Path) -> None:
    """Report, certificate and log have the price that was paid, in the token."""
    for name in ("report.json", "report.html"):
        command("buyer", "report", listing, "--out", name)
    money = json.loads(Path("report.json").read_text())["money"]
    assert (money["price_wei"], money["token"], money["symbol"]) == (str(OFFERED), coin.address, "USDC")
    assert "150 USDC" in Path("report.html").read_text()
    command("buyer", "certificate", listing, "--out", "certificate.json")
    verified = json.loads(command("audit", "verify-certificate", "certificate.json", "--json"))
    assert (verified["price_wei"], verified["token"]) == (str(OFFERED), coin.address)
    (trade,) = json.loads(command("audit", "query", "trades", "--listing", listing, "--log", log, "--json"))["rows"]
    assert (trade["price_wei"], trade["token"]) == (OFFERED, coin.address.lower())
    told = json.loads(command("audit", "show", trade["trade_id"], "--log", log, "--json"))["entries"]
    assert f"locked the price of {OFFERED} of {coin.address.lower()}" in [row["what"] for row in told]
