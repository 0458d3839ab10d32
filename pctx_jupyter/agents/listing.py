"""What models read about tools: lists, search results, declarations. Text in, text out, within a budget of characters.

A model pays for every word, so each list is written in the richest form that fits: types, arguments' names, names,
counts; what did not fit is said, with the way to it. Names and descriptions are strangers' words and are made inert.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

from .. import errors
from ..slices import in_slices
from ..tools import inert, typegen
from ..tools.scope import Scope
from ..tools.tool import Tool
from . import consent
from .consent import Guarded

Detail = Literal["names", "signatures", "descriptions"]

TYPED = 150
"""Tools whose types are tried in a list; more of them seldom fit, and to write one takes 0.2 ms the first time."""
TOKEN = 4
"""Characters of a token, about, in declarations and in English."""
FIRST_TOKENS = 2_000
"""Tokens of declarations that a list may have, by default: as many save a request for details."""
SHORTEST = 8
"""Characters that a tool has in a list with arguments, at the least."""
SHORTEST_NAME = 3
"""Characters that a tool has in a list of names, at the least: one, a comma and a space."""
SHORTEST_DECLARATION = 20
"""Characters that a tool's declaration has, at the least."""
ARGUMENTS = 12
"""Names of arguments shown of one tool."""
SUMMARIES = (1_000, 400, 200, 110)
"""Characters of a description in a list: the most that fit."""
DESCRIBED_SHARE = 2
"""Descriptions longer than the shortest may take this part of the budget of a list (a half)."""
FOUND = 300
"""Characters of descriptions in the answer to a search, of all functions but the first together."""

SAME_NAME = 10
"""Functions of one name that an answer names."""

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")

_INDENTATION = re.compile(r"^ +", re.MULTILINE)
"""A model reads braces, and pays for every level of indentation: a ninth of all that types cost."""

WriteTool = Callable[[Tool], str]


