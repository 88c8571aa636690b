"""Many transactions of one account under way, on a node that drops, replaces and undoes them; and killed processes.

Each is an announcement in the directory, so that every one is another call and anybody may make it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from contracts import bind_directory
from tests.simulators.killing import KilledError
from tests.simulators.node import Node
from tests.simulators.proxy import Proxy, call_of
from trader.chain import Chain, Receipt, Ways
from trader.chain.flight import ReplacedError, hash_of
from trader.errors import ChainUnavailableError, EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from trader.chain.journal import Journal

ETHER = 10**18
GWEI = 10**9
SOMEBODY = "0x" + "11" * 20
pytestmark = pytest.mark.anvil


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    node = Node(tmp_path_factory.mktemp("node"))
    url = node.start()
    chain, deployer = Chain.connect(url), Account.create()
    chain.fund(deployer.address, ETHER)
    chain.deploy_directory(deployer)
    yield url
    node.stop()


class Sender:
    """One process that sends from the account: its journal is the folder, which others may share."""

    def __init__(self, url: str, account: LocalAccount, folder: Path | None, **ways: Any) -> None:
        self.account = account
        self.chain = Chain.connect(url, journal=folder, **{"timeout_seconds": 20.0} | ways)
        self.chain._transactions.route.raise_after_seconds = 0.4

    def call(self, number: int) -> Any:
        return bind_directory(self.chain.web3).functions.announce(SOMEBODY, number, b"here")

    def submit(self, number: int, **ways: Any) -> Callable[[], Receipt]:
        return self.chain.submit(self.call(number), self.account, ways=Ways(**ways))

    def send(self, number: int, **ways: Any) -> Receipt:
        return self.chain.send(self.call(number), self.account, ways=Ways(**ways))

    def journal(self) -> Journal:
        return self.chain._transactions._journal(self.account.address)


class Table:
    """A node whose blocks are made by hand, and an account with ether."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder / "transactions"
        self.node = Chain.connect(url)
        self.account: LocalAccount = Account.create()
        self.node.fund(self.account.address, 10 * ETHER)

    def request(self, method: str, *parameters: Any) -> Any:
        return self.node.web3.manager.request_blocking(method, list(parameters))

    def sender(self, url: str | None = None, **ways: Any) -> Sender:
        return Sender(url or self.url, self.account, self.folder, **ways)

    def stranger(self, url: str | None = None) -> Sender:
        """Another machine with the same key."""
        return Sender(url or self.url, self.account, None)

    def mine(self, blocks: int = 1) -> None:
        self.request("anvil_mine", blocks)

    def mine_every_second(self) -> None:
        self.request("evm_setIntervalMining", 1)

    @property
    def mined(self) -> int:
        return int(self.node.web3.eth.get_transaction_count(self.account.address, "latest"))

    def waiting(self) -> dict[int, str]:
        """Hashes of the account's transactions that wait, by number."""
        pool = self.request("txpool_content")
        own = {**pool["pending"], **pool["queued"]}.get(self.account.address.lower(), {})
        return {int(nonce): HexBytes(transaction["hash"]).to_0x_hex() for nonce, transaction in own.items()}

    def wait_for(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)

    def nonce_of(self, receipt: Receipt) -> int:
        return int(self.node.web3.eth.get_transaction(HexBytes(receipt.transaction_hash))["nonce"])


@pytest.fixture
def table(url: str, tmp_path: Path) -> Iterator[Table]:
    table = Table(url, tmp_path)
    table.request("evm_setAutomine", False)
    yield table
    table.request("evm_setIntervalMining", 0)
    table.request("anvil_dropAllTransactions")
    table.request("evm_setAutomine", True)


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin something; what comes back waits for it, and raises what it raised."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join() -> Any:
        thread.join(timeout=60)
        if errors:
            raise errors[0]
        return results[0]

    return join


def fields_of(signed: bytes) -> dict[str, Any]:
    return dict(TypedTransaction.from_bytes(HexBytes(signed)).as_dict())


