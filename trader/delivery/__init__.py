"""Delivery: the encrypted model, what the buyer finds in it, and what proves that it is not the listed one.

`encrypt_artifact` makes the ciphertext that `verify_ciphertext` checks before it is accepted; `check_delivery` ends in
the model or in a claim (`trader.delivery.claims`), which `encode_dispute` makes ready for the escrow to judge.
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
from trader.delivery.claims import (
    CiphertextChunk,
    Claim,
    RangeClaim,
    SumChunkClaim,
    SumLeaf,
    SumStepClaim,
    WeightsChunkClaim,
)
from trader.delivery.dispute import encode_dispute
from trader.delivery.errors import CiphertextError, DeliveryError, DeliveryFaultError

__all__ = [
    "CiphertextChunk",
    "CiphertextError",
    "Claim",
    "DeliveryError",
    "DeliveryFaultError",
    "DeliveryTerms",
    "RangeClaim",
    "SumChunkClaim",
    "SumLeaf",
    "SumStepClaim",
    "WeightsChunkClaim",
    "check_delivery",
    "ciphertext_tree",
    "decrypt_artifact",
    "encode_dispute",
    "encrypt_artifact",
    "generate_key",
    "key_hash",
    "verify_ciphertext",
]
