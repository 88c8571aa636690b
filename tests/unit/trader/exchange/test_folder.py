"""The shared folder, with hostile parties and strangers around it."""

import errno
import os
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from eth_account import Account

from trader.errors import EnvironmentFaultError, RequestError
from trader.exchange import (
    FolderMailbox,
    Kind,
    Label,
    MailboxFaultError,
    NotDeliveredError,
    SkippedMessageError,
    TransferError,
    pacing,
    skipping,
)
from trader.exchange import folder as transfer
from trader.exchange.signing import TRAILER_BYTES, sign_trailer
from zk.binding.merkle import keccak256

SENDER, STRANGER = Account.create(), Account.create()
LABEL = Label(Kind.REQUEST, 31337, "0x" + "ab" * 20, 3, bytes(range(32)))
OTHERS = {
    "kind": replace(LABEL, kind=Kind.RESPONSE),
    "chain": replace(LABEL, chain_id=1),
    "market": replace(LABEL, market="0x" + "ac" * 20),
    "trade": replace(LABEL, trade_id=4),
    "anchor": replace(LABEL, anchor=bytes(32)),
}


@pytest.fixture
def mailbox(tmp_path):
    return FolderMailbox(tmp_path / "box")


@pytest.fixture
def place(mailbox):
    """Where the message lies, in a folder that is there."""
    mailbox.root.mkdir()
    return mailbox.root / LABEL.name


def signed(message, label=LABEL, account=SENDER):
    return message + sign_trailer(label, keccak256(message), account)


def get(mailbox, limit_bytes=100):
    return mailbox.get(LABEL, SENDER.address, limit_bytes)


def test_a_message_arrives(mailbox):
    assert mailbox.put(LABEL, b"ciphertext", SENDER)
    assert get(mailbox, 10) == b"ciphertext"


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_messages_with_other_labels_are_apart(mailbox, other):
    mailbox.put(other, b"other", SENDER)
    with pytest.raises(NotDeliveredError):
        get(mailbox)
    mailbox.put(LABEL, b"this", SENDER)
    assert get(mailbox) == b"this"


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_message_is_not_replayed_under_another_label(mailbox, place, other):
    place.write_bytes(signed(b"other", other))
    with pytest.raises(SkippedMessageError, match="is not signed by"):
        get(mailbox)


def test_what_a_stranger_has_signed_is_skipped_and_the_message_taken_afterwards(mailbox, place):
    place.write_bytes(signed(b"message", account=STRANGER))
    with pytest.raises(SkippedMessageError, match=f"is not signed by {SENDER.address} for it"):
        get(mailbox)
    assert mailbox.put(LABEL, b"message", SENDER)
    assert get(mailbox) == b"message"


def test_what_is_no_message_of_one_account_may_be_anothers(mailbox):
    """Whoever copies a request's digest into a session of its own has the same name looked at for itself, and first."""
    mailbox.put(LABEL, b"message", SENDER)
    for _ in range(2):
        with pytest.raises(SkippedMessageError):
            mailbox.get(LABEL, STRANGER.address, 100)
        assert get(mailbox) == b"message"


@pytest.mark.parametrize("size", [1, TRAILER_BYTES - 1, TRAILER_BYTES, TRAILER_BYTES + 1, 200])
def test_bytes_that_nobody_signed_are_skipped(mailbox, place, size):
    place.write_bytes(b"x" * size)
    with pytest.raises(SkippedMessageError, match="cut off, or signed by nobody"):
        get(mailbox)


@pytest.mark.parametrize("position", range(-65, 0))
def test_a_signature_with_a_flipped_bit_is_skipped(mailbox, place, position):
    message = bytearray(signed(b"message"))
    message[position] ^= 0x40 if position != -1 else 27 ^ 28  # the last byte says which of two keys it is
    place.write_bytes(message)
    with pytest.raises(SkippedMessageError):
        get(mailbox)


def test_the_senders_trailer_after_other_bytes_is_skipped(mailbox, place):
    place.write_bytes(b"another" + signed(b"message")[-TRAILER_BYTES:])
    with pytest.raises(SkippedMessageError, match="not those that its sender has signed"):
        get(mailbox)


