"""One transaction from its first version to a block that stands: sent again where it was lost, and with more fees."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3Exception, Web3RPCError
from web3.types import Wei

from trader.chain.fees import Fees, TooDearError
from trader.errors import ChainUnavailableError, SignerUnavailableError, TransactionRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eth_typing import ChecksumAddress
    from web3.types import BlockIdentifier, TxParams, TxReceipt

    from trader.chain.nonces import Nonces, Reservation
    from trader.signer import Signer

FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.1, 3.0
TOLERATED_FAILURES: Final = 8
"""Calls of the node in a row that may fail while a transaction is waited for."""
MINED_TIMEOUT_SECONDS: Final = 120.0
"""How long a block is waited for by who waits for no more: others wait behind. What nobody waits for gives its place to
what is due (`nonces.py`)."""
LOOKS: Final = 2
"""Times that a number must be found used by another transaction: behind one address nodes may differ by a block."""
MOST_GAPS: Final = 16
"""Numbers that are filled at once."""
_REPLACES = re.compile(r"replacement|underpriced replace", re.IGNORECASE)
_USED = re.compile(r"nonce too low|old ?nonce|nonce is too low", re.IGNORECASE)
"""How nodes say that a number has a transaction that offers more, or was mined; the error codes are one for all."""


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
        replaceable: Whether it may be sent in dearer versions, or under another number where a stranger took its own;
            not if one is kept to be sent again, since another one that was mined would not be known as the same.
    """

    before_sending: Callable[[bytes], None] = lambda _: None
    once_sent: Callable[[], None] = lambda: None
    secret: bool = False
    goes_public: Callable[[], bool] = lambda: False
    earlier: bytes = b""
    confirmed: bool = True
    only_next: bool = False
    replaceable: bool = True


class ReplacedError(TransactionRefusedError):
    """Another transaction of the account has the number: this one is never mined."""


class NumberTakenError(Exception):
    """The node has a transaction with this number that is not ours; nothing has left.

    Attributes:
        mined: Whether it was mined.
    """

    def __init__(self, *, mined: bool) -> None:
        super().__init__()
        self.mined = mined


@dataclass
class Route:
    """How transactions reach the chain, and what it says of them.

    Attributes:
        web3: The node.
        relay: The private relay for secrets, if there is one.
        name: Of the node, for messages.
        chain_id: EIP-155.
        confirmed_block: Up to where the chain is confirmed.
        wanted: How many confirmations that takes, for messages.
        timeout_seconds: How long a transaction is waited for.
        highest_fee_wei: Ceiling of what is offered for a unit of gas.
        raise_after_seconds: How long a version of a transaction waits before its fees are raised.
    """

    web3: Web3
    relay: Web3 | None
    name: str
    chain_id: int
    confirmed_block: Callable[[], BlockIdentifier]
    wanted: str
    timeout_seconds: float
    highest_fee_wei: int
    raise_after_seconds: float

    def market_fees(self) -> Fees:
        """Return what a transaction should offer now.

        Raises:
            ChainUnavailableError: It is above the ceiling.
        """
        base_fee = int(self.web3.eth.get_block("latest").get("baseFeePerGas", 0))
        return Fees.of_market(base_fee, int(self.web3.eth.max_priority_fee), self.highest_fee_wei)

    def broadcast(self, signed: bytes, *, secret: bool = False) -> None:
        """Hand it to the node, or a secret to the relay alone; that they know it already is no error."""
        web3 = self.relay if secret and self.relay is not None else self.web3
        try:
            web3.eth.send_raw_transaction(HexBytes(signed))
        except Web3RPCError:
            if not self.knows(hash_of(signed)):
                raise

    def knows(self, version: bytes) -> bool:
        """Return whether the node knows a transaction, waiting or mined."""
        try:
            self.web3.eth.get_transaction(HexBytes(version))
        except TransactionNotFound:
            return False
        return True

    def receipt(self, versions: Sequence[bytes]) -> TxReceipt | None:
        """Return the receipt of the version that was mined, whichever it is."""
        for version in reversed(versions):
            with contextlib.suppress(TransactionNotFound):
                return self.web3.eth.get_transaction_receipt(HexBytes(version))
        return None

    def is_used(self, address: ChecksumAddress, nonce: int) -> bool:
        """Return whether the chain holds a transaction of that number."""
        return self.web3.eth.get_transaction_count(address, "latest") > nonce

    def is_confirmed(self, block_number: int) -> bool:
        """Return whether a block has its confirmations."""
        block = self.confirmed_block()
        number = block if isinstance(block, int) else self.web3.eth.get_block(block)["number"]
        return int(number) >= block_number


