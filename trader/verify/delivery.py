"""What a buyer checks once the key is revealed: numbered, each check with its own error.

(1) the key has the proven hash (the escrow refuses any other; repeated here, since it costs nothing);
(2) every decrypted chunk's parameters are those of the weights tree;
(3) every running sum is that of the sums tree;
(4) every running sum follows from the one before and the parameters between them;
(5) every parameter is less than 2^24 in magnitude: float32 holds it, and no sum of the audit circuit wraps around;
(6) the parameters fit the architecture, and the model gives the committed outputs on the audit samples.

A failure of (2) to (5) is a `trader.delivery.DeliveryFaultError` and carries the evidence that slashes the
seller. (6) follows from the proof, the opening and (2) to (5): it can fail only where one of these is broken, and the
escrow does not decide about it.

What the caller must still check: before all this, that the listing passed `trader.verify.listing` and the
ciphertext has the proven root (`trader.delivery.verify_ciphertext`, before `accept`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

from trader.delivery import DeliveryTerms, check_delivery
from trader.model import CanonicalModel, PrecisionError, evaluate_exact
from trader.verify.errors import DeliveredModelError, DeliveryKeyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trader.verify.listing import VerifiedListing


@dataclass(frozen=True, slots=True)
class AuditedSamples:
    """The k samples that a buyer committed to.

    Attributes:
        inputs: int64 [k, F] at the listing's scale.
        outputs: int64 [k, O] at its commit scale, as committed.
    """

    inputs: NDArray[np.int64] = field(repr=False)
    outputs: NDArray[np.int64] = field(repr=False)


def verify_delivery(
    listing: VerifiedListing, ciphertext: bytes, key: bytes, key_hash: bytes, audited: AuditedSamples
) -> CanonicalModel:
    """Run checks (1) to (6) and return the bought model.

    Args:
        listing: What was bought.
        ciphertext: What was downloaded; it has the proven ciphertext root.
        key: What the seller revealed.
        key_hash: What it proved.
        audited: What the buyer committed to.

    Raises:
        DeliveryKeyError: (1).
        DeliveryFaultError: (2) to (5); its `evidence` wins the dispute.
        DeliveredModelError: (6).
    """
    # (1) The key is the proven one.
    if keccak(key) != key_hash:
        raise DeliveryKeyError(f"the revealed key has hash 0x{keccak(key).hex()}, 0x{key_hash.hex()} was proven")
    # (2) to (5) Chunk by chunk, the decrypted bytes are the listed and proven ones, and parameters.
    shapes = tuple(spec.shape for spec in listing.graph.parameters)
    terms = DeliveryTerms(
        listing.columns,
        shapes,
        listing.statement.parameter_commitment,
        listing.commitments,
        to_canonical_address(listing.seller),
    )
    tensors = check_delivery(ciphertext, key, terms)
    # (6) They fit the architecture, and give what was tested.
    try:
        model = CanonicalModel(listing.graph, tensors, listing.manifest.scale_bits)
    except PrecisionError as error:
        raise DeliveredModelError(f"{error}. Report it: the proof should have excluded this.") from error
    distance = output_distance(model, audited, listing.layout.output_shift_bits)
    if distance > listing.terms.tolerance:
        raise DeliveredModelError(
            f"the delivered model's outputs differ by {distance} from the committed ones, {listing.terms.tolerance} is "
            "allowed. Report it: the proof should have excluded this."
        )
    return model


def output_distance(model: CanonicalModel, audited: AuditedSamples, output_shift_bits: int) -> int:
    """Largest distance between the model's outputs and the committed ones, in units of the instances."""
    exact = evaluate_exact(model, audited.inputs)
    committed: Sequence[Sequence[int]] = audited.outputs.tolist()  # Python integers: the shift may exceed 64 bits
    return max(
        abs(int(value) - (given << output_shift_bits))
        for exact_row, given_row in zip(exact, committed, strict=True)
        for value, given in zip(exact_row, given_row, strict=True)
    )
