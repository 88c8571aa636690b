"""A claim as the escrow takes it: the contract's function, and the Solidity struct that it is called with."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from contracts import ChunkEvidence, RangeEvidence, SumStepEvidence
from trader.delivery.claims import Claim, RangeClaim, SumLeaf, SumStepClaim, WeightsChunkClaim

if TYPE_CHECKING:
    from contracts import Statement

DisputeEvidence: TypeAlias = ChunkEvidence | SumStepEvidence | RangeEvidence


def encode_dispute(key: bytes, claim: Claim, statement: Statement) -> tuple[str, DisputeEvidence]:
    """Return the name of the contract's function for a claim, and what it takes.

    Args:
        key: The delivery key as revealed, 32 bytes.
        claim: What is wrong with the delivery, and what shows it.
        statement: What is proven, as the listing has it.
    """
    if isinstance(claim, RangeClaim):
        return "disputeRange", RangeEvidence(
            index=claim.index,
            position=claim.position,
            salt=claim.salt,
            parameters=claim.parameters,
            weights_path=claim.weights_path,
            statement=statement,
        )
    if isinstance(claim, SumStepClaim):
        previous = claim.previous or SumLeaf(0, bytes(32), ())
        return "disputeSumStep", SumStepEvidence(
            index=claim.index,
            previous_sum=previous.running_sum,
            previous_salt=previous.salt,
            previous_path=previous.path,
            sum=claim.current.running_sum,
            salt=claim.current.salt,
            sum_path=claim.current.path,
            parameters=claim.parameters,
            weights_path=claim.weights_path,
            statement=statement,
        )
    name = "disputeWeightsChunk" if isinstance(claim, WeightsChunkClaim) else "disputeSumChunk"
    return name, ChunkEvidence(
        ciphertext_root=claim.ciphertext.root,
        key=key,
        index=claim.index,
        ciphertext=claim.ciphertext.data,
        ciphertext_path=claim.ciphertext.path,
        leaf=claim.leaf,
        path=claim.path,
        statement=statement,
    )
