"""Charts as Vega-Lite specifications: what of them may be drawn in a notebook's page. Data in, data out.

A chart is drawn by a library that makes elements, styles, requests and JavaScript of what it is given. So a chart is
rebuilt from what is known to end as shapes and text: ``charts.json`` lists which members a chart may have, where, and
what each may hold. Anything else refuses the chart. The JupyterLab extension checks the charts of notebooks that the
user does not trust by the same list (`labextension/src/charts`); a test holds the two equal.

These types are explained here, all others in ``charts.json``:

=============  ========================================================================================================
number         a finite number
boolean, null  themselves
text           any text, which is drawn as text
field          the name of a field of the data, or the path to it
expr           an expression, which `formulas` reads and writes again
values         data: rows, a text in a format such as CSV, or shapes for maps
parameter      the name of a parameter, which expressions may use
=============  ========================================================================================================
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from . import formulas

LITE = ("application/vnd.vegalite.v4+json", "application/vnd.vegalite.v5+json")
"""The MIME types of Vega-Lite, which JupyterLab draws."""

TYPES = ("application/vnd.vega.v5+json", *LITE)
"""The MIME types of charts."""

EMBED_OPTIONS = {
    "actions": {"export": True, "source": False, "compiled": False, "editor": False},
    "tooltip": False,
    "renderer": "canvas",
}
"""How JupyterLab draws them: Vega's own tooltips are text, the others would load pictures that data names."""

MOST_PARTS = 100_000
"""Members and items of a chart, its data left out."""

MOST_DEPTH = 60
"""Levels of a chart, and of its data."""

MOST_TEXT = 10_000
"""Characters of one text of a chart, its data left out."""

MOST_FACTOR = 10_000
"""How many times as many rows or views may be drawn as the chart has: ``fold`` and ``repeat`` multiply them."""

_GEOMETRY = frozenset(
    """
    Topology FeatureCollection Feature GeometryCollection Point MultiPoint LineString MultiLineString Polygon
    MultiPolygon
    """.split()  # noqa: SIM905  # reads better
)
"""Objects that are data as a whole: maps, in TopoJSON and GeoJSON. Any other object could be an expression to Vega."""

_SIGNAL = frozenset({"signal", "expr"})
"""Names by which Vega takes an object of data for an expression."""

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_FIELD_BREAK = re.compile(r"[.\[\]'\"]")
_ELSEWHERE = frozenset({"url", "href"})


class ChartRefused(ValueError):
    """A chart is not drawn.

    Attributes:
        path: The member that refused it: ``layer[0].mark.href``; empty for the chart as a whole.
        reason: What is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f'its "{path}" {reason}' if path else reason)
        self.path = path
        self.reason = reason


def clean(kind: str, spec: Any) -> dict[str, Any]:
    """Rebuild a chart from what the list allows.

    Args:
        kind: Its MIME type, one of `TYPES`.
        spec: The specification.

    Raises:
        ChartRefused: The chart has something else in it; names the member.
    """
    if kind not in LITE:
        raise ChartRefused("", "only Vega-Lite is drawn, and this is Vega; write the chart in Vega-Lite")
    if not isinstance(spec, dict):
        raise ChartRefused("", "it is no object")
    # Options for the renderer. They would override ours.
    kept = {name: member for name, member in spec.items() if name != "usermeta"}
    made = _Check(_grammar(), frozenset(_parameters(kept))).checked(kept, _grammar().root, "", 0)
    assert isinstance(made, dict)
    return made


def rows(spec: Any) -> list[dict[str, Any]]:
    """Return the rows that stand in a chart: those of its first data that are rows, or none."""
    pending: list[tuple[Any, int]] = [(spec, 0)]
    while pending:
        part, depth = pending.pop(0)
        if isinstance(part, list) and part and all(isinstance(row, dict) for row in part) and depth > 0:
            return part
        if isinstance(part, dict) and depth < MOST_DEPTH:
            data = part.get("data")
            listed = data if isinstance(data, list) else [data]  # Vega has a list of them
            pending += [(one.get("values"), depth + 1) for one in listed if isinstance(one, dict)]
            if isinstance(part.get("datasets"), dict):
                pending += [(values, depth + 1) for values in part["datasets"].values()]
            for name in _grammar().nested:
                inner = part.get(name)
                pending += [(view, 0) for view in (inner if isinstance(inner, list) else [inner])]
    return []


def caption(spec: dict[str, Any]) -> str:
    """What a chart is, as text."""
    title = spec.get("title")
    if isinstance(title, dict):
        title = title.get("text")
    return f"[chart: {title[:200]}]" if isinstance(title, str) and title else "[chart]"


# ── The list ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _MemberType:
    """One alternative of what a member may hold: a kind or a word, in so many lists."""

    name: str
    lists: int = 0
    word: str | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of `charts.json`, ready to be used."""

    number: tuple[float, float] | None = None
    text: re.Pattern[str] | None = None
    words: frozenset[str] | None = None
    any: str | None = None
    map: str | None = None
    members: Mapping[str, str] | None = None
    needs: tuple[str, ...] = ()
    factor: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = False
    span: float | None = None
    drawn: float | None = None


