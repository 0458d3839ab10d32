"""Python → TypeScript → Python: what is declared is what arrives, and it comes back as it was.

Kinds and values are drawn, and a few are written down. Everything is real: a tool's own conversions, the engine, Deno,
and the type checker, which judges the value against its declared type. Many cases are one program.
"""

from __future__ import annotations

import datetime as dt
import enum
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pydantic
import typing_extensions
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from pctx_jupyter.client.raw import RawClient
from pctx_jupyter.engine import open_engine
from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.kernel.functions.tool import PythonTool
from pctx_jupyter.rpc import nonfinite, wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve
from pctx_jupyter.settings import Settings
from pctx_jupyter.values import from_json

from ..alike import named

NAN, INF = float("nan"), float("inf")

CASES = 120
"""Drawn cases, of which one program has `BATCH`."""
BATCH = 40


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Fit:
    slope: float
    errors: list[float] = field(default_factory=list)
    best: float | None = None


@dataclass
class Nested:
    fits: dict[str, Fit]
    pair: tuple[float, str]


class Model(pydantic.BaseModel):
    score: float
    note: float | None = None
    when: dt.date | None = None


class Keyed(typing_extensions.TypedDict):
    x: float
    y: typing_extensions.NotRequired[float]


class Point(typing.NamedTuple):
    x: float
    label: str


WRITTEN: list[tuple[Any, Any]] = [
    (None, None),
    (bool, True),
    (int, -(2**53) + 1),
    (float, 1.5),
    (float, NAN),
    (float, -INF),
    (str, "#NaN"),
    (str, "naïve 😀\n\u2028"),
    (list[float], [1.0, NAN, INF]),
    (list[float | None], [None, NAN]),
    (dict[str, float], {"#NaN": NAN, "a": 1.0}),
    (dict[int, float], {1: NAN}),
    (tuple[float, str], (NAN, "#")),
    (tuple[float, ...], (INF, 1.0)),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (float | str, NAN),
    (float | str, "NaN"),
    (float | None, None),
    (Fit, Fit(NAN, [INF], None)),
    (Nested, Nested({"#": Fit(1.0)}, (NAN, "#Infinity"))),
    (Model, Model(score=NAN, when=dt.date(2024, 1, 2))),
    (list[Model], [Model(score=1.0, note=-INF)]),
    (Keyed, {"x": NAN}),
    (Point, Point(NAN, "a")),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (dict[str, Colour], {"a": Colour.BLUE}),
    (dt.datetime, dt.datetime(2024, 1, 2, 3, 4, 5, 6, dt.UTC)),
    (dt.date, dt.date(2024, 1, 2)),
    (dt.time, dt.time(1, 2, 3)),
    (dt.timedelta, dt.timedelta(days=1, microseconds=1)),
    (UUID, UUID(int=7)),
    (Path, Path("/a/b")),
    (Decimal, Decimal("1.10")),
    (Decimal, Decimal("-Infinity")),
    (bytes, b"\xff\x00"),
    (np.float64, np.float64("nan")),
    (np.int64, np.int64(3)),
    (np.ndarray, np.array([[1.0, NAN], [INF, 0.5]])),
    (pd.DataFrame, pd.DataFrame({"a": [1.0, None, INF], "b": ["x", None, "z"]})),
    (pd.Series, pd.Series([1.0, None, INF])),
    (pd.Series, pd.Series([1.0, None], index=pd.Index(["a", "a"], name="k"), name="n")),
    (pd.Series, pd.Series([1, 2], index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["a", None]))),
    (pd.Index, pd.Index([1, 2])),
    (pd.Timestamp, pd.Timestamp("2024-01-02T03:04:05.123456789")),
    (pd.Timedelta, pd.Timedelta(1, "ns")),
    (pd.Period, pd.Period("2024-01", freq="M")),
    (pl.DataFrame, pl.DataFrame({"a": [1.0, None, NAN], "b": ["x", None, "z"]})),
    (pl.Series, pl.Series([1.0, None, NAN])),
    (Any, {"a": [1, NAN, {"b": None}], "$pctx.nonfinite": "#NaN"}),
]

floats = st.one_of(st.floats(allow_subnormal=False), st.sampled_from([NAN, INF, -INF, 0.1, 1e300, 5.0]))
scalars: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (float, floats),
    (int, st.integers(-(2**53) + 1, 2**53 - 1)),
    (str, st.one_of(st.text(st.characters(codec="utf-8"), max_size=5), st.sampled_from(["#NaN", "##", "NaN", "null"]))),
    (bool, st.booleans()),
    (Decimal, st.sampled_from([Decimal("1.10"), Decimal("NaN"), Decimal("1E+3")])),
    (dt.date, st.dates()),
    (Colour, st.sampled_from(Colour)),
    (bytes, st.binary(max_size=4)),
    (Fit, st.builds(Fit, floats, st.lists(floats, max_size=2), st.none() | floats)),
    (Model, st.builds(Model, score=floats, note=st.none() | floats)),
]


@st.composite
def cases(draw: st.DrawFn, depth: int = 2) -> tuple[Any, Any]:
    """A kind and one value of it."""
    kind, values = draw(kinds(depth))
    return kind, draw(values)


