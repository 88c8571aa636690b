"""Whole trades as the indexer logs them, for questions about them."""

from ledger import ActorRole, ChainPosition, EntryKind, MarketId, Record
from tests.simulators.ledger_records import BUYER, MARKET, SELLER, hash_of

MARKET_NAME = f"1:{MARKET}"
WEI = 10**18
START = 1_700_000_000
PATH = ("SessionOpened", "Answered", "Purchased", "Proven", "Accepted", "Revealed", "Settled")
_SENT_BY_SELLER = {"Listed", "Answered", "Proven", "Revealed"}


def other_account(number: int) -> str:
    return f"0x{number:040x}"


def event(
    kind: str,
    block: int,
    listing_id: int | None,
    trade_id: int | None,
    sender: str,
    contract: str = MARKET,
    **details: object,
) -> Record:
    return Record(
        kind=EntryKind(kind),
        actor=sender,
        role=ActorRole.SELLER if kind in _SENT_BY_SELLER else ActorRole.BUYER,
        occurred_at_seconds=START + 60 * block,
        listing_id=listing_id,
        trade_id=trade_id,
        chain=ChainPosition(
            chain_id=1,
            contract=contract,
            block_number=block,
            block_hash=hash_of(10**6 + block),
            transaction_hash=hash_of(2 * 10**6 + block),
            log_index=0,
            gas_used=50_000 + block,
        ),
        details=details,
    )


def listing(number: int, seller: str, block: int, contract: str = MARKET) -> Record:
    details = {"seller": seller, "manifest_hash": hash_of(3 * 10**6 + number), "terms_price": str(number * WEI)}
    return event("Listed", block, number, None, seller, contract, **details)


def trade(
    number: int,
    listing_id: int,
    seller: str,
    buyer: str,
    first_block: int,
    path: tuple[str, ...],
    contract: str = MARKET,
) -> list[Record]:
    """The events of a trade, one block each, and a step off the chain after the first."""
    records = []
    for place, kind in enumerate(path):
        block = first_block + 10 * place
        sender = seller if kind in _SENT_BY_SELLER else buyer
        details: dict[str, object] = {"deadline": START + 60 * block + 3600}
        if kind == "SessionOpened":
            details |= {"buyer": buyer, "samples": 16, "request_digest": hash_of(4 * 10**6 + block), "fee": "1000"}
        if kind == "Purchased":
            details["price"] = str(number * WEI)
        records.append(event(kind, block, listing_id, number, sender, contract, **details))
    sent = Record(
        kind=EntryKind.REQUEST_SENT,
        actor=buyer,
        role=ActorRole.BUYER,
        occurred_at_seconds=records[0].occurred_at_seconds + 5,
        listing_id=listing_id,
        trade_id=number,
        market=MarketId(chain_id=1, contract=contract),
        details={"request_digest": hash_of(5 * 10**6 + first_block), "bytes": 1000},
    )
    return [records[0], sent, *records[1:]]


def trades(count: int, first: int = 1, contract: str = MARKET) -> list[Record]:
    """Two listings of two sellers, and trades that ended in turn: settled, slashed, expired, open."""
    paths = (PATH, (*PATH[:6], "Slashed"), (*PATH[:3], "Expired"), PATH[:4], PATH[:1])
    sellers = {1: SELLER, 2: other_account(2)}
    base = 1000 * first
    records = [listing(number, seller, base + number, contract) for number, seller in sellers.items()]
    for number in range(first, first + count):
        listing_id = 1 if number % 2 else 2
        buyer = BUYER if number % 3 else other_account(7)
        block = base + 100 + number
        records += trade(number, listing_id, sellers[listing_id], buyer, block, paths[(number - 1) % 5], contract)
    listed, rest = records[:2], records[2:]
    return listed + sorted(rest, key=lambda record: record.occurred_at_seconds)
