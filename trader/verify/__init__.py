"""What a buyer checks, in numbered pipelines: :func:`verify_listing` before it pays, :func:`verify_delivery` after.

No IO: bytes and objects come in, a result or the error of the failed check goes out. Read `listing`, `delivery`, and
`policy` for what a buyer may ask for.
"""

from trader.verify.delivery import AuditedSamples, output_distance, verify_delivery
from trader.verify.errors import (
    DeliveredModelError,
    DeliveryKeyError,
    ListingBindingError,
    ListingCircuitError,
    ListingCodeError,
    ListingColumnError,
    ListingManifestError,
    ListingPlanError,
    ListingSetupError,
)
from trader.verify.listing import Sources, VerifiedListing, verify_listing
from trader.verify.policy import BuyerPolicy

__all__ = [
    "AuditedSamples",
    "BuyerPolicy",
    "DeliveredModelError",
    "DeliveryKeyError",
    "ListingBindingError",
    "ListingCircuitError",
    "ListingCodeError",
    "ListingColumnError",
    "ListingManifestError",
    "ListingPlanError",
    "ListingSetupError",
    "Sources",
    "VerifiedListing",
    "output_distance",
    "verify_delivery",
    "verify_listing",
]
