"""The buyer's check of a delivered model: the parameters, or the evidence that wins the dispute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zk.commitments import ChunkCommitments, ColumnLayout


@dataclass(frozen=True)
class DeliveryTerms:
    """What the listing says about the delivered bytes; all public and verified before the purchase.

    Attributes:
        layout: Parameters in each committed column.
        shapes: Shape of each parameter tensor.
        parameter_commitment: keccak256 over the proof's parameter points.
        commitments: Published leaves under the listed roots.
    """

    layout: ColumnLayout
    shapes: tuple[tuple[int, ...], ...]
    parameter_commitment: bytes
    commitments: ChunkCommitments


def check_delivery(ciphertext: bytes, key: bytes, terms: DeliveryTerms) -> tuple[NDArray[np.int32], ...]:
    """Decrypt a delivered model and check every chunk against the listing.

    ``ciphertext`` must have passed :func:`~trader.delivery.cipher.verify_ciphertext`, ``key`` the escrow's key hash, and
    the listing :func:`zk.commitments.verify_binding`: then the result is the proven model.

    Returns:
        The parameter tensors (int32).

    Raises:
        CiphertextError: The length is not that of the layout.
        DeliveryFaultError: A chunk is not the listed one, or the sums do not follow; ``evidence`` wins the dispute.
            Weights chunks are searched first, then sum chunks, then sum steps; the first in each is reported.
    """
    raise NotImplementedError
