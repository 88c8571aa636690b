"""Strangers in the shared folder: they squat names, replay, truncate and replace messages, and stop no trade by it."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from tests.simulators.trading import FEE, PRICE, Trading
from tests.simulators.trusting import TrustingMailbox
from trader.chain import Chain
from trader.errors import EnvironmentFaultError
from trader.exchange import Kind, Label, TransferError
from trader.exchange import folder as transfer
from trader.exchange.signing import TRAILER_BYTES, sign_trailer
from trader.trade import Answered, Proven, Purchased, Role, SessionOpened, State
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

STRANGER = Account.create()
SOLD = {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
EVEN = {Role.SELLER: 0, Role.BUYER: 0}


def label_of(trading: Trading, trade_id: int) -> Label:
    """The message that is on its way, as anybody can read it off the chain."""
    market, trade = trading.market, trading.market.trade(trade_id)
    match trade.position.state:
        case State.TESTING:
            kind, number, anchor = Kind.REQUEST, 0, market.event(trade_id, SessionOpened).request_digest
        case State.ANSWERED:
            kind, number, anchor = Kind.RESPONSE, trade_id, market.event(trade_id, Answered).response_digest
        case State.PURCHASED:
            kind, number, anchor = Kind.AUDIT_INPUTS, trade_id, market.event(trade_id, Purchased).input_commitment
        case _:
            kind, number, anchor = Kind.MODEL, trade_id, market.event(trade_id, Proven).ciphertext_root
    return Label(kind, market.chain.chain_id, market.deployment.market, number, anchor)


# ------------------------------------------------------------------------------------ what a stranger does to a message


def junk(path: Path, _label: Label, _message: bytes, _sender) -> None:
    path.write_bytes(b"x" * 100)


def nothing_at_all(path: Path, _label: Label, _message: bytes, _sender) -> None:
    path.unlink()


def folder(path: Path, _label: Label, _message: bytes, _sender) -> None:
    path.unlink()
    path.mkdir()
    (path / "squatted").touch()


def link(path: Path, _label: Label, _message: bytes, _sender) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def truncated(path: Path, _label: Label, message: bytes, _sender) -> None:
    path.write_bytes(message[: len(message) // 2])


def flipped_bit(path: Path, _label: Label, message: bytes, _sender) -> None:
    changed = bytearray(message)
    changed[len(message) // 2] ^= 1
    path.write_bytes(changed)


def signed_by_the_stranger(path: Path, label: Label, message: bytes, _sender) -> None:
    other = message[:-TRAILER_BYTES][::-1]
    path.write_bytes(other + sign_trailer(label, keccak256(other), STRANGER))


def senders_signature_for_other_bytes(path: Path, _label: Label, message: bytes, _sender) -> None:
    path.write_bytes(b"x" * 100 + message[-TRAILER_BYTES:])


def another_trades_message(path: Path, label: Label, message: bytes, sender) -> None:
    """The sender's own, signed for another trade of the same market."""
    other = message[:-TRAILER_BYTES][::-1]
    elsewhere = Label(label.kind, label.chain_id, label.market, label.trade_id + 7, label.anchor)
    path.write_bytes(other + sign_trailer(elsewhere, keccak256(other), sender))


ATTACKS = [
    junk,
    nothing_at_all,
    folder,
    link,
    truncated,
    flipped_bit,
    signed_by_the_stranger,
    senders_signature_for_other_bytes,
    another_trades_message,
]


def is_fooled(trading: Trading, label: Label, sender: str, message: bytes) -> bool:
    """Whether a reader that trusts the folder takes other bytes for the message, or is left without one."""
    trusting = TrustingMailbox(trading.mailbox.root)
    try:
        return trusting.get(label, sender, 1 << 30) != message[:-TRAILER_BYTES]
    except TransferError:
        return True


