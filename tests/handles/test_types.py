"""Columns of every type in steps and aggregates: real pandas, polars and Arrow, compared with plain Python.

Types whose values libraries order, add up or round in ways of their own: times with and without zones, durations,
categories, decimals, NaN and infinity, integers that are narrow or beyond 2**53, and values with parts.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pctx_jupyter import errors, values
from pctx_jupyter.handles import aggregates, chains, frames, numbers

SIZES = ["small", "medium", "large"]
OSLO = ZoneInfo("Europe/Oslo")
"""Its clock shows one hour twice in October."""
MOMENTS = st.sampled_from(
    [dt.datetime(2024, 10, 26, 23, 30) + dt.timedelta(minutes=20 * n, microseconds=n) for n in range(9)]
)
COLUMNS: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "naive": (MOMENTS, pl.Datetime("us")),
    "zoned": (MOMENTS.map(lambda one: one.replace(tzinfo=dt.UTC).astimezone(OSLO)), pl.Datetime("us", "Europe/Oslo")),
    "lapse": (st.integers(-3, 3).map(lambda n: dt.timedelta(days=n, microseconds=n)), pl.Duration("us")),
    "truth": (st.booleans(), pl.Boolean),
    "price": (st.integers(-300, 300).map(lambda n: Decimal(n) / 100), pl.Decimal(10, 2)),
    "number": (st.sampled_from([math.nan, math.inf, -math.inf, -1.5, 0.0, 0.25, 7.0]), pl.Float64),
    "whole": (st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**60 + 1, 3, -4]), pl.Int64),
    "tiny": (st.integers(-128, 127), pl.Int8),
    "kind": (st.sampled_from(["b", "a", "", "Ä"]), pl.Categorical),
    "size": (st.sampled_from(SIZES), pl.Enum(SIZES)),
}
NUMBERS = ("truth", "price", "number", "whole", "tiny")
PANDAS = {
    "truth": "boolean",
    "whole": "Int64",
    "large": "UInt64",
    "tiny": "Int8",
    "number": "float64",
    "price": "object",
}

Made = Callable[[pl.DataFrame], Any]


def in_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """The same frame with the types that pandas has itself, without a loss."""
    found = frame.to_pandas()
    for name in found.columns:
        if (kind := PANDAS.get(name)) is not None:
            found[name] = pd.Series(frame[name].to_list(), dtype=kind)
    return found


LIBRARIES: dict[str, Made] = {
    "pandas": in_pandas,
    "pandas with Arrow": lambda frame: frame.to_pandas(use_pyarrow_extension_array=True),
    "polars": lambda frame: frame,
    "Arrow": lambda frame: frame.to_arrow(),
}


@st.composite
def columns(draw: st.DrawFn, names: tuple[str, ...] = tuple(COLUMNS)) -> tuple[str, list[Any]]:
    """The name of a column, and its values; some are missing."""
    name = draw(st.sampled_from(names))
    return name, draw(st.lists(st.none() | COLUMNS[name][0], max_size=7))


def made(library: str, name: str, held: list[Any]) -> Any:
    """A frame with a column, the number of each row, and the group of each row: 0 or 1."""
    more = {"row": range(len(held)), "group": [place % 2 for place in range(len(held))]}
    frame = pl.DataFrame(
        {name: pl.Series(held, dtype=COLUMNS[name][1])} | {one: pl.Series(more[one], dtype=pl.Int64) for one in more}
    )
    return frames.opened(LIBRARIES[library](frame))


def run(frame: Any, *steps: Any, other: Any = None) -> Any:
    return chains.run(list(steps), frame, "it", lambda _: other)


def is_missing(value: Any) -> bool:
    return value is None or value != value


def order(name: str, library: str) -> Callable[[Any], Any]:
    """The key by which values are sorted. Arrow has categories of no order, which are sorted as texts."""
    has_order = name == "size" and "Arrow" not in library
    return SIZES.index if has_order else lambda value: value.astimezone(dt.UTC) if name == "zoned" else value


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=40)
@given(column=columns(), descending=st.booleans())
def test_rows_are_sorted_and_joined_by_columns_of_any_type(
    library: str, column: tuple[str, list[Any]], descending: bool
) -> None:
    name, held = column
    frame, key = made(library, name, held), order(name, library)
    there = [row for row, value in enumerate(held) if not is_missing(value)]
    there.sort(key=lambda row: key(held[row]), reverse=descending)
    gone = [row for row, value in enumerate(held) if is_missing(value)]
    assert run(frame, ["sort", [name], descending])["row"].to_list() == there + gone
    others = held[::2]
    other = made(library, name, others)
    pairs = [
        (one, two)
        for one in range(len(held))
        for two, value in enumerate(others)
        if key_of(held[one]) == key_of(value) is not None
    ]
    found = run(frame, ["join", {"id": "it"}, [name], "inner"], other=other)
    assert list(zip(found["row"].to_list(), found["row_right"].to_list(), strict=True)) == pairs
    found = run(frame, ["join", {"id": "it"}, [name], "anti"], other=other)
    assert found["row"].to_list() == [row for row in range(len(held)) if row not in dict(pairs)]


def key_of(value: Any) -> Any:
    """What is equal for equal values; None for missing ones. Times of one clock differ where it shows an hour twice."""
    return None if is_missing(value) else value.timestamp() if getattr(value, "tzinfo", None) else value


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=40)
@given(column=columns())
def test_groups_by_columns_of_any_type_are_in_the_order_of_their_keys(
    library: str, column: tuple[str, list[Any]]
) -> None:
    name, held = column
    found = run(made(library, name, held), ["group", [name], {"n": "count", "first": ["row", "min"]}])
    groups: dict[Any, list[int]] = {}
    for row, value in enumerate(held):
        groups.setdefault(key_of(value), []).append(row)
    key = order(name, library)
    ordered = sorted((one for one in groups if one is not None), key=lambda one: key(held[groups[one][0]]))
    rows = [groups[one] for one in [*ordered, *([None] if None in groups else [])]]
    assert found["n"].to_list() == [len(one) for one in rows]
    assert found["first"].to_list() == [one[0] for one in rows]


def aggregated(name: str, held: list[Any], key: Callable[[Any], Any]) -> dict[str, Any]:
    """What aggregates are in Python; what is not there is refused."""
    there = [one for one in held if not is_missing(one)]
    found: dict[str, Any] = {
        "count": len(there),
        "nunique": len({key_of(one) for one in there}),
        "min": min(there, key=key, default=None),
        "max": max(there, key=key, default=None),
    }
    if name not in NUMBERS:
        return found
    if any(one in (math.inf, -math.inf) for one in there):
        total = sum(there)
        return found | {"sum": None if total != total else total}
    exact = [Fraction(one) for one in there]
    return found | {
        "sum": sum(exact),
        "mean": statistics.mean(exact) if exact else None,
        "median": statistics.median(exact) if exact else None,
        "std": math.sqrt(statistics.variance(exact)) if len(exact) > 1 else None,
    }


def is_same(found: Any, wanted: Any, scale: Fraction = Fraction(0)) -> bool:
    """Whether a value is the wanted one; floats but for some rounding of numbers of a scale."""
    if wanted is None or is_missing(found):
        return wanted is None and is_missing(found)
    if isinstance(wanted, (int, float, Fraction, Decimal)) and not isinstance(wanted, bool):
        exact = math.inf if found == math.inf else -math.inf if found == -math.inf else Fraction(found)
        return exact == wanted or abs(exact - wanted) <= max(abs(Fraction(wanted)), scale) / 10**12
    return bool(key_of(found) == key_of(wanted))


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=40)
@given(column=columns())
def test_aggregates_of_columns_of_any_type_are_those_of_their_values(
    library: str, column: tuple[str, list[Any]]
) -> None:
    name, held = column
    frame, key = made(library, name, held), order(name, library)
    wanted = aggregated(name, held, key)
    asked = {one: [name, one] for one in wanted}
    found = chains.aggregated(frame, "it", asked)
    scale = max(
        (abs(Fraction(one)) for one in held if name in NUMBERS and one is not None and math.isfinite(one)), default=0
    )
    assert {one for one in wanted if not is_same(found[one], wanted[one], Fraction(scale))} == set(), (found, wanted)
    if library != "Arrow" or name != "lapse":  # Arrow refuses the least duration of a group
        groups = run(frame, ["group", ["group"], asked]).rows(named=True)
        for group, row in enumerate(groups):
            wanted = aggregated(name, held[group::2], key)
            assert {
                one for one in asked if one in wanted and not is_same(row[one], wanted[one], Fraction(scale))
            } == set(), (
                row,
                wanted,
            )
        assert len(groups) == min(len(held), 2)
    for one in () if name in NUMBERS or not held else ("sum", "mean", "median", "std"):
        for steps in ([["group", ["group"], {"x": [name, one]}]], []):
            with pytest.raises(
                errors.InvalidParams, match=f'Cannot compute {one} of column "{name}": it does not hold'
            ):
                chains.aggregated(run(frame, *steps), "it", {"x": [name, one]})


SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda one, other: one + other,
    "sub": lambda one, other: one - other,
    "mul": lambda one, other: one * other,
    "div": lambda one, other: one / other,
}
WIDTHS = {"Int8": 8, "UInt8": 8, "Int32": 32, "UInt32": 32, "Int64": 64, "UInt64": 64}


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=50)
@given(data=st.data(), width=st.sampled_from(sorted(WIDTHS)), sign=st.sampled_from(sorted(SIGNS)))
def test_calculation_is_exact_or_refused(library: str, data: st.DataObject, width: str, sign: str) -> None:
    bits = WIDTHS[width]
    least, most = (0, 2**bits - 1) if width[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    near = st.integers(least, most) | st.sampled_from([least, most, 1, 2])
    held = data.draw(st.lists(near, min_size=1, max_size=4))
    other = data.draw(st.sampled_from([1, 2, 100, -1, 2**40, 0.5]))
    frame = frames.opened(LIBRARIES[library](pl.DataFrame({"a": pl.Series(held, dtype=getattr(pl, width))})))
    by_itself = data.draw(st.booleans()) and 0 not in held
    right: dict[str, Any] = {"col": "a"} if by_itself else {"lit": other}
    wanted = [SIGNS[sign](Fraction(one), Fraction(one if by_itself else other)) for one in held]
    try:
        found = run(frame, ["with", {"x": {"op": sign, "of": [{"col": "a"}, right]}}])["x"].to_list()
    except errors.InvalidParams as error:
        assert max(map(abs, [*wanted, *held])) > 2**53, error
        return
    is_whole = sign != "div" and all(one.denominator == 1 for one in wanted) and (by_itself or isinstance(other, int))
    assert [Fraction(one) for one in found] == wanted if is_whole else all(map(is_same, found, wanted))
    try:
        total = chains.aggregated(frame, "it", {"a": "sum"})["a"]
    except errors.InvalidParams:
        assert sum(held) > 2**62 or max(held) >= 2**63 or min(held) < -(2**60)
    else:
        assert total == sum(held)


@pytest.mark.parametrize("library", LIBRARIES)
def test_values_with_parts_pass_and_have_no_order(library: str) -> None:
    held = [{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}]
    frame = frames.opened(LIBRARIES[library](pl.DataFrame({"part": held, "row": [0, 1, 2]})))
    absent = run(frame, ["filter", {"op": "isNull", "of": [{"col": "part"}]}])
    assert absent["row"].to_list() == [1]
    rows = values.from_json(values.to_json(run(frame, ["sort", ["row"], True]).to_native()))
    assert [row["part"] for row in rows] == held[::-1]
    assert chains.aggregated(frame, "it", {"part": "count"}) == {"part": 2}
    for how, found in (("inner", [0, 1, 2]), ("left", [0, 1, 2]), ("semi", [0, 1, 2]), ("anti", [])):
        joined = run(frame, ["join", {"id": "it"}, ["row"], how], other=frame)
        assert joined["row"].to_list() == found
        assert joined["part"].null_count() == len(found) // 3
    for step in (
        ["sort", ["row", "part"], False],
        ["join", {"id": "it"}, ["part"], "left"],
        ["group", ["part"], {"row": "sum"}],
    ):
        with pytest.raises(errors.InvalidParams, match=f'Cannot {step[0]} by column "part": its values have parts'):
            run(frame, step, other=frame)
    for one in ("sum", "mean", "median", "std", "min", "max", "nunique"):
        for steps in ([["group", ["row"], {"x": ["part", one]}]], []):
            with pytest.raises(errors.InvalidParams):
                chains.aggregated(run(frame, *steps), "it", {"x": ["part", one]})


@pytest.mark.parametrize("library", LIBRARIES)
def test_ordered_categories_are_compared_by_their_order(library: str) -> None:
    frame = made(library, "size", ["large", "small", None, "medium"])
    found = [run(frame, ["filter", {"op": sign, "of": of}])["row"].to_list() for sign, of in [
        ("ge", [{"col": "size"}, {"lit": "medium"}]), ("gt", [{"lit": "medium"}, {"col": "size"}])
    ]]  # fmt: skip
    assert found == ([[1, 3], [0]] if "Arrow" in library else [[0, 3], [1]])
    if "Arrow" not in library:
        with pytest.raises(errors.InvalidParams, match="by its order: give one of small, medium, large"):
            run(frame, ["filter", {"op": "lt", "of": [{"col": "size"}, {"lit": "huge"}]}])


CATEGORIES: dict[str, tuple[list[Any], list[int], Callable[[list[Any]], Any]]] = {
    "numbers": ([10, 2, None, 10], [1, 0, 3, 2], pd.Categorical),
    "exact": ([2**53 + 1, 2**53, None, 2**53 + 1], [1, 0, 3, 2], pd.Categorical),
    "ordered": ([10, 2, None, 10], [0, 3, 1, 2], lambda held: pd.Categorical(held, [10, 2], ordered=True)),
    "truth": ([True, False, None, True], [1, 0, 3, 2], pd.Categorical),
    "Arrow": ([10, 2, None, 10], [1, 0, 3, 2], lambda held: pa.array(held).dictionary_encode()),
}


@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_that_are_no_texts_are_what_they_are(kind: str) -> None:
    held, order, made = CATEGORIES[kind]
    make: Any = pa.table if kind == "Arrow" else pd.DataFrame
    frame = frames.opened(make({"c": made(held), "row": [0, 1, 2, 3]}))
    assert run(frame, ["sort", ["c"], False])["row"].to_list() == order
    groups = values.from_json(values.to_json(run(frame, ["group", ["c"], {"n": "count"}]).to_native()))
    assert groups == [{"c": held[row], "n": held.count(held[row])} for row in order if row != 3]
    if kind in ("numbers", "exact", "Arrow"):
        found = run(frame, ["filter", {"op": "gt", "of": [{"col": "c"}, {"lit": held[1]}]}])
        assert found["row"].to_list() == [0, 3]


@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_of_integers_and_floats_are_compared_exactly(library: str) -> None:
    held = {"whole": [2**53 + 1, 2**53, 5], "number": [float(2**53)] * 3, "row": [0, 1, 2]}
    frame = frames.opened(LIBRARIES[library](pl.DataFrame(held)))
    for sign, rows in (("eq", [1]), ("gt", [0]), ("le", [1, 2])):
        found = run(frame, ["filter", {"op": sign, "of": [{"col": "whole"}, {"col": "number"}]}])
        assert found["row"].to_list() == rows


NOON = dt.datetime(2024, 10, 27, 12, tzinfo=OSLO)
SERIES: dict[str, pl.Series] = {
    "zoned": pl.Series([NOON, None, NOON + dt.timedelta(hours=1)], dtype=pl.Datetime("us", "Europe/Oslo")),
    "bytes": pl.Series([b"a", b"", None]),
    "truth": pl.Series([True, False, None]),
    "zero": pl.Series([-0.0, 0.0, 1.5]),
    "narrow": pl.Series([0.1, 0.5, None], dtype=pl.Float32),
    "large": pl.Series([2**64 - 1, 5, None], dtype=pl.UInt64),
    "whole": pl.Series([2**53 + 1, 5, None]),
    "price": pl.Series([Decimal("1.5"), None, Decimal("2.25")], dtype=pl.Decimal(20, 4)),
    "none": pl.Series([None, None, None]),
    "texts": pl.Series(["a", "b", None]),
}
FOUND: list[tuple[str, str, Any, list[int]]] = [
    ("zoned", "eq", "2024-10-27T12:00:00+01:00", [0]),
    ("zoned", "gt", "2024-10-27T11:00:00Z", [2]),
    ("bytes", "eq", "YQ==", [0]),
    ("bytes", "ne", "YQ==", [1, 2]),
    ("bytes", "in", ["", "YQ=="], [0, 1]),
    ("truth", "lt", True, [1]),
    ("truth", "ge", {"col": "truth"}, [0, 1]),
    ("narrow", "eq", 0.5, [1]),
    ("narrow", "eq", 0.1, []),
    ("narrow", "in", [0.1, 0.5], [1]),
    ("narrow", "gt", 0.1, [0, 1]),
    ("large", "ge", 5, [0, 1]),
    ("large", "eq", 2**64 - 1, [0]),
    ("texts", "eq", {"col": "none"}, []),
    ("none", "le", {"col": "whole"}, []),
    ("whole", "lt", {"col": "price"}, []),
]


def all_series(library: str) -> Any:
    frame = pl.DataFrame(SERIES | {"row": pl.Series([0, 1, 2])})
    return frames.opened(LIBRARIES[library](frame))


@pytest.mark.parametrize("library", LIBRARIES)
def test_values_of_types_that_libraries_compare_in_ways_of_their_own_are_found(library: str) -> None:
    frame = all_series(library)
    for name, sign, value, rows in FOUND:
        right = value if isinstance(value, dict) else {"lit": value}
        found = run(frame, ["filter", {"op": sign, "of": [{"col": name}, right]}])
        assert (name, sign, found["row"].to_list()) == (name, sign, rows)
    for one, other in (("texts", "whole"), ("truth", "zero"), ("zoned", "price"), ("bytes", "texts")):
        with pytest.raises(errors.InvalidParams, match=f'the columns "{one}", which holds .* and "{other}", which'):
            run(frame, ["filter", {"op": "ne", "of": [{"col": one}, {"col": other}]}])
    made = {
        "x": {"op": "div", "of": [{"col": "whole"}, {"lit": 2}]},
        "y": {"op": "mul", "of": [{"col": "price"}, {"lit": 2}]},
        "z": {"op": "add", "of": [{"col": "zero"}, {"lit": 2**53 + 1}]},
    }
    row = run(frame, ["with", made]).rows(named=True)[0]
    assert (row["x"], Decimal(row["y"]), row["z"]) == (2.0**52, 3, 2.0**53)


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_match_whatever_the_types_of_their_keys(library: str) -> None:
    frame = all_series(library)
    made = pl.DataFrame.to_pandas if library == "pandas" else LIBRARIES[library]
    keys = {
        "zero": (pl.Series([0, 2], dtype=pl.Int16), [0, 1]),
        "whole": (pl.Series([5, 2**53 + 1], dtype=pl.UInt64), [0, 1]),
        "large": (pl.Series([5, 6], dtype=pl.Int8), "refused"),
        "texts": (pl.Series(["b", "b"], dtype=pl.Categorical), [1, 1]),
        "none": (pl.Series([1, 2]), []),
        "price": (pl.Series([None, None]), []),
    }
    for name, (held, rows) in keys.items():
        other = frames.opened(made(pl.DataFrame({name: held, "id": [2**53 + 1, 7]})))
        step = ["join", {"id": "it"}, [name], "inner"]
        if isinstance(rows, str):
            with pytest.raises(
                errors.InvalidParams, match=f'Cannot join by column "{name}": .* and Int8, and it holds'
            ):
                run(frame, step, other=other)
            continue
        found = run(frame, step, other=other)
        assert (name, found["row"].to_list()) == (name, rows)
        assert not rows or found[name].dtype == frame[name].dtype
        left = run(frame, [*step[:-1], "left"], other=other)
        assert set(left["id"].drop_nulls().to_list()) <= {2**53 + 1, 7}
        assert left["id"].null_count() == 3 - len(set(rows))
    with pytest.raises(errors.InvalidParams, match="integers that only one of them has"):
        floats = frames.opened(made(pl.DataFrame({"whole": [0.5]})))
        run(frame, ["join", {"id": "it"}, ["whole"], "semi"], other=floats)
    if library != "pandas":  # its own times have microseconds
        clocks, other = (
            frames.opened(made(pl.DataFrame({"clock": pl.Series(held, dtype=pl.Time), "row": range(len(held))})))
            for held in ([2_002, None, 2_001], [2_000, 2_001])
        )
        assert run(clocks, ["sort", ["clock"], False])["row"].to_list() == [2, 0, 1]
        assert run(clocks, ["join", {"id": "it"}, ["clock"], "semi"], other=other)["row"].to_list() == [2]
    groups = run(frame, ["group", ["zero"], {"n": "count"}])
    assert groups["n"].to_list() == [2, 1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_frame_without_rows_has_every_step_and_aggregate(library: str) -> None:
    empty = pl.DataFrame(schema={name: kind for name, (_, kind) in COLUMNS.items()} | {"row": pl.Int64})
    frame = frames.opened(LIBRARIES[library](empty))
    steps = [["with", {"x": {"op": "add", "of": [{"col": "tiny"}, {"lit": 1}]}}], ["sort", list(COLUMNS), True]]
    joined = run(frame, *steps, ["join", {"id": "it"}, ["kind", "whole"], "left"], other=frame)
    assert len(joined) == len(run(frame, ["group", ["size"], {"whole": "median"}])) == 0
    assert {row["column"]: row["count"] for row in aggregates.described(frame)} == dict.fromkeys(frame.columns, 0)
    sums = chains.aggregated(frame, "it", {name: [name, "sum"] for name in NUMBERS if name != "price"})
    assert set(sums.values()) == {0}
    found = numbers.numbers(frame, "whole")
    assert found is not None and bytes(found[0]) == b""


@pytest.mark.parametrize("kind", [None, "Int64", "int64[pyarrow]"])
def test_column_of_nullable_integers_beyond_floats_is_rounded_with_missing_values(kind: str | None) -> None:
    frame = (
        pl.DataFrame({"a": [2**60, None]}).to_arrow()
        if kind is None
        else pd.DataFrame({"a": pd.array([2**60, None], dtype=kind)})
    )
    found = numbers.numbers(frames.opened(frame), "a")
    assert found is not None and found[1]
    first, second = found[0].cast("d")
    assert first == 2.0**60 and second != second


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_lists_and_texts_among_objects_are_not_added_up(make: Any) -> None:
    frame = frames.opened(make({"a": [[1], [2]], "row": [0, 1]}))
    for sign, other in (("mul", 2), ("add", 1)):
        with pytest.raises(errors.InvalidParams):
            run(frame, ["with", {"x": {"op": sign, "of": [{"col": "a"}, {"lit": other}]}}])
    mixed = frames.opened(pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)}))
    with pytest.raises(errors.InvalidParams, match='Cannot calculate with column "a": it does not hold numbers'):
        run(mixed, ["with", {"x": {"op": "mul", "of": [{"col": "a"}, {"lit": 2}]}}])
