"""Values and their JSON, type by type. Everything is real: numpy, pandas, polars, pydantic, attrs."""

from __future__ import annotations

import datetime as dt
import enum
import gc
import ipaddress
import json
import subprocess
import sys
import types
import typing
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import duckdb
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pctx_jupyter import errors
from pctx_jupyter.values import MAX_DEPTH, from_json, to_json

from ..alike import named

BERLIN = ZoneInfo("Europe/Berlin")  # until 1893, 53 minutes and 28 seconds from UTC
UUID_1 = UUID("12345678-1234-5678-1234-567812345678")


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    NOTHING = None


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    def __str__(self) -> str:
        return "overridden"


class Real(float):
    pass


class Whole(int):
    pass


@dataclass
class Order:
    id: int
    amount: typing.Any = 1.5
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    x: int
    y: int


@attrs.define
class Attrs:
    x: object


@attrs.define
class Private:
    _x: int
    y: int = attrs.field(init=False, default=2)


@dataclass
class Constant:
    x: int
    kind: str = field(init=False, default="c")


class Point(typing.NamedTuple):
    x: int
    y: int


class Struct(msgspec.Struct, rename="camel"):
    some_name: object


class Model(pydantic.BaseModel):
    some_name: int = pydantic.Field(alias="someName")
    when: dt.date = dt.date(2024, 5, 6)


class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    thing: typing.Any


def half_made() -> Slotted:
    made = Slotted.__new__(Slotted)
    made.x = 1
    return made


