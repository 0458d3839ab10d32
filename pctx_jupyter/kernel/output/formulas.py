"""Vega's expressions, read by a small grammar and written again. Text in, text out; nothing here evaluates anything.

Vega compiles an expression to JavaScript. Published faults of that compiler reach script in the page, so no expression
of a stranger goes to it as it is. What comes out is written from the tree that the grammar made: literals, lists,
operators, conditions, calls of named functions, ``datum`` and parameters with the names of their members.

    condition:   or ["?" condition ":" condition]
    or … product: operands of one level, joined by that level's operators
    unary:       ("+" | "-" | "!" | "~") unary | postfix
    postfix:     primary {"." name | "[" string "]" | "[" integer "]"}
    primary:     number | string | name | name "(" [list] ")" | "[" [list] "]" | "(" condition ")"
    list:        condition {"," condition}

`labextension/src/charts/formula.ts` is the same grammar; a test holds the two equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

ArgumentRule = Literal["plain", "format", "length", "text"]
"""What a function's arguments must be: anything, a format that is written out, a length that is, or texts."""

MOST_CHARS = 4_000
"""Characters of one expression."""

MOST_TOKENS = 500
"""Names, literals and operators of one expression."""

MOST_DEPTH = 40
"""Levels of brackets, conditions and signs in one expression."""

MOST_PADDED = 100
"""Characters that ``pad`` may make of a text."""

INHERITED = frozenset(
    """
    __proto__ constructor prototype toString toLocaleString valueOf hasOwnProperty isPrototypeOf propertyIsEnumerable
    __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__
    """.split()  # noqa: SIM905  # reads better
)
"""Members that every value has in JavaScript. They lead from data to functions."""

_LEVELS = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("===", "!==", "==", "!="),
    ("<=", ">=", "<", ">"),
    ("<<", ">>>", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
"""Operators that join two operands, those that bind least first."""

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    (?P<number>(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,3})?(?![0-9A-Za-z_$.])
      |\.[0-9]{1,30}(?:[eE][+-]?[0-9]{1,3})?(?![0-9A-Za-z_$.]))
    |(?P<name>[A-Za-z_$\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
    |(?P<string>"(?:[^"\\\r\n]|\\[^\r\n])*"|'(?:[^'\\\r\n]|\\[^\r\n])*')
    |(?P<operator>===|!==|>>>|\|\||&&|==|!=|<=|>=|<<|>>|[-+*/%<>!~?:&|^.,()\[\]])
    )""",
    re.VERBOSE,
)
_BLANK = re.compile(r"[ \t\r\n]*")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_LENGTH = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that an expression may use.

    Attributes:
        functions: Names of functions, and what their arguments must be.
        constants: Names of values.
        parameters: Names of the chart's own parameters, whose members may be read.
        format: Matches what the second argument of a format function may be.
    """

    functions: Mapping[str, ArgumentRule]
    constants: Collection[str]
    parameters: Collection[str]
    format: re.Pattern[str]


def rewritten(source: str, vocabulary: Vocabulary) -> str:
    """Read an expression and write it again from what was read.

    Raises:
        ValueError: It is not in the grammar; says what of it.
    """
    reader = _FormulaReader(source, vocabulary)
    found = reader.condition()
    if reader.kind != "end":
        raise ValueError(f"{_shown(reader.text)} is not expected there")
    return found.text


