"""Queries on frames by DuckDB: the same for each library, and nothing but the tables they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pctx_jupyter import errors
from pctx_jupyter.handles import frames, sql

pytest.importorskip("duckdb")

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
