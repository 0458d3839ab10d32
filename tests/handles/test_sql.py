"""Queries on frames by DuckDB: the same for each library, and nothing but the tables they are given."""

from __future__ import annotations

import asyncio
import datetime as dt
import resource
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import psutil
import pyarrow as pa
import pytest

from pctx_jupyter import errors, values
from pctx_jupyter.handles import frames, queries, sql, steps

pytest.importorskip("duckdb")

SOON = 60
"""Seconds that turn a hang into a failure."""

DATA = {"id": [1, 2, None], "status": ["open", "done", "open"]}
secret = pd.DataFrame({"password": ["hunter2"]})


@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame, pa.table])
def test_query_of_a_frame_gives_a_table_of_the_same_library(made: Any) -> None:
    text = "select status, sum(id) total, count(*) n from frame join o using (status) group by all order by all"
    found = sql.query(text, {"frame": made(DATA), "o": made({"status": ["open", "lost"]})})
    assert type(found) is type(made(DATA))
    assert frames.opened(found).rows(named=True) == [{"status": "open", "total": 1.0, "n": 2}]
    assert frames.kinds(frames.opened(found)) == {"status": "string", "total": "number", "n": "number"}


@pytest.mark.parametrize(
    "made",
    [
        lambda one: one.to_pandas(use_pyarrow_extension_array=True),
        lambda one: one,
        lambda one: one.to_arrow(),
    ],
)
def test_values_of_a_query_are_the_same_for_each_library(made: Any) -> None:
    given = {
        "price": pl.Series([Decimal("1234567890123456.1234"), None], dtype=pl.Decimal(20, 4)),
        "day": [dt.date(2024, 2, 29), None],
        "lapse": [dt.timedelta(days=1000, microseconds=1), None],
        "number": [float("nan"), 1.5],
        "id": [2**53 + 1, None],
    }
    frame = steps.ready_for_query(frames.opened(made(pl.DataFrame(given))))
    text = "select *, lapse * 2 as more, [price] as prices, sum(number) over () as total from frame"
    found = values.from_json(values.to_json(sql.query(text, {"frame": frame.to_native()})))
    whole = {
        "price": "1234567890123456.1234",
        "day": "2024-02-29",
        "lapse": "P1000DT0.000001S",
        "number": None,
        "id": 2**53 + 1,
        "more": "P2000DT0.000002S",
        "prices": ["1234567890123456.1234"],
        "total": 1.5,
    }
    assert found == [whole, dict.fromkeys(whole) | {"number": 1.5, "prices": [None], "total": 1.5}]
    with pytest.raises(errors.InvalidParams, match='the durations "m" have months, whose length is not fixed'):
        sql.query("select interval 1 month as m", {"frame": frame.to_native()})
    nano = frames.opened(made(pl.DataFrame({"lapse": pl.Series([1], dtype=pl.Duration("ns"))})))
    with pytest.raises(errors.InvalidParams, match="have digits beyond microseconds"):
        steps.ready_for_query(nano)


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_csv('{path}')",
        "select * from read_text('{path}')",
        "select * from read_blob('{path}')",
        "select * from '{path}'",
        "select * from glob('{folder}/*')",
        "select * from query('select * from read_text(''{path}'')')",
        "with it as (from read_json('{path}')) select * from it",
        "select * from read_parquet('http://127.0.0.1:9/x')",
        "select * from secret",
        "copy frame to '{path}.out'",
        "attach '{path}.db'",
        "export database '{folder}/out'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "select 1; select 2",
        "create table t as select 1",
        "insert into frame values (1, 'x')",
        "pragma database_list",
        "select * from sniff_csv('{path}')",
        "select * from parquet_metadata('{path}')",
        "select * from read_text('file://{path}')",
        "select * from duckdb_extensions()",
        "select * from query_table('{path}')",
        "select * from read_duckdb('{path}', table_name := 'x')",
        "from json_execute_serialized_sql(json_serialize_sql('from read_text(''{path}'')'))",
        "from enable_logging(storage := 'file', storage_path := '{path}.log')",
        "from enable_profiling(save_location := '{path}.json')",
        "from register_external_resource('a', 'b')",
        "from pandas_scan(1)",
        "from arrow_scan(1, 2, 3)",
        "select * from sqlite_scan('{path}', 'x')",
        "explain analyze select * from frame",
        "create macro x() as 1",
        "checkpoint",
        "vacuum",
        "set variable x = 1",
        "use memory",
        "prepare it as select 1",
        "describe frame; select 1",
        "call pragma_version()",
        "",
    ],
)
def test_query_reaches_no_file_no_network_and_no_variable(text: str, tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("password\nhunter2\n")
    with pytest.raises(errors.InvalidParams, match=r"^Cannot run a query: ") as raised:
        sql.query(text.format(path=path, folder=tmp_path), {"frame": pd.DataFrame(DATA)})
    assert "hunter2" not in raised.value.message
    assert [one.name for one in tmp_path.iterdir()] == ["secret.csv"]


def test_table_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(errors.InvalidParams, match=r"name orders does not exist! The tables are frame, names$"):
        sql.query("select * from orders", {"frame": pd.DataFrame(DATA), "names": pd.DataFrame(DATA)})


def test_misspelt_column_is_refused_with_what_there_is() -> None:
    with pytest.raises(errors.InvalidParams, match=r'(?s)"statos" not found.*status'):
        sql.query("select statos from frame", {"frame": pl.DataFrame(DATA)})


@pytest.mark.parametrize(
    "text",
    [
        "select * from range(3000000000)",
        "select repeat('x', 1000000) as text from range(100000)",
        "select list(range) from range(3000000000)",
        "select a.range from range(100000) a, range(100000) b",
    ],
)
@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame])
def test_query_that_needs_too_much_memory_is_refused(text: str, made: Any) -> None:
    with pytest.raises(errors.InvalidParams, match=r"it needs more than 0\.1 GB of memory; filter or group more rows$"):
        sql.query(text, {"frame": made(DATA)}, max_bytes=100_000_000)