class Awaited:
    """A transaction that was sent: waited for, and sent again as it is."""

    def __init__(
        self,
        route: Route,
        address: ChecksumAddress,
        nonce: int,
        ways: Ways,
        *,
        reservation: Reservation | None = None,
        signed: bytes = b"",
        versions: Sequence[bytes] = (),
    ) -> None:
        """Set up.

        Args:
            route: How it travels.
            address: Whose it is.
            nonce: Its number.
            ways: How it may travel.
            reservation: Of its number; None where somebody else waits for it too.
            signed: The newest version, if it is at hand.
            versions: Hashes of those that may have left.
        """
        self._route = route
        self._address = address
        self._nonce = nonce
        self._ways = ways
        self._held = reservation
        self._signed = signed
        self._versions = [*versions]
        self._secret = ways.secret and route.relay is not None

    def wait(self) -> TxReceipt:
        """Wait until the version that was mined has its confirmations, and return its receipt.

        What the chain has dropped meanwhile is sent again, and what waits for long in a dearer version.

        Raises:
            ReplacedError: Another transaction has its number.
            ChainUnavailableError: It did not stand in time.
        """
        ended, confirmed = False, True
        try:
            receipt = self._await()
            ended, confirmed = True, self._ways.confirmed
            return receipt
        except ReplacedError:
            ended = True
            raise
        finally:
            if self._held is not None:
                self._held.finish(confirmed=confirmed) if ended else self._held.close()

    # ------------------------------------------------------------------------------------------------------- inside

    def _await(self) -> TxReceipt:
        route, ways = self._route, self._ways
        deadline, poll_seconds = time.monotonic() + self._timeout_seconds, FIRST_POLL_SECONDS
        next_push, failures, looks = time.monotonic() + route.raise_after_seconds, 0, 0
        receipt: TxReceipt | None = None
        while True:
            try:
                receipt = route.receipt(self._versions)
                if receipt is not None and (not ways.confirmed or route.is_confirmed(receipt["blockNumber"])):
                    return receipt
                self._secret = self._secret and (receipt is not None or not ways.goes_public())
                if receipt is None and self._signed and not self._secret and not route.knows(hash_of(self._signed)):
                    self._send_again()  # the node has forgotten it, with its block perhaps
                if receipt is None and time.monotonic() > next_push:
                    looks = looks + 1 if self._is_replaced() else 0
                    if looks >= LOOKS:
                        raise replaced(self._address, self._nonce)
                    if not looks:
                        self._push()
                    next_push = time.monotonic() + route.raise_after_seconds
                failures = 0
            except (OSError, Web3Exception, ChainUnavailableError, SignerUnavailableError):
                failures += 1
                if failures > TOLERATED_FAILURES:
                    raise
            if time.monotonic() > deadline:
                raise self._late(receipt)
            time.sleep(poll_seconds)
            poll_seconds = min(1.3 * poll_seconds, LONGEST_POLL_SECONDS)

    @property
    def _timeout_seconds(self) -> float:
        seconds = self._route.timeout_seconds
        return seconds if self._ways.confirmed else min(seconds, MINED_TIMEOUT_SECONDS)

    def _late(self, receipt: TxReceipt | None) -> ChainUnavailableError:
        standing = 0
        with contextlib.suppress(OSError, Web3Exception):
            standing = 0 if receipt is None else self._route.web3.eth.block_number - receipt["blockNumber"] + 1
        wanted = self._route.wanted if self._ways.confirmed else 1
        return ChainUnavailableError(
            f"{self._route.name} gave {standing} of {wanted} confirmations in "
            f"{self._timeout_seconds:.0f} seconds. Repeat: a transaction under way is not sent twice."
        )

    def _is_replaced(self) -> bool:
        """Return whether the number was used by none of the versions."""
        return self._route.is_used(self._address, self._nonce) and self._route.receipt(self._versions) is None

    def _push(self) -> None:
        """Do what helps one that has waited for long."""
        self._send_again()

    def _send_again(self) -> None:
        """Send the newest version again. A node that refuses it has another, or the block: the next look will tell.

        Nor may a relay that is away end the wait: the public node takes the secret when its time has come.
        """
        if self._signed:
            with contextlib.suppress(*((OSError, Web3Exception) if self._secret else (Web3RPCError,))):
                self._route.broadcast(self._signed, secret=self._secret)


