"""Tests of a listing that was never on a chain: everything that a report reads of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.parties.testing import TestResult
from trader.report.quality import QualityReport, quality_report
from trader.verify import BuyerPolicy, assess_test

if TYPE_CHECKING:
    from trader.model.postprocessing import PostProcessing

DISTANCE = 1e-3


@dataclass(frozen=True)
class Desk:
    """Makes reports.

    Attributes:
        plan: Any plan.
    """

    plan: Any

    def listing(self, post_processing: PostProcessing, **card: str) -> SimpleNamespace:
        words = {"name": "a model", "description": "", "licence": ""} | card
        return SimpleNamespace(
            listing_id=7,
            seller="0x" + "a1" * 20,
            plan=self.plan,
            terms=SimpleNamespace(manifest_hash=bytes(32), tolerance=1 << 30, audit_samples=8, price_wei=10**18),
            circuit=SimpleNamespace(digest=bytes(32), output_scale_bits=39, is_exact=True),
            manifest=SimpleNamespace(
                card=SimpleNamespace(**words),
                output=SimpleNamespace(post_processing=post_processing),
                circuit=SimpleNamespace(srs=SimpleNamespace(logrows=11, development=True)),
                chunk_count=4,
                fidelity=None,
            ),
        )

    def report(
        self,
        outputs: np.ndarray,
        post_processing: PostProcessing,
        labels: np.ndarray | None = None,
        *,
        outside: tuple[int, ...] = (),
        distance: float = DISTANCE,
        card: dict[str, str] | None = None,
        **more: Any,
    ) -> QualityReport:
        assessment = assess_test(outputs, distance, post_processing, labels)
        rows = np.array(outside, dtype=np.int64)
        result = TestResult(outputs, post_processing.predict(outputs), assessment, rows)
        listing = self.listing(post_processing, **(card or {}))
        return quality_report(listing, result, BuyerPolicy(), labels=labels, **more)


@pytest.fixture(scope="session")
def desk() -> Desk:
    model = random_network(8, 4, 2)
    return Desk(plan_for(model, random_inputs(model, 64)))
