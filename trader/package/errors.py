"""What can be wrong with a package.

::

    TraderError
    └── PackageError    a package's folder or archive is missing a part, too large, or damaged
        ├── DamagedPackageError  parts are not those that were prepared: nothing may be proven or delivered with them
        ├── FidelityError     the package would give other answers than the model that was handed in
        ├── QuotaError        the asked-for quota would give the model away
        └── ProofBudgetError  one more published proof would give the model away
"""

from trader.errors import TraderError


class PackageError(TraderError):
    """A package can't be read or written."""


class DamagedPackageError(PackageError):
    """Parts of a package are not those that were prepared; what is delivered with them would be slashed."""


class FidelityError(PackageError):
    """Rounding, or polynomials for activations, change the model's answers too much."""


class QuotaError(PackageError):
    """So many test samples would let a buyer rebuild the model from its answers."""


class ProofBudgetError(PackageError):
    """So many published proofs would say more about the parameters than their salt hides."""
