"""Structured logs: one JSON object a line, of fields that are named here and hold no secret.

What is logged of a request is method, path, status, bytes, time and, if it was signed, the account. Headers and
bodies are not: they have signatures, and messages.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

FIELDS: Final = (
    "request_id",
    "method",
    "path",
    "status",
    "seconds",
    "received_bytes",
    "sent_bytes",
    "account",
    "error",
)
"""What a record may have in its `extra`, beside its message."""
_MOST_CHARACTERS: Final = 1000


class JsonFormatter(logging.Formatter):
    """Formats records as JSON, in one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_MOST_CHARACTERS],
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value[:_MOST_CHARACTERS] if isinstance(value, str) else value
        if record.exc_info and record.exc_info[0] is not None:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def log_as_json(level: int = logging.INFO) -> None:
    """Have the whole process log to standard error in this form; for the command that runs a service."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