PLAIN = [
    (None, None),
    (True, True),
    (0, 0),
    (-1.5, -1.5),
    ("", ""),
    ("naïve 😀", "naïve 😀"),
    ([1, [2]], [1, [2]]),
    ((1, "a"), [1, "a"]),
    ({1}, [1]),
    (frozenset(), []),
    (range(3), [0, 1, 2]),
    (deque([1, 2]), [1, 2]),
    (UserList([1]), [1]),
    ({"a": 1}.keys(), ["a"]),
    ({"a": 1}.values(), [1]),
    ({"a": 1}.items(), [["a", 1]]),
    (OrderedDict(b=1), {"b": 1}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (Counter("aab"), {"a": 2, "b": 1}),
    (UserDict(a=1), {"a": 1}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (2**53 + 1, 2**53 + 1),
    (2**64, 2**64),
    (-(10**40), -(10**40)),
    (float("nan"), float("nan")),
    (float("-inf"), float("-inf")),
    (Text("mine"), "mine"),
    ([UserString("a")], ["a"]),
    (Whole(3), 3),
    (Real(2.5), 2.5),
    (Real("nan"), float("nan")),
    (Colour.RED, "red"),
    (Colour.PAIR, [1, 2]),
    (Colour.NOTHING, None),
    (Level.LOW, 1),
    (dt.datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05"),
    (dt.datetime(2024, 1, 2, tzinfo=dt.UTC), "2024-01-02T00:00:00Z"),
    (dt.datetime(1880, 1, 1, tzinfo=BERLIN), "1880-01-01T00:00:00+00:53:28"),
    (dt.datetime(1880, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=-52))), "1880-01-01T00:00:00-00:00:52"),
    (dt.time(1, 2, tzinfo=dt.timezone(dt.timedelta(seconds=3208))), "01:02:00+00:53:28"),
    (Loose(thing=dt.datetime(1880, 1, 1, tzinfo=BERLIN)), {"thing": "1880-01-01T00:00:00+00:53:28"}),
    (dt.date(2024, 1, 2), "2024-01-02"),
    (dt.time(1, 2), "01:02:00"),
    (dt.timedelta(days=1, seconds=5), "P1DT5S"),
    (UUID_1, str(UUID_1)),
    (Decimal("1.10"), "1.10"),
    (PurePosixPath("/a/b"), "/a/b"),
    (ipaddress.ip_address("::1"), "::1"),
    (b"\xff\x00", "/wA="),
    (bytearray(b"ab"), "YWI="),
    (memoryview(b"abcd")[::2], "YWM="),
    (Order(1), {"id": 1, "amount": 1.5, "tags": []}),
    (half_made(), {"x": 1}),
    (Attrs(Point(1, 2)), {"x": [1, 2]}),
    ([Private(1)], [{"_x": 1, "y": 2}]),
    ({"a": Constant(1)}, {"a": {"x": 1, "kind": "c"}}),
    (Struct(3), {"someName": 3}),
    (Model(someName=1), {"someName": 1, "when": "2024-05-06"}),
    (pydantic.RootModel[list[int]]([1]), [1]),
    (Loose(thing=pd.NaT), {"thing": None}),
    (Loose(thing={1: pydantic.SecretStr("x")}), {"thing": {"1": "**********"}}),
    ([Loose(thing=[np.int64(3)])], [{"thing": [3]}]),
    ("a\ud800b", "a\ufffdb"),
    ("\ud83d\ude00", "😀"),
    ({"\udc00": "\udc00"}, {"\ufffd": "\ufffd"}),
    ([Order(2, "\ud800"), Colour.RED, 2**70], [{"id": 2, "amount": "\ufffd", "tags": []}, "red", 2**70]),
]

KEYS = [
    (1, "1"),
    (1.5, "1.5"),
    (True, "true"),
    (Colour.RED, "red"),
    (Level.LOW, "1"),
    (dt.date(2024, 1, 2), "2024-01-02"),
    (UUID_1, str(UUID_1)),
    (np.int64(4), "4"),
    (np.str_("x"), "x"),
    (pd.Timestamp("2024-01-02"), "2024-01-02T00:00:00"),
    (dt.datetime(1880, 1, 1, tzinfo=BERLIN), "1880-01-01T00:00:00+00:53:28"),
    (PurePosixPath("a"), "a"),
]

ARRAYS = [
    (np.bool_(True), True),
    (np.int8(-1), -1),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.float16(1.5), 1.5),
    (np.float64("inf"), float("inf")),
    (np.longdouble(1.5), 1.5),
    (np.str_("x"), "x"),
    (np.bytes_(b"ab"), "YWI="),
    (np.datetime64("2024-01-02"), "2024-01-02"),
    (np.datetime64("2024-01-02T03:04:05.123456789"), "2024-01-02T03:04:05.123456789"),
    (np.datetime64("NaT", "ns"), None),
    (np.timedelta64(90, "s"), "PT90S"),
    (np.array(5), 5),
    (np.array([], dtype=int), []),
    (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    (np.array([1.5, np.nan, -np.inf]), [1.5, float("nan"), float("-inf")]),
    (np.array([1, 2], dtype=np.float32), [1, 2]),
    (np.array([1.5], dtype=np.longdouble), [1.5]),
    (np.array(["a", "bc"]), ["a", "bc"]),
    (np.array(["2024-01-02", "NaT"], dtype="M8[D]"), ["2024-01-02", None]),
    (np.array(["2024-01", "2025-02"], dtype="M8[M]"), ["2024-01-01", "2025-02-01"]),
    (np.array([["2024-01-02T03:04", "NaT"]], dtype="M8[ns]"), [["2024-01-02T03:04:00", None]]),
    (
        np.array(["12024-01-02T03:04", "2024-01-02T03:04"], dtype="M8[s]"),
        ["12024-01-02T03:04:00.000000", "2024-01-02T03:04:00"],
    ),
    (np.array([1, "NaT"], dtype="m8[h]"), ["PT3600S", None]),
    (np.array([10**15, "NaT"], dtype="m8[D]"), ["P1000000000000000D", None]),
    (np.array([10**13, "NaT"], dtype="M8[s]"), ["318857-05-20T17:46:40", None]),
    (np.array([None, 1, "a", np.nan, pd.NaT, np.float32(2)], dtype=object), [None, 1, "a", float("nan"), None, 2]),
    (np.array([(1, "a"), (2, "b")], dtype=[("n", int), ("s", "U1")]), [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}]),
    (np.array((1, "a"), dtype=[("n", int), ("s", "U1")]), {"n": 1, "s": "a"}),
    (np.array([[(1,)]], dtype=[("n", int)]), [[{"n": 1}]]),
    (np.ma.masked_array([1, 2], mask=[False, True]), [1, None]),
    ([np.float64(1), {"a": np.arange(2)}], [1, {"a": [0, 1]}]),
]

