"""Python functions as tools: what is registered, how calls are converted, what is refused.

Everything is real: functions as a notebook would define them, pydantic, numpy, pandas, polars.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import functools
import inspect
import json
import math
import pathlib
import pickle
import re
import subprocess
import sys
import types
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Optional, TypedDict, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pydantic
import pytest
from msgspec import Raw, Struct

from pctx_jupyter import errors
from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.kernel.functions.tool import PythonTool, tool
from pctx_jupyter.rpc import nonfinite
from pctx_jupyter.tools.shapes import BYTES
from pctx_jupyter.values import from_json

T = TypeVar("T")


def named(value: object) -> str:
    """A test's name for a value: the same in every process, so that several may share the tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))[:40]


LOCAL_MEAN = dt.timezone(dt.timedelta(minutes=53, seconds=28))
"""The offset of Berlin until 1893."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Mixed(enum.Enum):
    DAY = dt.date(2024, 1, 2)
    PAIR = (1, 2)
    TWO = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Doubled:
    """What its `__post_init__` makes of it, and what is assigned later, are what it holds."""

    n: int
    factor: InitVar[int] = 2
    label: str = field(init=False)
    state: str = field(default="new", init=False)

    def __post_init__(self, factor: int) -> None:
        self.n *= factor
        self.label = f"of {self.n}"


def changed() -> Doubled:
    one = Doubled(3)
    one.state = "changed"
    return one


@dataclass
class Order:
    id: int
    amount: float
    placed: dt.date | None = None


@dataclass
class Node:
    name: str
    children: list[Node] = field(default_factory=list)


class Record(Struct, kw_only=True):
    lasts: dt.timedelta = dt.timedelta()
    at: dt.datetime | None = None
    price: Decimal = Decimal()
    any: Any = None


@attrs.define
class Lasting:
    of: dt.time | None = None
    price: Decimal = Decimal()


class Options(TypedDict, total=False):
    depth: int
    colour: Colour


class Tree(TypedDict):
    name: str
    kids: NotRequired[list[Tree]]


class Point(NamedTuple):
    x: float
    y: float


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives_left: int = pydantic.Field(9, alias="livesLeft", ge=0)


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Shout(pydantic.BaseModel):
    """A model whose JSON is another thing than its fields."""

    text: str = pydantic.Field(serialization_alias="said")

    @pydantic.field_serializer("text")
    def loud(self, text: str) -> str:
        return text.upper()


class Plain:
    pass


@pytest.fixture(autouse=True)
def nothing_defined() -> Iterator[None]:
    """No tool of another test, before or after."""
    forget_all()
    yield
    forget_all()


def forget_all() -> None:
    for one in tools.defined():
        tools.forget(one.path)


def made(function: Callable[..., Any], **options: Any) -> PythonTool:
    return tools.define(function, **({"name": "f"} | options))


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def called(one: PythonTool, arguments: object) -> Any:
    result = tools.call(one, raw(arguments))
    assert isinstance(result, Raw)
    return from_json(result)


# What is registered


def load_orders(status: str | None = None, *, limit: int = 10) -> list[Order]:
    """Load orders, optionally with one status.

    The newest come first.

    Args:
        status: Only these.
        limit: How many
            at most.

    Returns:
        Orders by date.
    """
    return [Order(1, 2.5, dt.date(2024, 1, 2))][:limit]


def test_function_becomes_a_tool_and_stays_the_function_it_was() -> None:
    assert tool(load_orders) is load_orders
    assert pickle.loads(pickle.dumps(load_orders)) is load_orders
    [one] = tools.defined()
    assert (one.namespace, one.name, one.path) == ("Notebook", "load_orders", "Notebook.loadOrders")
    assert one.description == "Load orders, optionally with one status.\n\nThe newest come first."
    assert one.function is load_orders
    assert not one.is_async
    assert one.tool.registered_path == "Notebook.load_orders"
    assert one.input_schema == {
        "type": "object",
        "properties": {
            "status": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "default": None,
                "description": "Only these.",
            },
            "limit": {"type": "integer", "default": 10, "description": "How many\nat most."},
        },
        "additionalProperties": False,
    }
    assert one.output_schema == {
        "type": "array",
        "items": {"$ref": "#/$defs/Order"},
        "description": "Orders by date.",
        "$defs": {
            "Order": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "amount": {"type": "number"},
                    "placed": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
                },
                "required": ["id", "amount"],
            }
        },
    }


def test_decorator_takes_name_namespace_and_description() -> None:
    @tool(name="load", namespace="Sales", description="  Loads.\n  Fast.")
    def anything() -> None:
        """Not this."""

    [one] = tools.defined()
    assert (one.path, one.description) == ("Sales.load", "Loads.\nFast.")
    assert anything() is None


@pytest.mark.parametrize("effects", ["yes", "effects", 1, 0, [], object()])
def test_what_says_nothing_of_effects_is_refused(effects: Any) -> None:
    with pytest.raises(errors.InvalidParams, match='has to be True, False, "unknown" or None'):
        tool(name="odd", effects=effects)(lambda: None)


def test_tools_are_listed_in_the_order_in_which_they_were_first_defined() -> None:
    tool(load_orders)
    made(len, name="size")
    tool(load_orders)
    assert [one.path for one in tools.defined()] == ["Notebook.loadOrders", "Notebook.size"]


@pytest.mark.parametrize(
    ("function", "namespace", "name"),
    [(math.floor, "Math", None), (load_orders, "JSON", "parse"), (len, "Object", "keys"), (len, "promise", "all")],
)
def test_a_tool_in_the_place_of_a_function_of_javascript_is_refused_where_it_is_defined(
    function: Any, namespace: str, name: str | None
) -> None:
    with pytest.raises(errors.InvalidParams, match=r"JavaScript's own.*choose another namespace, such as"):
        tools.define(function, namespace=namespace, name=name)
    assert tools.defined() == []


def test_defining_again_replaces() -> None:
    made(lambda: 1)
    made(lambda: 2)
    [one] = tools.defined()
    assert called(one, {}) == 2


def test_two_spellings_of_one_name_are_refused_with_both() -> None:
    made(abs, name="load_orders")
    with pytest.raises(errors.ToolExists, match=r"Notebook\.loadOrders.*Notebook\.load_orders"):
        made(abs, name="loadOrders")


def test_forgotten_tool_is_gone_under_both_of_its_names() -> None:
    one = made(load_orders, name="load_orders")
    assert tools.forget("Notebook.load_orders") is one
    assert tools.forget("Notebook.loadOrders") is None
    assert tools.defined() == []


class Shop:
    """A shop."""

    def __init__(self, price: int) -> None:
        self.price = price

    def total(self, count: int) -> int:
        """Add it up."""
        return self.price * count

    def __call__(self, count: int) -> int:
        """Sell some."""
        return -self.price * count

    @classmethod
    def named(cls, name: str) -> str:
        return f"{cls.__name__} {name}"

    @staticmethod
    def opens(day: str) -> str:
        return f"9:00 on {day}"


class AsyncShop:
    async def __call__(self, count: int) -> int:
        return count


async def slowly(count: int) -> int:
    return count * 2


CALLABLES: list[tuple[Any, str, object, object]] = [
    (load_orders, "load_orders", {"limit": 0}, []),
    (Shop(2).total, "total", {"count": 3}, 6),
    (Shop(2), "Shop", {"count": 3}, -6),
    (Shop.named, "named", {"name": "x"}, "Shop x"),
    (Shop.opens, "opens", {"day": "Monday"}, "9:00 on Monday"),
    (staticmethod(Shop.opens), "opens", {"day": "Monday"}, "9:00 on Monday"),
    (functools.partial(Shop(2).total, 4), "total", {}, 8),
    (functools.partial(Shop(2).total, count=4), "total", {"count": 5}, 10),
    (functools.partial(functools.partial(divmod, 7)), "divmod", {"y": 2}, [3, 1]),
    (functools.lru_cache(load_orders), "load_orders", {"limit": 0}, []),
    (len, "len", {"obj": "abc"}, 3),
]


@pytest.mark.parametrize(("function", "name", "arguments", "result"), CALLABLES, ids=named)
def test_anything_callable_is_a_tool(function: Any, name: str, arguments: object, result: object) -> None:
    assert tool(function) is function
    [one] = tools.defined()
    assert one.name == name
    assert called(one, arguments) == result


def test_docstrings_come_from_where_they_belong() -> None:
    assert made(Shop(1)).description == "Sell some."
    assert made(functools.partial(Shop(1).total, 1)).description == "Add it up."
    assert made(functools.partial(slowly)).description == ""


@pytest.mark.parametrize("function", [slowly, functools.partial(slowly), AsyncShop(), AsyncShop().__call__])
async def test_async_callables_are_known_as_such_and_give_an_awaitable(function: Any) -> None:
    one = made(function)
    assert one.is_async
    pending = tools.call(one, raw({"count": 1}))
    assert inspect.isawaitable(pending)
    assert json.loads(bytes(await pending)) in (1, 2)


async def test_plain_function_may_return_what_is_to_be_awaited() -> None:
    one = made(lambda: slowly(4))
    pending = tools.call(one, None)
    assert isinstance(pending, Awaitable)
    assert bytes(await pending) == b"8"


def greek(a: int, b: str = "") -> None: ...


DOCSTRINGS = [
    "Say.\n\nArgs:\n    a: The first.\n    b: The second.",
    "Say.\n\nParameters\n----------\na : int\n    The first.\nb : str\n    The second.",
    "Say.\n\n:param a: The first.\n:param b: The second.",
    "Say.\n\n@param a: The first.\n@param b: The second.",
]


@pytest.mark.parametrize("text", DOCSTRINGS, ids=["Google", "NumPy", "reST", "Epydoc"])
def test_every_style_of_docstring_describes_the_parameters(text: str) -> None:
    documented = types.FunctionType(greek.__code__, globals(), "greek", greek.__defaults__)
    documented.__annotations__, documented.__doc__ = greek.__annotations__, text
    one = made(documented)
    assert one.description == "Say."
    properties = schema_of(one)["properties"]
    assert [properties[name]["description"] for name in "ab"] == ["The first.", "The second."]


# Schemas


def schema_of(one: PythonTool) -> dict[str, Any]:
    assert isinstance(one.input_schema, dict)
    return one.input_schema


PARAMETERS: list[tuple[Any, dict[str, Any]]] = [
    (Any, {}),
    (inspect.Parameter.empty, {}),
    (int, {"type": "integer"}),
    (Optional[str], {"anyOf": [{"type": "string"}, {"type": "null"}]}),  # noqa: UP045
    ("int | str", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    (Literal["a", 1], {"enum": ["a", 1]}),
    (Colour, {"$ref": "#/$defs/Colour"}),
    (
        Annotated[int, pydantic.Field(ge=0, description="Count.")],
        {"type": "integer", "minimum": 0, "description": "Count."},
    ),
    (list[int], {"type": "array", "items": {"type": "integer"}}),
    (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
    (
        tuple[int, str],
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
    ),
    (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
    (dt.datetime, {"type": "string", "format": "date-time"}),
    (dt.timedelta, {"type": "string", "format": "duration"}),
    (uuid.UUID, {"type": "string", "format": "uuid"}),
    (pathlib.Path, {"anyOf": [{"x-handle": "file"}, {"type": "string", "format": "path"}]}),
    (bytes, {"anyOf": [{"type": "string"}, BYTES], "contentEncoding": "base64"}),
    (Order, {"$ref": "#/$defs/Order"}),
    (Node, {"$ref": "#/$defs/Node"}),
    (Options, {"$ref": "#/$defs/Options"}),
    (Tree, {"$ref": "#/$defs/Tree"}),
    (list["Order"], {"type": "array", "items": {"$ref": "#/$defs/Order"}}),
    (Page[int], {"$ref": "#/$defs/Page_int_"}),
    (pd.DataFrame, {"type": "array", "items": {"type": "object"}, "x-handle": "frame or rows"}),
    (pl.DataFrame, {"type": "array", "items": {"type": "object"}, "x-handle": "frame or rows"}),
    (pd.Series, {"anyOf": [{"type": "array", "items": {}}, {"type": "object"}]}),
    (npt.NDArray[np.float64], {"type": "array", "items": {}, "x-handle": "array or values"}),
    (np.ndarray, {"type": "array", "items": {}, "x-handle": "array or values"}),
    (np.int64, {"type": "integer"}),
    (np.float32, {"type": "number"}),
    (pd.Timestamp, {"type": "string", "format": "date-time"}),
    (
        dict[str, pd.DataFrame],
        {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object"}}},
    ),
    (
        "pd.DataFrame | None",
        {"anyOf": [{"type": "array", "items": {"type": "object"}, "x-handle": "frame or rows"}, {"type": "null"}]},
    ),
]


def taking(annotation: Any, default: Any = inspect.Parameter.empty) -> Callable[..., Any]:
    def f(x):  # type: ignore[no-untyped-def]
        return seen.append(x)

    seen: list[Any] = []
    parameter = inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
    f.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    f.seen = seen  # type: ignore[attr-defined]
    return f


@pytest.mark.parametrize(("annotation", "expected"), PARAMETERS, ids=named)
def test_annotation_becomes_schema(annotation: Any, expected: dict[str, Any]) -> None:
    schema = schema_of(made(taking(annotation)))
    assert schema["properties"] == {"x": expected}
    assert schema["required"] == ["x"]


def test_definitions_hold_the_classes_without_titles() -> None:
    assert schema_of(made(taking(Tree)))["$defs"] == {
        "Tree": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
            "required": ["name"],
        }
    }
    assert schema_of(made(taking(Options)))["$defs"]["Options"]["properties"].keys() == {"depth", "colour"}
    pets = schema_of(made(taking(Pet)))["properties"]["x"]
    assert pets["discriminator"]["propertyName"] == "kind"
    assert "title" not in json.dumps(pets)


DEFAULTS = [
    (int, 3, {"type": "integer", "default": 3}),
    (int, None, {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}),
    (Any, None, {"default": None}),
    (Colour, Colour.RED, {"$ref": "#/$defs/Colour", "default": "red"}),
    (Any, object(), {}),
    (str, "x" * 2000, {"type": "string"}),
    (
        pd.DataFrame,
        None,
        {
            "anyOf": [{"type": "array", "items": {"type": "object"}, "x-handle": "frame or rows"}, {"type": "null"}],
            "default": None,
        },
    ),
    (
        Annotated[int, pydantic.Field(description="d")],
        None,
        {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None, "description": "d"},
    ),
]


@pytest.mark.parametrize(("annotation", "default", "expected"), DEFAULTS, ids=named)
def test_default_is_shown_where_it_can_be(annotation: Any, default: Any, expected: dict[str, Any]) -> None:
    schema = schema_of(made(taking(annotation, default)))
    assert schema["properties"] == {"x": expected}
    assert "required" not in schema


def test_aliases_are_the_names_programs_use() -> None:
    def ship(order_id: Annotated[int, pydantic.Field(alias="orderId")]) -> Cat:
        return Cat(livesLeft=order_id)

    one = made(ship)
    assert schema_of(one)["required"] == ["orderId"]
    assert called(one, {"orderId": 3}) == {"kind": "cat", "livesLeft": 3}
    assert called(one, {"order_id": 3}) == {"kind": "cat", "livesLeft": 3}
    with pytest.raises(errors.InvalidParams, match=r"f: arguments\.orderId missing"):
        called(one, {})


def test_fields_that_are_no_parameters_are_declared_where_they_are() -> None:
    given, returned = schema_of(made(taking(Doubled))), made(giving(Doubled, None)).signature.output_schema
    assert list(given["$defs"]["Doubled"]["properties"]) == ["n", "factor"]
    assert sorted(returned["$defs"]["Doubled"]["properties"]) == ["label", "n", "state"]


def test_flags_are_declared_as_any_sum_of_them() -> None:
    assert schema_of(made(taking(Access)))["$defs"] == {"Access": {"type": "integer"}}


def test_names_of_the_enclosing_scope_resolve() -> None:
    Local = dataclass(types.new_class("Local", exec_body=lambda ns: ns.update(__annotations__={"n": int})))  # noqa: N806

    def takes(x: Local) -> int:  # type: ignore[valid-type]
        assert isinstance(x, Local)
        return x.n  # type: ignore[no-any-return,attr-defined]

    assert called(made(takes), {"x": {"n": 4}}) == 4


# Refused signatures


async def streaming() -> Any:
    yield 1


def with_field(first: int = pydantic.Field(3)) -> None: ...


REFUSED: list[tuple[Any, str]] = [
    (with_field, r"parameter first has a Field as its default; write first: Annotated"),
    (streaming, r"it yields asynchronously; collect"),
    (Shop, r"it is a class"),
    (Shop.total, r"parameter self is for an instance; register the bound method, tool\(instance\.total\)"),
    (Shop.__dict__["named"], r"inside its class there is no class .* tool\(Class\.method\)"),
    (lambda: 1, r"a lambda has no name; pass name="),
    (5, r"Cannot register 5: it is not callable"),
    ("Sales", r"by keyword: @tool\(name='Sales'\), or @tool\(namespace='Sales'\)"),
    (property(lambda self: 1), r"it is a property"),
]


@pytest.mark.parametrize(("function", "message"), REFUSED, ids=named)
def test_what_cannot_be_a_tool_is_refused_with_the_reason(function: Any, message: str) -> None:
    with pytest.raises(errors.InvalidParams, match=message):
        tool(function)
    assert tools.defined() == []


def test_name_that_typescript_cannot_have_is_refused() -> None:
    with pytest.raises(errors.InvalidParams, match="tool"):
        made(abs, name="")
    with pytest.raises(errors.InvalidParams, match="namespace"):
        made(abs, namespace="console")


# Arguments


CONVERTED: list[tuple[Any, object, object]] = [
    (Order, {"id": 1, "amount": 2, "placed": "2024-01-02"}, Order(1, 2.0, dt.date(2024, 1, 2))),
    (Node, {"name": "a", "children": [{"name": "b"}]}, Node("a", [Node("b")])),
    (Options, {"depth": 1, "colour": "red"}, {"depth": 1, "colour": Colour.RED}),
    (Tree, {"name": "a", "kids": [{"name": "b"}]}, {"name": "a", "kids": [{"name": "b"}]}),
    (Point, [1, 2], Point(1.0, 2.0)),
    (Pet, {"kind": "cat", "livesLeft": 3}, Cat(livesLeft=3)),
    (Page[Order], {"items": [{"id": 1, "amount": 2}]}, Page[Order](items=[Order(1, 2.0)])),
    (Colour, "blue", Colour.BLUE),
    (Mixed, "2024-01-02", Mixed.DAY),
    (Mixed, [1, 2], Mixed.PAIR),
    (dict[Mixed, int], {"2": 3}, {Mixed.TWO: 3}),
    (Mapping[bool, list[dict[dt.date, int]]], {"true": [{"2024-01-02": 3}]}, {True: [{dt.date(2024, 1, 2): 3}]}),
    (defaultdict[float, int], {"1": 3, "1.5": 4}, defaultdict(int, {1.0: 3, 1.5: 4})),
    (Mixed | str, "2", "2"),
    (Access, 3, Access.READ | Access.WRITE),
    (dt.date | dt.datetime, "2024-01-02T00:00:00", dt.datetime(2024, 1, 2)),
    (dt.date | str, "2024", "2024"),
    (dt.datetime, "1880-01-01T00:00:00+00:53:28", dt.datetime(1880, 1, 1, tzinfo=LOCAL_MEAN)),
    (dt.time, "12:00:00+00:53:28", dt.time(12, tzinfo=LOCAL_MEAN)),
    (pd.Timestamp, "1880-01-01T00:00:00+00:53:28", pd.Timestamp(dt.datetime(1880, 1, 1, tzinfo=LOCAL_MEAN))),
    (Record, {"at": "1880-01-01T00:00:00+00:53:28"}, Record(at=dt.datetime(1880, 1, 1, tzinfo=LOCAL_MEAN))),
    (Lasting, {"of": "12:00:00+00:53:28"}, Lasting(of=dt.time(12, tzinfo=LOCAL_MEAN))),
    (tuple[()], [], ()),
    (dt.datetime | str, "2024-01-01T00:00:00.123456789", "2024-01-01T00:00:00.123456789"),
    (dt.timedelta | dt.time, "12:00:00", dt.time(12)),
    (bool | str, "1", "1"),
    (bool | int, 1.0, 1),
    (str | bytes, "abcd", "abcd"),
    (str | bytes, [97], b"a"),
    (int, 1e21, 10**21),
    (Order, {"id": 1e21, "amount": 1e21}, Order(10**21, 1e21)),
    (list[int | float], [1e21, 0.5], [1e21, 0.5]),
    (set[int], [1, 1], {1}),
    (dt.datetime, "2024-01-02T03:04:05Z", dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
    (dt.timedelta, "P1DT2H", dt.timedelta(days=1, hours=2)),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    (Decimal, "1.10", Decimal("1.10")),
    (bytes, "/wA=", b"\xff\x00"),
    (bytes, "_wA", b"\xff\x00"),
    (bytes, [255, 0], b"\xff\x00"),
    (bytes, [], b""),
    (pathlib.Path, "/a", pathlib.Path("/a")),
    (bytearray, "/wA=", bytearray(b"\xff\x00")),
    (memoryview, [255, 0], memoryview(b"\xff\x00")),
    (np.int64, 3, np.int64(3)),
    (np.uint64, "18446744073709551615", np.uint64(2**64 - 1)),
    (pd.Timestamp, "2024-01-02T03:04:05Z", pd.Timestamp("2024-01-02T03:04:05Z")),
    (Any, {"a": [1, None]}, {"a": [1, None]}),
    (int, 2**70, 2**70),
    (Optional[Order], None, None),  # noqa: UP045
]


@pytest.mark.parametrize(("annotation", "given", "expected"), CONVERTED, ids=named)
def test_argument_is_converted_to_what_is_declared(annotation: Any, given: object, expected: object) -> None:
    function = taking(annotation)
    called(made(function), {"x": given})
    [received] = function.seen  # type: ignore[attr-defined]
    assert received == expected
    assert type(received) is type(expected)


def test_rows_become_frames_and_lists_become_arrays() -> None:
    def summed(frame: pd.DataFrame, other: dict[str, pl.DataFrame], numbers: npt.NDArray[np.float32]) -> float:
        assert isinstance(other["a"], pl.DataFrame)
        assert numbers.dtype == np.float32
        return float(frame.n.sum() + other["a"]["n"].sum() + numbers.sum())

    rows = [{"n": 1}, {"n": 2}]
    assert called(made(summed), {"frame": rows, "other": {"a": rows}, "numbers": [4, 5]}) == 15


def test_numbers_of_an_array_are_neither_cut_nor_rounded() -> None:
    def of_integers(x: npt.NDArray[np.int64]) -> None: ...

    def of_floats(x: npt.NDArray[np.float32]) -> list[float]:
        return x.tolist()

    def of_any(x: np.ndarray) -> list[str]:
        return [x.dtype.name, *map(str, x.tolist())]

    with pytest.raises(errors.InvalidParams, match=r"cannot become a ndarray \(1e\+300 is too large for float32"):
        called(made(of_floats), {"x": [1, 1e300]})
    assert called(made(of_floats), {"x": [1, 0.5]}) == [1.0, 0.5]
    with pytest.raises(
        errors.InvalidParams, match=r"arguments\.x: cannot become a ndarray \(1\.5 is not a whole number"
    ):
        called(made(of_integers), {"x": [1, 1.5]})
    assert called(made(of_any), {"x": [2**64 - 1, 1]}) == ["uint64", str(2**64 - 1), "1"]
    assert called(made(of_any), {"x": [2**64 - 1, -1]}) == ["object", str(2**64 - 1), "-1"]
    assert called(made(of_any), {"x": [2**53 + 1, 0.5]}) == ["object", str(2**53 + 1), "0.5"]
    assert called(made(of_any), {"x": [1, "a"]}) == ["object", "1", "a"]


LOSING: list[tuple[Any, object, str]] = [
    (npt.NDArray[np.bool_], [2, 0.5], "2 is not true or false"),
    (npt.NDArray[np.bool_], [None], "null is not true or false"),
    (npt.NDArray[np.str_], [None], "null is not a text"),
    (npt.NDArray[np.bytes_], [1], "1 is not base64 text"),
    (npt.NDArray[np.datetime64], ["1", 1], '"1" is not a time'),
    (npt.NDArray[np.timedelta64], [5], "5 is not a duration"),
    (npt.NDArray[np.timedelta64], ["a"], '"a" is not a duration; write it like'),
    (pd.Period, "2024-01-01T00:00:00+05:00", "a period has no time zone"),
    (npt.NDArray[np.float16], [10**9], "1000000000 is too large for float16"),
    (float, 10**400, "expected a finite number"),
    (list[float], [10**400], r"arguments\.x\[0\]: expected a finite number"),
    (Order, {"id": 1, "amount": 10**400}, r"arguments\.x\.amount: expected a finite number"),
    (dt.datetime, "2024-01-01T00:00:00.123456789Z", "it has digits beyond microseconds"),
    (dt.time, "12:00:00.1234567+00:00", "it has digits beyond microseconds"),
    (dt.timedelta, "PT0.0000001S", "it has digits beyond microseconds"),
    (Record, {"lasts": "PT0.0000001S"}, "it has digits beyond microseconds"),
    (pd.Timedelta, "P1.5D", "only seconds may have a fraction"),
    (pd.Timedelta, "P1M", "months and years have no fixed length"),
    (pd.Timedelta, "1", "a number is not a duration"),
    (dt.time, 1, "a number is not a time of day"),
    (bool | str, 1, "expected boolean or string"),
    (tuple[()], [1], "at most 0 items"),
    (dict[str, tuple[()]], {"a": [1]}, r"arguments\.x\.a: Tuple should have at most 0 items"),
    (pl.DataFrame, [{"a": 2**53 + 1}, {"a": 0.5}], "would be rounded beside fractions"),
]


@pytest.mark.parametrize(("annotation", "given", "message"), LOSING, ids=named)
def test_value_that_the_declared_type_would_change_is_refused(annotation: Any, given: object, message: str) -> None:
    with pytest.raises(errors.InvalidParams, match=message):
        called(made(taking(annotation)), {"x": given})


LONG = "0.1234567890123456789012345"
WRITTEN: list[tuple[Any, str, object]] = [
    (Decimal, LONG, Decimal(LONG)),
    (Decimal, "12345678901234567890.5", Decimal("12345678901234567890.5")),
    (Decimal, "-1E-400", Decimal("-1E-400")),
    (list[Decimal | None], f"[{LONG}, 0.1, null]", [Decimal(LONG), Decimal("0.1"), None]),
    (dict[str, Decimal | str], f'{{"a": {LONG}, "b": "{LONG}"}}', {"a": Decimal(LONG), "b": LONG}),
    (Record, f'{{"price": {LONG}, "any": {LONG}}}', Record(price=Decimal(LONG), any=float(LONG))),
    (Lasting, f'{{"price": {LONG}}}', Lasting(price=Decimal(LONG))),
    (Any, LONG, float(LONG)),
    (int, "12345678901234567890.5", "expected integer, got"),
    (list[Decimal], f"[{LONG}, {LONG}9]", r"arguments\.x\[0\]: 0\.12345678901234568 stands for several numbers here"),
    (Record, f'{{"price": {LONG}, "any": {LONG}9}}', r"arguments\.x: 0\.12345678901234568 stands for several numbers"),
    *(
        (kind, number, r"arguments\.x: a number is too large; pass it as text")
        for kind in (Any, int, float, Decimal, Decimal | str, np.float64, np.ndarray)
        for number in ("1e400", "-1E+400", f"{10**400}.0")
    ),
    (dict[str, Any], '{"1e400": "1e400", "a b": [1, {"c": 1e400}]}', r"arguments\.x\['a b'\]\[1\]\.c: a number is too"),
    (Any, "[" * 100_000 + "1e400" + "]" * 100_000, r"f: arguments: a number is too large"),
    (Record, '{"price": 1e400}', r"arguments\.x\.price: a number is too large"),
    (Any, "1" * 5_000, "f: arguments: an integer has too many digits; use a text"),
    (Any, "[" * 201 + "]" * 201, "f: arguments: values nest deeper than 200 levels"),
]


def test_values_of_more_levels_than_annotations_take_are_refused_and_others_pass() -> None:
    def annotated(levels: int) -> list[Any]:
        return json.loads("[" * levels + "]" * levels)

    def plain(levels: int):  # type: ignore[no-untyped-def]
        return annotated(levels)

    for function, levels in ((annotated, 200), (plain, 500)):
        assert called(made(function), {"levels": levels}) == annotated(levels)
    with pytest.raises(errors.ToolFailed, match=r"f: result: values nest deeper than 200 levels.*return annotation"):
        called(made(annotated), {"levels": 300})


@pytest.mark.parametrize(("annotation", "written", "expected"), WRITTEN, ids=named)
def test_number_of_json_is_kept_as_it_is_written_or_refused(annotation: Any, written: str, expected: object) -> None:
    function = taking(annotation)
    arguments = Raw(f'{{"x":{written}}}'.encode())
    if isinstance(expected, str):
        with pytest.raises(errors.InvalidParams, match=expected):
            tools.call(made(function), arguments)
        return
    tools.call(made(function), arguments)
    assert function.seen == [expected]  # type: ignore[attr-defined]


MANY = 200_000


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        *((kind, "." + "1" * MANY + "x1y") for kind in (dt.datetime, dt.date, dt.time, dt.timedelta)),
        (dt.timedelta, "P" + "M" * MANY + "\n"),
        (Record, {"lasts": "." + "1" * MANY + "x1y"}),
        (pd.Period, "T" * MANY + "+00x"),
        (pd.Period, "T" + "+00 " * MANY + "x"),
        (pd.Timedelta, "P" + ".1" * MANY + "\n"),
        (npt.NDArray[np.timedelta64], ["P." + "1" * MANY]),
    ],
)
def test_a_text_of_any_length_that_is_no_time_is_refused_at_once(annotation: Any, given: object) -> None:
    with pytest.raises(errors.InvalidParams):  # to search it for what is wrong would take minutes
        called(made(taking(annotation)), {"x": given})


def test_infinity_beside_a_large_number_is_what_was_given() -> None:
    function = taking(list[float])
    tools.call(made(function), nonfinite.marked({"x": [1e300, math.inf]}))
    assert function.seen == [[1e300, math.inf]]


def test_arrays_and_frames_hold_what_was_given() -> None:
    def kept(
        keys: npt.NDArray[np.bytes_], spans: npt.NDArray[np.timedelta64], ids: pd.Series, rows: pd.DataFrame
    ) -> list[Any]:
        return [keys, spans, ids, rows]

    ids = [2**53 + 1, None]
    found = called(made(kept), {"keys": ["YWI="], "spans": ["P1D"], "ids": ids, "rows": [{"id": one} for one in ids]})
    assert found == [["YWI="], ["P1D"], ids, [{"id": one} for one in ids]]


def test_declared_result_has_the_seconds_of_an_offset_and_no_fewer_digits() -> None:
    old = dt.datetime(1880, 1, 1, tzinfo=LOCAL_MEAN)

    def times() -> dict[str, dt.datetime | dt.time]:
        return {"at": old, "of": old.timetz(), "late": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}

    expected = {"at": "1880-01-01T00:00:00+00:53:28", "of": "00:00:00+00:53:28", "late": "2024-01-01T00:00:00Z"}
    assert called(made(times), {}) == expected

    def finer() -> dt.datetime:
        return pd.Timestamp("2024-01-01T00:00:00.000000001")

    with pytest.raises(errors.ToolFailed, match="result: it has digits beyond microseconds"):
        called(made(finer), {})


def everything(a: int, b: int = 2, /, c: int = 3, *, d: int = 4, **rest: Order) -> list[Any]:
    return [a, b, c, d, {name: order.id for name, order in rest.items()}]


BOUND = [
    ({"a": 1}, [1, 2, 3, 4, {}]),
    ({"a": 1, "d": 5}, [1, 2, 3, 5, {}]),
    ({"a": 1, "b": 5, "c": 6}, [1, 5, 6, 4, {}]),
    ({"a": 1, "more": {"id": 9, "amount": 1}}, [1, 2, 3, 4, {"more": 9}]),
    (7, [7, 2, 3, 4, {}]),
]


@pytest.mark.parametrize(("given", "expected"), BOUND)
def test_every_kind_of_parameter_is_bound(given: object, expected: object) -> None:
    one = made(everything)
    assert called(one, given) == expected
    assert schema_of(one)["additionalProperties"] == {"$ref": "#/$defs/Order"}


def test_positional_only_parameter_before_one_that_is_given_keeps_its_default() -> None:
    def shifted(a: int = 1, b: int = 2, /) -> list[int]:
        return [a, b]

    assert called(made(shifted), {"b": 5}) == [1, 5]


def test_no_argument_is_none_null_or_an_empty_object() -> None:
    one = made(lambda: "ok")
    for nothing in (None, Raw(b"null"), Raw(b" {} "), Raw(b"")):
        assert tools.call(one, nothing) == Raw(b'"ok"')


WRONG: list[tuple[object, str]] = [
    ({"status": 5}, "f: arguments.status: expected string, got 5"),
    ({"limit": "x"}, 'f: arguments.limit: expected integer, got "x"'),
    ({"limit": -1}, "f: arguments.limit: should be greater than or equal to 0, got -1"),
    ({"order": {"id": 1}}, "f: arguments.order.amount: missing"),
    (
        {"order": {"id": [], "amount": None}},
        "arguments.order.id: expected integer, got []; arguments.order.amount: expected number, got null",
    ),
    ({"either": [1]}, "f: arguments.either: expected integer or string, got [1]"),
    (
        {"orders": [{"id": 1, "amount": 2}, {"id": 1, "amount": "x"}]},
        'f: arguments.orders[1].amount: expected number, got "x"',
    ),
    ({"pet": {"kind": "cow"}}, "f: arguments.pet: expected 'kind' to be one of 'cat', 'dog', got "),
    ({"pet": {}}, "f: arguments.pet: expected a field 'kind', got {}"),
    ({"mode": "x"}, "f: arguments.mode: expected 'a', 'None' or true, got"),
    (
        {"lasts": "P1M"},
        'f: arguments.lasts: months and years have no fixed length; write days, as in "P30D", got "P1M"',
    ),
    ({"by_id": {"1.5": "x"}}, "f: arguments.by_id['1.5']: its key: expected integer, got \"1.5\""),
    (
        {"by_id": {"1": "x", "2": "y", "01": "z"}},
        'f: arguments.by_id: the keys "1" and "01" are the same here; leave one',
    ),
    ({"by_word": {"a": 1, " a": 2}}, 'f: arguments.by_word: the keys "a" and " a" are the same here'),
    ({"at": "24:00"}, "f: arguments.at: expected time format, got"),
    ({"day": "2024"}, 'f: arguments.day: a number is not a time; write it like "2024-01-31", got "2024"'),
    ({"day": 1704153600}, 'f: arguments.day: a number is not a time; write it like "2024-01-31", got 1704153600'),
    ({"order": {"id": 1, "amount": 1, "placed": "20240102"}}, "f: arguments.order.placed: a number is not a time"),
    ({"day": "2024-01-02T03:00"}, "f: arguments.day: expected date without a time of day, got"),
    ({"frame": [1]}, "f: arguments.frame: cannot become a DataFrame (rows are needed: an array of objects), got [1]"),
    ({"data": "?"}, "f: arguments.data: bytes are base64 text or a Uint8Array (Only base64 data is allowed); new Text"),
    ({"data": [1, 256]}, "f: arguments.data: bytes are base64 text or a Uint8Array, got [1,256]"),
    ({"statsu": "x"}, "f: no parameter statsu (did you mean status?); it takes status, limit, order"),
    ({"a b": "x"}, "f: no parameter ['a b']; it takes"),
    ({"status": 1, "limit": "x", "order": 1, "either": []}, "(and 1 more)"),
    (5, "f: arguments.status: expected string, got 5"),
]


def strict(
    status: str = "",
    limit: Annotated[int, pydantic.Field(ge=0)] = 1,
    order: Order | None = None,
    either: int | str = 0,
    orders: list[Order] = [],  # noqa: B006
    pet: Pet | None = None,
    mode: Literal["a", "None", True] = "a",
    lasts: dt.timedelta | None = None,
    by_id: dict[int, str] = {},  # noqa: B006
    by_word: dict[Annotated[str, pydantic.StringConstraints(strip_whitespace=True)], int] = {},  # noqa: B006
    at: dt.time | None = None,
    day: dt.date | None = None,
    frame: pd.DataFrame | None = None,
    data: bytes = b"",
) -> None:
    raise AssertionError("a wrong argument must not get here")


@pytest.mark.parametrize(("given", "message"), WRONG, ids=str)
def test_wrong_argument_is_refused_with_its_path(given: object, message: str) -> None:
    with pytest.raises(errors.InvalidParams) as refused:
        called(made(strict), given)
    assert message in str(refused.value)


def test_missing_and_needless_arguments_are_named() -> None:
    def two(a: int, b: int) -> None: ...

    with pytest.raises(errors.InvalidParams, match=r"f: arguments\.a, arguments\.b missing"):
        called(made(two), {})
    with pytest.raises(errors.InvalidParams, match=r"f: takes no argument, got 5"):
        called(made(lambda: 1), 5)
    with pytest.raises(errors.InvalidParams, match=r"f: takes no argument, got arguments\.a"):
        called(made(lambda: 1), {"a": 5})


def test_wrong_extra_argument_is_named_without_our_field() -> None:
    with pytest.raises(errors.InvalidParams, match=r"f: arguments\.more\.amount: missing"):
        called(made(everything), {"a": 1, "more": {"id": 1}})


# Results


def giving(kind: Any, value: object) -> Callable[..., Any]:
    def f():  # type: ignore[no-untyped-def]
        return value

    f.__annotations__ = {"return": kind}
    return f


@dataclass
class Aliased:
    order_id: Annotated[int, pydantic.Field(alias="orderId")]


def class_of_an_earlier_run() -> type:
    """Order, as a cell that was run before defined it."""
    return dataclass(type("Order", (), {"__annotations__": {"id": int, "amount": float}}))


RESULTS: list[tuple[Any, object, object]] = [
    (Any, {1, 2}, [1, 2]),
    (None, None, None),
    (int, np.int64(3), 3),
    (float, np.float32(1.5), 1.5),
    (float, float("inf"), float("inf")),
    (dict[str, float], {"low": float("-inf"), "#": 1.0}, {"low": float("-inf"), "#": 1.0}),
    (Decimal, Decimal("NaN"), "NaN"),
    (Decimal, Decimal("1.10"), "1.10"),
    (bytes, b"\xff\xfe\x00", "//4A"),
    (dt.datetime, pd.Timestamp("2024-01-02"), "2024-01-02T00:00:00"),
    (Order, Order(1, 2), {"id": 1, "amount": 2.0, "placed": None}),
    (Order, {"id": 1, "amount": 2}, {"id": 1, "amount": 2.0, "placed": None}),
    (Order, class_of_an_earlier_run()(1, 2.5), {"id": 1, "amount": 2.5, "placed": None}),
    (list[Order], pd.DataFrame({"id": [1], "amount": [2.0]}), [{"id": 1, "amount": 2.0, "placed": None}]),
    (list[Order], [Order(np.int64(1), np.float64(2))], [{"id": 1, "amount": 2.0, "placed": None}]),
    (list[dict], pd.DataFrame({"id": [1]}), [{"id": 1}]),
    (list[int], np.arange(2), [0, 1]),
    (list[Any], [np.int64(1), pd.NaT], [1, None]),
    (pd.DataFrame, pd.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
    (dict[str, pd.DataFrame], {"x": pd.DataFrame({"a": [1]})}, {"x": [{"a": 1}]}),
    (pd.Series, pd.Series([1], index=["a"]), [{"index": "a", "value": 1}]),
    (np.float64, np.float64(2), 2),
    (Point, Point(1, 2), [1, 2]),
    (Tree, {"name": "a", "kids": [{"name": "b"}]}, {"name": "a", "kids": [{"name": "b"}]}),
    (Options, {"colour": Colour.RED}, {"colour": "red"}),
    (Cat, Cat(livesLeft=2), {"kind": "cat", "livesLeft": 2}),
    (Shout, Shout(text="hi"), {"said": "HI"}),
    (list[Shout], [Shout(text="hi")], [{"said": "HI"}]),
    (Page[int], Page[int](items=[1]), {"items": [1]}),
    (Aliased, Aliased(3), {"orderId": 3}),
    (Doubled, changed(), {"n": 6, "label": "of 6", "state": "changed"}),
    (dict[str, Order | Doubled], {"a": changed()}, {"a": {"n": 6, "label": "of 6", "state": "changed"}}),
    (str, "a\ud800", "a\ufffd"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), RESULTS, ids=named)
def test_result_is_written_as_its_declared_type(kind: Any, value: object, expected: object) -> None:
    assert called(made(giving(kind, value)), {}) == expected


def test_keys_that_meet_as_text_are_refused_in_a_typed_result() -> None:
    with pytest.raises(errors.NotJson, match=r"f: result\.a: two keys read '1' in JSON; rename one"):
        called(made(giving(dict[str, dict[int | str, float]], {"a": {1: 1.0, "1": 2.0}})), {})
    with pytest.raises(errors.NotJson, match=r"f: result: two keys read '\ufffd' in JSON; rename one"):
        called(made(giving(dict[str, int], {"\ud800": 1} | {"\udc00": 2})), {})


MISMATCHES: list[tuple[Any, object, str]] = [
    (int, "x", 'f: result: expected integer, got "x"; change'),
    (list[Order], [Order(1, 2), Order(1, "x")], 'f: result[1].amount: expected number, got "x"; change'),  # type: ignore[arg-type]
    (Order, {"id": 1}, "f: result.amount: missing; change"),
    (dict[str, int], {"a b": None}, "f: result['a b']: expected integer, got null; change"),
    (None, 3, "f: result: expected"),
    (pd.DataFrame, 3, "f: result: cannot become a DataFrame"),
]


@pytest.mark.parametrize(("kind", "value", "message"), MISMATCHES, ids=named)
def test_result_of_another_type_is_the_tools_failure(kind: Any, value: object, message: str) -> None:
    with pytest.raises(errors.ToolFailed) as failed:
        called(made(giving(kind, value)), {})
    assert message in str(failed.value)
    assert failed.value.name == "TypeError"


@pytest.mark.parametrize("kind", [inspect.Parameter.empty, Any, list[Any], dict[str, Any]])
def test_result_that_is_not_json_names_its_path(kind: Any) -> None:
    value: Any = {"a": print} if kind == dict[str, Any] else [{"a": print}]
    function = giving(kind, value)
    if kind is inspect.Parameter.empty:
        function.__annotations__ = {}
    with pytest.raises(errors.NotJson, match=r"^f: result(\[0\])?\.a: function is not JSON"):
        called(made(function), {})


def test_bytes_survive_the_round_trip_inside_a_class() -> None:
    @dataclass
    class Picture:
        data: bytes

    every = bytes(range(256))
    globals()["Picture"] = Picture
    try:

        def turned(picture: Picture) -> Picture:
            assert picture.data == every
            return picture

        text = base64.b64encode(every).decode()
        first = called(made(turned), {"picture": {"data": text}})
        assert called(made(turned), {"picture": first}) == first
    finally:
        del globals()["Picture"]


# Loading and tracebacks


def test_defining_nothing_loads_no_pydantic() -> None:
    slow = ["pydantic", "docstring_parser"]
    code = f"import sys, pctx_jupyter; pctx_jupyter.tool; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def failing() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        raise LookupError("no order 5") from error


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("did not raise")


def test_traceback_shows_the_users_frames_alone() -> None:
    one = made(failing)
    text = tools.traceback_of_user_frames(caught(lambda: tools.call(one, None)))
    assert "in failing" in text
    assert "LookupError: no order 5" in text
    assert "JSONDecodeError" in text
    assert "The above exception was the direct cause" in text
    assert "json/decoder.py" not in text
    assert "functions/tool.py" not in text


def test_traceback_survives_every_kind_of_exception() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def grouped() -> None:
        raise ExceptionGroup("both", [ValueError("a"), caught(failing)])  # type: ignore[list-item]

    def huge() -> None:
        raise ValueError("x" * 1_000_000)

    def mute() -> None:
        raise Mute

    def leaving() -> None:
        raise SystemExit(3)

    assert "Mute" in tools.traceback_of_user_frames(caught(mute))
    assert "SystemExit: 3" in tools.traceback_of_user_frames(caught(leaving))
    text = tools.traceback_of_user_frames(caught(grouped))
    assert "ValueError: a" in text
    assert "in failing" in text
    assert "json/decoder.py" not in text
    assert len(tools.traceback_of_user_frames(caught(huge))) < 25_000
    deep = tools.traceback_of_user_frames(caught(lambda: json.loads("[" * 100_000)))
    assert "RecursionError" in deep


def test_traceback_calls_a_cell_by_its_number() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from pctx_jupyter.kernel.functions.tracebacks import traceback_of_user_frames\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_cell('def f():\\n    raise ValueError(1)', store_history=True)\n"
        "try: shell.user_ns['f']()\n"
        "except ValueError as error: print(traceback_of_user_frames(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Cell In[1], line 2, in f\n    raise ValueError(1)" in done.stdout
