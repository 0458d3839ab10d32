"""Lazy operations on frames: real pandas, polars and narwhals. The rows of a chain are compared with those of the same
chain in plain Python, on generated data with missing values, time zones, categories, decimals and nested columns."""

from __future__ import annotations

import datetime as dt
import operator
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter import errors, values
from pctx_jupyter.handles import aggregates, chains, frames, numbers, steps
from pctx_jupyter.handles.table import Handles
from pctx_jupyter.kernel.functions import handed, operations
from pctx_jupyter.rpc import marks
from pctx_jupyter.values import tables

Row = dict[str, Any]

UTC = dt.UTC
TIMES = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.integers(-5, 5),
    "amount": st.none() | st.integers(-40, 40).map(lambda n: n / 4),
    "status": st.none() | st.sampled_from(["open", "done", "lost", ""]),
    "kind": st.none() | st.sampled_from(["a", "b"]),
    "at": st.none() | TIMES,
    "day": st.none() | st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)),
    "price": st.none() | st.integers(-400, 400).map(lambda n: Decimal(n) / 100),
    "paid": st.none() | st.booleans(),
    "tags": st.lists(st.sampled_from(["x", "y"]), max_size=2),
}
POLARS = {
    "id": pl.Int64,
    "amount": pl.Float64,
    "status": pl.String,
    "kind": pl.Categorical,
    "at": pl.Datetime("us", "UTC"),
    "day": pl.Date,
    "price": pl.Decimal(10, 2),
    "paid": pl.Boolean,
    "tags": pl.List(pl.String),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), max_size=12)


def in_polars(rows: list[Row]) -> Any:
    return frames.opened(pl.DataFrame(rows, schema=POLARS))


def in_pandas(rows: list[Row]) -> Any:
    columns = {name: [row[name] for row in rows] for name in VALUES}
    frame = pd.DataFrame(columns)
    frame["id"] = frame["id"].astype("int64")
    for name in ("status", "day", "price", "paid", "tags"):  # an empty list says nothing of what it would hold
        frame[name] = pd.Series(columns[name], dtype="str" if name == "status" else "object")
    frame["amount"] = frame["amount"].astype("float64")
    frame["kind"] = pd.Categorical(columns["kind"], categories=["a", "b"])
    frame["at"] = pd.to_datetime(pd.Series(columns["at"], dtype="object"), utc=True)
    return frames.opened(frame)


def in_arrow(rows: list[Row]) -> Any:
    return frames.opened(pl.DataFrame(rows, schema=POLARS).to_arrow())


LIBRARIES: dict[str, Callable[[list[Row]], Any]] = {"pandas": in_pandas, "polars": in_polars, "Arrow": in_arrow}


def plain(frame: Any) -> list[Row]:
    """The rows of a frame as a program gets them, with numbers that compare."""
    rows: list[Row] = values.from_json(values.to_json(frame.to_native()))
    return [{name: _comparable(value) for name, value in row.items()} for row in rows]


def _comparable(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, str):
        try:
            return Decimal(value).normalize()
        except ArithmeticError:
            return value
    return round(value, 6) if isinstance(value, float) else value


def expected(rows: list[Row]) -> list[Row]:
    found: list[Row] = values.from_json(values.to_json(rows))
    return [{name: _comparable(value) for name, value in row.items()} for row in found]


def none(id: str) -> Any:
    raise AssertionError("no frame is joined")


def column(name: str) -> dict[str, Any]:
    return {"col": name}


def op(name: str, *of: Any) -> dict[str, Any]:
    return {"op": name, "of": [one if isinstance(one, dict) else {"lit": one} for one in of]}


COMPARISONS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def compared(name: str, left: Any, right: Any) -> bool:
    """What a comparison gives for one row: false if a value is missing, and ``ne`` is the opposite of ``eq``."""
    if name == "ne":
        return not compared("eq", left, right)
    return left is not None and right is not None and bool(COMPARISONS[name](left, right))


