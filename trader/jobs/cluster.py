"""An engine that has jobs done by a Dask cluster, for sellers who outgrow one machine.

The workers need this package installed, and must reach the seller's package and folder under the same paths (a shared
file system). Dask itself repeats a job whose worker was lost. What is sent to it may be secret: let the cluster speak
TLS (`tls://…`), or keep it on a network of your own.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from trader.errors import CallerError, EnvironmentFaultError, NotYetError, PeerFaultError, RequestError
from trader.he import WireError
from trader.jobs.engines import RemoteEngine, in_progress
from trader.jobs.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_SECONDS: Final = 10
RETRIES: Final = 2


class DaskEngine(RemoteEngine):
    """Has jobs done by the workers of a Dask cluster."""

    def __init__(self, address: str) -> None:
        """Connect to a scheduler.

        Args:
            address: tcp://host:port or tls://host:port.

        Raises:
            CallerError: The extra `dask` is not installed.
            EnvironmentFaultError: Nobody answers there.
        """
        try:
            from distributed import Client
        except ImportError as error:
            raise CallerError('a Dask cluster needs the extra: pip install "modelseal[dask]"') from error
        try:
            connect: Any = Client
            self._client = connect(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise EnvironmentFaultError(f"no Dask scheduler answers at {address}: {error}. Start it.") from error
        self._futures: dict[bytes, Any] = {}
        self._lock = threading.Lock()

    @property
    def workers(self) -> int:
        """Number of workers that the scheduler knows."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()

    def _result(self, key: bytes, task: str, account: str, describe: Callable[[], bytes]) -> bytes:  # noqa: ARG002 - Dask takes no turns
        with self._lock:
            if key not in self._futures:
                self._futures[key] = self._client.submit(TASKS[task], describe(), pure=False, retries=RETRIES)
            future = self._futures[key]
        if not future.done():
            raise NotYetError(in_progress(task, running=future.status == "processing"))
        try:
            return bytes(future.result())
        except (PeerFaultError, WireError) as error:
            self._forget(key)
            raise RequestError(str(error)) from error
        except Exception as error:
            self._forget(key)
            raise EnvironmentFaultError(f"the cluster could not {task}: {type(error).__name__}: {error}.") from error

    def _forget(self, key: bytes) -> None:
        with self._lock:
            self._futures.pop(key, None)
