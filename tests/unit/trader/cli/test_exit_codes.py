"""Exit codes say whose fault an error is, for errors of every room."""

import pytest

from contracts import ArtifactError, MarketRevertedError, UnexpectedCodeError
from ledger import LedgerUnavailableError, TamperedError, UnknownTradeError
from trader.cli.exit_codes import BAD_INPUT, ENVIRONMENT_FAULT, PEER_FAULT, exit_code_of
from trader.delivery import CiphertextError, DeliveryFaultError
from trader.errors import AccountError, ChainUnavailableError, ListingError, TraderError
from trader.exchange import EnvelopeError, KeyFileError, MailboxFaultError, MessageError, TransferError
from trader.he import PlanError, WireError
from trader.model import DataError, ManifestError
from trader.package import DamagedPackageError, QuotaError
from zk.errors import InvalidProofError, StatementError, UnsupportedArchitectureError, WorkerFailedError

CODES = {
    BAD_INPUT: {AccountError, DataError, KeyFileError, ManifestError, MarketRevertedError, PlanError, QuotaError}
    | {StatementError, TraderError, UnknownTradeError, UnsupportedArchitectureError},
    PEER_FAULT: {CiphertextError, DamagedPackageError, DeliveryFaultError, EnvelopeError, InvalidProofError}
    | {ListingError, MessageError, TamperedError, TransferError, UnexpectedCodeError, WireError},
    ENVIRONMENT_FAULT: {ArtifactError, ChainUnavailableError, LedgerUnavailableError, MailboxFaultError}
    | {WorkerFailedError},
}


@pytest.mark.parametrize(
    ("error", "code"),
    [(error, code) for code, errors in CODES.items() for error in sorted(errors, key=lambda kind: kind.__name__)],
)
def test_exit_code(error: type[Exception], code: int) -> None:
    assert exit_code_of(error.__new__(error)) == code
