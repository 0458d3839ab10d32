"""Which tool is meant: by a pattern, or by a name that no tool has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from .. import errors
from ..nearest import nearest
from .tool import Tool

LONGEST_PATH = 300
"""Characters of a path that are compared with others."""

_WORDS = re.compile(r"\d+|[A-Z]+(?![^\W\d_A-Z])|[^\W\d_][^\W\d_A-Z]*")
"""The words of a name in either spelling."""


def no_such_tool(path: str, offers: Iterable[str], paths: Mapping[str, str]) -> errors.ToolNotFound:
    """Say that a tool is not there, and which one might be meant.

    Args:
        path: What was asked for.
        offers: The canonical names of the tools there are.
        paths: Those by the names they were registered with.
    """
    close = _meant(path, dict.fromkeys(offers) | dict(paths))
    hint = f" (did you mean {close}?)" if close is not None else ""
    return errors.ToolNotFound(f"Cannot call {path[:200]}: no such tool in this session{hint}")


def _meant(path: str, known: Mapping[str, str | None]) -> str | None:
    """Return the canonical path of the tool that a path most likely means; None: no tool, or several.

    A wrong suggestion is worse than none: an agent calls it. So each word has to be like the word in its place, and
    begin with the same letter: ``encode`` is not ``decode``, nor is ``createIssue`` ``closeIssue``.

    Args:
        path: What was asked for.
        known: The paths of tools, each with the canonical path if it is another.
    """
    namespace, _, name = path[:LONGEST_PATH].rpartition(".")
    candidates = {one: to or one for one, to in known.items() if _is_like(name, one.rpartition(".")[2])}
    if namespace:
        candidates = {one: to for one, to in candidates.items() if _is_like(namespace, one.rpartition(".")[0])}
        close = nearest(path, candidates, likeness=0)
        return None if close is None else candidates[close]
    meant = set(candidates.values())
    return meant.pop() if len(meant) == 1 else None


def _is_like(wanted: str, known: str) -> bool:
    """Whether one name is another with a slip of the pen, or in another spelling."""
    ours, theirs = _WORDS.findall(wanted), _WORDS.findall(known)
    if len(ours) != len(theirs):
        ours, theirs = ["".join(ours)], ["".join(theirs)]
        likeness = 0.85
    else:
        likeness = 0.7
    for one, other in zip(map(str.lower, ours), map(str.lower, theirs), strict=True):
        if one == other:
            continue
        if one[:1] != other[:1] or one.isdigit() or nearest(one, [other], likeness=likeness) is None:
            return False
    return True


def matching(tools: Iterable[Tool], patterns: list[str] | None) -> list[Tool]:
    """Return the tools of which either path matches one of the patterns, such as ``Sales.*``; None: all.

    Raises:
        ToolNotFound: A pattern matches no tool, which is most likely a mistake.
    """
    known = list(tools)
    if patterns is None:
        return known
    chosen: dict[str, Tool] = {}
    for pattern in patterns:
        found = {tool.path: tool for tool in known if is_match(tool, pattern)}
        if not found:
            raise no_match(pattern)
        chosen |= found
    return list(chosen.values())


def is_match(tool: Tool, pattern: str) -> bool:
    """Whether either path of a tool matches a pattern."""
    return fnmatchcase(tool.path, pattern) or fnmatchcase(tool.registered_path, pattern)


def no_match(pattern: str) -> errors.ToolNotFound:
    """Make the error for a pattern that matches no tool."""
    return errors.ToolNotFound(
        f"Cannot offer {pattern[:200]}: it matches no tool of this session; leave it out, or write another pattern"
    )
