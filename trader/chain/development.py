"""Chains for development: one in this process (eth-tester with py-evm), and what anvil lets anybody do.

`Chain.embedded`, `Chain.advance_time` and `Chain.fund` end here. On a real chain time can't be moved, no account lies
open, and nothing is undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from eth_tester import EthereumTester, PyEVMBackend
from hexbytes import HexBytes
from web3 import EthereumTesterProvider, Web3

from trader.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from web3.contract.contract import ContractFunction
    from web3.types import RPCEndpoint, TxParams, Wei

    from trader.chain.node import Chain

DEVELOPMENT_CHAINS = frozenset({1337, 31337, 131277322940537})
"""Chain ids of ganache and geth's, hardhat's and anvil's, and eth-tester's development chains."""
EMBEDDED_BLOCK_GAS = 60_000_000
EMBEDDED_TRANSACTION_GAS = 12_000_000
"""Gas limit of every transaction on the embedded chain, where an estimate would run each of them many times."""
FUNDING_TIMEOUT_SECONDS = 120.0


def start_embedded() -> Web3:
    """Start a fresh chain in this process."""
    genesis = PyEVMBackend.generate_genesis_params(overrides={"gas_limit": EMBEDDED_BLOCK_GAS})
    return Web3(EthereumTesterProvider(EthereumTester(backend=PyEVMBackend(genesis_parameters=genesis))))


def tester_behind(web3: Web3) -> Any:
    """Return the `EthereumTester` of an embedded chain; None where `web3` talks to a node."""
    provider: Any = web3.provider
    return provider.ethereum_tester if isinstance(provider, EthereumTesterProvider) else None


def send_embedded(
    web3: Web3, signed: bytes, function: ContractFunction, transaction: TxParams, once_sent: Callable[[], None]
) -> None:
    """Send a signed transaction to the embedded chain, and undo it if it failed.

    This is instead of an estimate, which would run the verification of a proof several times more.

    Args:
        web3: The embedded chain.
        signed: The signed transaction.
        function: What it calls.
        transaction: Its fields before it was signed.
        once_sent: Called when the chain has taken it.

    Raises:
        TransactionFailed: The contract refuses it; the exception holds what the contract returned.
    """
    tester = tester_behind(web3)
    snapshot = tester.take_snapshot()
    sent = web3.eth.send_raw_transaction(HexBytes(signed))
    once_sent()
    if web3.eth.get_transaction_receipt(sent)["status"] != 1:
        tester.revert_to_snapshot(snapshot)
        # Fails as the transaction did, but says why.
        function.call({"from": transaction["from"], "value": transaction["value"], "gas": transaction["gas"]})


def advance_time(chain: Chain, seconds: int) -> None:
    """Let time pass on the embedded chain or on anvil, and mine a block.

    Raises:
        CallerError: The node is a real one: it can't be hurried.
    """
    tester = tester_behind(chain.web3)
    if tester is not None:
        tester.time_travel(chain.time().newest + seconds)
        tester.mine_block()
        return
    with chain.reachable():
        if not chain.web3.client_version.lower().startswith("anvil"):
            raise CallerError(f"{chain.name} can't be hurried: wait for the deadline")
        chain.web3.manager.request_blocking(cast("RPCEndpoint", "evm_increaseTime"), [seconds])
        chain.web3.manager.request_blocking(cast("RPCEndpoint", "evm_mine"), [])


def fund(chain: Chain, address: str, amount_wei: int) -> None:
    """Give an account ether from the node's own unlocked account.

    Raises:
        CallerError: The node has none: fund the account from a wallet.
    """
    with chain.reachable():
        unlocked = chain.web3.eth.accounts
        if not unlocked:
            raise CallerError(f"{chain.name} has no unlocked account: send ether to {address} from a wallet")
        to = Web3.to_checksum_address(address)
        sent = chain.web3.eth.send_transaction({"from": unlocked[0], "to": to, "value": cast("Wei", amount_wei)})
        chain.web3.eth.wait_for_transaction_receipt(sent, timeout=FUNDING_TIMEOUT_SECONDS)
