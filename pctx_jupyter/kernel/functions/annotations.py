"""Resolves annotations, each part on its own.

A name is looked up where the function was written: in its closure, its module, what the module imports for type
checkers only, and ``typing``. A part that does not resolve becomes a class derived from `Unsaid`, and the rest stays.
No expression is evaluated: a parsed annotation is walked, names are looked up, and types are subscripted. Does not
know which types have a JSON form.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import contextlib
import importlib
import linecache
import sys
import types
import typing
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

import typing_extensions

DEEPEST = 12
"""Aliases of aliases that are followed; libraries have three or four levels."""


class Unsaid:
    """The base of classes that stand for a part of an annotation that cannot be declared; never instantiated."""

    why: str = ""
    """Why it cannot be declared, in a few words."""


def unsaid(name: str, why: str) -> type[Unsaid]:
    """Make the class that stands for one such part."""
    return type(name, (Unsaid,), {"why": why})


class AnnotationScope:
    """The names that an annotation may use.

    Args:
        names: The module's names, or those of the notebook.
        local: The names of the function's closure, and its type parameters.
        file: Where the source is, for imports that only type checkers make; None: nowhere.

    Attributes:
        missing: Receives the names that were looked up and are not defined anywhere.
    """

    def __init__(self, names: dict[str, Any], local: dict[str, Any] | None = None, file: str | None = None) -> None:
        self.names, self.local = names, local or {}
        self.missing: set[str] = set()
        self._file = file if file is not None else names.get("__file__")
        self._depth = 0
        self._for_checkers: dict[str, _Import | ast.expr | ast.ClassDef] | None = None

    @classmethod
    def of(cls, function: Any) -> AnnotationScope:
        """The scope in which a function was written."""
        local: dict[str, Any] = {}
        code = getattr(function, "__code__", None)
        cells = getattr(function, "__closure__", None) or ()
        for name, cell in zip(getattr(code, "co_freevars", ()), cells, strict=False):
            with contextlib.suppress(ValueError):  # not assigned yet
                local[name] = cell.cell_contents
        for parameter in getattr(function, "__type_params__", ()):
            local[parameter.__name__] = parameter
        names = getattr(function, "__globals__", None)
        if names is None:  # a C function: at least what its module has
            names = vars(sys.modules.get(getattr(function, "__module__", None) or "", types.ModuleType("nothing")))
        return cls(names, local, getattr(code, "co_filename", None))

    def resolved(self, annotation: Any) -> Any:
        """Return an annotation with every name in it resolved, or replaced by a class derived from `Unsaid`."""
        if annotation is None:
            return type(None)
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            return self._text(annotation)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is None or origin is Literal or not _has_text(annotation):
            return annotation
        if origin is Annotated:
            return _subscripted(Annotated, (self.resolved(args[0]), *args[1:]))
        return _rebuilt(annotation, tuple(self._argument(arg) for arg in args))

    def _argument(self, arg: Any) -> Any:
        if isinstance(arg, list):
            return [self._argument(one) for one in arg]
        return arg if arg is Ellipsis else self.resolved(arg)

    def _text(self, text: str) -> Any:
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError):
            return unsaid(text[:40], f"{text[:40]!r} is not an annotation")
        if self._depth >= DEEPEST:
            return unsaid(text[:40], f"{text[:40]} refers to itself")
        self._depth += 1
        try:
            return self._node(tree)
        finally:
            self._depth -= 1

    def _node(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=None):
                return type(None)
            case ast.Constant(value=str(text)):
                return self._text(text)
            case ast.Constant(value=value) if value is Ellipsis:
                return value
            case ast.Name(id=name):
                return self.lookup(name)
            case ast.Attribute(value=value, attr=name):
                return self._attribute(self._node(value), name, node)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return _subscripted(Union, (self._node(left), self._node(right)))
            case ast.Subscript(value=value, slice=index):
                return self._subscript(self._node(value), index)
            case ast.List(elts=parts):
                return [self._node(part) for part in parts]
        text = ast.unparse(node)[:40]
        return unsaid(text, f"{text} is not a type")

    def _attribute(self, holder: Any, name: str, node: ast.expr) -> Any:
        if isinstance(holder, types.ModuleType):
            return _member(holder, name, ast.unparse(node))
        if _is_unsaid(holder):
            return unsaid(name, f"{ast.unparse(node)} is not known here")
        found = getattr(holder, name, None)
        return unsaid(name, f"{ast.unparse(node)} is not known here") if found is None else found

    def _subscript(self, base: Any, index: ast.expr) -> Any:
        if _is_unsaid(base):
            return base
        if base in (Callable, typing.Callable):
            return base
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if base in (Literal, typing_extensions.Literal):
            try:
                return Literal[tuple(self._literal(part) for part in parts)]
            except (ValueError, TypeError):
                text = f"Literal[{ast.unparse(index)[:40]}]"
                return unsaid("Literal", f"{text} is not known here")
        if base in (Annotated, typing_extensions.Annotated):
            known = [part.value for part in parts[1:] if isinstance(part, ast.Constant)]
            return _subscripted(Annotated, (self._node(parts[0]), *known)) if known else self._node(parts[0])
        return _subscripted(base, tuple(self._node(part) for part in parts))

    def _literal(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Attribute):  # the member of an enumeration
            found = self._node(node)
            if _is_unsaid(found):
                raise ValueError(found.why)
            return found
        return ast.literal_eval(node)

    def lookup(self, name: str) -> Any:
        """Return the value of a name, or a class derived from `Unsaid`."""
        for names in (self.local, self.names):
            if name in names:
                found = names[name]
                # A module may give a name that it has for type checkers only a value of no meaning.
                if found is not None and not (found is Any and name != "Any" and name in self._checked()):
                    return self.resolved(found)
        if name in self._checked():
            return self._imported(name, self._checked()[name])
        if hasattr(builtins, name):
            return getattr(builtins, name)
        for module in (typing, typing_extensions, collections.abc):
            if hasattr(module, name):
                return getattr(module, name)
        package = sys.modules.get(str(self.names.get("__package__") or self.names.get("__name__")).partition(".")[0])
        if package is not None and isinstance(found := vars(package).get(name), type):
            return found
        self.missing.add(name)
        return unsaid(name, f"{name} is not known here")

    def _checked(self) -> dict[str, _Import | ast.expr | ast.ClassDef]:
        if self._for_checkers is None:
            text = "".join(linecache.getlines(self._file)) if self._file else ""
            self._for_checkers = _for_checkers(text, str(self.names.get("__package__") or ""))
        return self._for_checkers

    def _imported(self, name: str, found: _Import | ast.expr | ast.ClassDef) -> Any:
        if isinstance(found, ast.expr):
            return self._text(ast.unparse(found))
        if isinstance(found, ast.ClassDef):
            return self._class(found)
        module_name, member = found
        module = _module(module_name)
        if module is None:
            submodule = None
        elif member is None:
            return module
        else:
            submodule = None if hasattr(module, member) else _module(f"{module_name}.{member}")
        if submodule is not None:
            return submodule
        if module is None or member is None or self._depth >= DEEPEST:
            return unsaid(name, f"{name} is not known here")
        self._depth += 1
        try:
            return _member(module, member, name)
        finally:
            self._depth -= 1

    def _class(self, node: ast.ClassDef) -> Any:
        """Make the TypedDict of a class that exists for type checkers only; other classes are `Unsaid`."""
        fields: dict[str, Any] = {}
        if self._depth >= DEEPEST:
            return unsaid(node.name, f"{node.name} refers to itself")
        self._depth += 1
        try:
            for base in map(self._node, node.bases):
                if typing_extensions.is_typeddict(base):
                    optional = base.__optional_keys__
                    for name, kind in base.__annotations__.items():
                        fields[name] = typing_extensions.NotRequired[kind] if name in optional else kind
                elif base not in (typing.TypedDict, typing_extensions.TypedDict):
                    return unsaid(node.name, f"{node.name} is known to type checkers only")
            is_total = not any(one.arg == "total" and ast.unparse(one.value) == "False" for one in node.keywords)
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    kind = self._node(statement.annotation)
                    fields[statement.target.id] = kind if is_total else typing_extensions.NotRequired[kind]
        finally:
            self._depth -= 1
        made: Any = typing_extensions.TypedDict
        return made(node.name, fields)


_Import = tuple[str, "str | None"]
"""A module, and the member of it that a name refers to; None: the module itself."""


def _is_unsaid(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Unsaid)


def _has_text(annotation: Any) -> bool:
    if isinstance(annotation, str | ForwardRef):
        return True
    if get_origin(annotation) is Literal:
        return False
    args = get_args(annotation)
    if get_origin(annotation) is Annotated:
        args = args[:1]
    return any(_has_text(arg) for arg in args) or (isinstance(annotation, list) and any(map(_has_text, annotation)))


def _member(module: types.ModuleType, name: str, shown: str) -> Any:
    found = vars(module).get(name)
    scope = AnnotationScope(vars(module))
    if found is None:
        try:
            found = getattr(module, name)  # a module may make its members when they are asked for
        except Exception:
            return scope.lookup(name) if name in scope._checked() else unsaid(name, f"{shown} is not known here")
    return scope.resolved(found)


def _module(name: str) -> types.ModuleType | None:
    """Import a module, of the standard library or of a library that is loaded already; None: it is neither."""
    top = name.partition(".")[0]
    if name in sys.modules:
        return sys.modules[name]
    if top not in sys.modules and top not in sys.stdlib_module_names:
        return None
    try:
        return importlib.import_module(name)
    except Exception:  # a stub's module, or one that needs what is not installed
        return None


def _rebuilt(annotation: Any, args: tuple[Any, ...]) -> Any:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _subscripted(Union, args)
    if hasattr(annotation, "copy_with"):
        with contextlib.suppress(TypeError):
            return annotation.copy_with(args)
    return _subscripted(origin, args)


def _subscripted(base: Any, args: tuple[Any, ...]) -> Any:
    """Return ``base[args]``, or only the base if it accepts no arguments at run time, like pandas' Series."""
    try:
        return base[args if len(args) != 1 else args[0]]
    except Exception:
        if base is Union or base is Annotated:
            return unsaid("Union", "it is a union of what are not types")
        return base


@lru_cache(maxsize=64)
def _for_checkers(source: str, package: str) -> dict[str, _Import | ast.expr | ast.ClassDef]:
    """What a module's source imports or defines under ``if TYPE_CHECKING:``."""
    if "TYPE_CHECKING" not in source:
        return {}
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[str, _Import | ast.expr | ast.ClassDef] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and _asks_for_checkers(node.test):
            for statement in _statements(node.body):
                _note(statement, package, found)
    return found


def _statements(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements(statement.body)


def _asks_for_checkers(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _note(statement: ast.stmt, package: str, found: dict[str, _Import | ast.expr | ast.ClassDef]) -> None:
    match statement:
        case ast.Import(names=names):
            for one in names:
                top = one.name.partition(".")[0]
                found[one.asname or top] = (one.name if one.asname else top, None)
        case ast.ImportFrom(module=module, names=names, level=level):
            if level:
                parents = package.split(".")
                above = parents[: len(parents) - level + 1]
                module = ".".join([*above, *([module] if module else [])])
            for one in names:
                found[one.asname or one.name] = (module or "", one.name)
        case ast.ClassDef(name=name):
            found[name] = statement
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            found[name] = value
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            found[name] = value
