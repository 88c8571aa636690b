"""Many rows at once, by the drivers' own ways: SQLAlchemy's work for each row costs more than the row."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table

Values = tuple[Any, ...]


class Listed(NamedTuple):
    """A query about what is listed, however much that is: one text, so that it is planned once.

    Attributes:
        query: SQL, with `{}` for the list, a table `listed` with columns `a`, `b`, ….
        types: Of the columns, by PostgreSQL's names.
    """

    query: str
    types: tuple[str, ...]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows, each with the values of all columns in the table's order."""
    if not rows:
        return
    names = ", ".join(column.name for column in table.columns)
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    marks = ", ".join("?" * len(table.columns))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", list(rows))  # noqa: S608 - ours


def select_listed(connection: Connection, listed: Listed, columns: Sequence[Sequence[Any]]) -> Iterable[Any]:
    """Return the rows of a query about what stands in `columns`, which are of one length and not empty."""
    names = "abc"[: len(columns)]
    if connection.dialect.name == "postgresql":
        marks = ", ".join(f"%s::{kind}[]" for kind in listed.types)
        table = f"unnest({marks}) AS listed({', '.join(names)})"
        return connection.exec_driver_sql(listed.query.format(table), tuple(map(list, columns)))
    single = len(columns) == 1
    picked = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
    table = f"(SELECT {'value AS a' if single else picked} FROM json_each(?)) AS listed"  # noqa: S608 - names of our own
    values = list(columns[0] if single else zip(*columns, strict=True))
    return connection.exec_driver_sql(listed.query.format(table), (json.dumps(values),))
