"""The chain below `stage.py`: eth-tester, or with `pytest --chain` a node that stands in its place.

`--chain anvil` starts nodes of the tests' own, `--chain URL` takes any development node whose time can be set and whose
blocks can be undone (anvil, hardhat and what speaks like them). Accounts are eth-tester's, which sign here: sums are
valid for one seller alone. All tests of the contracts run there but those of `EMBEDDED_ONLY`.
"""

import ast
import atexit
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_keys import keys
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.hexadecimal import encode_hex
from hexbytes import HexBytes
from web3 import EthereumTesterProvider, HTTPProvider, Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.middleware.base import Web3Middleware

from contracts import PUBLISHED_SALT
from contracts.create2 import SALT_BYTES
from tests.simulators.node import Node

GENESIS_SECONDS = 4_000_000_000
"""Ahead of the wall clock, so that blocks are one second apart unless a test says otherwise."""
BLOCK_GAS = 60_000_000
ACCOUNTS = 10
ANVIL = "anvil"
REVERTED = "execution reverted: "
EMBEDDED_ONLY = frozenset(
    {
        "test_game_tree.py",
        "test_market_dispute_fuzz.py",
        "test_market_gas.py",
        "test_invariants.py",
    }
)
"""Files of tests that look into eth-tester: its gas, its blocks, thousands of moves in a row."""
CONTRACTS = Path(__file__).parent
chosen: list[str] = []
"""What `--chain` says, if anything (`tests/conftest.py`)."""


def runs_on_a_node(path: Path) -> bool:
    """Whether the tests of a file run on any development chain."""
    return path.parent == CONTRACTS and path.name not in EMBEDDED_ONLY


def is_shared() -> bool:
    """Whether all stages are on one chain, so that none may be kept while another is played on."""
    return bool(chosen) and chosen[0] != ANVIL


def new_salt() -> bytes:
    """The published market's, or that of a market of the stage's own where all are on one chain."""
    return secrets.token_bytes(SALT_BYTES) if is_shared() else PUBLISHED_SALT


def open_chain() -> tuple[Any, Web3]:
    """What moves time and undoes blocks, and the chain."""
    if not chosen:
        parameters = PyEVMBackend.generate_genesis_params(
            overrides={"gas_limit": BLOCK_GAS, "timestamp": GENESIS_SECONDS}
        )
        tester = EthereumTester(PyEVMBackend(genesis_parameters=parameters))
        return tester, Web3(EthereumTesterProvider(tester))
    url = _start_anvil() if chosen[0] == ANVIL else chosen[0]
    web3 = Web3(HTTPProvider(url))
    return NodeTester(web3), web3


def _start_anvil() -> str:
    node = Node(
        Path(tempfile.mkdtemp(prefix="anvil-")),
        *("--timestamp", str(GENESIS_SECONDS), "--gas-limit", str(BLOCK_GAS), "--disable-min-priority-fee"),
    )
    url = node.start()
    atexit.register(node.stop)
    return url


class DrivenChain:
    """A chain whose time the tests set, and whose blocks they undo."""

    tester: Any
    web3: Web3

    @property
    def now(self) -> int:
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def at(self, timestamp: int) -> None:
        """The next transaction is mined at exactly this second."""
        self.tester.time_travel(timestamp)

    def set_code(self, account: str, code: bytes) -> None:
        """Give an account code, as a delegation does (EIP-7702)."""
        if isinstance(self.tester, NodeTester):
            self.tester.set_code(account, code)
        else:
            self.tester.backend.chain.get_vm().state.set_code(bytes(HexBytes(account)), code)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Everything inside is undone afterwards."""
        snapshot = self.tester.take_snapshot()
        try:
            yield
        finally:
            self.tester.revert_to_snapshot(snapshot)


def key_of(tester: Any, account: str) -> Any:
    """An account, with the key that eth-tester has for it."""
    (key,) = [key for key in tester.backend.account_keys if key.public_key.to_checksum_address() == account]
    return Account.from_key(key.to_bytes())


def revert_data(error: TransactionFailed) -> bytes:
    """eth-tester gives the return data as the text of a bytes literal, or the message alone of `Error(string)`."""
    text = str(error.args[0])
    if text.startswith("b"):
        return bytes(ast.literal_eval(text))
    return function_signature_to_4byte_selector("Error(string)") + encode(["string"], [text.removeprefix(REVERTED)])


class NodeTester:
    """A node under the names that eth-tester has for it."""

    def __init__(self, web3: Web3) -> None:
        signers = [keys.PrivateKey(number.to_bytes(32, "big")) for number in range(1, ACCOUNTS + 1)]
        self.backend = SimpleNamespace(account_keys=signers)
        self._web3 = web3
        self._next_seconds: int | None = None
        accounts = [Account.from_key(key.to_bytes()) for key in signers]
        addresses = [account.address for account in accounts]
        for address in addresses:
            self._request("anvil_setBalance", address, hex(10**24))
        tester = self

        class Standing(Web3Middleware):
            """The accounts are eth-tester's; what is mined has the time that was set."""

            def wrap_make_request(self, make_request: Any) -> Any:
                def answer(method: Any, params: Any) -> Any:
                    if method == "eth_accounts":
                        return {"jsonrpc": "2.0", "id": 1, "result": addresses}
                    if method == "eth_sendRawTransaction":
                        tester.set_next_time()
                    return make_request(method, params)

                return answer

        web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(accounts), layer=0)
        web3.middleware_onion.inject(Standing, layer=0)

    def time_travel(self, timestamp: int) -> None:
        """The next block is of this second."""
        self._next_seconds = timestamp

    def set_next_time(self) -> None:
        """Before a block is made: a second after the last one, unless it was said otherwise."""
        self._request("evm_setNextBlockTimestamp", self._next())
        self._next_seconds = None

    def set_code(self, account: str, code: bytes) -> None:
        """Give an account code."""
        self._request("anvil_setCode", account, encode_hex(code))

    def mine_block(self) -> None:
        """Make an empty block."""
        self.set_next_time()
        self._request("evm_mine")

    def take_snapshot(self) -> Any:
        """Remember where the chain stands."""
        return self._request("evm_snapshot")

    def revert_to_snapshot(self, snapshot: Any) -> None:
        """Go back there."""
        assert self._request("evm_revert", snapshot)
        self._next_seconds = None

    def call(self, transaction: dict[str, Any], _block: str = "pending") -> Any:
        """Run a transaction as it would in the next block; raises what the contract returned, as eth-tester does."""
        given = {name: hex(value) if isinstance(value, int) else value for name, value in transaction.items()}
        try:
            return self._request("eth_call", given, "latest", {}, {"time": hex(self._next())})
        except ContractLogicError as error:
            data = error.data if isinstance(error.data, str) else "0x"
            raise TransactionFailed(repr(bytes.fromhex(data[2:]))) from None
        except Web3RPCError as error:
            data = ((error.rpc_response or {}).get("error") or {}).get("data")
            raise TransactionFailed(repr(bytes.fromhex((data or "0x")[2:]))) from None

    def _next(self) -> int:
        now = int(self._web3.eth.get_block("latest")["timestamp"])
        return now + 1 if self._next_seconds is None else self._next_seconds

    def _request(self, method: str, *parameters: Any) -> Any:
        try:
            return self._web3.manager.request_blocking(method, list(parameters))  # type: ignore[arg-type]
        except Web3RPCError as error:
            if "evm_" in method or "anvil_" in method:
                pytest.skip(f"the chain is no development chain: it does not know {method} ({error})")
            raise
