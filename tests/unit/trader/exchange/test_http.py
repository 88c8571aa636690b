"""The buyer's mailbox over HTTP: against a real service, over a network that breaks off, and against liars."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import httpx
import pytest

from tests.simulators.cutting import CuttingProxy
from tests.simulators.ports import free_port
from tests.simulators.service import (
    AUDIT_INPUTS,
    BUYER,
    OTHER_BUYER,
    PACKAGE,
    REQUEST,
    RESPONSE,
    SELLER,
    STRANGER,
    Seller,
    serving,
)
from trader.errors import EnvironmentFaultError, RequestError
from trader.exchange import (
    FolderMailbox,
    MailboxFaultError,
    NotDeliveredError,
    SkippedMessageError,
    TransferError,
    open_mailbox,
    pacing,
    service_client,
)
from trader.exchange import http as module
from trader.exchange.http import HttpMailbox
from trader.exchange.signing import TRAILER_BYTES, sign_trailer
from zk.binding.merkle import keccak256

MESSAGE = bytes(range(256)) * 8000  # two pieces and a bit


def answered(status: int, headers=None, data=b"") -> httpx.Response:
    """An answer as it comes over a network: not read yet."""
    stream = httpx.ByteStream(data) if isinstance(data, bytes) else Dripping(data)
    return httpx.Response(status, headers=headers, stream=stream)


class Dripping(httpx.SyncByteStream):
    def __init__(self, pieces) -> None:
        self.pieces = pieces

    def __iter__(self):
        yield from self.pieces


class Table:
    """A service, a network before it, and a buyer's mailbox."""

    def __init__(self, folder) -> None:
        self.public, self.private = free_port(), free_port()
        self.seller = Seller(folder, f"http://127.0.0.1:{self.public}")
        self.network = CuttingProxy(self.public, self.private)

    def mailbox(self, account=BUYER) -> HttpMailbox:
        mailbox = open_mailbox(self.seller.settings.endpoint, account)
        assert isinstance(mailbox, HttpMailbox)
        return mailbox


@pytest.fixture
def table(tmp_path):
    table = Table(tmp_path)
    with serving(table.seller.app, table.private), table.network.running():
        yield table
    table.seller.close()


def test_messages_travel_both_ways(table):
    buyer, seller = table.mailbox(), table.seller.mailbox
    buyer.reserve(REQUEST)
    assert buyer.needs_delivery(REQUEST)
    assert buyer.put(REQUEST, MESSAGE, BUYER)
    assert not buyer.needs_delivery(REQUEST)
    assert seller.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE
    assert seller.put(RESPONSE, b"response", SELLER)
    assert buyer.get(RESPONSE, SELLER.address, 100) == b"response"
    assert buyer.endpoint == table.seller.settings.endpoint


def test_anybody_takes_a_package(table):
    table.seller.mailbox.put(PACKAGE, MESSAGE, SELLER)
    assert table.mailbox(None).get(PACKAGE, SELLER.address, len(MESSAGE)) == MESSAGE


def test_what_lies_there_is_not_sent_again(table):
    assert table.mailbox().put(REQUEST, MESSAGE, BUYER)
    afresh = table.mailbox()  # as after a crash
    assert afresh.needs_delivery(REQUEST)
    assert not afresh.put(REQUEST, MESSAGE, BUYER)
    assert not afresh.needs_delivery(REQUEST)
    assert afresh.holds(REQUEST, BUYER.address, len(MESSAGE)) == keccak256(MESSAGE)
    assert afresh.holds(REQUEST, BUYER.address, len(MESSAGE) - 1) is None
    assert afresh.holds(REQUEST, OTHER_BUYER.address, len(MESSAGE)) is None
    assert afresh.holds(AUDIT_INPUTS, BUYER.address, 100) is None


def test_another_message_of_the_name_is_sent(table):
    buyer = table.mailbox()
    buyer.put(REQUEST, MESSAGE, BUYER)
    assert buyer.put(REQUEST, b"another", BUYER)
    assert table.seller.mailbox.get(REQUEST, BUYER.address, 100) == b"another"


