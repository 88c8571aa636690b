"""Moments as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def clock(seconds: int) -> str:
    """Return a Unix time as this machine's clock shows it: `2026-11-29 14:05:00 +0100`."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S %z}"