def test_a_truncated_message_is_skipped_and_put_again(mailbox):
    mailbox.put(LABEL, b"ciphertext", SENDER)
    os.truncate(mailbox.root / LABEL.name, 50)
    with pytest.raises(SkippedMessageError, match="cut off"):
        get(mailbox)
    assert mailbox.needs_delivery(LABEL)
    assert mailbox.put(LABEL, b"ciphertext", SENDER)
    assert get(mailbox) == b"ciphertext"


def test_delivering_again_what_lies_there_writes_nothing(mailbox):
    assert mailbox.put(LABEL, b"message", SENDER)
    assert not mailbox.needs_delivery(LABEL)
    afresh = FolderMailbox(mailbox.root)  # as after a crash
    assert afresh.needs_delivery(LABEL)
    assert not afresh.put(LABEL, b"message", SENDER)
    assert not afresh.needs_delivery(LABEL)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"x" * path.stat().st_size),
        lambda path: path.rename(path.with_name("elsewhere")),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    ],
    ids=["removed", "emptied", "overwritten", "renamed", "folder", "link"],
)
def test_a_sender_notices_what_happened_to_its_message_and_mends_it(mailbox, change):
    mailbox.put(LABEL, b"message", SENDER)
    change(mailbox.root / LABEL.name)
    assert mailbox.needs_delivery(LABEL)
    assert mailbox.put(LABEL, b"message", SENDER)
    assert get(mailbox) == b"message"


def test_a_later_version_takes_the_place_of_an_earlier_one(mailbox):
    mailbox.put(LABEL, b"sealed once", SENDER)
    assert mailbox.put(LABEL, b"sealed again", SENDER)
    assert get(mailbox) == b"sealed again"


def test_a_reserved_name_has_not_arrived_and_is_filled(mailbox):
    mailbox.reserve(LABEL)
    with pytest.raises(NotDeliveredError) as caught:
        get(mailbox)
    assert not isinstance(caught.value, SkippedMessageError)
    assert mailbox.put(LABEL, b"message", SENDER)
    mailbox.reserve(LABEL)
    assert get(mailbox) == b"message"


def squat_file(path):
    path.write_bytes(b"x" * 100)


def squat_folder(path):
    path.mkdir()
    (path / "something").write_bytes(b"")


def squat_link(path):
    path.symlink_to("/etc/hostname")


def squat_dangling_link(path):
    path.symlink_to(path.parent / "planted")


@pytest.mark.parametrize("squat", [squat_file, squat_folder, squat_link, squat_dangling_link, os.mkfifo])
def test_a_squatted_name_is_skipped_and_taken_back(mailbox, place, squat):
    squat(place)
    with pytest.raises(SkippedMessageError):
        get(mailbox)
    mailbox.reserve(LABEL)
    assert mailbox.put(LABEL, b"message", SENDER)
    assert get(mailbox) == b"message"
    assert not (mailbox.root / "planted").exists()


def test_a_link_to_a_message_is_not_followed(mailbox, place, tmp_path):
    (tmp_path / "elsewhere").write_bytes(signed(b"message"))
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SkippedMessageError, match="can't be opened"):
        get(mailbox)


def test_what_was_skipped_is_not_read_again_until_it_changes(mailbox, place, monkeypatch):
    place.write_bytes(signed(b"message", account=STRANGER))
    with pytest.raises(SkippedMessageError):
        get(mailbox)
    reader = transfer.read_trailer
    monkeypatch.setattr(transfer, "read_trailer", lambda *_: pytest.fail("it is read again"))
    with pytest.raises(SkippedMessageError, match="is not signed by"):
        get(mailbox)
    monkeypatch.setattr(transfer, "read_trailer", reader)
    place.write_bytes(signed(b"message"))
    assert get(mailbox) == b"message"


