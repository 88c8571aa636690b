"""An encrypted test with both roles in one process: what `modelseal model try` runs and what benchmarks measure.

Nothing is skipped: the request and the response are the very containers that would travel.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trader.he import ClientSession, HePlan, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from trader.model import CanonicalModel


@dataclass(frozen=True, slots=True)
class Trial:
    """What an encrypted test gave, and what it cost.

    Attributes:
        outputs: decrypted raw outputs [n, O]. Not for publication: see `trader.he.commit_outputs`.
        seconds: wall time of `keygen`, `encrypt`, `evaluate`, `decrypt`.
        request_bytes: size of the request, keys included.
        response_bytes: size of the response.
    """

    outputs: NDArray[np.float64] = field(repr=False)
    seconds: dict[str, float]
    request_bytes: int
    response_bytes: int


def run_trial(
    plan: HePlan,
    model: CanonicalModel,
    inputs: NDArray[np.int64],
    watch: Callable[[str], Callable[[int, int], None] | None] = lambda _: None,
    device: str = "cpu",
) -> Trial:
    """Encrypt, evaluate and decrypt quantised inputs [n, F] under fresh keys.

    Raises:
        HeError: the plan doesn't serve this model or these inputs.
    """
    clock = _Clock()
    session = ClientSession(plan)
    session.generate_keys(len(inputs))
    clock.lap("keygen")
    request = session.encrypt(inputs, watch("encrypt"))
    clock.lap("encrypt")
    response = evaluate(plan, model, request, len(inputs), watch("evaluate"), device=device)
    clock.lap("evaluate")
    outputs = session.decrypt(response, watch("decrypt"))
    clock.lap("decrypt")
    return Trial(outputs, clock.seconds, len(request), len(response))


class _Clock:
    """Wall time between laps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = now - self._since
        self._since = now
