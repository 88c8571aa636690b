"""Proxies that stand before a node or a seller's service, and do what networks and public nodes do.

`Proxy` passes JSON-RPC calls on, `HttpProxy` requests of any kind. Both may be given `Faults`.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

LONGEST_DELAY_SECONDS = 1.5
PIECE_BYTES = 1 << 16
_OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "server", "date"}


class Fault(Enum):
    """What happens to a request."""

    DROPPED = "dropped before it is passed on"
    LOST = "passed on, its answer lost"
    CUT_UPLOAD = "cut in the middle of its body"
    CUT_ANSWER = "its answer cut in the middle"
    TRUNCATED = "its answer truncated, and its length with it"
    DELAYED = "delayed"
    BAD_GATEWAY = "answered 502"
    UNAVAILABLE = "answered 503"


class Faults:
    """Draws what happens to each request.

    Attributes:
        count: How often each fault has happened.
    """

    def __init__(self, random: random.Random, share: float = 0.1) -> None:
        """Say how many requests go wrong.

        Args:
            random: Draws.
            share: Of the requests.
        """
        self._random = random
        self._share = share
        self._lock = threading.Lock()
        self.count: Counter[Fault] = Counter()

    def draw(self) -> Fault | None:
        """What happens to the next request; None if nothing does."""
        with self._lock:
            fault = self._random.choice(list(Fault)) if self._random.random() < self._share else None
            if fault is not None:
                self.count[fault] += 1
            return fault

    def part_of(self, size_bytes: int) -> int:
        """Where something of this size is cut."""
        with self._lock:
            return self._random.randrange(size_bytes) if size_bytes else 0

    def delay_seconds(self) -> float:
        """How long something is delayed."""
        with self._lock:
            return LONGEST_DELAY_SECONDS * self._random.random()


class _Handler(BaseHTTPRequestHandler):
    """One request for each connection, so that what is cut takes no other with it."""

    faults: Faults | None = None

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def drawn(self) -> Fault | None:
        """What happens to this request; delays and refusals have happened when this returns."""
        fault = None if self.faults is None else self.faults.draw()
        if fault is Fault.DELAYED and self.faults is not None:
            time.sleep(self.faults.delay_seconds())
        if fault in (Fault.BAD_GATEWAY, Fault.UNAVAILABLE):
            self.reply(502 if fault is Fault.BAD_GATEWAY else 503, [], b"<html>try later</html>", None)
        return fault

    def reply(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault | None) -> None:
        """Answer, as far as the fault lets it through."""
        self.close_connection = True
        if fault is Fault.LOST:
            return
        sent = body
        if self.faults is not None and fault in (Fault.CUT_ANSWER, Fault.TRUNCATED):
            sent = body[: self.faults.part_of(len(body))]
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _OF_A_CONNECTION | {"content-length"}:
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(body)))
        self.send_header("Content-Length", str(len(sent)) if fault is Fault.TRUNCATED else length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: clients are killed."""


@contextmanager
def _serving(handler: type[_Handler], port: int = 0) -> Iterator[str]:
    server = _Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


BATCH = "batch"


def calls_of(body: bytes) -> list[dict[str, Any]]:
    """The calls of a request, which has several of them if it is a batch."""
    calls = json.loads(body)
    return calls if isinstance(calls, list) else [calls]


def call_of(body: bytes) -> dict[str, Any]:
    """A request's only call; `BATCH` for its method if it has several."""
    calls = json.loads(body)
    return {"method": BATCH} if isinstance(calls, list) else calls


class Proxy:
    """Passes JSON-RPC calls on.

    Attributes:
        most_blocks: Widest range of `eth_getLogs` that is answered.
        drop_every: Each so-many-th call is dropped without an answer; 0 drops none.
        faults: What else goes wrong; nothing if None.
        refused: Searches that were too wide.
        dropped: Calls that were dropped.
        methods: How often each method was called.
    """

    def __init__(
        self, url: str, most_blocks: int = 10**9, drop_every: int = 0, *, faults: Faults | None = None
    ) -> None:
        self._target = urlsplit(url).netloc
        self.most_blocks = most_blocks
        self.drop_every = drop_every
        self.faults = faults
        self.refused = self.dropped = self._calls = 0
        self.methods: Counter[str] = Counter()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Yields its URL."""
        proxy = self

        class Handler(_Handler):
            faults = proxy.faults

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fault = self.drawn()
                if fault in (Fault.BAD_GATEWAY, Fault.UNAVAILABLE):
                    return
                lost = fault in (Fault.DROPPED, Fault.CUT_UPLOAD)
                answer = None if lost else proxy.answer(body)
                if answer is None:
                    self.close_connection = True
                    return
                self.reply(200, [("Content-Type", "application/json")], answer, fault)

        with _serving(Handler) as url:
            yield url

    def answer(self, body: bytes) -> bytes | None:
        """The node's answer, a refusal, or None for a call that is dropped."""
        self._calls += 1
        if self.drop_every and self._calls % self.drop_every == 0:
            self.dropped += 1
            return None
        for one in calls_of(body):
            self.methods[one["method"]] += 1
        call = call_of(body)
        if call["method"] == "eth_getLogs" and self._too_wide(call["params"][0]):
            self.refused += 1
            error = {"code": -32005, "message": f"range over {self.most_blocks} blocks"}
            return json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}).encode()
        connection = http.client.HTTPConnection(self._target, timeout=60)
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    def _too_wide(self, query: Any) -> bool:
        return int(query["toBlock"], 16) - int(query["fromBlock"], 16) >= self.most_blocks


