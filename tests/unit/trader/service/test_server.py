"""The service behind real sockets: clients that are slow, cut off, too loud, or no HTTP clients at all."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests.simulators.service import (
    BUYER,
    ENDPOINT,
    LIMITS,
    PACKAGE,
    REQUEST,
    SELLER,
    STREAM,
    TUS,
    Caller,
    Seller,
    serving,
    signed_headers,
)
from trader.service import server as module

MESSAGE = bytes(range(256)) * 4000


@pytest.fixture
def seller(tmp_path):
    seller = Seller(tmp_path, stall_seconds=0.5, slowest_bytes_per_second=100_000)
    yield seller
    seller.close()


@pytest.fixture
def port(seller, monkeypatch):
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.5)
    with serving(seller.app) as port:
        yield port


@pytest.fixture
def buyer(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield Caller(client)


def connect(port) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def read_all(connection) -> bytes:
    data = b""
    try:
        while piece := connection.recv(1 << 16):
            data += piece
    except ConnectionError:
        pass
    return data


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def patch(location: str, offset: int, length: int) -> bytes:
    """The head of an append, signed for `length` bytes."""
    path = location.removeprefix(ENDPOINT)
    headers = TUS | STREAM | {"Upload-Offset": str(offset), "Content-Length": str(length)}
    signed = signed_headers(BUYER, "PATCH", path, headers, bytes(length))
    return head("PATCH", path, signed)


def offset_of(buyer, message=MESSAGE) -> int:
    return int(buyer.announce(message).headers["upload-offset"])


def wait_for_offset(buyer, expected) -> None:
    deadline = time.monotonic() + 10
    while offset_of(buyer) != expected:
        assert time.monotonic() < deadline, offset_of(buyer)
        time.sleep(0.02)


def test_a_whole_message_over_a_socket(seller, buyer):
    assert buyer.upload(MESSAGE).status_code == 204
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE
    response = buyer.read(REQUEST)
    assert response.content.startswith(MESSAGE)
    assert "server" not in response.headers


def test_a_truncated_upload_keeps_what_came_and_goes_on(seller, port, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    with connect(port) as connection:
        connection.sendall(patch(location, 0, len(MESSAGE)) + MESSAGE[:300_000])
    wait_for_offset(buyer, 300_000)
    assert buyer.append(location, 300_000, MESSAGE[300_000:]).status_code == 204
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE


def test_an_upload_that_stalls_is_cut_off_and_keeps_what_came(port, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    with connect(port) as connection:
        connection.sendall(patch(location, 0, len(MESSAGE)) + MESSAGE[:1000])
        answer = read_all(connection)  # until the service closes
    assert status_of(answer) == 408
    assert b"connection: close" in answer
    assert offset_of(buyer) == 1000


def test_an_upload_that_drips_is_cut_off(port, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    with connect(port) as connection:
        connection.sendall(patch(location, 0, len(MESSAGE)))
        answer = b""
        connection.settimeout(0.05)
        for position in range(200):
            try:
                connection.sendall(MESSAGE[position : position + 1])
                answer += connection.recv(1 << 16)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if answer:
                break
    assert status_of(answer) == 408  # though bytes came all the time


def test_a_head_that_drips_is_cut_off(port):
    with connect(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        closed = False
        for _ in range(200):
            try:
                connection.sendall(b"X-A: b\r\n")
            except ConnectionError:
                closed = True
                break
            time.sleep(0.05)
    assert closed


def test_a_connection_that_says_nothing_is_closed(port):
    with connect(port) as connection:
        begin = time.monotonic()
        assert read_all(connection) == b""
    assert time.monotonic() - begin < 8  # uvicorn itself would wait for ten seconds, and only after an answer


def test_a_client_that_keeps_its_connection_is_served_again(port, monkeypatch):
    """For longer than a head may take, each of them being quick: it is waited for anew after every answer."""
    monkeypatch.setattr(module, "HEAD_SECONDS", 1.5)
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(head("GET", "/healthz", {}))
            time.sleep(0.6)
            assert status_of(connection.recv(1 << 16)) == 200
        connection.sendall(head("GET", "/healthz", {}) * 3)  # pipelined
        answers = b""
        while answers.count(b"200 OK") < 3:
            answers += connection.recv(1 << 16)


def test_a_flood_of_headers_is_refused(port):
    flood = {f"X-{number}": "a" * 100 for number in range(2000)}
    with connect(port) as connection:
        try:
            connection.sendall(head("GET", "/healthz", flood))
        except ConnectionError:
            return
        answer = read_all(connection)
    assert not answer or status_of(answer) == 400


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 5000,
        b"GET /v1/messages/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PATCH /v1/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PATCH /v1/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_of_ours_is_no_defect(port, buyer, junk):
    with connect(port) as connection:
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert not answer or 400 <= status_of(answer) < 500
    assert b"Traceback" not in answer
    assert buyer.client.get("/healthz").status_code == 200


def test_chunked_bodies_are_refused_before_they_come(port, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    path = location.removeprefix(ENDPOINT)
    headers = TUS | STREAM | {"Upload-Offset": "0"}
    signed = signed_headers(BUYER, "PATCH", path, headers)
    with connect(port) as connection:
        connection.sendall(head("PATCH", path, signed | {"Transfer-Encoding": "chunked"}) + b"5\r\nhello\r\n")
        answer = read_all(connection)
    assert status_of(answer) == 411
    assert offset_of(buyer) == 0


def test_bodies_where_there_are_none_are_not_read(port):
    with connect(port) as connection:
        connection.sendall(head("POST", "/v1/uploads", {"Content-Length": "1000000000"}) + b"x" * 1000)
        answer = read_all(connection)
    assert status_of(answer) == 413
    assert b"connection: close" in answer


def test_a_reader_that_takes_nothing_is_cut_off(seller, port):
    seller.mailbox.put(PACKAGE, bytes(20_000_000), SELLER)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(head("GET", f"/v1/messages/{PACKAGE.name}", {}))
        time.sleep(5)
        connection.settimeout(10)
        taken = len(read_all(connection))
    assert 0 < taken < 20_000_000


def test_many_slow_clients_leave_room_for_others(port, buyer, monkeypatch):
    """While none of them is cut off."""
    monkeypatch.setattr(module, "HEAD_SECONDS", 600)
    slow = [connect(port) for _ in range(100)]
    for connection in slow:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
    assert buyer.client.get("/healthz", timeout=60).status_code == 200
    for connection in slow:
        connection.close()


def test_no_other_machine_takes_all_connections(port, buyer, monkeypatch):
    monkeypatch.setattr(module, "MOST_CONNECTIONS_OF_ADDRESS", 5)
    monkeypatch.setattr(module, "ip_address", lambda _: SimpleNamespace(is_loopback=False))
    monkeypatch.setattr(module, "HEAD_SECONDS", 600)
    kept, alive = [connect(port) for _ in range(8)], 0
    for connection in kept:
        with suppress(ConnectionError):
            connection.sendall(head("GET", "/healthz", {}))
            alive += bool(connection.recv(100))
    for connection in kept:  # not before: one that is gone would leave its place to another
        connection.close()
    assert alive == 5


def test_an_end_lets_uploads_under_way_finish(tmp_path):
    seller = Seller(tmp_path)
    location = []
    with serving(seller.app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        buyer = Caller(client)
        location = buyer.announce(MESSAGE).headers["location"]
        connection = connect(port)
        connection.sendall(patch(location, 0, len(MESSAGE)) + MESSAGE[:500_000])
        answers = []

        def go_on():
            time.sleep(0.5)  # the server is ending by now
            connection.sendall(MESSAGE[500_000:])
            answers.append(read_all(connection))

        thread = threading.Thread(target=go_on)
        thread.start()
        time.sleep(0.2)
    thread.join()
    assert status_of(answers[0]) == 204
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_memory_does_not_grow_with_messages(tmp_path, monkeypatch):
    """A message of 64 MiB goes in while the process, which is the sender too, grows by a few."""
    monkeypatch.setitem(LIMITS, REQUEST.kind, 64 << 20)
    big = memoryview(bytes(64 << 20))
    seller = Seller(tmp_path)
    with serving(seller.app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        location = Caller(client).announce(big).headers["location"]
        before = most = resident_bytes()
        with connect(port) as connection:
            connection.settimeout(60)
            connection.sendall(patch_head(location, len(big)))
            for start in range(0, len(big), 1 << 18):
                connection.sendall(big[start : start + (1 << 18)])
                most = max(most, resident_bytes())
            assert status_of(connection.recv(1 << 16)) == 204
    assert max(most, resident_bytes()) - before < 12 << 20


def patch_head(location: str, length: int) -> bytes:
    path = location.removeprefix(ENDPOINT)
    headers = TUS | STREAM | {"Upload-Offset": "0"}
    signed = signed_headers(BUYER, "PATCH", path, headers, signed={"content_length": length})
    return head("PATCH", path, signed | {"Content-Length": str(length)})