@st.composite
def conditions(draw: st.DrawFn) -> tuple[dict[str, Any], Callable[[Row], bool]]:
    """A condition as a program sends it, and the same in Python."""
    match draw(st.sampled_from(["compare", "compare", "null", "in", "text", "and", "or", "not", "columns", "paid"])):
        case "compare":
            name = draw(st.sampled_from(["id", "amount", "status", "kind", "at", "day", "price"]))
            value = draw(VALUES[name].filter(lambda one: one is not None))
            sign = draw(st.sampled_from(sorted(COMPARISONS)))
            sent = value if isinstance(value, (int, float, str)) else values.from_json(values.to_json(value))
            return op(sign, column(name), sent), lambda row: compared(sign, row[name], value)
        case "columns":
            sign = draw(st.sampled_from(sorted(COMPARISONS)))
            return op(sign, column("id"), column("amount")), lambda row: compared(sign, row["id"], row["amount"])
        case "null":
            name = draw(st.sampled_from(sorted(VALUES)))
            return op("isNull", column(name)), lambda row: row[name] is None
        case "in":
            name = draw(st.sampled_from(["status", "kind", "id", "amount", "day", "price"]))
            some = draw(st.lists(VALUES[name], max_size=3))
            sent = values.from_json(values.to_json(some))
            return op("in", column(name), sent), lambda row: row[name] in some
        case "text":
            part = draw(st.sampled_from(["o", "en", "("]))
            return op("contains", column("status"), part), lambda row: part in (row["status"] or "")
        case "paid":
            return column("paid"), lambda row: row["paid"] is True
        case "not":
            inner, test = draw(conditions())
            return op("not", inner), lambda row: not test(row)
        case both:
            (left, first), (right, second) = draw(conditions()), draw(conditions())
            if both == "and":
                return op("and", left, right), lambda row: first(row) and second(row)
            return op("or", left, right), lambda row: first(row) or second(row)


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=110)
@given(rows=ROWS, first=conditions(), second=conditions())
def test_filters_keep_the_same_rows_as_plain_python(library: str, rows: list[Row], first: Any, second: Any) -> None:
    frame = LIBRARIES[library](rows)
    found = chains.run([["filter", first[0]], ["filter", second[0]]], frame, "orders", none)
    assert plain(found) == expected([row for row in rows if first[1](row) and second[1](row)])


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=60)
@given(rows=ROWS, descending=st.booleans(), by=st.sampled_from(["id", "amount", "status", "at"]))
def test_sorting_is_stable_and_puts_missing_values_last(
    library: str, rows: list[Row], descending: bool, by: str
) -> None:
    frame = LIBRARIES[library](rows)
    there = sorted((row for row in rows if row[by] is not None), key=lambda row: row[by])
    if descending:  # stable: equal rows keep their order
        there = sorted((row for row in rows if row[by] is not None), key=lambda row: row[by], reverse=True)
    gone = [row for row in rows if row[by] is None]
    assert plain(chains.run([["sort", [by], descending]], frame, "orders", none)) == expected([*there, *gone])


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=60)
@given(rows=ROWS, key=st.sampled_from(["status", "kind", "id"]))
def test_groups_have_the_aggregates_of_their_rows_in_the_order_of_their_keys(
    library: str, rows: list[Row], key: str
) -> None:
    frame = LIBRARIES[library](rows)
    wanted = {
        "n": "count",
        "amount": "sum",
        "there": ["amount", "count"],
        "least": ["amount", "min"],
        "most": ["amount", "max"],
        "mean": ["amount", "mean"],
        "kinds": ["day", "nunique"],
    }
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    made = []
    for name in sorted(groups, key=lambda one: (one is None, one if one is not None else 0)):
        amounts = [row["amount"] for row in groups[name] if row["amount"] is not None]
        made.append(
            {
                key: name,
                "n": len(groups[name]),
                "amount": float(sum(amounts)),
                "there": len(amounts),
                "least": min(amounts, default=None),
                "most": max(amounts, default=None),
                "mean": sum(amounts) / len(amounts) if amounts else None,
                "kinds": len({row["day"] for row in groups[name]} - {None}),
            }
        )
    assert plain(chains.run([["group", [key], wanted]], frame, "orders", none)) == expected(made)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("how", steps.JOINS)