SERIES = [
    (pd.Series([1, 2]), [1, 2]),
    (pd.Series([1, 2, 3])[[True, False, True]], [1, 3]),
    (pd.Series([1, 2], index=["a", "b"]), [{"index": "a", "value": 1}, {"index": "b", "value": 2}]),
    (pd.Series([1], index=pd.CategoricalIndex(["a"], name="k")), [{"k": "a", "value": 1}]),
    (pd.Series([1, 2], index=["a", "a"], name="n"), [{"index": "a", "n": 1}, {"index": "a", "n": 2}]),
    (pd.Series([1.0, None]), [1, None]),
    (pd.Series([], dtype=float), []),
    (pd.Series([1, None], dtype="Int64"), [1, None]),
    (pd.Series([1.5, None], dtype="Float64"), [1.5, None]),
    (pd.Series([True, None], dtype="boolean"), [True, None]),
    (pd.Series(["a", None]), ["a", None]),
    (pd.Series(["a", None], dtype="string"), ["a", None]),
    (pd.Series(["a", None], dtype=object), ["a", None]),
    (pd.Series(["b", None, "a"], dtype="category"), ["b", None, "a"]),
    (pd.Series(pd.to_datetime(["2024-01-02", None])).astype("category"), ["2024-01-02T00:00:00", None]),
    (pd.Series(pd.to_datetime(["2024-01-02", None])), ["2024-01-02T00:00:00", None]),
    (
        pd.Series(pd.to_datetime(["2024-07-02", None])).dt.tz_localize("Europe/Berlin"),
        ["2024-07-02T00:00:00+02:00", None],
    ),
    (pd.Series(pd.to_timedelta(["1 day", None])), ["P1D", None]),
    (pd.Series(pd.PeriodIndex(["2024Q1", None], freq="Q")), ["2024Q1", None]),
    (pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2])), ["(0, 1]", "(1, 2]"]),
    (pd.Series(pd.arrays.SparseArray([0, 0, 1])), [0, 0, 1]),
    (pd.Index([1, 2]), [1, 2]),
    (pd.MultiIndex.from_tuples([(1, pd.Timestamp("2024-01-02"))]), [[1, "2024-01-02T00:00:00"]]),
    (pd.array([1, None], dtype="Int8"), [1, None]),
    (pd.Categorical(["a", None]), ["a", None]),
    (pd.Timestamp("2024-01-02 10:00", tz="Europe/Berlin"), "2024-01-02T10:00:00+01:00"),
    (pd.Timestamp("2024-01-02 10:00"), "2024-01-02T10:00:00"),
    (pd.Timestamp("1880-01-01", tz=BERLIN), "1880-01-01T00:00:00+00:53:28"),
    (pd.Series([pd.Timestamp("1880-01-01", tz=BERLIN), pd.NaT]), ["1880-01-01T00:00:00+00:53:28", None]),
    (pd.Series([pd.NaT, pd.Timestamp("2024-01-01", tz=BERLIN)]), [None, "2024-01-01T00:00:00+01:00"]),
    (pd.Series([1], dtype=pd.ArrowDtype(pa.time64("ns"))), ["00:00:00.000000001"]),
    (pd.Timedelta("1h"), "PT3600S"),
    (pd.Period("2024-01", freq="M"), "2024-01"),
    (pd.Interval(0, 1), "(0, 1]"),
    (pd.NA, None),
    (pd.NaT, None),
    (pl.Series([1, None]), [1, None]),
    (pl.Series([dt.date(2024, 1, 2)]), ["2024-01-02"]),
    (pl.Series([[1], [2, 3]]), [[1], [2, 3]]),
    (pl.Series([{"a": 1}]), [{"a": 1}]),
    (pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"]),
    (pl.Series([Decimal("1.10")]), ["1.10"]),
    (
        pl.Series([1, None, 2_000], dtype=pl.Datetime("ns", "Europe/Berlin")),
        ["1970-01-01T01:00:00.000000001+01:00", None, "1970-01-01T01:00:00.000002+01:00"],
    ),
    (pl.Series([-1, None, 2_000], dtype=pl.Duration("ns")), ["-PT0.000000001S", None, "PT0.000002S"]),
    (pl.Series([1, 2_000], dtype=pl.Int64).cast(pl.Time), ["00:00:00.000000001", "00:00:00.000002"]),
    (pl.Series([[1], None], dtype=pl.List(pl.Int64)).cast(pl.List(pl.Time)), [["00:00:00.000000001"], None]),
    (
        pl.Series([{"a": 1}, None]).cast(pl.Struct({"a": pl.Duration("ns")})),
        [{"a": "PT0.000000001S"}, None],
    ),
    (pl.Series([dt.datetime(1880, 1, 1)]).dt.replace_time_zone("Europe/Berlin"), ["1880-01-01T00:00:00+00:53:28"]),
    (pl.Series([float("nan"), None]), [float("nan"), None]),
]