def test_what_the_service_has_lost_is_delivered_again(table, monkeypatch):
    monkeypatch.setattr(pacing, "QUICK_SECONDS", 3600.0)  # however loaded this machine is
    buyer = table.mailbox()
    buyer.put(REQUEST, MESSAGE, BUYER)
    table.seller.mailbox.forget(REQUEST, BUYER.address)
    assert not buyer.needs_delivery(REQUEST)  # asked just now
    monkeypatch.setattr(module, "LOOK_AGAIN_SECONDS", -1.0)
    assert buyer.needs_delivery(REQUEST)
    assert buyer.put(REQUEST, MESSAGE, BUYER)
    assert not buyer.needs_delivery(REQUEST)


@pytest.mark.parametrize(
    "cut", [[3000], [400_000], [1_500_000], [2_048_000], [100_000, 300_000, 600_000, 900_000, 1_200_000]]
)
def test_an_upload_that_breaks_off_is_gone_on_with(table, cut):
    buyer = table.mailbox()
    assert buyer.holds(REQUEST, BUYER.address, 1) is None
    buyer.close()
    buyer = table.mailbox()
    table.network.cut_upstream = list(cut)
    for _ in range(10):
        try:
            buyer.put(REQUEST, MESSAGE, BUYER)
            break
        except MailboxFaultError:
            time.sleep(1.1)  # as a party's loop does: the service may still think that the old connection writes
    assert table.network.cuts >= 1
    assert table.seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE
    assert table.seller.uploads == []


@pytest.mark.parametrize("cut", [[600], [50_000], [2_000_000], [100_000, 300_000, 600_000, 900_000]])
def test_a_download_that_breaks_off_is_gone_on_with(table, cut):
    table.seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    buyer = table.mailbox()
    table.network.cut_downstream = list(cut)
    for _ in range(3):
        try:
            assert buyer.get(RESPONSE, SELLER.address, len(MESSAGE)) == MESSAGE
            break
        except MailboxFaultError:
            assert cut == [600], "only what breaks off before a byte came"
    assert table.network.cuts >= 1


CUT_AT = 1_000_000


@pytest.mark.parametrize("torn", ["", "flipped", "longer", "another's"])
def test_a_download_is_gone_on_with_by_the_next_process(tmp_path, torn):
    """What the last one has left may be torn: a crash of the machine keeps a file's size, not its bytes."""
    message, tag = MESSAGE + sign_trailer(RESPONSE, keccak256(MESSAGE), SELLER), ['"x"']
    ranges, end = [], [CUT_AT]

    def answer(request):
        if request.method == "HEAD":
            return answered(200, headers={"ETag": tag[0], "Content-Length": str(len(message))})
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        first, last = int(first), int(last)
        headers = {"ETag": tag[0], "Content-Range": f"bytes {first}-{last}/{len(message)}"}
        ranges.append(first)
        if first >= end[0] and last < len(MESSAGE):
            raise httpx.ConnectError("gone")
        return answered(
            206, headers=headers, data=message[first : min(last + 1, end[0] if first < end[0] else last + 1)]
        )

    def mailbox():
        return HttpMailbox("https://seller.example", BUYER, folder=tmp_path, transport=httpx.MockTransport(answer))

    with pytest.raises(MailboxFaultError):
        mailbox().get(RESPONSE, SELLER.address, len(MESSAGE))
    (part,) = tmp_path.glob("*.part")
    assert part.read_bytes() == MESSAGE[:CUT_AT]
    assert part.stat().st_mode & 0o777 == 0o600
    if torn == "flipped":
        part.write_bytes(bytes(CUT_AT))
    if torn == "longer":
        part.write_bytes(bytes(2 * len(MESSAGE)))
    if torn == "another's":
        tag[0] = '"y"'

    ranges.clear()
    end[0] = len(message)
    assert mailbox().get(RESPONSE, SELLER.address, len(MESSAGE)) == MESSAGE
    trailer = len(MESSAGE)
    gone_on = {"": [CUT_AT], "flipped": [CUT_AT, 0], "longer": [0], "another's": [0]}
    assert ranges == [trailer, *gone_on[torn]]
    assert not list(tmp_path.iterdir())


