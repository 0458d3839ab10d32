"""Types of parameters without an annotation, learnt from a docstring or a default. They are shown, and refuse nothing.

A docstring may be wrong. So a value of another type is passed to the function as it is, with a
warning in Python; in TypeScript the type is ``Likely<number>``, to which every value can be assigned.
"""

from __future__ import annotations

import ast
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args

import pydantic
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from ...tools.tool import LEARNT
from .annotations import AnnotationScope, Unsaid

LONGEST = 300
"""Characters of a docstring's type that are read; longer ones are prose."""


class LearntTypeWarning(UserWarning):
    """An argument is not of the type that the function's docstring or default suggests."""


_WARNED: dict[Any, Any] = {}
"""The warnings that were given: Python gives each of them once."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A type as a docstring or a default suggests it.

    Args:
        type: The type.
        is_whole: Whether every part of the text was understood, so that another value deserves a warning.
        source: From what it was learnt: ``docstring`` or ``default``.
    """

    type: Any
    is_whole: bool
    source: Literal["docstring", "default"]


@dataclass(frozen=True, eq=False)
class Learnt:
    """How pydantic treats a parameter whose type was learnt: as anything, with a warning.

    Args:
        guess: The type.
        name: What warnings call the parameter.
    """

    guess: Guess
    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        if not self.guess.is_whole or self.guess.source == "default":
            return core_schema.any_schema()
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(self.guess.type)

        def check(value: Any) -> Any:
            try:
                adapter.validate_python(value)
            except pydantic.ValidationError as error:
                self._warn(error.errors()[0]["msg"])
            return value

        return core_schema.no_info_plain_validator_function(check)

    def _warn(self, said: str) -> None:
        text = f"{self.name}: {said}, says the function's docstring; the argument was passed as it is"
        with suppress(LearntTypeWarning):  # where warnings are errors: a docstring must not refuse a call
            # It belongs to no line of the notebook: the program is none.
            warnings.warn_explicit(text, LearntTypeWarning, "pctx", 1, registry=_WARNED)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        likely = pydantic.TypeAdapter(self.guess.type).json_schema()
        return {"anyOf": [likely, {}], LEARNT: self.guess.source}


def of_default(default: object) -> Guess | None:
    """The type that a default suggests: numbers, texts, booleans, lists and dicts. None: nothing."""
    kinds: list[tuple[Any, Any]] = [(bool, bool), (int, float), (float, float), (str, str), (dict, dict)]
    for kind, said in kinds:
        if type(default) is kind:
            return Guess(said, True, "default")
    if type(default) in (list, tuple):
        return Guess(list, True, "default")
    return None


def of_docstring(text: str | None) -> Guess | None:
    """The type that a docstring's words suggest: ``int or None, optional``, ``{'a', 'b'}, default='a'``."""
    if not text or len(text) > LONGEST:
        return None
    text = _SHAPE.sub("", _EXTRAS.sub("", text.replace("`", "").replace("\n", " "))).strip().rstrip(".,")
    text = _ROLE.sub("", text)
    found: list[Any] = []
    is_whole = True
    for part in _parts(text):
        kind = _kind(part)
        if "like" in part or "_like" in part:  # what NumPy makes an array of: a number will do
            is_whole = False
        if kind is _NEVER_JSON:
            continue
        if kind is None:
            is_whole = False
        elif kind is Any:
            return None
        else:
            found.append(kind)
    if not [one for one in found if one is not type(None)]:
        return None
    return Guess(Union[tuple(found)], is_whole, "docstring")  # noqa: UP007  # as many as there are


_EXTRAS = re.compile(
    r"[,;(]?\s*\b(optional|keyword[- ]only|required"
    r"|default\s*[=:is]*\s*(\[[^]]*\]|\{[^}]*\}|'[^']*'|\"[^\"]*\"|[^,;)]*))\)?",
    re.IGNORECASE,
)
_SHAPE = re.compile(
    r",?\s*\b(?:of|with|in)?\s*\b(?:shape|length|size|dtype|type)\b\s*=?\s*(\([^)]*\)|\[[^]]*\]|\w+).*$", re.IGNORECASE
)
_ROLE = re.compile(r":[a-z:]+:|~")


class _Never:
    pass


_NEVER_JSON = _Never()
"""The type of words for values without a JSON form. No argument can have it, so it may be left out of a union."""

