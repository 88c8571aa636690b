"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How much it matters."""

    GOOD = "good"
    REMARK = "remark"
    """Some uses need something that is missing."""
    BAD = "bad"
    """A trade would fail, or be at risk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        status: How it is.
        text: What was found.
        next_step: What to do; empty where it is good.
    """

    subject: str
    status: Status
    text: str
    next_step: str = ""


def good(subject: str, text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(subject, Status.GOOD, text)


def remark(subject: str, text: str, next_step: str) -> Finding:
    """Return that some uses need something that is missing."""
    return Finding(subject, Status.REMARK, text, next_step)


def bad(subject: str, text: str, next_step: str) -> Finding:
    """Return that a trade would fail, or be at risk."""
    return Finding(subject, Status.BAD, text, next_step)
