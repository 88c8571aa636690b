"""Tokens of the tests on a trader's chain, and what accounts have of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts.published import read_artifacts
from trader.currencies import Currencies, Currency

if TYPE_CHECKING:
    from web3.contract.contract import ContractFunction

    from trader.chain import Chain

DECIMALS = 18


@dataclass
class Coin:
    """A token on a development chain, which anybody may mint.

    Attributes:
        chain: Where it is.
        contract: Its contract.
    """

    chain: Chain
    contract: Any

    @classmethod
    def make(cls, chain: Chain, kind: str = "StandInToken") -> Coin:
        """Deploy one: `StandInToken` has permits and authorisations, `TestToken` neither."""
        artifact, web3 = read_artifacts().contracts[kind], chain.web3
        constructor = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor()
        receipt = web3.eth.wait_for_transaction_receipt(constructor.transact({"from": web3.eth.accounts[0]}))
        return cls(chain, web3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi))

    @property
    def address(self) -> str:
        """Where it is."""
        return str(self.contract.address)

    @property
    def currency(self) -> Currency:
        """What its users call it."""
        return Currency.named(self.address, "USDX", DECIMALS)

    @property
    def currencies(self) -> Currencies:
        """It, and ether."""
        return Currencies(self.currency)

    def send(self, function: ContractFunction, sender: str | None = None) -> None:
        """Send a transaction from an account of the node's."""
        sent = function.transact({"from": sender or self.chain.web3.eth.accounts[0]})
        assert self.chain.web3.eth.wait_for_transaction_receipt(sent)["status"] == 1

    def mint(self, account: str, amount: int) -> None:
        """Give an account some."""
        self.send(self.contract.functions.mint(account, amount))

    def of(self, account: str) -> int:
        """What an account has of it."""
        return int(self.contract.functions.balanceOf(account).call())

    def allowed(self, owner: str, spender: str) -> int:
        """What a spender may take."""
        return int(self.contract.functions.allowance(owner, spender).call())
