"""The user's code, and the text a sandbox runs instead: the same lines, with the program's value exported.

What a program's value is: what ``run()`` returns, if it defines a top-level ``run``; else its default export; else its
last top-level expression statement. A program that calls ``run`` itself is not run twice: its last expression counts.
As in JavaScript, a statement that begins with ``{`` is a block: ``({a: 1})`` is a value, ``{a: 1}`` is not.

Nothing here runs or checks anything, and no line is ever shifted, so that a position in the text differs from the
user's by columns of at most two lines; `Program.position` takes that back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from ..rpc.jsonrpc import well_formed

LARGE_BYTES = 64_000
"""Above this a program is not parsed whole: that takes up to 5 s a MB, without letting any other thread work."""

_LANGUAGE = Language(tree_sitter_typescript.language_typescript())


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
        """The exports that matter, as the sandbox wants to hear of them."""
        entry = {"run": self.run, "value": self.value}
        return entry if self.kept is None else {**entry, "kept": self.kept}

    def keeping(self, constants: Sequence[str]) -> Program:
        """The same program, that also exports a function which returns these constants of its top level by name."""
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
            line, column = len(lines), utf16(lines[-1]) + 1
        return line, max(1, min(column, utf16(lines[line - 1].removesuffix("\r")) + 1))


def utf16(text: str) -> int:
    """Count UTF-16 units, as JavaScript does."""
    return len(text) + sum(unit > "\uffff" for unit in text)


def prepare(code: str) -> Program:
    """Find a program's value and write the text that exports it.

    Args:
        code: TypeScript. When it has a syntax error, its text stays as it is, so that Deno reports the error.
    """
    code = _clean(code)
    data = code.encode()
    found = _look(data) if len(data) <= LARGE_BYTES else _look_at_large(data)
    if found is None:
        return Program(code, code)
    edits: tuple[Edit, ...] = ()
    exports = ""
    run = value = None
    if found.calls_run:
        pass
    elif found.exported_run:
        run = found.exported_run
    elif found.run:
        run = _fresh("__pctx_run", code)
        # In a large program it was found by its look only, and may turn out to be part of a text.
        certain, likely = "export {{ run as {} }};", 'export const {} = typeof run === "undefined" ? undefined : run;'
        exports = (certain if found.is_certain else likely).format(run)
    if found.last is not None and not found.default:
        value = _fresh("__pctx_value", code)
        # Awaited at once, a rejection is the program's error; with a `run` the value is of interest in rare cases only.
        before = f"export const {value} = {'' if run else 'await '}("
        start, end = found.last
        after = ");"
        data = b"".join((data[:start], before.encode(), data[start:end], after.encode(), data[end:]))
        edits = (_edit(data, start, before), _edit(data, end + len(before), after))
    elif found.calls_run:
        # Without a value of its own, an exported `run` would be called once more.
        value = _fresh("__pctx_value", code)
        exports = f"export const {value} = undefined;"
    text = data.decode()
    return Program(code, f"{text}\n{exports}" if exports else text, run, value, edits)


def _clean(code: str) -> str:
    code = code.removeprefix("\ufeff")
    if "\r" in code:
        code = re.sub("\r(?!\n)", "\n", code)
    return well_formed(code)


def _fresh(name: str, code: str) -> str:
    while name in code:
        name += "_"
    return name


def _edit(data: bytes, at: int, inserted: str) -> Edit:
    begin = data.rfind(b"\n", 0, at) + 1
    return Edit(data.count(b"\n", 0, at) + 1, utf16(data[begin:at].decode()) + 1, len(inserted))


# ── Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Found:
    """What a program has at its top level. `last` is where its last expression begins and ends, in bytes."""

    run: bool = False
    exported_run: str | None = None
    default: bool = False
    calls_run: bool = False
    last: tuple[int, int] | None = None
    is_certain: bool = True


def parse(data: bytes) -> Node | None:
    """Parse a program, of at most `LARGE_BYTES`; None: it has a syntax error."""
    root = Parser(_LANGUAGE).parse(data).root_node
    return None if root.has_error else root


def _look(data: bytes) -> _Found | None:
    """Look at a whole program, or at the statements of its end; None when they have a syntax error."""
    root = parse(data)
    if root is None:
        return None
    found = _Found()
    for node in root.named_children:
        match node.type:
            case "expression_statement":
                if (value := _value(node, data)) is not None:
                    found.last = value.start_byte, value.end_byte
            case "export_statement":
                _look_at_export(node, found)
            case _:
                found.run |= _declares_run(node)
    found.calls_run = any(_calls_run(node, data) for node in root.named_children)
    return found


def _look_at_export(node: Node, found: _Found) -> None:
    for child in node.children:
        match child.type:
            case "default":
                found.default = True
                return
            case "export_clause":
                for specifier in child.named_children:
                    exported = specifier.child_by_field_name("alias") or specifier.child_by_field_name("name")
                    if exported is not None and exported.text == b"default":
                        found.default = True
                    if exported is not None and exported.text == b"run":
                        found.exported_run = "run"
            case _:
                found.run |= _declares_run(child)


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


# ── Large programs ──────────────────────────────────────────────────────────────────────────────────────────────────

_RUN = re.compile(
    rb"^(?:export[ \t]+)?(?:(?:async[ \t]+)?function[ \t]*\*?[ \t]*|(?:const|let|var)[ \t]+)run\b(?!\$)", re.MULTILINE
)
_RUN_CALL = re.compile(
    rb"^(?:await[ \t]+|void[ \t]+|(?:const|let|var)[ \t]+\w+[ \t]*=[ \t]*(?:await[ \t]+)?)?run\(", re.MULTILINE
)
_DEFAULT = re.compile(rb"^export[ \t]+(?:default\b|\{[^}]*\bas[ \t]+default\b)", re.MULTILINE)
_EXPORTED_RUN = re.compile(rb"^export[ \t]*\{[^}]*\bas[ \t]+run\b", re.MULTILINE)
_BOUNDARY = re.compile(
    rb"[;}][ \t]*(?://[^\n]*)?\r?\n\s*?^(?!(?:in|instanceof|as|satisfies|of|else|catch|finally)\b)(?=[\w$])",
    re.MULTILINE,
)


def _look_at_large(data: bytes) -> _Found | None:
    """Look at a program too large to parse: at the beginnings of its lines, and at the statements of its end.

    The end is found as the shortest part that begins after ``;`` or ``}`` with an unindented line, has no syntax error
    and holds an expression. Such a part is made of whole statements: had it begun inside brackets, a comment or a
    template, then what closes these would be an error in it.
    """
    found = _Found(is_certain=False)
    for end in _ends(data):
        if (seen := _look(data[end:])) is not None and seen.last is not None:
            found.last = seen.last[0] + end, seen.last[1] + end
            found.calls_run = seen.calls_run
            break
    found.run = _RUN.search(data) is not None
    found.exported_run = "run" if _EXPORTED_RUN.search(data) else None
    found.default = _DEFAULT.search(data) is not None
    found.calls_run |= _RUN_CALL.search(data) is not None
    return found


def _ends(data: bytes) -> Iterator[int]:
    """Offer places where a statement may begin, nearest to the end first, each part some twice as long as the last."""
    length = 0
    for match in reversed([*_BOUNDARY.finditer(data, len(data) - LARGE_BYTES)]):
        if len(data) - match.end() > length:
            yield match.end()
            length = 2 * (len(data) - match.end())
