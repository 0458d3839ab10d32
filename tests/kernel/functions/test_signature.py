"""Signatures of real libraries, and of functions as people write them: what can be declared of each part, and calls.

Everything is real: pandas, numpy, requests, attrs, the standard library, pydantic. TypeScript's side of a declaration
is in tests/tools; whether programs get through with it, in tests/flows.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
import json
import math
import os.path
import re
import statistics
import sys
import types
import warnings
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple, SupportsFloat, SupportsIndex, TypedDict, TypeVar, overload

import attrs
import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pydantic
import pytest
import requests
import typing_extensions as te
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from benchmarks import libraries
from pctx_jupyter import errors
from pctx_jupyter.kernel.functions import learnt
from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.kernel.functions.tool import PythonTool
from pctx_jupyter.kernel.output import display
from pctx_jupyter.tools import typegen

T = TypeVar("T")


@pytest.fixture(autouse=True)
def nothing_defined() -> Iterator[None]:
    yield
    for one in tools.defined():
        tools.forget(one.path)


def made(function: Any, name: str | None = "f") -> PythonTool:
    return tools.define(function, name=name)


def signature(function: Any) -> str:
    return typegen.signature(made(function).tool)


def called(function: Any, arguments: object) -> Any:
    result = tools.call(made(function), Raw(json.dumps(arguments).encode()))
    assert isinstance(result, Raw)
    return json.loads(bytes(result))


def parameter(function: Any, name: str) -> str:
    """The TypeScript type of one parameter."""
    schema: Any = made(function).input_schema
    alone = schema | {"properties": {name: schema["properties"][name]}, "required": [name]}
    text = typegen.signature(made(function).tool.__class__("N", "f", "", alone, None))
    found = re.fullmatch(rf"f\(args: \{{ {name}: (.*?)(; \[key: string\]: any)? \}}\): Promise<any>", text)
    assert found is not None, text
    return found[1]


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Plain:
    pass


@attrs.define
class Node:
    name: str
    kids: list[Node] = attrs.field(factory=list)


class Place(msgspec.Struct):
    x: float
    y: float = 0.0


class Measured(NamedTuple):
    mean: float
    label: str = ""


class Settings(TypedDict, total=False):
    depth: te.Required[int]
    title: str


Json = te.TypeAliasType("Json", "dict[str, Json] | list[Json] | str | float | None")
Nested = te.TypeAliasType("Nested", "list[T | Nested[T]]", type_params=(T,))


# One part that cannot be declared leaves the others as they are


def unresolved(first: int, order: Nowhere, *, last: str = "") -> int:  # type: ignore[name-defined]  # noqa: F821
    return first


def opaque(first: int, thing: Plain, things: list[Plain], named: dict[str, Plain]) -> Plain:
    return thing


def callback(first: int, on_done: Callable[[int], int] | None = None) -> int:
    return first


def unions(a: str | IO[str], b: Plain | None, c: Callable[..., Any] | Literal["sum"], d: Nowhere | int) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def hidden(x: int) -> int:
    return x


def no_types(a: hidden, b: list[hidden], c: (int, str), d: any) -> hidden: ...  # type: ignore


def manager() -> AbstractContextManager[int]: ...  # type: ignore[empty-body]
def rest(first: int, **more: Plain) -> None: ...
def several(first: int, *more: Plain) -> None: ...


class Chain:
    def then(self, other: te.Self, n: int) -> te.Self:
        return self

    @staticmethod
    def join(other: te.Self) -> None: ...  # type: ignore[misc]


PARTS: list[tuple[Any, str, dict[str, str]]] = [
    (
        unresolved,
        "f(args: { first: number; order: any; last?: string }): Promise<number>",
        {"order": "Nowhere is not known here"},
    ),
    (
        opaque,
        "f(args: { first: number; thing: any; things: any[]; named: { [key: string]: any } }): Promise<any>",
        dict.fromkeys(("thing", "things", "named", "return"), "Plain has no JSON form"),
    ),
    (
        callback,
        "f(args: { first: number; on_done?: any }): Promise<number>",
        {"on_done": "a function has no JSON form"},
    ),
    (
        unions,
        'f(args: { a: string; b: any; c: "sum"; d: any }): Promise<null>',
        {"b": "Plain has no JSON form", "d": "Nowhere is not known here"},
    ),
    (
        no_types,
        "f(args: { a: any; b: any[]; c: any; d: any }): Promise<any>",
        dict.fromkeys(("a", "b", "return"), "hidden is not a type")
        | {"c": "(int, str) is not a type", "d": "any is not a type"},
    ),
    (manager, "f(args?: {}): Promise<any>", {"return": "AbstractContextManager has no JSON form"}),
    (
        rest,
        "f(args: { first: number; [key: string]: any }): Promise<null>",
        {"**more": "Plain has no JSON form"},
    ),
    (
        several,
        "f(args: { first: number; more?: any[] }): Promise<null>",
        {"*more": "Plain has no JSON form"},
    ),
    (
        Chain().then,
        "f(args: { other: any; n: number }): Promise<any>",
        {"other": "Chain has no JSON form", "return": "Chain has no JSON form"},
    ),
]


@pytest.mark.parametrize(("function", "expected", "notes"), PARTS, ids=lambda part: getattr(part, "__name__", None))
def test_what_cannot_be_declared_is_any_for_that_part_alone(
    function: Any, expected: str, notes: dict[str, str]
) -> None:
    one = made(function)
    assert typegen.signature(one.tool) == expected
    found = display.untyped(one.input_schema)
    assert found.keys() == notes.keys()
    for name, why in notes.items():
        assert why in found[name]


@dataclass
class Table:
    rows: pd.DataFrame
    n: int
    on_done: Callable[[int], int] | None = None


class Wishes(TypedDict):
    thing: Plain
    n: te.NotRequired[int]


@dataclass
class Branch:
    owner: Plain | None = None
    twigs: list[Branch] = field(default_factory=list)


def test_field_that_cannot_be_declared_is_any_for_that_field_alone() -> None:
    def turned(table: Table, tables: list[Table], wishes: Wishes, branch: Branch) -> Table:
        assert isinstance(table, Table)
        assert isinstance(table.rows, pd.DataFrame)
        assert isinstance(tables[0], Table)
        assert isinstance(branch, Branch)
        return table

    one = made(turned)
    text = typegen.declaration(one.tool)
    assert "type Table = { rows: { [key: string]: any }[]; n: number; on_done?: any };" in text
    assert "type Wishes = { thing: any; n?: number };" in text
    assert "type Branch = { owner?: any; twigs?: any[] };" in text
    assert text.count("Promise<Table>") == 1
    notes = display.untyped(one.input_schema)
    assert notes["table"] == "Table.on_done: a function has no JSON form"
    assert "Wishes.thing: " in notes["wishes"]
    table = {"rows": [{"a": 1}], "n": 2}
    arguments = {"table": table, "tables": [table], "wishes": {"thing": 1}, "branch": {"twigs": [{}]}}
    assert called(turned, arguments) == table | {"on_done": None}
    with pytest.raises(errors.InvalidParams, match=r'arguments\.tables\[0\]\.n: expected integer, got "x"'):
        called(turned, arguments | {"tables": [table | {"n": "x"}]})


def test_details_say_why_a_part_is_any() -> None:
    text = display.details(made(callback).tool)["text/plain"]
    assert "on_done is any: a function has no JSON form" in str(text)


def test_any_parameter_receives_plain_json() -> None:
    def kept(thing: Plain) -> Any:
        return thing

    assert called(kept, {"thing": {"a": [1, None]}}) == {"a": [1, None]}


DECLARED: list[tuple[Any, str]] = [
    (te.LiteralString, "string"),
    (te.TypeIs[int], "boolean"),
    (SupportsIndex, "boolean | number"),
    (SupportsFloat, "boolean | number"),
    (Sized, "string | any[] | { [key: string]: any }"),
    (complex, "number | string"),
    (npt.ArrayLike, "any[] | number | string | Uint8Array"),
    (Hashable, "string | boolean | number | null"),
    (Iterator[int], "number[]"),
    (Iterable[str], "string[]"),
    (Collection[str], "string[]"),
    (Json, "Json"),
    (Nested[int], "NestedInt"),
    (Node, "Node"),
    (Place | None, "Place | null"),
    (list[Node], "Node[]"),
    (Literal[Colour.RED], '"r"'),
    (Literal["x", Colour.BLUE] | None, '"x" | "b" | null'),
    (list[Literal[Colour.RED, Colour.BLUE]], '("r" | "b")[]'),
    (Measured, "Measured"),
    ("pd.Series[int]", "any[] | { [key: string]: any }"),
    ("np.ndarray[Any, np.dtype[np.float64]]", "NDArray | any[]"),
]


@pytest.mark.parametrize(("annotation", "expected"), DECLARED, ids=str)
def test_type_that_can_be_declared_is(annotation: Any, expected: str) -> None:
    def f(x: Any) -> None: ...

    f.__annotations__["x"] = annotation
    assert parameter(f, "x") == expected


def test_places_of_a_named_tuple_have_their_names() -> None:
    def measure() -> Measured:
        return Measured(1.5)

    def takes(it: Measured) -> None: ...

    assert "type Measured = [mean: number, label: string];" in typegen.declaration(made(measure).tool)
    assert "type Measured = [mean: number, label?: string];" in typegen.declaration(made(takes).tool)


def test_literal_of_an_enumeration_is_passed_and_returned_as_its_value() -> None:
    def same(colour: Literal[Colour.RED]) -> Literal[Colour.RED]:
        assert colour is Colour.RED
        return colour

    assert called(same, {"colour": "r"}) == "r"
    with pytest.raises(errors.InvalidParams, match=r"arguments\.colour: expected 'r', got \"b\""):
        called(same, {"colour": "b"})


@dataclass
class Painted:
    colour: Literal[Colour.RED, "none"]


class PaintedModel(pydantic.BaseModel):
    colour: Literal[Colour.RED] = Colour.RED


class PaintedDict(TypedDict):
    colours: list[Literal[Colour.RED, Colour.BLUE]]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Painted, {"colour": "r"}),
        (Painted, {"colour": "none"}),
        (PaintedDict, {"colours": ["b", "r"]}),
        (PaintedModel, {"colour": "r"}),
    ],
)
def test_literal_of_an_enumeration_inside_a_class_is_its_value(kind: Any, given: object) -> None:
    def same(it: Any) -> Any:
        return it

    same.__annotations__ = {"it": kind, "return": kind}
    assert called(same, {"it": given}) == given


def test_classes_of_attrs_and_msgspec_are_made_of_objects_at_any_depth() -> None:
    def names(node: Node, place: Place) -> list[Node]:
        assert isinstance(place, Place)
        assert isinstance(node.kids[0], Node)
        return node.kids

    arguments = {"node": {"name": "a", "kids": [{"name": "b"}]}, "place": {"x": 1}}
    assert called(names, arguments) == [{"name": "b", "kids": []}]
    with pytest.raises(errors.InvalidParams, match=r"arguments\.node: cannot become a Node"):
        called(names, arguments | {"node": {"name": 5}})


def test_special_types_may_be_none_by_default() -> None:
    def f(
        a: Place = None,  # type: ignore[assignment]
        b: Literal[Colour.RED] = None,  # type: ignore[assignment]  # noqa: RUF013
        c: pd.Series | str = None,  # type: ignore[assignment]
    ) -> Any:
        return [a, b, None if c is None else list(c)]

    assert called(f, {"a": None, "b": None, "c": None}) == [None, None, None]
    assert called(f, {"b": "r", "c": "xy"}) == [None, "r", ["x", "y"]]


def test_iterators_come_in_and_go_out_as_lists() -> None:
    def doubled(once: Iterator[int], twice: Iterable[int]) -> Iterator[int]:
        yield next(once)
        yield from twice
        yield from twice

    assert called(doubled, {"once": [7], "twice": [1, 2]}) == [7, 1, 2, 1, 2]


def test_options_of_an_unpacked_typed_dict_are_parameters() -> None:
    def draw(name: str, **options: te.Unpack[Settings]) -> Any:
        return options

    assert signature(draw) == "f(args: { name: string; depth: number; title?: string }): Promise<any>"
    assert called(draw, {"name": "a", "depth": 1}) == {"depth": 1}
    with pytest.raises(errors.InvalidParams, match=r"arguments\.depth missing"):
        called(draw, {"name": "a"})


@overload
def either(x: int) -> int: ...
@overload
def either(x: str) -> str: ...
def either(x):  # type: ignore[no-untyped-def]
    return x


def test_overloads_declare_what_the_function_does_not() -> None:
    assert signature(either) == "f(args: { x: number | string }): Promise<number | string>"


def test_text_in_an_annotation_describes_the_parameter() -> None:
    def f(n: Annotated[int, "How many."], m: Annotated[int, te.Doc("How much.")] = 1) -> None: ...

    properties: Any = made(f).input_schema["properties"]  # type: ignore[index,call-overload]
    assert [properties[name]["description"] for name in "nm"] == ["How many.", "How much."]


@functools.singledispatch
def dispatched(value: Any) -> str:
    return "something"


@dispatched.register
def _(value: int) -> str:
    return "a number"


def test_single_dispatch_finds_the_function_by_the_first_argument() -> None:
    assert called(dispatched, {"value": 1}) == "a number"
    assert called(dispatched, {"value": "x"}) == "something"


def test_self_of_a_bound_method_is_the_class_of_its_instance() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    assert signature(frame.head) == "f(args?: { n?: number }): Promise<{ [key: string]: any }[]>"
    assert called(frame.head, {"n": 1}) == [{"a": 1}]


def test_callable_of_the_unbound_function_may_be_any_all_the_same() -> None:
    assert "other: any" in signature(Chain.__dict__["join"])


# Names that are there for type checkers only


def test_names_imported_for_type_checkers_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "checked_shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "orders.py").write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Order:\n    id: int\n"
        "Names = 'list[Order | None]'\nfrom typing import Union\nMany = Union['Order', list['Order']]\n"
    )
    (package / "api.py").write_text(
        "from __future__ import annotations\nimport typing as t\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    import decimal\n    from collections.abc import Sequence\n    from typing_extensions import Unpack\n"
        "    from . import orders\n    from .orders import Many, Order\n    from nowhere_at_all import Ghost\n"
        "    Ids = list[int]\n"
        "    class Options(t.TypedDict, total=False):\n        limit: int\n"
        "def load(one: Order, many: Many, some: Sequence[orders.Order], ids: Ids, price: decimal.Decimal | Ghost,\n"
        "         exact: decimal.Decimal, ghost: dict[str, Ghost], **options: Unpack[Options]) -> Order:\n"
        "    assert type(one).__name__ == 'Order'\n    return one\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from checked_shop import api  # type: ignore[import-not-found]

    try:
        assert signature(api.load) == (
            "f(args: { one: Order; many: Order | Order[]; some: Order[]; ids: number[]; price: any; exact: "
            "DecimalNumber; ghost: { [key: string]: any }; limit?: number }): Promise<Order>"
        ).replace("DecimalNumber", "number | string")
        notes = display.untyped(made(api.load).input_schema)
        assert notes == {"price": "Ghost is not known here", "ghost": "Ghost is not known here"}
        given = {"one": {"id": 1}, "many": [], "some": [], "ids": [], "price": 1, "exact": 1, "ghost": {}}
        assert called(api.load, given) == {"id": 1}
    finally:
        for name in [name for name in sys.modules if name.startswith("checked_shop")]:
            del sys.modules[name]


REAL: list[tuple[Any, str, str]] = [
    (pd.read_csv, "filepath_or_buffer", "FileHandle | string"),
    (pd.read_csv, "nrows", "number | null"),
    (pd.concat, "axis", 'number | "index" | "columns" | "rows"'),
    (pd.merge, "how", '"left" | "right" | "inner" | "outer" | "cross" | "left_anti" | "right_anti"'),
    (pd.merge, "left_index", "boolean"),
    (requests.get, "url", "string | Uint8Array"),
    (requests.get, "allow_redirects", "boolean"),
    (np.mean, "axis", "Likely<number | any[] | null>"),
    (np.linspace, "endpoint", "Likely<boolean>"),
    (math.hypot, "coordinates", "number[]"),
    (math.log, "base", "number"),
    (statistics.mean, "data", "number[]"),
    (os.path.join, "p", "string[]"),
    (re.sub, "repl", "string"),
    (json.dumps, "sort_keys", "boolean"),
    (dt.datetime.strptime, "format", "string"),
]


@pytest.mark.parametrize(("function", "name", "expected"), REAL, ids=lambda part: getattr(part, "__name__", None))
def test_parameters_of_real_libraries_have_types(function: Any, name: str, expected: str) -> None:
    assert parameter(function, name) == expected


def test_functions_of_real_libraries_can_be_called(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,m\n1,2\n")
    assert called(pd.read_csv, {"filepath_or_buffer": str(tmp_path / "a.csv"), "usecols": ["n"]}) == [{"n": 1}]
    merged = called(pd.merge, {"left": [{"k": 1, "a": 2}], "right": [{"k": 1, "b": 3}], "on": "k"})
    assert merged == [{"k": 1, "a": 2, "b": 3}]
    assert called(pd.merge, {"left": [{"k": 1}], "right": [{"k": 1, "b": 3}], "on": ["k"]}) == [{"k": 1, "b": 3}]
    assert called(pd.concat, {"objs": [[{"k": 1}], [{"k": 2}]], "ignore_index": True}) == [{"k": 1}, {"k": 2}]
    assert called(pd.to_numeric, {"arg": ["1", "2"]}) == [1, 2]
    assert called(np.add, {"x1": [1, 2], "x2": 3}) == [4, 5]


# Places: `*args`, and functions without a signature


def test_star_arguments_are_a_list_and_follow_the_others() -> None:
    def f(a: int, b: int = 2, *more: int, c: int = 3) -> list[Any]:
        return [a, b, list(more), c]

    assert signature(f) == "f(args: { a: number; b?: number; more?: number[]; c?: number }): Promise<any[]>"
    assert called(f, {"a": 1}) == [1, 2, [], 3]
    assert called(f, {"a": 1, "more": [5, 6], "c": 7}) == [1, 2, [5, 6], 7]
    assert called(f, {"a": 1, "b": 9, "more": [5]}) == [1, 9, [5], 3]
    with pytest.raises(errors.InvalidParams, match=r"arguments\.more\[1\]: expected integer"):
        called(f, {"a": 1, "more": [1, "x"]})


CALLS: list[tuple[Any, object, object]] = [
    (math.log, {"x": 8, "base": 2}, 3.0),
    (math.log, {"x": 1}, 0.0),
    (math.hypot, {"coordinates": [3, 4]}, 5.0),
    (math.gcd, {"integers": [4, 6]}, 2),
    (max, {"args": [1, 3, 2]}, 3),
    (max, {"args": [[]], "default": 7}, 7),
    (os.path.join, {"a": "x", "p": ["y", "z"]}, str(Path("x", "y", "z"))),
    (dt.datetime.strptime, {"date_string": "2024-01-02", "format": "%Y-%m-%d"}, "2024-01-02T00:00:00"),
    (dt.date.fromisoformat, {"date_string": "2024-01-02"}, "2024-01-02"),
    (statistics.quantiles, {"data": [1, 2, 3], "n": 2}, [2]),
    ([3, 1].index, {"value": 1}, 1),
    ({"a": 1}.get, {"key": "a"}, 1),
    ("{}-{}".format, {"args": [1, 2]}, "1-2"),
]


@pytest.mark.parametrize(("function", "arguments", "expected"), CALLS, ids=lambda part: getattr(part, "__name__", None))
def test_function_made_in_c_is_offered_and_called(function: Any, arguments: object, expected: object) -> None:
    assert called(function, arguments) == expected


class Stepped:
    """A stand-in for a function of an extension module, whose signature only the docstring has."""

    def __init__(self) -> None:
        self.__name__ = "step"
        self.__signature__ = "none"
        self.__doc__ = "step(start: int[, middle: int[, end: int]], *, by: float = 1) -> list\n\nTake steps."

    def __call__(self, *args: Any, **named: Any) -> Any:
        return [*args, named]


def test_signature_is_read_from_the_first_line_of_a_docstring() -> None:
    one = made(Stepped())
    expected = "f(args: { start: number; middle?: number; end?: number; by?: number }): Promise<any>"
    assert typegen.signature(one.tool) == expected
    assert called(Stepped(), {"start": 1, "middle": 2, "by": 3}) == [1, 2, {"by": 3}]
    with pytest.raises(errors.InvalidParams, match=r"f: arguments\.middle missing; arguments\.end comes after"):
        called(Stepped(), {"start": 1, "end": 2})


# Learnt types


def documented(a, b="x", flag=False, kind=None, n=1, *, ratio=0.05, many=(1, 2), unknown=None):  # type: ignore[no-untyped-def]
    """Do it.

    Parameters
    ----------
    a : int or None, optional
        The first.
    kind : {'linear', 'cubic'}, default='linear'
        The kind.
    n : Widget
        Nothing that anybody knows.
    """
    return [a, kind, ratio]


def test_types_are_learnt_from_docstrings_and_defaults_and_marked() -> None:
    text = typegen.declaration(made(documented).tool)
    assert "a: Likely<number | null>;" in text
    assert "b?: Likely<string>;" in text
    assert "flag?: Likely<boolean>;" in text
    assert 'kind?: Likely<"linear" | "cubic"' in text
    assert "n?: Likely<number>;" in text
    assert "ratio?: Likely<number>;" in text
    assert "many?: Likely<any[]>;" in text
    assert "unknown?: any;" in text
    assert "any other value is accepted, too. */\n  type Likely<T> = T | {} | null | undefined;" in text


def test_argument_that_a_docstring_does_not_expect_is_passed_with_a_warning() -> None:
    with pytest.warns(learnt.LearntTypeWarning, match=r"f?documented: arguments\.a: .*docstring; .* passed as it is"):
        assert called(documented, {"a": [1], "ratio": "text"}) == [[1], None, "text"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert called(documented, {"a": {"b": 1}, "kind": "other"}) == [{"b": 1}, "other", 0.05]


WORDS: list[tuple[str, Any]] = [
    ("int", float),
    ("float, optional", float),
    ("str or None", str | None),
    ("int or str, default=5", float | str),
    ("{'a', 'b'}, default 'a'", Literal["a", "b"]),
    ('{"a", None}', Literal["a"] | None),
    ("bool, optional (default=True)", bool),
    ("array_like", list),
    ("array-like of shape (n_samples,)", list),
    ("list of str", list[str]),
    ("sequence of floats, optional", list[float]),
    ("List[str]", list[str]),
    ("dict[str, float]", dict[str, float]),
    ("callable or str", str),
    ("dict", dict),
    ("ndarray of shape (n,), dtype=float", list),
    ("'auto' or float, default='auto'", Literal["auto"] | float),
]


@pytest.mark.parametrize(("text", "expected"), WORDS, ids=str)
def test_words_of_docstrings_are_types(text: str, expected: Any) -> None:
    guess = learnt.of_docstring(text)
    assert guess is not None
    assert guess.type == expected


@pytest.mark.parametrize(
    "text", ["", "Widget", "object", "callable", "see below", "x" * 1000, "{", "list of", "(", "or"]
)
def test_words_that_are_no_type_suggest_none_or_a_list(text: str) -> None:
    guess = learnt.of_docstring(text)
    assert guess is None or guess.type is list


@given(st.text(alphabet="{}[]()'\",|/ \n:=.abcintorflist_-159", max_size=60))
def test_no_docstring_breaks_a_signature(text: str) -> None:
    learnt.of_docstring(text)
    guess = learnt.of_docstring(f"{text} of int")
    assert guess is None or pydantic.TypeAdapter(guess.type).json_schema() is not None

    def f(x): ...  # type: ignore[no-untyped-def]

    f.__doc__ = f"f({text})\n\nParameters\n----------\nx : {text}\n    {text}\n"
    assert made(f).input_schema


@given(st.text(alphabet="[]|., 'Litera\"Union()nstOpdk0*", max_size=40))
def test_no_annotation_breaks_a_signature(text: str) -> None:
    def f(x: int, y: Any) -> None: ...

    f.__annotations__["y"] = text
    properties: Any = made(f).input_schema["properties"]  # type: ignore[index,call-overload]
    assert properties["x"] == {"type": "integer"}


# What is said


class Adder:
    """Adds numbers up.

    Args:
        n: How many.
    """

    def __call__(self, n: int) -> int:
        return n


class Documented(Adder):
    """Some class."""

    def __call__(self, n: int) -> int:
        """Add one more."""
        return n + 1


def test_callable_object_is_described_by_its_class() -> None:
    one = made(Adder(), None)
    assert (one.name, one.description) == ("Adder", "Adds numbers up.")
    properties: Any = one.input_schema["properties"]  # type: ignore[index,call-overload]
    assert properties["n"]["description"] == "How many."
    assert made(Documented()).description == "Add one more."


def test_refusal_is_one_sentence_in_a_notebook() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shown: list[list[str]] = []
    shell._showtraceback = lambda etype, evalue, stb: shown.append(list(stb))  # type: ignore[method-assign]
    shell.run_cell("from pctx_jupyter import tool\n@tool\nclass Orders: pass")
    assert shown == [
        [
            (
                "InvalidParams: Cannot register Orders: it is a class; wrap what it should do in a function that "
                "returns an instance"
            )
        ]
    ]
    error = shell.run_cell("tool(lambda: 1)").error_in_exec
    assert error is not None
    assert error.__cause__ is None


def test_function_that_autoreload_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    source = tmp_path / "reloaded_shop.py"
    source.write_text("def load(status: str) -> int:\n    '''Load.'''\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    shell = InteractiveShell()
    try:
        shell.run_cell("%load_ext autoreload\n%autoreload 2\nimport reloaded_shop").raise_error()
        one = tools.define(shell.user_ns["reloaded_shop"].load, share=False)
        assert tools.defined() == [one]
        source.write_text(
            "def load(status: str, *, limit: int = 5) -> str:\n    '''Load some.'''\n    return status * limit\n"
        )
        os.utime(source, (1, 2_000_000_000))
        shell.run_cell("reloaded_shop.load").raise_error()
        [fresh] = tools.defined()
        assert typegen.signature(fresh.tool) == "load(args: { status: string; limit?: number }): Promise<string>"
        assert (fresh.description, fresh.share) == ("Load some.", False)
        assert json.loads(bytes(tools.call(fresh, Raw(b'{"status":"a"}')))) == "aaaaa"  # type: ignore[arg-type]
        assert tools.defined() == [fresh]
    finally:
        sys.modules.pop("reloaded_shop", None)


def test_decorated_function_that_autoreload_changes_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    (tmp_path / "shop_tools.py").write_text(
        "import functools\ndef logged(f):\n    @functools.wraps(f)\n    def inner(*args, **named):\n"
        "        return f(*args, **named)\n    return inner\n"
    )
    source = tmp_path / "decorated_shop.py"
    text = "from shop_tools import logged\n@logged\ndef load(n: int) -> int:\n    return n\n"
    source.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    shell = InteractiveShell()
    try:
        shell.run_cell("%load_ext autoreload\n%autoreload 2\nimport decorated_shop").raise_error()
        tools.define(shell.user_ns["decorated_shop"].load)
        source.write_text(text.replace("n: int) -> int:\n    return n", "n: str) -> str:\n    return n + n"))
        os.utime(source, (1, 2_000_000_000))
        shell.run_cell("decorated_shop.load").raise_error()
        [fresh] = tools.defined()
        assert typegen.signature(fresh.tool) == "load(args: { n: string }): Promise<string>"
        assert json.loads(bytes(tools.call(fresh, Raw(b'{"n":"a"}')))) == "aa"  # type: ignore[arg-type]
    finally:
        for name in ("decorated_shop", "shop_tools"):
            sys.modules.pop(name, None)


LATER = """
import dataclasses, attrs, msgspec, pydantic, typing
@dataclasses.dataclass
class Record:
    b: "Later"
