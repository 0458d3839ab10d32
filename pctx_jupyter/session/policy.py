"""The policy on tool calls: a list of rules, the first that fits counts. A call that no rule names is allowed.

What it lets pass costs nothing: it is looked up once a program, not once a call. Who is asked is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from .. import errors
from ..tools.calls import AskedBy
from ..tools.tool import Tool

Then = Literal["allow", "ask", "deny"]
"""What a rule says of a call."""
EffectsFilter = Literal["effects", "none", "unknown"]
"""What narrows a rule to tools that change something outside, that do not, or of which it is unknown."""
_KINDS: dict[bool | None, EffectsFilter] = {True: "effects", False: "none", None: "unknown"}


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a policy: ``ask agent Mail.* effects``.

    Args:
        then: What it says.
        by: Whose programs it is about; "*": anybody's.
        pattern: Tools, by any of their names, as `Scope.matching` takes them.
        effects: The tools it is about, by what is known of their effects; None: all.
    """

    then: Then
    by: str
    pattern: str
    effects: EffectsFilter | None

    @classmethod
    def read(cls, text: str) -> PolicyRule:
        """Read one; raises `errors.InvalidParams` with what is wrong."""
        match text.split():
            case [then, by, pattern, *more] if (
                then in get_args(Then)
                and by in ("*", *get_args(AskedBy))
                and (not more or (len(more) == 1 and more[0] in get_args(EffectsFilter)))
            ):
                return cls(then, by, pattern, more[0] if more else None)  # type: ignore[arg-type]  # as just seen
        raise errors.InvalidParams(
            f"Cannot read the rule {text[:100]!r}: it has to be allow, ask or deny; then agent, notebook, client, cell "
            "or *; then a pattern of tools, such as Mail.*; then nothing, or one of "
            + ", ".join(get_args(EffectsFilter))
        )

    def fits(self, by: AskedBy, tool: Tool, names: Iterable[str]) -> bool:
        """Whether it is about a call of this tool, which has these names."""
        if self.by not in ("*", by) or self.effects not in (None, _KINDS[tool.effects]):
            return False
        return any(fnmatchcase(name, self.pattern) for name in names)


class Policy:
    """What is to become of tool calls; without a rule that fits, they are allowed.

    Args:
        rules: As `PolicyRule.read` takes them.
        asks_agents: Whether a person is asked about every call of an agent's program that is not denied.

    Raises:
        InvalidParams: One cannot be read.
    """

    def __init__(self, rules: Iterable[str], *, asks_agents: bool = False) -> None:
        self._rules = tuple(PolicyRule.read(text) for text in rules)
        self._asks_agents = asks_agents

    def allows_all(self, by: AskedBy) -> bool:
        """Whether every call is simply allowed, whatever the tool."""
        if self._asks_agents and by == "agent":
            return False
        return all(rule.then == "allow" for rule in self._rules if rule.by in ("*", by))

    def guarded(self, by: AskedBy, tools: Sequence[Tool]) -> dict[str, Then]:
        """The paths of those tools that are not simply allowed, and what is to become of calls of them.

        What a tool is called makes no difference: a rule for one of its names among `tools` holds for all of them.
        """
        if self.allows_all(by):
            return {}
        rules = [rule for rule in self._rules if rule.by in ("*", by)]
        otherwise: Then = "ask" if self._asks_agents and by == "agent" else "allow"
        names: dict[int, list[str]] = {}
        for tool in tools:
            names.setdefault(id(tool.first), []).extend(tool.spellings)
        found: dict[str, Then] = {}
        for tool in tools:
            rule = next((rule for rule in rules if rule.fits(by, tool, names[id(tool.first)])), None)
            then = otherwise if rule is None or rule.then == "allow" else rule.then
            if then != "allow":
                found[tool.path] = then
        return found


def forbidden(by: AskedBy) -> str:
    """Why a call is refused that the policy denies."""
    whose = {"agent": "agents", "cell": "cells", "client": "clients", "notebook": "other notebooks"}[by]
    return f"this server's policy denies it to {whose} (Pctx.policy)"
