"""What a buyer shows to the escrow to win a dispute: one frozen dataclass per kind.

All of them speak of chunk ``index`` of the ciphertext that the seller committed to; the escrow decrypts it with the
revealed key. Paths run from the bottom up and carry no sides: these follow from the index.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CiphertextChunk:
    """A chunk of the delivered ciphertext.

    Attributes:
        data: 1024 bytes.
        path: Its path under ``ciphertextRoot``.
    """

    data: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class WeightsChunkEvidence:
    """The decrypted chunk's salt and values do not hash to the listed leaf.

    Attributes:
        index: Chunk index j.
        ciphertext: The delivered chunk.
        leaf: The listed leaf j of the weights tree.
        path: Path of ``leaf`` under ``weightsRoot``.
    """

    index: int
    ciphertext: CiphertextChunk
    leaf: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class SumChunkEvidence:
    """The decrypted chunk's running sum does not hash to the listed leaf.

    Attributes:
        index: Chunk index j.
        ciphertext: The delivered chunk.
        leaf: The listed leaf j of the sums tree.
        path: Path of ``leaf`` under ``sumsRoot``.
    """

    index: int
    ciphertext: CiphertextChunk
    leaf: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class SumStepEvidence:
    """The running sum in chunk j is not that of chunk j - 1 plus the contribution of the values in chunk j.

    Attributes:
        index: Chunk index j.
        ciphertext: The delivered chunk j.
        previous: The delivered chunk j - 1; None for j = 0, whose predecessor's sum is 0.
    """

    index: int
    ciphertext: CiphertextChunk
    previous: CiphertextChunk | None


Evidence = WeightsChunkEvidence | SumChunkEvidence | SumStepEvidence
