"""Delivery: the encrypted model, what the buyer finds in it, and what proves that it is not the listed one.

`encrypt_artifact` makes the ciphertext that `verify_ciphertext` checks before it is accepted; `check_delivery` ends in
the model or in evidence, in the forms of `evidence`, which the escrow judges.
"""

from trader.delivery.check import DeliveryTerms, check_delivery
from trader.delivery.cipher import (
    ciphertext_tree,
    decrypt_artifact,
    encrypt_artifact,
    generate_key,
    key_hash,
    verify_ciphertext,
)
from trader.delivery.errors import CiphertextError, DeliveryError, DeliveryFaultError
from trader.delivery.evidence import (
    CiphertextChunk,
    Evidence,
    RangeEvidence,
    SumChunkEvidence,
    SumLeaf,
    SumStepEvidence,
    WeightsChunkEvidence,
)

__all__ = [
    "CiphertextChunk",
    "CiphertextError",
    "DeliveryError",
    "DeliveryFaultError",
    "DeliveryTerms",
    "Evidence",
    "RangeEvidence",
    "SumChunkEvidence",
    "SumLeaf",
    "SumStepEvidence",
    "WeightsChunkEvidence",
    "check_delivery",
    "ciphertext_tree",
    "decrypt_artifact",
    "encrypt_artifact",
    "generate_key",
    "key_hash",
    "verify_ciphertext",
]
