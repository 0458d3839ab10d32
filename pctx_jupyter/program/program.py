"""The user's code, and the text a sandbox runs instead: the same lines, with the program's value exported.

What a program's value is: what ``run()`` returns, if it defines a top-level ``run``; else its default export; else its
last top-level expression statement. A program that calls ``run`` itself is not run twice: its last expression counts.
``{ a: 1 }`` at the end is a value, too, though JavaScript reads a block.

An `Outline` says where these are. The TypeScript compiler writes it, in another process (`sandbox.checker`). `glance`
writes one without it, by another grammar, and says whether both are known to agree.

Nothing here runs or checks anything, and no line is ever shifted, so that a position in the text differs from the
user's by columns of at most two lines; `Program.position` takes that back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from ..rpc.jsonrpc import well_formed
from .cell import units

LARGE_BYTES = 64_000
"""Above this a program is not glanced at: that takes up to 5 s a MB, without letting any other thread work."""

_LANGUAGE = Language(tree_sitter_typescript.language_typescript())


class Piece(msgspec.Struct, frozen=True):
    """A statement that declares functions, classes or enums: their names, and from where to where it goes."""

    names: tuple[str, ...]
    start: int
    end: int


class Outline(msgspec.Struct, frozen=True):
    """What a program has at its top level. Offsets count characters of the code.

    Args:
        run: Whether it declares ``run``.
        exported_run: The name under which it exports something as ``run``; None: it does not.
        is_default: Whether it has a default export.
        calls_run: Whether it calls ``run`` itself.
        last: From where to where its last expression goes; None: it has none.
        values, types: The names it declares.
        pieces: Its functions, classes and enums.
        exports: The names it exports, and what they are called inside.
        mentioned: The names that the pieces look up.
    """

    run: bool = False
    exported_run: str | None = None
    is_default: bool = False
    calls_run: bool = False
    last: tuple[int, int] | None = None
    values: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()
    exports: Mapping[str, str] = {}
    mentioned: frozenset[str] = frozenset()

    def from_utf16(self, code: str) -> Outline:
        """Return the outline with offsets in characters of this code, from offsets in UTF-16 units."""
        if code.isascii() or max(code) <= "\uffff":
            return self
        return self._at(_indices(code.encode("utf-16-le"), self._offsets(), "utf-16-le", 2))

    def _offsets(self) -> set[int]:
        return {*(self.last or ()), *(at for piece in self.pieces for at in (piece.start, piece.end))}

    def _at(self, found: Mapping[int, int]) -> Outline:
        return msgspec.structs.replace(
            self,
            last=self.last and (found[self.last[0]], found[self.last[1]]),
            pieces=tuple(Piece(p.names, found[p.start], found[p.end]) for p in self.pieces),
        )


def _indices(data: bytes, offsets: Iterable[int], encoding: str, width: int) -> dict[int, int]:
    """Turn offsets into an encoded text, in units of some bytes, into offsets in the text."""
    found: dict[int, int] = {}
    before = at = 0
    for offset in sorted(offsets):
        at += len(data[before * width : offset * width].decode(encoding))
        found[offset], before = at, offset
    return found


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters put into a line. `line` and `column` are 1-based and count in the edited text, in UTF-16 units."""

    line: int
    column: int
    length: int


@dataclass(frozen=True, slots=True)
class Program:
    """A program, ready for a sandbox.

    Args:
        code: What the user wrote, without byte order mark; lone carriage returns are line feeds, lone surrogates
            U+FFFD.
        text: What the sandbox imports. Lines are those of `code`, and one or two more after them.
        run: The name under which the text exports a top-level ``run``, or None.
        value: The name under which it exports its value otherwise, or None.
        edits: What the lines of `code` got, in the order of the text.
        kept: The name under which the text exports a function that returns the constants to be kept, or None.
    """

    code: str
    text: str
    run: str | None = None
    value: str | None = None
    edits: tuple[Edit, ...] = ()
    kept: str | None = None

    @property
    def entry(self) -> dict[str, str | None]:
        """The exports that matter, in the form that the sandbox takes."""
        entry = {"run": self.run, "value": self.value}
        return entry if self.kept is None else {**entry, "kept": self.kept}

    def keeping(self, constants: Sequence[str]) -> Program:
        """Return the program with one more export: a function that returns these top-level constants by name."""
        name = _fresh("__pctx_kept", self.code)
        return replace(
            self, text=f"{self.text}\nexport const {name} = () => ({{ {', '.join(constants)} }});", kept=name
        )

    def position(self, line: int, column: int) -> tuple[int, int]:
        """Turn a position in `text` into one in `code`: both 1-based, columns in UTF-16 units.

        A position beyond the code becomes its end: the lines that were appended have no place in it.
        """
        for edit in reversed(self.edits):
            if edit.line == line and column > edit.column:
                column = max(edit.column, column - edit.length)
        lines = self.code.split("\n")
        if not 1 <= line <= len(lines):
            line, column = len(lines), units(lines[-1]) + 1
        return line, max(1, min(column, units(lines[line - 1].removesuffix("\r")) + 1))