def test_every_message_can_be_attacked_in_every_way_and_the_trade_settles(
    chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(chain)
    trade_id = trading.open()
    for state in (State.TESTING, State.ANSWERED, State.PURCHASED, State.PROVEN):
        sender, receiver = (
            (trading.buyer.step, lambda: trading.seller.step(trade_id))
            if state in (State.TESTING, State.PURCHASED)
            else (lambda: trading.seller.step(trade_id), trading.buyer.step)
        )
        role = Role.BUYER if state in (State.TESTING, State.PURCHASED) else Role.SELLER
        label, account = label_of(trading, trade_id), trading.accounts[role]
        path = trading.mailbox.root / label.name
        message = path.read_bytes()
        for attack in ATTACKS:
            attack(path, label, message, account)
            assert is_fooled(trading, label, account.address, message), attack.__name__
            assert not receiver(), attack.__name__
            assert trading.market.trade(trade_id).position.state is state
            assert sender(), attack.__name__
            assert path.read_bytes() == message
        assert receiver()
    assert not trading.seller.vault(trade_id).has("refused")
    assert trading.play() is State.SETTLED
    assert trading.gains() == SOLD
    said = {(step.role, step.name) for step in trading.steps if step.remark}
    assert {(role, name) for role in Role for name in ("MessageSkipped", "MessageRepeated")} <= said


def test_parties_that_trust_the_folder_are_stopped_by_one_file(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """The same attack, without the protection: refused for good, and the deadline is all that is left."""
    trading = trade_on(chain, mailbox_type=TrustingMailbox)
    trade_id = trading.open()
    label = label_of(trading, trade_id)
    path = trading.mailbox.root / label.name
    message = path.read_bytes()
    junk(path, label, message, STRANGER)
    assert not trading.seller.step(trade_id)
    assert trading.seller.vault(trade_id).has("refused")
    path.write_bytes(message)
    assert trading.play() is State.EXPIRED
    assert trading.gains() == EVEN


def test_names_are_taken_before_anybody_can_know_them(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder whose files only their owners can remove, whoever writes first keeps the name.

    A stranger learns a name from the transaction that commits to it, at the earliest.
    """
    trading = trade_on(chain)
    messages = {"openSession": "request", "respond": "response", "purchase": "audit-inputs", "prove": "model"}
    sent = []
    send = Chain.send

    def watched(chain, function, *arguments, **options):
        name = str(function.abi_element_identifier).split("(")[0]
        if name in messages:
            sent.append(name)
            assert list(trading.mailbox.root.glob(f"{messages[name]}-*")), f"{name} is sent before its name is taken"
        return send(chain, function, *arguments, **options)

    monkeypatch.setattr(Chain, "send", watched)
    assert trading.play() is State.SETTLED
    assert sent == list(messages)


@pytest.mark.parametrize("squat", [junk, folder], ids=["file", "folder"])
def test_a_squatted_package_keeps_no_seller_from_starting(
    squat, chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(chain)
    label = Label(
        Kind.PACKAGE, chain.chain_id, trading.market.deployment.market, 0, trading.package.manifest.manifest_hash()
    )
    squat(trading.mailbox.root / label.name, label, b"", None)
    assert trading.new_seller().publish() is None
    assert trading.buyer.verify_listing().listing_id == trading.listing_id


def test_a_package_that_can_t_be_replaced_keeps_no_seller_from_serving(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's file, in a folder that lets nobody remove what is another's."""
    trading = trade_on(chain)
    trade_id = trading.open()
    rename = os.rename

    def refuse(source, target, **options):
        if str(target).startswith("package-"):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        rename(source, target, **options)

    (path,) = trading.mailbox.root.glob("package-*")
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr(os, "rename", refuse)
    seller = trading.new_seller()
    assert seller.step(trade_id)
    assert trading.market.trade(trade_id).position.state is State.ANSWERED
    assert "Operation not permitted" in "".join(step.remark for step in trading.steps)


def test_a_full_disk_at_each_message_ends_no_party(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    write_over, full = transfer.write_over, []

    def fail_once(directory, name, pieces, mode):
        kind = name.split("-")[0]
        if kind not in full:
            full.append(kind)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_over(directory, name, pieces, mode)

    monkeypatch.setattr(transfer, "write_over", fail_once)
    steps = [lambda: trading.buyer.step(trading.model.test_samples)]
    for _ in range(40):
        for step in steps:
            try:
                step()
            except EnvironmentFaultError as error:
                assert "No space left on device" in str(error)  # noqa: PT017 - most steps raise nothing
        steps = [trading.buyer.step, lambda: trading.seller.step(trading.buyer.find_trade())]
        if trading.market.trade(trading.buyer.find_trade()).position.final:
            break
    assert full == ["request", "response", "audit", "model", "acceptance"]
    assert trading.play() is State.SETTLED
    assert trading.gains() == SOLD


def test_a_flooded_log_stays_small(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """A stranger that writes something new before every step fills neither log nor console."""
    trading = trade_on(chain)
    trade_id = trading.open()
    path = trading.mailbox.root / label_of(trading, trade_id).name
    before = trading.log.head()
    for size in range(1, 60):
        path.write_bytes(b"x" * size * 1_000)
        assert not trading.seller.step(trade_id)
    remarks = [step for step in trading.steps if step.remark]
    assert 1 <= len(remarks) <= 8
    assert 1 <= trading.log.head().entries - before.entries <= 8


def test_strangers_files_are_neither_opened_nor_followed(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """A pipe in a message's place blocks nobody."""
    trading = trade_on(chain)
    trade_id = trading.open()
    path = trading.mailbox.root / label_of(trading, trade_id).name
    message = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    assert not trading.seller.step(trade_id)
    path.unlink()
    path.write_bytes(message)
    assert trading.seller.step(trade_id)
    shutil.rmtree(trading.mailbox.root)
    assert trading.seller.step(trade_id)  # the whole folder is gone: the answer is put again
    assert trading.play() is State.SETTLED
