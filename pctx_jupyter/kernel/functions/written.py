"""Signatures of functions for which `inspect` finds none, from stubs and docstrings.

A function made in C may have no signature, or one without types. Files in ``stubs`` declare those of the standard
library. For others, the first line of the docstring is read (``log(x, [base=math.e])``). Without either, a function
takes ``args`` and any other arguments.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import cache
from importlib import resources
from inspect import Parameter
from typing import Any


class _Unknown:
    def __repr__(self) -> str:
        return "…"


UNKNOWN = _Unknown()
"""Represents a default whose value is not known."""

_STUBS = {
    "builtins": "builtins",
    "math": "math",
    "statistics": "statistics",
    "datetime": "datetime",
    "_datetime": "datetime",
    "json": "json",
    "posixpath": "path",
    "ntpath": "path",
    "genericpath": "path",
    "posix": "path",
    "nt": "path",
    "re": "re",
}
"""The file of ``stubs`` for each module that has one."""


def signature(function: Any, plain: Any) -> inspect.Signature:
    """The signature of anything callable: Python's own, else a stub's or the docstring's, else one that takes anything.

    Args:
        function: What is called.
        plain: The function behind it.
    """
    try:
        if sys.version_info >= (3, 14):  # names that are nowhere must not hide the other annotations
            from annotationlib import Format

            return inspect.signature(function, annotation_format=Format.FORWARDREF)
        return inspect.signature(function)
    except Exception:  # a signature may be computed by foreign code
        pass
    stub = _stub(plain)
    if stub is not None:
        signature = inspect.signature(stub)
        known = [one.replace(default=UNKNOWN) if one.default is ... else one for one in signature.parameters.values()]
        return signature.replace(parameters=known)
    return _of_docstring(function) or _of_docstring(plain) or _ANYTHING


def standard(function: Any) -> dict[str, Any]:
    """The annotations of a function of the standard library by parameter, and of its result under ``return``."""
    stub = _stub(function)
    return {} if stub is None else dict(stub.__annotations__)


def _stub(function: Any) -> Any:
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None)
    if module is None and inspect.isclass(owner):
        module = owner.__module__
    file = _STUBS.get(str(module))
    if file is None:
        return None
    name = str(getattr(function, "__qualname__", "")).replace(".", "__")
    return _stubs(file).get(name)


@cache
def _stubs(file: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath("stubs", f"{file}.pyi").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(compile(text, f"{file}.pyi", "exec", dont_inherit=True), names)
    return names


_ANYTHING = inspect.Signature([Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)])


def _of_docstring(function: Any) -> inspect.Signature | None:
    """Read ``name(x, [base=math.e])`` in a docstring's first lines; None: it has none, or several."""
    name = getattr(function, "__name__", None)
    text = getattr(function, "__doc__", None)
    if not isinstance(text, str) or not isinstance(name, str):
        return None
    head = text.lstrip()[:2_000]
    found = re.findall(rf"^{re.escape(name)}\(", head, re.MULTILINE)
    if len(found) != 1 or not head.startswith(f"{name}("):
        return None
    inside = _inside(head[len(name) :])
    if inside is None:
        return None
    try:
        return _parsed(inside)
    except ValueError:
        return None


def _inside(text: str) -> str | None:
    depth = 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return text[1:at]
    return None


def _parsed(text: str) -> inspect.Signature:
    """Read a signature in which brackets are optional parts; raises ValueError if it is none."""
    parameters: list[Parameter] = []
    kind: Any = Parameter.POSITIONAL_ONLY
    depth = 0
    for part in _split(text):
        # A bracket before a name makes it optional, and so is all inside of the bracket.
        opened = depth + part[: len(part) - len(part.lstrip(" ["))].count("[")
        depth += part.count("[") - part.count("]")
        bare = part.strip(" []\n\t")
        if bare == "/":
            kind = Parameter.POSITIONAL_OR_KEYWORD
            continue
        if bare in ("", "*"):
            kind = Parameter.KEYWORD_ONLY if bare else kind
            continue
        name, _, default = (one.strip() for one in bare.partition("="))
        name, _, kind_text = (one.strip() for one in name.partition(":"))
        kind_text += "]" * (kind_text.count("[") - kind_text.count("]"))
        annotation = kind_text or Parameter.empty  # extension modules write the types of their C++ code
        if name.startswith("**"):
            parameters.append(Parameter(name[2:], Parameter.VAR_KEYWORD, annotation=annotation))
        elif name.startswith("*"):
            parameters.append(Parameter(name[1:], Parameter.VAR_POSITIONAL, annotation=annotation))
            kind = Parameter.KEYWORD_ONLY
        elif name in ("...", "…"):
            parameters.append(Parameter("args", Parameter.VAR_POSITIONAL))
            kind = Parameter.KEYWORD_ONLY
        else:
            value = _default(default) if default else UNKNOWN if opened else Parameter.empty
            parameters.append(Parameter(name, kind, default=value, annotation=annotation))
    return inspect.Signature(parameters)


def _split(text: str) -> list[str]:
    """Split at commas outside of parentheses, braces and quotes; square brackets may be optional parts."""
    parts, depth, quote, start = [], 0, "", 0
    opening, closing = ("({[", ")}]") if ":" in text and "[," not in text else ("({", ")}")
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char in opening) - (char in closing)
            if char == "," and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    return [*parts, text[start:]]


def _default(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return UNKNOWN
