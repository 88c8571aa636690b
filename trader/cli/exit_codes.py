"""Exit codes: whose fault an error is, as a number for scripts. The table stands in `trader.cli.app`."""

from __future__ import annotations

from contracts import ArtifactError, DeploymentError, UnexpectedCodeError
from ledger import LedgerUnavailableError, TamperedError
from trader.delivery import CiphertextError, DeliveryFaultError
from trader.errors import EnvironmentFaultError, PeerFaultError
from trader.exchange import EnvelopeError, MessageError, TransferError
from trader.he import WireError
from trader.package import DamagedPackageError
from zk.errors import StatementError, UnsupportedArchitectureError, WorkerError, ZkError

DONE = 0
DEFECT = 1
BAD_INPUT = 2
PEER_FAULT = 3
ENVIRONMENT_FAULT = 4
INTERRUPTED = 130

_ENVIRONMENT = (EnvironmentFaultError, WorkerError, LedgerUnavailableError, ArtifactError, DeploymentError)
_BAD_INPUT_OF_ZK = (StatementError, UnsupportedArchitectureError)
_CHECK_FAILED = (
    PeerFaultError,
    WireError,
    EnvelopeError,
    MessageError,
    CiphertextError,
    DeliveryFaultError,
    TransferError,
    UnexpectedCodeError,
    DamagedPackageError,
    TamperedError,
    ZkError,
)


def exit_code_of(error: Exception) -> int:
    """Return the exit code of one of our errors; what is neither the peer's nor the environment's is the caller's."""
    if isinstance(error, _ENVIRONMENT):
        return ENVIRONMENT_FAULT
    if isinstance(error, _BAD_INPUT_OF_ZK):
        return BAD_INPUT
    return PEER_FAULT if isinstance(error, _CHECK_FAILED) else BAD_INPUT
