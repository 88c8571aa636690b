"""The chain as the trade needs it: signed transactions, receipts, time. The only module of `trader` that imports web3.

:meth:`Chain.embedded` runs a chain in this process (eth-tester with py-evm), :meth:`Chain.connect` talks to a node over
JSON-RPC; everything after that is the same. Accounts sign locally; the node never sees a key. What the contracts say is
read and sent through :class:`trader.market.Market`.
"""

from __future__ import annotations

import ast
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from web3 import EthereumTesterProvider, HTTPProvider, Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception
from web3.logs import DISCARD
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from contracts import PUBLISHED_SALT, decode_revert, deploy
from trader.errors import CallerError, ChainUnavailableError, TransactionRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eth_account.signers.local import LocalAccount
    from web3.contract import Contract
    from web3.contract.contract import ContractFunction
    from web3.types import BlockIdentifier, RPCEndpoint, TxParams, TxReceipt, Wei

    from contracts import Deployment

EMBEDDED_BLOCK_GAS = 60_000_000
EMBEDDED_TRANSACTION_GAS = 12_000_000
"""Gas limit of every transaction on the embedded chain, where an estimate would run each of them many times."""
GAS_MARGIN_PERCENT = 125
"""Gas limit over the node's estimate: storage may have changed when the transaction is mined."""
POLL_SECONDS = 0.1
REQUEST_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class LogEvent:
    """One event of a contract.

    Attributes:
        name: As in the ABI.
        arguments: By name.
        block_number: Block that holds it.
        transaction_hash: 0x-hex, of the transaction that caused it.
    """

    name: str
    arguments: dict[str, Any]
    block_number: int
    transaction_hash: str


@dataclass(frozen=True)
class Receipt:
    """A transaction that was mined and succeeded.

    Attributes:
        transaction_hash: 0x-hex.
        block_number: Block that holds it.
        gas_used: Gas that its sender paid for.
        gas_cost_wei: What that gas cost.
        events: Events of the called contract, in order.
    """

    transaction_hash: str
    block_number: int
    gas_used: int
    gas_cost_wei: int
    events: tuple[LogEvent, ...]


