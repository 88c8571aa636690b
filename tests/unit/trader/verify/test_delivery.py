"""The buyer's checks after the key is revealed; chunk by chunk they are tested in delivery/test_check.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.simulators.listing_verifier import Verifier
from trader.delivery import DeliveryFaultError, WeightsChunkClaim, encrypt_artifact, generate_key, key_hash
from trader.model import evaluate_exact
from trader.verify import (
    AuditedSamples,
    DeliveredModelError,
    DeliveryKeyError,
    VerifiedListing,
    output_distance,
    verify_delivery,
)

if TYPE_CHECKING:
    from trader.model import CanonicalModel
    from trader.package import SellerPackage
    from zk import Srs


@dataclass(frozen=True)
class Delivery:
    """An honest delivery."""

    listing: VerifiedListing
    ciphertext: bytes
    key: bytes
    audited: AuditedSamples

    def verify(self) -> CanonicalModel:
        return verify_delivery(self.listing, self.ciphertext, self.key, key_hash(KEY), self.audited)


KEY = generate_key()


@pytest.fixture(scope="module")
def delivery(package: SellerPackage, package_srs: Srs) -> Delivery:
    listing = Verifier(package, package_srs)()
    inputs = np.random.default_rng(0).integers(-8192, 8192, (8, listing.circuit.features))
    shift = listing.layout.output_shift_bits
    exact = evaluate_exact(package.canonical, inputs)
    outputs = np.array([[(int(value) + (1 << shift - 1)) >> shift for value in row] for row in exact])
    return Delivery(listing, encrypt_artifact(package.artifact, KEY), KEY, AuditedSamples(inputs, outputs))


def test_an_honest_delivery_gives_the_sellers_model(delivery: Delivery, package: SellerPackage) -> None:
    model = delivery.verify()
    assert model.graph == package.canonical.graph
    assert model.scale_bits == package.canonical.scale_bits
    for bought, sold in zip(model.tensors, package.canonical.tensors, strict=True):
        assert (bought == sold).all()


def test_1_another_key_than_the_proven_one_is_refused(delivery: Delivery) -> None:
    with pytest.raises(DeliveryKeyError):
        replace(delivery, key=generate_key()).verify()


def test_2_a_changed_chunk_gives_the_evidence(delivery: Delivery) -> None:
    ciphertext = bytearray(delivery.ciphertext)
    ciphertext[2 * 1024 + 100] ^= 1
    with pytest.raises(DeliveryFaultError) as fault:
        replace(delivery, ciphertext=bytes(ciphertext)).verify()
    assert isinstance(fault.value.evidence, WeightsChunkClaim)
    assert fault.value.evidence.index == 2


def test_6_outputs_that_the_model_does_not_give_are_refused(delivery: Delivery) -> None:
    outputs = delivery.audited.outputs.copy()
    outputs[-1, -1] += 1 + (delivery.listing.terms.tolerance >> delivery.listing.layout.output_shift_bits)
    with pytest.raises(DeliveredModelError, match="differ by"):
        replace(delivery, audited=replace(delivery.audited, outputs=outputs)).verify()


def test_distance_is_exact_where_the_shifted_outputs_exceed_64_bits(delivery: Delivery, package: SellerPackage) -> None:
    largest = replace(delivery.audited, outputs=np.full_like(delivery.audited.outputs, 2**62))
    exact = evaluate_exact(package.canonical, delivery.audited.inputs)
    expected = max(abs(int(value) - (2**62 << 60)) for value in exact.ravel())
    assert output_distance(package.canonical, largest, 60) == expected
