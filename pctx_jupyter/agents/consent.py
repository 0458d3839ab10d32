"""Marks tools whose calls need a person's consent, or are denied by the policy, in what models read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..session.policy import Then
from ..tools.tool import Tool

Guarded = Mapping[str, Then]
"""The action for calls that are not allowed at once, by the tool's path."""

ASK, DENY = " @consent", " @denied"
"""The marks, as they follow a name in a list."""

_LEGEND: dict[Then, str] = {
    "ask": "@consent: a person is asked before the call.",
    "deny": "@denied: this server's policy denies the call.",
}
_IN_DECLARATION: dict[Then, str] = {
    "ask": "@consent: a person is asked before each call",
    "deny": "@denied: this server's policy denies each call (Pctx.policy)",
}


def mark(tool: Tool, guarded: Guarded) -> str:
    """What follows a tool's name in a list; empty where its calls are let pass."""
    return {"ask": ASK, "deny": DENY, "allow": ""}[guarded.get(tool.path, "allow")]


def mark_of_all(tools: Sequence[Tool], guarded: Guarded) -> str:
    """The mark that all tools of a namespace share; empty where they differ, or have none."""
    marks = {mark(tool, guarded) for tool in tools}
    return marks.pop() if len(marks) == 1 else ""


def legend(tools: Sequence[Tool], guarded: Guarded) -> str:
    """What the marks of these tools mean, with a space at its end; empty where there is none."""
    there = {guarded[tool.path] for tool in tools if tool.path in guarded}
    return "".join(f"{text} " for then, text in _LEGEND.items() if then in there)


def declared(tool: Tool, guarded: Guarded) -> Tool:
    """The tool with its mark in its description, to be declared."""
    text = _IN_DECLARATION.get(guarded.get(tool.path, "allow"))
    if text is None:
        return tool
    return tool.changed(description=f"{tool.description.rstrip()}\n{text}".lstrip())