def test_an_answer_that_is_lost_is_no_second_message(table):
    """The upload is whole, and the connection breaks before the service could say so."""
    buyer = table.mailbox()
    table.network.cut_downstream = [900]  # of the first connection: holds, announce, and half an answer
    for _ in range(5):
        try:
            buyer.put(REQUEST, MESSAGE, BUYER)
            break
        except MailboxFaultError:
            time.sleep(1.1)
    assert table.seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE
    assert len(list(table.seller.mailbox.store.blobs())) == 1


def test_a_service_that_is_away_is_a_fault_of_the_environment(tmp_path):
    away = HttpMailbox(f"http://127.0.0.1:{free_port()}", BUYER)
    for use in (
        lambda: away.put(REQUEST, MESSAGE, BUYER),
        lambda: away.get(RESPONSE, SELLER.address, 100),
        lambda: away.holds(REQUEST, BUYER.address, 100),
    ):
        with pytest.raises(MailboxFaultError, match=r"does not answer: .*\. Trying again\."):
            use()


def test_a_delivered_message_counts_as_there_while_the_service_is_away(tmp_path, monkeypatch):
    table = Table(tmp_path)
    buyer = table.mailbox()
    with serving(table.seller.app, table.private), table.network.running():
        buyer.put(REQUEST, b"message", BUYER)
    monkeypatch.setattr(module, "LOOK_AGAIN_SECONDS", -1.0)
    assert not buyer.needs_delivery(REQUEST)


# ------------------------------------------------------------------------------------------------------- refusals


def test_what_has_not_arrived(table):
    with pytest.raises(NotDeliveredError, match="the response of trade 1 has not arrived"):
        table.mailbox().get(RESPONSE, SELLER.address, 100)


def test_a_session_that_no_confirmed_block_has_is_waited_for(table):
    with pytest.raises(MailboxFaultError, match=r"403.*If you have just opened one, wait"):
        table.mailbox(STRANGER).put(REQUEST, MESSAGE, STRANGER)


def test_another_trades_messages_are_refused_with_a_next_step(table):
    table.seller.mailbox.put(RESPONSE, b"response", SELLER)
    with pytest.raises(TransferError, match=r"403.*Use the account that opened the session") as caught:
        table.mailbox(OTHER_BUYER).get(RESPONSE, SELLER.address, 100)
    assert not isinstance(caught.value, EnvironmentFaultError | NotDeliveredError)


def test_a_message_too_long_is_refused_with_a_next_step(table):
    with pytest.raises(TransferError, match=r"413.*It may have 1000 bytes") as caught:
        table.mailbox().put(AUDIT_INPUTS, bytes(1001), BUYER)
    assert not isinstance(caught.value, EnvironmentFaultError)


def test_a_trade_that_is_over(table):
    table.seller.mailbox.forget_trade(1)
    with pytest.raises(TransferError, match=r"410.*The trade is over") as caught:
        table.mailbox().put(REQUEST, MESSAGE, BUYER)
    assert not isinstance(caught.value, EnvironmentFaultError)


def test_without_an_account_only_packages_are_asked_for(table):
    with pytest.raises(TransferError, match="open the mailbox with your account"):
        table.mailbox(None).get(RESPONSE, SELLER.address, 100)


def test_while_the_service_asks_for_patience_it_is_left_alone():
    asked = []

    def busy(request):
        asked.append(request)
        return answered(
            429,
            headers={"Retry-After": "30"},
            data=json.dumps({"title": "too many requests", "detail": "Wait."}).encode(),
        )

    buyer = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(busy))
    with pytest.raises(MailboxFaultError, match=r"429\): too many requests\. Wait\."):
        buyer.get(RESPONSE, SELLER.address, 100)
    with pytest.raises(MailboxFaultError, match="has asked to wait"):
        buyer.get(RESPONSE, SELLER.address, 100)
    assert len(asked) == 1


