"""Checks (3) and (5): the transactions stand in their blocks, and their events are a whole trade.

Each move names what it answers (`contracts.types`): openSession the offer, respond the session, purchase the answer,
prove the purchase, accept and confirm the delivery. So from the listing on everything hangs on one chain of digests.

No event of the trade can be left out: each state but one is left by one way on alone. From Proven there are two ways to
Revealed, and two to Expired, with `accept` or without. But a key that is revealed without `accept` comes with the
buyer's signature, which is checked here as the market does, and `Expired` says in which state the trade was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex, encode_hex

import trader.trade as trade_room
from contracts import NO_POLICY, Acceptance, answer_digest, delivery_digest, offer_digest, session_digest
from ledger import EntryKind, IndexingError
from ledger.entries import CONTRACT_EVENTS
from trader.chain.inclusion import InclusionError, parse_call, parse_header, parse_receipt, recover_sender, verify_path
from trader.chain.offline import OfflineMarket, terms_of
from trader.trade import TIMEOUTS, TRANSITIONS, Position, Role, State, legal_events
from trader.trade_certificate.errors import CertificateStoryError, InclusionFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from contracts import Terms
    from ledger.indexing.decoding import Happened
    from trader.chain.inclusion import Header
    from trader.trade_certificate.document import TradeCertificate, TransactionSection


_SETTLING = (EntryKind.CONFIRMED, EntryKind.REFUNDED)
_AMOUNTS = ("amount", "to_buyer", "to_seller")
_FUNCTIONS = {
    EntryKind.SESSION_OPENED: ("openSession",),
    EntryKind.ANSWERED: ("respond",),
    EntryKind.PURCHASED: ("purchase",),
    EntryKind.PROVEN: ("prove",),
    EntryKind.ACCEPTED: ("accept",),
    EntryKind.REVEALED: ("reveal",),
    EntryKind.CONFIRMED: ("confirm",),
    EntryKind.REFUNDED: ("refund",),
    EntryKind.SLASHED: ("disputeWeightsChunk", "disputeSumChunk", "disputeSumStep", "disputeRange"),
}
"""What causes an event; timeouts may come through another contract."""


@dataclass(frozen=True, slots=True)
class SignedMove:
    """A transaction of the trade, as its bytes say.

    Attributes:
        hash: Of the transaction, 0x-hex.
        block_number: Block that holds it.
        block_hash: That block's hash, 0x-hex.
        time_seconds: Unix time of the block; None without its header.
        sender: Who signed it, in lower case.
        direct: Whether it calls the market itself.
        value_wei: Ether sent along.
        function: That it calls; empty where it is none of the market's.
        arguments: By name.
        events: The market's, in order.
    """

    hash: str
    block_number: int
    block_hash: str
    time_seconds: int | None
    sender: str
    direct: bool
    value_wei: int
    function: str
    arguments: Mapping[str, Any] = field(repr=False)
    events: tuple[Happened, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Story:
    """A trade from its listing to its end.

    Attributes:
        moves: Its transactions, the listing's first.
        seller: Who listed.
        buyer: Who opened the session.
        terms: Of the listing.
        price_wei: What the buyer paid or was to pay, in wei or the token's smallest unit; None if it bought nothing.
        ended: The final state.
        amounts_wei: What the last event says, by name.
        audit: The struct that `prove` was given; None if nothing was proven.
        purchase: What was committed to before: answer, input commitment, digest of the outputs seen.
    """

    moves: tuple[SignedMove, ...]
    seller: str
    buyer: str
    terms: Terms
    price_wei: int | None
    ended: State
    amounts_wei: Mapping[str, int]
    audit: Mapping[str, Any] | None = field(repr=False)
    purchase: Mapping[str, bytes]


# ------------------------------------------------------------------------------------------------- (3) inclusion


def read_moves(certificate: TradeCertificate) -> tuple[SignedMove, ...]:
    """Run check (3).

    Raises:
        InclusionFaultError: A transaction or receipt is malformed, failed, or not in its block; a block is not used.
    """
    headers = {block.number: (block.hash, decode_hex(block.header)) for block in certificate.blocks}
    if len(headers) != len(certificate.blocks) or headers.keys() != {one.block for one in certificate.transactions}:
        raise InclusionFaultError("(3) the blocks are not those of the transactions, each once. Don't rely on it.")
    places = [(one.block, one.index) for one in certificate.transactions]
    if places != sorted(set(places)):
        raise InclusionFaultError("(3) the transactions are not in the chain's order, each once. Don't rely on it.")
    market = OfflineMarket(certificate.market)
    try:
        return tuple(
            _read_move(one, *headers[one.block], market, certificate.chain_id) for one in certificate.transactions
        )
    except (InclusionError, IndexingError) as error:
        raise InclusionFaultError(f"(3) a transaction can't be read or placed: {error}. Don't rely on it.") from error


def _read_move(
    section: TransactionSection, block_hash: str, header: bytes, market: OfflineMarket, chain_id: int
) -> SignedMove:
    raw, receipt = decode_hex(section.raw), decode_hex(section.receipt)
    placed = _place(section, block_hash, header, raw, receipt)
    succeeded, logs = parse_receipt(receipt)
    if not succeeded:
        raise InclusionError("it failed")
    call = parse_call(raw)
    if call.chain_id != chain_id:
        raise InclusionError(f"it is for chain {call.chain_id}, not {chain_id}")
    direct = encode_hex(call.to) == market.address.lower()
    function, arguments = market.decode_call(call.data) if direct else ("", {})
    return SignedMove(
        hash=encode_hex(keccak(raw)),
        block_number=section.block,
        block_hash=block_hash,
        time_seconds=None if placed is None else placed.time_seconds,
        sender=recover_sender(raw),
        direct=direct,
        value_wei=call.value_wei,
        function=function,
        arguments=arguments,
        events=tuple(market.events(logs)),
    )


def _place(section: TransactionSection, block_hash: str, header: bytes, raw: bytes, receipt: bytes) -> Header | None:
    paths = [tuple(map(decode_hex, path)) for path in (section.transaction_path, section.receipt_path)]
    if not header:
        if any(paths):
            raise InclusionError("there are paths to a block without header")
        return None
    found = parse_header(header)
    if (encode_hex(found.hash), found.number) != (block_hash, section.block):
        raise InclusionError(f"the header is not that of block {section.block}")
    verify_path(found.transactions_root, section.index, paths[0], raw)
    verify_path(found.receipts_root, section.index, paths[1], receipt)
    return found


# ----------------------------------------------------------------------------------------------------- (5) story


def check_story(certificate: TradeCertificate, moves: Sequence[SignedMove]) -> Story:
    """Run check (5).

    Raises:
        CertificateStoryError: The events are no trade that has ended, or a move does not answer the one before.
    """
    listing, *rest = moves
    listed = [event for event in listing.events if event.kind is EntryKind.LISTED]
    if listing.function != "list" or [event.listing_id for event in listed] != [int(certificate.listing)]:
        raise CertificateStoryError(f"(5) the first transaction does not list listing {certificate.listing}")
    seller, terms = listing.sender, terms_of(dict(listing.arguments))
    _require("the seller", listed[0].details["seller"], seller)
    _require("the listed manifest", listed[0].details["manifest_hash"], encode_hex(terms.manifest_hash))
    if not rest or rest[0].function != "openSession":
        raise CertificateStoryError("(5) no session was opened")
    buyer = rest[0].sender
    ended, last = _walk(rest, {Role.SELLER: seller, Role.BUYER: buyer}, int(certificate.trade))
    return Story(
        moves=tuple(moves),
        seller=seller,
        buyer=buyer,
        terms=terms,
        price_wei=next((int(move.arguments["price"]) for move in rest if move.function == "purchase"), None),
        ended=ended,
        amounts_wei={name: int(last.details[name]) for name in _AMOUNTS if name in last.details},
        audit=next((move.arguments["audit"] for move in rest if move.function == "prove"), None),
        purchase=_check_digests(rest, seller, buyer, terms, certificate),
    )


def _walk(moves: Sequence[SignedMove], parties: Mapping[Role, str], trade_id: int) -> tuple[State, Happened]:
    """Follow the table of `trader.trade` to a final state; return it and the last event."""
    position, last = Position(), None
    for move in moves:
        for event in _own_events(move, trade_id):
            if last is not None and last.kind in _SETTLING and event.kind is EntryKind.SETTLED:
                last = event  # of one transaction: the amount that goes with the confirmation or refund
                continue
            position = _next_position(position, event, move, parties)
            last = event
    if last is None or not position.final:
        raise CertificateStoryError(f"(5) the trade has not ended: it is {position.state.name}")
    return position.state, last


def _own_events(move: SignedMove, trade_id: int) -> Iterator[Happened]:
    found = [event for event in move.events if event.trade_id == trade_id and event.kind in CONTRACT_EVENTS]
    if not found:
        raise CertificateStoryError(f"(5) transaction {move.hash} did nothing in trade {trade_id}")
    yield from found


def _next_position(position: Position, event: Happened, move: SignedMove, parties: Mapping[Role, str]) -> Position:
    kind = getattr(trade_room, event.kind.value)
    roles = [role for role in Role if kind in TRANSITIONS[role][position.state]]
    if not roles:
        raise CertificateStoryError(f"(5) {event.kind} can't happen to a trade that is {position.state.name}")
    if kind not in TIMEOUTS and (not move.direct or move.sender != parties[roles[0]]):
        raise CertificateStoryError(f"(5) {event.kind} is the {roles[0].value}'s move, {move.sender} made it")
    if kind not in TIMEOUTS and move.function not in _FUNCTIONS[event.kind]:
        raise CertificateStoryError(f"(5) {event.kind} does not come of a call of {move.function or 'nothing'}")
    if event.kind is EntryKind.EXPIRED:
        _require("the state that the trade ended in", State(int(event.details["ended"])).name, position.state.name)
    at_seconds = move.time_seconds
    if at_seconds is not None and kind not in legal_events(roles[0], position, at_seconds):
        raise CertificateStoryError(f"(5) {event.kind} came at {at_seconds}, on the wrong side of its deadline")
    return Position(TRANSITIONS[roles[0]][position.state][kind], int(event.details.get("deadline", 0)))


def _check_digests(
    moves: Sequence[SignedMove], seller: str, buyer: str, terms: Terms, certificate: TradeCertificate
) -> Mapping[str, bytes]:
    """Follow the digests from the offer to the delivery; return what was purchased."""
    expected: dict[str, Any] = {"tradeId": int(certificate.trade), "listingId": int(certificate.listing)}
    expected["offer"] = offer_digest(seller, terms)
    purchase: dict[str, bytes] = {}
    for move in moves:
        given = move.arguments
        for name in given.keys() & expected.keys():
            _require(f"{name} of {move.function}", given[name], expected[name])
        _check_events_say_it(move)
        match move.function:
            case "openSession":
                expected["session"] = session_digest(buyer, expected["offer"], given["samples"], given["requestDigest"])
            case "respond":
                expected["answer"] = answer_digest(expected["session"], given["responseDigest"])
            case "purchase":
                _check_price(given["price"], terms)
                _require("the ether of the purchase", move.value_wei, terms.ether_of(given["price"]))
                purchase = {name: given[name] for name in ("answer", "inputCommitment", "outputsDigest")}
            case "prove":
                _require("the ether of the bond", move.value_wei, terms.ether_of(terms.bond_wei))
                expected["ciphertextRoot"] = given["ciphertextRoot"]
                expected["delivery"] = delivery_digest(given["ciphertextRoot"], given["keyHash"])
                expected["keyHash"] = given["keyHash"]
            case "reveal":
                _require("the key's hash", keccak(given["key"]), expected["keyHash"])
                _require_accepted(given["acceptance"], moves, expected["delivery"], buyer, certificate)
    return purchase


def _require_accepted(
    signature: bytes, moves: Sequence[SignedMove], delivery: bytes, buyer: str, certificate: TradeCertificate
) -> None:
    """Check that the buyer has accepted the delivery whose key was revealed, by a transaction or by signature."""
    if any(move.function == "accept" for move in moves):
        return
    accepted = Acceptance(int(certificate.trade), delivery)
    if not accepted.is_signed_by(buyer, signature, certificate.chain_id, certificate.market):
        raise CertificateStoryError(
            "(5) the key was revealed without the buyer's signature, so the buyer had accepted by a transaction: it is"
            " left out"
        )


def _check_price(price_wei: int, terms: Terms) -> None:
    """Check a price: the listing's, or less if a policy names it; which one the contract has asked."""
    if terms.policy == NO_POLICY:
        _require("the price", price_wei, terms.price_wei)
    elif price_wei > terms.price_wei:
        raise CertificateStoryError(f"(5) the price is {price_wei}, more than the listing's {terms.price_wei}")


def _check_events_say_it(move: SignedMove) -> None:
    """Check that events repeat the arguments of the call that caused them."""
    told = {name: value for event in move.events for name, value in event.details.items()}
    for name, value in move.arguments.items():
        key = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        if key in told:
            written = encode_hex(value) if isinstance(value, bytes) else value
            _require(f"{name} in the event of {move.function}", str(told[key]), str(written))


def _require(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise CertificateStoryError(f"(5) {what} is {_show(found)}, expected {_show(expected)}. Don't rely on it.")


def _show(value: object) -> str:
    return encode_hex(value) if isinstance(value, bytes) else str(value)
