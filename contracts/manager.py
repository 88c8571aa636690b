"""Knows the compiled artifacts: deploys the contracts, binds deployed ones, checks their code against the published.

Running a trade never needs a compiler; `contracts/compiler.py` is for whoever changes the sources. In the order of use:
:func:`deploy` (once per chain), :func:`register_vka` (once per circuit, by the seller), :func:`verify_deployment`
(the buyer, before it pays), :func:`bind_market`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import Web3Exception

from contracts.errors import DeploymentError, UnexpectedCodeError
from contracts.published import read_artifacts

MARKET = "ModelMarket"
VERIFIER = "Halo2VerifierReusable"

_WORD_BYTES = 32


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
    verifier = _deploy(web3, sender, VERIFIER)
    return Deployment(market=_deploy(web3, sender, MARKET, verifier, verifier_codehash()), verifier=verifier)


def _deploy(web3: Web3, sender: ChecksumAddress, name: str, *arguments: Any) -> ChecksumAddress:
    artifact = read_artifacts().contracts[name]
    contract = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    try:
        transaction = contract.constructor(*arguments).transact({"from": sender})
        receipt = web3.eth.wait_for_transaction_receipt(transaction)
    except (Web3Exception, ValidationError, ValueError) as error:
        raise DeploymentError(f"{name} could not be deployed by {sender}: {error}. Is the account funded?") from error
    address = receipt["contractAddress"]
    if receipt["status"] != 1 or address is None:
        raise DeploymentError(f"the deployment of {name} was reverted, see transaction 0x{transaction.hex()}")
    return address


def bind_market(web3: Web3, address: ChecksumAddress) -> Contract:
    """The market at `address`, with its ABI. Does NOT check its code: see :func:`verify_deployment`."""
    return web3.eth.contract(address=address, abi=read_artifacts().contracts[MARKET].abi)


def bind_verifier(web3: Web3, address: ChecksumAddress) -> Contract:
    """The ezkl verifier at `address`. Does NOT check its code: see :func:`verify_deployment`.

    Its ABI is that of `IVerifier.sol` for `verifyProof`: what ezkl returns after the first two words can't be decoded.
    """
    return web3.eth.contract(address=address, abi=[_first_two_outputs(entry) for entry in _verifier_abi()])


def _verifier_abi() -> list[dict[str, Any]]:
    return read_artifacts().contracts[VERIFIER].abi


def _first_two_outputs(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"outputs": entry["outputs"][:2]} if entry.get("name") == "verifyProof" else entry


def register_vka(web3: Web3, verifier: ChecksumAddress, vka: Sequence[bytes]) -> ContractFunction:
    """The call that registers a circuit's verification key artifact (its 32-byte words) with the verifier.

    Returned unsent: accounts are the caller's affair. Anyone may register anything, and twice changes nothing: the
    market trusts the digest in a listing, never the registration.
    """
    return bind_verifier(web3, verifier).functions.registerVka(list(vka))


def verifier_codehash() -> bytes:
    """The codehash of the published verifier, which has no immutables: keccak256 of its runtime code."""
    return keccak(read_artifacts().contracts[VERIFIER].runtime)


def verify_deployment(web3: Web3, market: ChecksumAddress) -> Deployment:
    """Checks that market and verifier run exactly the published code.

    The market's codehash differs from chain to chain, as its code contains the verifier's address. So:
    (1) its code equals the artifact's once the words of the immutables are blanked;
    (2) every occurrence of an immutable holds the same value, and the verifier's codehash among them is the published;
    (3) the code at the verifier's address has that codehash.

    Raises:
        UnexpectedCodeError: One of them does not hold.
    """
    artifact = read_artifacts().contracts[MARKET]
    code = bytes(web3.eth.get_code(market))

    # (1)
    blanked = bytearray(code)
    for offset in (offset for offsets in artifact.immutables.values() for offset in offsets):
        blanked[offset : offset + _WORD_BYTES] = bytes(_WORD_BYTES)
    if bytes(blanked) != artifact.runtime:
        raise UnexpectedCodeError(_explain(market, "market", keccak(artifact.runtime), keccak(bytes(blanked))))

    # (2)
    verifier_word, codehash = (_immutable(code, market, name) for name in ("VERIFIER", "VERIFIER_CODEHASH"))
    if codehash != verifier_codehash():
        raise UnexpectedCodeError(_explain(market, "verifier that the market pins", verifier_codehash(), codehash))

    # (3)
    verifier = web3.to_checksum_address(verifier_word[-20:])
    actual = keccak(bytes(web3.eth.get_code(verifier)))
    if actual != verifier_codehash():
        raise UnexpectedCodeError(_explain(verifier, "verifier", verifier_codehash(), actual))
    return Deployment(market=market, verifier=verifier)


def _immutable(code: bytes, market: ChecksumAddress, name: str) -> bytes:
    offsets = read_artifacts().contracts[MARKET].immutables[name]
    first, *others = {code[offset : offset + _WORD_BYTES] for offset in offsets}
    if others:
        raise UnexpectedCodeError(f"the code at {market} holds several values of {name}. Do not pay into it.")
    return first


def _explain(address: ChecksumAddress, role: str, expected: bytes, actual: bytes) -> str:
    return (
        f"{address} is not the published {role}: its code hashes to 0x{actual.hex()}, not to 0x{expected.hex()}. "
        "Check the address, or install the version of this package that the other party uses."
    )
