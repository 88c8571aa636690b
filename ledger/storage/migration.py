"""From an older schema to this one, by Alembic; inside the caller's transaction, so that a crash leaves the old log."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, insert, inspect

from ledger.storage.store import open_store
from ledger.storage.tables import REVISION, VERSION


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the tables from `revision` to `REVISION`."""
    if VERSION.name not in inspect(connection).get_table_names():  # version 1 had none
        from ledger.storage.migrations.versions.r0002_catalogue import SCHEMA

        connection.exec_driver_sql(SCHEMA[VERSION.name])
    connection.execute(delete(VERSION))
    connection.execute(insert(VERSION), {"version_num": revision})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)


def schemas() -> dict[int, list[str]]:
    """Return the statements that made a SQLite file of each older schema version: no other file is migrated."""
    from ledger.storage.migrations.versions.r0001_entries_and_nodes import STATEMENTS
    from ledger.storage.migrations.versions.r0002_catalogue import SCHEMA

    return {1: STATEMENTS, 2: list(SCHEMA.values())}


def migrate_log(location: Path | str) -> None:
    """Bring an audit log to the schema of this version; one that has it is left alone.

    Raises:
        NotALedgerError: It is no audit log of a known schema.
        LedgerUnavailableError: It can't be opened or locked.
    """
    open_store(location, migrate=True).close()
