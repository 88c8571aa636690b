"""A model sold in a token, at the price of an offer, with the commands that people type."""

import json
from pathlib import Path

import pytest
from eth_account import Account
from typer.testing import CliRunner

from contracts import Periphery, periphery_address
from tests.simulators.companies import PASSWORD, SELLER, Companies, finish, read_listing
from tests.simulators.tokens import Coin
from trader.chain import Chain
from trader.cli.app import app
from trader.demo.training import DemoModel

ONE = 10**18
TOKENS = """\
[tokens.USDX]
decimals = 18
addresses = {{ 31337 = "{token}" }}
"""
BUYER = """\
chain = "{chain}"
exchange = "{exchange}"
keyfile = "buyer.json"
folder = "buyer"
policy.development = true
policy.max_price = "0.6 USDX"
"""


def run(*arguments: object) -> tuple[int, str]:
    """How a command ends, and what it prints."""
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"MODELSEAL_PASSWORD": PASSWORD})
    return ran.exit_code, " ".join(f"{ran.output} {ran.exception or ''}".split())


def command(*arguments: object) -> str:
    """What a command prints that must end well."""
    code, output = run(*arguments)
    assert code == 0, output
    return output


@pytest.mark.slow
@pytest.mark.anvil
def test_an_offer_in_a_token_from_the_listing_to_the_report(
    anvil_url: str, trained_model: DemoModel, tmp_path: Path
) -> None:
    companies, chain = Companies(tmp_path, trained_model), Chain.connect(anvil_url)
    companies.prepare()
    buyer, deployer = companies.new_account("buyer"), Account.create()
    chain.fund(deployer.address, 10**18)
    for contract in (Periphery.DEPOSITS, Periphery.LISTING_POLICY):
        chain.deploy_periphery(deployer, contract)
    coin = Coin.make(chain)
    coin.mint(buyer, ONE)
    coin.mint(companies.address("seller"), ONE)
    for name in ("seller", "buyer"):
        companies.fund(chain, name)
    selling, buying = tmp_path / "seller.toml", tmp_path / "buyer.toml"
    places = {"chain": anvil_url, "exchange": companies.exchange}
    listing_in_tokens = SELLER.format(**places).replace(" ether", " USDX") + 'policy = "rules"\n'
    selling.write_text(listing_in_tokens + TOKENS.format(token=coin.address))
    buying.write_text(BUYER.format(**places) + TOKENS.format(token=coin.address))

    seller = companies.start("sell_model.py", selling, "--trades", 1)
    try:
        _, listing = read_listing(seller)
        sold_to(buyer, listing, selling, buying, tmp_path)
        finish(seller)
    finally:
        seller.kill()
        seller.communicate()

    fee = 256 * 10**13
    assert (coin.of(buyer), coin.of(companies.address("seller"))) == (ONE // 2 - fee, ONE + ONE // 2 + fee)
    for account in (buyer, companies.address("seller")):
        assert coin.allowed(account, periphery_address(Periphery.DEPOSITS)) == 0
    assert "1 USDX, bond 0.2 USDX" in command("seller", "listings", selling)
    for side in (("seller", "withdraw", selling), ("buyer", "withdraw", "--config", buying)):
        assert "withdrawn: 0 wei" in command(*side)
    check_papers(coin, listing, buying, tmp_path)
    trades = ("audit", "query", "trades", "--log", companies.audit_log("buyer"))
    told = command("audit", "show", json.loads(command(*trades, "--json"))["rows"][0]["trade_id"], *trades[3:])
    assert f"locked the price of {ONE // 2} of {coin.address.lower()[:8]}" in told


def sold_to(buyer: str, listing: int, selling: Path, buying: Path, folder: Path) -> None:
    """The commands of both sides, from the offer to the model."""
    discovered = command("buyer", "discover", "--config", buying)
    assert f"{listing} 1 USDX bond 0.2 USDX, test 0.00001 USDX a sample" in discovered
    test_set = ("--data", folder / "test.csv", "--labels", folder / "labels.csv")
    code, refused = run("buyer", "buy", listing, "--config", buying, *test_set, "--yes")
    assert code != 0
    assert "price: 1 USDX, your policy asks for at most 0.6 USDX" in refused

    offer = folder / "offer.json"
    code, refused = run("seller", "offer", selling, listing, buyer, "--price", "2 USDX", "--out", offer)
    assert code != 0
    assert "2 USDX is more than the listing's 1 USDX" in refused
    code, refused = run("seller", "offer", selling, listing, buyer, "--price", "0.5 ether", "--out", offer)
    assert code != 0
    command("seller", "offer", selling, listing, buyer, "--price", "0.5 USDX", "--out", offer)
    told = command("buyer", "verify", listing, "--config", buying, "--offer", offer)
    assert "price: 0.5 USDX (the seller's offer)" in told
    model = folder / "bought.onnx"
    assert "bought" in command("buyer", "buy", listing, "--config", buying, *test_set, "--yes", "--out", model)
    assert model.exists()


def check_papers(coin: Coin, listing: int, buying: Path, folder: Path) -> None:
    """Report and certificate have the price that was paid, in the token."""
    report, certificate = folder / "report.json", folder / "certificate.json"
    command("buyer", "report", listing, "--config", buying, "--out", report)
    money = json.loads(report.read_text())["money"]
    assert (money["price_wei"], money["token"], money["symbol"]) == (str(ONE // 2), coin.address, "USDX")
    page = folder / "report.html"
    command("buyer", "report", listing, "--config", buying, "--out", page)
    assert "0.5 USDX" in page.read_text()
    command("buyer", "certificate", listing, "--config", buying, "--out", certificate)
    verified = json.loads(command("audit", "verify-certificate", certificate, "--json"))
    assert (verified["price_wei"], verified["token"]) == (str(ONE // 2), coin.address)
