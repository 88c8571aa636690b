"""Addresses that tell what was deployed there: CREATE2 through the usual deterministic deployer.

An address made so is keccak256(0xff ‖ deployer ‖ salt ‖ keccak256(init code ‖ constructor arguments))[12:] (EIP-1014):
nothing but that init code can have run there, so the storage is what its constructor left, too. Runtime code alone
proves nothing of the kind: another constructor may return it and credit anybody before.

The deployer (https://github.com/Arachnid/deterministic-deployment-proxy) is on most chains; where it is missing, one
transaction that nobody has a key to brings it. Its sender follows from a made-up signature (Nick's method), so that the
deployer's address, too, tells its code. It creates what follows a 32-byte salt in the calldata, and has no state.
"""

import time
from collections.abc import Callable
from typing import Final

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import TxParams, Wei

from contracts.errors import DeploymentError

DEPLOYER: Final = to_checksum_address("0x4e59b44847b379578588920cA78FbF26c0B4956C")
SALT_BYTES: Final = 32
ATTEMPTS: Final = 3
AGAIN_SECONDS: Final = 1.0
DEPLOYER_SENDER: Final = to_checksum_address("0x3fAB184622Dc19b6109349B94811493BF2a45362")
DEPLOYER_COST_WEI: Final = 10**16
"""100,000 gas at 100 gwei, as the transaction offers."""
DEPLOYER_TRANSACTION: Final = HexBytes(
    "0xf8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffff"
    "ffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600c"
    "f31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222"
    "222222222222222222222222222222222222"
)


def create2_address(salt: bytes, init_code: bytes) -> ChecksumAddress:
    """Return where the deployer creates `init_code` (constructor arguments included) with a 32-byte salt."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, this one {len(salt)}")
    deployer = bytes.fromhex(DEPLOYER[2:])
    return to_checksum_address(keccak(b"\xff" + deployer + salt + keccak(init_code))[12:])


def create(web3: Web3, sender: ChecksumAddress, name: str, salt: bytes, init_code: bytes) -> ChecksumAddress:
    """Create a contract at its address, unless it stands there already; return the address.

    Args:
        web3: The chain.
        sender: Pays; the node or a signing middleware signs for it.
        name: For messages.
        salt: 32 bytes.
        init_code: Init code and constructor arguments.

    Raises:
        DeploymentError: A transaction failed.
    """
    address = create2_address(salt, init_code)
    if not web3.eth.get_code(address):
        _send_until(lambda: bool(web3.eth.get_code(DEPLOYER)), lambda: _ensure_deployer(web3, sender))
        _send_until(
            lambda: bool(web3.eth.get_code(address)),
            lambda: _send(web3, {"from": sender, "to": DEPLOYER, "data": HexBytes(salt + init_code)}, name),
        )
        # Not the receipt: a second deployer at the same time finds the address taken, and the contract in its place.
        if not web3.eth.get_code(address):
            raise DeploymentError(f"the deployment of {name} at {address} was reverted: look at {sender}'s transaction")
    return address


def _ensure_deployer(web3: Web3, sender: ChecksumAddress) -> None:
    if web3.eth.get_code(DEPLOYER):
        return
    missing_wei = DEPLOYER_COST_WEI - web3.eth.get_balance(DEPLOYER_SENDER)
    if missing_wei > 0:
        _send(web3, {"from": sender, "to": DEPLOYER_SENDER, "value": Wei(missing_wei)}, "the deployer's sender")
    try:
        web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(DEPLOYER_TRANSACTION))
    except (Web3Exception, ValidationError, ValueError) as error:
        raise DeploymentError(
            f"the deterministic deployer {DEPLOYER} could not be brought to this chain: {error}. Some chains refuse "
            "transactions without a chain id: ask its operators for the deployer, or send the transaction to a node "
            "that takes it."
        ) from error
    if not web3.eth.get_code(DEPLOYER):
        raise DeploymentError(
            f"the deterministic deployer {DEPLOYER} can't come to this chain: its one transaction failed. Use a chain "
            "that has it."
        )


def _send_until(is_there: Callable[[], bool], send: Callable[[], None]) -> None:
    """Send again what has failed, unless it had arrived all the same: an answer that was lost is no failure."""
    for left in reversed(range(ATTEMPTS)):
        try:
            send()
            return
        except DeploymentError:
            if is_there():
                return
            if not left:
                raise
            time.sleep(AGAIN_SECONDS)


def _send(web3: Web3, transaction: TxParams, name: str) -> None:
    try:
        web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction(transaction))
    except (Web3Exception, ValidationError, ValueError) as error:
        raise DeploymentError(
            f"{name} could not be deployed by {transaction['from']!s}: {error}. Is the account funded?"
        ) from error
