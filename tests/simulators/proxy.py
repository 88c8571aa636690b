"""A node as public ones are: it stands before another, refuses large searches, and drops calls."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


class Proxy:
    """Passes JSON-RPC calls on.

    Attributes:
        most_blocks: Widest range of `eth_getLogs` that is answered.
        drop_every: Each so-many-th call is dropped without an answer; 0 drops none.
        refused: Searches that were too wide.
        dropped: Calls that were dropped.
    """

    def __init__(self, url: str, most_blocks: int = 10**9, drop_every: int = 0) -> None:
        self._target = urlsplit(url).netloc
        self.most_blocks = most_blocks
        self.drop_every = drop_every
        self.refused = self.dropped = self._calls = 0

    @contextmanager
    def running(self) -> Iterator[str]:
        """Yields its URL."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = proxy.answer(body)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()

    def answer(self, body: bytes) -> bytes | None:
        """The node's answer, a refusal, or None for a call that is dropped."""
        self._calls += 1
        if self.drop_every and self._calls % self.drop_every == 0:
            self.dropped += 1
            return None
        call = json.loads(body)
        if call["method"] == "eth_getLogs" and self._too_wide(call["params"][0]):
            self.refused += 1
            error = {"code": -32005, "message": f"range over {self.most_blocks} blocks"}
            return json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}).encode()
        connection = http.client.HTTPConnection(self._target, timeout=60)
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    def _too_wide(self, query: Any) -> bool:
        return int(query["toBlock"], 16) - int(query["fromBlock"], 16) >= self.most_blocks