def test_what_was_skipped_is_looked_at_again_in_time(mailbox, place, monkeypatch):
    looks = []

    def read(_):
        looks.append(1)
        raise RequestError("not it")

    place.write_bytes(signed(b"message"))
    monkeypatch.setattr(skipping, "LOOK_AGAIN_SECONDS", 0.05)
    for _ in range(2):
        with pytest.raises(SkippedMessageError, match="not it"):
            mailbox.take(LABEL, SENDER.address, 100, read)
        time.sleep(0.06)
    assert len(looks) == 2


def test_slow_looks_are_paused_and_quick_ones_are_not(mailbox, place, monkeypatch):
    """Whoever changes a large file all the time costs a tenth of the time, for one message."""
    clock = [0.0]
    for module in (pacing, skipping):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def looks(seconds):
        """Whether bytes that are new are looked at, when that takes so many seconds."""
        begin = clock[0]

        def read(_):
            clock[0] += seconds
            raise RequestError("not it")

        place.write_bytes(signed(os.urandom(8)))
        with pytest.raises(SkippedMessageError):
            mailbox.take(LABEL, SENDER.address, 100, read)
        return clock[0] > begin

    assert looks(pacing.QUICK_SECONDS)
    assert looks(2.0)
    clock[0] += 2.0 * pacing.PAUSE_RATIO - 0.01
    assert not looks(2.0)
    clock[0] += 0.02
    assert looks(2.0)


def test_a_message_that_is_replaced_all_the_time_is_not_put_all_the_time(mailbox, monkeypatch):
    monkeypatch.setattr(pacing, "QUICK_SECONDS", 0.0)
    mailbox.put(LABEL, b"message", SENDER)
    (mailbox.root / LABEL.name).unlink()
    assert not mailbox.needs_delivery(LABEL)
    monkeypatch.setattr(mailbox, "_pacing", pacing.Pacing())
    assert mailbox.needs_delivery(LABEL)


def test_a_flooded_folder_is_never_listed(mailbox, place, monkeypatch):
    for number in range(2_000):
        (mailbox.root / f"{LABEL.name}.{number}").touch()
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("the folder is listed"))
    mailbox.reserve(LABEL)
    with pytest.raises(NotDeliveredError):
        get(mailbox)
    mailbox.put(LABEL, b"message", SENDER)
    assert get(mailbox) == b"message"
    assert not mailbox.needs_delivery(LABEL)


def test_an_oversized_file_is_skipped_before_any_of_it_is_read(mailbox, place, monkeypatch):
    with place.open("wb") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(transfer, "read_trailer", lambda *_: pytest.fail("it is read"))
    with pytest.raises(SkippedMessageError, match="more than the 10 allowed"):
        get(mailbox, 10)


def test_an_oversized_file_is_not_read_by_its_sender_either(mailbox, place):
    """Somebody put the sender's trailer at the end of a terabyte."""
    with place.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 40)
        file.write(signed(b"message")[-TRAILER_BYTES:])
    begin = time.monotonic()
    assert mailbox.put(LABEL, b"message", SENDER)
    assert time.monotonic() - begin < 60  # in which no machine reads a terabyte


def test_the_limit_is_inclusive(mailbox):
    mailbox.put(LABEL, b"12345", SENDER)
    assert get(mailbox, 5) == b"12345"
    with pytest.raises(SkippedMessageError, match="has 5 bytes, more than the 4 allowed"):
        get(mailbox, 4)


def test_a_lost_message_is_recognised_by_its_senders_signature(mailbox):
    mailbox.put(LABEL, b"message", SENDER)
    afresh = FolderMailbox(mailbox.root)
    assert afresh.holds(LABEL, SENDER.address, 7) == keccak256(b"message")
    assert afresh.holds(LABEL, SENDER.address, 6) is None
    assert afresh.holds(LABEL, STRANGER.address, 7) is None