NANOSECOND = pa.array([1], pa.time64("ns"))
ARROW = [
    (NANOSECOND, ["00:00:00.000000001"]),
    (NANOSECOND[0], "00:00:00.000000001"),
    (pa.array([[1], None], pa.list_(pa.time64("ns"))), [["00:00:00.000000001"], None]),
    (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.time64("ns"))), [[["a", "00:00:00.000000001"]]]),
    (pa.array([{"a": 1}, None], pa.struct({"a": pa.time64("ns")})), [{"a": "00:00:00.000000001"}, None]),
    (pa.table({"n": [1], "t": NANOSECOND}), [{"n": 1, "t": "00:00:00.000000001"}]),
    (pa.table({}), []),
    (pa.array([0, 1_000, 1_500], pa.time64("ns")), ["00:00:00", "00:00:00.000001", "00:00:00.000001500"]),
    (pa.array([0], pa.timestamp("us", "Europe/Berlin")), ["1970-01-01T01:00:00+01:00"]),
    (pa.array([-(90 * 365 * 86400)], pa.timestamp("s", "Europe/Berlin")), ["1880-01-23T00:53:28+00:53:28"]),
]

two = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
FRAMES = [
    (two, [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    (two[1:], [{"a": 2, "b": None}]),
    (two.iloc[:0], []),
    (pd.DataFrame(index=range(2)), [{}, {}]),
    (two.set_index("b"), [{"b": "x", "a": 1}, {"b": None, "a": 2}]),
    (two[two.a > 1].set_axis([7]), [{"a": 2, "b": None}]),
    (two.set_index(["a", "b"]), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    (pd.DataFrame({"n": [1]}, index=pd.MultiIndex.from_tuples([(1, "x")])), [{"level_0": 1, "level_1": "x", "n": 1}]),
    (pd.DataFrame([[1, 2]]), [{"0": 1, "1": 2}]),
    (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("p", "max"), ("q", "")])), [{"p_max": 1, "q": 2}]),
    (pd.DataFrame([[1]], columns=[pd.Timestamp("2024-01-02")]), [{"2024-01-02T00:00:00": 1}]),
    ({"frame": two}, {"frame": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]}),
    (pl.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    (pl.DataFrame(), []),
]
VALUES = PLAIN + ARRAYS + SERIES + ARROW + FRAMES


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda v: type(v).__name__)
def test_value_becomes_its_documented_json(value: object, expected: object) -> None:
    assert named(from_json(to_json(value))) == named(expected)


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda v: type(v).__name__)
def test_careful_way_gives_the_same_as_the_quick_one(value: object, expected: object) -> None:
    # Half a surrogate beside the value sends all of it the careful way.
    assert named(from_json(to_json([value, "\ud800"]))) == named([expected, "\ufffd"])


