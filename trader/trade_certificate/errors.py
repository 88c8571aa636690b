"""Which numbered check a trade certificate fails.

::

    TraderError
    ├── CallerError
    │   └── UnfinishedTradeError          there is nothing to certify yet
    └── PeerFaultError
        └── TradeCertificateError         the checks of trader.trade_certificate.verify
            ├── CertificateFormError        (1) form and signature
            ├── CertificateMarketError      (2) the market
            ├── InclusionFaultError         (3) transactions, receipts, blocks
            ├── CertificateManifestError    (4) manifest and terms
            ├── CertificateStoryError       (5) events and what they commit to
            ├── CertificateProofError       (6) the proof
            ├── CertificateLogError         (7) the audit log
            └── CertificateChainError       (8) the chain
"""

from trader.errors import CallerError, PeerFaultError


class UnfinishedTradeError(CallerError):
    """The trade has not ended: carry it on to its end first."""


class TradeCertificateError(PeerFaultError):
    """A certificate does not say what it claims: don't rely on it."""


class CertificateFormError(TradeCertificateError):
    """(1) It is no certificate of this version, not canonical, or not signed by the account that it names."""


class CertificateMarketError(TradeCertificateError):
    """(2) It is about another contract than the published market."""


class InclusionFaultError(TradeCertificateError):
    """(3) A transaction is malformed, failed, or does not stand in its block."""


class CertificateManifestError(TradeCertificateError):
    """(4) The manifest is not the listed one, or contradicts the terms."""


class CertificateStoryError(TradeCertificateError):
    """(5) The events are no trade that has ended, or a move does not answer the one before."""


class CertificateProofError(TradeCertificateError):
    """(6) The proof is about something else than what was listed and bought, or does not hold."""


class CertificateLogError(TradeCertificateError):
    """(7) An entry of the audit log is not in it, or says something else than the chain."""


class CertificateChainError(TradeCertificateError):
    """(8) The chain does not have a block of the certificate."""
