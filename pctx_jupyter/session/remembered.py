"""Consents that outlive a session: a person has said "always" to a tool, and is not asked about it again.

Only tools that can be recognised after a restart have such consents: those of MCP servers, each by its fingerprint.
This module does not know where they are kept.
"""

from __future__ import annotations

import shlex
from typing import Literal, Protocol

import msgspec

from ..tools.calls import AskedBy
from ..tools.tool import Tool

OLD_RULE = 'c.Pctx.policy = ["ask agent * effects"]'
"""The configuration that asks only about tools that say of themselves that they have effects."""


class Permission(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A tool that is allowed without asking: its calls do not wait.

    `asked_by` says whose programs may call it (``*``: anybody's), `notebook` which notebook's, where it is one notebook
    alone. `since` is in seconds since 1970; 0: unknown. `lasts` as in a question. `server` is the MCP server that
    offers the tool.
    """

    id: str
    tool: str
    asked_by: list[str]
    since: float = 0.0
    lasts: Literal["session", "tool"] = "session"
    server: str | None = None
    notebook: str | None = None


class Remembered(Protocol):
    """The consents that are kept."""

    def permissions(self) -> list[Permission]:
        """Return all of them, as a person may read and take them back."""

    def revoke(self, id: str) -> bool:
        """Take one back, by the `id` of its `Permission`; returns whether there was one."""

    def has(self, tool: Tool) -> bool:
        """Whether a consent to this tool can be kept."""

    def allows(self, tool: Tool, by: AskedBy) -> bool:
        """Whether a person has consented to such calls of this very tool, as it is now."""

    def allow(self, tool: Tool, by: AskedBy) -> None:
        """Keep a consent to a tool for which `has` is true."""


class Nothing:
    """A `Remembered` where nothing can be kept."""

    def permissions(self) -> list[Permission]:
        return []

    def revoke(self, id: str) -> bool:
        return False

    def has(self, tool: Tool) -> bool:
        return False

    def allows(self, tool: Tool, by: AskedBy) -> bool:
        return False

    def allow(self, tool: Tool, by: AskedBy) -> None:
        raise AssertionError("nothing can be kept")


def way_out(tool: Tool, *, can_last: bool) -> str:
    """What to do where nobody answers for a tool of unknown effects, as the end of a refusal; "" for other tools.

    Args:
        can_last: Whether a consent to it can be kept.
    """
    if tool.effects is not None:
        return ""
    trust = f"allow it for good (jupyter pctx mcp trust --tools {shlex.quote(tool.first.registered_namespace)}), or "
    return (
        f". The tool does not say whether it changes something: {trust if can_last else ''}be asked only for tools "
        f"that say so ({OLD_RULE})"
    )
