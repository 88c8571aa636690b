"""The escrow in Python: typed reads, and one method per move of the protocol.

Reads come first, moves in the order of a trade after them; `trader.chain.history` reads the events,
`trader.chain.records` says what comes back. Every move signs, sends and waits (`trader.chain`); who may
make it and when, the contract decides: see `contracts/src/interfaces/IModelMarket.sol`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from eth_abi.exceptions import DecodingError
from eth_utils.address import is_address, to_checksum_address

from contracts import (
    ETH,
    MOST_PROOF_FEES,
    NO_POLICY,
    PUBLISHED_SALT,
    Deployment,
    MarketEvent,
    Periphery,
    Terms,
    answer_digest,
    offer_digest,
    periphery_address,
    published_deployment,
    register_vka,
    session_digest,
    verify_deployment,
)
from contracts.deployments import verify_periphery
from trader.chain.history import History
from trader.chain.records import Listing, ProofOffer, Session, Trade
from trader.chain.transactions import Ways
from trader.delivery import encode_dispute
from trader.errors import AnswerError, CallerError
from trader.trade import Answered, Position, State
from zk import trade_context
from zk.field import to_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contracts import Statement
    from trader.chain.node import Chain
    from trader.chain.receipts import LogEvent, Receipt
    from trader.delivery import Claim
    from trader.signer import Signer

__all__ = ["Listing", "Market", "ProofOffer", "Session", "Trade"]


class Market(History):
    """The escrow at one address of one chain.

    Attributes:
        seen: Where each trade stood when it was read last, for when the node is away.
        moving: Trades of which unconfirmed blocks held a move when they were looked at last.
    """

    def __init__(self, chain: Chain, deployment: Deployment, first_block: int = 0) -> None:
        super().__init__(chain, deployment, first_block)
        self.seen: dict[int, Position] = {}
        self.moving: set[int] = set()
        self._opened: dict[int, tuple[LogEvent, Session]] = {}

    @classmethod
    def at(
        cls, chain: Chain, address: str | None = None, first_block: int = 0, *, salt: bytes = PUBLISHED_SALT
    ) -> Self:
        """Return the chain's published market.

        Args:
            chain: Where it lives.
            address: 0x and 40 hex digits, to be checked; None takes the published one.
            first_block: The block of its deployment, or an earlier one.
            salt: Names another market than the one that people trade in; for tests.

        Raises:
            CallerError: It is no address.
            UnexpectedCodeError: It is not the published market, or that was not deployed.
            ChainUnavailableError: The node does not answer.
        """
        published = published_deployment(salt).market
        if address is not None and not is_address(address):
            raise CallerError(f"{address!r} is no address: give the market's, 0x and 40 hex digits")
        with chain.reachable():
            named = published if address is None else to_checksum_address(address)
            return cls(chain, verify_deployment(chain.web3, named, salt), first_block)

    # ------------------------------------------------------------------------------------------------------- reads

    def verify_code(self, policy: str = NO_POLICY) -> None:
        """Check that market and verifier are the published ones.

        Args:
            policy: A listing's; where it is the published one's address, that is checked too. Of others nothing is
                known.

        Raises:
            UnexpectedCodeError: One of them is not.
            ChainUnavailableError: The node does not answer.
        """
        with self.chain.reachable():
            verify_deployment(self.chain.web3, self.deployment.market, self.deployment.salt)
            if policy == periphery_address(Periphery.LISTING_POLICY):
                verify_periphery(self.chain.web3, Periphery.LISTING_POLICY)

    def listing(self, listing_id: int) -> Listing:
        """Read a listing.

        Raises:
            CallerError: There is none of that number.
        """
        seller, is_open, *_, terms = self._read("listing", listing_id)
        if int(seller, 16) == 0:
            raise CallerError(f"there is no listing {listing_id} in the market at {self.deployment.market}")
        return Listing(listing_id, seller, is_open, Terms.from_abi(terms))

    def trade(self, trade_id: int) -> Trade:
        """Read a trade.

        Raises:
            CallerError: There is none of that number.
        """
        buyer, deadline, state, listing_id, proof_fees, fee, samples, price, digest = self._read("trade", trade_id)
        if state == State.NONE:
            raise CallerError(f"there is no trade {trade_id} in the market at {self.deployment.market}")
        position = self.seen[trade_id] = Position.read(state, deadline)
        return Trade(trade_id, listing_id, buyer, samples, fee, price, proof_fees, position, digest)

    def moved_on(self, trade: Trade) -> bool:
        """Return whether unconfirmed blocks already hold a move of the trade, for which the next one has to wait."""
        if self.chain.confirmations <= 1:
            return False
        moved = self.newest_position(trade.trade_id) != trade.position
        (self.moving.add if moved else self.moving.discard)(trade.trade_id)
        return moved

    def newest_position(self, trade_id: int) -> Position:
        """Return where a trade stands by the newest block, confirmed or not."""
        _, deadline, state, *_ = self.chain.call(self.contract.functions.trade(trade_id), newest=True)
        return Position.read(state, deadline)

    def session(self, trade_id: int) -> Session:
        """Return what a trade was opened for.

        A number is given again, to another session perhaps, if the block that gave it leaves the chain.

        Raises:
            CallerError: There is no such trade.
        """
        if trade_id in self._opened:
            opened, session = self._opened[trade_id]
            if self.chain.stands(opened.block_number, opened.block_hash):
                return session
        logs = self.trade_logs(trade_id)
        if not logs or logs[0].name != MarketEvent.SESSION_OPENED:
            raise CallerError(f"there is no trade {trade_id} in the market at {self.deployment.market}")
        opened = logs[0]
        listing = self.listing(opened.arguments["listingId"])
        buyer, samples, request = (opened.arguments[name] for name in ("buyer", "samples", "requestDigest"))
        digest = session_digest(buyer, offer_digest(listing.seller, listing.terms), samples, request)
        # As long as the block stands, so does the listing: the session names its offer.
        _, session = self._opened[trade_id] = opened, Session(request, digest)
        return session

    def answer(self, trade_id: int) -> bytes:
        """Return the digest of the answer that a trade was given (`contracts.answer_digest`), from its events."""
        return answer_digest(self.session(trade_id).digest, self.event(trade_id, Answered).response_digest)

    def session_fee(self, listing_id: int, buyer: str, samples: int) -> int:
        """Return what the buyer's next session of `samples` samples costs, by the newest block; unit as the terms'."""
        return self._read_newest("sessionFee", listing_id, buyer, samples)

    def answers_left(self, listing_id: int, buyer: str) -> int:
        """Return how many answers the buyer may still get, by the newest block; a session takes its and its audit's.

        What confirmed blocks say leaves out the sessions that were answered since.
        """
        return self._read_newest("answersLeft", listing_id, buyer)

    def proof_fee(self, listing_id: int) -> int:
        """Return what the next proof leaves to the seller if it isn't accepted, by the newest block; as the terms'."""
        return self._read_newest("proofFee", listing_id)

    def proof_fees(self, listing_id: int) -> int:
        """Return what the next proof leaves to the seller if it isn't accepted, in listed proof fees, as above."""
        _, _, _, _, _, unaccepted, *_ = self.chain.call(self.contract.functions.listing(listing_id), newest=True)
        return min(int(unaccepted) + 1, MOST_PROOF_FEES)

    def credit(self, address: str, token: str = ETH, *, newest: bool = False) -> int:
        """Return what `withdraw` would pay out of a token, in its smallest unit; in wei of ether."""
        return int(self.chain.call(self.contract.functions.balanceOf(address, token), newest=newest))

    def proven_outputs(self, trade_id: int, count: int) -> tuple[int, ...]:
        """Return the k·O = `count` exact outputs that a trade's proof shows, row by row; signed, in instance units.

        The escrow has their proof checked and keeps none, so they are read from the seller's call of `prove`. That
        call made the event: a trade is proven once, and the transaction called nothing before.

        Raises:
            CallerError: Nothing was proven.
            AnswerError: The seller reached the market through another contract, or by a call that is no plain one, so
                that nobody can tell what it proved.
        """
        logs = [log for log in self.trade_logs(trade_id) if log.name == MarketEvent.PROVEN]
        if not logs:
            raise CallerError(f"trade {trade_id} is not Proven")
        calldata = self.chain.calldata(self.contract, logs[0].transaction_hash)
        unreadable = AnswerError(
            f"transaction {logs[0].transaction_hash} is no plain call of `prove` for trade {trade_id}: the proven "
            "outputs can't be read. Don't accept; the price comes back after the deadline, but for the proof fee."
        )
        if calldata is None:
            raise unreadable
        try:
            function, arguments = self.contract.decode_function_input(calldata)
            audit = arguments["audit"]
            if function.fn_name != "prove" or arguments["tradeId"] != trade_id:
                raise unreadable
            # The instances of a random check stand behind them.
            return tuple(to_signed(instance) for instance in audit["instances"][:count])
        except (DecodingError, KeyError, OverflowError, ValueError) as error:  # web3's own are ValueErrors
            raise unreadable from error

    def find_listing(self, seller: str, terms: Terms) -> int | None:
        """Return the open listing of a seller with these terms, if there is one."""
        for listing_id in self.find_listings(seller, terms.manifest_hash):
            found = self.listing(listing_id)
            if found.open and found.terms == terms:
                return listing_id
        return None

    # ------------------------------------------------------------------------------------------------------- moves

    def register_vka(self, account: Signer, vka: Sequence[bytes]) -> Receipt:
        """Make a circuit known to the verifier, once per circuit."""
        return self.chain.send(register_vka(self.chain.web3, self.deployment.verifier, vka), account)

    def list(self, account: Signer, terms: Terms) -> Receipt:
        """Offer a model; the `Listed` event has its number."""
        return self._send(account, 0, "list", terms.as_abi())

    def delist(self, account: Signer, listing_id: int, offer: bytes) -> Receipt:
        """Close a listing (`contracts.offer_digest`): it takes no new sessions, and those that it has go on."""
        return self._send(account, 0, "delist", listing_id, offer)

    def open_session(
        self,
        account: Signer,
        listing_id: int,
        offer: bytes,
        samples: int,
        request_digest: bytes,
        value_wei: int,
        before_sending: Callable[[bytes], None],
        evidence: bytes = b"",
    ) -> Receipt:
        """Pay for an encrypted test of what is offered; the `SessionOpened` event has the trade's number.

        Args:
            account: The buyer's.
            listing_id: What is tested.
            offer: Its offer digest (`contracts.offer_digest`).
            samples: A power of two.
            request_digest: Of the encrypted test set.
            value_wei: The fee, if the listing is in ether; a token's is taken from the balance in the market.
            before_sending: Of the signed transaction (`trader.chain.Ways`).
            evidence: What the buyer shows to the listing's policy.
        """
        function = self.contract.functions.openSession(listing_id, offer, samples, request_digest, evidence)
        ways = Ways(before_sending=before_sending, replaceable=False)
        return self.chain.send(function, account, value_wei=value_wei, ways=ways)

    def resend_session(self, signed: bytes) -> Receipt:
        """Send the kept transaction of `open_session` again: the fee is paid once."""
        return self.chain.resend(signed, self.contract.functions.openSession(0, bytes(32), 0, bytes(32), b""))

    def respond(
        self, account: Signer, trade_id: int, session: bytes, response_digest: bytes, *, confirmed: bool = True
    ) -> Receipt:
        """Answer the test of a session (`contracts.session_digest`)."""
        receipt = self._send(account, 0, "respond", trade_id, session, response_digest, confirmed=confirmed)
        self.moving.add(trade_id)
        return receipt

    def purchase(
        self,
        account: Signer,
        trade_id: int,
        answer: bytes,
        input_commitment: bytes,
        outputs_digest: bytes,
        *,
        price_wei: int,
        highest_proof_fees: int,
        in_ether: bool = True,
        evidence: bytes = b"",
    ) -> Receipt:
        """Lock the price for an answer (`contracts.answer_digest`), and commit to the audit samples.

        Args:
            account: The buyer's.
            trade_id: Its trade.
            answer: What the buyer saw.
            input_commitment: Of the k samples.
            outputs_digest: Of what was seen for them (`contracts.outputs_digest`).
            price_wei: The listing's, or what its policy asks: another one is refused.
            highest_proof_fees: The most that the buyer leaves to the seller if it doesn't accept the proof, in listed
                proof fees.
            in_ether: Whether the price comes along; a token's is taken from the balance in the market.
            evidence: What the buyer shows to the listing's policy.
        """
        committed = answer, input_commitment, outputs_digest
        value_wei = price_wei if in_ether else 0
        return self._send(account, value_wei, "purchase", trade_id, *committed, price_wei, highest_proof_fees, evidence)

    def proof_context(self, trade_id: int) -> bytes:
        """Return what the challenge of a trade's proof depends on, beside the statement; 32 bytes."""
        return trade_context(self.chain.chain_id, self.deployment.market, trade_id)

    def prove(
        self, account: Signer, trade_id: int, offer: ProofOffer, value_wei: int, *, confirmed: bool = True
    ) -> Receipt:
        """Prove the audit samples and lock the bond; never behind a transaction that waits, another proof perhaps.

        A bond in ether is sent along; a token's is taken from the balance in the market.

        Each proof makes the next one dearer, so that one behind it may be refused when it is mined, and be public.
        """
        audit = (
            offer.proof.data,
            list(offer.proof.public_instances(offer.circuit, self.proof_context(trade_id))),
            list(offer.circuit.vka),
            offer.statement.as_abi(),
            offer.answer,
            offer.outputs_digest,
        )
        function = self.contract.functions.prove(trade_id, audit, offer.ciphertext_root, offer.key_hash)
        return self.chain.send(function, account, value_wei=value_wei, ways=Ways(only_next=True, confirmed=confirmed))

    def accept(self, account: Signer, trade_id: int, delivery: bytes) -> Receipt:
        """Say that the ciphertext of a delivery (`contracts.delivery_digest`) has arrived, and ask for its key."""
        return self._send(account, 0, "accept", trade_id, delivery)

    def reveal(
        self,
        account: Signer,
        trade_id: int,
        ciphertext_root: bytes,
        key: bytes,
        acceptance: bytes = b"",
        before_sending: Callable[[bytes], None] = lambda _: None,
        once_sent: Callable[[], None] = lambda: None,
        goes_public: Callable[[], bool] = lambda: False,
        earlier: bytes = b"",
        *,
        confirmed: bool = True,
    ) -> Receipt:
        """Publish the key; it leaves through the chain's private relay, if there is one (`trader.chain.Ways`).

        Args:
            account: The seller's.
            trade_id: Its trade.
            ciphertext_root: Of the delivery.
            key: 32 bytes.
            acceptance: The buyer's signature (`contracts.Acceptance`), where it has not accepted by a transaction.
            before_sending: Of the signed transaction (`trader.chain.Ways`), as are the next three.
            once_sent: When a node has taken it.
            goes_public: Whether the public node gets it too.
            earlier: The newest that was signed before.
            confirmed: Whether to wait for its confirmations.
        """
        function = self.contract.functions.reveal(trade_id, ciphertext_root, key, acceptance)
        ways = Ways(
            before_sending, once_sent, secret=True, goes_public=goes_public, earlier=earlier, confirmed=confirmed
        )
        return self.chain.send(function, account, ways=ways)

    def confirm(self, account: Signer, trade_id: int, delivery: bytes) -> Receipt:
        """Say that the delivered model is right; pays the seller."""
        return self._send(account, 0, "confirm", trade_id, delivery)

    def dispute(self, account: Signer, trade_id: int, key: bytes, claim: Claim, statement: Statement) -> Receipt:
        """Show that the delivered model is wrong; slashes the seller.

        Raises:
            TransactionRefusedError: The evidence does not convict.
        """
        function, shown = encode_dispute(key, claim, statement)
        return self._send(account, 0, function, trade_id, shown.as_abi())

    def settle(self, account: Signer, trade_id: int, *, confirmed: bool = True) -> Receipt:
        """End a revealed trade whose dispute window has passed."""
        return self._send(account, 0, "settle", trade_id, confirmed=confirmed)

    def expire(self, account: Signer, trade_id: int, *, confirmed: bool = True) -> Receipt:
        """End a trade whose deadline has passed before the key was revealed."""
        return self._send(account, 0, "expire", trade_id, confirmed=confirmed)

    def withdraw(self, account: Signer, token: str = ETH, *, confirmed: bool = True) -> Receipt:
        """Take out what the escrow owes the account in one currency."""
        return self._send(account, 0, "withdraw", token, confirmed=confirmed)

    def _read(self, name: str, *arguments: Any) -> Any:
        return self.chain.call(self.contract.functions[name](*arguments))

    def _read_newest(self, name: str, *arguments: Any) -> int:
        """Read a number that a transaction must name or meet: what confirmed blocks say is out of date by then."""
        return int(self.chain.call(self.contract.functions[name](*arguments), newest=True))

    def _send(self, account: Signer, value_wei: int, name: str, *arguments: Any, confirmed: bool = True) -> Receipt:
        function, ways = self.contract.functions[name](*arguments), Ways(confirmed=confirmed)
        return self.chain.send(function, account, value_wei=value_wei, ways=ways)
