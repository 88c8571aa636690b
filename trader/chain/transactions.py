"""Sends transactions and waits until they stand: fees, gas, replacements, confirmations.

While a transaction waits, its fees are raised under the same number (nonce), so that one of its versions is mined and
no more. One that was under way when the node failed is remembered: sent again, it keeps its number.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3Exception, Web3RPCError

from trader.chain.development import EMBEDDED_TRANSACTION_GAS, send_embedded, tester_behind
from trader.chain.fees import Fees, UnderWay
from trader.errors import ChainUnavailableError, SignerUnavailableError, TransactionRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from web3.contract.contract import ContractFunction
    from web3.types import TxParams, TxReceipt, Wei

    from trader.signer import Signer

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
OUT_OF_GAS_SHARE = 31 / 32
"""Of the limit: a call keeps 1/64 back from what it calls in turn, so that some is left when that runs out."""
RAISE_AFTER_SECONDS = 30.0
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.1, 3.0
TOLERATED_FAILURES = 8
"""Calls of the node in a row that may fail while a transaction is waited for."""


@dataclass(frozen=True)
class Ways:
    """How a transaction is to be sent.

    Attributes:
        before_sending: Called with each version of the signed transaction before it leaves; what it raises stops it.
            A process may be killed after it, whether or not the transaction has left by then.
        once_sent: Called when the node has taken the first version.
        secret: Whether it goes to the relay alone.
        goes_public: Whether it goes to the public node as well from now on, asked while a secret waits: a relay that
            includes it nowhere would else see its deadline pass.
        earlier: A signed version that a killed process may have sent: the next one takes its number, with more fees.
        confirmed: Whether to wait for its confirmations; else for one block, and whoever sends it looks again whether
            it stands. If it does not, and is sent again, it keeps its number.
        only_next: Whether it must not wait behind another transaction of the account, as no secret does.
        replaceable: Whether it may be sent in dearer versions; not if one is kept to be sent again, since another one
            that was mined would not be known as the same.
    """

    before_sending: Callable[[bytes], None] = lambda _: None
    once_sent: Callable[[], None] = lambda: None
    secret: bool = False
    goes_public: Callable[[], bool] = lambda: False
    earlier: bytes = b""
    confirmed: bool = True
    only_next: bool = False
    replaceable: bool = True


class Transactions:
    """Sends through one node; secrets through a relay, where there is one.

    Attributes:
        raise_after_seconds: How long a version of a transaction waits before its fees are raised.
    """

    def __init__(
        self,
        web3: Web3,
        relay: Web3 | None,
        *,
        name: str,
        chain_id: int,
        confirmations: int,
        timeout_seconds: float,
    ) -> None:
        self._web3 = web3
        self._relay = relay
        self._chain_id = chain_id
        self._embedded = tester_behind(web3) is not None
        self._name = name
        self._confirmations = confirmations
        self._timeout_seconds = timeout_seconds
        self._under_way: dict[tuple[str, bytes], UnderWay] = {}
        self.raise_after_seconds = RAISE_AFTER_SECONDS

    def send(
        self,
        function: ContractFunction,
        account: Signer,
        value_wei: int,
        ways: Ways,
    ) -> TxReceipt:
        """Send and wait; one that ran out of gas is sent again with more.

        Raises:
            TransactionRefusedError: It failed, or the account can't pay.
            ChainUnavailableError: It did not stand in time.
        """
        self._check_funds(account, value_wei)
        if ways.earlier:
            self._recall(ways.earlier)
        for attempt in range(GAS_ATTEMPTS):
            transaction = self._fill(function, account, value_wei, ways, more_gas=attempt)
            receipt = self._deliver(function, transaction, account, ways)
            if receipt["status"] == 1 or receipt["gasUsed"] < transaction["gas"] * OUT_OF_GAS_SHARE:
                break
        return receipt

    def resend(self, signed: bytes) -> TxReceipt:
        """Send a signed transaction, unless the node knows it, and wait.

        Raises:
            TransactionRefusedError: Another transaction took its place.
            ChainUnavailableError: It did not stand in time.
        """
        if not self._known(_hash(signed)):
            if self._is_replaced(signed):
                raise _replaced(signed)
            self._broadcast(signed, secret=False)
        return self._wait([signed], Ways())

    # -------------------------------------------------------------------------------------------------------- making

    def _check_funds(self, account: Signer, value_wei: int) -> None:
        balance = self._web3.eth.get_balance(account.address)
        if balance <= value_wei:
            raise TransactionRefusedError(
                f"{account.address} has {balance} wei, the transaction needs {value_wei} and gas: send it more ether"
            )

    def _fill(
        self, function: ContractFunction, account: Signer, value_wei: int, ways: Ways, *, more_gas: int
    ) -> TxParams:
        """Make a transaction ready to be signed; a node's estimate refuses one that would fail, but for secrets.

        A node that estimates a secret's gas has the secret: before it was decided that it leaves, whatever the relay.
        """
        sender: TxParams = {"from": account.address, "value": cast("Wei", value_wei)}
        limit = SECRET_GAS if ways.secret else self._gas_limit(function, sender)
        transaction = function.build_transaction(
            {
                **sender,
                "gas": max(limit, min(limit << more_gas, TRANSACTION_GAS_CAP)),
                "chainId": self._chain_id,
                **self._market_fees().as_fields(),
            }
        )
        nonce, fees = self._nonce_and_fees(_key(transaction))
        if ways.secret or ways.only_next:
            self._require_next(account.address, nonce)
        return {**transaction, "nonce": cast("Any", nonce), **fees.as_fields()}

    def _gas_limit(self, function: ContractFunction, sender: TxParams) -> int:
        if self._embedded:
            return EMBEDDED_TRANSACTION_GAS
        estimate = function.estimate_gas(sender)
        wanted = estimate * GAS_MARGIN_PERCENT // 100 + CREDITED_SLOTS * EMPTIED_SLOT_GAS
        return max(estimate, min(wanted, TRANSACTION_GAS_CAP))

    def _require_next(self, address: str, nonce: int) -> None:
        """Refuse to send a secret behind a transaction that is not mined: it would wait in public, whatever its fees.

        Raises:
            ChainUnavailableError: Something waits.
        """
        mined = self._web3.eth.get_transaction_count(Web3.to_checksum_address(address), "latest")
        if not self._embedded and nonce > mined:
            raise ChainUnavailableError(
                f"{nonce - mined} transactions of {address} wait to be mined: a secret does not leave behind them. "
                "Replace them from a wallet if they stay; it is tried again."
            )

    def _recall(self, signed: bytes) -> None:
        """Take a transaction for one that is under way; if its number was used meanwhile, nothing comes of that."""
        fields = TypedTransaction.from_bytes(HexBytes(signed)).as_dict()
        sender, nonce = _sender_and_nonce(signed)
        fees = Fees.of(cast("TxParams", fields))
        self._under_way.setdefault(_key(cast("TxParams", {**fields, "from": sender})), UnderWay(nonce, fees, fees))

    def _market_fees(self) -> Fees:
        base_fee = int(self._web3.eth.get_block("latest").get("baseFeePerGas", 0))
        tip = int(self._web3.eth.max_priority_fee)
        return Fees(2 * base_fee + tip, tip)

    def _nonce_and_fees(self, key: tuple[str, bytes]) -> tuple[int, Fees]:
        """Return the account's next number, or that of the same transaction under way, with fees to replace it."""
        sender, market = Web3.to_checksum_address(key[0]), self._market_fees()
        mined = self._web3.eth.get_transaction_count(sender, "latest")
        if self._embedded:
            return mined, market
        under_way = self._under_way.get(key)
        if under_way is None or under_way.nonce < mined:
            self._under_way.pop(key, None)
            return self._web3.eth.get_transaction_count(sender, "pending"), market
        return under_way.nonce, under_way.raised(market) or under_way.fees

    # ------------------------------------------------------------------------------------------------------- sending

    def _deliver(
        self,
        function: ContractFunction,
        transaction: TxParams,
        account: Signer,
        ways: Ways,
    ) -> TxReceipt:
        """Sign, send, and wait, raising the fees."""
        key, nonce = _key(transaction), int(transaction["nonce"])

        def sign(fees: Fees) -> bytes:
            filled = cast("dict[str, Any]", {**transaction, **fees.as_fields()})
            signed = bytes(account.sign_transaction(filled).raw_transaction)
            before = self._under_way.get(key)  # changed once it is signed: a signer that is away must not raise fees
            self._under_way[key] = UnderWay(nonce, fees if before is None else before.first, fees)
            ways.before_sending(signed)
            return signed

        def sign_dearer() -> bytes | None:
            fees = self._under_way[key].raised(self._market_fees()) if ways.replaceable else None
            return None if fees is None else sign(fees)

        signed = sign(Fees.of(transaction))
        if self._embedded:
            send_embedded(self._web3, signed, function, transaction, ways.once_sent)
        else:
            ways = replace(ways, secret=ways.secret and self._relay is not None and not ways.goes_public())
            self._broadcast_first(signed, ways)
        receipt = self._wait([signed], ways, sign_dearer)
        if ways.confirmed:
            self._under_way.pop(key, None)
        return receipt

    def _broadcast_first(self, signed: bytes, ways: Ways) -> None:
        """Send it; a relay that is away, or says that it has it already, is tried again while it is waited for."""
        try:
            self._broadcast(signed, secret=ways.secret)
        except (OSError, Web3Exception):
            if not ways.secret:
                raise
        else:
            ways.once_sent()

    def _broadcast(self, signed: bytes, *, secret: bool) -> None:
        """Hand it to the node, or a secret to the relay alone; that they know it already is no error."""
        web3 = self._relay if secret and self._relay is not None else self._web3
        try:
            web3.eth.send_raw_transaction(HexBytes(signed))
        except Web3RPCError:
            if not self._known(_hash(signed)):
                raise

    # ------------------------------------------------------------------------------------------------------- waiting

    def _wait(
        self, versions: list[bytes], ways: Ways, sign_dearer: Callable[[], bytes | None] = lambda: None
    ) -> TxReceipt:
        """Wait until the version that was mined has its confirmations, and return its receipt.

        What the chain has dropped meanwhile is sent again, and what waits for long in a dearer version.
        """
        secret, wanted = ways.secret, self._confirmations if ways.confirmed else 1
        deadline, poll_seconds = time.monotonic() + self._timeout_seconds, FIRST_POLL_SECONDS
        next_raise, failures, standing = time.monotonic() + self.raise_after_seconds, 0, 0
        while True:
            try:
                receipt = self._mined(versions)
                standing = 0 if receipt is None else self._web3.eth.block_number - receipt["blockNumber"] + 1
                if receipt is not None and standing >= wanted:
                    return receipt
                secret = secret and (receipt is not None or not ways.goes_public())
                if receipt is None and self._is_dropped(versions[-1], secret=secret):
                    self._broadcast_again(versions[-1], secret=secret)
                if receipt is None and time.monotonic() > next_raise:
                    if self._is_replaced(versions[-1]) and self._mined(versions) is None:
                        raise _replaced(versions[-1])
                    if (dearer := sign_dearer()) is not None:
                        versions = [*versions, dearer]
                    self._broadcast_again(versions[-1], secret=secret)
                    next_raise = time.monotonic() + self.raise_after_seconds
                failures = 0
            except (OSError, Web3Exception, ChainUnavailableError, SignerUnavailableError):
                failures += 1
                if failures > TOLERATED_FAILURES:
                    raise
            if time.monotonic() > deadline:
                raise ChainUnavailableError(
                    f"{self._name} gave {standing} of {wanted} confirmations in "
                    f"{self._timeout_seconds:.0f} seconds. Repeat: a transaction under way is not sent twice."
                )
            time.sleep(poll_seconds)
            poll_seconds = min(1.3 * poll_seconds, LONGEST_POLL_SECONDS)

    def _is_dropped(self, signed: bytes, *, secret: bool) -> bool:
        """Return whether the node has forgotten it, with its block perhaps; what the relay alone has it never knew."""
        return not secret and not self._known(_hash(signed))

    def _broadcast_again(self, signed: bytes, *, secret: bool) -> None:
        """Send a transaction again. A node that refuses it has another version, or the block: the next look will tell.

        Nor may a relay that is away end the wait: the public node takes the secret when its time has come.
        """
        with contextlib.suppress(*((OSError, Web3Exception) if secret else (Web3RPCError,))):
            self._broadcast(signed, secret=secret)

    def _mined(self, versions: list[bytes]) -> TxReceipt | None:
        for signed in reversed(versions):
            try:
                return self._web3.eth.get_transaction_receipt(_hash(signed))
            except TransactionNotFound:
                continue
        return None

    def _known(self, transaction_hash: HexBytes) -> bool:
        try:
            self._web3.eth.get_transaction(transaction_hash)
        except TransactionNotFound:
            return False
        return True

    def _is_replaced(self, signed: bytes) -> bool:
        """Return whether the chain holds a transaction of that number, perhaps this one."""
        sender, nonce = _sender_and_nonce(signed)
        return self._web3.eth.get_transaction_count(Web3.to_checksum_address(sender), "latest") > nonce


def _replaced(signed: bytes) -> TransactionRefusedError:
    sender, nonce = _sender_and_nonce(signed)
    return TransactionRefusedError(f"another transaction of {sender} took number {nonce}: look at the trade again")


def _sender_and_nonce(signed: bytes) -> tuple[str, int]:
    nonce = TypedTransaction.from_bytes(HexBytes(signed)).as_dict()["nonce"]
    return str(Account.recover_transaction(signed)), int(cast("int", nonce))


def _key(transaction: TxParams) -> tuple[str, bytes]:
    """Return what makes two transactions versions of one: sender, recipient, calldata."""
    return str(transaction["from"]), Web3.keccak(HexBytes(transaction["to"]) + HexBytes(transaction["data"]))


def _hash(signed: bytes) -> HexBytes:
    return HexBytes(Web3.keccak(signed))
