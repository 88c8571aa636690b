"""A chain through one node: what it says, and how sure that is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import BlockNotFound, ContractLogicError, Web3Exception, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from contracts import PUBLISHED_SALT, decode_revert, deploy, deploy_directory, deploy_periphery, read_logs
from trader.chain import development
from trader.chain.calls import PlainCall, SendingMiddleware
from trader.chain.fees import HIGHEST_FEE_WEI
from trader.chain.flight import Route
from trader.chain.provider import NodeProvider
from trader.chain.receipts import REFUSALS, LogEvent, Receipt, TransactionCost, decode_logs, revert_data
from trader.chain.transactions import RAISE_AFTER_SECONDS, Transactions, Ways
from trader.errors import CallerError, ChainUnavailableError, TransactionRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from web3.contract import Contract
    from web3.contract.contract import ContractFunction
    from web3.types import BlockData, BlockIdentifier, TxReceipt

    from contracts import Deployment, Periphery
    from trader.signer import Signer

SLOT_SECONDS = 12
"""Time between two blocks of Ethereum; other chains are faster."""
TIMEOUT_SECONDS = 120.0
REQUEST_TIMEOUT_SECONDS = 30.0
LOG_ATTEMPTS = 5
FINALIZED: Final = "finalized"
"""The tag of the newest block that validators vouch for with their stakes, two to three epochs old on Ethereum."""
FINALITY_BLOCKS: Final = 96
"""So far the finalized block lies behind the newest one on Ethereum, in three epochs of 32 slots, if all is well."""
Confirmations: TypeAlias = "int | Literal['finalized'] | None"
"""What counts on a chain: blocks with so many confirmations, finalized ones, or what suits the chain."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain, as it was seen.

    Attributes:
        number: Its height.
        hash: Names its content, and that of all blocks below it.
        time_seconds: Its Unix time.
    """

    number: int
    hash: bytes
    time_seconds: int


@dataclass(frozen=True, slots=True)
class ChainTime:
    """What time it is, each in Unix seconds.

    Attributes:
        confirmed: Of the newest confirmed block: what the state that is read holds for. Timeouts wait for it.
        newest: Of the newest block, which the next one is later than. Moves must come before their deadlines by it.
        clock: This machine's. Alone it decides nothing: one that is wrong must not keep a buyer from its dispute.
    """

    confirmed: int
    newest: int
    clock: int

    @property
    def latest(self) -> int:
        """The later of newest block and clock: what secrets are held to, since either may have stood still."""
        return max(self.newest, self.clock)


class Chain:
    """A chain that contracts are read from and transactions are sent to. Made by `embedded` or `connect`.

    Attributes:
        web3: For the packages below, which bind contracts and read logs with it.
        name: For messages.
        chain_id: EIP-155 chain id, asked once: a node that changes its chain finds its transactions refused.
        confirmations: Blocks that must stand, a transaction's own included, before it counts; where finalized blocks
            count, how many that takes.
        finalized: Whether it is the chain's own word that counts, its finalized block, and not a number.
    """

    def __init__(
        self,
        web3: Web3,
        name: str,
        *,
        confirmations: int = 1,
        timeout_seconds: float | None = None,
        relay: Web3 | None = None,
        finalized: bool = False,
        journal: Path | None = None,
        highest_fee_wei: int = HIGHEST_FEE_WEI,
    ) -> None:
        self.web3 = web3
        self.name = name
        self.confirmations = confirmations
        self.finalized = finalized
        self._tester = development.tester_behind(web3)
        if timeout_seconds is None:
            timeout_seconds = TIMEOUT_SECONDS + 2 * SLOT_SECONDS * confirmations
        with self.reachable():
            self.chain_id = web3.eth.chain_id
        wanted, raise_after = FINALIZED if finalized else str(confirmations), RAISE_AFTER_SECONDS
        route = Route(
            web3,
            relay,
            name,
            self.chain_id,
            self._confirmed_number,
            wanted,
            timeout_seconds,
            highest_fee_wei,
            raise_after,
        )
        self._transactions = Transactions(route, journal)

    @classmethod
    def embedded(cls) -> Chain:
        """Start a fresh chain in this process; its time moves with `advance_time`, and by a second or so per block."""
        return cls(development.start_embedded(), "the embedded chain")

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        confirmations: Confirmations = None,
        timeout_seconds: float | None = None,
        reveal_url: str | None = None,
        journal: Path | None = None,
        highest_fee_wei: int | None = None,
    ) -> Chain:
        """Connect to a node over JSON-RPC (HTTP).

        Args:
            url: http(s)://…
            confirmations: Blocks that must stand on the chain, its own included, before anything counts, and before
                `send` returns: the newest blocks of a public chain may still be replaced. "finalized" takes the chain's
                own word. None takes one on a development chain (by its chain id), the chain's word on others, and is
                refused where the chain has none.
            timeout_seconds: How long to wait for that; two minutes and two slots for each confirmation if None.
            reveal_url: A node that hands secrets to block producers alone (a private relay); they go through `url`
                where there is none.
            journal: Folder where transactions under way are remembered: what shares it may send from one account at
                once, and goes on after it was killed. They are remembered by this object alone if None.
            highest_fee_wei: Ceiling of what is offered for a unit of gas; `fees.HIGHEST_FEE_WEI` if None.

        Raises:
            CallerError: It is no URL, or a chain without finalized blocks and no number of confirmations was given.
            ChainUnavailableError: Nobody answers there.
        """
        web3 = _over_http(url, timeout_seconds)
        relay = None if reveal_url is None else _over_http(reveal_url, timeout_seconds)
        name = f"the node at {url.split('@')[-1]}"  # credentials in the URL are not for error messages
        sending: dict[str, Any] = {"journal": journal, "highest_fee_wei": highest_fee_wei or HIGHEST_FEE_WEI}
        ways = {"timeout_seconds": timeout_seconds, "relay": relay, **sending}
        if isinstance(confirmations, int):
            if confirmations < 1:
                raise CallerError(f"{confirmations} confirmations: a block confirms itself, so 1 is the least")
            return cls(web3, name, confirmations=confirmations, **ways)
        hasty = cls(web3, name, **ways)
        if confirmations is None and hasty.chain_id in development.DEVELOPMENT_CHAINS:
            return hasty
        depth = hasty.finality_blocks()
        if depth is None:
            raise CallerError(
                f"{name} is on chain {hasty.chain_id}, and names no finalized block: say how many confirmations count "
                "there (--confirmations), since its newest blocks may be replaced. 64 is final on Ethereum; 1 would "
                "let a seller lose its key."
            )
        return cls(web3, name, confirmations=max(FINALITY_BLOCKS, depth), finalized=True, **ways)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Around any use of `web3`: what the node or the network does wrong becomes one clear error.

        Raises:
            ChainUnavailableError: The node does not answer, answers too late, or not as a node does.
        """
        try:
            yield
        except ContractLogicError:
            raise  # the contract's own word: `call` and `send` translate it
        except (OSError, Web3Exception, ValidationError, ValueError) as error:
            raise ChainUnavailableError(
                f"{self.name} failed ({type(error).__name__}: {_first_line(error)}). "
                "Check that it runs and its address, then repeat: nothing is lost."
            ) from error

    def time(self) -> ChainTime:
        """Return what time it is, for timeouts and for moves."""
        with self.reachable():
            newest = int(self.web3.eth.get_block("latest")["timestamp"])
            confirmed = newest if self.confirmations <= 1 else self.confirmed_block().time_seconds
        # The embedded chain has no time but that of its blocks.
        return ChainTime(confirmed, newest, newest if self._tester is not None else int(time.time()))

    def finality_blocks(self) -> int | None:
        """Return how far the finalized block lies behind the newest one, both included; None where there is none."""
        with self.reachable():
            try:
                finalized = int(self.web3.eth.get_block(FINALIZED)["number"])
            except (Web3RPCError, BlockNotFound):
                return None
            return max(0, self.web3.eth.block_number - finalized) + 1

    def confirmed_block(self) -> Block:
        """Return the newest block with as many confirmations as `send` waits for."""
        with self.reachable():
            return _block(self.web3.eth.get_block(self._confirmed_number()))

    def stands(self, number: int, block_hash: bytes) -> bool:
        """Return whether a block is still part of the chain."""
        with self.reachable():
            try:
                return bytes(self.web3.eth.get_block(number)["hash"]) == block_hash
            except BlockNotFound:
                return False

    def time_of_block(self, block_number: int) -> int:
        """Return the Unix time of a block."""
        with self.reachable():
            return int(self.web3.eth.get_block(block_number)["timestamp"])

    def advance_time(self, seconds: int) -> None:
        """Let time pass on a development chain (embedded or anvil), and mine a block.

        Raises:
            CallerError: The node is a real one: it can't be hurried.
        """
        development.advance_time(self, seconds)

    @property
    def block_number(self) -> int:
        """Number of the latest block."""
        with self.reachable():
            return int(self.web3.eth.block_number)

    def balance(self, address: str) -> int:
        """Return the balance of an account in wei."""
        with self.reachable():
            return int(self.web3.eth.get_balance(Web3.to_checksum_address(address)))

    def fund(self, address: str, amount_wei: int) -> None:
        """Give an account ether from the node's own unlocked account (development chains have one).

        Raises:
            CallerError: The node has none: fund the account from a wallet.
        """
        development.fund(self, address, amount_wei)

    def deploy(self, account: Signer, salt: bytes = PUBLISHED_SALT) -> Deployment:
        """Deploy verifier and market where they are missing, signed and paid by `account`.

        Args:
            account: Signs and pays.
            salt: 32 bytes; zeros give the published market, others one for tests that need several on one chain.

        Raises:
            ContractsError: A deployment transaction failed, or the artifacts can't be read.
            ChainUnavailableError: The node does not answer.
        """
        with self.sending(account), self.reachable():
            return deploy(self.web3, account.address, salt)

    def deploy_directory(self, account: Signer) -> None:
        """Deploy the directory of endpoints where it is missing, signed and paid by `account`; raises as `deploy`."""
        with self.sending(account), self.reachable():
            deploy_directory(self.web3, account.address)

    def deploy_periphery(self, account: Signer, contract: Periphery) -> None:
        """Deploy a contract around the market where it is missing, signed and paid by `account`; raises as `deploy`."""
        with self.sending(account), self.reachable():
            deploy_periphery(self.web3, account.address, contract)

    @contextmanager
    def sending(self, account: Signer) -> Iterator[None]:
        """In the block, what `contracts` hands to `web3` for this account is signed and sent as `send` does.

        Raises:
            TransactionRefusedError: The account can't pay.
            ChainUnavailableError: The node does not answer, or a transaction was not mined in time.
        """
        ways = Ways(confirmed=False)

        def send(call: PlainCall, value_wei: int) -> TxReceipt:
            return self._transactions.send(call, account, value_wei, ways)

        embedded, signing = self._tester is not None, SignAndSendRawMiddlewareBuilder.build(account)
        middleware: Any = signing if embedded else partial(SendingMiddleware, address=account.address, send=send)
        self.web3.middleware_onion.inject(middleware, "sending", layer=0)
        try:
            yield
        finally:
            self.web3.middleware_onion.remove("sending")

    def call(self, function: ContractFunction, *, newest: bool = False) -> Any:
        """Read from a contract, as it stands in the latest confirmed block, or in the newest.

        What a reorganisation may still undo doesn't count: a seller who reveals its key on a fresh `Accepted` would
        give it away for nothing if that block were dropped.

        Raises:
            TransactionRefusedError: The contract refuses.
            ChainUnavailableError: The node does not answer.
        """
        with self._refusals(), self.reachable():
            return function.call(block_identifier="latest" if newest else self._confirmed_number())

    def send(
        self,
        function: ContractFunction,
        account: Signer,
        *,
        value_wei: int = 0,
        ways: Ways = Ways(),  # noqa: B008 - frozen
    ) -> Receipt:
        """Sign a transaction, send it, and wait until it is confirmed.

        One that would fail against the latest state is not sent.

        Args:
            function: The contract's function with its arguments.
            account: Signs and pays.
            value_wei: Ether sent along.
            ways: What is done before it leaves and after, and how it may travel.

        Raises:
            TransactionRefusedError: The contract refuses it (the cause is a `MarketRevertedError`), or the account
                can't pay for it.
            ChainUnavailableError: The node does not answer, or did not confirm in time.
        """
        with self._refusals(), self.reachable():
            receipt = self._transactions.send(function, account, value_wei, ways)
        return self._succeeded(receipt, function)

    def submit(
        self,
        function: ContractFunction,
        account: Signer,
        *,
        value_wei: int = 0,
        ways: Ways = Ways(),  # noqa: B008 - frozen
    ) -> Callable[[], Receipt]:
        """Sign a transaction and send it; return what waits for it, and raises as `send` does.

        Several of one account may be under way. What is not waited for is not sent again.

        Raises:
            TransactionRefusedError: The contract refuses it, or the account can't pay for it.
            ChainUnavailableError: The node does not answer.
        """
        with self._refusals(), self.reachable():
            wait = self._transactions.submit(function, account, value_wei, ways)

        def waited() -> Receipt:
            with self._refusals(), self.reachable():
                receipt = wait()
            return self._succeeded(receipt, function)

        return waited

    def resend(self, signed: bytes, function: ContractFunction) -> Receipt:
        """Send a kept transaction again and wait for it: whether it had arrived before or not, it takes effect once.

        Args:
            signed: What `before_sending` was given (`Ways`).
            function: Names the contract whose events are read.

        Raises:
            TransactionRefusedError: It failed, or another transaction of the account took its place.
            ChainUnavailableError: The node does not answer, or did not confirm in time.
        """
        with self.reachable():
            receipt = self._transactions.resend(signed)
        return self._succeeded(receipt, function)

    def logs(self, contract: Contract, topics: list[Any], first_block: int = 0) -> list[LogEvent]:
        """Return all confirmed events of a contract that match `topics` (as `eth_getLogs` has them), in order.

        Raises:
            ChainUnavailableError: The node does not answer, refuses to search, or the chain moved again and again.
        """
        return self.logs_since(contract, topics, first_block)[0]

    def logs_since(self, contract: Contract, topics: list[Any], first_block: int) -> tuple[list[LogEvent], Block]:
        """Return what `logs` does, and the block up to which they were searched."""
        query = {"address": contract.address, "topics": topics}
        for _ in range(LOG_ATTEMPTS):
            newest = self.confirmed_block()
            with self.reachable():
                found = list(read_logs(self.web3, query, first_block, newest.number))
            if self.stands(newest.number, newest.hash):
                return decode_logs(contract, found), newest
        raise ChainUnavailableError(f"the blocks of {self.name} were replaced while they were searched. Repeat.")

    def unconfirmed_logs(self, contract: Contract, topics: list[Any]) -> list[LogEvent]:
        """Return the events of a contract in blocks that may still be replaced, in order.

        Raises:
            ChainUnavailableError: The node does not answer, or refuses to search.
        """
        query = {"address": contract.address, "topics": topics}
        first_block, newest = self.confirmed_block().number + 1, self.block_number
        with self.reachable():
            return decode_logs(contract, list(read_logs(self.web3, query, first_block, newest)))

    def transaction_cost(self, transaction_hash: str) -> TransactionCost:
        """Return what a mined transaction cost.

        Raises:
            ChainUnavailableError: The node does not answer, or does not know the transaction.
        """
        with self.reachable():
            receipt = self.web3.eth.get_transaction_receipt(HexBytes(transaction_hash))
            gas = int(receipt["gasUsed"])
            return TransactionCost(
                str(receipt["from"]), int(receipt["blockNumber"]), gas, gas * int(receipt["effectiveGasPrice"])
            )

    def calldata(self, contract: Contract, transaction_hash: str) -> bytes | None:
        """Return what a transaction called a contract with; None if it called another account first.

        Raises:
            ChainUnavailableError: The node does not answer, or does not know the transaction.
        """
        with self.reachable():
            transaction = self.web3.eth.get_transaction(HexBytes(transaction_hash))
            return bytes(HexBytes(transaction["input"])) if transaction.get("to") == contract.address else None

    def _confirmed_number(self) -> BlockIdentifier:
        if self.finalized:
            return FINALIZED
        return "latest" if self.confirmations <= 1 else max(0, self.web3.eth.block_number - self.confirmations + 1)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except REFUSALS as error:
            data = revert_data(error)
            reverted = error if data is None else decode_revert(data)
            raise TransactionRefusedError(f"{_first_line(reverted)}. Nothing has changed.") from reverted

    def _succeeded(self, receipt: TxReceipt, function: ContractFunction) -> Receipt:
        if receipt["status"] != 1:
            raise TransactionRefusedError(
                f"transaction {receipt['transactionHash'].to_0x_hex()} failed: the trade moved on before it was mined. "
                "Look at the trade again."
            )
        return Receipt.of(receipt, self.web3.eth.contract(function.address, abi=function.contract_abi))


def _over_http(url: str, timeout_seconds: float | None) -> Web3:
    if not url.startswith(("http://", "https://")):
        raise CallerError(f"{url!r} is not the URL of a node: give http://… or https://…")
    seconds = REQUEST_TIMEOUT_SECONDS if timeout_seconds is None else min(REQUEST_TIMEOUT_SECONDS, timeout_seconds)
    return Web3(NodeProvider(url, seconds))


def _block(found: BlockData) -> Block:
    return Block(int(found["number"]), bytes(found["hash"]), int(found["timestamp"]))


def _first_line(error: BaseException) -> str:
    return (str(error) or repr(error)).splitlines()[0][:300]