class BadBatch(Enum):
    """What a node makes of a batch."""

    REFUSED = "refused"
    LEFT_OUT = "an answer left out"
    DOUBLED = "each answer given twice"
    MIXED_UP = "in another order"
    GARBAGE = "no answers"
    ALL_OF_ONE = "one answer to all"
    NULL = "nothing known of any"

    def of(self, answers: list[Any], random: random.Random) -> Any:
        """What it gives instead of the answers."""
        some = random.choice(answers)
        return {
            BadBatch.REFUSED: {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches here"}},
            BadBatch.LEFT_OUT: [one for one in answers if one is not some],
            BadBatch.DOUBLED: answers * 2,
            BadBatch.MIXED_UP: random.sample(answers, len(answers)),
            BadBatch.GARBAGE: [1, "two", None],
            BadBatch.ALL_OF_ONE: [some | {"id": one["id"]} for one in answers],
            BadBatch.NULL: [{"jsonrpc": "2.0", "id": one["id"], "result": None} for one in answers],
        }[self]


class LyingProxy(Proxy):
    """A proxy whose node searches badly: it leaves events out, gives some twice or in another order, and lags behind.

    Of a batch it answers some calls with others' answers, or none, or takes no batches.

    Attributes:
        told: How often it did what.
    """

    def __init__(self, url: str, random: random.Random, share: float = 0.4, *, faults: Faults | None = None) -> None:
        """Say how bad it is.

        Args:
            url: The node's.
            random: Draws.
            share: Of the searches that are answered badly.
            faults: What goes wrong with any call.
        """
        super().__init__(url, faults=faults)
        self._random = random
        self._share = share
        self.told: Counter[str] = Counter()

    def answer(self, body: bytes) -> bytes | None:
        answer, call = super().answer(body), call_of(body)
        if answer is None or self._random.random() >= self._share:
            return answer
        told = json.loads(answer)
        if call["method"] == BATCH:
            return json.dumps(self._batch_badly(told)).encode()
        if call["method"] == "eth_getLogs" and told.get("result"):
            told["result"] = self._search_badly(told["result"])
        elif call["method"] == "eth_getBlockByNumber" and call["params"][0] == "latest" and told.get("result"):
            behind = int(told["result"]["number"], 16) - self._random.randrange(1, 3)
            self.told["lagged"] += 1
            return super().answer(json.dumps({**call, "params": [hex(max(0, behind)), False]}).encode())
        return json.dumps(told).encode()

    def _batch_badly(self, answers: list[Any]) -> Any:
        how = self._random.choice(list(BadBatch))
        self.told[f"batch: {how.value}"] += 1
        return how.of(answers, self._random)

    def _search_badly(self, logs: list[Any]) -> list[Any]:
        how = self._random.choice(["left out", "left one out", "doubled", "turned round"])
        self.told[how] += 1
        if how == "left out":
            return [log for log in logs if self._random.random() < 0.5]
        if how == "left one out":
            gone = self._random.randrange(len(logs))
            return logs[:gone] + logs[gone + 1 :]
        return logs * 2 if how == "doubled" else logs[::-1]


class HttpProxy:
    """Passes requests on to a service that may be away: it answers 502 then, as such proxies do.

    Attributes:
        faults: What goes wrong; nothing if None.
    """

    def __init__(self, host: str, *, faults: Faults | None = None) -> None:
        self._host = host
        self.faults = faults

    @contextmanager
    def running(self, port: int = 0) -> Iterator[str]:
        """Yields its URL."""
        proxy = self

        class Handler(_Handler):
            faults = proxy.faults

            def do_GET(self) -> None:
                proxy.pass_on(self)

            do_HEAD = do_POST = do_PATCH = do_GET  # noqa: N815 - as http.server calls them

        with _serving(Handler, port) as url:
            yield url

    def pass_on(self, handler: _Handler) -> None:
        """Pass one request on, and its answer back."""
        fault = handler.drawn()
        if fault in (Fault.BAD_GATEWAY, Fault.UNAVAILABLE, Fault.DROPPED):
            handler.close_connection = True
            return
        connection = http.client.HTTPConnection(self._host, timeout=120)
        try:
            connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in _OF_A_CONNECTION:
                    connection.putheader(name, value)
            connection.endheaders()
            if not self._send_body(handler, connection, fault):
                return
            response = connection.getresponse()
            handler.reply(response.status, response.getheaders(), response.read(), fault)
        except (OSError, http.client.HTTPException):
            handler.reply(502, [], b"<html>nobody there</html>", None)
        finally:
            handler.close_connection = True
            connection.close()

    def _send_body(self, handler: _Handler, connection: http.client.HTTPConnection, fault: Fault | None) -> bool:
        """Whether the body was passed on whole."""
        left = size_bytes = int(handler.headers.get("Content-Length", "0"))
        if fault is Fault.CUT_UPLOAD and self.faults is not None:
            left = self.faults.part_of(size_bytes)
        while left:
            piece = handler.rfile.read(min(PIECE_BYTES, left))
            if not piece:
                return False
            connection.send(piece)
            left -= len(piece)
        return fault is not Fault.CUT_UPLOAD