@settings(deadline=None, max_examples=40)
@given(rows=ROWS, others=ROWS)
def test_joins_match_what_is_there_and_keep_the_order_of_the_left_frame(
    library: str, how: str, rows: list[Row], others: list[Row]
) -> None:
    make = LIBRARIES[library]
    right = chains.run([["select", ["status", "id"]]], make(others), "others", none)
    left = chains.run([["select", ["status", "id"]]], make(rows), "orders", none)
    made: list[Row] = []
    for row in rows:
        kept = {"status": row["status"], "id": row["id"]}
        matches = [one for one in others if one["status"] is not None and one["status"] == row["status"]]
        match how:
            case "semi":
                made += [kept] if matches else []
            case "anti":
                made += [] if matches else [kept]
            case _:
                made += [kept | {"id_right": one["id"]} for one in matches]
                made += [kept | {"id_right": None}] if how == "left" and not matches else []
    found = chains.run([["join", {"id": "it"}, ["status"], how]], left, "orders", lambda _: right)
    assert plain(found) == expected(made)


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
def test_what_is_computed_of_a_frame_is_that_of_its_rows(library: str, rows: list[Row]) -> None:
    frame = LIBRARIES[library](rows)
    there = [row["amount"] for row in rows if row["amount"] is not None]
    wanted = {"amount": "sum", "n": "count", "least": ["amount", "min"], "states": ["status", "nunique"]}
    assert chains.aggregated(frame, "orders", wanted) == {
        "amount": sum(there),
        "n": len(rows),
        "least": min(there, default=None),
        "states": len({row["status"] for row in rows} - {None}),
    }
    made = chains.run([["with", {"double": op("mul", column("amount"), 2)}]], frame, "orders", none)
    doubled = [{"double": None if row["amount"] is None else row["amount"] * 2} for row in rows]
    assert [{"double": row["double"]} for row in plain(made)] == expected(doubled)
    found = numbers.numbers(frame, "amount")
    assert found is not None
    assert not found[1]
    there = struct.unpack(f"<{len(rows)}d", found[0])
    assert [None if number != number else number for number in there] == [row["amount"] for row in rows]


LARGE = {"fits": [1, 2**53], "long": [-(2**53) - 1, 3], "floats": [float("inf"), -0.0], "texts": ["a", "b"]}


@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame, pa.table])
def test_column_says_whether_integers_are_rounded_and_gives_them_exactly_if_asked(made: Any) -> None:
    frame = frames.opened(made(LARGE))
    found = {name: numbers.numbers(frame, name) for name in LARGE}
    assert {name: one and one[1] for name, one in found.items()} == {
        "fits": False,
        "long": True,
        "floats": False,
        "texts": None,
    }
    assert found["floats"] is not None and struct.unpack("<2d", found["floats"][0]) == (float("inf"), 0.0)
    assert struct.pack("<d", -0.0) == bytes(found["floats"][0][8:])
    assert struct.unpack("<2q", numbers.integers(frame, "long")) == (-(2**53) - 1, 3)
    with pytest.raises(errors.InvalidParams, match='column "floats" as bigint: its type is Float64'):
        numbers.integers(frame, "floats")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (pl.Series([1, None]), "1 of its values are missing"),
        (pl.Series([2**63], dtype=pl.UInt64), "is 2\\*\\*63 or more"),
        (pl.Series([-(2**100)], dtype=pl.Int128), "is 2\\*\\*63 or more"),
    ],
)
def test_integers_that_int64_cannot_hold_are_refused(values: pl.Series, why: str) -> None:
    with pytest.raises(errors.InvalidParams, match=why):
        numbers.integers(frames.opened(pl.DataFrame({"id": values})), "id")