@dataclass(frozen=True, slots=True)
class _Grammar:
    root: str
    nested: tuple[str, ...]
    first: tuple[str, ...]
    kinds: Mapping[str, _Kind]
    alternatives: Mapping[str, tuple[_MemberType, ...]]
    functions: Mapping[str, formulas.ArgumentRule]
    constants: frozenset[str]
    reserved: frozenset[str]


@cache
def _grammar() -> _Grammar:
    read = json.loads(files(__package__).joinpath("charts.json").read_text("utf-8"))
    kinds = {name: _kind(name, read["kinds"]) for name in read["kinds"]}
    types = {read["root"]}
    for kind in kinds.values():
        types |= {kind.any or "", kind.map or "", *(kind.members or {}).values()}
    functions = {name: rule for rule, names in read["functions"].items() for name in names.split()}
    constants = frozenset(read["constants"].split())
    return _Grammar(
        root=read["root"],
        nested=tuple(read["nested"].split()),
        first=tuple(read["first"].split()),
        kinds=kinds,
        alternatives={type: _expanded(type, kinds) for type in types if type},
        functions=functions,
        constants=constants,
        reserved=frozenset(read["reserved"].split()) | constants | formulas.INHERITED,
    )


def _kind(name: str, kinds: dict[str, Any]) -> _Kind:
    read = kinds[name]
    return _Kind(
        number=tuple(read["number"]) if "number" in read else None,
        text=re.compile(read["text"]) if "text" in read else None,
        words=frozenset(read["words"].split()) if "words" in read else None,
        any=read.get("any"),
        map=read.get("map"),
        members=dict(_members(name, kinds)) if "members" in read or "like" in read else None,
        needs=tuple(read.get("needs", "").split()),
        factor=dict(_inherited(name, kinds, "factor")),
        ended=any(kinds[one].get("ended", False) for one in (name, *read.get("like", "").split())),
        span=read.get("span"),
        drawn=read.get("drawn"),
    )


