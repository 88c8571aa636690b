from typing import Any

import pytest
from eth_account import Account
from eth_tester import EthereumTester, PyEVMBackend
from eth_utils.crypto import keccak
from rlp import encode as encode_rlp
from web3 import EthereumTesterProvider, Web3

from contracts import (
    ETH,
    ContractsError,
    Deployment,
    DeploymentError,
    UnexpectedCodeError,
    bind_market,
    deploy,
    published_deployment,
    register_vka,
    verify_deployment,
)
from contracts.create2 import DEPLOYER, DEPLOYER_SENDER, DEPLOYER_TRANSACTION
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


def test_a_deployed_market_is_bound_to_the_deployed_verifier(web3: Web3, deployment: Deployment) -> None:
    market = bind_market(web3, deployment.market)
    assert market.functions.VERIFIER().call() == deployment.verifier
    assert market.functions.VERIFIER_CODEHASH().call() == verifier_codehash()
    assert keccak(web3.eth.get_code(deployment.verifier)) == verifier_codehash()


def test_addresses_follow_from_the_published_code_alone(web3: Web3, deployment: Deployment) -> None:
    assert verify_deployment(web3, deployment.market) == deployment == published_deployment()
    assert keccak(web3.eth.get_code(DEPLOYER))[:4].hex() == "2fa86add"


def test_the_deployer_comes_from_a_transaction_that_nobody_can_change(web3: Web3, deployment: Deployment) -> None:
    """Its address is that of the first contract of the account that the made-up signature recovers to."""
    assert Account.recover_transaction(DEPLOYER_TRANSACTION) == DEPLOYER_SENDER
    assert web3.eth.get_transaction_count(DEPLOYER_SENDER) == 1
    first = encode_rlp([bytes.fromhex(DEPLOYER_SENDER[2:]), b""])
    assert keccak(first)[12:].hex() == DEPLOYER[2:].lower()


def test_what_stands_already_is_used(web3: Web3, deployment: Deployment) -> None:
    sender = web3.eth.accounts[1]
    before = web3.eth.get_transaction_count(sender)
    assert deploy(web3, sender) == deployment
    assert web3.eth.get_transaction_count(sender) == before


def test_another_salt_is_another_market_with_the_same_verifier(web3: Web3, deployment: Deployment) -> None:
    salt = keccak(b"another")
    with pytest.raises(UnexpectedCodeError, match="was not deployed on this chain yet"):
        verify_deployment(web3, published_deployment(salt).market, salt)
    other = deploy(web3, web3.eth.accounts[0], salt)
    assert (other.market != deployment.market, other.verifier) == (True, deployment.verifier)
    assert verify_deployment(web3, other.market, salt) == other
    with pytest.raises(UnexpectedCodeError, match=f"the published market, which is {deployment.market}"):
        verify_deployment(web3, other.market)


def test_the_same_code_at_another_address_is_refused(web3: Web3, deployment: Deployment) -> None:
    """Its constructor may have filled the storage: see tests/adversarial/test_preloaded_market.py."""
    for code in (web3.eth.get_code(deployment.market), b"\0"):
        with pytest.raises(UnexpectedCodeError, match="not the published market"):
            verify_deployment(web3, put_code(web3, code))


def test_a_salt_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="a salt has 32 bytes, this one 1"):
        published_deployment(b"1")


def test_a_market_cannot_be_deployed_for_other_verifier_code(web3: Web3, deployment: Deployment) -> None:
    artifact = read_artifacts().contracts[MARKET]
    contract = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    constructor = contract.constructor(deployment.verifier, keccak(b"other code"), 0, ETH)
    transaction = constructor.transact({"from": web3.eth.accounts[0], "gas": 8_000_000})
    assert web3.eth.wait_for_transaction_receipt(transaction)["status"] == 0


def test_a_protocol_fee_of_more_than_a_tenth_cannot_be_deployed(web3: Web3, deployment: Deployment) -> None:
    artifact = read_artifacts().contracts[MARKET]
    contract = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    for basis_points, status in ((1_000, 1), (1_001, 0)):
        constructor = contract.constructor(deployment.verifier, verifier_codehash(), basis_points, ETH)
        transaction = constructor.transact({"from": web3.eth.accounts[0], "gas": 8_000_000})
        assert web3.eth.wait_for_transaction_receipt(transaction)["status"] == status


def test_a_vka_can_be_registered_twice(web3: Web3, deployment: Deployment) -> None:
    vka = [keccak(bytes([i])) for i in range(3)]
    for _ in range(2):
        transaction = register_vka(web3, deployment.verifier, vka).transact({"from": web3.eth.accounts[0]})
        receipt = web3.eth.wait_for_transaction_receipt(transaction)
        assert receipt["logs"][0]["topics"][2] == keccak(b"".join(vka))


def test_an_account_that_cannot_pay_gets_an_error_with_the_cause(web3: Web3) -> None:
    poor = web3.eth.account.create().address
    with pytest.raises(DeploymentError, match=r"could not be deployed by 0x.*funded\?") as caught:
        deploy(web3, poor, keccak(b"poor"))
    assert isinstance(caught.value, ContractsError)
