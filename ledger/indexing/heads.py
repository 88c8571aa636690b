"""When a chain may have a new block: told by the node where it has subscriptions, else by the clock."""

import json
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

_CONNECT_SECONDS: Final = 10.0


class Polling:
    """Waits, and nothing else."""

    def wait(self, seconds: float) -> None:
        """Return after `seconds`."""
        time.sleep(seconds)


class Subscription:
    """`eth_subscribe` to new heads over a websocket; while it is broken it polls, and it is renewed at each wait."""

    def __init__(self, url: str):
        """Connect lazily.

        Args:
            url: `ws://` or `wss://`.
        """
        self._url = url
        self._open = ExitStack()
        self._socket: ClientConnection | None = None

    def wait(self, seconds: float) -> None:
        """Return when a head was told, and after `seconds` at the latest."""
        end = time.monotonic() + seconds
        try:
            socket = self._connected()
            while (left := end - time.monotonic()) > 0:
                message: Any = json.loads(socket.recv(timeout=left))
                if message.get("method") == "eth_subscription":
                    return
        except TimeoutError:
            return
        except (OSError, ValueError, AttributeError, WebSocketException):
            self.close()
            time.sleep(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """End the subscription."""
        self._socket = None
        with suppress(OSError, WebSocketException):
            self._open.close()

    def _connected(self) -> ClientConnection:
        if self._socket is None:
            self._socket = self._open.enter_context(connect(self._url, open_timeout=_CONNECT_SECONDS))
            call = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
            self._socket.send(json.dumps(call))
        return self._socket

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
