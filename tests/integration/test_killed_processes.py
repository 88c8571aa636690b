"""Two companies over a network that fails, both killed (SIGKILL) at random: every trade settles, nothing is lost.

A seller's service with its workers, buyers that come several at a time, proxies in front of the node and of the service
that let one request in ten go wrong. What `test_kill_and_resume` can't see: files half written, processes left behind,
locks, databases in the middle of a transaction, transactions that the node has and their sender doesn't know of,
uploads and downloads that break off.

`TRADES=100 KILLS=400 BUYERS=4 pytest …` plays longer (`make chaos`); `CHAOS_RESULT` names a file for the figures.
"""

import json
import os
import random
import secrets
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from eth_account import Account

from contracts import ContractsError
from ledger import AuditLog, export_log, verify_log
from tests.simulators.companies import FUNDS_WEI, PASSWORD, finish
from tests.simulators.node import Node
from tests.simulators.ports import free_port
from tests.simulators.proxy import Faults, HttpProxy
from tests.simulators.reaper import WAYS, WAYS_OF_A_SERVICE, Kills, Reaper, Wire, marked_processes
from tests.simulators.remote_companies import RemoteCompanies
from trader.chain import Chain
from trader.chain.directory import Directory
from trader.chain.market import Market
from trader.demo.training import DemoModel
from trader.errors import TraderError
from trader.package import SellerPackage
from trader.parties.filenames import KEPT
from trader.parties.vault import Vault
from trader.parties.vault_key import read_vault_key
from trader.trade import State
from zk.storage import temporary_folder

if TYPE_CHECKING:
    from tests.simulators.companies import Process

TRADES = int(os.environ.get("TRADES", "2"))
KILLS = int(os.environ.get("KILLS", "6"))
BUYERS = int(os.environ.get("BUYERS", "2"))
SEED = int(os.environ.get("SEED", "0")) or secrets.randbits(32)
RESULT = os.environ.get("CHAOS_RESULT")
SHARE = 0.1
"""Of the requests, which go wrong."""
FOR_EVER = 10**6
PATIENCE_SECONDS = 240.0
WINDOW_BYTES = 24
"""So much of a secret in an output would be a leak."""


