"""The certificate of a finished trade: what a third party needs to check, a year later, what was promised and paid.

Read `document` (what stands in it), then `verify` (the numbered checks); `writing` makes one, `story` follows the
transactions.
"""

from trader.trade_certificate.document import TradeCertificate, parse_trade_certificate
from trader.trade_certificate.errors import TradeCertificateError
from trader.trade_certificate.verify import (
    TRADE_CERTIFICATE_CHECKS,
    VerifiedTrade,
    Witnesses,
    check_delivered,
    verify_trade_certificate,
)
from trader.trade_certificate.writing import certificate_of, make_trade_certificate

__all__ = [
    "TRADE_CERTIFICATE_CHECKS",
    "TradeCertificate",
    "TradeCertificateError",
    "VerifiedTrade",
    "Witnesses",
    "certificate_of",
    "check_delivered",
    "make_trade_certificate",
    "parse_trade_certificate",
    "verify_trade_certificate",
]