def _members(name: str, kinds: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of members and their types; what a kind says itself counts for more than what it inherits."""
    for base in kinds[name].get("like", "").split():
        yield from _members(base, kinds)
    for type, names in kinds[name].get("members", {}).items():
        for member in names.split():
            yield member, type


def _inherited(name: str, kinds: dict[str, Any], what: str) -> Iterator[tuple[str, Any]]:
    for base in kinds[name].get("like", "").split():
        yield from _inherited(base, kinds, what)
    yield from kinds[name].get(what, {}).items()


def _expanded(type: str, kinds: Mapping[str, _Kind]) -> tuple[_MemberType, ...]:
    """The alternatives of a type, those that are types by another name replaced."""
    found: list[_MemberType] = []
    for part in type.split("|"):
        name = part.rstrip("[]")
        lists = (len(part) - len(name)) // 2
        if name.startswith("'"):
            found.append(_MemberType("", lists, name.strip("'")))
        elif lists == 0 and name in kinds and (other := kinds[name].any) is not None:
            found += _expanded(other, kinds)
        else:
            found.append(_MemberType(name, lists))
    return tuple(found)


# ── The check ───────────────────────────────────────────────────────────────────────────────────────────────────────

_NONE = object()
"""No alternative fits."""


class _Check:
    """Goes through one chart and rebuilds it."""

    def __init__(self, grammar: _Grammar, parameters: frozenset[str]) -> None:
        self._grammar = grammar
        format = grammar.kinds["format"].text
        assert format is not None
        self._vocabulary = formulas.Vocabulary(
            grammar.functions, grammar.constants, {name for name in parameters if self._is_parameter(name)}, format
        )
        self._parts = 0
        self._factor = 1.0

    def checked(self, value: Any, type: str, path: str, depth: int) -> Any:
        """Return the value rebuilt.

        Raises:
            ChartRefused: It is of another type.
        """
        return self._one(value, self._grammar.alternatives[type], path, depth)

    def _one(self, value: Any, alternatives: tuple[_MemberType, ...], path: str, depth: int) -> Any:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise ChartRefused(path, f"is beyond the {MOST_PARTS:,} parts that a chart may have")
        if depth > MOST_DEPTH:
            raise ChartRefused(path, f"is nested deeper than {MOST_DEPTH} levels")
        for one in alternatives:
            if one.lists:
                if isinstance(value, list):
                    return self._list(value, one, path, depth)
            elif one.word is not None:
                if isinstance(value, str) and value == one.word:
                    return value
            elif (found := self._kind(value, one.name, path, depth)) is not _NONE:
                return found
        raise ChartRefused(path, "holds what a chart may not hold there")

    def _list(self, value: list[Any], one: _MemberType, path: str, depth: int) -> list[Any]:
        inner = _MemberType(one.name, one.lists - 1, one.word)
        kind = self._grammar.kinds.get(one.name)
        other = kind.any if kind is not None and inner.lists == 0 else None
        alternatives = (inner,) if other is None else self._grammar.alternatives[other]
        return [self._one(item, alternatives, f"{path}[{number}]", depth + 1) for number, item in enumerate(value)]

    def _kind(self, value: Any, name: str, path: str, depth: int) -> Any:
        kind = self._grammar.kinds.get(name)
        if kind is None:
            return self._own(value, name, path)
        if isinstance(value, str):
            if kind.words is not None:
                if value not in kind.words:
                    return _NONE
                return value if kind.drawn is None else kind.drawn
            if kind.text is None or value in formulas.INHERITED or len(value) > MOST_TEXT:
                return _NONE
            return value if kind.text.fullmatch(value) else _NONE
        if kind.number is not None:
            return value if _is_number(value) and kind.number[0] <= value <= kind.number[1] else _NONE
        if isinstance(value, dict) and all(member in value for member in kind.needs):
            if kind.map is not None:
                return self._map(value, kind.map, path, depth)
            if kind.members is not None:
                return self._object(value, kind, path, depth)
        return _NONE

    def _object(self, value: dict[str, Any], kind: _Kind, path: str, depth: int) -> dict[str, Any]:
        assert kind.members is not None
        before = self._factor
        made: dict[str, Any] = {}
        for name, member in sorted(value.items(), key=lambda item: item[0] not in self._grammar.first):
            inside = f"{path}.{name}" if path else name
            type = kind.members.get(name)
            if type is None:
                more = " and would lead elsewhere; put the data into the chart" if name in _ELSEWHERE else ""
                raise ChartRefused(_cut(inside), f"is not among the members that a chart may have{more}")
            made[name] = self.checked(member, type, inside, depth + 1)
            self._multiply(kind.factor.get(name, 1), member, inside)
        if kind.span is not None:
            _check_span(value, kind.span, path)
        if kind.ended:
            self._factor = before
        return made

    def _map(self, value: dict[str, Any], type: str, path: str, depth: int) -> dict[str, Any]:
        for name in value:
            if name in formulas.INHERITED or name in _SIGNAL or len(name) > MOST_TEXT:
                raise ChartRefused(_cut(f"{path}.{name}"), "is a name that a chart may not choose")
        return {name: self.checked(member, type, f"{path}.{name}", depth + 1) for name, member in value.items()}

    def _own(self, value: Any, name: str, path: str) -> Any:
        """Check what is explained above; the kinds of the list are checked elsewhere."""
        match name, value:
            case "null", None:
                return value
            case "boolean", bool():
                return value
            case "number", _ if _is_number(value):
                return value
            case "text", str() if len(value) <= MOST_TEXT:
                return value
            case "field", str() if len(value) <= MOST_TEXT and not _is_inherited(value):
                return value
            case "parameter", str() if self._is_parameter(value):
                return value
            case "expr", str():
                try:
                    return formulas.rewritten(value, self._vocabulary)
                except ValueError as error:
                    raise ChartRefused(path, f"is an expression that a chart may not have: {error}") from None
            case "values", str():
                return value
            case "values", list():
                return [_data(item, path, 1) for item in value]
            case "values", dict() if value.get("type") in _GEOMETRY and not _SIGNAL & value.keys():
                return _data(value, path, 1)
        return _NONE

    def _is_parameter(self, name: str) -> bool:
        return _PARAMETER.fullmatch(name) is not None and name not in self._grammar.reserved

    def _multiply(self, factor: Any, member: Any, path: str) -> None:
        if factor == "lists":
            lists = member.values() if isinstance(member, dict) else [member]
            factor = math.prod(max(1, len(one)) for one in lists if isinstance(one, list))
        self._factor *= factor
        if self._factor > MOST_FACTOR:
            raise ChartRefused(path, f"would multiply what is drawn by more than {MOST_FACTOR:,}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300


def _is_inherited(path: str) -> bool:
    return any(part in formulas.INHERITED for part in _FIELD_BREAK.split(path.replace("\\", "")))


def _check_span(value: dict[str, Any], most: float, path: str) -> None:
    start, stop, step = (value.get(name, default) for name, default in (("start", 0), ("stop", 0), ("step", 1)))
    if step == 0 or (stop - start) / step > most:
        raise ChartRefused(path, f"has more than {most:,} steps")


def _data(value: Any, path: str, depth: int) -> Any:
    """Copy data, without names that JavaScript would not take for names."""
    if depth > MOST_DEPTH:
        raise ChartRefused(path, f"is nested deeper than {MOST_DEPTH} levels")
    if isinstance(value, dict):
        return {name: _data(member, path, depth + 1) for name, member in value.items() if name != "__proto__"}
    if isinstance(value, list):
        return [_data(item, path, depth + 1) for item in value]
    return value


def _parameters(spec: Any) -> Iterator[str]:
    """Names of the parameters of a chart and of the views in it."""
    pending = [spec]
    while pending:
        view = pending.pop()
        if not isinstance(view, dict):
            continue
        for name, key in (("params", "name"), ("transform", "param")):
            given = view.get(name)
            for one in given if isinstance(given, list) else []:
                if isinstance(one, dict) and isinstance(one.get(key), str):
                    yield one[key]
        for name in _grammar().nested:
            inner = view.get(name)
            pending += inner if isinstance(inner, list) else [inner]


def _cut(path: str) -> str:
    """A path that ends in an untrusted name, short."""
    return path if len(path) <= 200 else f"{path[:200]}…"