def prepare(code: str, outline: Outline | None = None) -> Program:
    """Write the text that exports a program's value.

    Args:
        code: TypeScript, as `clean` returns it.
        outline: What it has at its top level. None: it has a syntax error, or it is so simple that a glance will do.
            With a syntax error its text stays as it is, so that Deno reports the error.
    """
    code = clean(code)
    if outline is None:
        outline = glance(code).outline
    if outline is None:
        return Program(code, code)
    edits: tuple[Edit, ...] = ()
    exports = ""
    run = value = None
    if outline.calls_run:
        pass
    elif outline.exported_run:
        run = outline.exported_run
    elif outline.run:
        run = _fresh("__pctx_run", code)
        exports = f"export {{ run as {run} }};"
    text = code
    if outline.last is not None and not outline.is_default:
        value = _fresh("__pctx_value", code)
        # Awaited at once, a rejection is the program's error; with a `run` the value is of interest in rare cases only.
        before = f"export const {value} = {'' if run else 'await '}("
        start, end = outline.last
        after = ");"
        text = "".join((code[:start], before, code[start:end], after, code[end:]))
        edits = (_edit(text, start, before), _edit(text, end + len(before), after))
    elif outline.calls_run:
        # Without a value of its own, an exported `run` would be called once more.
        value = _fresh("__pctx_value", code)
        exports = f"export const {value} = undefined;"
    return Program(code, f"{text}\n{exports}" if exports else text, run, value, edits)


def clean(code: str) -> str:
    """The code without byte order mark; lone carriage returns are line feeds, lone surrogates U+FFFD."""
    code = code.removeprefix("\ufeff")
    if "\r" in code:
        code = re.sub("\r(?!\n)", "\n", code)
    return well_formed(code)


def _fresh(name: str, code: str) -> str:
    while name in code:
        name += "_"
    return name


def _edit(text: str, at: int, inserted: str) -> Edit:
    begin = text.rfind("\n", 0, at) + 1
    return Edit(text.count("\n", 0, at) + 1, units(text[begin:at]) + 1, len(inserted))


# ── A glance ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Glance:
    """What a program seems to have at its top level.

    Args:
        outline: None: nothing is known, as after a syntax error.
        is_certain: Whether the compiler reads it the same way. It does where each line either must go on with the
            statement before it, or cannot.
    """

    outline: Outline | None
    is_certain: bool


def glance(code: str) -> Glance:
    """Outline a program without the compiler.

    The grammar that is used does not know all rules by which JavaScript ends statements without a semicolon, nor all of
    TypeScript. So it counts only where no such rule can matter; there, tests compare it with the compiler.
    """
    data = code.encode()
    if len(data) > LARGE_BYTES:
        return Glance(None, False)
    root = Parser(_LANGUAGE).parse(data).root_node
    if root.has_error:
        return Glance(None, False)
    found: dict[str, Any] = {"pieces": [], "exports": {}, "values": {}, "types": {}, "mentioned": set()}
    for node in root.named_children:
        if node.type == "expression_statement":
            if (value := _value(node, data)) is not None:
                found["last"] = value.start_byte, value.end_byte
        else:
            _collect(node, found, is_exported=False)
    calls_run = b"run" in data and any(_calls_run(node, data) for node in root.named_children)
    outline = Outline(
        run=found.get("run", False),
        exported_run=found.get("exported_run"),
        is_default=found.get("is_default", False),
        calls_run=calls_run,
        last=found.get("last"),
        values=tuple(found["values"]),
        types=tuple(found["types"]),
        pieces=tuple(found["pieces"]),
        exports=found["exports"],
        mentioned=frozenset(found["mentioned"]),
    )
    if len(data) != len(code):
        outline = outline._at(_indices(data, outline._offsets(), "utf-8", 1))
    return Glance(outline, _is_certain(root, data))


def parse(code: str) -> Node:
    """Return the root of a program's syntax tree."""
    return Parser(_LANGUAGE).parse(code.encode()).root_node


