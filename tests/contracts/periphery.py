"""A chain with contracts of the periphery on it: what their tests share with `stage.py`, without a market."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils.abi import get_abi_output_types
from web3 import EthereumTesterProvider, Web3
from web3.logs import DISCARD

from contracts import ETH, MarketRevertedError, Periphery, bind_periphery, decode_revert, deploy_periphery
from contracts.published import read_artifacts
from tests.contracts.backends import DrivenChain, key_of, revert_data

GAS = 12_000_000


class Ground(DrivenChain):
    """The chain; `send` mines one transaction and returns its receipt, or raises what the contract says."""

    def __init__(self) -> None:
        overrides = {"gas_limit": 60_000_000, "timestamp": 4_000_000_000}
        parameters = PyEVMBackend.generate_genesis_params(overrides=overrides)
        self.tester = EthereumTester(PyEVMBackend(genesis_parameters=parameters))
        self.web3 = Web3(EthereumTesterProvider(self.tester))
        self.deployer, self.seller, self.buyer, self.stranger = self.web3.eth.accounts[:4]

    def periphery(self, contract: Periphery) -> Any:
        """The contract at its published address."""
        deploy_periphery(self.web3, self.deployer, contract)
        return bind_periphery(self.web3, contract)

    def create(self, name: str, *arguments: Any, sender: str | None = None) -> Any:
        """A new instance of a compiled contract, such as a stand-in of the tests."""
        artifact = read_artifacts().contracts[name]
        constructor = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor(*arguments)
        receipt = self.web3.eth.wait_for_transaction_receipt(constructor.transact({"from": sender or self.deployer}))
        return self.web3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)

    def send(self, function: Any, sender: str, value: int = 0) -> Any:
        try:
            sent = function.transact({"from": sender, "value": value, "gas": GAS})
        except TransactionFailed as error:
            raise decode_revert(revert_data(error)) from None
        receipt = self.web3.eth.wait_for_transaction_receipt(sent)
        if receipt["status"] == 1:
            return receipt
        try:  # once more, for the reason
            self.tester.call(
                {"from": sender, "value": value, "gas": GAS, "to": function.address, "data": _data(function)}
            )
        except TransactionFailed as error:
            raise decode_revert(revert_data(error)) from None
        raise AssertionError(f"{function.abi_element_identifier} was reverted, and is no more")

    def call(self, function: Any, sender: str | None = None) -> Any:
        """What the function returns in the next block; raises what the contract says."""
        try:
            transaction = {"from": sender or self.deployer, "gas": GAS, "to": function.address, "data": _data(function)}
            result = self.tester.call(transaction, "pending")
        except TransactionFailed as error:
            raise decode_revert(revert_data(error)) from None
        outputs = get_abi_output_types(function.abi)
        values = decode(outputs, bytes.fromhex(result.removeprefix("0x")))
        return values[0] if len(values) == 1 else values

    @contextmanager
    def refused(self, name: str, **arguments: Any) -> Iterator[None]:
        """The block inside is refused with this error; named arguments are compared, bytes as bytes."""
        with self.restored(), pytest.raises(MarketRevertedError) as caught:
            yield
        error = caught.value
        expected = {key: _as_read(value) for key, value in arguments.items()}
        assert (error.name, {key: error.arguments.get(key) for key in expected}) == (name, expected)

    def key(self, account: str) -> Any:
        """The account, with its key."""
        return key_of(self.tester, account)


def filled(contract: Any, function: str, **values: Any) -> tuple[Any, ...]:
    """The last argument of a function, a struct: zeros but for the named fields, which may stand in structs inside."""
    component = contract.get_function_by_name(function).abi["inputs"][-1]
    given = dict(values)
    struct = _filled(component, given)
    assert not given, f"{component['internalType']} has no {list(given)}"
    return tuple(struct)


def _filled(component: dict[str, Any], values: dict[str, Any]) -> Any:
    if component["type"] == "tuple":
        return tuple(_filled(member, values) for member in component["components"])
    zero = {"address": ETH, "bool": False, "bytes32": bytes(32)}.get(component["type"], 0)
    return values.pop(component["name"], zero)


@cache
def ground() -> Ground:
    """One chain for all; who changes it does so inside `restored`."""
    return Ground()


def event(receipt: Any, contract: Any, name: str) -> dict[str, Any]:
    """The arguments of the contract's one event of that name in the receipt."""
    logs = [log for log in receipt["logs"] if log["address"] == contract.address]
    (found,) = contract.events[name]().process_receipt({"logs": logs}, DISCARD)
    return dict(found["args"])


def _as_read(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value.lower() if isinstance(value, str) and value.startswith("0x") else value


def _data(function: Any) -> str:
    return str(function._encode_transaction_data())
