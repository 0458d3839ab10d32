"""Whether a program's end gives its value, or loses what its author most likely wanted. Text to text."""

from __future__ import annotations

from dataclasses import dataclass

from tree_sitter import Node

from .program import clean, glance, parse, with_parentheses

MAX_CHARACTERS = 20_000
"""Characters of a program that are read; a longer one takes too much of the loop's time for one line of advice."""
MAX_NAMES = 60
"""Characters of the names that a declaration declares."""

_STATEMENTS = {
    "do_statement": "a do statement",
    "for_in_statement": "a for statement",
    "for_statement": "a for statement",
    "if_statement": "an if statement",
    "labeled_statement": "a labeled statement",
    "statement_block": "a block",
    "switch_statement": "a switch statement",
    "try_statement": "a try statement",
    "while_statement": "a while statement",
}
_FUNCTIONS = ("function_declaration", "generator_function_declaration")


@dataclass(frozen=True, slots=True)
class Ending:
    """The last statement of a program that has no value of its own.

    Args:
        kind: What it is: "a declaration of total", "a for statement".
        names: The names that it declares, as they are written; empty: it declares none.
        is_function: Whether it declares a function.
        value_line: The line of the earlier expression that gives the program's value; None: there is none.
    """

    kind: str
    names: str
    is_function: bool
    value_line: int | None

    @property
    def way_out(self) -> str:
        """How the program returns what its author wanted."""
        if self.is_function:
            return f"end it with a call, such as await {self.names}()"
        return f"end it with {self.names}" if self.names.isidentifier() else "end it with the value itself"


def ending(code: str) -> Ending | None:
    """Return the last statement of a program; None: it gives the value, or nothing is known of it.

    Args:
        code: The program, as its author wrote it.
    """
    if len(code) > MAX_CHARACTERS:
        return None
    code = clean(code)
    outline = glance(code).outline
    if outline is None or outline.run or outline.exported_run or outline.is_default:
        return None
    last = next((node for node in reversed(parse(code).named_children) if node.type != "comment"), None)
    if last is None or last.type == "expression_statement" or with_parentheses(code) != code:
        return None
    names, is_function = "", False
    kind = _STATEMENTS.get(last.type)
    if kind is None:
        declared = _declaration(last)
        names, is_function = _names(declared), declared.type in _FUNCTIONS
        kind = f"a declaration of {names}" if names else "a declaration"
    value_line = None if outline.last is None else code.count("\n", 0, outline.last[0]) + 1
    return Ending(kind, names, is_function, value_line)


def _declaration(node: Node) -> Node:
    """What is declared, with `export` or without it."""
    return (node.child_by_field_name("declaration") or node) if node.type == "export_statement" else node


def _names(node: Node) -> str:
    """The names that a declaration declares, as they are written."""
    if node.type in ("lexical_declaration", "variable_declaration"):
        named = [one.child_by_field_name("name") for one in node.named_children if one.type == "variable_declarator"]
    else:
        named = [node.child_by_field_name("name")]
    found = ", ".join((one.text or b"").decode(errors="replace") for one in named if one is not None)
    found = " ".join(found.split())
    return found if len(found) <= MAX_NAMES else f"{found[:MAX_NAMES]}…"
