"""Labels of frames and series: which become columns, whatever the data is. pandas is real."""

# ruff: noqa: E501
# A case stands on one line where that shows it best.
from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.values import from_json, to_json

frame = pd.DataFrame(
    {
        "year": [2023, 2023, 2024, 2024],
        "city": ["Bern", "Rome", "Bern", "Bern"],
        "n": [1, 2, 3, 4],
        "share": [0.5, np.nan, 0.25, 1.0],
    }
)
by_city = frame.groupby("city")["n"]

FRAMES: dict[str, tuple[pd.DataFrame, list[str]]] = {
    "row numbers": (frame[["n"]], ["n"]),
    "other integers": (frame[["n"]].set_axis([4, 2, 9, 7]), ["n"]),
    "named integers": (frame.set_index("year")[["n"]], ["year", "n"]),
    "named row numbers": (frame[["n"]].rename_axis("row"), ["row", "n"]),
    "texts": (frame[["n"]].set_axis(list("abcd")), ["index", "n"]),
    "fractions": (frame[["n"]].set_axis([0.0, 1.0, 2.0, 3.0]), ["index", "n"]),
    "truth values": (frame[["n"]].set_axis([True, False, True, False]), ["index", "n"]),
    "dates": (frame[["n"]].set_axis(pd.date_range("2024-01-01", periods=4)), ["index", "n"]),
    "categories": (frame[["n"]].set_axis(pd.CategoricalIndex(list("abca"))), ["index", "n"]),
    "levels": (frame.set_index(["year", "city"])[["n"]], ["year", "city", "n"]),
    "levels without names": (frame[["n"]].set_axis(pd.MultiIndex.from_product([[1, 2], [3, 4]])), ["level_0", "level_1", "n"]),
    "a column of its name": (frame.set_index("n", drop=False)[["n"]], ["index_n", "n"]),
    "a column called index": (frame[["n"]].set_axis(["index"], axis=1).set_axis(list("abcd")), ["index_index", "index"]),
    "only a column called index": (frame[["n"]].set_axis(["index"], axis=1), ["index"]),
    "a level of a column's name": (frame.set_index(["n", "city"], drop=False)[["n"]], ["index_n", "city", "n"]),
    "two levels of one name": (frame[["n"]].set_axis(pd.MultiIndex.from_product([[1, 2], [3, 4]], names=["a", "a"])), ["a", "index_a", "n"]),
}  # fmt: skip


@pytest.mark.parametrize(("given_frame", "columns"), FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0, 1], [1, 2], [0, 2], [3], [3, 1], [2, 0, 1, 3]], ids=str)
def test_columns_do_not_depend_on_the_rows(given_frame: pd.DataFrame, columns: list[str], rows: list[int]) -> None:
    for chosen in (given_frame.iloc[rows], given_frame[np.isin(range(4), rows)]):
        assert [list(row) for row in from_json(to_json(chosen))] == [columns] * len(rows)


@pytest.mark.parametrize(("given_frame", "columns"), FRAMES.values(), ids=FRAMES)
def test_a_series_has_the_labels_that_its_frame_has(given_frame: pd.DataFrame, columns: list[str]) -> None:
    series = given_frame.iloc[:, 0]
    rows = from_json(to_json(given_frame))
    assert from_json(to_json(series)) == ([row[columns[0]] for row in rows] if len(columns) == 1 else rows)