@pytest.mark.parametrize("library", LIBRARIES)
def test_kinds_are_those_of_the_columns_in_json(library: str) -> None:
    row: Row = {
        "id": 1,
        "amount": None,
        "status": "open",
        "kind": "a",
        "at": dt.datetime(2024, 1, 1, tzinfo=UTC),
        "day": None,
        "price": Decimal("1.5"),
        "paid": True,
        "tags": ["x"],
    }
    found = frames.kinds(LIBRARIES[library]([row]))
    known = {"id": "number", "amount": "number?", "status": "string", "kind": "string", "at": "string"}
    assert found.items() >= (known | {"tags": "any"}).items()
    assert found["paid"] == ("any" if library == "pandas" else "boolean"), (
        "pandas has objects where truth may be missing"
    )


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([["select", ["amuont"]]], 'no column "amuont" (did you mean amount?); it has id, amount'),
        ([["filter", op("gt", column("x"), 1)]], 'no column "x"'),
        ([["group", ["id"], {"amount": "total"}]], "no aggregate 'total' for \"amount\""),
        ([["group", ["id"], {}]], "no aggregate is given"),
        ([["select", ["id"]], ["sort", ["amount"], False]], 'no column "amount"'),
        ([["sort", "id", False]], "it has no step"),
        ([["filter", {"op": "eval", "of": []}]], "it has no expression"),
        ([["filter", op("gt", column("status"), 5)]], 'column "status": it holds texts, not 5'),
        ([["filter", op("gt", column("at"), "soon")]], "column \"at\": 'soon' is not a datetime"),
        ([["with", {"x": op("add", column("status"), 1)}]], 'Cannot calculate with column "status"'),
        ([["group", ["id"], {"status": "sum"}]], 'Cannot compute sum of column "status"'),
        ("filter", "steps must be a list"),
        ([["filter", op("eq", column("id"), True)]], 'column "id": it holds no truth values, not True'),
        ([["filter", op("eq", column("status"), True)]], 'column "status": it holds texts, not True'),
        (
            [["filter", {"op": "in", "of": [column("id"), {"lit": [1, False]}]}]],
            'column "id": it holds no truth values',
        ),
        ([["filter", {"op": "eq", "of": [column("id"), {"lit": {"a": 1}}]}]], 'column "id" with a list or an object'),
        (
            [["filter", op("contains", column("status"), "a" * 10_001)]],
            "search for 10,001 characters; 10,000 are the most",
        ),
        ([["slice", -1, 1]], "it has no step"),
        ([["slice", True, 2]], "it has no step"),
        ([["with", {f"c{n}": op("add", column("id"), 1) for n in range(1_000)}]], "more than 2,000 parts; use in([…])"),
    ],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_wrong_step_is_refused_with_what_there_is(library: str, steps: Any, message: str) -> None:
    row = dict.fromkeys(VALUES) | {"id": 1, "status": "open", "tags": []}
    frame = LIBRARIES[library]([row | {"at": dt.datetime(2024, 1, 1, tzinfo=UTC)}])
    with pytest.raises(errors.InvalidParams) as raised:
        chains.run(steps, frame, "orders", none)
    assert message in raised.value.message


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("sign", "number", "rows"),
    [("lt", 2**70, 2), ("gt", 2**70, 0), ("gt", -(2**70), 2), ("eq", 2**63, 0), ("ge", 2**63 - 1, 1)],
)
def test_integer_of_any_size_is_compared(library: str, sign: str, number: int, rows: int) -> None:
    frame = chains.run([["select", ["id"]]], LIBRARIES[library]([_row(2**63 - 1), _row(-5)]), "orders", none)
    assert len(chains.run([["filter", op(sign, column("id"), number)]], frame, "orders", none)) == rows
    assert len(chains.run([["filter", op("in", column("id"), [number, -5])]], frame, "orders", none)) >= 1


WIDTHS = ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("library", ["numpy", "pandas", "pandas with Arrow", "polars", "Arrow"])
def test_numbers_of_any_width_are_compared_with_any_number(library: str, width: str) -> None:
    held = [0, 1, 2, 100]
    column_of = pl.Series("a", held, dtype=getattr(pl, width))
    made: Any = {
        "numpy": lambda: pd.DataFrame({"a": column_of.to_numpy()}),
        "pandas": lambda: pd.DataFrame({"a": pd.array(held, dtype=width)}),
        "pandas with Arrow": lambda: column_of.to_frame().to_pandas(use_pyarrow_extension_array=True),
        "polars": column_of.to_frame,
        "Arrow": lambda: column_of.to_frame().to_arrow(),
    }
    frame = frames.opened(made[library]())
    for number in (1, -5, 300, 0.5, 2.0, 2**63, 2**70, -(2**70)):
        for sign, compare in COMPARISONS.items():
            found = chains.run([["filter", op(sign, column("a"), number)]], frame, "orders", none)
            assert len(found) == sum(compare(one, number) for one in held), (sign, number)
        for among in ([number], [number, 100], [number, 0.25, 2]):
            found = chains.run([["filter", op("in", column("a"), among)]], frame, "orders", none)
            assert len(found) == sum(one in among for one in held), among


