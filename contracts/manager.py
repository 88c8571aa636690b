"""Knows the compiled artifacts: deploys the contracts, binds deployed ones, checks that they are the published ones.

Running a trade never needs a compiler; `contracts/compiler.py` is for whoever changes the sources. In the order of use:
`deploy` (once per chain), `register_vka` (once per circuit, by the seller), `verify_deployment`
(the buyer, before it pays), `bind_market`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from contracts.create2 import SALT_BYTES, create, create2_address
from contracts.errors import UnexpectedCodeError
from contracts.published import read_artifacts
from contracts.types import ETH

MARKET = "ModelMarket"
VERIFIER = "Halo2VerifierReusable"
DIRECTORY = "Directory"

PUBLISHED_SALT = bytes(SALT_BYTES)
"""The salt of the verifier, and of the one market per chain that people trade in."""


@dataclass(frozen=True)
class Deployment:
    """Where the contracts live on a chain, and the market's salt, which its address follows from."""

    market: ChecksumAddress
    verifier: ChecksumAddress
    salt: bytes = PUBLISHED_SALT


def deploy(web3: Web3, sender: ChecksumAddress, salt: bytes = PUBLISHED_SALT) -> Deployment:
    """Bring verifier and market to the chain; what stands there already is used.

    Args:
        web3: The chain.
        sender: Pays for what is missing; the node or a signing middleware signs for it.
        salt: Another one gives another market, for tests that need several on one chain.

    Raises:
        DeploymentError: A transaction failed.
        ArtifactError: The committed artifacts cannot be read.
    """
    create(web3, sender, VERIFIER, PUBLISHED_SALT, _verifier_init_code())
    create(web3, sender, MARKET, salt, _market_init_code())
    return published_deployment(salt)


def published_deployment(salt: bytes = PUBLISHED_SALT) -> Deployment:
    """Return where the published contracts are on every chain that has them; computed, no node is asked."""
    return Deployment(
        market=create2_address(salt, _market_init_code()),
        verifier=create2_address(PUBLISHED_SALT, _verifier_init_code()),
        salt=salt,
    )


def _verifier_init_code() -> bytes:
    return read_artifacts().contracts[VERIFIER].bytecode


def _market_init_code() -> bytes:
    """Return init code and arguments: the verifier's address, which names its code, its codehash, no protocol fee."""
    arguments = create2_address(PUBLISHED_SALT, _verifier_init_code()), verifier_codehash(), 0, ETH
    encoded = encode(["address", "bytes32", "uint256", "address"], arguments)
    return read_artifacts().contracts[MARKET].bytecode + encoded


def deploy_directory(web3: Web3, sender: ChecksumAddress) -> ChecksumAddress:
    """Bring the directory of endpoints to the chain, unless it is there; return its address.

    Args:
        web3: The chain.
        sender: Pays; the node or a signing middleware signs for it.

    Raises:
        DeploymentError: A transaction failed.
        ArtifactError: The committed artifacts cannot be read.
    """
    return create(web3, sender, DIRECTORY, PUBLISHED_SALT, read_artifacts().contracts[DIRECTORY].bytecode)


def bind_directory(web3: Web3) -> Contract:
    """Return the directory of endpoints, with its ABI; its address is the same on every chain, and tells its code.

    It may not have been deployed: its events are none, then.
    """
    artifact = read_artifacts().contracts[DIRECTORY]
    return web3.eth.contract(address=create2_address(PUBLISHED_SALT, artifact.bytecode), abi=artifact.abi)


def bind_market(web3: Web3, address: ChecksumAddress) -> Contract:
    """Return the market at `address`, with its ABI. Does NOT check its code: see `verify_deployment`."""
    return web3.eth.contract(address=address, abi=read_artifacts().contracts[MARKET].abi)


def bind_verifier(web3: Web3, address: ChecksumAddress) -> Contract:
    """Return the ezkl verifier at `address`. Does NOT check its code: see `verify_deployment`.

    Its ABI is that of `IVerifier.sol` for `verifyProof`: what ezkl returns after the first two words can't be decoded.
    """
    return web3.eth.contract(address=address, abi=[_first_two_outputs(entry) for entry in _verifier_abi()])


def _verifier_abi() -> list[dict[str, Any]]:
    return read_artifacts().contracts[VERIFIER].abi


def _first_two_outputs(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"outputs": entry["outputs"][:2]} if entry.get("name") == "verifyProof" else entry


def register_vka(web3: Web3, verifier: ChecksumAddress, vka: Sequence[bytes]) -> ContractFunction:
    """Return the call that registers a circuit's verification key artifact (its 32-byte words) with the verifier.

    Returned unsent: accounts are the caller's affair. Anyone may register anything, and twice changes nothing: the
    market trusts the digest in a listing, never the registration.
    """
    return bind_verifier(web3, verifier).functions.registerVka(list(vka))


def verifier_codehash() -> bytes:
    """Return the codehash of the published verifier, which has no immutables: keccak256 of its runtime code."""
    return keccak(read_artifacts().contracts[VERIFIER].runtime)


def verify_deployment(web3: Web3, market: ChecksumAddress, salt: bytes = PUBLISHED_SALT) -> Deployment:
    """Check that `market` is the published market: by its address (see `create2.py`), and that it was deployed.

    The address depends on the market's init code, and through the constructor's arguments on the verifier's address and
    codehash, and on the protocol fee, which is nothing; that the verifier stood there the market's constructor has
    checked.

    Raises:
        UnexpectedCodeError: It is not.
    """
    published = published_deployment(salt)
    if market != published.market:
        raise UnexpectedCodeError(
            f"{market} is not the published market, which is {published.market} on every chain: whatever its code, its "
            "storage may hold anything. Check the address, or install the version of this package that the other "
            "party uses."
        )
    if not web3.eth.get_code(market):
        raise UnexpectedCodeError(
            f"the published market {market} was not deployed on this chain yet: check that the node is on the right "
            "chain; whoever sells there deploys it."
        )
    return published
