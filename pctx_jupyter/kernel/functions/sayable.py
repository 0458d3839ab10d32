"""Decides which parts of a resolved annotation can be declared, and replaces the others.

Pydantic knows a schema of most types. Of the others, some mean a type that it knows (``LiteralString``, a protocol that
numbers fulfil), and some have no JSON form: a function, an open file, an instance of a library's class. Such a part
becomes `Any`, with a note that says why. It is left out of a union if no JSON value can be of that type.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typing_extensions
from pydantic import AfterValidator

from . import foreign
from .annotations import AnnotationScope, Unsaid

_JSON_TYPES = (str, bool, int, float, list, dict)

_WRAPPERS = (typing.Required, typing.NotRequired, typing_extensions.ReadOnly, typing.Final, typing.ClassVar)
_GUARDS = (typing.TypeGuard, typing_extensions.TypeIs)
_LISTS = (
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.Container,
    collections.abc.Reversible,
)
_ONE_PASS = (collections.abc.Iterator, collections.abc.Generator)
_SELF = (typing.Self, typing_extensions.Self)
_NEVER = (typing.NoReturn, typing.Never)
_NO_TYPES = (tuple, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
"""What people write as an annotation by mistake: ``(int, str)``, ``any``, or a name that hides a type."""


class Said(typing.NamedTuple):
    """A type that can be declared.

    Args:
        type: The type; `Any` for a part that cannot be.
        notes: Why parts of it are `Any`.
    """

    type: Any
    notes: tuple[str, ...] = ()


class Sayer:
    """Finds what of an annotation can be declared.

    Args:
        why_not: Says why a class cannot be declared; None: it can.
        is_result: Whether values of the type leave Python, rather than enter it.
        owner: The class that ``Self`` means: that of a bound method's instance.
        missing: Receives the names in the annotations of fields that are not defined anywhere.
    """

    def __init__(
        self, why_not: Callable[[Any], str | None], is_result: bool, owner: type | None, missing: set[str]
    ) -> None:
        self._why_not, self._is_result, self._owner, self._missing = why_not, is_result, owner, missing
        self._inside: list[Any] = []  # the classes whose fields are being looked at

    def said(self, annotation: Any) -> Said:
        """Return what of an annotation can be declared."""
        if annotation is Any or annotation is object:
            return Said(Any)
        if annotation in _NEVER:
            return Said(Any)
        if isinstance(annotation, type) and issubclass(annotation, Unsaid):
            return Said(Any, (annotation.why,))
        if isinstance(annotation, list):  # the parameters of a Callable
            return Said(Any)
        if isinstance(annotation, _NO_TYPES):  # of a function, pydantic would make the type of what it takes
            name = getattr(annotation, "__name__", None) or repr(annotation)[:40]
            return Said(Any, (f"{name} is not a type",))
        if isinstance(annotation, TypeVar):
            return self._variable(annotation)
        if annotation in _SELF:
            return Said(Any, ("Self is an instance of its class",)) if self._owner is None else self.said(self._owner)
        origin, args = get_origin(annotation), get_args(annotation)
        plain = annotation if origin is None else origin
        if plain is typing_extensions.LiteralString:
            return Said(str)
        if plain in _GUARDS:
            return Said(bool)
        if plain in _WRAPPERS:
            return self.said(args[0]) if args else Said(Any)
        if plain in (Callable, typing.Callable):
            return Said(Any, ("a function has no JSON form",))
        if origin in (Union, types.UnionType):
            return self._union(args)
        if origin is Literal:
            return Said(annotation)
        if origin is Annotated:
            inner, notes = self.said(args[0])
            return Said(annotation if inner is args[0] else Annotated[(inner, *args[1:])], notes)
        if plain in _LISTS or plain in _ONE_PASS:
            return self._items(plain, args)
        if plain is collections.abc.Hashable and not self._is_result:
            return Said(str | bool | int | float | None)
        if plain is type:
            return Said(Any, ("a class has no JSON form",))
        if origin is tuple and not args and annotation is not typing.Tuple:  # noqa: UP006  # it is without types
            return Said(annotation)  # tuple[()], which is empty
        if origin is not None and args:
            return self._generic(annotation, origin, args)
        if plain is complex and not self._is_result:  # to type checkers, every number is one
            return Said(float | complex)
        return self._leaf(plain)  # ``typing.Sized`` is an alias of a class

    def _variable(self, variable: TypeVar) -> Said:
        if variable.__constraints__:
            return self._union(variable.__constraints__)
        bound = variable.__bound__
        return Said(Any) if bound is None or isinstance(bound, typing.ForwardRef) else self.said(bound)

    def _items(self, plain: Any, args: tuple[Any, ...]) -> Said:
        """A list in place of an iterable type: it can be iterated more than once."""
        inner, notes = self.said(args[0]) if args else Said(Any)
        if plain in _ONE_PASS and not self._is_result:
            return Said(Annotated[list[inner], AfterValidator(iter)], notes)  # type: ignore[valid-type]
        return Said(list[inner], notes)  # type: ignore[valid-type]  # known at run time

    def _union(self, members: tuple[Any, ...]) -> Said:
        some: list[Any] = []
        notes: list[str] = []  # of the members that are left out
        kept: list[str] = []  # of the others
        vague = False
        for member in members:
            found = self.said(member)
            if found.type is Any and found.notes:
                notes += found.notes
                vague |= not _is_never_json(member)
            elif found.type is Any:
                return Said(Any)
            else:
                some.append(found.type)
                kept += found.notes
        if notes and (vague or not [one for one in some if one is not type(None)]):
            return Said(Any, (*notes, *kept))
        return Said(Union[tuple(some)] if some else Any, tuple(kept))  # noqa: UP007

    def _generic(self, annotation: Any, origin: Any, args: tuple[Any, ...]) -> Said:
        found = [self.said(arg) if _is_type(arg) else Said(arg) for arg in args]
        why = self._why_not(annotation)
        if why is None and all(one.type is arg for one, arg in zip(found, args, strict=True)):
            return Said(annotation)
        with contextlib.suppress(Exception):
            parts = tuple(one.type for one in found)
            made = annotation.copy_with(parts) if hasattr(annotation, "copy_with") else origin[parts]
            notes = tuple(note for one in found for note in one.notes)
            if (why_made := self._why_not(made)) is None:
                return Said(made, notes)
            why = why or why_made
        if why is None:
            return Said(annotation)
        return self._leaf(origin) if isinstance(origin, type) else Said(Any, (why,))

    def _leaf(self, annotation: Any) -> Said:
        if (why := self._why_not(annotation)) is None:
            return Said(annotation)
        if (found := self._by_fields(annotation)) is not None:
            return found
        kinds = json_types_of(annotation)
        if kinds and not self._is_result:
            return Said(Union[kinds])  # noqa: UP007  # as many as there are
        return Said(Any, (why,))

    def _by_fields(self, kind: Any) -> Said | None:
        """A dataclass or TypedDict with what can be declared of each field; None: it is neither, or inside itself."""
        is_dict = typing_extensions.is_typeddict(kind)
        if not (is_dict or (isinstance(kind, type) and dataclasses.is_dataclass(kind))) or kind in self._inside:
            return None
        self._inside.append(kind)
        try:
            fields: dict[str, Any] = {}
            notes: list[str] = []
            for name, annotation, is_required in self._fields(kind, is_dict):
                said = self.said(annotation)
                kept = foreign.rewrite(said.type)
                fields[name] = kept if is_required else typing_extensions.NotRequired[kept]
                notes += [f"{kind.__name__}.{name}: {note}" for note in said.notes]
        finally:
            self._inside.pop()
        made = foreign.make_typed_dict(kind.__name__, fields)
        made.__module__, made.__doc__ = kind.__module__, None
        whole = made if is_dict else Annotated[Any, foreign.Fields(kind, made)]
        return Said(whole, tuple(notes)) if self._why_not(whole) is None else None

    def _fields(self, kind: Any, is_dict: bool) -> Iterator[tuple[str, Any, bool]]:
        """The fields of a dataclass or TypedDict: name, resolved annotation, and whether it has to be there."""
        scope = AnnotationScope(vars(sys.modules.get(kind.__module__, types)))
        try:
            hints = typing_extensions.get_type_hints(kind, include_extras=True)
        except Exception:  # one name that is nowhere would hide the others
            hints = {name: scope.resolved(annotation) for name, annotation in kind.__annotations__.items()}
            self._missing |= scope.missing
        if is_dict:
            for name, hint in hints.items():
                yield name, foreign.bare(hint), foreign.is_required(hint, name in kind.__required_keys__)
            return
        for field in dataclasses.fields(kind):
            if field.init or self._is_result:
                missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
                yield field.name, hints.get(field.name, Any), missing and field.init


def _is_type(arg: Any) -> bool:
    return arg is not Ellipsis and not isinstance(arg, list | tuple | str | int | bytes)


def json_types_of(kind: Any) -> tuple[Any, ...]:
    """The types of JSON's values that fulfil a protocol or an abstract class: numbers for ``SupportsIndex``."""
    if not isinstance(kind, type):
        return ()
    found: list[type] = []
    if typing_extensions.is_protocol(kind):
        members = typing_extensions.get_protocol_members(kind)
        found = [one for one in _JSON_TYPES if all(getattr(one, member, None) is not None for member in members)]
    elif inspect.isabstract(kind):
        found = [one for one in _JSON_TYPES if issubclass(one, kind)]
    return tuple(found)


def _is_never_json(member: Any) -> bool:
    """Whether no JSON value is of the type, so that it can be left out of a union without refusing anything."""
    kind = get_origin(member) or member
    if kind in (Callable, typing.Callable, type):
        return True
    if not isinstance(kind, type) or issubclass(kind, Unsaid):
        return False
    if typing_extensions.is_protocol(kind):
        return not json_types_of(kind)
    return not any(issubclass(one, kind) for one in _JSON_TYPES)
