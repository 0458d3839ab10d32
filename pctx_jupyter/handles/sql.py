"""Queries on frames by DuckDB, in a database that is empty, in memory, and made for one query.

A query reads the tables that it is given, and nothing else: no file, no network, no extension, no variable of Python.
It is one statement that selects. DuckDB is imported with the first query.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .. import errors

TABLE = "frame"
"""The name of the frame that is asked."""
MEMORY = "4GB"
"""Memory that a query may use."""

_CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": MEMORY,
    "temp_directory": "",
}
"""The configuration of such a database."""


def query(text: object, tables: Mapping[str, Any]) -> Any:
    """Run a query; returns a table of the library of the table `TABLE`.

    Args:
        text: The query.
        tables: Data frames of pandas or polars, or tables of Arrow, by name.

    Raises:
        InvalidParams: DuckDB is not installed, or the query is wrong, or it does more than select.
    """
    try:
        import duckdb
    except ImportError:
        raise errors.InvalidParams(
            "Cannot run a query: sql needs the package duckdb, which is not installed: pip install duckdb"
        ) from None
    if not isinstance(text, str):
        raise errors.InvalidParams("Cannot run a query: it has to be a text")
    database = duckdb.connect(":memory:", config=dict(_CLOSED))
    try:
        statements = database.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise errors.InvalidParams("Cannot run a query: it has to be one statement that selects")
        for name, table in tables.items():
            if not name.isidentifier():
                raise errors.InvalidParams(f"Cannot run a query: {name[:50]!r} is no name of a table")
            database.register(name, table)
        database.execute("SET lock_configuration = true")
        return _result(duckdb, database.sql(text), tables[TABLE])
    except duckdb.CatalogException as error:  # what it suggests are tables of its own
        why = str(error).partition("\nDid you mean")[0].strip()[:1_000]
        raise errors.InvalidParams(f"Cannot run a query: {why} The tables are {', '.join(tables)}") from None
    except duckdb.Error as error:
        raise errors.InvalidParams(f"Cannot run a query: {str(error).strip()[:1_000]}") from None
    finally:
        database.close()


def _result(duckdb: Any, found: Any, like: Any) -> Any:
    """Return a result as a table of the library of another one.

    Sums of integers have 128 bits in DuckDB. They become floats, as in pandas: elsewhere they would be decimals, which
    are texts in JSON.
    """
    if "HUGEINT" in map(str, found.types) and len(set(found.columns)) == len(found.columns):
        columns = [duckdb.ColumnExpression(name) for name in found.columns]
        found = found.select(
            *(
                column.cast("DOUBLE").alias(name) if str(kind) == "HUGEINT" else column
                for column, name, kind in zip(columns, found.columns, found.types, strict=True)
            )
        )
    library = type(like).__module__.partition(".")[0]
    if library == "pandas":
        return found.df()
    table = found.to_arrow_table()
    return sys.modules["polars"].from_arrow(table) if library == "polars" else table
