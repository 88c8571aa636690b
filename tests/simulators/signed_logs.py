"""A log with keys and witnesses, for tests; keys are made once, as their password costs time."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ledger import AuditLog
from ledger.notes.keyfile import KeyRole, SigningKeys, generate_keys
from ledger.notes.note import SignedNote
from tests.simulators.ledger_records import contract_event, step

ORIGIN = "example.com/trades"
WITNESSES = ("w1.example/witness", "w2.example/witness", "w3.example/witness")
NOW = 1_800_000_000


_generated = cache(generate_keys)


def log_keys(origin: str = ORIGIN) -> SigningKeys:
    return _generated(origin, KeyRole.LOG)


def witness_keys(name: str = WITNESSES[0]) -> SigningKeys:
    return _generated(name, KeyRole.WITNESS)


def records(numbers: Iterable[int]) -> list[object]:
    """Steps and events in turn."""
    return [contract_event(number) if number % 3 else step(number) for number in numbers]


@dataclass(frozen=True)
class SignedLog:
    """A log and what its keeper signed of it."""

    log: AuditLog
    note: SignedNote


def signed_log(path: Path, entries: int, *, origin: str = ORIGIN) -> SignedLog:
    """A log of so many entries, and its checkpoint; the log is left open."""
    log = AuditLog.open(path)
    log.append_all(records(range(log.head().entries, entries)))
    log.give_origin(origin)
    return SignedLog(log, log_keys(origin).sign(str(log.checkpoint()), NOW))