class Chain:
    """A chain that contracts are read from and transactions are sent to. Made by `embedded` or `connect`.

    Attributes:
        web3: For the packages below, which bind contracts and read logs with it.
        name: For messages.
        chain_id: EIP-155 chain id, asked once: a node that changes its chain finds its transactions refused.
    """

    def __init__(self, web3: Web3, name: str, *, confirmations: int = 1, timeout_seconds: float = 120.0) -> None:
        self.web3 = web3
        self.name = name
        provider: Any = web3.provider
        self._tester: Any = provider.ethereum_tester if isinstance(provider, EthereumTesterProvider) else None
        self._confirmations = confirmations
        self._timeout_seconds = timeout_seconds
        with self.reachable():
            self.chain_id = web3.eth.chain_id

    @classmethod
    def embedded(cls) -> Chain:
        """A fresh chain in this process; its time moves with :meth:`advance_time`, and by a second or so per block."""
        genesis = PyEVMBackend.generate_genesis_params(overrides={"gas_limit": EMBEDDED_BLOCK_GAS})
        tester = EthereumTester(backend=PyEVMBackend(genesis_parameters=genesis))
        return cls(Web3(EthereumTesterProvider(tester)), "the embedded chain")

    @classmethod
    def connect(cls, url: str, *, confirmations: int = 1, timeout_seconds: float = 120.0) -> Chain:
        """A node over JSON-RPC (HTTP).

        Args:
            url: http(s)://…
            confirmations: Blocks that must stand on the chain, its own included, before anything counts, and before
                :meth:`send` returns. More than one on a public chain: its newest blocks may still be replaced.
            timeout_seconds: How long to wait for that.

        Raises:
            ChainUnavailableError: Nobody answers there.
        """
        if not url.startswith(("http://", "https://")):
            raise CallerError(f"{url!r} is not the URL of a node: give http://… or https://…")
        retries = ExceptionRetryConfiguration(errors=(OSError,), retries=3, backoff_factor=0.1)
        provider = HTTPProvider(
            url,
            request_kwargs={"timeout": min(REQUEST_TIMEOUT_SECONDS, timeout_seconds)},
            exception_retry_configuration=retries,
        )
        name = f"the node at {url.split('@')[-1]}"  # credentials in the URL are not for error messages
        return cls(Web3(provider), name, confirmations=confirmations, timeout_seconds=timeout_seconds)

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

    def now(self) -> int:
        """Unix time of the latest confirmed block: the time that deadlines are measured in."""
        with self.reachable():
            return int(self.web3.eth.get_block(self._confirmed_block())["timestamp"])

    def time_of_block(self, block_number: int) -> int:
        """Unix time of a block."""
        with self.reachable():
            return int(self.web3.eth.get_block(block_number)["timestamp"])

    def advance_time(self, seconds: int) -> None:
        """Let time pass on a development chain (embedded or anvil), and mine a block.

        Raises:
            CallerError: The node is a real one: it can't be hurried.
        """
        if self._tester is not None:
            self._tester.time_travel(self.now() + seconds)
            self._tester.mine_block()
            return
        self._require_anvil("can't be hurried: wait for the deadline")
        self._request("evm_increaseTime", [seconds])
        self._request("evm_mine", [])

    @property
    def block_number(self) -> int:
        """Number of the latest block."""
        with self.reachable():
            return int(self.web3.eth.block_number)

    def balance(self, address: str) -> int:
        """Balance of an account in wei."""
        with self.reachable():
            return int(self.web3.eth.get_balance(Web3.to_checksum_address(address)))

    def fund(self, address: str, amount_wei: int) -> None:
        """Give an account ether from the node's own unlocked account (development chains have one).

        Raises:
            CallerError: The node has none: fund the account from a wallet.
        """
        with self.reachable():
            unlocked = self.web3.eth.accounts
            if not unlocked:
                raise CallerError(f"{self.name} has no unlocked account: send ether to {address} from a wallet")
            to = Web3.to_checksum_address(address)
            sent = self.web3.eth.send_transaction({"from": unlocked[0], "to": to, "value": cast("Wei", amount_wei)})
            self.web3.eth.wait_for_transaction_receipt(sent, timeout=self._timeout_seconds, poll_latency=POLL_SECONDS)

    def deploy(self, account: LocalAccount, salt: bytes = PUBLISHED_SALT) -> Deployment:
        """Deploy verifier and market where they are missing, signed and paid by `account`.

        Args:
            account: Signs and pays.
            salt: 32 bytes; zeros give the published market, others one for tests that need several on one chain.

        Raises:
            ContractsError: A deployment transaction failed, or the artifacts can't be read.
            ChainUnavailableError: The node does not answer.
        """
        self.web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), "signing", layer=0)
        try:
            with self.reachable():
                return deploy(self.web3, account.address, salt)
        finally:
            self.web3.middleware_onion.remove("signing")

    def call(self, function: ContractFunction) -> Any:
        """Read from a contract, as it stands in the latest confirmed block.

        What a reorganisation may still undo doesn't count: a seller who reveals its key on a fresh `Accepted` would
        give it away for nothing if that block were dropped.

        Raises:
            TransactionRefusedError: The contract refuses.
            ChainUnavailableError: The node does not answer.
        """
        with self._refusals(), self.reachable():
            return function.call(block_identifier=self._confirmed_block())

    def send(
        self,
        function: ContractFunction,
        account: LocalAccount,
        *,
        value_wei: int = 0,
        before_sending: Callable[[bytes], None] | None = None,
    ) -> Receipt:
        """Sign a transaction, send it, and wait until it is confirmed.

        One that would fail against the latest state is not sent.

        Args:
            function: The contract's function with its arguments.
            account: Signs and pays.
            value_wei: Ether sent along.
            before_sending: Called with the signed transaction before it leaves, to keep it for :meth:`resend`.

        Raises:
            TransactionRefusedError: The contract refuses it (the cause is a `MarketReverted`), or the account can't
                pay for it.
            ChainUnavailableError: The node does not answer, or did not confirm in time.
        """
        with self._refusals(), self.reachable():
            self._check_funds(account, value_wei)
            transaction = self._fill(function, account, value_wei)
            signed = bytes(account.sign_transaction(cast("dict[str, Any]", transaction)).raw_transaction)
            if before_sending is not None:
                before_sending(signed)
            if self._tester is None:
                self.web3.eth.send_raw_transaction(signed)
            else:
                self._try_embedded(signed, function, transaction)
        return self._confirm(signed, function)

    def resend(self, signed: bytes, function: ContractFunction) -> Receipt:
        """Send a kept transaction again and wait for it: whether it had arrived before or not, it takes effect once.

        Args:
            signed: What `before_sending` was given.
            function: Names the contract whose events are read.

        Raises:
            TransactionRefusedError: It failed, or another transaction of the account took its place.
            ChainUnavailableError: The node does not answer, or did not confirm in time.
        """
        with self.reachable():
            if not self._known(signed):
                self._check_not_replaced(signed)
                self.web3.eth.send_raw_transaction(signed)
        return self._confirm(signed, function)

    def logs(self, contract: Contract, topics: list[Any], first_block: int = 0) -> list[LogEvent]:
        """Confirmed events of a contract that match `topics` (as `eth_getLogs` has them), in order."""
        with self.reachable():
            found = self.web3.eth.get_logs(
                {
                    "address": contract.address,
                    "fromBlock": first_block,
                    "toBlock": self._confirmed_block(),
                    "topics": topics,
                }
            )
            return _decode(contract, {"logs": found})

    def calldata(self, contract: Contract, transaction_hash: str) -> bytes | None:
        """What a transaction called a contract with; None if it called another account, which may have called it then.

        Raises:
            ChainUnavailableError: The node does not answer, or does not know the transaction.
        """
        with self.reachable():
            transaction = self.web3.eth.get_transaction(HexBytes(transaction_hash))
            return bytes(HexBytes(transaction["input"])) if transaction.get("to") == contract.address else None

    def _confirmed_block(self) -> BlockIdentifier:
        """The newest block with as many confirmations as :meth:`send` waits for."""
        if self._confirmations <= 1:
            return "latest"
        return max(0, self.web3.eth.block_number - self._confirmations + 1)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (ContractLogicError, TransactionFailed) as error:
            data = _revert_data(error)
            reverted = error if data is None else decode_revert(data)
            raise TransactionRefusedError(f"{_first_line(reverted)}. Nothing has changed.") from reverted

    def _check_funds(self, account: LocalAccount, value_wei: int) -> None:
        balance = self.balance(account.address)
        if balance <= value_wei:
            raise TransactionRefusedError(
                f"{account.address} has {balance} wei, the transaction needs {value_wei} and gas: send it more ether"
            )

    def _fill(self, function: ContractFunction, account: LocalAccount, value_wei: int) -> TxParams:
        """A transaction ready to be signed (EIP-1559); a node's estimate refuses one that would fail."""
        base_fee = int(self.web3.eth.get_block("latest").get("baseFeePerGas", 0))
        tip = int(self.web3.eth.max_priority_fee)
        sender: TxParams = {"from": account.address, "value": cast("Wei", value_wei)}
        if self._tester is None:
            gas = function.estimate_gas(sender) * GAS_MARGIN_PERCENT // 100
        else:
            gas = EMBEDDED_TRANSACTION_GAS
        nonce = self.web3.eth.get_transaction_count(account.address, "latest" if self._tester else "pending")
        return function.build_transaction(
            {
                **sender,
                "gas": gas,
                "nonce": nonce,
                "chainId": self.chain_id,
                "maxFeePerGas": cast("Wei", 2 * base_fee + tip),
                "maxPriorityFeePerGas": cast("Wei", tip),
            }
        )

    def _try_embedded(self, signed: bytes, function: ContractFunction, transaction: TxParams) -> None:
        """Send, and undo what failed: an estimate would run a proof's verification several times more."""
        snapshot = self._tester.take_snapshot()
        sent = self.web3.eth.send_raw_transaction(signed)
        if self.web3.eth.get_transaction_receipt(sent)["status"] != 1:
            self._tester.revert_to_snapshot(snapshot)
            # Fails as the transaction did, but says why.
            function.call({"from": transaction["from"], "value": transaction["value"], "gas": transaction["gas"]})

    def _confirm(self, signed: bytes, function: ContractFunction) -> Receipt:
        """Wait until a transaction that was sent stands firm."""
        with self.reachable():
            receipt = self._await_confirmation(HexBytes(Web3.keccak(signed)))
            if receipt["status"] != 1:
                raise TransactionRefusedError(
                    f"transaction {receipt['transactionHash'].to_0x_hex()} failed: the trade moved on before it was "
                    "mined. Look at the trade again."
                )
            contract = self.web3.eth.contract(function.address, abi=function.contract_abi)
            return Receipt(
                transaction_hash=receipt["transactionHash"].to_0x_hex(),
                block_number=receipt["blockNumber"],
                gas_used=receipt["gasUsed"],
                gas_cost_wei=receipt["gasUsed"] * receipt["effectiveGasPrice"],
                events=tuple(_decode(contract, receipt)),
            )

    def _known(self, signed: bytes) -> bool:
        try:
            self.web3.eth.get_transaction(HexBytes(Web3.keccak(signed)))
        except TransactionNotFound:
            return False
        return True

    def _check_not_replaced(self, signed: bytes) -> None:
        sender = Account.recover_transaction(signed)
        nonce = TypedTransaction.from_bytes(HexBytes(signed)).as_dict()["nonce"]
        if self.web3.eth.get_transaction_count(sender, "latest") > nonce:
            raise TransactionRefusedError(
                f"another transaction of {sender} took number {nonce}: look at the trade again"
            )

    def _await_confirmation(self, transaction_hash: HexBytes) -> TxReceipt:
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            receipt = self.web3.eth.wait_for_transaction_receipt(
                transaction_hash, timeout=max(0.0, deadline - time.monotonic()), poll_latency=POLL_SECONDS
            )
            standing = self.web3.eth.block_number - receipt["blockNumber"] + 1
            if standing >= self._confirmations:
                return receipt
            if time.monotonic() > deadline:
                raise ChainUnavailableError(
                    f"{self.name} gave {standing} of {self._confirmations} confirmations in "
                    f"{self._timeout_seconds:.0f} seconds. Repeat: a transaction under way is not sent twice."
                )
            time.sleep(POLL_SECONDS)

    def _require_anvil(self, otherwise: str) -> None:
        with self.reachable():
            if not self.web3.client_version.lower().startswith("anvil"):
                raise CallerError(f"{self.name} {otherwise}")

    def _request(self, method: str, parameters: list[Any]) -> None:
        with self.reachable():
            self.web3.manager.request_blocking(cast("RPCEndpoint", method), parameters)


def _decode(contract: Contract, receipt: Any) -> list[LogEvent]:
    """The contract's events in a receipt, in order; other contracts' are left out."""
    own: Any = {"logs": [log for log in receipt["logs"] if log["address"] == contract.address]}
    events: Any = contract.events  # iterable, though its annotation says otherwise
    decoded = [found for event in events for found in event().process_receipt(own, errors=DISCARD)]
    decoded.sort(key=lambda log: (log["blockNumber"], log["logIndex"]))
    return [
        LogEvent(log["event"], dict(log["args"]), log["blockNumber"], "0x" + bytes(log["transactionHash"]).hex())
        for log in decoded
    ]


def _revert_data(error: BaseException) -> bytes | None:
    """What the contract returned when it reverted, if the exception still has it."""
    if isinstance(error, ContractLogicError):
        return bytes(HexBytes(error.data)) if isinstance(error.data, (str, bytes)) else None
    # eth-tester gives the data as the text of a bytes literal, or the text of a revert with a message.
    literal = str(error).removeprefix("execution reverted: ")
    return bytes(ast.literal_eval(literal)) if literal.startswith(("b'", 'b"')) else None


def _first_line(error: BaseException) -> str:
    return (str(error) or repr(error)).splitlines()[0][:300]