@pytest.mark.parametrize(("key", "text"), KEYS)
def test_key_becomes_text(key: object, text: str) -> None:
    assert from_json(to_json({key: 1})) == {text: 1}
    assert from_json(to_json({key: "\ud800"})) == {text: "\ufffd"}


def some_function() -> None: ...


async def coroutine() -> None: ...


async def stream() -> typing.AsyncIterator[int]:
    yield 1


class Opaque:
    def __repr__(self) -> str:
        raise RuntimeError


class Broken(UserDict):  # type: ignore[type-arg]
    def items(self) -> typing.Any:
        raise RuntimeError("gone")


REFUSED = [
    ([0, 1, 2, {"callback": some_function}], "orders[3].callback: function is not JSON; pass what it returns"),
    ({"odd key": print}, "orders['odd key']: function is not JSON"),
    (Order(1, amount={1, print}), "orders.amount["),
    (np.array([np.longdouble("1e400")]), "orders: a long double is too large for a number; pass it as text"),
    (np.longdouble("1e400"), "orders: a long double is too large for a number; pass it as text"),
    (Attrs([Opaque()]), "Opaque is not JSON; convert it to a dict, a list, text or a number"),
    (Struct(print), "orders.someName: function is not JSON"),
    (Loose(thing=[print]), "orders.thing[0]: function is not JSON"),
    (Point(1, print), "orders[1]: function is not JSON"),  # type: ignore[arg-type]
    (pd.DataFrame({"f": [1, print]}), "orders[1].f: function is not JSON"),
    (pl.DataFrame({"f": pl.Series([print], dtype=pl.Object)}), "orders[0].f: function is not JSON"),
    (np.array([print], dtype=object), "orders[0]: function is not JSON"),
    (int, "orders: class int is not JSON; pass an instance"),
    ([].append, "orders: function is not JSON"),
    (types, "orders: module is not JSON"),
    (stream(), "orders: async_generator is not JSON; collect it into a list first"),
    ([iter([])], "orders[0]: list_iterator is not JSON; make a list(…) of it first"),
    ((x for x in ()), "orders: generator is not JSON; make a list(…) of it first"),
    (1j, "orders: a complex number is not JSON; pass its real and imag parts"),
    (np.complex64(1j), "orders: a complex number is not JSON"),
    ({"z": np.array([1j])}, "orders.z: a complex number is not JSON"),
    (np.array([1], dtype="m8"), "orders: a duration without a unit has no length"),
    (np.timedelta64(1, "M"), "orders: a duration in months or years has no fixed length"),
    (object(), "orders: object is not JSON"),
    ({(1, 2): 3}, "orders: has the key (1, 2), of type tuple; JSON keys are text: write str(key)"),
    ({"a": {None: 3}}, "orders.a: has the key None, of type NoneType; JSON keys are text: write str(key)"),
    ([{"1": 0, 1: "\ud800"}], "orders[0]: two keys read '1' in JSON; rename one"),
    ([pd.DataFrame([[1, 2]], columns=["a", "a"])], 'orders[0]: two columns of the data frame are called "a"'),
    (
        pd.DataFrame({"n": [1], "index_n": [2]}, index=pd.Index([5], name="n")),
        'orders: its index and a column are both called "index_n"; rename one',
    ),
    (pl.LazyFrame(), "orders: a lazy frame has no rows yet; pass it by handle, or call collect() first"),
    (duckdb.sql("select 1"), "orders: a DuckDBPyRelation has no rows yet; pass it by handle, or call df() "),
    (pd.DataFrame({"a": [1]}).groupby("a"), "is not JSON"),
    ([10**5000], "orders[0]: is an integer of too many digits; pass it as text"),
    ([Broken()], "orders[0]: Broken cannot be converted (RuntimeError: gone)"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=lambda v: type(v).__name__)
def test_refusal_names_path_type_and_way_out(value: object, message: str) -> None:
    with pytest.raises(errors.NotJson) as refused:
        to_json(value, "orders")
    assert message in str(refused.value)


def test_coroutine_is_refused_with_the_word_await() -> None:
    pending = coroutine()
    with pytest.raises(errors.NotJson, match="coroutine is not JSON; await it first"):
        to_json(pending)
    pending.close()


def test_cycles_name_where_they_close() -> None:
    orders: list[object] = [{"first": 1}]
    orders.append({"again": orders})
    with pytest.raises(errors.NotJson, match=r"orders\[1\]\.again: contains itself"):
        to_json(orders, "orders")
    order = Order(1)
    order.amount = [order]
    with pytest.raises(errors.NotJson, match=r"order\.amount\[0\]: contains itself"):
        to_json(order, "order")


def test_one_part_in_two_places_is_no_cycle() -> None:
    part = [1, "\ud800"]
    assert from_json(to_json([part, {"b": part}])) == [[1, "\ufffd"], {"b": [1, "\ufffd"]}]


def test_depth_is_bounded_with_a_short_message() -> None:
    value: object = []
    for _ in range(100_000):
        value = {"a": [value]}
    with pytest.raises(errors.NotJson, match=f"is nested deeper than {MAX_DEPTH} levels") as refused:
        to_json(value)
    assert len(str(refused.value)) < 300
    while value:  # or the interpreter's own clean-up recurses
        value = value["a"].pop() if isinstance(value, dict) else None


def test_values_that_are_deep_but_allowed_pass() -> None:
    value: object = "\ud800"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert bytes(to_json(value)).count(b"[") == MAX_DEPTH


def test_json_passes_as_it_is() -> None:
    raw = msgspec.Raw(b"[1]")
    assert to_json(raw) is raw
    assert bytes(to_json({"a": raw})) == b'{"a":[1]}'


def test_big_frame_has_every_row() -> None:
    n = 20_000
    frame = pd.DataFrame(
        {"n": np.arange(n), "x": np.linspace(0, 1, n), "when": pd.date_range("2024", periods=n, freq="min")}
    )
    found = from_json(to_json(frame))
    assert len(found) == n
    assert found[-1] == {"n": n - 1, "x": 1, "when": frame.when.iloc[-1].isoformat()}


def test_collector_runs_again_afterwards() -> None:
    to_json([1])
    with pytest.raises(errors.NotJson):
        to_json(print)
    with pytest.raises(errors.ParseError, match="Cannot read the value"):
        from_json(b"{")
    assert gc.isenabled()
    gc.disable()
    try:
        to_json([1])
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_integers_keep_every_digit_on_the_way_back() -> None:
    assert from_json(b"[9007199254740993, 123456789012345678901234567890]") == [2**53 + 1, int("1234567890" * 3)]


def test_values_load_none_of_the_libraries_they_know() -> None:
    known = ["numpy", "pandas", "polars", "pyarrow", "pydantic", "attrs", "IPython"]
    code = (
        "import json, sys; from pctx_jupyter.values import to_json; to_json([{1}, range(2)]);"
        f"print(json.dumps([name for name in {known!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


# ── Both ways are one rule ──────────────────────────────────────────────────────────────────────────────────────────


class Digit(enum.Enum):
    ONE = "1"
    TRUE = "true"
    NUMBER = 1


class Holder(pydantic.BaseModel):
    """Lets anything pass, keys of any type too."""

    kept: typing.Any = None
    table: dict[typing.Any, typing.Any] = {}


keys = st.one_of(
    st.sampled_from(["1", "true", "a", "2024-01-02", "1.5", "#NaN"]),
    st.sampled_from([1, True, 1.5, float("nan"), Digit.ONE, Digit.TRUE, Digit.NUMBER, Level.LOW, dt.date(2024, 1, 2)]),
    st.sampled_from([np.int64(1), np.str_("a"), PurePosixPath("a"), Decimal("1.5"), UUID_1, str(UUID_1)]),
)
leaves = st.one_of(
    st.sampled_from([None, True, 0, 2**53 + 1, 2**80, 1.5, float("nan"), float("inf"), "", "#NaN", "##", "null"]),
    st.sampled_from([b"\xff", dt.date(2024, 1, 2), Decimal("1.10"), Colour.RED, Colour.PAIR, UUID_1, Real("nan")]),
    st.sampled_from([np.float32("nan"), np.array([1.0, np.nan]), np.array([[1, 2]]), pd.NaT, pd.NA]),
    st.just(msgspec.Raw(b'["#a"]')),
    st.sampled_from([pd.Series([1.0, None, np.inf]), pl.Series([None, float("nan")]), pd.DataFrame({"a": [1, None]})]),
)  # fmt: skip
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(UserDict),
        st.dictionaries(keys, inner, max_size=3).map(OrderedDict),
        st.builds(Order, st.just(1), inner),
        st.builds(Attrs, inner),
        st.builds(Struct, inner),
        st.builds(Point, st.just(1), inner),
        st.builds(lambda kept, table: Holder(kept=kept, table=table), inner, st.dictionaries(keys, inner, max_size=2)),
        st.builds(lambda one: np.array([one, None], dtype=object)[:1], inner),
    ),
    max_leaves=8,
)