def functions(
    tools: Iterable[Tool],
    detail: Detail,
    *,
    most: int,
    guarded: Guarded | None = None,
    first_tokens: int = FIRST_TOKENS,
) -> str:
    """List tools, by namespace.

    Args:
        detail: The richest form wanted; ``signatures`` are full declarations where there are few tools.
        most: Characters; a poorer form is taken when a list has more, and says so.
        guarded: The tools whose calls need consent, or are denied: they are marked.
        first_tokens: Tokens, about, that full declarations may have.
    """
    guarded = guarded or {}
    spaces = _spaces(tools)
    known = [tool for members in spaces.values() for tool in members]
    if not known:
        return (
            "No functions are available now. They come from open notebooks that define tools, and from MCP servers "
            "that are configured here. Plain TypeScript runs without."
        )
    head = f"{_counted(len(known), 'function')} in {_counted(len(spaces), 'namespace')}. "
    head += consent.legend(known, guarded)
    if detail == "signatures" and len(known) <= TYPED:
        room = min(most, TOKEN * first_tokens) - len(head)
        if (text := _declared(known, guarded, room)) is not None:
            return f"{head.rstrip()}\n{text}"
    call = "Call as Namespace.name({…}); ? marks what may be left out.\n"
    may_fit = len(known) * SHORTEST <= most  # no form is written for ten thousand tools to be thrown away
    if detail == "descriptions" and may_fit:
        for longest in SUMMARIES:
            text = head + call + _by_line(spaces, partial(described, longest=longest), guarded)
            if len(text) <= (most if longest == SUMMARIES[-1] else most // DESCRIBED_SHARE):
                return text
    if detail != "names" and may_fit:
        text = head + call + _by_line(spaces, brief, guarded)
        if len(text) <= most:
            return text if detail == "signatures" else _poorer("descriptions", most) + text
    text = head + "\n" + _names(spaces, guarded)
    note = "" if detail == "names" else _poorer("signatures", most)
    if len(text) + len(note) <= most:
        return note + text
    return _least(spaces, head + _poorer("names", most), most)


def brief(tool: Tool) -> str:
    """One tool by the names of its arguments: ``searchIssue({query, limit?})``."""
    schema = tool.input_schema
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(properties, dict):
        return f"{tool.tool_name}({'args?' if schema is None else 'args'})"
    if not properties:
        return f"{tool.tool_name}()"
    wanted = schema.get("required")
    required = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
    names = [inert.property_name(name[:60]) for name in properties if name in required]
    names += [inert.property_name(name[:60]) + "?" for name in properties if name not in required]
    shown = ", ".join(names[:ARGUMENTS]) + (", …" if len(names) > ARGUMENTS else "")
    return f"{tool.tool_name}({{{shown}}})"


def described(tool: Tool, longest: int = SUMMARIES[-1]) -> str:
    """One tool by its arguments and its description, which is cut at so many characters."""
    about = summary(tool.description, longest)
    return f"{brief(tool)} – {about}" if about else brief(tool)


def summary(description: str, longest: int = SUMMARIES[-1]) -> str:
    """A description on one line: as many of its sentences as fit into so many characters.

    The format of a value and its range often come in the second sentence.
    """
    line = " ".join(description[: 2 * longest + 200].split())
    if len(line) > longest:
        ends = [end.start() for end in _SENTENCE_END.finditer(line, 0, longest + 1)]
        line = line[: ends[-1]] if ends else (line[: longest + 1].rpartition(" ")[0] or line[:longest]) + "…"
    return inert.comment(line, longest + 1).rstrip(".")


def _declared(tools: Sequence[Tool], guarded: Guarded, room: int) -> str | None:
    """Declare tools in full, without comments if these take too much room; None: that is still too much.

    Either way, each type that a function names is there.
    """
    if len(tools) * SHORTEST_DECLARATION > room:
        return None
    shared = {name: mark for name, of in _spaces(tools).items() if (mark := consent.mark_of_all(of, guarded))}
    note = "".join(f"// {name}{mark}\n" for name, mark in shared.items())
    for docs in (True, False):
        # Without comments the tools stay as they are: texts are kept by their identity.
        of = [t if t.namespace_name in shared else consent.declared(t, guarded) for t in tools] if docs else tools
        text = typegen.declarations(of, aliases=False, docs=docs)
        if not docs:
            note = f"// Without descriptions, which get_function_details has.\n{note}"
            marked = [tool for tool in tools if tool.path in guarded and tool.namespace_name not in shared]
            note += "".join(f"// {tool.path}{consent.mark(tool, guarded)}\n" for tool in marked)
        text = note + _INDENTATION.sub(" ", text.rstrip("\n"))
        if len(text) <= room:
            return text
    return None


def found(tools: Sequence[Tool], query: str, in_all: int, guarded: Guarded | None = None) -> str:
    """What a search has found, the best first; tools whose calls need consent, or are denied, are marked."""
    guarded = guarded or {}
    if tools:
        # What is found first is most likely what is wanted.
        longest = [SUMMARIES[1], *[FOUND // len(tools)] * (len(tools) - 1)]
        lines = [
            f"{tool.namespace_name}.{described(tool, most)}{_of_notebook([tool])}{consent.mark(tool, guarded)}"
            for tool, most in zip(tools, longest, strict=True)
        ]
        return "\n".join([*lines, legend.rstrip()] if (legend := consent.legend(tools, guarded)) else lines)
    asked = inert.comment(query, 100)
    return f"Nothing matches {asked!r} among {_counted(in_all, 'function')}; try other words, or list_functions."


async def details(
    scope: Scope, paths: Sequence[str], *, most: int, guard: Callable[[Sequence[Tool]], Guarded] = lambda tools: {}
) -> str:
    """Declare tools in full, with the types they need; for a path without a tool, suggest the closest one.

    Other tasks run between two paths: to look for the closest one takes some milliseconds.

    Args:
        paths: Their names, or patterns such as ``Github.*``.
        most: Characters; those that do not fit are named at the end.
        guard: Returns which of these tools' calls need consent, or are denied: their comments say so.
    """
    tools, unknown = await _find(scope, paths)
    may_fit, too_many = tools[: most // SHORTEST_DECLARATION], tools[most // SHORTEST_DECLARATION :]
    guarded = guard(may_fit)
    tools = [consent.declared(tool, guarded) for tool in may_fit]
    left_out: list[Tool] = []
    text = typegen.declarations(tools, aliases=False) if len(tools) <= TYPED else None
    if text is None or len(text) > most:
        tools, left_out = _fitting(tools, most)
        left_out += too_many
        text = typegen.declarations(tools, aliases=False)
    lines = [_INDENTATION.sub(" ", text.rstrip("\n"))] if text else []
    if left_out and not tools:
        first, *left_out = left_out
        lines.append(f"// The types of {first.path} are too long for one answer; in short:\n{typegen.signature(first)}")
    if left_out:
        shown = ", ".join(tool.path for tool in left_out[:20]) + (", …" if len(left_out) > 20 else "")
        lines.append(f"// Too long for one answer, ask for these separately: {shown}")
    if unknown:
        lines += [f"// {inert.comment(message, 400)}" for message in unknown]
        lines.append("// list_functions and search_functions show which functions there are.")
    return "\n".join(lines)


async def _find(scope: Scope, paths: Sequence[str]) -> tuple[list[Tool], list[str]]:
    chosen: dict[str, Tool] = {}
    unknown = []
    async for path in in_slices(paths):
        try:
            if "*" in path:
                tools = [tool for tool in await scope.matching([path]) if scope.is_listed(tool)]
            elif "." not in path:
                tools = _by_bare_name(scope, path)
            else:
                tools = [scope.find(path).tool]
        except errors.ToolNotFound as error:
            unknown.append(error.message)
        else:
            chosen |= {tool.path: tool for tool in tools}
    return list(chosen.values()), unknown


def _by_bare_name(scope: Scope, name: str) -> list[Tool]:
    """The tool of a name without a namespace, or the tools of the namespace that has this name.

    Raises:
        ToolNotFound: There is none, or tools of several namespaces have that name.
    """
    namespace = scope.namespace(name)
    if namespace is not None and namespace.listed:
        return list(namespace.listed)
    tools = [tool for tool in scope.listed() if name in (tool.tool_name, tool.registered_name)]
    if len(tools) > 1:
        named = (tool.path + _of_notebook([tool]) for tool in tools[:SAME_NAME])
        shown = ", ".join(named) + (", …" if len(tools) > SAME_NAME else "")
        raise errors.ToolNotFound(f"Several functions are called {name[:100]}: {shown}")
    return tools or [scope.find(name).tool]


def _fitting(tools: list[Tool], most: int) -> tuple[list[Tool], list[Tool]]:
    """The first tools whose declarations fit, and the others."""
    size = 0
    for at, tool in enumerate(tools):
        size += len(typegen.declaration(tool))
        if size > most:
            return tools[:at], tools[at:]
    return tools, []


def _spaces(tools: Iterable[Tool]) -> Mapping[str, list[Tool]]:
    spaces: dict[str, list[Tool]] = {}
    for tool in tools:
        spaces.setdefault(tool.namespace_name, []).append(tool)
    return dict(sorted(spaces.items()))


def _by_line(spaces: Mapping[str, list[Tool]], line: WriteTool, guarded: Guarded) -> str:
    lines = []
    for name, tools in spaces.items():
        shared = consent.mark_of_all(tools, guarded)
        lines.append(name + shared + _of_notebook(tools))
        lines += [line(tool) + ("" if shared else consent.mark(tool, guarded)) for tool in tools]
    return "\n".join(lines)


def _names(spaces: Mapping[str, list[Tool]], guarded: Guarded) -> str:
    lines = []
    for name, tools in spaces.items():
        shared = consent.mark_of_all(tools, guarded)
        names = (tool.tool_name + ("" if shared else consent.mark(tool, guarded)) for tool in tools)
        lines.append(f"{name}{shared}{_of_notebook(tools)}: {', '.join(names)}")
    return "\n".join(lines)


def of_notebook(path: str) -> str:
    """Return what stands behind a name to tell notebooks of one file name apart; empty: there is no path."""
    return f" ({inert.comment(path, 200)})" if path else ""


def _of_notebook(tools: Sequence[Tool]) -> str:
    """The notebook of a namespace, where another one has the same file name."""
    return of_notebook(next((tool.notebook for tool in tools if tool.notebook), ""))


def _least(spaces: Mapping[str, list[Tool]], head: str, most: int) -> str:
    """How many each namespace has; of a single one, the first names."""
    if len(spaces) == 1:
        ((name, tools),) = spaces.items()
        return head + _cut(f"{name}: ", [tool.tool_name for tool in tools], most - len(head))
    return head + _cut(
        "", [f"{name}{_of_notebook(tools)} ({len(tools)})" for name, tools in spaces.items()], most - len(head)
    )


def _cut(start: str, items: list[str], most: int) -> str:
    text = start
    for at, item in enumerate(items):
        if len(text) + len(item) > most - 60:
            return f"{text}… {len(items) - at:,} more; use search_functions"
        text += item + (", " if at + 1 < len(items) else "")
    return text


def _poorer(form: Detail, most: int) -> str:
    return f"Their {form} do not fit into {most:,} characters: pass a namespace, or use search_functions.\n"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