def _row(id: int) -> Row:
    return dict.fromkeys(VALUES) | {"id": id, "tags": [], "at": dt.datetime(2024, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", ["self", "exprs", "__class__", "constructor", "", "a b"])
def test_column_may_have_any_name(library: str, name: str) -> None:
    frame = LIBRARIES[library]([_row(1), _row(2)])
    steps = [["with", {name: op("mul", column("id"), 10)}], ["filter", op("gt", column(name), 10)], ["select", [name]]]
    assert plain(chains.run(steps, frame, "orders", none)) == [{name: 20}]
    found = chains.run([["group", ["id"], {name: ["id", "max"]}], ["select", [name]]], frame, "orders", none)
    assert plain(found) == [{name: 1}, {name: 2}]


@pytest.mark.parametrize("library", LIBRARIES)
def test_join_that_would_have_two_columns_of_one_name_is_refused(library: str) -> None:
    frame = chains.run([["with", {"id_right": column("id")}]], LIBRARIES[library]([_row(1)]), "orders", none)
    with pytest.raises(errors.InvalidParams, match='a join would have two columns "id_right"; select other columns'):
        chains.run([["join", {"id": "it"}, ["at"], "left"]], frame, "orders", lambda _: LIBRARIES[library]([_row(2)]))


@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("how", ["inner", "left"])
def test_join_of_too_many_rows_is_refused_before_they_are_made(made: Any, how: str) -> None:
    frame = frames.opened(made({"key": ["x"] * 20_000, "n": list(range(20_000))}))
    with pytest.raises(
        errors.InvalidParams, match=r"Cannot make a join of 400,000,000 rows: they would take some .* GB"
    ):
        chains.run([["join", {"id": "it"}, ["key"], how]], frame, "orders", lambda _: frame)
    one_each = [["join", {"id": "it"}, ["n"], how], ["filter", op("lt", column("n"), 2)]]
    assert len(chains.run(one_each, frame, "orders", lambda _: frame)) == 2
    semi = chains.run([["join", {"id": "it"}, ["key"], "semi"]], frame, "orders", lambda _: frame)
    assert len(semi) == 20_000


def test_columns_that_would_take_too_much_memory_are_refused_before_they_are_made() -> None:
    frame = frames.opened(pl.select(pl.repeat(1, 2_000_000, dtype=pl.Int8).alias("a")))
    with pytest.raises(errors.InvalidParams, match=r"Cannot make 200 columns of 2,000,000 rows"):
        chains.run([["with", {f"c{n}": {"lit": n} for n in range(200)}]], frame, "orders", none)


def test_long_list_of_values_that_are_compared_one_by_one_is_refused() -> None:
    frame = frames.opened(pl.DataFrame({"price": [Decimal("1.5")] * 10_000}))
    with pytest.raises(errors.InvalidParams, match="10,000 rows for 3,000 values one by one; join a frame of them"):
        chains.run([["filter", op("in", column("price"), ["2"] * 3_000)]], frame, "orders", none)


def test_misspelt_column_is_refused_before_an_earlier_step_runs() -> None:
    class Forbidden:
        columns = ("id",)

        def filter(self, where: object) -> None:
            raise AssertionError("a step ran")

    with pytest.raises(errors.InvalidParams):
        chains.run([["filter", op("gt", column("id"), 1)], ["select", ["idd"]]], Forbidden(), "orders", none)


def test_deep_expression_is_refused() -> None:
    node = column("paid")
    for _ in range(chains.MOST_STEPS + 1):
        node = op("not", node)
    with pytest.raises(errors.InvalidParams, match="nested deeper than 200 levels"):
        chains.run([["filter", node]], in_pandas([]), "orders", none)


@pytest.mark.parametrize(("value", "why"), [([{"id": 1}], "list is not a data frame"), (5, "int is not a data frame")])
def test_value_that_is_no_table_is_refused(value: object, why: str) -> None:
    with pytest.raises(frames.NotAFrame, match=why):
        frames.opened(value)


@pytest.mark.parametrize("lazy", [pl.LazyFrame({"id": [1, 2]}), duckdb.sql("select 1 as id union all select 2")])
def test_lazy_frame_is_collected_and_tools_get_its_table_or_itself(lazy: Any) -> None:
    table = Handles()
    body = marks.body_of(handed.hand_over(lazy, table, "orders"))
    assert body is not None
    assert len(table.find(body["id"]).value) == 2
    assert handed.native_of(body, table) is lazy
    with handed.taking(table):
        made = handed.taken({marks.FRAME: body})
    assert values.from_json(values.to_json(made)) == [{"id": 1}, {"id": 2}]


def test_labels_of_pandas_are_columns_as_in_rows() -> None:
    frame = pd.DataFrame({1: [1, 2]}, index=pd.Index(["a", "b"], name="name"))
    flat = frames.opened(tables.flattened(frame))
    assert flat.columns == ["name", "1"]
    assert plain(flat) == values.from_json(values.to_json(frame))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "int64[pyarrow]"])
