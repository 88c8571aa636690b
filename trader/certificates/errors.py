"""Which numbered check a certificate fails.

::

    TraderError
    ├── PeerFaultError
    │   └── CertificateError              the checks of trader.certificates.verify
    │       ├── CertificateFormError        (1) not a certificate, or it contradicts itself
    │       ├── CertificateCircuitError     (2) proofs of another circuit
    │       ├── CertificateModelError       (3) other parameters than the listed ones
    │       ├── CertificateDatasetError     (4) another data set, other rows, other labels
    │       ├── CertificateProofError       (5) a proof that does not hold, or is about other rows
    │       └── CertificateClaimError       (6) the proven outputs don't give the claimed count
    └── CallerError
        └── CertificationError            this model can't be certified on this data set
"""

from trader.errors import CallerError, PeerFaultError


class CertificateError(PeerFaultError):
    """A certificate does not prove what it claims: don't rely on it."""


class CertificateFormError(CertificateError):
    """(1) The bytes are no certificate of this version, or its numbers contradict each other."""


class CertificateCircuitError(CertificateError):
    """(2) The proofs are about another circuit, or another number of samples each, than the listing's."""


class CertificateModelError(CertificateError):
    """(3) The certificate is about other parameters than the listed ones."""


class CertificateDatasetError(CertificateError):
    """(4) The certificate is about another data set than the given one: rows, their order or labels differ."""


class CertificateProofError(CertificateError):
    """(5) A proof does not hold, or is not about its rows of the data set."""


class CertificateClaimError(CertificateError):
    """(6) The proven outputs give another number of correct answers than the certificate claims."""


class CertificationError(CallerError):
    """No certificate can be made of this model on this data set; nothing was published."""
