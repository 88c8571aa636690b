from typing import Any

import pytest
from eth_tester import EthereumTester, PyEVMBackend
from eth_utils.crypto import keccak
from web3 import EthereumTesterProvider, Web3

from contracts import (
    ContractsError,
    Deployment,
    DeploymentError,
    UnexpectedCodeError,
    bind_market,
    deploy,
    register_vka,
    verify_deployment,
)
from contracts.manager import MARKET, verifier_codehash
from contracts.published import read_artifacts


@pytest.fixture(scope="module")
def web3() -> Web3:
    parameters = PyEVMBackend.generate_genesis_params(overrides={"gas_limit": 30_000_000})
    return Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend(genesis_parameters=parameters))))


@pytest.fixture(scope="module")
def deployment(web3: Web3) -> Deployment:
    return deploy(web3, web3.eth.accounts[0])


def put_code(web3: Web3, code: bytes) -> Any:
    """Deploys exactly this runtime code."""
    prefix = bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600c6000396000f3")
    transaction = {"from": web3.eth.accounts[0], "data": prefix + code, "gas": 8_000_000}
    receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction(transaction))
    assert web3.eth.get_code(receipt["contractAddress"]) == code
    return receipt["contractAddress"]


def market_code(web3: Web3, deployment: Deployment, **immutables: bytes) -> bytes:
    code = bytearray(web3.eth.get_code(deployment.market))
    for name, value in immutables.items():
        for offset in read_artifacts().contracts[MARKET].immutables[name]:
            code[offset : offset + 32] = value
    return bytes(code)


def test_a_deployed_market_is_bound_to_the_deployed_verifier(web3: Web3, deployment: Deployment) -> None:
    market = bind_market(web3, deployment.market)
    assert market.functions.VERIFIER().call() == deployment.verifier
    assert market.functions.VERIFIER_CODEHASH().call() == verifier_codehash()
    assert keccak(web3.eth.get_code(deployment.verifier)) == verifier_codehash()


def test_a_deployment_is_verified_from_the_market_address_alone(web3: Web3, deployment: Deployment) -> None:
    assert verify_deployment(web3, deployment.market) == deployment


def test_a_market_at_another_address_with_the_same_code_is_as_good(web3: Web3, deployment: Deployment) -> None:
    copy = put_code(web3, market_code(web3, deployment))
    assert verify_deployment(web3, copy) == Deployment(market=copy, verifier=deployment.verifier)


def test_other_market_code_is_refused(web3: Web3, deployment: Deployment) -> None:
    code = bytearray(market_code(web3, deployment))
    code[100] ^= 1
    for other in (bytes(code), market_code(web3, deployment) + b"\0", market_code(web3, deployment)[:-1], b"\0"):
        with pytest.raises(UnexpectedCodeError, match="not the published market"):
            verify_deployment(web3, put_code(web3, other))


def test_an_address_without_code_is_refused(web3: Web3) -> None:
    with pytest.raises(UnexpectedCodeError, match="not the published market"):
        verify_deployment(web3, web3.eth.accounts[5])


def test_a_market_that_pins_other_verifier_code_is_refused(web3: Web3, deployment: Deployment) -> None:
    forged = put_code(web3, market_code(web3, deployment, VERIFIER_CODEHASH=keccak(b"accepts everything")))
    with pytest.raises(UnexpectedCodeError, match="verifier that the market pins"):
        verify_deployment(web3, forged)


def test_a_market_that_calls_another_verifier_is_refused(web3: Web3, deployment: Deployment) -> None:
    other = put_code(web3, b"\0")
    forged = put_code(web3, market_code(web3, deployment, VERIFIER=bytes.fromhex(other[2:]).rjust(32, b"\0")))
    with pytest.raises(UnexpectedCodeError, match="not the published verifier"):
        verify_deployment(web3, forged)


def test_a_market_with_two_verifiers_is_refused(web3: Web3, deployment: Deployment) -> None:
    """One that answers questions, and one that is called."""
    code = bytearray(market_code(web3, deployment))
    offset = read_artifacts().contracts[MARKET].immutables["VERIFIER"][-1]
    code[offset + 31] ^= 1
    with pytest.raises(UnexpectedCodeError, match="several values"):
        verify_deployment(web3, put_code(web3, bytes(code)))


def test_a_market_cannot_be_deployed_for_other_verifier_code(web3: Web3, deployment: Deployment) -> None:
    artifact = read_artifacts().contracts[MARKET]
    contract = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    constructor = contract.constructor(deployment.verifier, keccak(b"other code"))
    transaction = constructor.transact({"from": web3.eth.accounts[0], "gas": 8_000_000})
    assert web3.eth.wait_for_transaction_receipt(transaction)["status"] == 0


def test_a_vka_can_be_registered_twice(web3: Web3, deployment: Deployment) -> None:
    vka = [keccak(bytes([i])) for i in range(3)]
    for _ in range(2):
        transaction = register_vka(web3, deployment.verifier, vka).transact({"from": web3.eth.accounts[0]})
        receipt = web3.eth.wait_for_transaction_receipt(transaction)
        assert receipt["logs"][0]["topics"][2] == keccak(b"".join(vka))


def test_an_account_that_cannot_pay_gets_an_error_with_the_cause(web3: Web3) -> None:
    poor = web3.eth.account.create().address
    with pytest.raises(DeploymentError, match=r"could not be deployed by 0x.*funded\?") as caught:
        deploy(web3, poor)
    assert isinstance(caught.value, ContractsError)