def test_aggregate_that_is_missing_is_null_for_nullable_columns_of_pandas(dtype: str) -> None:
    frame = frames.opened(pd.DataFrame({"a": pd.array([1, None], dtype=dtype)}))
    assert aggregates.described(frame)[0]["std"] is None
    assert chains.aggregated(frame, "orders", {"a": "std", "most": ["a", "max"]}) == {"a": None, "most": 1}


def test_integers_of_128_bits_are_exact_if_they_fit() -> None:
    frame = frames.opened(pl.DataFrame({"id": pl.Series([2**62, -5], dtype=pl.Int128)}))
    assert struct.unpack("<2q", numbers.integers(frame, "id")) == (2**62, -5)


def asked(native: Any, what: str, handles: Handles | None = None, **more: Any) -> Raw:
    """What an operation on a frame gives, as a program asks for it."""
    held = Handles() if handles is None else handles
    body = marks.body_of(handed.hand_over(native, held, "orders"))
    assert body is not None
    call = {marks.CALL: what, "frame": {"id": body["id"], "steps": []}, **more}
    found = operations.serve(Raw(msgspec.json.encode(call)), held, "orders")
    assert isinstance(found, Raw)
    return found


NANO = pl.DataFrame(
    {
        "lapse": pl.Series([1, None, -5], dtype=pl.Duration("ns")),
        "at": pl.Series([1, None, 1_000], dtype=pl.Datetime("ns", "Europe/Oslo")),
        "clock": pl.Series([1, None, 43_200_000_000_000], dtype=pl.Time),
    }
)


@pytest.mark.parametrize("made", [NANO, NANO.to_arrow()])
def test_least_and_latest_of_nanoseconds_have_all_digits(made: Any) -> None:
    wanted = {
        "a": ["lapse", "min"],
        "b": ["at", "max"],
        "c": ["at", "min"],
        "d": ["clock", "min"],
        "e": ["clock", "max"],
    }
    assert values.from_json(asked(made, "agg", wanted=wanted)) == {
        "a": "-PT0.000000005S",
        "b": "1970-01-01T01:00:00.000001+01:00",
        "c": "1970-01-01T01:00:00.000000001+01:00",
        "d": "00:00:00.000000001",
        "e": "12:00:00",
    }
    assert [row["max"] for row in values.from_json(asked(made, "describe"))][1:] == [
        "1970-01-01T01:00:00.000001+01:00",
        "12:00:00",
    ]


def test_only_the_tool_that_handed_an_object_over_serves_its_operations_and_what_they_give() -> None:
    held = Handles()
    own = asked(pd.DataFrame({"a": [1, 2]}), "preview", held)
    (handle,) = held
    asks: list[dict[str, Any]] = [{marks.CALL: what} for what in ("open", "count", "rows", "save", "preview")]
    for what in asks:
        call = what | {"frame": {"id": handle.id, "steps": []}, "name": "stolen"}
        with pytest.raises(errors.InvalidParams, match=r"by a call of harmless: operations on it are calls of orders"):
            operations.serve(values.to_json(call), held, "harmless")
    steps = {marks.CALL: "preview", "frame": {"id": handle.id, "steps": [["select", ["a"]]]}}
    found = operations.serve(values.to_json(steps), held, "orders")
    assert isinstance(found, Raw) and handle.id in bytes(own).decode()
    assert [one.path for one in held] == ["orders", "orders"]