# ---------------------------------------------------------------------------------------------------- a lying service


def handler_of(data, **changed):
    """What a service answers that has these bytes for every message."""

    def answer(request):
        size = changed.get("size", len(data))
        headers = {"ETag": changed.get("tag", '"x"')}
        wanted = request.headers.get("range")
        if wanted is None:
            return answered(
                200, headers=headers | {"Content-Length": str(size)}, data=b"" if request.method == "HEAD" else data
            )
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1] if first else data[-int(last) :]
        headers |= {"Content-Range": f"bytes {first or 0}-{last}/{size}"}
        return answered(206, headers=headers, data=part)

    return answer


def answering(data, **changed):
    """The mailbox of such a service."""
    transport = httpx.MockTransport(handler_of(data, **changed))
    return HttpMailbox("https://seller.example", BUYER, transport=transport)


def signed(message, label=RESPONSE, account=SELLER):
    return message + sign_trailer(label, keccak256(message), account)


def test_an_honest_one_is_believed():
    assert answering(signed(b"message")).get(RESPONSE, SELLER.address, 100) == b"message"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 50,
        b"x" * 500,
        signed(b"message", account=STRANGER),
        signed(b"message", label=REQUEST),
        b"another" + signed(b"message")[-TRAILER_BYTES:],
        signed(b"message")[:-1],
    ],
    ids=["empty", "short", "junk", "stranger", "label", "bytes", "cut"],
)
def test_what_the_seller_has_not_signed_is_skipped(data):
    liar = answering(data)
    for _ in range(2):
        with pytest.raises(SkippedMessageError):
            liar.get(RESPONSE, SELLER.address, 1000)
    assert liar.holds(RESPONSE, SELLER.address, 1000) in (None, keccak256(b"message"))


def change_length(response, size):
    response.headers["Content-Length"] = str(size)


def change_range(response, size):
    if "Content-Range" in response.headers:
        response.headers["Content-Range"] = response.headers["Content-Range"].rpartition("/")[0] + f"/{size}"
    else:
        change_length(response, size)


MANGLINGS = {
    "length of nothing": lambda response: change_length(response, 0),
    "length of a part": lambda response: change_length(response, TRAILER_BYTES + 3),
    "range of nothing": lambda response: change_range(response, 0),
    "range of a part": lambda response: change_range(response, TRAILER_BYTES + 3),
    "another tag": lambda response: response.headers.update({"ETag": '"y"'}),
    "no tag": lambda response: response.headers.pop("ETag"),
    "no length": lambda response: [response.headers.pop(one, None) for one in ("Content-Length", "Content-Range")],
    "no body": lambda response: setattr(response, "stream", httpx.ByteStream(b"")),
    "a shorter body": lambda response: setattr(response, "stream", httpx.ByteStream(b"".join(response.stream)[:-1])),
}
"""What a proxy that cuts answers off makes of one; none of it is the seller's."""


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("mangle", MANGLINGS.values(), ids=MANGLINGS)
def test_what_a_proxy_made_of_one_answer_condemns_no_message(mangle, number):
    seen = []
    honest = handler_of(signed(b"message"))

    def answer(request):
        response = honest(request)
        seen.append(request)
        if len(seen) == number + 1:
            mangle(response)
        return response

    buyer = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(answer))
    for _ in range(2):
        with contextlib.suppress(MailboxFaultError):
            assert buyer.get(RESPONSE, SELLER.address, 100) == b"message"
    assert len(seen) > number
    assert buyer.get(RESPONSE, SELLER.address, 100) == b"message"


def test_what_is_too_long_is_not_downloaded():
    liar = answering(b"", size=10**12)
    with pytest.raises(SkippedMessageError, match="more than the 100 allowed"):
        liar.get(RESPONSE, SELLER.address, 100)


