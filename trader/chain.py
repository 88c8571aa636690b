"""The chain as the trade needs it: signed transactions, receipts, time. The only module of `trader` that imports web3.

:meth:`Chain.embedded` runs a chain in this process (eth-tester with py-evm), :meth:`Chain.connect` talks to a node over
JSON-RPC; everything after that is the same. Accounts sign locally; the node never sees a key. What the contracts say is
read and sent through :class:`trader.market.Market`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from web3 import Web3

if TYPE_CHECKING:
    from collections.abc import Callable

    from eth_account.signers.local import LocalAccount
    from web3.contract.contract import ContractFunction

    from contracts import Deployment

T = TypeVar("T")


@dataclass(frozen=True)
class LogEvent:
    """One event of a contract.

    Attributes:
        name: As in the ABI.
        arguments: By name.
    """

    name: str
    arguments: dict[str, Any]


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
    """A chain that contracts are read from and transactions are sent to.

    Attributes:
        web3: For the packages below that bind contracts and read logs with it.
    """

    web3: Web3

    @classmethod
    def embedded(cls) -> Chain:
        """A fresh chain in this process; its time moves with :meth:`advance_time` and by a second per block."""
        raise NotImplementedError

    @classmethod
    def connect(cls, url: str, *, confirmations: int = 1, timeout_seconds: float = 120.0) -> Chain:
        """A node over JSON-RPC (HTTP).

        Args:
            url: http(s)://…
            confirmations: Blocks that must stand on the chain, the transaction's own included, before :meth:`send`
                returns.
            timeout_seconds: How long to wait for that.

        Raises:
            ChainUnavailableError: Nobody answers there.
        """
        raise NotImplementedError

    def now(self) -> int:
        """Unix time of the latest block: the time that deadlines are measured in."""
        raise NotImplementedError

    def advance_time(self, seconds: int) -> None:
        """Let time pass on a development chain (embedded or anvil), and mine a block.

        Raises:
            ChainUnavailableError: The node does not offer it: real chains can't be hurried.
        """
        raise NotImplementedError

    def balance(self, address: str) -> int:
        """Balance of an account in wei."""
        raise NotImplementedError

    def fund(self, address: str, amount_wei: int) -> None:
        """Give an account ether from the node's own unlocked accounts (development chains).

        Raises:
            ChainUnavailableError: The node has no such account: fund the account yourself.
        """
        raise NotImplementedError

    def deploy(self, account: LocalAccount) -> Deployment:
        """Deploy verifier and market, paid by `account`."""
        raise NotImplementedError

    def call(self, function: ContractFunction) -> Any:
        """Read from a contract.

        Raises:
            TransactionRefusedError: The contract refused.
            ChainUnavailableError: The node does not answer.
        """
        raise NotImplementedError

    def send(
        self,
        function: ContractFunction,
        account: LocalAccount,
        *,
        value_wei: int = 0,
        before_sending: Callable[[bytes], None] | None = None,
    ) -> Receipt:
        """Sign a transaction, send it, and wait until it is confirmed.

        It is tried against the latest state first: one that would fail is not sent.

        Args:
            function: The contract's function with its arguments.
            account: Signs and pays.
            value_wei: Ether sent along.
            before_sending: Called with the signed transaction before it leaves: to keep it for :meth:`resend`.

        Raises:
            TransactionRefusedError: The contract refuses it (its cause is a `MarketReverted`), or the account can't pay.
            ChainUnavailableError: The node does not answer, or did not confirm in time.
        """
        raise NotImplementedError
