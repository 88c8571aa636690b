"""Every contract that is published: where it stands on any chain, whether it stands there, and how it comes there.

The list is in the order of deployment; what depends on others comes after them. Addresses are computed (`create2.py`),
so that an address tells the code that was created there. That code is compared all the same: it costs one call, and a
chain whose rules are others would show it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from eth_typing import ChecksumAddress
from web3 import Web3

from contracts.create2 import create2_address
from contracts.errors import UnexpectedCodeError
from contracts.manager import (
    DIRECTORY,
    MARKET,
    PUBLISHED_SALT,
    VERIFIER,
    deploy,
    deploy_directory,
    published_deployment,
)
from contracts.periphery import Periphery, deploy_periphery, periphery_address
from contracts.published import Artifact, read_artifacts

WORD = 32


class Standing(Enum):
    """What is found at a contract's address."""

    STANDS = "stands"
    """The contract, with the published code."""
    MISSING = "missing"
    """Nothing."""
    OTHER = "other code"
    """Something else: do not trade on this chain."""


@dataclass(frozen=True)
class PublishedContract:
    """A contract that is published.

    Attributes:
        name: Of its artifact.
        address: On every chain.
        essential: Whether no trade is possible without it.
        bring: Deploys it, paid by an account, unless it stands there; what it depends on comes with it.
    """

    name: str
    address: ChecksumAddress
    essential: bool
    bring: Callable[[Web3, ChecksumAddress], object]

    def standing(self, web3: Web3) -> Standing:
        """Return what the newest block has at its address."""
        code = bytes(web3.eth.get_code(self.address))
        if not code:
            return Standing.MISSING
        return Standing.STANDS if is_code_of(read_artifacts().contracts[self.name], code) else Standing.OTHER


def published_contracts() -> tuple[PublishedContract, ...]:
    """Return all of them, in the order of deployment.

    Raises:
        ArtifactError: The committed artifacts can't be read.
    """
    market, directory = published_deployment(), read_artifacts().contracts[DIRECTORY]
    return (
        PublishedContract(VERIFIER, market.verifier, True, deploy),
        PublishedContract(MARKET, market.market, True, deploy),
        PublishedContract(DIRECTORY, create2_address(PUBLISHED_SALT, directory.bytecode), False, deploy_directory),
        *(PublishedContract(kind, periphery_address(kind), False, _bringer(kind)) for kind in Periphery),
    )


def is_code_of(artifact: Artifact, code: bytes) -> bool:
    """Return whether deployed code is an artifact's, whatever its immutables are."""
    if len(code) != len(artifact.runtime):
        return False
    masked = bytearray(code)
    for offsets in artifact.immutables.values():
        for offset in offsets:
            masked[offset : offset + WORD] = bytes(WORD)
    return bytes(masked) == artifact.runtime


def verify_periphery(web3: Web3, contract: Periphery) -> None:
    """Check that a contract around the market stands at its address, with the published code.

    Raises:
        UnexpectedCodeError: It does not.
    """
    address = periphery_address(contract)
    code = bytes(web3.eth.get_code(address))
    if not code:
        raise UnexpectedCodeError(f"the published {contract} {address} was not deployed on this chain yet")
    if not is_code_of(read_artifacts().contracts[contract], code):
        raise UnexpectedCodeError(f"what stands at {address} is not the published {contract}")


def _bringer(kind: Periphery) -> Callable[[Web3, ChecksumAddress], object]:
    return lambda web3, sender: deploy_periphery(web3, sender, kind)
