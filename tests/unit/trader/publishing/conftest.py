"""A bundle of a small model, and a loopback server that speaks what a registry does."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulators.classifier import write_classifier
from tests.unit.trader.model.test_manifest import example
from trader.model import Manifest
from trader.publishing import Basis, Metric, Provenance, provenance_of, write_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADDRESS, HASH = "0x" + "ab" * 20, "0x" + "12" * 32
METRICS = (
    Metric("accuracy", 0.975, Basis.PROVEN, 200, "breast-cancer"),
    Metric("accuracy", 0.96, Basis.MEASURED, 50, "own data"),
)


@dataclass
class Loopback:
    """Answers by method and path, and what was asked."""

    url: str
    answers: dict[tuple[str, str], Callable[[bytes], tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def give(self, path: str, body: bytes, *, status: int = 200, **headers: str) -> None:
        self.answers["GET", path] = lambda _: (status, headers, body)

    def post(self, path: str, document: Any) -> None:
        self.answers["POST", path] = lambda _: (
            200,
            {"content-type": "application/json"},
            json.dumps(document).encode(),
        )


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow leaves an empty database in the folder where it is called."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = self.path.partition("?")[0]
            server.asked.append((self.command, path, dict(self.headers), body))
            status, headers, data = server.answers.get((self.command, path), lambda _: (404, {}, b"none"))(body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_HEAD = do_PUT = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Loopback(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def onnx_file(tmp_path: Path) -> bytes:
    return write_classifier(tmp_path / "classifier.onnx").read_bytes()


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate_json(json.dumps(example()))


def provenance_for(manifest: Manifest, **others: Any) -> Provenance:
    known: dict[str, Any] = {
        "chain_id": 31337,
        "market": ADDRESS,
        "listing_id": 3,
        "trade_id": 7,
        "buyer": ADDRESS,
        "metrics": METRICS,
        "transactions": {"prove": HASH},
    }
    return provenance_of(manifest, **known | others)


@pytest.fixture
def provenance(manifest: Manifest) -> Provenance:
    return provenance_for(manifest)


@pytest.fixture
def bundle(tmp_path: Path, onnx_file: bytes, manifest: Manifest, provenance: Provenance) -> Path:
    folder = tmp_path / "bundle"
    write_bundle(folder, onnx_file, provenance, manifest=manifest.to_bytes(), certificate=b"{}")
    return folder