def test_a_full_disk_is_the_environments_fault_and_leaves_nothing(mailbox, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    mailbox.reserve(LABEL)
    monkeypatch.setattr(os, "fsync", full)
    for _ in range(3):
        with pytest.raises(MailboxFaultError, match=r"No space left on device.*make room") as caught:
            mailbox.put(LABEL, b"message", SENDER)
        assert isinstance(caught.value, EnvironmentFaultError)
    monkeypatch.undo()
    assert [path.name for path in mailbox.root.iterdir()] == [LABEL.name]
    assert mailbox.put(LABEL, b"message", SENDER)
    assert get(mailbox) == b"message"


def test_a_disk_that_fails_is_not_the_counterpartys_fault(mailbox, monkeypatch):
    mailbox.put(LABEL, b"message", SENDER)

    def broken(*_arguments, **_options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(MailboxFaultError, match="Input/output error"):
        get(mailbox)
    monkeypatch.undo()
    assert get(mailbox) == b"message"


def test_a_fault_while_a_message_is_read_is_not_remembered(mailbox):
    def fail(_):
        raise EnvironmentFaultError("no room for a copy")

    mailbox.put(LABEL, b"message", SENDER)
    with pytest.raises(EnvironmentFaultError, match="no room"):
        mailbox.take(LABEL, SENDER.address, 10, fail)
    assert get(mailbox) == b"message"


def test_a_half_written_message_is_not_seen(mailbox, monkeypatch):
    """A crash before the last step leaves no message, and the next delivery succeeds."""

    def crash(*_arguments, **_options):
        raise OSError(errno.EIO, "crashed")

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(MailboxFaultError, match="crashed"):
        mailbox.put(LABEL, b"data", SENDER)
    monkeypatch.undo()
    with pytest.raises(NotDeliveredError):
        get(mailbox)
    mailbox.put(LABEL, b"data", SENDER)
    assert get(mailbox) == b"data"


def test_what_killed_deliveries_leave_does_not_add_up(mailbox, place):
    for _ in range(3):
        if not (child := os.fork()):
            os.rename = lambda *_arguments, **_options: os._exit(9)
            mailbox.put(LABEL, b"message", SENDER)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert [path.name for path in mailbox.root.iterdir()] == [f".{LABEL.name}.part"]
    assert mailbox.put(LABEL, b"message", SENDER)
    assert list(mailbox.root.iterdir()) == [place]


def test_a_squatted_temporary_name_stops_nothing(mailbox, place):
    temporary = mailbox.root / f".{LABEL.name}.part"
    temporary.mkdir()
    assert mailbox.put(LABEL, b"message", SENDER)
    assert get(mailbox) == b"message"


def test_a_temporary_name_that_another_user_holds_stops_nothing(mailbox, place, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "unlink", refuse)
    assert mailbox.put(LABEL, b"message", SENDER)
    assert not mailbox.needs_delivery(LABEL)
    assert get(mailbox) == b"message"


def test_others_can_read_messages_whatever_the_umask(mailbox):
    before = os.umask(0o077)
    try:
        mailbox.put(LABEL, b"message", SENDER)
    finally:
        os.umask(before)
    assert (mailbox.root / LABEL.name).stat().st_mode & 0o777 == 0o644


def test_endpoint_is_a_url_that_leads_back(tmp_path):
    mailbox = FolderMailbox(tmp_path / "a folder#1")
    mailbox.put(LABEL, b"data", SENDER)
    assert mailbox.endpoint.startswith("file:///")
    assert get(FolderMailbox.at(mailbox.endpoint)) == b"data"


@pytest.mark.parametrize(
    "endpoint",
    ["", "/tmp/box", "https://example.org/box", "file://host/box", "file:relative", "file:///a%00b", "file://"],
)
def test_other_endpoints_are_refused(endpoint):
    with pytest.raises(TransferError, match="is no mailbox"):
        FolderMailbox.at(endpoint)


@pytest.mark.parametrize("change", [{"anchor": bytes(31)}, {"market": "0x" + "ab" * 19}, {"market": "../" * 14}])
def test_labels_that_are_no_file_names_are_refused(change):
    with pytest.raises(ValueError):  # noqa: PT011 - of different makers
        replace(LABEL, **change)


def test_the_longest_name_is_a_file_name():
    longest = Label(Kind.AUDIT_INPUTS, 2**63, "0x" + "ab" * 20, 2**63, bytes(32))
    assert len(f".{longest.name}.{'0' * 16}") <= 255
