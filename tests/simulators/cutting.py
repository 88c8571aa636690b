"""A network that breaks off: a TCP proxy before a service, which cuts connections after some bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class CuttingProxy:
    """Passes bytes on.

    Attributes:
        cut_upstream: Numbers of bytes after which the next connections are cut on the way to the service.
        cut_downstream: The same on the way back.
        cuts: Connections that were cut.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self._port = port
        self._target = target_port
        self.cut_upstream: list[int] = []
        self.cut_downstream: list[int] = []
        self.cuts = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            up = self.cut_upstream.pop(0) if self.cut_upstream else None
            down = self.cut_downstream.pop(0) if self.cut_downstream else None
            for source, sink, most in ((client, server, up), (server, client, down)):
                threading.Thread(target=self._pump, args=(source, sink, most), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if most is not None and passed + len(data) >= most:
                    sink.sendall(data[: most - passed])
                    self.cuts += 1
                    break
                sink.sendall(data)
                passed += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