@st.composite
def kinds(draw: st.DrawFn, depth: int) -> tuple[Any, st.SearchStrategy[Any]]:
    form = draw(st.sampled_from(["scalar", "list", "dict", "tuple", "optional", "array"] if depth else ["scalar"]))
    if form == "array":
        return np.ndarray, st.lists(floats, max_size=3).map(np.array)
    if form == "scalar":
        return draw(st.sampled_from(scalars))
    kind, values = draw(kinds(depth - 1))
    match form:
        case "list":
            return list[kind], st.lists(values, max_size=3)  # type: ignore[valid-type]
        case "dict":
            return dict[str, kind], st.dictionaries(st.sampled_from(["a", "#NaN", "b c"]), values)  # type: ignore[valid-type]
        case "tuple":
            return tuple[kind, float], st.tuples(values, floats)  # type: ignore[valid-type]
    return typing.Optional[kind], st.none() | values  # noqa: UP045  # a kind may be anything


def drawn() -> list[tuple[Any, Any]]:
    """Many cases: to check each by itself would take a minute, and a failure names its own anyway."""
    found: list[tuple[Any, Any]] = []

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: tuple[Any, Any]) -> None:
        found.append(case)

    collect()
    return found


@dataclass
class Trip:
    """One value on its way: `received` is what Python got back, first by itself and then once more."""

    kind: Any
    value: Any
    received: list[Any] = field(default_factory=list)

    def tools(self, number: int) -> tuple[PythonTool, PythonTool]:
        def give():  # type: ignore[no-untyped-def]
            return self.value

        def take(v):  # type: ignore[no-untyped-def]
            self.received.append(v)
            return v

        give.__annotations__ = {"return": self.kind}
        take.__annotations__ = {"v": self.kind, "return": self.kind}
        return (
            tools.define(give, name=f"give{number}", namespace="Trip"),
            tools.define(take, name=f"take{number}", namespace="Trip"),
        )


@asynccontextmanager
async def client() -> AsyncIterator[RawClient]:
    async with open_engine(Settings()) as engine:

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return engine.connect(serve=serve, on_notification=on_notification)

        async with RawClient(connect=connect) as one:
            yield one


def serving(made: PythonTool) -> Any:
    async def serve(asked: wire.ExecuteTool) -> Raw:
        result = tools.call(made, None if asked.arguments is UNSET else asked.arguments)
        assert isinstance(result, Raw)
        return result

    return serve


async def travel(trips: list[Trip]) -> None:
    """Send every value to a program and back, twice, and have the type checker judge it."""
    lines = []
    written = {}
    async with client() as one:
        for number, trip in enumerate(trips):
            for made in trip.tools(number):
                asked = wire.RegisterTool(
                    "Trip", made.name, None, made.input_schema, made.output_schema, nonfinite=True
                )
                await one.offer(asked, serving(made))
                if made.name.startswith("give"):
                    result = tools.call(made, None)
                    assert isinstance(result, Raw)
                    written[number] = result
            seen = nonfinite.readable(written[number]).decode()
            lines += [
                f"const seen{number}: Awaited<ReturnType<typeof Trip.give{number}>> = {seen};",
                f"const first{number} = await Trip.take{number}({{ v: await Trip.give{number}() }});",
                f"const second{number} = await Trip.take{number}({{ v: first{number} }});",
            ]
        numbers = range(len(trips))
        lines.append(f"[{', '.join(f'[seen{n}, first{n}, second{n}]' for n in numbers)}]")
        executed = await one.execute(wire.Execute("\n".join(lines), typecheck=True, nonfinite=True))
        assert executed.unchecked is None
        for number, (seen, first, second) in enumerate(from_json(executed.value)):
            trip = trips[number]
            expected = named(from_json(written[number]))
            assert (named(seen), named(first), named(second)) == (expected, expected, expected), trip
            assert len(trip.received) == 2
            for received in trip.received:
                assert_same(received, trip.value)


def assert_same(received: Any, value: Any) -> None:
    match value:
        case pd.DataFrame():
            pd.testing.assert_frame_equal(received, value)
        case pd.Series():
            pd.testing.assert_series_equal(received, value)
        case pd.Index():
            pd.testing.assert_index_equal(received, value)
        case pl.DataFrame() | pl.Series():
            assert received.equals(value)
        case np.ndarray():
            np.testing.assert_array_equal(received, value)
        case set() | frozenset():
            assert received == value
        case dict():
            assert received.keys() == value.keys()
            for key, part in value.items():
                assert_same(received[key], part)
        case list() | tuple():
            assert type(received) is type(value)
            for one, part in zip(received, value, strict=True):
                assert_same(one, part)
        case _:
            assert received == value or repr(received) == repr(value)


async def test_every_kind_of_the_reference_comes_back_as_it_was_and_is_of_its_type() -> None:
    await travel([Trip(kind, value) for kind, value in WRITTEN])


async def test_any_value_comes_back_as_it_was_and_is_of_its_type() -> None:
    trips = [Trip(kind, value) for kind, value in drawn()]
    for start in range(0, len(trips), BATCH):
        await travel(trips[start : start + BATCH])


async def test_a_client_of_python_passes_the_same_numbers() -> None:
    seen: list[Any] = []

    def same(arguments: dict[str, Any]) -> Any:
        seen.append(arguments["x"])
        return arguments

    async with client() as one:
        await one.register_tool("Math", "same", same)
        inputs = {"x": {"a": [NAN, "#NaN"], "$pctx.nonfinite": -INF}}
        executed = await one.execute_code("[await Math.same({ x }), NaN, 2n ** 64n]", inputs=inputs)
        assert named(executed["value"]) == named([inputs, NAN, 2**64])
        assert named(seen) == named([inputs["x"]])
