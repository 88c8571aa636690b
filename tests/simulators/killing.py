"""Kills a party at every point where a crash could hurt: around each write, message, log entry and transaction.

A killed process does nothing more, so `KilledError` is no `Exception`: nobody catches it but the test, which then
starts the party anew from its folder. Each point kills once, so that a trade passes through all of them.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ledger import AuditLog
from trader.chain import Chain
from trader.exchange import FolderMailbox
from trader.parties.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest
    from web3.contract.contract import ContractFunction


class KilledError(BaseException):
    """The process is dead."""


def _name(function: ContractFunction) -> str:
    return str(function.abi_element_identifier).split("(")[0]


POINTS: list[tuple[type, str, Callable[..., str]]] = [
    (Vault, "write", lambda vault, name, _data: f"{vault.folder.name}/{name}"),
    (FolderMailbox, "reserve", lambda _mailbox, label: label.kind.value),
    (FolderMailbox, "put", lambda _mailbox, label, _message, _account: label.kind.value),
    (AuditLog, "append", lambda _log, record: record.kind.value),
    (Chain, "send", lambda _chain, function, *_arguments, **_options: _name(function)),
    (Chain, "resend", lambda _chain, _signed, function: _name(function)),
]


@contextmanager
def killing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Kill once at every point; yields the points so far."""
    passed: list[str] = []

    def kill_once(point: str) -> None:
        if point not in passed:
            passed.append(point)
            raise KilledError(point)

    def deadly(method: Callable[..., Any], name: str, label: Callable[..., str]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            point = f"{name} {label(*arguments, **options)}"
            kill_once(f"before {point}")
            result = method(*arguments, **options)
            kill_once(f"after {point}")
            return result

        return wrapper

    with monkeypatch.context() as patch:
        for owner, name, label in POINTS:
            patch.setattr(owner, name, deadly(getattr(owner, name), f"{owner.__name__}.{name}", label))
        yield passed