# Many at once


def test_twenty_are_under_way_from_four_threads(table: Table) -> None:
    receipts: list[Receipt] = []

    def send_five(first: int) -> None:
        sender = table.sender()
        waits = [sender.submit(number) for number in range(first, first + 5)]
        assert table.mined == 0
        all_left.wait(timeout=30)
        receipts.extend(wait() for wait in waits)

    all_left = threading.Barrier(5)
    threads = [in_background(lambda first=first: send_five(first)) for first in (1, 6, 11, 16)]
    all_left.wait(timeout=30)
    table.mine()
    for join in threads:
        join()
    assert sorted(map(table.nonce_of, receipts)) == list(range(20))
    assert {receipt.block_number for receipt in receipts} == {table.node.block_number}
    assert sorted(receipt.events[0].arguments["listingId"] for receipt in receipts) == list(range(1, 21))
    assert table.sender().journal().read() == {}


PROCESS = """
import sys
from pathlib import Path
from eth_account import Account
from tests.unit.trader.chain.test_transactions import Sender
url, folder, first = sys.argv[1:]
sender = Sender(url, Account.from_key(sys.stdin.read()), Path(folder))
for wait in [sender.submit(number) for number in range(int(first), int(first) + 4)]:
    print(wait().transaction_hash)
"""


def test_two_processes_that_share_a_folder(table: Table) -> None:
    table.mine_every_second()
    sending = []
    for first in ("1", "5"):
        command = [sys.executable, "-c", PROCESS, table.url, str(table.folder), first]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(table.account.key.hex().encode())
        process.stdin.close()
        process.stdin = None
        sending.append(process)
    hashes = [line for process in sending for line in process.communicate(timeout=60)[0].split()]
    assert len(set(hashes)) == table.mined == 8


def test_two_machines_with_one_key(table: Table) -> None:
    """They know nothing of each other, and take each other's transactions for a stranger's."""
    table.mine_every_second()

    def send_four(first: int) -> list[Receipt]:
        machine = table.stranger()
        return [wait() for wait in [machine.submit(number) for number in range(first, first + 4)]]

    joins = [in_background(lambda first=first: send_four(first)) for first in (1, 5)]
    assert len({receipt.transaction_hash for join in joins for receipt in join()}) == table.mined == 8


def test_a_node_behind_a_proxy_that_drops_one_call_in_ten(table: Table) -> None:
    table.mine_every_second()
    proxy = Proxy(table.url, drop_every=10)
    with proxy.running() as url:
        sender = table.sender(url)
        waits = [sender.submit(number) for number in range(1, 9)]
        assert len({wait().transaction_hash for wait in waits}) == 8
    assert proxy.dropped > 3
    assert table.mined == 8


# What a node forgets, and what a chain undoes


def test_a_base_fee_that_rose_is_followed_under_the_same_number(table: Table) -> None:
    kept: list[bytes] = []
    join = in_background(lambda: table.sender().send(1, before_sending=kept.append))
    table.wait_for(table.waiting)
    stuck = 10 * fields_of(kept[0])["maxFeePerGas"]
    table.request("anvil_setNextBlockBaseFeePerGas", stuck)
    table.mine()
    assert table.mined == 0
    table.wait_for(lambda: len(kept) >= 2)
    table.mine_every_second()
    receipt = join()
    assert receipt.transaction_hash in {"0x" + hash_of(signed).hex() for signed in kept[1:]}
    assert {fields_of(signed)["nonce"] for signed in kept} == {0}
    assert fields_of(kept[1])["maxFeePerGas"] > stuck
    table.request("anvil_setNextBlockBaseFeePerGas", GWEI)
    table.mine()