_NUMBER = {"int", "integer", "float", "number", "scalar", "real", "numeric", "double", "ints", "integers", "floats"}
_NUMBER |= {"numbers", "scalars", "int64", "float64", "np.float64", "np.int64", "np.floating", "numpy.number"}
_NUMBER |= {"positive int", "positive integer", "non-negative int", "integer number", "positive float", "complex"}
_TEXT = {"str", "string", "text", "strings", "label", "column name", "unicode", "url", "char", "character", "filename"}
_TEXT |= {"path", "path-like", "pathlike", "path-like object", "path object", "os.pathlike", "pathlib.path", "strs"}
_TRUTH = {"bool", "boolean", "bools", "booleans", "bool_", "np.bool_", "flag", "logical"}
_LIST = {"list", "tuple", "sequence", "array", "array-like", "array_like", "arraylike", "ndarray", "np.ndarray", "set"}
_LIST |= {"numpy.ndarray", "numpy array", "iterable", "list-like", "listlike", "vector", "matrix", "series", "index"}
_LIST |= {"pd.series", "pandas.series", "1d array", "2d array", "1-d array", "2-d array", "arrays", "lists", "tuples"}
_LIST |= {"container", "collection", "frozenset", "1darray", "2darray", "1d array-like", "2d array-like", "iterator"}
_LIST |= {"1d ndarray", "2d ndarray", "pair", "nodes", "array of float", "categorical", "np.array", "numpy.array"}
_LIST |= {"sequences", "array-likes", "node list", "container of nodes", "array_likes", "ndarrays", "iterables"}
_DICT = {"dict", "dictionary", "mapping", "dict-like", "dicts", "dictionaries", "kwargs", "keyword arguments"}
_ROWS = {"dataframe", "pd.dataframe", "pandas.dataframe", "frame"}
_NOTHING = {"none", "nonetype", "null"}
_ANYTHING = {"object", "any", "anything", "variant"}
_NO_JSON = {"callable", "function", "class", "type", "file object", "file-like", "file-like object", "sparse matrix"}
_NO_JSON |= {"file handle", "buffer", "callables", "sparse array", "sparse-matrix", "randomstate instance", "generator"}
_NO_JSON |= {"sparse graph", "method", "estimator object", "randomstate", "numpy.random.generator", "axes"}
_NO_JSON |= {"numpy.random.randomstate", "np.random.generator", "np.random.randomstate", "file", "linearoperator"}
_NO_JSON |= {"estimator", "cv splitter", "cross-validation generator", "splitter", "random_state", "graph", "slice"}
_NO_JSON |= {
    "matplotlib axes",
    "matplotlib.axes.axes",
    "pairwise metric",
    "figure",
    "networkx graph",
    "python function",
}

_WORDS: dict[str, Any] = {
    **dict.fromkeys(_NUMBER, float),
    **dict.fromkeys(_TEXT, str),
    **dict.fromkeys(_TRUTH, bool),
    **dict.fromkeys(_LIST, list),
    **dict.fromkeys(_DICT, dict),
    **dict.fromkeys(_ROWS, list[dict]),  # type: ignore[type-arg]
    **dict.fromkeys(_NOTHING, type(None)),
    **dict.fromkeys(_ANYTHING, Any),
    **dict.fromkeys(_NO_JSON, _NEVER_JSON),
}
_OF = re.compile(
    r"^(?:\d-?d )?(list|tuple|sequence|array|array[-_]like|ndarray|iterable|set|collection|container|iterables?)s?"
    r"(?:\s*\(?of\)?|\[)\s*(.+?)\]?$"
)
_SUBSCRIPTED = re.compile(r"^[A-Za-z_.]+\[.*\]$")
_SCOPE = AnnotationScope({})


def _kind(part: str) -> Any:
    """The type for one of the words of a docstring; `Any`: it may be anything; None: unknown."""
    if part[:1] in "{[" and (values := _values(part)):
        return values
    if part[:1] in "{(" and part[-1:] in "})":
        kinds = [_kind(one) for one in _parts(part[1:-1])]
        known = [kind for kind in kinds if kind is not None and kind is not _NEVER_JSON]
        if part[:1] == "(":  # a tuple
            return list
        return Union[tuple(known)] if known and Any not in known else None  # noqa: UP007
    if part[:1] in "'\"":
        return _values(f"[{part}]")
    if re.fullmatch(r"-?\d+(\.\d+)?|True|False", part):
        return _values(f"[{part}]")
    word = re.sub(r"^(an?|the|one|any|positive|non-negative|single|python|numpy|pandas) ", "", part.lower().strip())
    if word in _WORDS:
        return _WORDS[word]
    if (found := _OF.match(word)) is not None:
        inner = _kind(found[2].split(" and ")[0].strip("()"))
        if inner in (None, Any) or inner is _NEVER_JSON or found[1] == "tuple" or "like" in found[1]:
            return list
        return list[inner]  # type: ignore[valid-type]  # known at run time
    if _SUBSCRIPTED.match(part):
        resolved = _SCOPE.resolved(part)
        args = get_args(resolved)
        if args and not any(isinstance(arg, type) and issubclass(arg, Unsaid) for arg in args):
            try:
                pydantic.TypeAdapter(resolved).json_schema()
            except Exception:
                return None
            return resolved
    return None


def _values(text: str) -> Any:
    """``{'a', 'b', None}`` as a type: these values; None: they are no values."""
    try:
        values = ast.literal_eval(f"[{text[1:-1]}]")
    except (ValueError, SyntaxError):
        return None
    plain = [value for value in values if isinstance(value, str | int) or value is None]
    floats = any(isinstance(value, float) for value in values)
    if len(plain) + sum(isinstance(value, float) for value in values) != len(values) or not values:
        return None
    found: list[Any] = [float] if floats else []
    if said := tuple(value for value in plain if value is not None):
        found.append(Literal[said])
    if None in plain:
        found.append(type(None))
    return Union[tuple(found)]  # noqa: UP007  # as many as there are


def _parts(text: str) -> list[str]:
    """The alternatives of a text, which commas, bars and the word *or* separate outside of brackets and quotes."""
    parts, depth, start, quote, at = [], 0, 0, "", 0
    while at < len(text):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{<":
            depth += 1
        elif char in ")]}>":
            depth -= 1
        elif depth == 0:
            found = _BETWEEN.match(text, at)
            if found is not None and found.end() > at:
                parts.append(text[start:at])
                start = at = found.end()
                continue
        at += 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


_BETWEEN = re.compile(r"\s*,\s*(?:or\s+)?|\s+or\s+|\s*\|\s*|\s*/\s*")
