"""What the service refuses, as problems (RFC 9457), and what it can't do.

::

    TraderError
    └── ServiceError          the service can't run so: settings, its folder, its index
        ├── IndexFaultError     its disk fails or is full; an EnvironmentFaultError as well
        └── RefusedError        a request is refused; says so with a status, and nothing about the inside
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError, TraderError

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServiceError(TraderError):
    """The service can't run so; root of the errors of `trader.service`."""


class IndexFaultError(ServiceError, EnvironmentFaultError):
    """The index of messages can't be read or written: its disk is full or gone. Nothing is lost; try again."""


class RefusedError(ServiceError):
    """A request is refused.

    Attributes:
        status: HTTP's, 4xx or 5xx.
        title: What kind of refusal it is, the same for each of its kind.
        detail: What to do.
        headers: That the answer has.
    """

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
