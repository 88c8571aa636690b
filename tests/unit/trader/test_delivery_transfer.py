"""The shared folder, with a hostile party on the other side of it."""

import os
import threading
import time

import pytest

from trader.delivery import Kind, Mailbox, NotDeliveredError, TransferError, listing_channel, trade_channel
from zk.commitments.merkle import keccak256

CHANNEL = trade_channel(3)


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "box")


def test_message_arrives_with_its_digest(mailbox):
    digest = mailbox.put(CHANNEL, Kind.REQUEST, b"ciphertext")
    assert digest == keccak256(b"ciphertext")
    assert mailbox.get(CHANNEL, Kind.REQUEST, 10, digest) == b"ciphertext"


def test_channels_and_kinds_are_apart(mailbox):
    for channel in (trade_channel(1), trade_channel(11), listing_channel(bytes(32))):
        for kind in Kind:
            mailbox.put(channel, kind, f"{channel} {kind}".encode())
    assert mailbox.get(trade_channel(11), Kind.MODEL, 100) == b"trade-11 Kind.MODEL"


def test_repeated_delivery_is_harmless_and_another_one_refused(mailbox):
    mailbox.put(CHANNEL, Kind.MODEL, b"first")
    mailbox.put(CHANNEL, Kind.MODEL, b"first")
    with pytest.raises(TransferError, match="digest"):
        mailbox.put(CHANNEL, Kind.MODEL, b"other")
    with pytest.raises(TransferError, match="bytes"):
        mailbox.put(CHANNEL, Kind.MODEL, b"1")
    assert mailbox.get(CHANNEL, Kind.MODEL, 10) == b"first"


def test_endpoint_is_a_url_that_leads_back(tmp_path):
    mailbox = Mailbox(tmp_path / "a folder#1")
    mailbox.put(CHANNEL, Kind.REQUEST, b"data")
    assert mailbox.endpoint.startswith("file:///")
    assert Mailbox.at(mailbox.endpoint).get(CHANNEL, Kind.REQUEST, 10) == b"data"


@pytest.mark.parametrize(
    "endpoint",
    ["", "/tmp/box", "https://example.org/box", "file://host/box", "file:relative", "file:///a%00b", "file://"],
)
def test_other_endpoints_are_refused(endpoint):
    with pytest.raises(TransferError, match="is not a local folder"):
        Mailbox.at(endpoint)


@pytest.mark.parametrize(
    "channel", ["", ".", "..", "../x", "a/b", "/etc", "a\0b", "Trade-1", "trade_1", "-x", "x" * 81, "trade-1\n"]
)
def test_names_that_leave_the_folder_are_refused(mailbox, channel):
    with pytest.raises(TransferError, match="is not the name of a channel"):
        mailbox.put(channel, Kind.REQUEST, b"data")
    with pytest.raises(TransferError, match="is not the name of a channel"):
        mailbox.get(channel, Kind.REQUEST, 10)


def test_missing_message_is_told_apart(mailbox):
    with pytest.raises(NotDeliveredError, match=r"request of trade-3 has not arrived"):
        mailbox.get(CHANNEL, Kind.REQUEST, 10)


def test_oversized_message_is_refused_before_it_is_read(mailbox):
    mailbox.put(CHANNEL, Kind.MODEL, b"small")
    path = mailbox.root / CHANNEL / "request"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TransferError, match="more than the 10 allowed"):
        mailbox.get(CHANNEL, Kind.REQUEST, 10)


def test_limit_is_inclusive(mailbox):
    mailbox.put(CHANNEL, Kind.MODEL, b"12345")
    assert mailbox.get(CHANNEL, Kind.MODEL, 5) == b"12345"
    with pytest.raises(TransferError):
        mailbox.get(CHANNEL, Kind.MODEL, 4)