def test_fees_stop_at_the_ceiling_and_go_on_when_gas_is_cheaper(table: Table) -> None:
    base_fee = int(table.node.web3.eth.get_block("latest")["baseFeePerGas"])
    kept: list[bytes] = []
    sender = table.sender(highest_fee_wei=3 * base_fee)
    join = in_background(lambda: sender.send(1, before_sending=kept.append))
    table.wait_for(table.waiting)
    table.request("anvil_setNextBlockBaseFeePerGas", 10 * base_fee)
    table.mine()
    with pytest.raises(ChainUnavailableError, match=r"your ceiling is .* Wait, or set `max_gas_price` higher"):
        table.sender(highest_fee_wei=3 * base_fee).send(2)
    time.sleep(1.0)
    table.request("anvil_setNextBlockBaseFeePerGas", base_fee)
    table.mine_every_second()
    join()
    assert max(fields_of(signed)["maxFeePerGas"] for signed in kept) <= 3 * base_fee
    assert table.mined == 1


def test_a_dropped_transaction_is_sent_again(table: Table) -> None:
    sender = table.sender()
    sender.chain._transactions.route.raise_after_seconds = 30
    wait, before = sender.submit(1), table.waiting()
    table.request("anvil_dropTransaction", before[0])
    assert table.waiting() == {}
    join = in_background(wait)
    table.wait_for(table.waiting)
    table.mine()
    assert join().transaction_hash == before[0]


def test_a_node_that_loses_its_mempool_gets_everything_again(table: Table) -> None:
    sender = table.sender()
    waits = [in_background(sender.submit(number)) for number in (1, 2)]
    other = in_background(table.sender().submit(3))
    table.request("anvil_dropAllTransactions")
    table.mine_every_second()
    for join in (*waits, other):
        join()
    assert table.mined == 3


def test_a_transaction_whose_block_is_undone_is_sent_again(table: Table) -> None:
    sender = table.sender(confirmations=3)
    join = in_background(lambda: sender.send(1))
    table.wait_for(table.waiting)
    table.mine(2)
    assert table.mined == 1
    table.request("anvil_reorg", 2, [])
    table.request("anvil_dropAllTransactions")
    assert table.mined == 0
    table.mine_every_second()
    receipt = join()
    assert table.nonce_of(receipt) == 0
    assert table.node.block_number - receipt.block_number >= 2
    assert table.mined == 1


def test_one_that_was_seen_once_keeps_its_number_when_its_block_is_undone(table: Table) -> None:
    """As a seller's moves, which wait for a block: it is asked for again, in a process that was started anew."""
    join = in_background(lambda: table.sender(confirmations=3).send(1, confirmed=False))
    table.wait_for(table.waiting)
    table.mine()
    join()
    table.request("anvil_reorg", 1, [])
    table.request("anvil_dropAllTransactions")
    table.mine_every_second()
    again = table.sender(confirmations=3).send(1)
    assert (table.nonce_of(again), table.mined) == (0, 1)


def test_the_receipt_of_an_older_version_counts(table: Table) -> None:
    """The dearer one got lost on its way, and nobody but we know of it."""

    class Swallowing(Proxy):
        sent = 0

        def answer(self, body: bytes) -> bytes | None:
            call = call_of(body)
            if call["method"] != "eth_sendRawTransaction":
                return super().answer(body)
            Swallowing.sent += 1
            if Swallowing.sent == 1:
                return super().answer(body)
            taken = "0x" + hash_of(HexBytes(call["params"][0])).hex()
            return json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": taken}).encode()

    kept: list[bytes] = []
    with Swallowing(table.url).running() as url:
        join = in_background(lambda: table.sender(url).send(1, before_sending=kept.append))
        table.wait_for(lambda: len(kept) >= 3)
        table.mine()
        assert join().transaction_hash == "0x" + hash_of(kept[0]).hex()


# Numbers


