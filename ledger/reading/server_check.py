"""Whether a PostgreSQL database has the tables of an audit log and nothing on them that could make its queries lie.

What is looked at is the server's own catalogue (`pg_class` and its like), with the driver alone; nothing is written, so
that a standby or a reader without rights will do. Other tables in the database are nobody's business here.
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import BigInteger, LargeBinary, Table, Text

from ledger.errors import StorageError
from ledger.storage.schema import NEVER_CHANGED
from ledger.storage.tables import METADATA

_TYPES: Final = {BigInteger: "bigint", LargeBinary: "bytea", Text: "text"}
_GUARD: Final = "audit_log_is_append_only"

_RELATIONS: Final = """
SELECT c.relkind::text, c.relpersistence::text, am.amname::text, c.reloptions,
       c.relrowsecurity OR c.relforcerowsecurity,
       c.relhassubclass OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid),
       EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid)
FROM pg_class c LEFT JOIN pg_am am ON am.oid = c.relam WHERE c.oid = to_regclass(%s)
"""
_COLUMNS: Final = """
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef OR a.attgenerated <> ''
       OR a.attidentity <> '', a.attcollation IN (0, (SELECT oid FROM pg_collation WHERE collname = 'default'))
FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_INDEXES: Final = """
SELECT replace(pg_get_indexdef(i.indexrelid), format(' ON %%I.', n.nspname), ' ON '),
       i.indisvalid AND i.indisready AND i.indislive
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass(%s)
"""
_TRIGGERS: Final = """
SELECT t.tgname::text, t.tgenabled::text, t.tgtype::integer, p.proname::text, p.pronamespace = c.relnamespace,
       t.tgqual IS NULL
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = to_regclass(%s)
"""
_BEFORE_EACH_STATEMENT: Final = 2 | 8 | 16 | 32  # before; delete, update, truncate


def check_schema(connection: Any) -> None:
    """Compare tables, columns, indexes and triggers with those of an audit log; (7).

    Raises:
        StorageError: One is missing, foreign or different.
    """
    for table in METADATA.tables.values():
        for what, query, expected in (
            ("table", _RELATIONS, [("r", "p", "heap", None, False, False, False)]),
            ("column", _COLUMNS, list(_columns(table))),
            ("index", _INDEXES, list(_indexes(table))),
            ("trigger", _TRIGGERS, list(_triggers(table))),
        ):
            actual = [tuple(row) for row in connection.execute(query, (table.name,))]
            if sorted(actual, key=repr) != sorted(expected, key=repr) or (what == "column" and actual != expected):
                foreign = next((row for row in [*actual, *expected] if (row in actual) != (row in expected)), actual)
                raise StorageError(
                    f"the database has another schema than an audit log: see a {what} of {table.name},"
                    f" {foreign!r:.160}. It was changed: restore a copy",
                    expected=expected,
                    actual=actual,
                )


def check_indexes(connection: Any) -> None:
    """Read each table without its indexes and through each of them, and compare; (8). Within a transaction.

    Raises:
        StorageError: An index lacks rows, has other ones, or is out of order.
    """
    for table in METADATA.tables.values():
        for name, columns, condition in _all_indexes(table):
            keys = ", ".join(f'"{column}"' for column in columns)
            rows = f'FROM "{table.name}"{condition} ORDER BY {keys}'
            last = f"lag(ROW({keys})) OVER (ORDER BY {keys}) AS last"
            # What the index says itself, which rows it leads to, and whether these are in its order.
            questions = (
                f"SELECT {_DIGEST} FROM (SELECT {keys} {rows}) r",  # noqa: S608 - all names are our own
                f"SELECT {_DIGEST} FROM (SELECT ctid {rows}) r",  # noqa: S608
                f"SELECT count(*) FROM (SELECT {keys}, ctid, {last} {rows}) r WHERE ROW({keys}) < last",  # noqa: S608
            )
            expected = [_ask(connection, question, None) for question in questions[:2]] + [(0,)]
            actual = [_ask(connection, question, name) for question in questions]
            if actual != expected:
                raise StorageError(
                    f"all entries are there, but queries could miss some or show others: the index {name} does not hold"
                    f" the rows of {table.name}. The database was changed or damaged: REINDEX it, or restore a copy",
                    expected=expected,
                    actual=actual,
                )


_DIGEST: Final = "count(*), sum(hashtextextended(ROW(r.*)::text, 0)::numeric)"


def _ask(connection: Any, question: str, index: str | None) -> tuple[Any, ...]:
    """Return the answer that is read through an index; through none if None."""
    allowed = {"seqscan": index is None, "sort": index is None, "indexscan": index is not None}
    allowed |= {"indexonlyscan": index is not None, "bitmapscan": False, "incremental_sort": False}
    for way, is_allowed in allowed.items():
        connection.execute("SELECT set_config(%s, %s, true)", (f"enable_{way}", "on" if is_allowed else "off"))
    connection.execute("SELECT set_config('max_parallel_workers_per_gather', '0', true)")
    plan = "\n".join(str(row[0]) for row in connection.execute(f"EXPLAIN {question}"))
    if (" using " in plan) if index is None else (f" using {index} on " not in plan or "Sort" in plan):
        raise StorageError(f"the server does not read through {index or 'the table'} as it was told to")
    return tuple(connection.execute(question).fetchone())


def _columns(table: Table) -> Iterator[tuple[Any, ...]]:
    for column in table.columns:
        kind = next(name for sort, name in _TYPES.items() if isinstance(column.type, sort))
        yield column.name, kind, not column.nullable, False, True


def _all_indexes(table: Table) -> Iterator[tuple[str, list[str], str]]:
    """Return name, columns and condition of each index of a table."""
    yield f"{table.name}_pkey", [column.name for column in table.primary_key], ""
    for index in table.indexes:
        partial = index.dialect_options["postgresql"]["where"]
        condition = "" if partial is None else f" WHERE ({partial.left.name} IS NOT NULL)"
        yield str(index.name), [column.name for column in index.columns], condition


def _indexes(table: Table) -> Iterator[tuple[Any, ...]]:
    unique = {str(index.name) for index in table.indexes if index.unique} | {f"{table.name}_pkey"}
    for name, columns, condition in _all_indexes(table):
        keys = ", ".join(f'"{column}"' if column in _RESERVED else column for column in columns)
        kind = "UNIQUE INDEX" if name in unique else "INDEX"
        yield f"CREATE {kind} {name} ON {table.name} USING btree ({keys}){condition}", True


_RESERVED: Final = {"position"}
"""Columns whose names the server puts in quotes."""


def _triggers(table: Table) -> Iterator[tuple[Any, ...]]:
    if table.name in NEVER_CHANGED:
        yield f"{table.name}_are_never_changed", "O", _BEFORE_EACH_STATEMENT, _GUARD, True, True
