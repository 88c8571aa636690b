"""Knows the compiled artifacts: deploys the contracts, binds deployed ones, checks their code against the published.

Running a trade never needs a compiler; `contracts/compiler.py` is for whoever changes the sources. In the order of use:
:func:`deploy` (once per chain), :func:`register_vka` (once per circuit, by the seller), :func:`verify_deployment`
(the buyer, before it pays), :func:`bind_market`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_typing import ChecksumAddress
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction


@dataclass(frozen=True)
class Deployment:
    """Where the contracts live on one chain."""

    market: ChecksumAddress
    verifier: ChecksumAddress


def deploy(web3: Web3, sender: ChecksumAddress) -> Deployment:
    """Deploys the verifier and the market from an account that the node (or a signing middleware) signs for.

    Raises:
        DeploymentError: A transaction failed.
        ArtifactError: The committed artifacts cannot be read.
    """
    raise NotImplementedError(web3, sender)


def bind_market(web3: Web3, address: ChecksumAddress) -> Contract:
    """The market at `address`, with its ABI. Does NOT check its code: see :func:`verify_deployment`."""
    raise NotImplementedError(web3, address)


def bind_verifier(web3: Web3, address: ChecksumAddress) -> Contract:
    """The ezkl verifier at `address`, with the short ABI. Does NOT check its code: see :func:`verify_deployment`."""
    raise NotImplementedError(web3, address)


def verify_deployment(web3: Web3, market: ChecksumAddress) -> Deployment:
    """Checks that market and verifier run exactly the published code.

    The runtime code is compared with the artifact's after masking the immutables, whose values are then checked one by
    one: the verifier's address is the one that `VERIFIER()` returns, and its codehash is the published one.

    Raises:
        UnexpectedCodeError: One of them does not.
    """
    raise NotImplementedError(web3, market)


def register_vka(web3: Web3, verifier: ChecksumAddress, vka: Sequence[bytes]) -> ContractFunction:
    """The call that registers a circuit's verification key artifact (its 32-byte words) with the verifier.

    Returned unsent: accounts are the caller's affair. Registering twice changes nothing.
    """
    raise NotImplementedError(web3, verifier, vka)
