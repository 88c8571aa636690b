"""Plays one complete trade with the drivers that real parties use, and reports how it went.

(1) A model is trained and prepared; (2) the contracts are deployed and both parties get accounts; (3) the seller lists;
(4) both parties step in turn until the trade has ended and everybody has taken out what is theirs, and whenever neither
has anything to do, time passes to the next deadline; (5) the delivered file is compared with what was sold.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ledger import AuditLog, EntryKind, read_by_kind, read_trade
from trader.delivery import DeliveryError
from trader.demo.cheats import HONEST, Casting
from trader.demo.setup import (
    ANSWER_FEE_WEI,
    BOND_WEI,
    MAILBOX,
    PRICE_WEI,
    PROOF_FEE_WEI,
    WINDOWS,
    funded_account,
    open_market,
)
from trader.demo.summary import DemoReport, Ending, make_report
from trader.demo.training import DemoModel, train_demo_model
from trader.errors import CallerError, ListingError, PeerFaultError, PolicyError, TransactionRefusedError
from trader.exchange import FolderMailbox
from trader.files import write_file
from trader.he import HeError, charged_samples
from trader.model.manifest import ModelCard
from trader.package import PrepareOptions, SellerPackage, prepare
from trader.parties.actor import Equipment
from trader.parties.buyer import Buyer
from trader.parties.folder import AUDIT_LOG
from trader.parties.offer import Offer
from trader.parties.seller import Seller
from trader.report import order_of_events
from trader.report.quality import report_of
from trader.trade import Role, State
from trader.trade_certificate import certificate_of
from trader.verify import BuyerPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trader.chain import Chain
    from trader.chain.market import Market
    from trader.report.timeline import Timeline
    from trader.signer import Signer

AUDIT_SAMPLES = 8
DELIVERED_MODEL = "delivered.onnx"
TRADE_CERTIFICATE = "trade-certificate.json"
QUALITY_REPORT = "quality-report.html"
_MARKER = ".modelseal-demo"
_PASSWORD = "demo"  # noqa: S105 - the demo's key protects nothing


@dataclass(frozen=True, slots=True)
class Wallets:
    """Accounts of both sides; fresh ones are made and funded where none are given.

    Attributes:
        seller: The seller's account.
        buyer: The buyer's account.
    """

    seller: Signer | None = field(default=None, repr=False)
    buyer: Signer | None = field(default=None, repr=False)


def run_demo(
    dataset: str,
    chain: Chain,
    out: Path,
    timeline: Timeline,
    *,
    played: Casting = HONEST,
    wallets: Wallets | None = None,
) -> DemoReport:
    """Play one trade.

    Args:
        dataset: `breast-cancer` or `digits`.
        chain: where the escrow is deployed.
        out: folder for everything that is written; an earlier demo's is replaced.
        timeline: shows what happens.
        played: who plays: honest parties, or a cheat.
        wallets: accounts that pay.

    Raises:
        CallerError: `out` holds something else than an earlier demo.
        TraderError, ZkError: the environment failed.
    """
    started = time.perf_counter()
    _clear(out)
    timeline.say(f"training a square-activation network on {dataset}")
    trained = train_demo_model(dataset)
    market, accounts = _open_market(chain, wallets or Wallets())
    package = _prepare(trained, accounts[Role.SELLER].address, out, timeline)
    with AuditLog.open(out / AUDIT_LOG) as log:
        mailbox = FolderMailbox(out / MAILBOX)
        equip = partial(_equip, market, mailbox, log, timeline)
        seller = Seller(package, equip(accounts[Role.SELLER], out / "seller"), conduct=played.seller)
        before = {role: chain.balance(account.address) for role, account in accounts.items()}
        listing_id = seller.list_model(Offer(PRICE_WEI, BOND_WEI, WINDOWS, PROOF_FEE_WEI))
        policy = BuyerPolicy(maximum_price_wei=PRICE_WEI, development=True)
        buyer_equipment = equip(accounts[Role.BUYER], out / "buyer")
        buyer = Buyer(listing_id, policy, buyer_equipment, labels=trained.test_labels, conduct=played.buyer)
        disturb = partial(played.stranger(market, mailbox).act, listing_id) if played.stranger else _leave_alone
        state = _trade(seller, buyer, trained, timeline, disturb)
        gains = {
            role: chain.balance(account.address) - before[role] + timeline.gas_cost_wei(role)
            for role, account in accounts.items()
        }
        delivered = _write_delivered(buyer, out)
        if state is not None:
            write_file(out / TRADE_CERTIFICATE, certificate_of(buyer).to_bytes())
        if buyer.was_answered():
            write_file(out / QUALITY_REPORT, report_of(buyer, policy).to_html().encode(), secret=True)
        story = () if state is None else order_of_events(read_trade(log, buyer.find_trade()))
        entries = (*story, *reversed(read_by_kind(log, EntryKind.TRANSACTION_FAILED)))
        ending = Ending(played, state, gains, delivered, entries, str(log.head()), time.perf_counter() - started)
        return make_report(trained, package, buyer, timeline, ending)


def _clear(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / _MARKER).exists():
            raise CallerError(f"{out} holds something else than a demo. Name another folder with --out.")
        shutil.rmtree(out)
    write_file(out / _MARKER, b"")


def _prepare(trained: DemoModel, seller: str, out: Path, timeline: Timeline) -> SellerPackage:
    model, calibration = out / "model.onnx", out / "calibration.npy"
    write_file(model, trained.onnx_bytes, secret=True)
    np.save(calibration, trained.training_samples)
    options = PrepareOptions(
        card=ModelCard(name=f"{trained.dataset} classifier", description="demo", licence="CC0-1.0"),
        audit_samples=AUDIT_SAMPLES,
        buyer_quota_samples=charged_samples(len(trained.test_samples)) + AUDIT_SAMPLES,
        fee_wei=ANSWER_FEE_WEI,
        seller=seller,
        endpoint=FolderMailbox(out / MAILBOX).endpoint,
        insist=True,  # so small a model is given away by its whole test set: fine for a demo
    )
    return prepare(model, out / "package", options, password=_PASSWORD, calibration=calibration, step=timeline.say)


def _open_market(chain: Chain, wallets: Wallets) -> tuple[Market, dict[Role, Signer]]:
    market = open_market(chain, wallets.seller or funded_account(chain))
    accounts = {
        Role.SELLER: wallets.seller or funded_account(chain),
        Role.BUYER: wallets.buyer or funded_account(chain),
    }
    return market, accounts


def _equip(
    market: Market, mailbox: FolderMailbox, log: AuditLog, timeline: Timeline, account: Signer, folder: Path
) -> Equipment:
    return Equipment(market, account, mailbox, log, folder, timeline.observe, timeline.progress, vault_key=None)


def _leave_alone(_trade_id: int | None) -> None:
    """Nobody else is about."""


def _trade(
    seller: Seller, buyer: Buyer, trained: DemoModel, timeline: Timeline, disturb: Callable[[int | None], None]
) -> State | None:
    """Step in turn to the end and return the final state; None if the buyer rejects the listing and pays nothing."""
    try:
        disturb(None)
        if not buyer.step(trained.test_samples):  # the package isn't there, or not the seller's
            seller.publish()
            buyer.step(trained.test_samples)
    except (ListingError, PolicyError) as error:
        timeline.say(f"the buyer walks away: {error}")
        return None
    market, trade_id = buyer.market, buyer.find_trade()
    while not market.trade(trade_id).position.final:
        if not _play_round(seller, buyer, trade_id, timeline, disturb):
            _wait(buyer, trade_id, timeline)
    while _play_round(seller, buyer, trade_id, timeline, disturb):
        pass
    return market.trade(trade_id).position.state


def _play_round(
    seller: Seller, buyer: Buyer, trade_id: int, timeline: Timeline, disturb: Callable[[int | None], None]
) -> bool:
    """Both sides do what they have to do; whether either had anything."""
    disturb(trade_id)
    seller_moved = _attempt(partial(seller.step, trade_id), timeline)
    disturb(trade_id)
    buyer_moved = _attempt(buyer.step, timeline)
    return seller_moved or buyer_moved


def _attempt(move: Callable[[], bool], timeline: Timeline) -> bool:
    """Make a move that may be refused, as a cheat's, or that a party may refuse: the trade goes on without it."""
    try:
        return move()
    except (TransactionRefusedError, PeerFaultError, PolicyError, HeError, DeliveryError) as error:
        timeline.say(f"refused: {error}")
        return False


def _wait(buyer: Buyer, trade_id: int, timeline: Timeline) -> None:
    """Let time pass to the deadline, or to where the buyer accepts what it had signed."""
    market, until = buyer.market, buyer.waits_until()
    position = market.trade(trade_id).position
    what = "the deadline of" if until == position.deadline_seconds else "the end of the buyer's patience in"
    timeline.say(f"nobody moves: time passes to {what} {position.state.name.lower()}")
    market.chain.advance_time(max(0, until - market.chain.time().newest))


def _write_delivered(buyer: Buyer, out: Path) -> Path | None:
    """Write the bought model as an ordinary ONNX file, if the buyer holds one."""
    if not buyer.has_model():
        return None
    path = out / DELIVERED_MODEL
    write_file(path, buyer.delivered_onnx())
    return path
