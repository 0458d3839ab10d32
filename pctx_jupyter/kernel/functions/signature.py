"""A Python signature as JSON Schema, and calls across it: arguments converted on the way in, results checked on the
way out.

Pydantic converts and checks values. This module decides which parts of a signature are fields, which names messages
use, and which functions cannot be tools. It is imported when the first tool is defined, because pydantic takes a
moment to load. It does not know where tools are registered or on which thread they run.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import re
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

import docstring_parser
import msgspec
import pydantic
import pydantic_core
import typing_extensions
from msgspec import Raw
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import (
    ErrorDetails,
    PydanticSerializationError,
    SchemaSerializer,
    SchemaValidator,
)

from ... import errors, futures, values
from ...nearest import did_you_mean
from ...rpc import jsonrpc as rpc
from ...rpc import nonfinite
from ...rpc.jsonrpc import Json
from ...tools.tool import UNTYPED
from . import foreign, learnt, literals, mending, mismatch, written
from .annotations import AnnotationScope, unsaid
from .json_schema import CompactSchema, show_default
from .sayable import Said, Sayer
from .wrapped import documented, owner_of, plain_function

DEEPEST = 200
"""Levels of an argument, and of a result that has an annotation: pydantic reads no more."""

_CONFIG = pydantic.ConfigDict(
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",
    validate_by_name=True,
    validate_by_alias=True,
)
_RESULT_CONFIG = _CONFIG | pydantic.ConfigDict(revalidate_instances="always")  # a dataclass does not check itself


class Unrepresentable(Exception):
    """A signature that cannot be a tool; the message says which part, why, and the way out."""


@dataclass(frozen=True, slots=True)
class FunctionSignature:
    """The schemas of one function, and the conversion of its arguments and results.

    Args:
        description: The docstring without its sections.
        input_schema: JSON Schema of the arguments object.
        output_schema: JSON Schema of the result; None if it may be anything.
    """

    description: str
    input_schema: dict[str, Json]
    output_schema: dict[str, Json] | None
    _parameters: tuple[Parameter, ...]
    _aliases: tuple[str, ...]
    """The name of each parameter in the schema: its own, or its alias."""
    _known: frozenset[str]
    _required: tuple[tuple[str, str], ...]
    """Name and alias of each parameter without a default."""
    _is_dispatched: bool
    """Whether the class of the first argument selects the function, so that it has to be passed by position."""
    _arguments: pydantic.TypeAdapter[Any]
    _result: _Result | None
    returns: Any = Any
    """The type that the function declares to return, as far as it is known."""
    is_future: bool = False
    """Whether the function declares to return a future of a library."""
    _without: Callable[[frozenset[str]], pydantic.TypeAdapter[Any]] | None = None
    """Makes what checks the arguments, without those of these parameters."""
    _missing: frozenset[str] = frozenset()
    """Names in the annotations that were not defined when they were read."""
    _names: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The names of the module or notebook in which the function was written, as they are now."""

    def is_outdated(self) -> bool:
        """Whether a name in the annotations has been defined since they were read."""
        return any(name in self._names for name in self._missing)

    def bind(
        self, raw: Raw | None, name: str, objects: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[list[Any], dict[str, Any]]:
        """Convert one call's arguments to what the function declares.

        Args:
            raw: An object of named arguments; anything else is the first parameter's value, null or None no argument.
            name: What messages call the function.
            objects: Further arguments, by name, which the function gets as they are.

        Raises:
            InvalidParams: An argument is unknown, missing or wrong; names it, with the path inside it.
        """
        placed = {self._parameter_of(key): value for key, value in objects.items()}
        body = self._body(raw, name, placed)
        known = placed.keys() & {parameter.name for parameter in self._parameters} if placed else placed.keys()
        adapter = self._arguments if not known or self._without is None else self._without(frozenset(known))
        digits = literals.lost(body) if _has_decimals(adapter) else {}
        validator = _careful(adapter) if digits or literals.has_too_large_integer(body) else adapter.validator
        try:
            found = _read(validator, body, digits)
        except pydantic.ValidationError as error:
            if (data := _plain(body)) is None:
                raise errors.InvalidParams(f"{name}: arguments: {_why_unread(body)}") from None
            raise errors.InvalidParams(f"{name}: {mismatch.explained(error.errors(), data, 'arguments')}") from None
        if placed:
            found |= {key: value for key, value in placed.items() if key in known}
            if more := {key: value for key, value in placed.items() if key not in known}:
                found[mismatch.EXTRA] = found.get(mismatch.EXTRA, {}) | more
        return self._placed(found, name)

    def _parameter_of(self, key: str) -> str:
        """The name of the parameter that arguments call so."""
        names = [parameter.name for parameter in self._parameters]
        return dict(zip(self._aliases, names, strict=True)).get(key, key)

    def _placed(self, found: dict[str, Any], name: str) -> tuple[list[Any], dict[str, Any]]:
        """Arrange arguments by position and by name: the values of ``*args`` follow all parameters before it."""
        star = next((one.name for one in self._parameters if one.kind is Parameter.VAR_POSITIONAL), None)
        more: list[Any] = found.pop(star, []) if star is not None else []
        positional: list[Any] = []
        skipped: list[Parameter] = []  # those left out, with their defaults
        for parameter in self._parameters:
            is_placed = parameter.kind is Parameter.POSITIONAL_ONLY
            may_be = parameter.kind is Parameter.POSITIONAL_OR_KEYWORD and (more or self._is_dispatched)
            if not is_placed and not may_be:
                break
            if parameter.name in found:
                positional += [*_defaults(skipped, parameter.name, name), found.pop(parameter.name)]
                skipped = []
            else:
                skipped.append(parameter)
        if more:
            positional += [*_defaults(skipped, str(star), name), *more]
        return positional, found | found.pop(mismatch.EXTRA, {})

    def _body(self, raw: Raw | None, name: str, placed: Mapping[str, Any]) -> bytes:
        """The JSON object of one call's arguments, with NaN and Infinity as pydantic reads them."""
        marked = None if raw is None else nonfinite.inside(raw)
        if marked is None:
            return self._checked_body(b"" if raw is None else bytes(raw).strip(), name, placed)
        return nonfinite.readable_inside(self._checked_body(marked, name, placed))

    def _checked_body(self, text: bytes, name: str, placed: Mapping[str, Any]) -> bytes:
        """The JSON object of one call's arguments; `mismatch.EXTRA` holds those that are no parameters."""
        if (path := literals.too_large(text)) is not None:
            inside = path if text.startswith(b"{") or not self._parameters else f".{self._parameters[0].name}{path}"
            raise errors.InvalidParams(f"{name}: arguments{inside}: a number is too large; pass it as text")
        if text.startswith(b"{"):
            given = msgspec.json.decode(text, type=dict[str, Raw])
        elif text in (b"", b"null"):
            given, text = {}, b"{}"
        elif not self._parameters:
            raise errors.InvalidParams(f"{name}: takes no argument, got {mismatch.shown(values.from_json(text))}")
        else:
            given = {self._parameters[0].name: Raw(text)}
            text = msgspec.json.encode(given)
        extra = given.keys() - self._known
        unplaced = placed.keys() - self._known
        if (extra or unplaced) and not self._takes_more():
            unknown = next(key for key in [*given, *placed] if key in extra or key in unplaced)
            raise errors.InvalidParams(f"{name}: {self._unknown(unknown)}")
        missing = [
            alias
            for parameter, alias in self._required
            if parameter not in given and alias not in given and parameter not in placed
        ]
        if missing:
            raise errors.InvalidParams(f"{name}: {', '.join(f'arguments.{alias}' for alias in missing)} missing")
        if extra:
            known = {key: value for key, value in given.items() if key not in extra}
            return msgspec.json.encode(known | {mismatch.EXTRA: {key: given[key] for key in given if key in extra}})
        return text

    def _takes_more(self) -> bool:
        return self.input_schema["additionalProperties"] is not False

    def _unknown(self, key: str) -> str:
        there = self._aliases
        if not there:
            return f"takes no argument, got arguments{values.path_step(key)}"
        hint = did_you_mean(key, there)
        return f"no parameter {values.path_step(key).removeprefix('.')}{hint}; it takes {', '.join(there)}"

    def returned(self, value: object, name: str) -> Raw:
        """Check one call's result against the declared type, and write it as JSON.

        Raises:
            ToolFailed: It is not of the declared type; names the path inside it.
            NotJson: It has no JSON form; names the path inside it.
        """
        try:
            return values.to_json(value, "result") if self._result is None else self._result.written(value)
        except _Mismatch as error:
            message = f"{name}: {error}; change the tool's return annotation or what it returns"
            raise errors.ToolFailed(message, name="TypeError") from None
        except errors.NotJson as error:
            raise errors.NotJson(f"{name}: {error}") from error.__cause__


class _Mismatch(Exception):
    """A result that is not of its declared type."""


@dataclass(frozen=True, slots=True)
class _Result:
    """A declared return type. Its adapter holds a list of it: a model's own configuration forbids ours beside it."""

    adapter: pydantic.TypeAdapter[Any]
    whole: foreign.Foreign | None

    def written(self, value: object) -> Raw:
        if self.whole is not None and isinstance(value, self.whole.kind):
            return values.to_json(value, "result")
        try:
            return self._json(self.adapter.validator.validate_python([value]), warnings="error")
        except (pydantic.ValidationError, PydanticSerializationError):
            pass
        # What its JSON would be counts too: numpy's numbers are numbers, rows of a frame are dicts, and an instance of
        # a class that a cell has defined again since is one of the new class if its fields are.
        written = values.to_json(value, "result")
        body = b"[" + nonfinite.readable(written) + b"]"
        try:
            return self._json(_read(self.adapter.validator, body), warnings=True)
        except pydantic.ValidationError as error:
            if _plain(body) is None:
                raise _Mismatch(f"result: {_why_unread(body)}") from None
            data = values.from_json(written)
            found = [ErrorDetails(**(one | {"loc": one["loc"][1:]})) for one in error.errors()]
            raise _Mismatch(mismatch.explained(found, data, "result")) from None
        except PydanticSerializationError as error:
            raise _Mismatch(f"result: {error}") from None

    def _json(self, checked: list[Any], warnings: bool | Literal["error"]) -> Raw:
        """Write the one value of a list that was checked."""
        serializer = self.adapter.serializer
        payload: bytes = serializer.to_json(checked, by_alias=True, warnings=warnings)[1:-1]
        if values.REPLACED in payload or values.may_lose_keys(self.adapter):
            [fields] = serializer.to_python(checked, by_alias=True, warnings=False)
            if values.loses_keys(fields):
                return values.to_json(fields, "result")  # raises, and names the path
        found: object = None
        if b"NaN" in payload or b"Infinity" in payload:
            found = pydantic_core.from_json(payload)
        if b"null" in payload and values.may_hold_models(self.adapter):  # which write null, as their own configuration
            [found] = serializer.to_python(checked, mode="json", by_alias=True, warnings=False)
        return nonfinite.marked(found) if nonfinite.occurs(found) else nonfinite.taken(Raw(payload))


# Reading a signature


def signature_of(function: Callable[..., Any]) -> FunctionSignature:
    """Read the signature, annotations and docstring of anything callable.

    Raises:
        Unrepresentable: The function cannot be a tool; the message names the parameter, or says why.
    """
    plain = plain_function(function)
    signature = written.signature(function, plain)
    doc = documented(function)
    reader = _SignatureReader(plain, doc, getattr(function, "__name__", type(function).__name__), owner_of(function))
    parameters = reader.expanded(tuple(signature.parameters.values()))
    arguments, input_schema = reader.arguments(parameters)
    result, output_schema = reader.result(signature.return_annotation)
    if reader.notes:
        input_schema[UNTYPED] = dict(reader.notes)
    if output_schema is not None and doc.returns is not None and doc.returns.description:
        output_schema.setdefault("description", doc.returns.description)
    description = "\n\n".join(filter(None, (doc.short_description, doc.long_description)))
    named = tuple(parameter for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD)
    aliases = tuple(typing.cast("dict[str, Json]", input_schema["properties"]))
    names = [parameter.name for parameter in named]
    return FunctionSignature(
        description,
        input_schema,
        output_schema,
        _parameters=named,
        _aliases=aliases,
        _known=frozenset(aliases).union(names),
        _required=tuple(
            (parameter.name, alias)
            for parameter, alias in zip(named, aliases, strict=True)
            if parameter.default is Parameter.empty and parameter.kind is not Parameter.VAR_POSITIONAL
        ),
        _is_dispatched=callable(getattr(function, "register", None)),
        _arguments=arguments,
        _result=result,
        returns=reader.returns,
        is_future=reader.is_future,
        _without=functools.cache(reader.without),
        _missing=reader.missing,
        _names=reader.names,
    )


class _SignatureReader:
    """Makes fields of parameters, in the scope in which the function was written.

    Each parameter is read on its own: what cannot be declared is `Any`, and `notes` says why.
    """

    def __init__(self, function: Any, doc: docstring_parser.Docstring, shown: str, owner: type | None) -> None:
        self.notes: dict[str, str] = {}
        self.returns: Any = Any
        self.is_future = False
        self._fields: dict[str, Any] = {}
        self._owner = owner
        self._shown = shown
        self._scope = AnnotationScope.of(function)
        self._overloads = _overloads(function)
        self._standard = written.standard(function)
        self._described: dict[str, docstring_parser.DocstringParam] = {}
        for one in doc.params:
            for name in one.arg_name.split(","):  # NumPy's style describes several at once
                self._described.setdefault(name.strip().lstrip("*"), one)

    @property
    def names(self) -> dict[str, Any]:
        """The names of the module or notebook in which the function was written."""
        return self._scope.names

    @property
    def missing(self) -> frozenset[str]:
        """The names in the annotations that are not defined there."""
        return frozenset(self._scope.missing.difference(self._scope.names))

    def expanded(self, parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
        """Put the fields of ``**options: Unpack[SomeTypedDict]`` in place of the options."""
        last = parameters[-1] if parameters else None
        if last is None or last.kind is not Parameter.VAR_KEYWORD or last.annotation is Parameter.empty:
            return parameters
        annotation = self._scope.resolved(last.annotation)
        if get_origin(annotation) not in (typing.Unpack, typing_extensions.Unpack):
            return parameters
        [kind] = get_args(annotation)
        kind = get_origin(kind) or kind
        if not typing_extensions.is_typeddict(kind):
            why = getattr(kind, "why", "Unpack is of no TypedDict")
            return (*parameters[:-1], last.replace(annotation=unsaid("Unpack", why)))
        try:
            hints = typing_extensions.get_type_hints(kind, include_extras=True)
        except Exception:
            hints = {name: self._scope.resolved(hint) for name, hint in kind.__annotations__.items()}
        taken = {parameter.name for parameter in parameters}
        fields = tuple(
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty
                if foreign.is_required(hint, name in kind.__required_keys__)
                else written.UNKNOWN,
                annotation=foreign.bare(hint),
            )
            for name, hint in hints.items()
            if name not in taken and name.isidentifier() and not keyword.iskeyword(name)
        )
        return (*parameters[:-1], *fields)

    def arguments(self, parameters: tuple[Parameter, ...]) -> tuple[pydantic.TypeAdapter[Any], dict[str, Json]]:
        by_field = {mismatch.EXTRA if p.kind is Parameter.VAR_KEYWORD else p.name: p for p in parameters}
        for parameter in parameters:
            _check(parameter)
        fields = {name: self._field(parameter, self._quick(is_result=False)) for name, parameter in by_field.items()}
        try:
            adapter, schema = self._arguments_of(fields)
        except Exception:
            for name, parameter in by_field.items():
                fields[name] = self._declarable(name, parameter, fields[name])
            try:
                adapter, schema = self._arguments_of(fields)
            except Exception as whole:
                raise Unrepresentable(_reason(whole)) from whole
        properties: dict[str, Any] = schema.setdefault("properties", {})
        schema["additionalProperties"] = False
        if mismatch.EXTRA in properties:
            extra_schema = properties.pop(mismatch.EXTRA)
            schema["additionalProperties"] = extra_schema.get("additionalProperties", True)
        named = [parameter for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD]
        for parameter, described in zip(named, properties.values(), strict=True):
            show_default(described, parameter.default)
        foreign.with_frames(properties)
        self._fields = fields
        return adapter, schema

    def without(self, names: frozenset[str]) -> pydantic.TypeAdapter[Any]:
        """Make what checks the arguments, without those of these parameters."""
        return self._arguments_of({name: field for name, field in self._fields.items() if name not in names})[0]

    def _declarable(self, name: str, parameter: Parameter, field: Any) -> Any:
        """The field if it can be declared on its own, else as much of it as can be."""
        for attempt in (field, self._field(parameter, self._sayer(self._why_not, is_result=False))):
            try:
                self._arguments_of({name: attempt})
            except Exception as error:
                why = self._reason(error)
            else:
                return attempt
        self._note(parameter, (why,))
        return self._field(parameter.replace(annotation=Any), self._quick(is_result=False))

    def _note(self, parameter: Parameter, notes: tuple[str, ...]) -> None:
        stars = (parameter.kind is Parameter.VAR_KEYWORD) * "**" + (parameter.kind is Parameter.VAR_POSITIONAL) * "*"
        if notes:
            self.notes[stars + parameter.name] = "; ".join(dict.fromkeys(notes))

    def _arguments_of(self, fields: dict[str, Any]) -> tuple[pydantic.TypeAdapter[Any], dict[str, Any]]:
        kind = foreign.make_typed_dict("Arguments", fields)
        adapter = self._adapter(kind, None)
        schema = adapter.json_schema(schema_generator=CompactSchema)
        schema.pop("title", None)
        schema.pop("$ref", None)
        return adapter, schema

    def _field(self, parameter: Parameter, sayer: Sayer) -> Any:
        annotation, notes = self._declared(parameter, sayer)
        described = self._described.get(parameter.name)
        if annotation is Any and (guess := self._guess(parameter)) is not None:
            annotation = Annotated[Any, learnt.Learnt(guess, f"{self._shown}: arguments.{parameter.name}")]
        elif notes:
            self._note(parameter, notes)
        optional = parameter.default is not Parameter.empty
        if parameter.kind is Parameter.VAR_KEYWORD:
            annotation, optional = dict[str, annotation], True  # type: ignore[valid-type]  # known at run time
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            annotation, optional = list[annotation], True  # type: ignore[valid-type]  # known at run time
        elif parameter.default is None:
            annotation = _or_none(annotation)
        text = _annotated_text(annotation) or (described.description if described is not None else None)
        if text and not _is_described(annotation):
            annotation = Annotated[annotation, pydantic.Field(description=text)]
        return typing_extensions.NotRequired[annotation] if optional else annotation

    def _declared(self, parameter: Parameter, sayer: Sayer) -> Said:
        """What is declared of a parameter: in its annotation, its overloads, or what is known of Python's own."""
        annotation = parameter.annotation
        if annotation is Parameter.empty and parameter.name in self._overloads:
            annotation = typing.Union[tuple(self._scope.resolved(one) for one in self._overloads[parameter.name])]  # noqa: UP007
        if annotation is Parameter.empty and parameter.name in self._standard:
            annotation = self._standard[parameter.name]
        if annotation is Parameter.empty:
            return Said(Any)
        return self._said(annotation, sayer)

    def _guess(self, parameter: Parameter) -> learnt.Guess | None:
        """The type that the docstring or the default suggests for a parameter without an annotation."""
        if parameter.annotation in (Any, object) or parameter.kind in (
            Parameter.VAR_KEYWORD,
            Parameter.VAR_POSITIONAL,
        ):
            return None
        described = self._described.get(parameter.name)
        guess = learnt.of_docstring(described.type_name) if described is not None else None
        return guess or learnt.of_default(parameter.default)

    def result(self, annotation: Any) -> tuple[_Result | None, dict[str, Any] | None]:
        if annotation is Parameter.empty:
            annotation = self._standard.get("return", Any)
            if annotation is Any and "return" in self._overloads:
                annotation = typing.Union[tuple(self._scope.resolved(one) for one in self._overloads["return"])]  # noqa: UP007
        annotation = self._resolved(annotation)
        self.is_future = futures.is_future_type(annotation)
        annotation, given = futures.awaited_type(annotation), annotation
        # The class of a lazy frame or array says what is computed of it, although not its JSON.
        self.returns = given if self.is_future and annotation is Any else annotation
        why = ""
        for sayer in (self._quick(is_result=True), self._sayer(self._why_no_result, is_result=True)):
            said = self._said(annotation, sayer)
            if said.notes:
                self.notes["return"] = "; ".join(dict.fromkeys(said.notes))
            if said.type is Any:
                return None, None
            try:
                return self._result_of(said.type)
            except Exception as error:
                why = self._reason(error)
        self.notes["return"] = why
        return None, None

    def _result_of(self, kind: Any) -> tuple[_Result, dict[str, Any]]:
        adapter = self._adapter(list[kind], _RESULT_CONFIG)
        schema = adapter.json_schema(schema_generator=CompactSchema, mode="serialization")
        items = schema["items"] | ({"$defs": schema["$defs"]} if "$defs" in schema else {})
        metadata = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
        whole = next((one for one in metadata if isinstance(one, foreign.Foreign)), None)
        return _Result(adapter, whole), items

    def _quick(self, is_result: bool) -> Sayer:
        """Treats every class as one that can be declared. The whole annotation is tried first, and usually works."""
        return self._sayer(lambda kind: None, is_result)

    def _sayer(self, why_not: Callable[[Any], str | None], is_result: bool) -> Sayer:
        return Sayer(why_not, is_result, self._owner, self._scope.missing)

    def _why_not(self, kind: Any) -> str | None:
        try:
            self._arguments_of({"it": foreign.rewrite(kind)})
        except Exception as error:
            return self._reason(error)
        return None

    def _why_no_result(self, kind: Any) -> str | None:
        try:
            self._result_of(foreign.rewrite(kind))
        except Exception as error:
            return self._reason(error)
        return None

    def _reason(self, error: Exception) -> str:
        """Why something cannot be declared; remembers a name that is not defined."""
        if isinstance(error, NameError | pydantic.errors.PydanticUndefinedAnnotation) and error.name:
            self._scope.missing.add(error.name)
            return f"{error.name} is not known here"
        return _reason(error)

    def _adapter(self, kind: Any, config: pydantic.ConfigDict | None) -> pydantic.TypeAdapter[Any]:
        deferred = pydantic.ConfigDict(defer_build=True)
        if config is None:
            kind.__pydantic_config__ = _CONFIG | deferred
            adapter = pydantic.TypeAdapter(kind)
        else:
            adapter = pydantic.TypeAdapter(kind, config=config | deferred)
        # Names are looked up where the function was written: the notebook, most often.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the annotations may be a library's, which users cannot change
            adapter.rebuild(force=True, _types_namespace=self._scope.names | self._scope.local)
        core_config: Any = {key: value for key, value in (config or _CONFIG).items() if key != "defer_build"}
        has_members = foreign.has_members(adapter.core_schema)
        if has_members:
            adapter.core_schema = foreign.with_members(adapter.core_schema)
            adapter.serializer = SchemaSerializer(adapter.core_schema, core_config)
        read = mending.mended(adapter.core_schema)
        if config is not None:  # a result
            read = mending.by_fields(read)
            adapter.serializer = SchemaSerializer(read, core_config)
        if has_members or read is not adapter.core_schema:
            adapter.validator = _validator(read, core_config)
        return adapter

    def _said(self, annotation: Any, sayer: Sayer) -> Said:
        try:
            said = sayer.said(self._resolved(annotation))
            return Said(foreign.rewrite(said.type), said.notes)
        except Exception as error:  # foreign classes may raise anything when they are looked at
            return Said(Any, (self._reason(error),))

    def _resolved(self, annotation: Any) -> Any:
        if annotation is None:
            return type(None)
        holder: Any = types.SimpleNamespace(__annotations__={"it": annotation})
        try:
            names, local = self._scope.names, self._scope.local
            return typing_extensions.get_type_hints(holder, names, local, include_extras=True)["it"]
        except Exception:  # a name that is there for type checkers only, or one that is nowhere
            return self._scope.resolved(annotation)


def _validator(schema: Any, config: Any) -> SchemaValidator:
    """Make a validator that looks into pydantic models, too, and does not take the one that a model has already."""
    make: Any = SchemaValidator
    try:
        made: SchemaValidator = make(schema, config, _use_prebuilt=False)
    except TypeError:  # a pydantic that always looks into them
        made = make(schema, config)
    return made


@functools.lru_cache(maxsize=64)
def _has_decimals(adapter: pydantic.TypeAdapter[Any]) -> bool:
    """Return whether decimals are among the arguments, or in classes of msgspec and attrs, which take the context."""
    return not {"decimal", "with-info"}.isdisjoint(
        str(part.get("type")) for part in values.schema_parts(adapter.core_schema)
    )


@functools.lru_cache(maxsize=64)
def _careful(adapter: pydantic.TypeAdapter[Any]) -> SchemaValidator:
    """Make a validator of arguments that refuses infinite floats, and gives decimals the digits of its context."""
    return _validator(mending.careful(mending.mended(adapter.core_schema)), _CONFIG)


def _read(validator: Any, body: bytes, digits: Mapping[float, set[str]] = MappingProxyType({})) -> Any:
    """Convert JSON; whole numbers with an exponent, as JavaScript writes them from 1e21 on, are integers, too.

    Args:
        validator: Converts it.
        body: The JSON.
        digits: What `literals.lost` has found in it.
    """
    try:
        return validator.validate_json(body, context=digits)
    except pydantic.ValidationError as error:
        if not _EXPONENT.search(body) or (plain := _plain(body)) is None:
            raise
        data = _with_integers(plain)
        try:
            return validator.validate_json(pydantic_core.to_json(data, inf_nan_mode="constants"), context=digits)
        except pydantic.ValidationError as other:
            raise (other if any(one["type"] == "int_parsing_size" for one in error.errors()) else error) from None


def _plain(body: bytes) -> Any:
    """Read JSON; None: pydantic does not read it, as `_why_unread` says."""
    try:
        return pydantic_core.from_json(body)
    except ValueError:
        return None


def _why_unread(body: bytes) -> str:
    if rpc.is_too_deep(body, DEEPEST + 1):
        return f"values nest deeper than {DEEPEST} levels, which cannot be compared with annotations; use flatter ones"
    return "an integer has too many digits; use a text"


_EXPONENT = re.compile(rb"\d[eE]\+?\d")


def _with_integers(value: Any) -> Any:
    """Return lists, dicts and what JSON has besides, with integers in place of whole numbers beyond 2**53."""
    match value:
        case dict():
            return {key: _with_integers(part) for key, part in value.items()}
        case list():
            return list(map(_with_integers, value))
        case float() if abs(value) >= 2**53 and value.is_integer():
            return int(value)
    return value


def _check(parameter: Parameter) -> None:
    if isinstance(parameter.default, FieldInfo):
        raise Unrepresentable(
            f"parameter {parameter.name} has a Field as its default; write {parameter.name}: "
            "Annotated[type, Field(…)] = default"
        )


def _defaults(skipped: list[Parameter], given: str, name: str) -> list[Any]:
    """The defaults of parameters that were left out before one that was given."""
    unknown = [one.name for one in skipped if one.default in (Parameter.empty, written.UNKNOWN)]
    if unknown:
        missing = ", ".join(f"arguments.{one}" for one in unknown)
        raise errors.InvalidParams(f"{name}: {missing} missing; arguments.{given} comes after")
    return [one.default for one in skipped]


def _overloads(function: Any) -> dict[str, list[Any]]:
    """The annotations that overloads give a parameter, or the result (``return``), if all of them give one."""
    try:
        found = typing.get_overloads(function) if inspect.isfunction(function) else []
    except Exception:
        return {}
    by_name: dict[str, list[Any]] = {}
    for one in found:
        for name, annotation in getattr(one, "__annotations__", {}).items():
            by_name.setdefault(name, []).append(annotation)
    return {name: kinds for name, kinds in by_name.items() if name != "return" or len(kinds) == len(found)}


def _annotated_text(annotation: Any) -> str | None:
    """The description in ``Annotated[int, "text"]`` or ``Annotated[int, Doc("text")]``."""
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    for one in metadata:
        if isinstance(one, str):
            return one
        if isinstance(text := getattr(one, "documentation", None), str):
            return text
    return None


def _or_none(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        if any(isinstance(one, learnt.Learnt) for one in metadata):
            return annotation
        if not any(isinstance(one, foreign.SPECIAL) for one in metadata):
            return Annotated[(_or_none(inner), *metadata)]  # a description stays outside
    if annotation is Any:
        return annotation
    return typing.Optional[annotation]  # noqa: UP045  # `|` fails between some of what annotations may be


def _is_described(annotation: Any) -> bool:
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return any(isinstance(one, FieldInfo) and one.description for one in metadata)


def _reason(error: Exception) -> str:
    match error:
        case Unrepresentable():
            return str(error)
        case PydanticInvalidForJsonSchema():
            kind = error.message.partition("(")[0].rpartition(".")[2].removesuffix("Schema").strip()
            return f"its type has no JSON form ({kind})"
        case pydantic.errors.PydanticSchemaGenerationError():
            kind = error.message.partition(" schema for ")[2].partition(". Set ")[0]
            return f"{kind.removeprefix('<class ').removesuffix('>').strip(chr(39))} has no JSON form"
        case PydanticUserError():
            return error.message.splitlines()[0]
        case _:
            return f"{type(error).__name__}: {error}".splitlines()[0]
