"""Where a log may be kept: what is tested of a log is tested in a file and on a PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.postgres import Server, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """The location of an empty log."""
    if request.param == "sqlite":
        return tmp_path / "audit.sqlite"
    server: Server = request.getfixturevalue("postgres")
    return server.new_location()
