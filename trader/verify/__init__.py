"""What a buyer checks, in numbered pipelines: `verify_listing` before it pays, `verify_delivery` after.

In between, `answers` holds the encrypted test and the proof against each other. No IO: bytes and objects come in, a
result or the error of the failed check goes out. Read `listing`, `answers`, `delivery`, and `policy` for what a buyer
may ask for.
"""

from trader.verify.answers import (
    Assessment,
    Comparison,
    assess_test,
    audit_distance,
    check_range,
    compare_proven,
    outside_reach,
)
from trader.verify.checks import ANSWER_CHECKS, DELIVERY_CHECKS, LISTING_CHECKS
from trader.verify.delivery import AuditedSamples, output_distance, verify_delivery
from trader.verify.errors import (
    ChangedAnswersError,
    DeliveredModelError,
    DeliveryKeyError,
    ListingBindingError,
    ListingCircuitError,
    ListingCodeError,
    ListingColumnError,
    ListingManifestError,
    ListingPlanError,
    ListingSetupError,
    OutputRangeError,
    ProvenOutputsError,
    UncertainTestError,
)
from trader.verify.listing import Sources, VerifiedListing, check_manifest, verify_listing
from trader.verify.policy import BuyerPolicy, TokenLimits

__all__ = [
    "ANSWER_CHECKS",
    "DELIVERY_CHECKS",
    "LISTING_CHECKS",
    "Assessment",
    "AuditedSamples",
    "BuyerPolicy",
    "ChangedAnswersError",
    "Comparison",
    "DeliveredModelError",
    "DeliveryKeyError",
    "ListingBindingError",
    "ListingCircuitError",
    "ListingCodeError",
    "ListingColumnError",
    "ListingManifestError",
    "ListingPlanError",
    "ListingSetupError",
    "OutputRangeError",
    "ProvenOutputsError",
    "Sources",
    "TokenLimits",
    "UncertainTestError",
    "VerifiedListing",
    "assess_test",
    "audit_distance",
    "check_manifest",
    "check_range",
    "compare_proven",
    "output_distance",
    "outside_reach",
    "verify_delivery",
    "verify_listing",
]
