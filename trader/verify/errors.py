"""Which numbered check a listing or a delivery fails.

::

    TraderError
    ├── PeerFaultError
    │   ├── ListingError                the checks of trader.verify.listing
    │   │   ├── ListingManifestError      (1) manifest
    │   │   ├── ListingCodeError          (2) contracts' code
    │   │   ├── ListingSetupError         (3) structured reference string
    │   │   ├── ListingCircuitError       (4) audit circuit
    │   │   ├── ListingColumnError        (5) committed columns
    │   │   ├── ListingBindingError       (6) parameters bound to chunks
    │   │   └── ListingPlanError          (7) encryption plan
    │   └── DeliveryCheckError          the checks of trader.verify.delivery
    │       ├── DeliveryKeyError          (1) key
    │       └── DeliveredModelError       (5), (6) what the delivered model is and computes
    └── CallerError
        └── PolicyError                 (8) the listing is honest, the buyer asked for more
"""

from trader.errors import DeliveryCheckError, ListingError


class ListingManifestError(ListingError):
    """(1) The manifest is not the listed one, or contradicts the terms on the chain."""


class ListingCodeError(ListingError):
    """(2) Market or verifier run other code than the published one."""


class ListingSetupError(ListingError):
    """(3) The structured reference string is not the named one, or is a locally made one."""


class ListingCircuitError(ListingError):
    """(4) The public architecture does not give the listed audit circuit."""


class ListingColumnError(ListingError):
    """(5) A committed column is not tied to the computation: the proof would say nothing about it."""


class ListingBindingError(ListingError):
    """(6) The committed parameters are not bound to the chunks that would be delivered."""


class ListingPlanError(ListingError):
    """(7) The encryption plan is malformed, for another model, or less secure than the buyer's policy asks."""


class DeliveryKeyError(DeliveryCheckError):
    """(1) The revealed key does not have the proven hash."""


class DeliveredModelError(DeliveryCheckError):
    """(5), (6) The delivered parameters are not canonical, or don't give the committed outputs."""
