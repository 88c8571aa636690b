"""What a seller's service is told once, when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GIBIBYTE: Final = 1 << 30


class AccessRole(Enum):
    """Who may use the administrative routes."""

    OWNER = "owner"
    """May do everything."""
    OPERATOR = "operator"
    """Runs the machine: reads metrics and use of storage, has storage cleaned."""
    AUDITOR = "auditor"
    """Sees trades, and changes nothing."""


class Right(Enum):
    """What an administrative route asks for."""

    READ_METRICS = "read metrics"
    READ_TRADES = "see trades"
    MAINTAIN = "maintain the storage"


RIGHTS: Final[Mapping[AccessRole, frozenset[Right]]] = MappingProxyType(
    {
        AccessRole.OWNER: frozenset(Right),
        AccessRole.OPERATOR: frozenset({Right.READ_METRICS, Right.MAINTAIN}),
        AccessRole.AUDITOR: frozenset({Right.READ_TRADES}),
    }
)


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may be done: `burst` times at once, and `per_second` on the average."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Of one seller's service.

    Attributes:
        endpoint: The URL that buyers reach it by, as in the manifest; what they sign begins with it.
        chain_id: Of the market's chain.
        market: The market's address.
        folder: The service's own: unfinished uploads. Its index and artifacts are the mailbox's.
        roles: Accounts that may use administrative routes, by address.
        allowed_accounts: Buyers that are served; None for all that the chain knows.
        metrics_token: A password for `/metrics`, for a Prometheus that can't sign; without one only roles read it.
        account_rate: Requests of one account.
        address_rate: Requests without a valid signature of one IPv4 address or IPv6 /64.
        account_quota_bytes: Messages and unfinished uploads of one account, together.
        total_quota_bytes: Of all accounts.
        minimum_free_bytes: Left free on the disk: uploads that would take of it are refused.
        upload_lifetime_seconds: How long an upload is kept after its last byte came.
        stall_seconds: How long a client may send or take nothing before its connection is closed.
        slowest_bytes_per_second: Clients that are slower over a whole minute are cut off.
        clock_skew_seconds: By how much a client's clock may be wrong.
        documentation: Whether `/docs` shows the interface; `/openapi.json` is always there.
    """

    endpoint: str
    chain_id: int
    market: str
    folder: Path
    roles: Mapping[str, AccessRole] = field(default_factory=dict)
    allowed_accounts: frozenset[str] | None = None
    metrics_token: str | None = field(default=None, repr=False)
    account_rate: Rate = Rate(20.0, 100)
    address_rate: Rate = Rate(5.0, 50)
    account_quota_bytes: int = 4 * GIBIBYTE
    total_quota_bytes: int = 64 * GIBIBYTE
    minimum_free_bytes: int = GIBIBYTE
    upload_lifetime_seconds: int = 24 * 3600
    stall_seconds: float = 30.0
    slowest_bytes_per_second: int = 1024
    clock_skew_seconds: int = 30
    documentation: bool = False

    def role_of(self, account: str) -> AccessRole | None:
        """Return an account's role, if it has one."""
        return {address.lower(): role for address, role in self.roles.items()}.get(account.lower())

    def allows(self, account: str) -> bool:
        """Return whether a buyer of this address is served."""
        allowed = self.allowed_accounts
        return allowed is None or account.lower() in {address.lower() for address in allowed}
