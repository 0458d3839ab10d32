"""A Python signature as JSON Schema, and calls across it: arguments converted on the way in, results checked on the
way out.

Pydantic does the work; this decides what of a signature is a field, which names its messages use, and what may not be
a tool. It is imported when the first tool is defined, since pydantic takes a moment to load. It does not know where
tools are registered or on which thread they run.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin

import docstring_parser
import msgspec
import pydantic
import pydantic_core
import typing_extensions
from msgspec import Raw
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, PydanticSerializationError

from ... import errors
from ...rpc import nonfinite
from ...rpc.jsonrpc import Json
from . import foreign, values

Parameter = inspect.Parameter

DEFAULT_BYTES = 1000
"""Bytes of JSON a default may have to be shown in a schema: declarations are read by models."""

SHOWN_ERRORS = 3
"""Wrong places that one message names."""

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
class Signature:
    """What calls of one function look like from outside.

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
    """What the schema calls each parameter: its name, unless an alias has changed it."""
    _known: frozenset[str]
    _required: tuple[tuple[str, str], ...]
    """Name and alias of each parameter without a default."""
    _arguments: pydantic.TypeAdapter[Any]
    _result: _Result | None

    def bind(self, raw: Raw | None, name: str) -> tuple[list[Any], dict[str, Any]]:
        """Convert one call's arguments to what the function declares.

        Args:
            raw: An object of named arguments; anything else is the first parameter's value, null or None no argument.
            name: What messages call the function.

        Raises:
            InvalidParams: An argument is unknown, missing or wrong; names it, with the path inside it.
        """
        body = self._body(raw, name)
        try:
            found = self._arguments.validator.validate_json(body)
        except pydantic.ValidationError as error:
            data = pydantic_core.from_json(body)
            raise errors.InvalidParams(f"{name}: {_explained(error.errors(), data, 'arguments')}") from None
        positional: list[Any] = []
        skipped: list[Any] = []  # positional-only ones left out, with their defaults
        for parameter in self._parameters:
            if parameter.kind is not Parameter.POSITIONAL_ONLY:
                break
            if parameter.name in found:
                positional += [*skipped, found.pop(parameter.name)]
                skipped = []
            else:
                skipped.append(parameter.default)
        return positional, found | found.pop(_EXTRA, {})

    def _body(self, raw: Raw | None, name: str) -> bytes:
        """The JSON object of one call's arguments, with NaN and Infinity as pydantic reads them."""
        marked = None if raw is None else nonfinite.inside(raw)
        if marked is None:
            return self._checked_body(b"" if raw is None else bytes(raw).strip(), name)
        return nonfinite.readable_inside(self._checked_body(marked, name))

    def _checked_body(self, text: bytes, name: str) -> bytes:
        """The JSON object of one call's arguments; `_EXTRA` holds those that are no parameters."""
        if text.startswith(b"{"):
            given = msgspec.json.decode(text, type=dict[str, Raw])
        elif text in (b"", b"null"):
            given, text = {}, b"{}"
        elif not self._parameters:
            raise errors.InvalidParams(f"{name}: takes no argument, got {_shown(values.from_json(text))}")
        else:
            given = {self._parameters[0].name: Raw(text)}
            text = msgspec.json.encode(given)
        extra = given.keys() - self._known
        if extra and not self._takes_more():
            unknown = next(key for key in given if key in extra)
            raise errors.InvalidParams(f"{name}: {self._unknown(unknown)}")
        missing = [alias for parameter, alias in self._required if parameter not in given and alias not in given]
        if missing:
            raise errors.InvalidParams(f"{name}: {', '.join(f'arguments.{alias}' for alias in missing)} missing")
        if extra:
            known = {key: value for key, value in given.items() if key not in extra}
            return msgspec.json.encode(known | {_EXTRA: {key: given[key] for key in given if key in extra}})
        return text

    def _takes_more(self) -> bool:
        return self.input_schema["additionalProperties"] is not False

    def _unknown(self, key: str) -> str:
        there = self._aliases
        if not there:
            return f"takes no argument, got arguments{values.path_step(key)}"
        close = difflib.get_close_matches(key, there, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
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
        try:
            return self._json(self.adapter.validate_json(b"[" + nonfinite.readable(written) + b"]"), warnings=True)
        except pydantic.ValidationError as error:
            data = values.from_json(written)
            found = [ErrorDetails(**(one | {"loc": one["loc"][1:]})) for one in error.errors()]
            raise _Mismatch(_explained(found, data, "result")) from None
        except PydanticSerializationError as error:
            raise _Mismatch(f"result: {error}") from None

    def _json(self, checked: list[Any], warnings: bool | Literal["error"]) -> Raw:
        """Write the one value of a list that was checked."""
        serializer = self.adapter.serializer
        if values.may_lose_keys(self.adapter):
            [fields] = serializer.to_python(checked, by_alias=True, warnings=False)
            if values.loses_keys(fields):
                return values.to_json(fields, "result")  # raises, and names the path
        payload: bytes = serializer.to_json(checked, by_alias=True, warnings=warnings)[1:-1]
        found: object = None
        if b"NaN" in payload or b"Infinity" in payload:
            found = pydantic_core.from_json(payload)
        if b"null" in payload and values.may_hold_models(self.adapter):  # which write null, as their own configuration
            [found] = serializer.to_python(checked, mode="json", by_alias=True, warnings=False)
        return nonfinite.marked(found) if nonfinite.occurs(found) else nonfinite.taken(Raw(payload))


# Reading a signature


def signature_of(function: Callable[..., Any]) -> Signature:
    """Read the signature, annotations and docstring of anything callable.

    Raises:
        Unrepresentable: Names the parameter that cannot be passed as JSON, or says what else is the matter.
    """
    plain = plain_function(function)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        raise Unrepresentable("Python knows no signature of it; wrap it in a def with annotations") from None
    except NameError as error:
        raise Unrepresentable(f"its annotations do not resolve: {error}") from None
    doc = _documented(function)
    reader = _Reader(plain, {p.arg_name.lstrip("*"): p.description for p in doc.params if p.description})
    parameters = tuple(signature.parameters.values())
    arguments, input_schema = reader.arguments(parameters)
    result, output_schema = reader.result(signature.return_annotation)
    if output_schema is not None and doc.returns is not None and doc.returns.description:
        output_schema.setdefault("description", doc.returns.description)
    description = "\n\n".join(filter(None, (doc.short_description, doc.long_description)))
    named = tuple(parameter for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD)
    aliases = tuple(typing.cast("dict[str, Json]", input_schema["properties"]))
    names = [parameter.name for parameter in named]
    return Signature(
        description,
        input_schema,
        output_schema,
        _parameters=named,
        _aliases=aliases,
        _known=frozenset(aliases).union(names),
        _required=tuple(
            (parameter.name, alias)
            for parameter, alias in zip(named, aliases, strict=True)
            if parameter.default is Parameter.empty
        ),
        _arguments=arguments,
        _result=result,
    )


def plain_function(function: Any) -> Any:
    """Find the function behind partials, methods, wrappers and callable objects."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif not inspect.isroutine(function) and not inspect.isclass(function) and callable(function):
            function = type(function).__call__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return function


def _documented(function: Any) -> docstring_parser.Docstring:
    while isinstance(function, functools.partial):  # whose own docstring explains partials
        function = function.func
    is_object = not inspect.isroutine(function) and not inspect.isclass(function)
    text = inspect.getdoc(type(function).__call__ if is_object else function)
    if is_object and not text:
        text = inspect.getdoc(type(function))
    try:
        return docstring_parser.parse(text or "")
    except docstring_parser.ParseError:
        plain = docstring_parser.Docstring()
        plain.short_description = text
        return plain


_EXTRA = "**"
"""The field that holds what ``**options`` takes; no parameter can be called so."""


class _Reader:
    """Makes fields of parameters, in the scope in which the function was written."""

    def __init__(self, function: Any, descriptions: dict[str, str]) -> None:
        self._descriptions = descriptions
        self._globals: dict[str, Any] = getattr(function, "__globals__", {})
        self._locals: dict[str, Any] = {}
        for name, cell in zip(
            getattr(getattr(function, "__code__", None), "co_freevars", ()),
            getattr(function, "__closure__", None) or (),
            strict=False,
        ):
            try:
                self._locals[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        for parameter in getattr(function, "__type_params__", ()):
            self._locals[parameter.__name__] = parameter

    def arguments(self, parameters: tuple[Parameter, ...]) -> tuple[pydantic.TypeAdapter[Any], dict[str, Json]]:
        by_field = {_EXTRA if p.kind is Parameter.VAR_KEYWORD else p.name: p for p in parameters}
        for parameter in parameters:
            self._check(parameter)
        fields = {name: self._field(parameter) for name, parameter in by_field.items()}
        try:
            adapter, schema = self._arguments_of(fields)
        except Exception as whole:
            for name, field in fields.items():  # one at a time, to find the one to name
                try:
                    self._arguments_of({name: field})
                except Exception as error:
                    _refuse(by_field[name], error)
            raise Unrepresentable(_reason(whole)) from whole
        properties: dict[str, Any] = schema.setdefault("properties", {})
        schema["additionalProperties"] = False
        if _EXTRA in properties:
            extra_schema = properties.pop(_EXTRA)
            schema["additionalProperties"] = extra_schema.get("additionalProperties", True)
        named = [parameter for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD]
        for parameter, described in zip(named, properties.values(), strict=True):
            _show_default(described, parameter.default)
        return adapter, schema

    def _arguments_of(self, fields: dict[str, Any]) -> tuple[pydantic.TypeAdapter[Any], dict[str, Any]]:
        kind = foreign.make_typed_dict("Arguments", fields)
        adapter = self._adapter(kind, None)
        schema = adapter.json_schema(schema_generator=_Compact)
        schema.pop("title", None)
        schema.pop("$ref", None)
        return adapter, schema

    def _check(self, parameter: Parameter) -> None:
        if parameter.kind is Parameter.VAR_POSITIONAL:
            raise Unrepresentable(
                f"parameter *{parameter.name} has no place in an object of named arguments; "
                f"take a list instead, {parameter.name}: list[…]"
            )
        if isinstance(parameter.default, FieldInfo):
            raise Unrepresentable(
                f"parameter {parameter.name} has a Field as its default; write {parameter.name}: "
                "Annotated[type, Field(…)] = default"
            )

    def _field(self, parameter: Parameter) -> Any:
        try:
            annotation = self._resolved(parameter.annotation)
            optional = parameter.default is not Parameter.empty
            if parameter.kind is Parameter.VAR_KEYWORD:
                if get_origin(annotation) in (typing.Unpack, typing_extensions.Unpack):
                    raise Unrepresentable("Unpack is not supported; name the parameters")
                annotation, optional = dict[str, annotation], True  # type: ignore[valid-type]  # known at run time
            elif parameter.default is None:
                annotation = _or_none(annotation)
            if (text := self._descriptions.get(parameter.name)) is not None and not _is_described(annotation):
                annotation = Annotated[annotation, pydantic.Field(description=text)]
        except Exception as error:
            _refuse(parameter, error)
        return typing_extensions.NotRequired[annotation] if optional else annotation

    def result(self, annotation: Any) -> tuple[_Result | None, dict[str, Any] | None]:
        try:
            kind = self._resolved(annotation)
            if kind is Any or kind is object:
                return None, None
            adapter = self._adapter(list[kind], _RESULT_CONFIG)  # type: ignore[valid-type]  # known at run time
            schema = adapter.json_schema(schema_generator=_Compact, mode="serialization")
        except Exception as error:
            raise Unrepresentable(f"its return type: {_reason(error)}") from error
        items = schema["items"] | ({"$defs": schema["$defs"]} if "$defs" in schema else {})
        metadata = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
        whole = next((one for one in metadata if isinstance(one, foreign.Foreign)), None)
        return _Result(adapter, whole), items

    def _adapter(self, kind: Any, config: pydantic.ConfigDict | None) -> pydantic.TypeAdapter[Any]:
        deferred = pydantic.ConfigDict(defer_build=True)
        if config is None:
            kind.__pydantic_config__ = _CONFIG | deferred
            adapter = pydantic.TypeAdapter(kind)
        else:
            adapter = pydantic.TypeAdapter(kind, config=config | deferred)
        # Names are looked up where the function was written: the notebook, most often.
        adapter.rebuild(force=True, _types_namespace=self._globals | self._locals)
        return adapter

    def _resolved(self, annotation: Any) -> Any:
        if annotation is Parameter.empty:
            return Any
        if annotation is None:
            return type(None)
        holder: Any = types.SimpleNamespace(__annotations__={"it": annotation})
        hints = typing_extensions.get_type_hints(holder, self._globals, self._locals, include_extras=True)
        return foreign.rewrite(hints["it"])


def _or_none(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        if not any(isinstance(one, foreign.Foreign) for one in metadata):
            return Annotated[(_or_none(inner), *metadata)]  # a description stays outside
    if annotation is Any:
        return annotation
    return typing.Optional[annotation]  # noqa: UP045  # `|` fails between some of what annotations may be


def _is_described(annotation: Any) -> bool:
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return any(isinstance(one, FieldInfo) and one.description for one in metadata)


def _show_default(schema: dict[str, Any], default: object) -> None:
    if default is Parameter.empty or "default" in schema:
        return
    try:
        raw = values.to_json(default)
    except errors.NotJson:  # a sentinel, say: the function's own affair
        return
    if len(bytes(raw)) <= DEFAULT_BYTES and not nonfinite.is_marked(raw):  # a schema is JSON
        schema["default"] = values.from_json(raw)


def _refuse(parameter: Parameter, error: Exception) -> NoReturn:
    if isinstance(error, Unrepresentable) and str(error).startswith("parameter "):
        raise error
    raise Unrepresentable(f"parameter {parameter.name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    match error:
        case Unrepresentable():
            return str(error)
        case NameError() | pydantic.errors.PydanticUndefinedAnnotation():
            return f"its annotation does not resolve ({error}); define the name first, in an earlier cell"
        case PydanticInvalidForJsonSchema():
            kind = error.message.partition("(")[0].rpartition(".")[2].removesuffix("Schema").strip()
            return f"its type has no JSON form ({kind}); use a type that has, or no annotation"
        case pydantic.errors.PydanticSchemaGenerationError():
            kind = error.message.partition(" schema for ")[2].partition(". Set ")[0]
            return f"{kind} has no JSON form; use a dataclass, a TypedDict or a pydantic model, or no annotation"
        case PydanticUserError():
            return error.message.splitlines()[0]
        case _:
            return f"{type(error).__name__}: {error}".splitlines()[0]


class _Compact(GenerateJsonSchema):
    """Leaves out titles that only repeat a name: declarations are read by models, and should be short."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as its base declares it

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def generate(self, schema: Any, mode: Any = "validation") -> Any:
        made = super().generate(schema, mode)
        for name, definition in made.get("$defs", {}).items():
            if definition.get("title") == name:
                del definition["title"]
        return made


# What is wrong with a value


def _explained(found: list[ErrorDetails], data: object, name: str) -> str:
    """Say which parts of the data are wrong: ``arguments.status: expected string, got 5``."""
    wrong: dict[str, list[str]] = {}
    got: dict[str, object] = {}
    for one in found:
        path, part = name, data
        steps = list(one["loc"])
        for position, step in enumerate(steps):
            inside = (isinstance(part, dict) and step in part) or (
                isinstance(part, list) and isinstance(step, int) and step < len(part)
            )
            if step == _EXTRA and inside:
                part = part[step]  # type: ignore[index]
            elif inside:
                path, part = path + values.path_step(step), part[step]  # type: ignore[index]
            elif one["type"] == "missing" and position == len(steps) - 1:
                path += values.path_step(step)
            # Anything else is pydantic's label of a union's member, no part of the data.
        said = _said(one)
        if said not in wrong.setdefault(path, []):
            wrong[path].append(said)
        got[path] = part
    lines = []
    for path, reasons in list(wrong.items())[:SHOWN_ERRORS]:
        expected = [reason.removeprefix("expected ") for reason in reasons if reason.startswith("expected ")]
        others = [reason for reason in reasons if not reason.startswith("expected ")]
        text = "; ".join(([f"expected {' or '.join(expected)}"] if expected else []) + others)
        lines.append(f"{path}: {text}" + ("" if reasons == ["missing"] else f", got {_shown(got[path])}"))
    more = f" (and {len(wrong) - SHOWN_ERRORS} more)" if len(wrong) > SHOWN_ERRORS else ""
    return "; ".join(lines) + more


def _said(one: ErrorDetails) -> str:
    message = one["msg"]
    if one["type"] == "missing":
        return "missing"
    if not message.startswith("Input should be "):
        return message.removeprefix("Value error, ")
    wanted = message.removeprefix("Input should be ").removeprefix("a valid ")
    if wanted.startswith(("greater ", "less ", "a multiple ")):
        return f"should be {wanted}"
    return f"expected {wanted.partition(',')[0]}"


def _shown(value: object) -> str:
    text = nonfinite.readable(values.to_json(value)).decode()
    return text if len(text) <= 60 else text[:59] + "…"