class Flight(Awaited):
    """A transaction that is signed here, again and dearer while it waits."""

    def __init__(
        self,
        route: Route,
        account: Signer,
        nonces: Nonces,
        reservation: Reservation,
        transaction: TxParams,
        ways: Ways = Ways(),
    ) -> None:
        """Set up; `leave` sends it.

        Args:
            route: How it travels.
            account: Signs.
            nonces: The account's numbers.
            reservation: Of its number.
            transaction: Its fields but number and fees.
            ways: How it may travel.
        """
        super().__init__(
            route,
            account.address,
            reservation.nonce,
            ways,
            reservation=reservation,
            versions=reservation.entry.versions,
        )
        self._account = account
        self._nonces = nonces
        self._reservation = reservation
        self._transaction = transaction

    def leave(self) -> None:
        """Sign the first version and send it.

        Raises:
            NumberTakenError: The number is a stranger's, the node says.
            Web3RPCError: The node refuses it.
            TraderError: Whatever signer and `before_sending` raise.
        """
        earlier = self._reservation.entry.versions
        try:
            market, bid = self._route.market_fees(), self._reservation.bid
            fees = market if bid is None else bid.raised(market, self._route.highest_fee_wei) or bid.newest
            self._sign(fees)
        except Exception:
            self._reservation.cancel()
            raise
        self._secret = self._secret and not self._ways.goes_public()
        try:
            self._route.broadcast(self._signed, secret=self._secret)
        except Web3RPCError as error:
            if not self._secret:
                self._look_at(error, earlier)
        except (OSError, Web3Exception):
            if not self._secret:  # a relay that is away is tried again while it is waited for
                self._reservation.close()
                raise  # it may have left: the journal keeps it
        else:
            self._ways.once_sent()

    # ------------------------------------------------------------------------------------------------------- inside

    def _look_at(self, error: Web3RPCError, earlier: Sequence[bytes]) -> None:
        """Say why the node has not taken the first version, unless an earlier one of this call is waited for."""
        taken = _REPLACES.search(str(error)), _USED.search(str(error))
        if earlier and any(taken):
            return  # `wait` tells which one is mined
        self._reservation.cancel()
        if any(taken):
            raise NumberTakenError(mined=taken[1] is not None) from error
        raise error

    def _sign(self, fees: Fees) -> None:
        filled = cast("dict[str, Any]", {**self._transaction, "nonce": self._nonce, **fees.as_fields()})
        signed = bytes(self._account.sign_transaction(filled).raw_transaction)
        self._reservation.sign(hash_of(signed), fees)
        self._ways.before_sending(signed)
        self._versions.append(hash_of(signed))
        self._signed = signed

    def _push(self) -> None:
        """Fill the gaps below, and offer more."""
        self._clear_way()
        if self._ways.replaceable and (fees := self._dearer()) is not None:
            self._sign(fees)
        self._send_again()

    def _dearer(self) -> Fees | None:
        """Return the fees of the next version; None where they would be too much."""
        try:
            market, bid = self._route.market_fees(), self._reservation.bid
        except TooDearError:
            return None
        return market if bid is None else bid.raised(market, self._route.highest_fee_wei)

    def _clear_way(self) -> None:
        """See to it that nothing below waits for ever: give numbers that nobody has to transactions of nothing."""
        for _ in range(MOST_GAPS):
            gap = self._nonces.reserve_gap(self._nonce)
            if gap is None:
                return
            filler = Flight(self._route, self._account, self._nonces, gap, self._nothing())
            try:
                with contextlib.suppress(NumberTakenError):
                    filler.leave()
            finally:
                gap.close()

    def _nothing(self) -> TxParams:
        """Return a transaction that moves nothing."""
        own: TxParams = {"from": self._address, "to": self._address}
        gas = self._route.web3.eth.estimate_gas(own)
        return {**own, "data": HexBytes(b""), "value": Wei(0), "gas": gas, "chainId": self._route.chain_id}


def hash_of(signed: bytes) -> bytes:
    """Return the hash of a signed transaction."""
    return bytes(Web3.keccak(signed))


def replaced(address: str, nonce: int) -> ReplacedError:
    """Return what to raise where a number was used by another transaction."""
    return ReplacedError(f"another transaction of {address} took number {nonce}: look at the trade again")