def with_parentheses(code: str) -> str:
    """Put a record at the end of a program, which is a block to every other reader, into parentheses.

    ``{ a: 1 }`` and ``({ a: 1 })`` have the same value as the last statement; other programs stay as they are.
    """
    text = code.rstrip().rstrip(";").rstrip()
    if not text.endswith("}"):
        return code
    for match in reversed(list(_LINE_OF_BLOCK.finditer(text))[-8:]):
        head, tail = text[: match.start()], text[match.start() :]
        record = Parser(_LANGUAGE).parse(f"({tail})".encode()).root_node
        if record.has_error or Parser(_LANGUAGE).parse(head.encode()).root_node.has_error:
            continue
        node = record.named_children[0] if record.named_child_count == 1 else None
        while node is not None and node.type in ("expression_statement", "parenthesized_expression"):
            node = node.named_children[0] if node.named_child_count == 1 else None
        if node is not None and node.type == "object" and node.named_child_count:
            # As where it is run: a method would be a call and a block.
            if all(child.type in _SAME_IN_BOTH for child in node.named_children):
                return f"{head}({tail}){code[len(text) :]}"
            return code
    return code


_LINE_OF_BLOCK = re.compile(r"^\{", re.MULTILINE)
_SAME_IN_BOTH = {"pair", "shorthand_property_identifier", "spread_element"}

_SLASH = re.compile(rb"^[ \t\xc2\xa0]*/(?![/*])", re.MULTILINE)
"""A line that begins with a slash: a division or a regular expression, by what is before it."""
_USING = re.compile(rb"\busing\b")
"""A declaration that the grammar takes for an expression."""
_LINE_END = re.compile(rb"\n|\xe2\x80[\xa8\xa9]")
_GOES_ON = re.compile(rb"\?\.(?!\d)|\.(?![\d.])|&&|\|\||\?\?|[=*%&|^,>:?]|!=")
"""What no statement can begin with: the one before goes on."""
_BEGINS = re.compile(rb"[\w$\\\x80-\xff\"'#@;}]")
"""What cannot go on with an expression that is whole, unless it is a word that is an operator."""
_OPERATOR_WORDS = frozenset(
    b"in of as is instanceof satisfies extends implements from else catch finally while assert asserts with".split()
)
_UNFINISHED_WORDS = frozenset(
    b"async type abstract declare namespace module global let interface get set static readonly accessor using await "
    b"yield enum keyof infer unique asserts is out override public private protected new typeof void delete in of as "
    b"satisfies instanceof extends implements throw return break continue import export default const var from "
    b"function class case else do".split()
)
"""Words after which a line break may or may not end a statement, or that need what follows."""
_OPAQUE = {
    "arguments",
    "array",
    "array_pattern",
    "array_type",
    "class_body",
    "comment",
    "enum_body",
    "export_clause",
    "formal_parameters",
    "interface_body",
    "named_imports",
    "object",
    "object_pattern",
    "object_type",
    "parenthesized_expression",
    "parenthesized_type",
    "regex",
    "statement_block",
    "string",
    "switch_body",
    "template_string",
    "tuple_type",
    "type_arguments",
    "type_parameters",
}
"""Nodes within brackets or quotes: what is inside cannot end a statement of the top level."""


def _is_certain(root: Node, data: bytes) -> bool:
    """Whether the ends of all statements of the top level are beyond doubt."""
    if _SLASH.search(data) is not None or _USING.search(data) is not None:
        return False
    last = next((node for node in reversed(root.named_children) if node.type != "comment"), None)
    if last is not None and data.startswith(b"{", last.start_byte):
        return False  # a block, or an object: that is a matter of what is in it
    before: tuple[int, bytes] | None = None
    for start, end in _tokens(root):
        if before is not None and _LINE_END.search(data, before[0], start) is not None:
            token = data[start:end]
            if before[1].endswith(b";"):
                pass
            elif before[1] in _UNFINISHED_WORDS or (before[1].endswith(b">") and not before[1].endswith(b"=>")):
                return False
            elif _GOES_ON.match(token):
                pass
            elif _BEGINS.match(token) is None or token in _OPERATOR_WORDS:
                return False
        before = end, data[max(start, end - 40) : end]
    return True


def _tokens(root: Node) -> Iterator[tuple[int, int]]:
    """Where the tokens of the top level are, with all that is in brackets as one."""
    pending = list(reversed(root.children))
    while pending:
        node = pending.pop()
        if node.type == "comment":
            continue
        if node.child_count == 0 or node.type in _OPAQUE:
            yield node.start_byte, node.end_byte
        elif node.start_point[0] == node.end_point[0]:
            yield from _ends(node)
        else:
            pending += reversed(node.children)


def _ends(node: Node) -> Iterator[tuple[int, int]]:
    """The first and the last token of a node that stands in one line."""
    first = last = node
    while first.child_count and first.type not in _OPAQUE:
        first = first.children[0]
    while last.child_count and last.type not in _OPAQUE:
        last = last.children[-1]
    yield first.start_byte, first.end_byte
    if last.start_byte != first.start_byte:
        yield last.start_byte, last.end_byte


_TEXTS = {
    "abstract_class_declaration",
    "class_declaration",
    "enum_declaration",
    "function_declaration",
    "generator_function_declaration",
}
_VALUES = {"arrow_function", "class", "function_expression", "generator_function"}


