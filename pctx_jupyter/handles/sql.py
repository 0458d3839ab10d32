"""Queries on frames by DuckDB, in a database that is empty, in memory, and made for one query.

A query reads the tables that it is given, and nothing else: no file, no network, no extension, no variable of Python.
It is one statement that selects. Its tables and its result have to fit into `MEMORY`. Where and when it runs is decided
in `queries`. DuckDB is imported with the first query.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from .. import errors, memory
from . import results
from .results import quoted

TABLE = "frame"
"""The name of the frame that is asked."""
MEMORY = 2_000_000_000
"""Bytes that a query may use, if a quarter of the machine's memory is not less."""
THREADS = 4
"""Processor cores that a query may use: the kernel shares them with others."""
LONGEST = 20_000
"""Characters of a query: the parser's memory has no limit, and a text of 90,000 characters took 700 MB."""

_RESULT = "the result"
"""The name of the table with the result. DuckDB counts the memory of tables, and not that of results."""
_CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "max_expression_depth": "1000",
}
"""The configuration of such a database."""


def query(text: object, tables: Mapping[str, Any], max_bytes: int | None = None) -> Any:
    """Run a query; returns a table of the library of the table `TABLE`.

    Args:
        text: The query.
        tables: Data frames of pandas or polars, or tables of Arrow, by name.
        max_bytes: Memory that it may use; None: `memory_limit`.

    Raises:
        InvalidParams: DuckDB is not installed, or the query is wrong, or it does more than select, or it needs too much
            memory.
    """
    return _Query(text, tables, max_bytes).run()


def memory_limit() -> int:
    """Return the bytes that a query may use on this machine."""
    there = memory.cgroup_limit()
    with suppress(AttributeError, ValueError, OSError):  # not every system says how much memory it has
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        there = physical if there is None else min(there, physical)
    return MEMORY if there is None else min(MEMORY, there // 4)


def demand_query(text: object) -> str:
    """Return a query that may be run.

    Raises:
        InvalidParams: DuckDB is not installed, or it is no query, or too long.
    """
    if find_spec("duckdb") is None:
        raise errors.InvalidParams(
            "Cannot run a query: sql needs the package duckdb, which is not installed: pip install duckdb"
        )
    if not isinstance(text, str):
        raise errors.InvalidParams("Cannot run a query: it has to be a text")
    if len(text) > LONGEST:
        raise errors.InvalidParams(
            f"Cannot run a query: it has {len(text):,} characters, and may have {LONGEST:,}; pass long lists in as "
            "frames, and join them"
        )
    return text


def too_large(limit: int) -> errors.InvalidParams:
    """Make the error for a query that needs more bytes than it may use."""
    return errors.InvalidParams(
        f"Cannot run a query: it needs more than {limit / 1e9:.1f} GB of memory; filter or group more rows"
    )


class _Query:
    """One query, which runs once."""

    def __init__(self, text: object, tables: Mapping[str, Any], max_bytes: int | None = None) -> None:
        self._text, self._tables, self._max_bytes = text, tables, max_bytes

    def run(self) -> Any:
        text = demand_query(self._text)
        import duckdb

        limit = memory_limit() if self._max_bytes is None else self._max_bytes
        threads = min(THREADS, os.cpu_count() or 1)
        config: dict[str, Any] = _CLOSED | {"memory_limit": f"{limit // 1_000_000}MB", "threads": str(threads)}
        database = duckdb.connect(":memory:", config=config)
        try:
            return self._selected(duckdb, database, text)
        except duckdb.OutOfMemoryException:
            raise too_large(limit) from None
        except MemoryError:
            raise too_large(limit) from None
        except duckdb.CatalogException as error:  # what it suggests are tables of its own
            why = str(error).partition("\nDid you mean")[0].strip()[:1_000]
            raise errors.InvalidParams(f"Cannot run a query: {why} The tables are {', '.join(self._tables)}") from None
        except duckdb.PermissionException:  # it names folders of the machine
            raise errors.InvalidParams(
                "Cannot run a query: it reads its tables, and no file, network or extension"
            ) from None
        except duckdb.Error as error:
            raise errors.InvalidParams(f"Cannot run a query: {str(error).strip()[:1_000]}") from None
        finally:
            database.close()

    def _selected(self, duckdb: Any, database: Any, text: str) -> Any:
        statements = database.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise errors.InvalidParams("Cannot run a query: it has to be one statement that selects")
        seen: set[str] = set()
        for name, table in self._tables.items():
            if not name.isidentifier() or name.casefold() in seen:
                raise errors.InvalidParams(
                    f"Cannot run a query: {name[:50]!r} is no name of a table; a name has letters, digits and _, and "
                    "two names may not differ in their case alone"
                )
            seen.add(name.casefold())
            _register(database, name, table)
        database.execute("SET lock_configuration = true")
        database.sql(text).create(_RESULT)
        return results.table_of(database.table(f'"{_RESULT}"'), self._tables[TABLE])


def _register(database: Any, name: str, table: Any) -> None:
    """Make a table one of a database. Its durations have no months, as which DuckDB counts 30 days of pandas."""
    held = f"{name} of another library"
    database.register(held, table)
    found = database.table(f'"{held}"')
    lasting = [column for column, kind in zip(found.columns, found.types, strict=True) if str(kind) == "INTERVAL"]
    columns = ", ".join(f"to_microseconds(epoch_us({quoted(one)})) AS {quoted(one)}" for one in lasting)
    replaced = f" REPLACE ({columns})" if lasting else ""
    database.execute(f'CREATE TEMP VIEW "{name}" AS SELECT *{replaced} FROM "{held}"')
