"""Bind the delivered chunks to the proven commitments.

Seller: :func:`bind_parameters` makes chunks, trees and the opening. Buyer, before paying: :func:`verify_binding`.
After decryption the buyer recomputes every running sum with :func:`zk.commitments.sums.running_sums`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from zk.circuits.audit import AuditCircuit
    from zk.commitments.chunks import ColumnLayout
    from zk.commitments.kzg import KzgOpening
    from zk.commitments.merkle import ChunkTree
    from zk.srs import Srs


@dataclass(frozen=True)
class ChunkCommitments:
    """The public half of the chunks: both trees' leaves, and the salt that opens the last sum.

    Attributes:
        weights: Tree whose root is ``weightsRoot``.
        sums: Tree whose root is ``sumsRoot``.
        last_salt: Salt of the last chunk, with which the buyer finds S_last in ``sums`` before it pays.
    """

    weights: ChunkTree
    sums: ChunkTree
    last_salt: bytes

    def to_bytes(self) -> bytes:
        """The form in which the package publishes them: ``last_salt ‖ weights leaves ‖ sums leaves``."""
        raise NotImplementedError

    @classmethod
    def from_bytes(
        cls, data: bytes, layout: ColumnLayout, *, weights_root: bytes, sums_root: bytes
    ) -> ChunkCommitments:
        """Read published leaves and check them against the listed roots.

        Raises:
            ChunkError: The length is not that of the layout.
            MerkleError: A root is not the listed one.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class BoundParameters:
    """What a seller keeps and lists.

    Attributes:
        artifact: Secret: all chunks, ``layout.chunk_count`` x 1024 bytes; what is encrypted and delivered.
        layout: Parameters in each column.
        commitments: Public leaves; their roots are listed.
        opening: Public; goes into the manifest.
    """

    artifact: bytes = field(repr=False)
    layout: ColumnLayout
    commitments: ChunkCommitments
    opening: KzgOpening


def bind_parameters(
    circuit: AuditCircuit, parameters: Sequence[NDArray[np.int32]], points: Sequence[bytes], srs: Srs
) -> BoundParameters:
    """Cut parameters into salted chunks, compute running sums and trees, and open the commitments.

    Args:
        circuit: Gives the column layout and commits the quotient.
        parameters: The canonical tensors.
        points: Their commitments, from :func:`zk.parameter_commitment`.
        srs: The circuit's SRS.

    Raises:
        ChunkError: The tensors do not fit the circuit.
        BindingError: ``points`` are not the commitments of ``parameters``.
    """
    raise NotImplementedError


def verify_binding(
    layout: ColumnLayout, points: Sequence[bytes], commitments: ChunkCommitments, opening: KzgOpening, srs: Srs
) -> None:
    """Check before paying that the sums tree ends in the sum that the proof's commitments open to; silent on success.

    Not checked: that ``points`` and the trees' roots are the listed ones, and that ``layout`` is the circuit's.

    Raises:
        BindingError: The opening is false, or the last sum is not the one in the sums tree.
    """
    raise NotImplementedError