def test_a_number_that_a_stranger_took_is_noticed_and_another_one_taken(table: Table) -> None:
    """From a wallet, say, that offers more."""
    kept: list[bytes] = []
    join = in_background(lambda: table.sender().send(1, before_sending=kept.append))
    table.wait_for(table.waiting)
    foreign = {"to": SOMEBODY, "value": 1, "gas": 21_000, "nonce": 0, "chainId": table.node.chain_id}
    foreign |= {"maxFeePerGas": 500 * GWEI, "maxPriorityFeePerGas": 400 * GWEI}
    table.node.web3.eth.send_raw_transaction(table.account.sign_transaction(foreign).raw_transaction)
    table.mine_every_second()
    assert table.nonce_of(join()) == 1
    assert table.mined == 2


def test_one_that_must_not_change_is_not_sent_under_another_number(table: Table) -> None:
    wait = table.sender().submit(1, replaceable=False)
    foreign = {"to": SOMEBODY, "value": 1, "gas": 21_000, "nonce": 0, "chainId": table.node.chain_id}
    foreign |= {"maxFeePerGas": 500 * GWEI, "maxPriorityFeePerGas": 400 * GWEI}
    table.node.web3.eth.send_raw_transaction(table.account.sign_transaction(foreign).raw_transaction)
    table.mine()
    with pytest.raises(ReplacedError, match="took number 0"):
        wait()


def test_a_waiting_transaction_of_a_stranger_keeps_its_number(table: Table) -> None:
    waits = [table.stranger().submit(1), table.sender().submit(2), table.stranger().submit(3)]
    table.mine()
    assert [table.nonce_of(wait()) for wait in waits] == [0, 1, 2]


class Lying(Proxy):
    """A node that says something else of how many transactions an account has."""

    def __init__(self, url: str, **counts: int) -> None:
        super().__init__(url)
        self.counts = counts

    def answer(self, body: bytes) -> bytes | None:
        call = call_of(body)
        if call["method"] == "eth_getTransactionCount" and call["params"][1] in self.counts:
            count = hex(self.counts[call["params"][1]])
            return json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": count}).encode()
        return super().answer(body)


def test_a_node_that_hides_what_waits_refuses_the_number_and_the_next_one_is_taken(table: Table) -> None:
    before = table.stranger().submit(1)
    with Lying(table.url, pending=0).running() as url:
        wait = table.sender(url).submit(2)
        table.mine()
        assert (table.nonce_of(before()), table.nonce_of(wait())) == (0, 1)


def test_a_node_that_invents_waiting_transactions_is_not_followed(table: Table) -> None:
    with (
        Lying(table.url, pending=1000).running() as url,
        pytest.raises(ChainUnavailableError, match=r"1000 transactions of .* wait that were not sent from here"),
    ):
        table.sender(url).submit(1)
    assert table.waiting() == {}


def test_a_node_that_is_behind_what_was_confirmed_is_not_used(table: Table) -> None:
    table.mine_every_second()
    table.sender(confirmations=2).send(1)
    table.sender(confirmations=2).send(2)  # looks how many are confirmed
    with (
        Lying(table.url, latest=0).running() as url,
        pytest.raises(ChainUnavailableError, match=r"knows 0 transactions of .*, and 1 were seen confirmed: it is beh"),
    ):
        table.sender(url, confirmations=2).submit(3)
    assert table.mined == 2


def test_a_gap_is_filled_by_the_next_transaction(table: Table) -> None:
    sender = table.sender()
    first, second = sender.submit(1), sender.submit(2)
    table.request("anvil_dropTransaction", table.waiting()[0])
    del first  # its process was killed
    third = table.sender().submit(3)
    table.mine_every_second()
    assert [table.nonce_of(wait()) for wait in (third, second)] == [0, 1]
    assert table.mined == 2


def test_a_gap_that_nobody_fills_is_filled_by_whoever_waits_above_it(table: Table) -> None:
    sender = table.sender()
    first, second = sender.submit(1), sender.submit(2)
    table.request("anvil_dropTransaction", table.waiting()[0])
    del first
    table.mine_every_second()
    assert table.nonce_of(second()) == 1
    assert table.mined == 2


