"""What people write out of habit of Python, and what TypeScript has in its place. Text to text."""

from __future__ import annotations

import re

REPLACED = {"None": "null", "True": "true", "False": "false", "print": "console.log"}
"""Names of Python for which TypeScript has another that stands in the same place."""

_OF_PYTHON = {
    "abs": "Math.abs(x)",
    "all": "xs.every((x) => …)",
    "any": "xs.some((x) => …)",
    "bool": "Boolean(x)",
    "dict": "an object, { key: value }, or new Map(pairs)",
    "enumerate": "xs.entries()",
    "filter": "xs.filter((x) => …)",
    "float": "Number(x)",
    "input": "an input of the cell, -i NAME",
    "int": "Math.trunc(Number(x))",
    "isinstance": "x instanceof Type, or typeof x",
    "len": "x.length, or x.size of a Map or a Set",
    "list": "[...xs]",
    "map": "xs.map((x) => …)",
    "max": "Math.max(...xs)",
    "min": "Math.min(...xs)",
    "open": "a tool that reads the file",
    "pow": "x ** y",
    "range": "Array.from({ length: n }, (_, i) => i)",
    "repr": "JSON.stringify(x)",
    "reversed": "xs.toReversed()",
    "round": "Math.round(x)",
    "set": "new Set(xs)",
    "sorted": "xs.toSorted((a, b) => a - b)",
    "str": "String(x)",
    "sum": "xs.reduce((sum, x) => sum + x, 0)",
    "tuple": "[x, y]",
    "type": "typeof x",
    "zip": "xs.map((x, i) => [x, ys[i]])",
}
"""Functions of Python that people reach for, and what to write in their place."""


def hint_for_name(name: str, *, sets: bool = False) -> str | None:
    """Return what to write for a name that is not defined; None: nothing is known of it.

    Args:
        name: The name.
        sets: Whether a statement sets it, as Python declares a name.
    """
    if sets:
        return f"Declare it: const {name} = …, or let {name} = … if it changes."
    if name in REPLACED or name in _OF_PYTHON:
        instead = REPLACED.get(name)
        written = _OF_PYTHON.get(name) if instead is None else f"{instead}(…)" if name == "print" else instead
        return f"That is Python; in TypeScript it is {written}."
    return None


_TEXTS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`""")
"""Texts of a line of code, whose words mean nothing."""

_SYNTAX = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in [
        (r"^\s*(?:async\s+)?for\b[^(]*\bin\b.*:\s*$", "for (const x of xs) { … }"),
        (r"^\s*while\b.*:\s*$", "while (…) { … }"),
        (r"^\s*(?:if|elif|else)\b.*:\s*$", "if (…) { … } else { … }"),
        (r"^\s*(?:async\s+)?def\s+\w+", "function name(x: number) { … }"),
        (r"^\s*class\s+\w+.*:\s*$", "class Name { … }"),
        (r"^\s*(?:try|except|finally)\b.*:\s*$", "try { … } catch (error) { … } finally { … }"),
        (r"^\s*with\b.*:\s*$", "try { … } finally { … }"),
        (r"^\s*raise\b", "throw new Error(…)"),
        (r"^\s*assert\s", "if (!(…)) throw new Error(…)"),
        (r"^\s*del\s", "delete object.key, or map.delete(key)"),
        (r"\blambda\b[^:]*:", "(x) => …"),
        (r"[\[(].*\bfor\b[^(]*\bin\b", "xs.map((x) => …), or xs.filter((x) => …)"),
        (r"\bis\s+not\s+None\b", "x !== null"),
        (r"\bis\s+None\b", "x === null"),
        (r"\S\s+not\s+in\b", "!xs.includes(x), or !(key in object)"),
        (r"\bnot\s+\S", "!x"),
        (r"\S\s+if\b.*\belse\b", "condition ? x : y"),
        (r"\S\s+and\s+\S", "x && y"),
        (r"\S\s+or\s+\S", "x || y"),
        (r"\b[rRbBfFuU]{1,2}(?:''|\"\")", "`text ${x}`"),
        (r"(?:''|\"\"){2}|'''|\"\"\"", "`text`"),
        (r"^\s*#\s", "// for a comment"),
    ]
)
"""Forms of a line of Python without its texts, and what to write in their place; the first one counts."""

LONGEST_LINE = 500
"""Characters of a line that is looked at: to look for its form takes long in a line of many thousand."""

_IMPORT = re.compile(r"^\s*(?:from\s+[\w.]+\s+import\b|import\s+[\w.]+(?:\s+as\s+\w+)?\s*(?:,.*)?$)")


def hint_for_syntax(line: str) -> str | None:
    """Return what to write in place of a line that is no TypeScript; None: it does not look like Python.

    Args:
        line: A line of code in which a syntax error is.
    """
    if len(line) > LONGEST_LINE:
        return None
    bare = re.sub(r"(?<=\S)\s+#.*$|//.*$", "", _TEXTS.sub(lambda text: text[0][0] * 2, line))
    if _IMPORT.match(bare):
        return "That is Python; a program cannot import, it can only call its tools."
    for pattern, instead in _SYNTAX:
        if pattern.search(bare):
            return f"That is Python; in TypeScript it is {instead}."
    return None