def test_rows_far_beyond_what_passes_are_refused_before_they_are_written() -> None:
    large = pl.select(pl.repeat(1, 50_000_000, dtype=pl.Int8).alias("a"))
    with pytest.raises(errors.InvalidParams, match=r"Cannot read 50,000,000 rows of orders at once.*rows\(from, to\)"):
        asked(large, "rows")
    assert len(values.from_json(asked(large, "rows", **{"from": 10, "to": 13}))) == 3
    for what, more in (("sample", {"count": 2**70}), ("rows", {"from": 0, "to": 2**70})):
        with pytest.raises(errors.InvalidParams, match=r"Cannot read 50,000,000 rows of orders at once"):
            asked(large, what, **more)


def test_numbers_that_no_message_carries_are_refused_before_they_are_copied() -> None:
    table = Handles(max_passing_bytes=lambda: 800)
    huge = np.broadcast_to(np.float32(0), (10**9, 50))  # no memory has a copy of it
    for native, more, what in (
        (huge, {}, "values"),
        (huge, {"from": 0, "to": 3}, "values"),
        (huge, {"as": "bigint"}, "values"),
        (pl.DataFrame({"a": range(101)}), {"name": "a", "bytes": True}, "column"),
        (pd.DataFrame({"a": range(101)}), {"name": "a", "as": "bigint"}, "column"),
    ):
        kind = "array" if native is huge else "frame"
        body = marks.body_of(handed.hand_over(native, table, "it", kind))
        assert body is not None
        call = values.to_json({marks.CALL: what, "frame": {"id": body["id"], "steps": []}, **more})
        with pytest.raises(errors.InvalidParams, match=r"numbers of it at once: they have .* a message may have 800; "):
            operations.serve(call, table, "it")
    call = values.to_json({marks.CALL: "agg", "frame": {"id": body["id"], "steps": []}, "wanted": {"a": "sum"}})
    assert values.from_json(operations.serve(call, table, "it")) == {"a": 5050}


@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame, pa.table])
def test_numbers_of_rows_of_any_size_are_taken_or_refused(made: Any) -> None:
    frame = made({"a": [1, 2, 3]})
    assert values.from_json(asked(frame, "rows", **{"from": 1, "to": 2**70})) == [{"a": 2}, {"a": 3}]
    assert values.from_json(asked(frame, "rows", **{"from": 2**70, "to": 2**80})) == []
    assert len(values.from_json(asked(frame, "sample", count=2**70, seed=2**32 - 1))) == 3
    for more in ({"count": True}, {"count": -1}, {"count": 1, "seed": -1}, {"count": 1, "seed": 2**32}, {"count": "1"}):
        with pytest.raises(errors.InvalidParams):
            asked(frame, "sample", **more)