def outcome(value: object) -> object:
    """What becomes of a value: its JSON, or which keys meet."""
    try:
        return named(from_json(to_json(value)))
    except errors.NotJson as error:
        return error.message.partition(": ")[2]


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anything)
def test_the_quick_way_and_the_careful_one_give_the_same(value: object) -> None:
    quick, careful = outcome(value), outcome([value, "\ud800"])
    assert quick == (careful[0] if isinstance(careful, list) else careful)


MEETING: list[dict[typing.Any, int]] = [
    {1: 0, "1": 0},
    {True: 0, "true": 0},
    {1.5: 0, "1.5": 0},
    {Digit.ONE: 0, "1": 0},
    {Digit.NUMBER: 0, 1: 0},
    {Digit.ONE: 0, Digit.NUMBER: 0},
    {dt.date(2024, 1, 2): 0, "2024-01-02": 0},
    {UUID_1: 0, str(UUID_1): 0},
    {float("nan"): 0, -float("nan"): 0},
    {PurePosixPath("a"): 0, "a": 0},
    {dt.datetime(2024, 1, 2): 0, pd.Timestamp("2024-01-02").isoformat(): 0},
    {b"a": 0, "YQ==": 0},
]


@pytest.mark.parametrize("mapping", MEETING, ids=repr)
@pytest.mark.parametrize(
    "around",
    [
        lambda one: one,
        lambda one: [{"a": 1}, {"a": one}],
        lambda one: Order(1, one),
        lambda one: Attrs([one]),
        lambda one: Struct((one,)),
        lambda one: Holder(kept=[one]),
        lambda one: [Holder(table=one)],
        lambda one: UserDict(one),
        lambda one: np.array([one], dtype=object),
        lambda one: pd.DataFrame({"x": [one]}),
        lambda one: pd.Series([one]),
    ],
)
def test_keys_that_meet_as_text_are_refused_wherever_they_are(
    mapping: dict[typing.Any, int], around: typing.Callable[[object], object]
) -> None:
    with pytest.raises(errors.NotJson, match=r"two keys read '.+' in JSON; rename one"):
        to_json(around(mapping))


def test_other_keys_than_texts_pass_where_they_stay_apart() -> None:
    assert from_json(to_json([{1: 0, 2: 0}, {"1": 0}, {UUID_1: 0}, {1: 0, "a": 0}])) == [
        {"1": 0, "2": 0},
        {"1": 0},
        {str(UUID_1): 0},
        {"1": 0, "a": 0},
    ]