def test_more_bytes_than_announced_are_not_taken():
    data = signed(b"message")

    def endless(request):
        if request.method == "HEAD":
            return answered(200, headers={"ETag": '"x"', "Content-Length": str(len(data))})
        headers = {"ETag": '"x"', "Content-Range": f"bytes 0-1/{len(data)}"}
        return answered(206, headers=headers, data=(b"x" * 10_000 for _ in range(10**9)))

    liar = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(endless))
    with pytest.raises(SkippedMessageError, match="more bytes than announced"):
        liar.get(RESPONSE, SELLER.address, 100)
    assert liar.holds(RESPONSE, SELLER.address, 100) is None


def test_bytes_that_drip_are_given_up(monkeypatch):
    monkeypatch.setattr(service_client, "SLOW_START_SECONDS", 0.2)
    data = signed(bytes(10_000))

    def dripping(request):
        if request.method == "HEAD":
            return answered(200, headers={"ETag": '"x"', "Content-Length": str(len(data))})
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1]
        headers = {"ETag": '"x"', "Content-Range": f"bytes {first}-{last}/{len(data)}"}

        def drip():
            for byte in part:
                time.sleep(0.001 if len(part) == TRAILER_BYTES else 0.02)
                yield bytes([byte])

        return answered(206, headers=headers, data=drip())

    slow = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(dripping))
    begin = time.monotonic()
    with pytest.raises(MailboxFaultError, match="is slow"):
        slow.get(RESPONSE, SELLER.address, len(data))
    assert time.monotonic() - begin < 60  # of the 200 seconds that it drips


def test_what_was_refused_is_not_downloaded_again_until_it_changes():
    downloads = []
    data = [signed(b"message")]
    tag = ['"x"']

    def answer(request):
        headers = {"ETag": tag[0], "Content-Length": str(len(data[0]))}
        if request.method == "HEAD":
            return answered(200, headers=headers)
        downloads.append(request)
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        headers = {"ETag": tag[0], "Content-Range": f"bytes {first}-{last}/{len(data[0])}"}
        return answered(206, headers=headers, data=data[0][int(first) : int(last) + 1])

    def read(message):
        if message.read() == b"message":
            raise RequestError("not this one")
        return "that one"

    buyer = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(answer))
    for _ in range(3):
        with pytest.raises(SkippedMessageError, match="not this one"):
            buyer.take(RESPONSE, SELLER.address, 100, read)
    assert len(downloads) == 2  # trailer and message, once
    data[0], tag[0] = signed(b"another"), '"y"'
    assert buyer.take(RESPONSE, SELLER.address, 100, read) == "that one"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status):
    asked = []

    def moved(request):
        asked.append(request.url.host)
        return answered(status, headers={"Location": "https://thief.example/"})

    buyer = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(moved))
    with pytest.raises(TransferError, match="has moved"):
        buyer.get(RESPONSE, SELLER.address, 100)
    assert asked == ["seller.example"]


def test_uploads_go_to_the_endpoint_alone():
    def elsewhere(request):
        if request.method == "POST":
            return answered(201, headers={"Location": "https://thief.example/v1/uploads/x", "Upload-Offset": "0"})
        return answered(404)

    buyer = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(elsewhere))
    with pytest.raises(TransferError, match="is it the endpoint"):
        buyer.put(REQUEST, MESSAGE, BUYER)


