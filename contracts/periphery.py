"""Knows the contracts around the market: deploys and binds them, each at one address on every chain.

None takes a constructor's argument, so that an address tells its code alone (see `create2.py`), and none is bound to a
market: whoever calls names the market that it means.
"""

from enum import StrEnum

from eth_typing import ChecksumAddress
from web3 import Web3
from web3.contract import Contract

from contracts.create2 import create, create2_address
from contracts.manager import PUBLISHED_SALT
from contracts.published import read_artifacts


class Periphery(StrEnum):
    """The contracts, by the names of their sources in `src/periphery`."""

    AUDIT_ANCHOR = "AuditAnchor"
    DEPOSITS = "Deposits"
    JOB_EVALUATOR = "JobEvaluator"
    LISTING_POLICY = "ListingPolicy"
    MODEL_REQUESTS = "ModelRequests"
    SETTLEMENT_ATTESTER = "SettlementAttester"


def periphery_address(contract: Periphery) -> ChecksumAddress:
    """Return where the contract is on every chain that has it; computed, no node is asked."""
    return create2_address(PUBLISHED_SALT, read_artifacts().contracts[contract].bytecode)


def deploy_periphery(web3: Web3, sender: ChecksumAddress, contract: Periphery) -> ChecksumAddress:
    """Bring the contract to the chain, unless it is there; return its address.

    Args:
        web3: The chain.
        sender: Pays; the node or a signing middleware signs for it.
        contract: Which one.

    Raises:
        DeploymentError: A transaction failed.
        ArtifactError: The committed artifacts cannot be read.
    """
    return create(web3, sender, contract, PUBLISHED_SALT, read_artifacts().contracts[contract].bytecode)


def bind_periphery(web3: Web3, contract: Periphery) -> Contract:
    """Return the contract, with its ABI. It may not have been deployed: its events are none then, and calls fail."""
    return web3.eth.contract(address=periphery_address(contract), abi=read_artifacts().contracts[contract].abi)