@pytest.mark.parametrize(
    ("native", "column", "found"),
    [
        (pd.DataFrame({"a": pd.Categorical(["x", None])}), "a", ["x", None]),
        (
            pd.DataFrame({"a": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Oslo")}),
            "a",
            ["2024-01-01T00:00:00+01:00", None],
        ),
        (pl.DataFrame({"a": [Decimal("1.10"), None]}), "a", ["1.10", None]),
        (pl.DataFrame({"a": [{"b": [1]}, None]}), "a", [{"b": [1]}, None]),
        (pd.DataFrame({"a": [1, "x", None]}), "a", [1, "x", None]),
        (pd.DataFrame({"a": pd.to_timedelta([1, None], unit="s")}), "a", ["PT1S", None]),
        (pd.DataFrame({"v": [True]}, index=pd.MultiIndex.from_tuples([("a", 1)])), "level_0", ["a"]),
        (pd.DataFrame([["x"]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "a_b", ["x"]),
        (pl.DataFrame({"a": []}), "a", []),
        (pa.table({"a": pa.nulls(2)}), "a", [None, None]),
        (pd.Series(["x"], index=["k"], name="a"), "a", ["x"]),
        (pl.Series(["x"]), "value", ["x"]),
    ],
)
def test_column_of_any_type_has_the_values_of_rows(native: Any, column: str, found: list[Any]) -> None:
    assert values.from_json(asked(native, "column", name=column, bytes=True)) == found
    assert [row[column] for row in values.from_json(asked(native, "rows"))] == found


@pytest.mark.parametrize(
    ("native", "why"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), 'two columns of the data frame are called "a"'),
        (pd.DataFrame({"a": [1j]}), "a complex number is not JSON"),
        (pd.DataFrame(), 'no column "a"'),
    ],
)
def test_column_that_is_not_there_or_has_no_json_form_is_refused(native: Any, why: str) -> None:
    with pytest.raises((errors.PctxError, frames.NotAFrame), match=why):
        asked(native, "column", name="a", bytes=True)


def test_long_texts_and_many_columns_are_shown_in_part() -> None:
    wide = frames.opened(pl.DataFrame({f"c{n}": ["x" * 100] for n in range(30)}))
    types, first = frames.preview(wide)
    assert len(types) == frames.MOST_SHOWN
    [row] = frames.shortened(first.rows(named=True))
    assert {len(text) for text in row.values()} == {frames.LONGEST_SHOWN}


def test_schema_of_rows_becomes_that_of_a_frame_also_where_there_may_be_none() -> None:
    rows = {"type": "array", "items": {"$ref": "#/$defs/Order"}}
    assert handed.by_handle(rows) == rows | {"x-handle": "frame"}
    assert handed.by_handle({"anyOf": [rows, {"type": "null"}]}) == {
        "anyOf": [rows | {"x-handle": "frame"}, {"type": "null"}]
    }
    assert handed.by_handle(None) == {"type": "array", "items": {"type": "object"}, "x-handle": "frame"}


CHAINS: list[list[Any]] = [
    [["filter", op("gt", column("id"), 0)]],
    [["filter", column("paid")], ["sort", ["at"], True]],
    [["with", {"id": op("mul", column("amount"), 2)}], ["filter", op("isNull", column("day"))]],
    [["select", ["status", "id", "amount"]], ["filter", op("ne", column("status"), "open")]],
    [["group", ["status"], {"id": "max", "amount": "sum"}]],
    [["join", {"id": "other"}, ["status"], "left"]],
]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("steps", CHAINS)
@settings(deadline=None, max_examples=15)
@given(rows=ROWS)
def test_operation_that_needs_few_columns_gives_what_it_gives_of_all(
    library: str, steps: list[Any], rows: list[Row]
) -> None:
    table = Handles()
    make = LIBRARIES[library]
    other = table.add("other", make(rows), None)
    steps = [["join", {"id": other.id}, *step[2:]] if step[0] == "join" else step for step in steps]
    whole = chains.run(steps, make(rows), "orders", lambda one: table.find(one).value)
    wanted = {"most": ["id", "max"], "amount": "sum", "there": ["amount", "count"]}

    def ask(what: str, **more: Any) -> Any:
        handle = table.add("orders", make(rows), None)
        asked = {"$pctx.call": what, "frame": {"id": handle.id, "steps": steps}} | more
        return values.from_json(operations.serve(values.to_json(asked), table, "orders"))

    assert ask("count") == len(whole)
    assert ask("agg", wanted=wanted) == values.from_json(values.to_json(chains.aggregated(whole, "orders", wanted)))
    assert ask("agg", wanted=wanted | {"n": "count"})["n"] == len(whole)
    assert ask("column", name="status") == [row["status"] for row in plain(whole)]
    with pytest.raises(errors.InvalidParams, match=r"it has .*status"):
        ask("agg", wanted={"idd": "sum"})


class Readings:
    """A value of a library that narwhals does not support."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows


class Special(Readings):
    """Registered by its base class."""


def test_registered_type_is_handed_over_as_its_frame_and_taken_back_as_itself() -> None:
    frames.register(Readings, lambda one: pd.DataFrame(one.rows, index=pd.Index([7], name="place")))
    table, given = Handles(), Special([{"celsius": 1.5}])
    body = marks.body_of(handed.hand_over(given, table, "readings"))
    assert body is not None
    assert body["columns"] == ["place", "celsius"]
    assert handed.native_of(body, table) is given
    with pytest.raises(frames.NotAFrame, match="the function that is registered for Readings failed"):
        handed.hand_over(Readings([{"a": 1}, {"a": 2}]), table, "readings")