def test_what_a_service_says_is_shortened_and_has_no_control_characters():
    def rude(_request):
        return answered(400, data=json.dumps({"title": "\x1b[31mred", "detail": "x" * 10_000 + "\n"}).encode())

    buyer = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(rude))
    with pytest.raises(TransferError) as caught:
        buyer.get(RESPONSE, SELLER.address, 100)
    assert len(str(caught.value)) < 500
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not json", b"[1]", b'"text"', b"{" * 5000, b"\xff\xfe"])
def test_refusals_in_any_form_are_understood(content):
    def refuse(_request):
        return answered(500, data=content)

    buyer = HttpMailbox("https://seller.example", BUYER, transport=httpx.MockTransport(refuse))
    with pytest.raises(MailboxFaultError, match="500"):
        buyer.get(RESPONSE, SELLER.address, 100)


# ------------------------------------------------------------------------------------------------------- endpoints


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("http://seller.example", "not encrypted"),
        ("http://127.0.0.1.seller.example", "not encrypted"),
        ("https://user:secret@seller.example", "holds credentials"),
        ("https://", "no service's"),
        ("https://seller.example:99999", "no service's"),
        ("https://seller.example:x", "no service's"),
        ("https://seller.example/?a=b", "no service's"),
        ("https://seller.example/#a", "no service's"),
        ("ftp://seller.example", "no mailbox"),
        ("", "no mailbox"),
    ],
)
def test_endpoints_that_are_refused(endpoint, message):
    with pytest.raises(TransferError, match=message) as caught:
        open_mailbox(endpoint, BUYER)
    assert "secret" not in str(caught.value)


def test_endpoints(tmp_path):
    assert isinstance(open_mailbox(tmp_path.as_uri()), FolderMailbox)
    for endpoint in ("https://seller.example", "http://localhost:8000", "http://[::1]:8000/", "https://a.example/b/"):
        mailbox = open_mailbox(endpoint, BUYER)
        assert isinstance(mailbox, HttpMailbox)
        assert mailbox.endpoint == endpoint.rstrip("/")
    assert isinstance(open_mailbox("http://seller.example", plain_http=True), HttpMailbox)


def test_several_buyers_at_once_do_not_meet(table):
    def trade(account, named, answers):
        mailbox = table.mailbox(account)
        mailbox.put(named, account.key * 5000, account)
        answers.append(account.address)

    from tests.simulators.service import OTHER_DIGEST, label
    from trader.exchange import Kind

    others = label(Kind.REQUEST, anchor=OTHER_DIGEST)
    answers: list[str] = []
    threads = [
        threading.Thread(target=trade, args=(account, named, answers))
        for account, named in ((BUYER, REQUEST), (OTHER_BUYER, others))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    assert table.seller.mailbox.get(REQUEST, BUYER.address, 10**6) == BUYER.key * 5000
    assert table.seller.mailbox.get(others, OTHER_BUYER.address, 10**6) == OTHER_BUYER.key * 5000


def test_an_answer_whose_head_drips_is_left_behind(monkeypatch):
    """httpx itself would wait as long as a byte comes every half minute."""
    monkeypatch.setattr(service_client, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(service_client, "MOST_LEFT_BEHIND", 3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def drip():
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])
                    threading.Thread(target=drip_into, args=(held[-1],), daemon=True).start()

        def drip_into(connection):
            with contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        slow = HttpMailbox(f"http://127.0.0.1:{listener.getsockname()[1]}", BUYER)
        for _ in range(3):
            begin = time.monotonic()
            with pytest.raises(MailboxFaultError, match="has begun no answer"):
                slow.get(RESPONSE, SELLER.address, 100)
            assert time.monotonic() - begin < 60  # of the 500 seconds that it drips
        with pytest.raises(MailboxFaultError, match="has not answered 3 requests"):
            slow.get(RESPONSE, SELLER.address, 100)
        for connection in held:
            connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 5
        while sum(thread.is_alive() for thread in slow._client._left_behind) == 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(MailboxFaultError, match="has begun no answer"):
            slow.get(RESPONSE, SELLER.address, 100)
        for connection in held:
            connection.close()


def test_a_service_that_forgets_all_the_time_is_not_sent_everything_all_the_time(table, monkeypatch):
    monkeypatch.setattr(module, "LOOK_AGAIN_SECONDS", -1.0)
    monkeypatch.setattr(pacing, "QUICK_SECONDS", 0.0)
    buyer = table.mailbox()
    buyer.put(REQUEST, MESSAGE, BUYER)
    table.seller.mailbox.forget(REQUEST, BUYER.address)
    assert not buyer.needs_delivery(REQUEST)
    monkeypatch.setattr(buyer, "_pacing", pacing.Pacing())
    assert buyer.needs_delivery(REQUEST)
