"""Both companies' processes are killed (SIGKILL) at random: every trade settles, nothing is paid or proven twice.

What `test_kill_and_resume` can't see: files half written, processes left behind, locks, databases in the middle of a
transaction, transactions that the node has and their sender doesn't know of. `KILLS=100 pytest …` kills more often.
"""

import os
import random
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from contracts import ContractsError
from ledger import verify_log
from tests.simulators.companies import FUNDS_WEI, Companies, finish
from tests.simulators.node import Node
from tests.simulators.reaper import Kills, Reaper, Wire, marked_processes
from trader.chain import Chain
from trader.chain.market import Market
from trader.demo.training import DemoModel
from trader.errors import TraderError
from trader.package import SellerPackage
from trader.trade import State
from zk.storage import temporary_folder

if TYPE_CHECKING:
    from tests.simulators.companies import Process

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("SEED", "0")) or secrets.randbits(32)
FOR_EVER = 10**6
PATIENCE_SECONDS = 120.0


def say(line: object) -> None:
    """For `pytest -s`, and for what failed."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def wait_for_listing(url: str, folder: Path) -> Market:
    """Until the seller has listed its package and published it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            market = Market.at(Chain.connect(url))
            if market.listing(1).open and any(folder.glob("*package*")):
                return market
        except (TraderError, ContractsError):
            pass
        time.sleep(0.3)
    pytest.fail("nothing was listed")


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.timeout(300 + 20 * KILLS)
def test_killed_processes_lose_nothing(
    trained_model: DemoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(f"KILLS={KILLS} SEED={SEED}")
    # Apart from others on this machine: leases of killed provers would hold them up.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    node = Node(tmp_path)
    url = node.start()
    try:
        mark = play(Companies(tmp_path, trained_model), url)
        check_remains(tmp_path, mark, monkeypatch)
    finally:
        node.stop()


def play(companies: Companies, url: str) -> str:
    """Trades, one after the other, until all kills are used up; then what must hold. Returns the processes' mark."""
    folder, draw = companies.folder, random.Random(SEED)
    mark = f"killed-{secrets.token_hex(8)}"
    companies.environment |= {"MARK": mark, "TMPDIR": str(folder / "scratch")}
    (folder / "scratch").mkdir()
    package, chain = companies.prepare(), Chain.connect(url)
    companies.fund(chain, "seller")

    seller_wire, buyer_wire = Wire(url), Wire(url)
    with seller_wire.running() as seller_url, buyer_wire.running() as buyer_url:

        def seller(kills: Kills) -> Reaper:
            def start(output: IO[str]) -> "Process":
                return companies.start_seller(seller_url, trades=FOR_EVER, output=output)

            return Reaper(seller_wire, folder / "seller", start, kills, random.Random(draw.random()), say)

        # Kills of their own, so that a seller that is struck again and again before it has listed leaves some.
        listing = seller(Kills(KILLS // 3))
        with at_work(listing):
            market = wait_for_listing(url, folder / "exchange")
        kills = Kills(KILLS - len(listing.deaths))
        selling, names, deaths = seller(kills), list[str](), listing.deaths
        with at_work(selling) as failed:
            while kills.left and not failed:
                names.append(f"buyer-{len(names) + 1}")
                companies.new_account(names[-1])
                companies.fund(chain, names[-1])

                def start(output: IO[str], name: str = names[-1]) -> "Process":
                    return companies.start_buyer(buyer_url, 1, name, output)

                buyer = Reaper(buyer_wire, folder / names[-1], start, kills, random.Random(draw.random()), say)
                buyer.run()
                deaths += buyer.deaths
        deaths += selling.deaths
        finish(companies.start_seller(seller_url, trades=len(names)))
    say(f"{len(names)} trades, {len(deaths)} kills: {Counter(way for way, _ in deaths)}")

    check_books(companies, market, names)
    check_secrets(market, package, seller_wire.sent, len(names))
    for name in ("seller", *names):
        verify_log(companies.audit_log(name))
    for name in names:
        assert (folder / f"{name}.onnx").read_bytes() == package.plain_model
    return mark


@contextmanager
def at_work(seller: Reaper) -> Iterator[list[BaseException]]:
    """Let a seller run beside what the block does; inside it, what it failed with."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            seller.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield failed
    seller.over.set()
    thread.join(timeout=60)
    assert failed == []


def check_books(companies: Companies, market: Market, names: list[str]) -> None:
    """Every buyer has paid once, for one trade that settled; the seller has all of it."""
    chain, count = market.chain, len(names)
    assert market.contract.functions.tradeCount().call() == count
    assert market.contract.functions.listingCount().call() == 1
    assert {market.trade(number).position.state for number in range(1, count + 1)} == {State.SETTLED}
    terms = market.listing(1).terms
    fee_wei = terms.fee_wei * market.trade(1).samples
    for name, sign in (("seller", count), *((name, -1) for name in names)):
        address = companies.address(name)
        gain = chain.balance(address) - FUNDS_WEI + gas_paid(chain, address)
        assert gain == sign * (terms.price_wei + fee_wei), name
        assert market.credit(address) == 0


def gas_paid(chain: Chain, address: str) -> int:
    """What an account has paid for gas."""
    eth = chain.web3.eth
    blocks = (eth.get_block(number, True) for number in range(eth.block_number + 1))
    own = (t["hash"] for block in blocks for t in block["transactions"] if t["from"] == address)
    return sum(found["gasUsed"] * found["effectiveGasPrice"] for found in map(eth.get_transaction_receipt, own))


def check_secrets(market: Market, package: SellerPackage, sent: list[bytes], trades: int) -> None:
    """One proof and one key for each trade, whatever was sent how often; no key for two trades."""
    proofs, keys = set(), set()
    for data in sent:
        try:
            function, arguments = market.contract.decode_function_input(data)
        except ValueError:
            continue  # a deployment, or the verifier's
        if function.fn_name == "prove":
            proofs.add((arguments["tradeId"], bytes(arguments["audit"]["proof"]), arguments["ciphertextRoot"]))
        if function.fn_name == "reveal":
            keys.add((arguments["tradeId"], arguments["key"]))
    for found in (proofs, keys):
        assert sorted(trade_id for trade_id, *_ in found) == list(range(1, trades + 1))
    assert len({key for _, key in keys}) == trades
    assert package.budget.published == trades


def check_remains(folder: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process outlives its party; what was left of files does not add up, and goes with the next that is made."""
    until = time.monotonic() + 10
    while (alive := marked_processes(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    assert alive == set()
    scratch, left = folder / "scratch", [path for path in folder.rglob(".*") if path.is_file()]
    say(f"left: {[path.name for path in scratch.iterdir()]}, {[str(path.relative_to(folder)) for path in left]}")
    for path in scratch.iterdir():
        os.utime(path, (0, 0))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with temporary_folder("next"):
        pass
    assert list(scratch.iterdir()) == []
    assert max(Counter((path.parent, path.stem) for path in left).values(), default=0) <= 1
