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
    │   ├── AnswerError                 the checks of trader.verify.answers
    │   │   ├── OutputRangeError          (1) outputs of the test
    │   │   ├── ProvenOutputsError        (4) outputs of the proof
    │   │   └── ChangedAnswersError       (5) proven classes
    │   └── DeliveryCheckError          the checks of trader.verify.delivery
    │       ├── DeliveryKeyError          (1) key
    │       └── DeliveredModelError       (5), (6) what the delivered model is and computes
    └── CallerError
        └── PolicyError                 (8) the listing is honest, the buyer asked for more
            └── UncertainTestError        (2), (3) of the answers: the tolerance leaves room for other ones
"""

from trader.errors import AnswerError, DeliveryCheckError, ListingError, PolicyError


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


class OutputRangeError(AnswerError):
    """(1) An output of the test is larger than any of a model that suits the plan; nothing was committed to."""

    finding = "an output of the test is larger than any under its plan"


class UncertainTestError(PolicyError):
    """(2), (3) Within the tolerance, another model could give other classes or values; nothing was paid."""

    finding = "a model that the audit takes for the tested one could give other classes or values"


class ProvenOutputsError(AnswerError):
    """(4) A proven output is not the one seen, within the tolerance; don't accept."""

    finding = "a proven output is further from the one seen than the tolerance"


class ChangedAnswersError(AnswerError):
    """(5) The proven model gives audit samples other classes than the encrypted test did; don't accept."""

    finding = "audit samples have other classes as proven than as seen"


class DeliveryKeyError(DeliveryCheckError):
    """(1) The revealed key does not have the proven hash."""


class DeliveredModelError(DeliveryCheckError):
    """(5), (6) The delivered parameters are not canonical, or don't give the committed outputs."""