def say(line: object) -> None:
    """For `pytest -s`, and for what failed."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.timeout(300 + 120 * TRADES + 20 * KILLS)
def test_killed_processes_lose_nothing(
    trained_model: DemoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(f"TRADES={TRADES} KILLS={KILLS} BUYERS={BUYERS} SEED={SEED}")
    # Apart from others on this machine: leases of killed provers would hold them up.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    node = Node(tmp_path)
    url = node.start()
    try:
        mark = Chaos(tmp_path, trained_model, url).play()
        check_remains(tmp_path, mark, monkeypatch)
    finally:
        node.stop()


class Chaos:
    """Trades until all are done, and all kills used up; then what must hold."""

    def __init__(self, folder: Path, model: DemoModel, url: str) -> None:
        self.folder = folder
        self.url = url
        self.draw = random.Random(SEED)
        self.companies = RemoteCompanies(folder, model, port=free_port())
        self.chain = Chain.connect(url)
        self.deaths: list[tuple[str, str]] = []
        self.gave_up = 0
        self.faults = {name: Faults(random.Random(self.draw.random()), SHARE) for name in ("rpc", "http")}
        self._lock = threading.Lock()

    def play(self) -> str:
        """Returns the processes' mark."""
        companies, begin = self.companies, time.monotonic()
        mark = f"killed-{secrets.token_hex(8)}"
        companies.environment |= {"MARK": mark, "TMPDIR": str(self.folder / "scratch")}
        (self.folder / "scratch").mkdir()
        (self.folder / "printed").mkdir()
        with ExitStack() as stack:
            proxy = HttpProxy(f"127.0.0.1:{companies.port}", faults=self.faults["http"])
            companies.url = stack.enter_context(proxy.running())
            package = companies.prepare(buyers=TRADES)
            companies.fund(self.chain, "seller")
            wire = Wire(self.url, self.faults["rpc"])
            seller_url = stack.enter_context(wire.running())
            kills = Kills(max(1, KILLS // 10))

            def serve(output: IO[str]) -> "Process":
                return companies.start_seller(seller_url, trades=FOR_EVER, output=output)

            selling = self.reaper("seller", wire, kills, serve)
            with at_work(selling) as failed:
                market = wait_for_listing(self.url, failed)
                names = [f"buyer-{number}" for number in range(1, TRADES + 1)]
                self.trade(names, kills, failed)
            self.count(selling)
            finish(companies.start_seller(self.url, trades=TRADES), PATIENCE_SECONDS)
        check_books(companies, market, names)
        check_secrets(market, package, wire.sent, len(names))
        check_printed(companies, market, names)
        for name in ("seller", *names):
            verify_log(companies.audit_log(name))
        for name in names:
            assert (self.folder / f"{name}.onnx").read_bytes() == package.plain_model
        self.report(time.monotonic() - begin)
        return mark

    def trade(self, names: list[str], kills: Kills, failed: list[BaseException]) -> None:
        """Buyers come, several at a time; kills are dealt out as they do."""
        shares = Counter(self.draw.randrange(2 * TRADES) for _ in range(KILLS - KILLS // 10))

        def come(number: int, name: str) -> None:
            kills.add(shares[TRADES + number])
            if not failed:
                self.buy(name, shares[number])

        for name in names:
            self.companies.new_account(name)
            self.companies.fund(self.chain, name)
        with ThreadPoolExecutor(BUYERS) as pool:
            for future in [pool.submit(come, number, name) for number, name in enumerate(names)]:
                future.result()

    def buy(self, name: str, kills: int) -> None:
        """One purchase to its end: begun by one command, gone on with by it or by the other."""
        wire = Wire(self.url, self.faults["rpc"])
        with wire.running() as url:

            def start(output: IO[str]) -> "Process":
                resumes = self.has_session(name) and self.draw.random() < 0.5
                command = self.companies.resume_buyer if resumes else self.companies.start_buyer
                return command(url, 1, name, output)

            buyer = self.reaper(name, wire, Kills(kills), start)
            buyer.run()
        self.count(buyer)
        say(f"{name} has bought")

    def has_session(self, name: str) -> bool:
        """Whether a buyer has opened its session."""
        opened = Market.at(Chain.connect(self.url)).find_sessions(1)
        return any(log.arguments["buyer"] == self.companies.address(name) for log in opened)

    def reaper(self, name: str, wire: Wire, kills: Kills, start: Any) -> Reaper:
        """Kills one party's processes, and keeps what they print."""
        ways = WAYS_OF_A_SERVICE if name == "seller" else WAYS
        record = self.folder / "printed" / name
        return Reaper(wire, self.folder / name, start, kills, random.Random(self.draw.random()), say, ways, record)

    def count(self, reaper: Reaper) -> None:
        """Add up how its processes have ended."""
        with self._lock:
            self.deaths += [("seller" if reaper.folder.name == "seller" else "buyers", way) for way, _ in reaper.deaths]
            self.gave_up += reaper.gave_up

    def report(self, seconds: float) -> None:
        """Say what has happened, and write it down where that is wanted."""
        faults = {
            name: {fault.value: count for fault, count in drawn.count.items()} for name, drawn in self.faults.items()
        }
        result = {
            "trades": TRADES,
            "at_once": BUYERS,
            "seed": SEED,
            "kills": len(self.deaths),
            "ways": {f"{who}: {way}": count for (who, way), count in sorted(Counter(self.deaths).items())},
            "faults": faults,
            "ended_by_faults": self.gave_up,
            "seconds": round(seconds),
        }
        say(json.dumps(result, indent=1))
        if RESULT is not None:
            Path(RESULT).write_text(json.dumps(result, indent=1) + "\n")


def wait_for_listing(url: str, failed: list[BaseException]) -> Market:
    """Until the seller has listed its package, and said where it is reached."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and not failed:
        try:
            market = Market.at(Chain.connect(url))
            if market.listing(1).open and Directory(market).endpoint(1, market.listing(1).seller):
                return market
        except (TraderError, ContractsError):
            pass
        time.sleep(0.3)
    pytest.fail(f"nothing was listed: {failed}")


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
    try:
        yield failed
    finally:
        seller.over.set()
        thread.join(timeout=60)
    assert failed == []


def check_books(companies: RemoteCompanies, market: Market, names: list[str]) -> None:
    """Every buyer has paid once, for one trade that settled; the seller has all of it."""
    chain, count = market.chain, len(names)
    assert market.contract.functions.tradeCount().call() == count
    assert market.contract.functions.listingCount().call() == 1
    assert {market.trade(number).position.state for number in range(1, count + 1)} == {State.SETTLED}
    terms = market.listing(1).terms
    fee_wei = terms.fee_wei * market.trade(1).samples
    gas = gas_paid(chain)
    for name, sign in (("seller", count), *((name, -1) for name in names)):
        address = companies.address(name)
        gain = chain.balance(address) - FUNDS_WEI + gas[address]
        assert gain == sign * (terms.price_wei + fee_wei), name
        assert market.credit(address) == 0
    assert chain.balance(market.deployment.market) == 0


def gas_paid(chain: Chain) -> Counter[str]:
    """What each account has paid for gas."""
    eth, paid = chain.web3.eth, Counter[str]()
    for number in range(eth.block_number + 1):
        for sent in eth.get_block(number, True)["transactions"]:
            receipt = eth.get_transaction_receipt(sent["hash"])
            paid[sent["from"]] += receipt["gasUsed"] * receipt["effectiveGasPrice"]
    return paid


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


def check_printed(companies: RemoteCompanies, market: Market, names: list[str]) -> None:
    """Nothing that a process has printed, and nothing in its audit log, holds a secret of anybody."""
    folder = companies.folder
    found = {path.name: path.read_bytes() for path in (folder / "printed").iterdir()}
    found |= {f"log of {name}": logged(companies.audit_log(name)) for name in ("seller", *names)}
    secrets_of = {"password": PASSWORD.encode()}
    for name in ("seller", *names):
        keyfile = json.loads((folder / f"{name}.json").read_text())
        secrets_of |= spellings(f"account of {name}", bytes(Account.decrypt(keyfile, PASSWORD)))
        for path in (folder / name).rglob("vault.key"):
            secrets_of |= spellings(str(path), read_vault_key(path.parent, PASSWORD).secret)
            secrets_of |= kept_secrets(path.parent)
    for trade_id in range(1, len(names) + 1):
        (revealed,) = (log for log in market.trade_logs(trade_id) if log.name == "Revealed")
        secrets_of |= spellings(f"key of trade {trade_id}", revealed.arguments["key"])
    for place, text in found.items():
        leaked = [name for name, secret in secrets_of.items() if secret in text]
        assert leaked == [], place
    say(f"{len(secrets_of)} spellings of secrets looked for in {sum(map(len, found.values()))} bytes")


def logged(path: Path) -> bytes:
    """What an audit log says, but for the keys that the chain has shown."""
    exported = path.with_name("exported.jsonl")
    with AuditLog.open(path) as log:
        export_log(log, exported)
    return b"".join(line for line in exported.read_bytes().splitlines() if b'"Revealed"' not in line)


def kept_secrets(folder: Path) -> dict[str, bytes]:
    """Spellings of what a party's folder keeps encrypted, and the chain never shows."""
    vault, found = Vault(folder, read_vault_key(folder, PASSWORD)), dict[str, bytes]()
    for name in ("session.key", "encryption.key", "inputs.npz", "outputs.npz", "delivered.npz"):
        assert name in KEPT
        if vault.has(name):
            data = vault.read(name)
            for start in (len(data) // 3, len(data) // 2, 2 * len(data) // 3):
                found |= spellings(f"{folder}/{name} at {start}", data[start : start + WINDOW_BYTES])
    return {name: secret for name, secret in found.items() if len(set(secret)) > 4}


def spellings(name: str, secret: bytes) -> dict[str, bytes]:
    """A secret as bytes, in hexadecimal digits, and in base64 wherever it begins."""
    inner = {shift: b64encode(bytes(shift) + secret)[4:-4] for shift in range(3)}
    digits = secret.hex().encode()
    return {f"{name}: bytes": secret, f"{name}: hex": digits, f"{name}: HEX": digits.upper()} | {
        f"{name}: base64 from {shift}": text for shift, text in inner.items()
    }


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
