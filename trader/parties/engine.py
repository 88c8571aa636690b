"""Where a seller's heavy work is done: evaluation of encrypted tests, and proofs.

Here, while everything else waits (`Here`), or by workers that `trader.jobs` knows. A step that asks for work that is
not done yet ends with a `NotYetError`; the next one asks again, so that a seller serves its other trades meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from zk import Proof


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """An encrypted test to be evaluated. Its parts are no secrets but the package, which is the seller's own.

    Attributes:
        key: 32 bytes: names the work. What has the same key is done once.
        account: Who asks, so that everybody gets its turn.
        package: Folder of the seller's package.
        request: The copied request, whole.
        response: Where the response goes; beside it is room for what is not whole yet.
        samples: Number of samples that were paid for.
        context: What the request is bound to.
        device: The CPU, or one of PyTorch's devices.
    """

    key: bytes
    account: str
    package: Path
    request: Path
    response: Path
    samples: int
    context: bytes
    device: str


@dataclass(frozen=True, slots=True, eq=False)
class ProofJob:
    """Audit samples to be proven; they are the buyer's secret.

    Attributes:
        key: 32 bytes: the digest of the statement, what it is used for included.
        account: Who asks, so that everybody gets its turn.
        package: Folder of the seller's package.
        folder: The seller's own, for the reference string that a package carries.
        samples: int64 [k, F], on the model's grid.
        salt: The buyer's salt of its commitment.
        context: 32 bytes: where the proof is used.
    """

    key: bytes
    account: str
    package: Path
    folder: Path
    samples: NDArray[np.int64] = field(repr=False)
    salt: Sequence[int] = field(repr=False)
    context: bytes


class Engine(Protocol):
    """Does heavy work, sooner or later."""

    def evaluate(self, job: EvaluationJob, here: Callable[[], None]) -> None:
        """See to it that the response is written.

        Args:
            job: What is to be done.
            here: Does it in this process, at once.

        Raises:
            NotYetError: It is being done, or waits for its turn.
            RequestError, WireError: The request is malformed.
            EnvironmentFaultError: A worker failed; ask again.
        """

    def prove(self, job: ProofJob, here: Callable[[], Proof]) -> Proof:
        """Return the proof.

        Args:
            job: What is to be done.
            here: Does it in this process, at once.

        Raises:
            NotYetError: It is being made, or waits for its turn.
            EnvironmentFaultError, WorkerError: A worker failed; ask again.
        """


class Here:
    """Does everything at once, in this process."""

    def evaluate(self, job: EvaluationJob, here: Callable[[], None]) -> None:  # noqa: ARG002 - the interface
        """Write the response."""
        here()

    def prove(self, job: ProofJob, here: Callable[[], Proof]) -> Proof:  # noqa: ARG002 - the interface
        """Return the proof."""
        return here()


HERE = Here()
