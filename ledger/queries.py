"""What a reader asks the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.entries import Entry, EntryKind, Role
from ledger.log import AuditLog


@dataclass(frozen=True, kw_only=True)
class TradeStory:
    """Everything that the log says about one trade, oldest first.

    Attributes:
        trade_id: The contract's trade id.
        entries: The entries of the trade, in log order, the `Reorganised` ones too.
        void_sequences: Sequence numbers of the entries that a reorganisation has undone.
    """

    trade_id: int
    entries: tuple[Entry, ...]
    void_sequences: frozenset[int]

    def gas_used_by_role(self) -> Mapping[Role, int]:
        """Gas by role, each transaction counted once."""
        raise NotImplementedError


def read_trade(log: AuditLog, trade_id: int) -> TradeStory:
    """The story of a trade.

    Raises:
        UnknownTradeError: The log says nothing about it.
    """
    raise NotImplementedError


def read_by_actor(log: AuditLog, actor: str, *, limit: int = 1000) -> Sequence[Entry]:
    """The latest entries of an account, newest first."""
    raise NotImplementedError


def read_by_kind(log: AuditLog, kind: EntryKind, *, limit: int = 1000) -> Sequence[Entry]:
    """The latest entries of a kind, newest first."""
    raise NotImplementedError


def count_by_kind(log: AuditLog) -> Mapping[EntryKind, int]:
    """How many entries of each kind the log holds."""
    raise NotImplementedError