def test_digest_is_compared(mailbox):
    mailbox.put(CHANNEL, Kind.MODEL, b"model")
    with pytest.raises(TransferError, match=r"has the digest 0x[0-9a-f]{64}, expected 0x00"):
        mailbox.get(CHANNEL, Kind.MODEL, 10, bytes(32))


def test_link_instead_of_a_message_is_not_followed(mailbox, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (mailbox.root / CHANNEL).mkdir(parents=True)
    (mailbox.root / CHANNEL / "request").symlink_to(tmp_path / "secret")
    with pytest.raises(TransferError, match="cannot be read"):
        mailbox.get(CHANNEL, Kind.REQUEST, 10)
    with pytest.raises(TransferError):
        mailbox.put(CHANNEL, Kind.REQUEST, b"secret")
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_dangling_link_is_not_written_through(mailbox, tmp_path):
    (mailbox.root / CHANNEL).mkdir(parents=True)
    (mailbox.root / CHANNEL / "request").symlink_to(tmp_path / "planted")
    with pytest.raises(TransferError):
        mailbox.put(CHANNEL, Kind.REQUEST, b"data")
    assert not (tmp_path / "planted").exists()


def test_link_instead_of_a_channel_is_not_followed(mailbox, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "request").write_bytes(b"secret")
    mailbox.root.mkdir()
    (mailbox.root / CHANNEL).symlink_to(elsewhere)
    with pytest.raises(TransferError):
        mailbox.get(CHANNEL, Kind.REQUEST, 10)
    with pytest.raises(TransferError):
        mailbox.put(CHANNEL, Kind.MODEL, b"data")
    assert [path.name for path in elsewhere.iterdir()] == ["request"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_other_things_than_files_neither_block_nor_pass(mailbox, make):
    (mailbox.root / CHANNEL).mkdir(parents=True)
    make(mailbox.root / CHANNEL / "request")
    with pytest.raises(TransferError):
        mailbox.get(CHANNEL, Kind.REQUEST, 10)


def test_file_instead_of_a_channel_is_an_error(mailbox):
    mailbox.root.mkdir()
    (mailbox.root / CHANNEL).write_bytes(b"")
    with pytest.raises(TransferError):
        mailbox.put(CHANNEL, Kind.REQUEST, b"data")
    with pytest.raises(TransferError):
        mailbox.get(CHANNEL, Kind.REQUEST, 10)


def test_nothing_but_whole_messages_is_left_behind(mailbox):
    mailbox.put(CHANNEL, Kind.REQUEST, b"data")
    with pytest.raises(TransferError):
        mailbox.put(CHANNEL, Kind.REQUEST, b"other")
    assert [path.name for path in (mailbox.root / CHANNEL).iterdir()] == ["request"]


def test_half_written_message_is_not_seen(mailbox, monkeypatch):
    """A crash before the last step leaves no message, and the next delivery succeeds."""

    def crash(*args, **kwargs):
        raise OSError(5, "crashed")

    monkeypatch.setattr(os, "link", crash)
    with pytest.raises(TransferError, match="crashed"):
        mailbox.put(CHANNEL, Kind.REQUEST, b"data")
    monkeypatch.undo()
    with pytest.raises(NotDeliveredError):
        mailbox.get(CHANNEL, Kind.REQUEST, 10)
    mailbox.put(CHANNEL, Kind.REQUEST, b"data")
    assert mailbox.get(CHANNEL, Kind.REQUEST, 10) == b"data"


def test_wait_sees_a_later_delivery(mailbox):
    thread = threading.Thread(target=lambda: (time.sleep(0.15), mailbox.put(CHANNEL, Kind.RESPONSE, b"answer")))
    thread.start()
    assert mailbox.wait(CHANNEL, Kind.RESPONSE, 10, timeout_seconds=30) == b"answer"
    thread.join()


def test_wait_gives_up(mailbox):
    with pytest.raises(NotDeliveredError):
        mailbox.wait(CHANNEL, Kind.RESPONSE, 10, timeout_seconds=0)
