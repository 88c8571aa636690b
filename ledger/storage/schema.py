"""What the SQLite file of an audit log looks like, as text: a file with any other schema is not opened.

The text follows from `ledger.storage.tables`, white space collapsed; a test holds its digest, so that another release
of SQLAlchemy can't change it unnoticed.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from ledger.storage.tables import METADATA

APPLICATION_ID: Final = 0x4D534C31  # "MSL1", in the file's header
SCHEMA_VERSION: Final = 3
NEVER_CHANGED: Final = ("entries", "nodes")
_VERBS: Final = (("UPDATE", "changed"), ("DELETE", "deleted"))


def _text(element: DDLElement, dialect: Dialect) -> str:
    return " ".join(str(element.compile(dialect=dialect)).split())


def _tables_and_indexes(dialect: Dialect) -> dict[str, str]:
    texts = {}
    for table in METADATA.tables.values():
        texts[table.name] = _text(CreateTable(table), dialect)
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            texts[str(index.name)] = _text(CreateIndex(index), dialect)
    return texts


SCHEMA: Final = _tables_and_indexes(SQLiteDialect())
for _table in NEVER_CHANGED:
    for _verb, _done in _VERBS:
        SCHEMA[f"{_table}_are_never_{_done}"] = (
            f"CREATE TRIGGER {_table}_are_never_{_done} BEFORE {_verb} ON {_table}"
            f" BEGIN SELECT RAISE(ABORT, '{_table} are never {_done}'); END"
        )
"""Name of each table, index and trigger, and the statement that makes it."""

SELECT_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
"""All rows, those with SQLite's own names too: an audit log has none, and SQLite reads indexes and statistics there."""


def schema_rows(statements: Iterable[str] = SCHEMA.values()) -> list[tuple[str, str, str, str]]:
    """Return what `SELECT_SCHEMA` gives of an audit log, sorted by `repr`: another file's columns may have any type."""
    rows = []
    for statement in statements:
        kind, name = [word for word in statement.split() if word != "UNIQUE"][1:3]
        kind = kind.lower()
        table = statement.split(" ON ")[1].split()[0] if kind != "table" else name
        rows.append((kind, name, table, statement))
    return sorted(rows, key=repr)


def server_statements() -> list[str]:
    """Return the statements that make an audit log in a PostgreSQL database; the triggers guard against accidents."""
    dialect = PGDialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
    statements = list(_tables_and_indexes(dialect).values())
    statements.append(
        "CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION '%% are never changed or deleted', TG_TABLE_NAME; END $$"
    )
    statements += [
        f"CREATE TRIGGER {table}_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()"
        for table in NEVER_CHANGED
    ]
    return statements
