"""Makes the certificate of a finished trade, from the chain, the audit log and the listing's manifest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from eth_utils.hexadecimal import encode_hex

from ledger import EntryKind, prove_entry, read_trade
from trader.chain.inclusion import read_mined
from trader.trade_certificate.document import (
    UNSIGNED,
    BlockSection,
    EntrySection,
    LogSection,
    TradeCertificate,
    TransactionSection,
)
from trader.trade_certificate.errors import UnfinishedTradeError

if TYPE_CHECKING:
    from ledger import AuditLog
    from trader.chain.inclusion import Mined
    from trader.chain.market import Market
    from trader.parties.buyer import Buyer
    from trader.signer import Signer

LEFT_OUT = frozenset({EntryKind.MESSAGE_SKIPPED, EntryKind.MESSAGE_REPEATED, EntryKind.TRANSACTION_FAILED})
"""Entries whose texts may name files of the signer's machine."""


def certificate_of(buyer: Buyer) -> TradeCertificate:
    """Return the certificate of a buyer's trade, signed by it.

    Raises:
        UnfinishedTradeError: The trade has not ended.
        CallerError: No session was opened.
        ChainUnavailableError: The node does not answer.
        LedgerError: The audit log can't be read, or was damaged.
    """
    delivered = buyer.delivered_onnx() if buyer.has_model() else None
    manifest = buyer.verify_listing().manifest.to_bytes()
    return make_trade_certificate(buyer.market, buyer.actor.log, buyer.find_trade(), manifest, buyer.account, delivered)


def make_trade_certificate(
    market: Market,
    log: AuditLog,
    trade_id: int,
    manifest: bytes,
    account: Signer,
    delivered: bytes | None = None,
) -> TradeCertificate:
    """Return the certificate of a trade that has ended.

    Args:
        market: Where it was made.
        log: A party's audit log; its events are brought up to date by the party.
        trade_id: The trade.
        manifest: The listing's, canonical.
        account: Of a party, which signs.
        delivered: The delivered ONNX file; None if there is none, or the party does not want to name it.

    Raises:
        UnfinishedTradeError: The trade has not ended.
        ChainUnavailableError: The node does not answer.
        LedgerError: The log can't be read, or was damaged.
    """
    trade = market.trade(trade_id)
    if not trade.position.final:
        raise UnfinishedTradeError(
            f"trade {trade_id} is {trade.position.state.name.lower()}: a certificate is made once it has ended. "
            "Carry it on to its end."
        )
    events = (market.listed_in(trade.listing_id), *market.trade_logs(trade_id))
    hashes = dict.fromkeys(event.transaction_hash for event in events)
    mined = [read_mined(market.chain, transaction_hash) for transaction_hash in hashes]
    blocks = {one.block_number: one for one in mined}
    certificate = TradeCertificate(
        chain_id=market.chain.chain_id,
        market=market.deployment.market.lower(),
        market_salt=encode_hex(market.deployment.salt),
        listing=str(trade.listing_id),
        trade=str(trade_id),
        manifest=json.loads(manifest),
        blocks=tuple(_block(blocks[number]) for number in sorted(blocks)),
        transactions=tuple(map(_transaction, mined)),
        log=_log_section(log, trade_id),
        delivered=None if delivered is None else f"0x{hashlib.sha256(delivered).hexdigest()}",
        signer=account.address.lower(),
        signature=UNSIGNED,
    )
    return certificate.signed(account)


def _block(mined: Mined) -> BlockSection:
    return BlockSection(number=mined.block_number, hash=encode_hex(mined.block_hash), header=encode_hex(mined.header))


def _transaction(mined: Mined) -> TransactionSection:
    return TransactionSection(
        block=mined.block_number,
        index=mined.index,
        raw=encode_hex(mined.raw),
        receipt=encode_hex(mined.receipt),
        transaction_path=tuple(map(encode_hex, mined.transaction_path)),
        receipt_path=tuple(map(encode_hex, mined.receipt_path)),
    )


def _log_section(log: AuditLog, trade_id: int) -> LogSection:
    checkpoint = log.checkpoint()
    kept = [entry for entry in read_trade(log, trade_id).entries if entry.record.kind not in LEFT_OUT]
    proofs = [prove_entry(log, entry.sequence, checkpoint) for entry in kept if entry.sequence < checkpoint.entries]
    entries = tuple(
        EntrySection(entry=json.loads(proof.encoded), hashes=tuple(map(encode_hex, proof.hashes))) for proof in proofs
    )
    return LogSection(checkpoint=str(checkpoint), entries=entries)