def test_one_that_is_stuck_and_that_nobody_waits_for_gives_its_place_to_the_next(table: Table) -> None:
    first = table.sender().submit(1)
    del first
    time.sleep(1.1)  # longer than `raise_after_seconds`, in whole seconds
    second = table.sender().submit(2)
    table.mine()
    assert table.nonce_of(second()) == 0
    assert table.mined == 1


# Killed processes


def die(_: object = None) -> None:
    raise KilledError


def test_killed_between_signing_and_sending(table: Table) -> None:
    with pytest.raises(KilledError):
        table.sender().send(1, before_sending=die)
    (entry,) = table.sender().journal().read().values()
    assert (entry.nonce, len(entry.versions)) == (0, 1)
    waits = [table.sender().submit(2), table.sender().submit(1)]  # another call takes the number that nobody has
    table.mine()
    assert [table.nonce_of(wait()) for wait in waits] == [0, 1]


def test_killed_between_signing_and_sending_the_same_call_keeps_its_number(table: Table) -> None:
    first: list[bytes] = []

    def keep_and_die(signed: bytes) -> None:
        first.append(signed)
        die()

    with pytest.raises(KilledError):
        table.sender().send(1, before_sending=keep_and_die)
    wait = table.sender().submit(1, before_sending=first.append)
    table.mine()
    assert table.nonce_of(wait()) == 0
    assert fields_of(first[1])["maxFeePerGas"] >= 1.125 * fields_of(first[0])["maxFeePerGas"]  # it may have left


@pytest.mark.parametrize("mined_by_then", [True, False])
def test_killed_after_sending_it_is_not_done_twice(table: Table, mined_by_then: bool) -> None:
    with pytest.raises(KilledError):
        table.sender().send(1, once_sent=die)
    if mined_by_then:
        table.mine()
    else:
        table.mine_every_second()
    assert table.nonce_of(table.sender().send(1)) == 0
    assert table.mined == 1
    table.mine_every_second()
    assert table.nonce_of(table.sender().send(1)) == 1  # asked for once more


def test_what_stops_before_it_leaves_gives_its_number_back(table: Table) -> None:
    def refuse(_: bytes) -> None:
        raise ValueError("not now")

    sender = table.sender()
    with pytest.raises(ChainUnavailableError, match="not now"):
        sender.send(1, before_sending=refuse)
    assert sender.journal().read() == {}
    with suppress(ChainUnavailableError):
        sender.send(1, before_sending=refuse)
    wait = sender.submit(2)
    table.mine()
    assert table.nonce_of(wait()) == 0


def test_a_full_disk_holds_back_no_secret_and_everything_else(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is due is lost with its deadline; another transaction waits for room, since it might be sent twice."""

    def full(*_: object, **__: object) -> None:
        raise EnvironmentFaultError("no space left")

    monkeypatch.setattr("trader.chain.journal.write_file", full)
    table.mine_every_second()
    with pytest.raises(EnvironmentFaultError, match="no space left"):
        table.sender().send(1)
    kept: list[bytes] = []
    sender = table.sender()
    with pytest.raises(KilledError):
        sender.send(2, secret=True, before_sending=kept.append, once_sent=die)
    assert table.nonce_of(sender.send(2, secret=True, earlier=kept[0])) == 0
    assert table.mined == 1


def test_what_is_stuck_does_not_hold_up_a_secret_for_ever(table: Table) -> None:
    """The seller has stopped waiting for its answer to one buyer, and the key of another trade is due."""
    answer = table.sender().submit(1)
    del answer
    sender, left = table.sender(), list[bytes]()
    route = sender.chain._transactions.route
    route.raise_after_seconds, soon = 600, route.raise_after_seconds
    with pytest.raises(ChainUnavailableError, match=r"1 transactions of .* wait to be mined: a secret does not l"):
        sender.send(2, secret=True, before_sending=left.append)
    assert left == []
    time.sleep(1.1)  # longer than `raise_after_seconds`, in whole seconds
    route.raise_after_seconds = soon
    wait = sender.submit(2, secret=True)
    table.mine()
    assert table.nonce_of(wait()) == 0
