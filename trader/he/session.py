"""The buyer's side of an encrypted test: fresh keys, encryption, decryption.

Samples stand in slots, features in ciphertexts. Keys live as long as the session and never leave it, but for the public
part inside the request. `evaluate` in `trader.he.evaluation` is the seller's side.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.he.plan import HePlan, SecurityPolicy

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""

Buffer: TypeAlias = bytes | bytearray | memoryview


class ClientSession:
    """One encrypted test with its own keys.

    Raises:
        SecurityError: the plan doesn't meet the policy; no key was made.
    """

    def __init__(self, plan: HePlan, policy: SecurityPolicy = SecurityPolicy()) -> None:
        raise NotImplementedError

    def encrypt(self, inputs: NDArray[np.int64], progress: Progress | None = None) -> bytes:
        """The request for a test set.

        Args:
            inputs: [n, F] integers at scale `plan.scale_bits` (`trader.model.quantise_inputs`).
            progress: called as ciphertexts are made.

        Returns:
            A container (see `trader.he.wire`); `digest` of it is the `requestDigest`.

        Raises:
            SessionError: wrong shape, or values beyond `plan.input_magnitude`.
        """
        raise NotImplementedError

    def decrypt(self, response: Buffer, progress: Progress | None = None) -> NDArray[np.float64]:
        """Raw outputs [n, O] of the samples that this session encrypted, in order.

        What is returned must not leave the buyer as it is: raw decryptions give the key away (Li and Micciancio, 2021).
        Publish `commit_outputs` of it.

        Raises:
            WireError: the container is not a response to this session's request under this plan.
            SessionError: nothing was encrypted yet, or the keys have decrypted as often as they may.
        """
        raise NotImplementedError


def commit_outputs(outputs: NDArray[np.float64], commit_scale_bits: int) -> NDArray[np.int64]:
    """Outputs as they may be shown to others: integers at scale 2^commit_scale_bits, rounded with a random dither.

    Dithering makes the rounding's result independent of where the noise pushed a value between two grid points.

    Raises:
        SessionError: a value isn't finite or doesn't fit into 64 bits.
    """
    raise NotImplementedError