AGGREGATES: dict[str, tuple[pd.Series, list[Any]]] = {
    "value_counts": (frame["city"].value_counts(), [{"city": "Bern", "count": 3}, {"city": "Rome", "count": 1}]),
    "value_counts of integers": (frame["year"].value_counts(), [{"year": 2023, "count": 2}, {"year": 2024, "count": 2}]),
    "value_counts of integers without a name": (pd.Series([7, 7, 5]).value_counts(), [{"index": 7, "count": 2}, {"index": 5, "count": 1}]),
    "shares": (frame["city"].value_counts(normalize=True), [{"city": "Bern", "proportion": 0.75}, {"city": "Rome", "proportion": 0.25}]),
    "bins": (frame["n"].value_counts(bins=2, sort=False), [{"index": "(0.996, 2.5]", "count": 2}, {"index": "(2.5, 4.0]", "count": 2}]),
    "sum by integers": (frame.groupby("year")["n"].sum(), [{"year": 2023, "n": 3}, {"year": 2024, "n": 7}]),
    "sum by texts": (by_city.sum(), [{"city": "Bern", "n": 8}, {"city": "Rome", "n": 2}]),
    "size": (frame.groupby("year").size(), [{"year": 2023, "value": 2}, {"year": 2024, "value": 2}]),
    "count of the key": (frame.groupby("city")["city"].count(), [{"index_city": "Bern", "city": 3}, {"index_city": "Rome", "city": 1}]),
    "two keys": (frame.groupby(["year", "city"])["n"].sum(), [{"year": 2023, "city": "Bern", "n": 1}, {"year": 2023, "city": "Rome", "n": 2}, {"year": 2024, "city": "Bern", "n": 7}]),
    "mean of all": (frame[["n", "share"]].mean(), [{"index": "n", "value": 2.5}, {"index": "share", "value": 1.75 / 3}]),
    "missing": (frame.isna().sum()[["n", "share"]], [{"index": "n", "value": 0}, {"index": "share", "value": 1}]),
    "distinct": (frame.nunique()[["year"]], [{"index": "year", "value": 2}]),
    "quantiles": (frame["n"].quantile([0.25, 0.5]), [{"index": 0.25, "n": 1.75}, {"index": 0.5, "n": 2.5}]),
    "description": (frame["n"].describe()[["min", "max"]], [{"index": "min", "n": 1.0}, {"index": "max", "n": 4.0}]),
    "types": (frame.dtypes[["n", "share"]], [{"index": "n", "value": "int64"}, {"index": "share", "value": "float64"}]),
    "largest": (frame.groupby("city")["n"].max().nlargest(1), [{"city": "Bern", "n": 4}]),
    "where largest": (frame.groupby("city")["n"].idxmax(), [{"city": "Bern", "n": 3}, {"city": "Rome", "n": 1}]),
    "by month": (frame["n"].set_axis(pd.date_range("2024-01-01", periods=4, freq="D")).resample("2D").sum(), [{"index": "2024-01-01T00:00:00", "n": 3}, {"index": "2024-01-03T00:00:00", "n": 7}]),
    "correlation": (frame[["n", "year"]].corr()["n"][["n"]], [{"index": "n", "n": 1.0}]),
    "a row": (frame[["n", "year"]].iloc[1], [{"index": "n", "1": 2}, {"index": "year", "1": 2023}]),
    "unstacked": (frame.pivot_table(index="year", values="n", aggfunc="sum").stack(), [{"year": 2023, "level_1": "n", "value": 3}, {"year": 2024, "level_1": "n", "value": 7}]),
    "mode": (frame["city"].mode(), ["Bern"]),
    "sum by row": (frame[["n", "year"]].sum(axis=1), [2024, 2025, 2027, 2028]),
    "a repeated label": (pd.Series([1, 2], index=["a", "a"]), [{"index": "a", "value": 1}, {"index": "a", "value": 2}]),
}  # fmt: skip


@pytest.mark.parametrize(("series", "expected"), AGGREGATES.values(), ids=AGGREGATES)
def test_an_aggregate_arrives_with_its_labels(series: pd.Series, expected: list[Any]) -> None:
    assert from_json(to_json(series)) == expected


def same(x: pd.Series) -> pd.Series:
    received.append(x)
    return x


received: list[pd.Series] = []


@pytest.mark.parametrize(("series", "expected"), AGGREGATES.values(), ids=AGGREGATES)
def test_a_series_of_a_tool_fits_a_series_parameter(series: pd.Series, expected: list[Any]) -> None:
    made = tools.define(same)
    first = tools.call(made, to_json({"x": from_json(to_json(series))}))
    assert isinstance(first, type(to_json(0)))
    assert from_json(first) == expected
    if isinstance(expected[0], dict):
        assert list(received[-1].index.names)[-1:] == [
            None if name in ("index", "level_1") else name for name in list(expected[0])[-2:-1]
        ]


