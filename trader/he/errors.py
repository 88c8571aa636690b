"""What can go wrong in encrypted evaluation.

    TraderError
    └── HeError
        ├── PlanError          the model can't be planned, or a plan is not well formed
        │   └── SecurityError  a plan offers less security than the caller's policy asks for
        ├── WireError          a key, request or response from the other party is refused
        ├── SessionError       the caller misused a session: wrong shape, values out of range, keys used up
        └── DeviceError        the device on which to evaluate is not there

`PlanError` and `SessionError` are for the caller to mend, `WireError` is the peer's fault.
"""

from trader.errors import TraderError


class HeError(TraderError):
    """Root of everything that `trader.he` raises."""


class PlanError(HeError):
    """No encryption parameters serve this model, or the plan is not well formed."""


class SecurityError(PlanError):
    """The plan's parameters offer less security than the policy demands."""


class WireError(HeError):
    """Bytes from the other party that are not what the plan says they must be; nothing of them was used."""


class SessionError(HeError):
    """A session was used in a way that its plan doesn't allow."""


class DeviceError(HeError):
    """The device that was named for evaluation is missing, or what drives it."""
