"""Sends transactions and waits until they stand: what is in them, gas, and who takes which number.

While a transaction waits, its fees are raised under the same number (nonce), so that one of its versions is mined and
no more (`flight.py`). Many may be under way for one account, from threads and processes that share a folder: numbers
are given out by a journal there (`nonces.py`, `journal.py`), which remembers what was under way when a process was
killed. Sent again, a transaction keeps its number, or takes another where a stranger has it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import BlockNotFound, Web3Exception

from trader.chain.development import EMBEDDED_TRANSACTION_GAS, send_embedded, tester_behind
from trader.chain.fees import Bid, Fees
from trader.chain.flight import Awaited, Flight, NumberTakenError, ReplacedError, Route, Ways, hash_of, replaced
from trader.chain.journal import Entry, Journal, Unwritten
from trader.chain.nonces import Nonces
from trader.errors import ChainUnavailableError, TransactionRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from eth_typing import ChecksumAddress
    from web3.contract.contract import ContractFunction
    from web3.types import TxParams, TxReceipt, Wei

    from trader.chain.calls import Call
    from trader.signer import Signer

__all__ = ["Transactions", "Ways"]

TRANSACTION_GAS_CAP = 1 << 24
"""Most gas of one transaction (EIP-7825)."""
GAS_MARGIN_PERCENT = 125
"""Gas limit over the node's estimate: storage may have changed when the transaction is mined."""
EMPTIED_SLOT_GAS = 22_100 - 5_000
"""What writing a slot costs more once it was emptied: a withdrawal in the block before empties what a move credits."""
CREDITED_SLOTS = 2
"""Most accounts that one move credits (`expire`)."""
SECRET_GAS = 150_000
"""Limit of a transaction with a secret, whose gas no node is asked for: several times what `reveal` takes."""
GAS_ATTEMPTS = 3
NUMBER_ATTEMPTS = 8
"""Numbers that are tried where strangers have them."""
OUT_OF_GAS_SHARE = 31 / 32
"""Of the limit: a call keeps 1/64 back from what it calls in turn, so that some is left when that runs out."""
RAISE_AFTER_SECONDS = 30.0
GENESIS_BYTES = 4