def quoted(text: str) -> str:
    """Write a text as a literal of ASCII alone."""
    return json.dumps(text, ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of an expression, as it is written.

    Attributes:
        text: What it becomes at the outermost level.
        kind: ``path`` may be followed by names of members; ``string`` and ``number`` are literals.
        value: What a literal text says.
    """

    text: str
    kind: Literal["path", "string", "number", "whole", "joined"] = "whole"
    value: str = ""

    def __str__(self) -> str:
        return f"({self.text})" if self.kind == "joined" else self.text


class _FormulaReader:
    """Goes through an expression once, from left to right."""

    def __init__(self, source: str, vocabulary: Vocabulary) -> None:
        if len(source) > MOST_CHARS:
            raise ValueError(f"it is longer than {MOST_CHARS:,} characters")
        self._source = source
        self._vocabulary = vocabulary
        self._at = 0
        self._count = 0
        self._depth = 0
        self.kind = ""
        self.text = ""
        self._advance()

    def condition(self) -> _Part:
        self._enter()
        found = self._joined(0)
        if self._take("?"):
            yes = self.condition()
            self._expect(":")
            no = self.condition()
            found = _Part(f"{found} ? {yes} : {no}", "joined")
        self._depth -= 1
        return found

    def _joined(self, level: int) -> _Part:
        if level == len(_LEVELS):
            return self._unary()
        left = self._joined(level + 1)
        while self.kind == "operator" and self.text in _LEVELS[level]:
            operator = self.text
            self._advance()
            left = _Part(f"{left} {operator} {self._joined(level + 1)}", "joined")
        return left

    def _unary(self) -> _Part:
        if self.kind != "operator" or self.text not in ("+", "-", "!", "~"):
            return self._postfix()
        self._enter()
        operator = self.text
        self._advance()
        found = _Part(f"{operator}{self._unary()}", "joined")
        self._depth -= 1
        return found

    def _postfix(self) -> _Part:
        found = self._primary()
        while True:
            if self._take("."):
                name, kind = self.text, self.kind
                self._advance()
                if kind != "name":
                    raise ValueError(f"{_shown(name)} is no name of a member")
                found = _member(found, name)
            elif self._take("["):
                kind, index = self.kind, self.text
                self._advance()
                self._expect("]")
                if kind == "string":
                    found = _member(found, _value(index))
                elif kind == "number" and _INDEX.fullmatch(index):
                    found = _Part(f"{found}[{index}]", "path" if found.kind == "path" else "whole")
                else:
                    raise ValueError("a member must be named by a text or a whole number")
            else:
                return found

    def _primary(self) -> _Part:
        kind, text = self.kind, self.text
        self._advance()
        match kind, text:
            case "number", _:
                return _Part(text, "number")
            case "string", _:
                return _Part(quoted(_value(text)), "string", _value(text))
            case "name", _ if self._take("("):
                return self._call(text)
            case "name", _ if text == "datum" or text in self._vocabulary.parameters:
                return _Part(text, "path")
            case "name", _ if text in self._vocabulary.constants:
                return _Part(text)
            case "operator", "(":
                found = self.condition()
                self._expect(")")
                return found
            case "operator", "[":
                return _Part(f"[{', '.join(map(str, self._list(']')))}]")
            case "end", _:
                raise ValueError("it ends too early")
            case "name", _:
                raise ValueError(f"{_shown(text)} is not among the names that it may use")
            case _:
                raise ValueError(f"{_shown(text)} is not expected there")

    def _call(self, name: str) -> _Part:
        rule = self._vocabulary.functions.get(name)
        if rule is None:
            raise ValueError(f"{_shown(name)} is not among the functions that it may call")
        arguments = self._list(")")
        second = arguments[1] if len(arguments) > 1 else None
        match rule:
            case "format":
                if second is None or second.kind != "string" or not self._vocabulary.format.fullmatch(second.value):
                    raise ValueError(f"{_shown(name)} must have its format written out")
            case "length":
                if second is None or second.kind != "number" or not _LENGTH.fullmatch(second.text):
                    raise ValueError(f"{_shown(name)} must have its length written out")
                if int(second.text) > MOST_PADDED:
                    raise ValueError(f"{_shown(name)} would make more than {MOST_PADDED} characters")
            case "text":
                arguments = [
                    argument if number == 0 or argument.kind in ("string", "number") else _Part(f'"" + {argument}')
                    for number, argument in enumerate(arguments)
                ]
        return _Part(f"{name}({', '.join(argument.text for argument in arguments)})")

    def _list(self, end: str) -> list[_Part]:
        found: list[_Part] = []
        if self._take(end):
            return found
        while True:
            found.append(self.condition())
            if self._take(end):
                return found
            self._expect(",")

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")

    def _take(self, operator: str) -> bool:
        if self.kind != "operator" or self.text != operator:
            return False
        self._advance()
        return True

    def _expect(self, operator: str) -> None:
        if not self._take(operator):
            raise ValueError(f"{_shown(operator)} is missing")

    def _advance(self) -> None:
        found = _TOKEN.match(self._source, self._at)
        if found is None or found.lastgroup is None:
            blank = _BLANK.match(self._source, self._at)
            rest = self._source[blank.end() if blank else self._at :]
            if rest:
                raise ValueError(f"{_shown(rest[:1])} is not in its grammar")
            self.kind, self.text = "end", ""
            return
        self._count += 1
        if self._count > MOST_TOKENS:
            raise ValueError(f"it has more than {MOST_TOKENS} parts")
        self.kind, self.text, self._at = found.lastgroup, found[found.lastgroup], found.end()


def _member(base: _Part, name: str) -> _Part:
    if base.kind != "path":
        raise ValueError("only datum and parameters have members")
    if name in INHERITED:
        raise ValueError(f"{_shown(name)} is no member of data")
    return _Part(f"{base}.{name}" if _PLAIN_NAME.fullmatch(name) else f"{base}[{quoted(name)}]", "path")


def _value(literal: str) -> str:
    return _ESCAPE.sub(
        lambda found: _ESCAPED.get(found[3], found[3]) if found[3] is not None else chr(int(found[1] or found[2], 16)),
        literal[1:-1],
    )


def _shown(text: str) -> str:
    return f'"{text[:40]}"'
