"""What is behind a callable: the function under wrappers, partials and objects, its docstring, and whose method it is.

It looks at functions of any library: whatever their attributes raise is expected here.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any

import docstring_parser

MOST_WRAPPERS = 32
"""Wrappers around a function that are unwrapped, at most."""


def plain_function(function: Any) -> Any:
    """Find the function behind partials, methods, wrappers and callable objects."""
    for _ in range(MOST_WRAPPERS):
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif callable(wrapped := _wrapped(function)):
            function = wrapped
        elif not inspect.isroutine(function) and not inspect.isclass(function) and callable(function):
            call = type(function).__call__
            if not inspect.isroutine(call) or isinstance(call, types.WrapperDescriptorType):
                return function  # it is made in C
            function = call
        else:
            return function
    return function


def _wrapped(function: Any) -> Any:
    try:
        return getattr(function, "__wrapped__", None)
    except Exception:  # an object may make up its attributes
        return None


def documented(function: Any) -> docstring_parser.Docstring:
    """Read the docstring of a callable, or of an object's class; an empty one where there is none."""
    while isinstance(function, functools.partial):  # whose own docstring explains partials
        function = function.func
    is_object = not inspect.isroutine(function) and not inspect.isclass(function)
    doc = _parsed(_own_doc(function, is_object))
    if is_object and (owner := inspect.getdoc(type(function))):
        # The class says what its objects are for; its parameters are also those of its calls where names agree.
        of_class = _parsed(owner)
        doc.meta += of_class.params
        if not doc.short_description:
            doc.short_description, doc.long_description = of_class.short_description, of_class.long_description
    return doc


def _own_doc(function: Any, is_object: bool) -> str:
    if not is_object:
        return inspect.getdoc(function) or ""
    own = getattr(function, "__dict__", {}).get("__doc__") if hasattr(function, "__dict__") else None
    if isinstance(own, str):
        return inspect.cleandoc(own)
    if isinstance(found := getattr(function, "__doc__", None), str) and found != type(function).__doc__:
        return inspect.cleandoc(found)  # made in C, such as numpy's functions
    for kind in type(function).__mro__:  # never what `type` says of its own calls
        call = vars(kind).get("__call__")
        if call is not None:
            is_slot = isinstance(call, types.WrapperDescriptorType)
            return "" if is_slot else inspect.cleandoc(call.__doc__ or "")
    return ""


def _parsed(text: str) -> docstring_parser.Docstring:
    try:
        return docstring_parser.parse(text)
    except Exception:  # foreign text, and a parser that does not foresee all of it
        plain = docstring_parser.Docstring()
        plain.short_description = text.partition("\n\n")[0] or None
        return plain


def owner_of(function: Any) -> type | None:
    """The class that ``Self`` means in the annotations of a bound method."""
    while isinstance(function, functools.partial):
        function = function.func
    held = getattr(function, "__self__", None)
    if held is None or isinstance(held, types.ModuleType):
        return None
    return held if isinstance(held, type) else type(held)
