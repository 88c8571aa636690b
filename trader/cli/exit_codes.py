"""Exit codes: whose fault an error is, as a number for scripts. The table stands in `trader.cli.app`."""

from __future__ import annotations

from contracts.errors import ArtifactError, DeploymentError, UnexpectedCodeError
from ledger.errors import LedgerUnavailableError, TamperedError
from trader.errors import CallerError, EnvironmentFaultError, PeerFaultError, TraderError
from zk.errors import StatementError, UnsupportedArchitectureError, WorkerError, ZkError

DONE = 0
DEFECT = 1
BAD_INPUT = 2
PEER_FAULT = 3
ENVIRONMENT_FAULT = 4
INTERRUPTED = 130

_ENVIRONMENT = (EnvironmentFaultError, WorkerError, LedgerUnavailableError, ArtifactError, DeploymentError)
_BAD_INPUT_OF_ZK = (StatementError, UnsupportedArchitectureError)
_CHECK_FAILED = (PeerFaultError, UnexpectedCodeError, TamperedError, ZkError)


def exit_code_of(error: Exception) -> int:
    """Return the exit code of one of our errors; what is neither the peer's nor the environment's is the caller's."""
    if isinstance(error, _ENVIRONMENT):
        return ENVIRONMENT_FAULT
    if isinstance(error, _BAD_INPUT_OF_ZK):
        return BAD_INPUT
    failed = isinstance(error, _CHECK_FAILED) or (isinstance(error, TraderError) and _is_failed_check_of_a_room(error))
    return PEER_FAULT if failed else BAD_INPUT


def _is_failed_check_of_a_room(error: TraderError) -> bool:
    """Whether a room of the trader found the other side's fault; the rooms are slow to import, and often not needed."""
    if isinstance(error, CallerError):
        return False
    from trader.delivery import CiphertextError, DeliveryFaultError
    from trader.exchange import EnvelopeError, MessageError, TransferError
    from trader.he import WireError
    from trader.package import DamagedPackageError

    rooms = (WireError, EnvelopeError, MessageError, CiphertextError, DeliveryFaultError, TransferError)
    return isinstance(error, (*rooms, DamagedPackageError))
