"""Records for tests: one of each sort, and a strategy that makes any."""

from dataclasses import replace

from hypothesis import strategies as st

from ledger import ActorRole, ChainPosition, EntryKind, Record
from ledger.entries import CONTRACT_EVENTS, ON_CHAIN, MarketId

SELLER = "0x" + "a1" * 20
BUYER = "0x" + "b2" * 20
MARKET = "0x" + "c3" * 20
OFF_CHAIN = sorted(set(EntryKind) - ON_CHAIN - {EntryKind.INDEX_COMMITTED})  # that one is the log's own


def hash_of(number: int) -> str:
    return f"0x{number:064x}"


def step(number: int = 0, **changes: object) -> Record:
    """A step off the chain."""
    record = Record(
        kind=EntryKind.REQUEST_SENT,
        actor=BUYER,
        role=ActorRole.BUYER,
        occurred_at_seconds=1_700_000_000 + number,
        listing_id=3,
        trade_id=7,
        details={"digest": hash_of(number), "bytes": number},
    )
    return replace(record, **changes)


def position(block: int = 10, index: int | None = 0, fork: int = 0) -> ChainPosition:
    return ChainPosition(
        chain_id=1,
        contract=MARKET,
        block_number=block,
        block_hash=hash_of(1000 * fork + block),
        transaction_hash=hash_of(block),
        log_index=index,
        gas_used=50_000,
    )


def contract_event(block: int = 10, index: int = 0, fork: int = 0, **changes: object) -> Record:
    record = Record(
        kind=EntryKind.ANSWERED,
        actor=SELLER,
        role=ActorRole.SELLER,
        occurred_at_seconds=1_700_000_000 + block,
        listing_id=3,
        trade_id=7,
        chain=position(block, index, fork),
        details={"response_digest": hash_of(block), "deadline": 1_700_003_600},
    )
    return replace(record, **changes)


_hashes = st.binary(min_size=32, max_size=32).map(lambda value: "0x" + value.hex())
_addresses = st.binary(min_size=20, max_size=20).map(lambda value: "0x" + value.hex())
_integers = st.integers(0, 2**53 - 1)
_printable = st.text(st.characters(exclude_categories=("C", "Z")), max_size=40)
_details = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _printable,
    max_size=6,
)
_positions = st.builds(
    ChainPosition,
    chain_id=_integers,
    contract=_addresses,
    block_number=_integers,
    block_hash=_hashes,
    transaction_hash=_hashes,
    log_index=_integers,
    gas_used=_integers,
)
_common = {
    "actor": _addresses,
    "role": st.sampled_from(ActorRole),
    "occurred_at_seconds": st.integers(0, 10**10),
    "listing_id": st.none() | st.integers(0, 2**256 - 1),
    "trade_id": st.none() | st.integers(0, 2**256 - 1),
    "details": _details,
}
_markets = st.none() | st.builds(MarketId, chain_id=_integers, contract=_addresses)
any_record = st.builds(Record, kind=st.sampled_from(OFF_CHAIN), market=_markets, **_common) | st.builds(
    Record, kind=st.sampled_from(sorted(CONTRACT_EVENTS)), chain=_positions, **_common
)