class Transactions:
    """Sends through one node; secrets through a relay, where there is one.

    Attributes:
        route: How they travel.
    """

    def __init__(self, route: Route, folder: Path | None) -> None:
        """Set up.

        Args:
            route: How they travel.
            folder: Where what is under way is remembered; a folder that ends with this process if None.
        """
        self.route = route
        self._web3 = route.web3
        self._embedded = tester_behind(route.web3) is not None
        self._folder = folder
        self._genesis: str | None = None
        self._journals: dict[str, Journal] = {}
        self._unwritten: dict[str, Journal] = {}

    def send(self, function: Call, account: Signer, value_wei: int, ways: Ways) -> TxReceipt:
        """Send and wait; what ran out of gas is sent again with more, what lost its number under another.

        Raises:
            TransactionRefusedError: It failed, or the account can't pay.
            ChainUnavailableError: It did not stand in time.
        """
        if self._embedded:
            return self._send_embedded(function, account, value_wei, ways)()
        more_gas = moved = 0
        while True:
            flight, gas = self._submit(function, account, value_wei, ways, more_gas)
            try:
                receipt = flight.wait()
            except ReplacedError:
                moved += 1
                if ways.secret or not ways.replaceable or moved >= NUMBER_ATTEMPTS:
                    raise
                continue
            more_gas += 1
            ran_out = receipt["status"] != 1 and receipt["gasUsed"] >= gas * OUT_OF_GAS_SHARE
            if not ran_out or more_gas >= GAS_ATTEMPTS:
                return receipt

    def submit(self, function: Call, account: Signer, value_wei: int, ways: Ways) -> Callable[[], TxReceipt]:
        """Send; what comes back waits for it as `send` does, but that it sends nothing under another number.

        Raises:
            TransactionRefusedError: It would fail, or the account can't pay.
            ChainUnavailableError: The node does not answer.
        """
        if self._embedded:
            return self._send_embedded(function, account, value_wei, ways)
        return self._submit(function, account, value_wei, ways, 0)[0].wait

    def resend(self, signed: bytes) -> TxReceipt:
        """Send a signed transaction, unless the node knows it, and wait.

        Raises:
            TransactionRefusedError: Another transaction took its place.
            ChainUnavailableError: It did not stand in time.
        """
        address, entry = _entry_of(signed)
        if not self.route.knows(hash_of(signed)):
            if self.route.is_used(address, entry.nonce):
                raise replaced(address, entry.nonce)
            self.route.broadcast(signed)
        if self._embedded:
            return self._stand(hash_of(signed), Ways())
        reservation = self._nonces(address).adopt(entry)
        versions = entry.versions if reservation is None else reservation.entry.versions
        waiting = Awaited(
            self.route, address, entry.nonce, Ways(), reservation=reservation, signed=signed, versions=versions
        )
        return waiting.wait()

    # ------------------------------------------------------------------------------------------------------- sending

    def _submit(
        self, function: Call, account: Signer, value_wei: int, ways: Ways, more_gas: int
    ) -> tuple[Awaited, int]:
        """Return what is under way, and its gas limit."""
        self._check_funds(account, value_wei)
        address = account.address
        nonces, call = self._nonces(address, secret=ways.secret), _call_of(function)
        if not more_gas and (landed := nonces.landed(call)) is not None:
            versions = landed.entry.versions
            return Awaited(self.route, address, landed.nonce, ways, reservation=landed, versions=versions), 0
        if ways.earlier:
            nonces.recall(_entry_of(ways.earlier, secret=ways.secret)[1])
        transaction = self._fill(function, account, value_wei, ways, more_gas=more_gas)
        secret, above = ways.secret and self.route.relay is not None, 0
        for _ in range(NUMBER_ATTEMPTS):
            reservation = nonces.reserve(call, secret=secret, only_next=ways.secret or ways.only_next, above=above)
            flight = Flight(self.route, account, nonces, reservation, transaction, ways)
            try:
                flight.leave()
            except NumberTakenError as taken:
                above = 0 if taken.mined else reservation.nonce + 1
            else:
                return flight, transaction["gas"]
        raise ChainUnavailableError(
            f"{self.route.name} refuses number after number of {address} as taken: somebody else sends from that "
            "account. Wait until those are mined; give each machine an account of its own."
        )

    def _send_embedded(self, function: Call, account: Signer, value_wei: int, ways: Ways) -> Callable[[], TxReceipt]:
        self._check_funds(account, value_wei)
        transaction = self._fill(function, account, value_wei, ways, more_gas=0)
        nonce = self._web3.eth.get_transaction_count(account.address, "latest")
        signed = bytes(account.sign_transaction({**transaction, "nonce": nonce}).raw_transaction)
        ways.before_sending(signed)
        contract_function = cast("ContractFunction", function)  # plain calls are signed by web3 on the embedded chain
        send_embedded(self._web3, signed, contract_function, transaction, ways.once_sent)
        return lambda: self._stand(hash_of(signed), ways)

    def _stand(self, version: bytes, ways: Ways) -> TxReceipt:
        """Return the receipt of what the embedded chain has mined; it makes no block by itself.

        Raises:
            ChainUnavailableError: It has too few confirmations.
        """
        receipt = self._web3.eth.get_transaction_receipt(HexBytes(version))
        if ways.confirmed and not self.route.is_confirmed(receipt["blockNumber"]):
            raise ChainUnavailableError(
                f"{self.route.name} gave 1 of {self.route.wanted} confirmations: mine more blocks."
            )
        return receipt

    # -------------------------------------------------------------------------------------------------------- making

    def _check_funds(self, account: Signer, value_wei: int) -> None:
        balance = self._web3.eth.get_balance(account.address)
        if balance <= value_wei:
            raise TransactionRefusedError(
                f"{account.address} has {balance} wei, the transaction needs {value_wei} and gas: send it more ether"
            )

    def _fill(self, function: Call, account: Signer, value_wei: int, ways: Ways, *, more_gas: int) -> TxParams:
        """Make a transaction ready for number and fees; a node's estimate refuses one that would fail, but for secrets.

        A node that estimates a secret's gas has the secret: before it was decided that it leaves, whatever the relay.
        """
        sender: TxParams = {"from": account.address, "value": cast("Wei", value_wei)}
        limit = SECRET_GAS if ways.secret else self._gas_limit(function, sender)
        gas = max(limit, min(limit << more_gas, TRANSACTION_GAS_CAP))
        fees = self.route.market_fees().as_fields()
        return function.build_transaction({**sender, "gas": gas, "chainId": self.route.chain_id, **fees})

    def _gas_limit(self, function: Call, sender: TxParams) -> int:
        if self._embedded:
            return EMBEDDED_TRANSACTION_GAS
        estimate = function.estimate_gas(sender)
        wanted = estimate * GAS_MARGIN_PERCENT // 100 + CREDITED_SLOTS * EMPTIED_SLOT_GAS
        return max(estimate, min(wanted, TRANSACTION_GAS_CAP))

    # ------------------------------------------------------------------------------------------------------- numbers

    def _nonces(self, address: ChecksumAddress, *, secret: bool = False) -> Nonces:
        route, journal = self.route, self._journal(address)
        if secret and not journal.is_usable():
            journal = self._unwritten.setdefault(address, Unwritten())
        return Nonces(route.web3, address, journal, route.confirmed_block, route.raise_after_seconds)

    def _journal(self, address: str) -> Journal:
        if address not in self._journals:
            name = f"{self.route.chain_id}-{self._genesis_digits()}-{address.lower()}"
            self._journals[address] = Journal(self._root() / name)
        return self._journals[address]

    def _root(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="modelseal-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def _genesis_digits(self) -> str:
        """Return digits that tell development chains of one id apart; zeros where a node has no first block."""
        if self._genesis is None:
            try:
                self._genesis = bytes(self._web3.eth.get_block(0)["hash"])[:GENESIS_BYTES].hex()
            except (BlockNotFound, Web3Exception):
                self._genesis = bytes(GENESIS_BYTES).hex()
        return self._genesis


def _entry_of(signed: bytes, *, secret: bool = False) -> tuple[ChecksumAddress, Entry]:
    """Return whose a signed transaction is, and what a journal has of it."""
    fields = TypedTransaction.from_bytes(HexBytes(signed)).as_dict()
    fees, nonce = Fees.of(cast("TxParams", fields)), int(cast("int", fields["nonce"]))
    call = _digest(fields["to"], fields["data"])
    entry = Entry(nonce, call, Bid(fees, fees), (hash_of(signed),), secret, int(time.time()))
    return Web3.to_checksum_address(Account.recover_transaction(signed)), entry


def _call_of(function: Call) -> bytes:
    free: Any = {"gas": 1, "chainId": 1, "maxFeePerGas": 0, "maxPriorityFeePerGas": 0, "value": 0}
    transaction = function.build_transaction(free)
    return _digest(transaction["to"], transaction["data"])


def _digest(to: Any, data: Any) -> bytes:
    """Return what makes two transactions of an account versions of one: recipient and calldata."""
    return bytes(Web3.keccak(HexBytes(to) + HexBytes(data)))