def test_long_query_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(errors.InvalidParams, match="it has 20,001 characters, and may have 20,000"):
        sql.query("x" * 20_001, {"frame": pd.DataFrame(DATA)})


@pytest.mark.parametrize("name", ["FRAME", "a b", "1", 'x"; drop', ""])
def test_table_without_a_name_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidParams, match="is no name of a table"):
        sql.query("select 1", {"frame": pd.DataFrame(DATA), name: pd.DataFrame(DATA)})


def test_columns_of_one_name_get_names_of_their_own() -> None:
    found = sql.query("select sum(id) a, sum(id) a from frame", {"frame": pl.DataFrame(DATA)})
    assert found.rows(named=True) == [{"a": 3.0, "a_1": 3.0}]


ENDLESS = [
    "select count(*) from range(1000000000000)",
    "select levenshtein(repeat('a', 10000000), repeat('b', 10000000))",  # DuckDB looks at no interrupt meanwhile
]


@pytest.mark.parametrize("text", ENDLESS)
def test_query_ends_when_its_caller_is_cancelled_and_another_one_runs(text: str) -> None:
    tables = {"frame": pd.DataFrame({"id": range(1000), "status": ["open"] * 1000})}

    async def both() -> Any:
        first = asyncio.create_task(queries.ask(text, tables))
        second = asyncio.create_task(queries.ask("select count(*) n from frame", tables))
        assert not (await asyncio.wait([first, second], timeout=0.2))[0], "queries run one after the other"
        first.cancel()
        async with asyncio.timeout(SOON):
            found = await second
        assert first.cancelled()
        return found

    assert asyncio.run(both()).to_dict("records") == [{"n": 1000}]


def test_query_that_waits_for_another_one_can_be_cancelled() -> None:
    tables = {"frame": pd.DataFrame(DATA)}

    async def both() -> None:
        first = asyncio.create_task(queries.ask(ENDLESS[0], tables))
        second = asyncio.create_task(queries.ask("select 1", tables))
        await asyncio.wait([second], timeout=0.1)
        second.cancel()
        async with asyncio.timeout(SOON):
            await asyncio.wait([second])
        assert second.cancelled() and not first.done()
        first.cancel()
        async with asyncio.timeout(SOON):
            assert len(await queries.ask("select 1", tables)) == 1

    asyncio.run(both())


