"""Where a log is: a file, or a database on a PostgreSQL server."""

from pathlib import Path
from typing import Final

SERVER_SCHEMES: Final = ("postgresql://", "postgres://")


def is_server(location: Path | str) -> bool:
    """Return whether a log's location is a database on a server and no file."""
    return isinstance(location, str) and location.startswith(SERVER_SCHEMES)
