"""What of ours stands on a chain, bringing what is missing, and remembering since when it stands.

Addresses need no record: they are computed. What is kept, for each chain by its id, is the block from which the market
stands, since events are looked for from there; it counts as long as that block is part of the chain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_utils.hexadecimal import decode_hex, encode_hex
from hexbytes import HexBytes
from web3.exceptions import Web3Exception

from contracts import published_deployment
from contracts.create2 import DEPLOYER, SALT_BYTES, create2_address
from contracts.deployments import Standing, published_contracts
from contracts.errors import DeploymentError, UnexpectedCodeError
from trader.errors import CallerError, EnvironmentFaultError
from trader.files import exclusive, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from trader.chain.node import Chain
    from trader.signer import Signer

DEPLOYMENTS: Final = "deployments.json"
"""The record, in a party's folder."""


@dataclass(frozen=True, slots=True)
class Found:
    """A published contract on one chain.

    Attributes:
        name: Of its artifact.
        address: On every chain.
        standing: What is there.
        essential: Whether no trade is possible without it.
    """

    name: str
    address: str
    standing: Standing
    essential: bool


def find_contracts(chain: Chain) -> list[Found]:
    """Look at all published contracts, in the order of deployment.

    Raises:
        ChainUnavailableError: The node does not answer.
    """
    with chain.reachable():
        return [
            Found(contract.name, contract.address, contract.standing(chain.web3), contract.essential)
            for contract in published_contracts()
        ]


def deploy_missing(chain: Chain, account: Signer) -> list[Found]:
    """Bring every published contract to the chain that is not there; repeated, it does what is left.

    Args:
        chain: Where to.
        account: Signs and pays.

    Returns:
        What was missing before; all of them stand now.

    Raises:
        UnexpectedCodeError: Something else stands at one of the addresses; nothing was sent.
        DeploymentError: A transaction failed, or one does not stand; the others do.
        TransactionRefusedError: The account can't pay.
        ChainUnavailableError: The node does not answer.
    """
    before = find_contracts(chain)
    _require_no_other(before)
    missing = [found for found in before if found.standing is Standing.MISSING]
    for contract in published_contracts():
        if any(found.name == contract.name for found in missing):
            with chain.sending(account), chain.reachable():
                contract.bring(chain.web3, account.address)
    after = find_contracts(chain)
    _require_no_other(after)
    left = [found.name for found in after if found.standing is Standing.MISSING]
    if left:
        raise DeploymentError(f"{', '.join(left)} did not come to {chain.name}: repeat, what stands is not sent again.")
    return missing


def record_deployment(path: Path, chain: Chain) -> int:
    """Write down since which block the market stands, and return it; 0 where the node can't tell.

    Args:
        path: The record, of all chains.
        chain: The chain.

    Raises:
        DeploymentError: Market or verifier are missing: half a deployment is not recorded.
        CallerError: The record was damaged.
        EnvironmentFaultError: It can't be written.
    """
    found = find_contracts(chain)
    missing = [contract.name for contract in found if contract.essential and contract.standing is not Standing.STANDS]
    if missing:
        raise DeploymentError(
            f"{', '.join(missing)} does not stand on {chain.name}: nothing is recorded. Deploy first."
        )
    market = published_deployment().market
    number = _first_block(chain, market)
    with chain.reachable():
        block_hash = bytes(chain.web3.eth.get_block(number)["hash"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.parent):
        kept = _read(path)
        stands = {contract.name: contract.address for contract in found if contract.standing is Standing.STANDS}
        kept[str(chain.chain_id)] = {
            "market": market,
            "first_block": number,
            "block_hash": encode_hex(block_hash),
            "contracts": stands,
        }
        write_file(path, (json.dumps(kept, indent=1) + "\n").encode())
    return number


def recorded_first_block(path: Path, chain: Chain) -> int:
    """Return the block from which the market's events are to be looked for; 0 where nothing is known of this chain.

    A record of another market, or of a chain that had the same id, says nothing of this one.

    Raises:
        CallerError: The record was damaged.
        ChainUnavailableError: The node does not answer.
    """
    kept = _read(path).get(str(chain.chain_id))
    if kept is None or kept["market"] != published_deployment().market:
        return 0
    number = int(kept["first_block"])
    return number if chain.stands(number, decode_hex(kept["block_hash"])) else 0


def _require_no_other(found: list[Found]) -> None:
    for contract in found:
        if contract.standing is Standing.OTHER:
            raise UnexpectedCodeError(
                f"{contract.address} should be {contract.name}, and has other code: this chain does not create "
                "contracts as Ethereum does (EIP-1014). Don't trade on it."
            )


def _first_block(chain: Chain, address: str) -> int:
    """Return the block that created a contract; 0 where that can't be shown: events before it would be missed."""
    low, high = 0, chain.block_number  # it is not there before `low`, and is there at `high`
    try:
        while low < high:
            middle = (low + high) // 2
            if chain.web3.eth.get_code(address, middle):  # type: ignore[arg-type]  # a checksum address
                high = middle
            else:
                low = middle + 1
        made: Any = chain.web3.eth.get_block(high, True)["transactions"]
    except (OSError, Web3Exception, ValueError):  # most nodes keep no old state
        return 0
    calls = [transaction for transaction in made if transaction.get("to") == DEPLOYER]
    data = [bytes(HexBytes(call.get("input", call.get("data")))) for call in calls]
    created = {create2_address(each[:SALT_BYTES], each[SALT_BYTES:]) for each in data if len(each) > SALT_BYTES}
    return high if address in created else 0  # else a node that forgets, and doesn't say so


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise EnvironmentFaultError(f"{path} can't be read: {error.strerror}.") from error
    try:
        kept = json.loads(text)
        for entry in kept.values():
            decode_hex(entry["block_hash"])
            _ = int(entry["first_block"]), str(entry["market"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CallerError(f"{path} is no record of deployments ({error!r}): remove it, it is made again") from error
    return dict(kept)