def _collect(node: Node, found: dict[str, Any], *, is_exported: bool) -> None:
    declared: list[str] = []
    match node.type:
        case "export_statement":
            _collect_exports(node, found)
        case kind if kind in _TEXTS:
            declared = _names_of(node.child_by_field_name("name"))
            found["values"] |= dict.fromkeys(declared)
            found["run"] = found.get("run", False) or _declares_run(node)
            _keep_text(node, declared, found)
        case "lexical_declaration" | "variable_declaration":
            made = [child for child in node.named_children if child.type == "variable_declarator"]
            declared = [name for one in made for name in _names_of(one.child_by_field_name("name"))]
            found["values"] |= dict.fromkeys(declared)
            found["run"] = found.get("run", False) or _declares_run(node)
            values = [one.child_by_field_name("value") for one in made]
            if made and all(value is not None and value.type in _VALUES for value in values):
                _keep_text(node, declared, found)
        case "interface_declaration" | "type_alias_declaration":
            declared = _names_of(node.child_by_field_name("name"))
            found["types"] |= dict.fromkeys(declared)
    if is_exported:
        found["exports"] |= {name: name for name in declared}


def _collect_exports(node: Node, found: dict[str, Any]) -> None:
    is_default = any(child.type == "default" for child in node.children)
    if is_default:
        found["is_default"] = True
    for child in node.named_children:
        if child.type == "export_clause":
            for one in child.named_children:
                name, alias = one.child_by_field_name("name"), one.child_by_field_name("alias")
                exported = alias or name
                if exported is None or name is None:
                    continue
                if exported.text == b"default":
                    found["is_default"] = True
                if exported.text == b"run":
                    found["exported_run"] = "run"
                if node.child_by_field_name("source") is None:
                    found["exports"][_text(exported)] = _text(name)
        else:
            _collect(child, found, is_exported=not is_default)


def _keep_text(node: Node, declared: list[str], found: dict[str, Any]) -> None:
    if not declared:
        return
    found["pieces"].append(Piece(tuple(declared), node.start_byte, node.end_byte))
    pending = [node]
    while pending:
        one = pending.pop()
        if one.type in ("identifier", "shorthand_property_identifier"):
            found["mentioned"].add(_text(one))
        pending += one.named_children


def _names_of(pattern: Node | None) -> list[str]:
    """The names that a declarator's left side declares."""
    if pattern is None:
        return []
    match pattern.type:
        case "identifier" | "type_identifier" | "shorthand_property_identifier_pattern":
            return [_text(pattern)]
        case "pair_pattern":
            return _names_of(pattern.child_by_field_name("value"))
        case "assignment_pattern" | "object_assignment_pattern":
            return _names_of(pattern.child_by_field_name("left"))
    return [name for child in pattern.named_children for name in _names_of(child)]


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _declares_run(node: Node) -> bool:
    match node.type:
        case "function_declaration" | "generator_function_declaration":
            name = node.child_by_field_name("name")
            return name is not None and name.text == b"run"
        case "lexical_declaration" | "variable_declaration":
            names = (declarator.child_by_field_name("name") for declarator in node.named_children)
            return any(name is not None and name.text == b"run" for name in names)
    return False


_NOT_AN_EXPRESSION = re.compile(
    rb"\{|(?:await[ \t]+)?using[ \t]+(?!(?:in|of|as|instanceof|satisfies)\b)[\w$\\\x80-\xff]", re.ASCII
)
"""What the grammar takes for an expression though JavaScript does not: blocks, and ``using`` declarations."""


def _value(statement: Node, data: bytes) -> Node | None:
    """Return the expression of a statement whose value a program can have."""
    for node in statement.named_children:
        if node.type in ("internal_module", "module"):  # `namespace A {}`
            return None
        if node.type != "comment":
            return None if _NOT_AN_EXPRESSION.match(data, node.start_byte) else node
    return None


def _calls_run(statement: Node, data: bytes) -> bool:
    """Whether a statement calls ``run``: in functions it declares that does not count, in its callbacks it does."""
    pending = [statement]
    while pending:
        node = pending.pop()
        if data.find(b"run", node.start_byte, node.end_byte) < 0:
            continue
        if node.type == "call_expression":
            function = node.child_by_field_name("function")
            if function is not None and function.type == "identifier" and function.text == b"run":
                return True
        if statement.type == "expression_statement" or node.type not in _FUNCTIONS:
            pending += node.named_children
    return False


_FUNCTIONS = {
    "arrow_function",
    "class",
    "class_declaration",
    "abstract_class_declaration",
    "function_declaration",
    "function_expression",
    "generator_function",
    "generator_function_declaration",
    "method_definition",
}
