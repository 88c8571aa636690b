"""What can be wrong with a package.

::

    TraderError
    └── PackageError    a package's folder or archive is missing a part, too large, or damaged
        ├── QuotaError        the asked-for quota would give the model away
        └── ProofBudgetError  one more published proof would give the model away
"""

from trader.errors import TraderError


class PackageError(TraderError):
    """A package can't be read or written."""


class QuotaError(PackageError):
    """So many test samples would let a buyer rebuild the model from its answers."""


class ProofBudgetError(PackageError):
    """So many published proofs would say more about the parameters than their salt hides."""