class Model(pydantic.BaseModel):
    b: "Later"
@attrs.define
class Attrs:
    b: "Later"
class Struct(msgspec.Struct):
    b: "Later"
class Named(typing.TypedDict):
    b: "Later"
class Place(typing.NamedTuple):
    b: "Later"
def by_class(*, x): return type(x if isinstance(x, Later) else x["b"] if isinstance(x, dict) else x.b).__name__
"""


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("Later", {"n": 1}),
        ("Record", {"b": {"n": 1}}),
        ("Model", {"b": {"n": 1}}),
        ("Attrs", {"b": {"n": 1}}),
        ("Struct", {"b": {"n": 1}}),
        ("Named", {"b": {"n": 1}}),
        ("Place", [{"n": 1}]),
    ],
)
def test_a_class_that_is_defined_after_the_function_is_found_later(annotation: str, value: Any) -> None:
    notebook = types.ModuleType("a_notebook")
    sys.modules["a_notebook"] = notebook
    try:
        exec(LATER, vars(notebook))
        notebook.by_class.__annotations__["x"] = annotation
        early = made(notebook.by_class)
        assert "Later is not known here" in display.untyped(early.input_schema)["x"]
        assert tools.defined() == [early]
        exec("@dataclasses.dataclass\nclass Later:\n    n: int", vars(notebook))
        [late] = tools.defined()
        assert display.untyped(late.input_schema) == {}
        assert json.loads(bytes(tools.call(late, Raw(json.dumps({"x": value}).encode())))) == "Later"  # type: ignore[arg-type]
        assert tools.defined() == [late]
    finally:
        del sys.modules["a_notebook"]


def test_tools_that_nobody_changes_stay_the_same_objects() -> None:
    for name, function in {
        "a": len,
        "b": np.add,
        "c": pd.concat,
        "d": Adder(),
        "e": functools.partial(either, 1),
    }.items():
        made(function, name)
    first = tools.defined()
    assert all(one is other for one, other in zip(tools.defined(), first, strict=True))


# The report


@pytest.mark.parametrize("library", ["pandas", "requests", "math", "statistics", "datetime", "os.path", "re"])
def test_everyday_library_registers_and_has_types(library: str) -> None:
    found = libraries.report(library)
    assert found is not None
    assert found.registered >= libraries.REGISTERED, found.refused
    assert found.with_type >= libraries.TYPED