def test_a_series_of_objects_keeps_them_and_comes_back() -> None:
    notes = pd.Series([{"a": 1, "b": 2}, {"a": 3, "b": 4}], name="note")
    rows = from_json(to_json(notes))
    assert rows == [{"index": 0, "note": {"a": 1, "b": 2}}, {"index": 1, "note": {"a": 3, "b": 4}}]
    tools.call(tools.define(same), to_json({"x": rows}))
    pd.testing.assert_series_equal(received[-1], notes)


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ([1.5, None], pd.Series([1.5, None])),
        ({"a": 1, "b": 2}, pd.Series([1, 2], index=["a", "b"])),
        ([{"k": "a", "n": 1}, {"k": "a", "n": 2}], pd.Series([1, 2], index=pd.Index(["a", "a"], name="k"), name="n")),
        ([{"index": 1.5, "value": 1}], pd.Series([1], index=[1.5])),
        ([{"n": 1}, {"n": 2}], pd.Series([{"n": 1}, {"n": 2}])),
        ([], pd.Series([])),
    ],
    ids=str,
)
def test_a_series_parameter_takes_values_rows_and_an_object(given_value: object, expected: pd.Series) -> None:
    tools.call(tools.define(same), to_json({"x": given_value}))
    pd.testing.assert_series_equal(received[-1], expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_a_filter_never_changes_which_columns_there_are(numbers: list[int], chosen: list[bool]) -> None:
    whole = pd.DataFrame({"n": numbers})
    part = whole[np.array(chosen[: len(numbers)])]
    for one in (part, part.sort_values("n"), part.drop_duplicates(), part.head(2), part.tail(1), part[::-1]):
        assert all(list(row) == ["n"] for row in from_json(to_json(one)))
        assert from_json(to_json(one["n"])) == one["n"].tolist()


def test_two_columns_of_one_name_are_refused_with_the_name() -> None:
    from pctx_jupyter import errors

    frame_of_two = pd.DataFrame({"n": [1], "index_n": [2]}, index=pd.Index([5], name="n"))
    with pytest.raises(errors.NotJson, match='its index and a column are both called "index_n"; rename one'):
        to_json(frame_of_two)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pd.Timestamp("2024-01-02T03:04:05.000000001"), "2024-01-02T03:04:05.000000001"),
        (pd.Timestamp("2024-01-02T03:04:05.123456789", tz="Europe/Berlin"), "2024-01-02T03:04:05.123456789+01:00"),
        (pd.Timedelta(1, "ns"), "PT0.000000001S"),
        (pd.Timedelta(-1, "ns"), "-PT0.000000001S"),
        (pd.Timedelta("2 days 00:00:01.000000100"), "P2DT1.0000001S"),
        (np.timedelta64(1001, "ns"), "PT0.000001001S"),
        (np.datetime64("1970-01-02T03:04:05.123456789012", "ps"), "1970-01-02T03:04:05.123456789012"),
    ],
)
def test_no_digit_of_a_time_is_cut(value: Any, text: str) -> None:
    assert from_json(to_json(value)) == text
    if isinstance(value, pd.Timestamp):
        assert from_json(to_json(pd.Series([value, None]))) == [text, None]
    if isinstance(value, pd.Timedelta):
        assert from_json(to_json(pd.Series([value, None, pd.Timedelta("1 day")]))) == [text, None, "P1D"]
        assert pd.Timedelta(text) == value


@pytest.mark.parametrize("kind", [pd.Timestamp, pd.Timedelta])
def test_times_of_tools_come_back_exactly(kind: type) -> None:
    def moment(x):  # type: ignore[no-untyped-def]
        received.append(x)
        return x

    moment.__annotations__ = {"x": kind, "return": kind}
    made = tools.define(moment)
    for value in (kind(1_234_567_891), kind(86_400_000_000_000)):
        written = tools.call(made, to_json({"x": from_json(to_json(value))}))
        assert received[-1] == value  # type: ignore[comparison-overlap]
        assert written == to_json(value)
