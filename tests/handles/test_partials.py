"""Aggregates of groups in parts give what they give of the whole table. The tables are of pandas, at random."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from random import Random
from typing import Any

import pandas as pd
import pytest

from pctx_jupyter import errors, values
from pctx_jupyter.handles import aggregates, chains, partials
from pctx_jupyter.kernel.functions.table_frames import frame_of

ZONE = "Europe/Oslo"
COLUMNS: dict[str, tuple[Any, list[Any]]] = {
    "whole": ("int64", [0, 1, -5, 2**53 + 1, 7]),
    "nullable": ("Int64", [None, 3, -3, 2**54 + 1]),
    "float": ("float64", [None, 1.5, -0.0, 0.0, 1e6, -2.25]),
    "endless": ("float64", [None, math.inf, -math.inf, 1.0, 2.0]),
    "arrow": ("double[pyarrow]", [None, 0.1, 0.2, 1e9]),
    "text": ("str", [None, "a", "b", "Ångström"]),
    "mixed": (object, ["x", None, float("nan"), "y"]),
    "truth": ("bool", [True, False]),
    "maybe": ("boolean", [True, False, None]),
    "category": ("category", ["low", "high", None]),
    "ordered": (pd.CategoricalDtype(["low", "mid", "high"], ordered=True), ["high", "low", None]),
    "decimal": (object, [Decimal("1.10"), Decimal("-2.25"), None]),
    "time": (
        f"datetime64[ns, {ZONE}]",
        [None, *map(pd.Timestamp, ("2024-03-31T00:59:59.000000001Z", "2024-10-27T00:00Z"))],
    ),
    "day": (object, [dt.date(2024, 2, 29), None, dt.date(1999, 1, 1)]),
    "duration": ("timedelta64[us]", [None, dt.timedelta(days=1), dt.timedelta(microseconds=-1)]),
}
KEYS = ("nullable", "float", "text", "mixed", "maybe", "category", "ordered", "decimal", "time", "day", "whole")
NUMBERS = ("whole", "nullable", "float", "endless", "arrow", "truth", "maybe", "decimal")
ROUNDED = ("sum", "mean", "std")
"""Functions whose last digits depend on the order."""


def table(random: Random, rows: int) -> pd.DataFrame:
    columns = {
        name: pd.Series([random.choice(given) for _ in range(rows)], dtype=kind)
        for name, (kind, given) in COLUMNS.items()
    }
    return pd.DataFrame(columns).set_axis(random.sample(range(10 * rows), rows))


def in_parts(random: Random, whole: pd.DataFrame, count: int) -> list[pd.DataFrame]:
    """Cut a table at random places, so that some parts have no rows."""
    cuts = sorted(random.choices(range(len(whole) + 1), k=count - 1))
    return [whole.iloc[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def of_parts(parts: list[pd.DataFrame], keys: list[str] | None, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    found = [chains.partial(frame_of([part]), "orders", keys, wanted) for part in parts]
    while len(found) > 1:
        found = [partials.combined(found[at : at + 5], frame_of) for at in range(0, len(found), 5)]
    return rows(partials.finished(partials.combined(found, frame_of)))


def rows(frame: Any) -> list[dict[str, Any]]:
    return values.from_json(values.to_json(frame.to_native(), "rows"))


def close(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def same(name: str, one: Any, other: Any) -> bool:
    return close(one, other) if name.rpartition(" ")[2] in ROUNDED else type(one) is type(other) and one == other


@pytest.mark.parametrize("parts", [1, 2, 9, 30])
def test_groups_of_parts_are_those_of_the_whole(parts: int) -> None:
    random = Random(parts)
    every = [(name, one) for name in NUMBERS for one in aggregates.AGGREGATES]
    every += [(name, one) for name in COLUMNS for one in ("min", "max", "count", "nunique")]
    for size in (0, 1, 60) if parts < 9 else (60,):
        whole = table(random, size)
        keys = random.sample(KEYS, random.randint(1, 2))
        wanted: dict[str, Any] = {f"{name} {one}": [name, one] for name, one in random.sample(every, 4)}
        wanted["rows"] = "count"
        expected = rows(chains.run([["group", keys, wanted]], frame_of([whole]), "orders", frame_of))
        found = of_parts(in_parts(random, whole, parts), keys, wanted)
        assert len(found) == len(expected), keys
        for one, other in zip(found, expected, strict=True):
            assert list(one) == list(other)
            different = {name: (one[name], other[name]) for name in one if not same(name, one[name], other[name])}
            assert different == {}, keys


def test_groups_of_all_rows_are_aggregates_of_the_whole() -> None:
    whole = table(Random(3), 20)
    wanted = {f"{name} {one}": [name, one] for name in ("nullable", "decimal") for one in ("sum", "median", "std")}
    [found] = of_parts(in_parts(Random(3), whole, 3), None, wanted)
    expected = values.from_json(values.to_json(chains.aggregated(frame_of([whole]), "orders", wanted)))
    assert {name: found[name] for name in wanted if not same(name, found[name], expected[name])} == {}


def test_sum_of_parts_that_does_not_fit_is_refused_and_deviations_far_from_zero_are_exact() -> None:
    halves = [pd.DataFrame({"n": [one, one], "far": [1e15 + one % 7, 1e15 + 9]}) for one in (2**61, 2**61 + 1)]
    with pytest.raises(errors.InvalidParams, match="the sum may be"):
        of_parts(halves, None, {"n": "sum"})
    [found] = of_parts(halves, None, {"far": "std", "n": "mean"})
    assert found["far"] == pytest.approx(pd.concat(halves)["far"].std()) and found["n"] == 2.0**61
