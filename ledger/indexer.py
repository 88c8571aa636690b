"""Reads the market contract's events into the log, each once, whatever crashes or is reorganised in between."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ledger.entries import Entry
from ledger.log import AuditLog

if TYPE_CHECKING:
    from web3.contract import Contract


def index_events(log: AuditLog, contract: "Contract", *, first_block: int = 0) -> Sequence[Entry]:
    """Appends every event of `contract` that the log does not hold yet, and returns what it appended.

    Args:
        log: The log; it may hold the events of one market only.
        contract: The market, as `contracts.manager.bind_market` returns it.
        first_block: Where to start in a log without events: the market's deployment block.
    """
    raise NotImplementedError