def test_one_row_that_takes_too_much_memory_is_refused_and_takes_none_of_the_kernel() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.InvalidParams, match=r"it needs more than .* GB of memory; filter or group more rows$"):
        asyncio.run(queries.ask("select list_sort(range(2000000000))", {"frame": pl.DataFrame(DATA)}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_process_that_ends_for_another_reason_says_it_and_the_next_query_runs() -> None:
    async def struck() -> None:
        query = asyncio.create_task(queries.ask(ENDLESS[0], {"frame": pl.DataFrame(DATA)}))
        while not (process := queries._running.process):
            await asyncio.sleep(0.01)
        process._process.terminate()
        with pytest.raises(errors.InvalidParams, match=r"its process was ended by SIGTERM; run it again"):
            await query
        assert len(await queries.ask("select 1", {"frame": pl.DataFrame(DATA)})) == 1

    queries._running.close()
    asyncio.run(struck())


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no limit of another process can be set here")
def test_tables_that_do_not_fit_into_the_memory_of_the_process_are_too_large() -> None:
    asyncio.run(queries.ask("select 1", {"frame": pl.DataFrame(DATA)}))
    process = queries._running.process
    assert process is not None
    resource.prlimit(process._process.pid, resource.RLIMIT_DATA, (1 << 20, resource.RLIM_INFINITY))
    with pytest.raises(errors.InvalidParams, match="GB of memory; filter or group more rows"):
        asyncio.run(queries.ask("select 1", {"frame": pl.DataFrame({"a": ["x" * 50_000_000]})}))


def test_cancelling_a_query_that_has_run_leaves_the_process_to_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, Path("notes")])  # which Python ignores
    queries._running.close()
    tables = {"frame": pl.DataFrame({"a": [1]})}
    one = queries._OneQuery("select 1", tables)
    with queries._running.lock:
        assert len(one.run()) == 1
        process = queries._running.process
        one.stop()
        assert process is not None and len(process.ask(("select 2", tables, 100_000_000))) == 1


def test_bound_of_memory_leaves_what_the_system_allows_at_most() -> None:
    code = (
        "import resource; from pctx_jupyter.handles import queries\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))\n"
        "queries._bound(1 << 30)\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_DATA)\n"
        "assert soft < 1 << 40 == hard, (soft, hard)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_process_of_queries_ends_with_the_kernel_while_a_query_runs() -> None:
    """A process stands for the kernel; it prints the id of the process of its query, and is killed."""
    code = (
        "import asyncio, sys; sys.path[:] = {path!r}\n"
        "import polars as pl\n"
        "from pctx_jupyter.handles import queries\n"
        "async def run():\n"
        "    await queries.ask('select 1', {{'frame': pl.DataFrame({{'a': [1]}})}})\n"
        "    task = asyncio.create_task(queries.ask({endless!r}, {{'frame': pl.DataFrame({{'a': [1]}})}}))\n"
        "    await asyncio.sleep(0)\n"
        "    print(queries._running.process._process.pid, flush=True)\n"
        "    await task\n"
        "asyncio.run(run())\n"
    )
    text = code.format(path=sys.path, endless=ENDLESS[1])
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as kernel:
        assert kernel.stdout is not None
        id = int(kernel.stdout.readline())
        kernel.kill()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(id).wait(SOON)


def test_value_that_has_no_copy_is_refused() -> None:
    frame = pd.DataFrame({"a": [lambda: 1]})
    with pytest.raises(errors.InvalidParams, match="a table has values that cannot be copied"):
        asyncio.run(queries.ask("select 1", {"frame": frame}))
    assert len(asyncio.run(queries.ask("select 1", {"frame": pd.DataFrame(DATA)}))) == 1


def test_wrong_query_in_its_own_process_is_refused_as_elsewhere() -> None:
    with pytest.raises(errors.InvalidParams, match="statos"):
        asyncio.run(queries.ask("select statos from frame", {"frame": pl.DataFrame(DATA)}))
