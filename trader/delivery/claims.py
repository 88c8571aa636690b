"""What a buyer claims about a delivery, and shows to win a dispute: one frozen dataclass per kind.

Claims about a chunk convict the delivery: the escrow decrypts chunk `index` of the ciphertext that the seller committed
to and compares it with the listed leaf. Claims about a step or a range convict the listing. Paths run from the bottom
up and carry no sides: these follow from the index.

`trader.delivery.dispute` encodes them for the contract, whose structs (`contracts.ChunkEvidence` and others) hold the
key and the listing's layout as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CiphertextChunk:
    """A chunk of the delivered ciphertext.

    Attributes:
        root: `ciphertextRoot`.
        data: 1024 bytes.
        path: Its path under the root.
    """

    root: bytes
    data: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class WeightsChunkClaim:
    """The decrypted chunk's salt and values do not hash to the listed leaf.

    Attributes:
        index: Chunk index j.
        ciphertext: The delivered chunk.
        leaf: The listed leaf j of the weights tree.
        path: Path of `leaf` under `weightsRoot`.
    """

    index: int
    ciphertext: CiphertextChunk
    leaf: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class SumChunkClaim:
    """The decrypted chunk's running sum does not hash to the listed leaf.

    Attributes:
        index: Chunk index j.
        ciphertext: The delivered chunk.
        leaf: The listed leaf j of the sums tree.
        path: Path of `leaf` under `sumsRoot`.
    """

    index: int
    ciphertext: CiphertextChunk
    leaf: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class SumLeaf:
    """A leaf of the sums tree, opened.

    Attributes:
        running_sum: S_j as committed; a cheating seller's may exceed the modulus.
        salt: 32 bytes.
        path: Path of the leaf under `sumsRoot`.
    """

    running_sum: int
    salt: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class SumStepClaim:
    """The committed sum of chunk j is not that of chunk j - 1 plus the contribution of the values in chunk j.

    It convicts the listing itself, so it speaks of the committed trees, not of the ciphertext.

    Attributes:
        index: Chunk index j.
        previous: Leaf j - 1 of the sums tree; None for j = 0, whose predecessor's sum is 0.
        current: Leaf j of the sums tree.
        parameters: The values of chunk j as delivered, 960 bytes; with `current.salt` they make the weights leaf.
        weights_path: Path of that leaf under `weightsRoot`.
    """

    index: int
    previous: SumLeaf | None
    current: SumLeaf
    parameters: bytes = field(repr=False)
    weights_path: tuple[bytes, ...]


@dataclass(frozen=True)
class RangeClaim:
    """A parameter has a magnitude of 2^24 or more: it convicts the listing itself, like `SumStepClaim`.

    Attributes:
        index: Chunk index j.
        position: Of the parameter in the chunk.
        salt: Of the chunk, 32 bytes.
        parameters: The values of chunk j as delivered, 960 bytes; with `salt` they make the weights leaf.
        weights_path: Path of that leaf under `weightsRoot`.
    """

    index: int
    position: int
    salt: bytes
    parameters: bytes = field(repr=False)
    weights_path: tuple[bytes, ...]


Claim = WeightsChunkClaim | SumChunkClaim | SumStepClaim | RangeClaim
