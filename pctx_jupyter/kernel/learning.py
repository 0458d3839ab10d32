"""``%pctx learn``: call tools once, so that the types of their results are known. What they return is not shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import StdinNotImplementedError, UsageError

from .. import errors, visible
from ..nearest import did_you_mean
from ..rpc import wire
from ..tools import observed
from ..tools.tool import Tool, is_untyped
from .bridge import Bridge

if TYPE_CHECKING:
    from .output.display import Shown

ANSWER_S = 30.0
"""Seconds that the engine may take to describe tools."""
MOST_SAMPLED = 20
"""Tools of one server that are called at once."""
LONGEST_FAILURE = 500
"""Characters that are shown of a call that failed."""
USAGE = "%pctx learn TOOL [ARGUMENTS] | NAMESPACE [--read-only] | --forget TOOL …"

_PATH = re.compile(r"[A-Za-z_$][\w$]*(?:\.[\w$]+)+")
_NAMESPACE = re.compile(r"([A-Za-z_$][\w$]*)\s+--read-only|--read-only\s+([A-Za-z_$][\w$]*)")


class LearnCommand:
    """The command of one notebook.

    Args:
        bridge: The connection to its engine.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def run(self, line: str) -> Shown | None:
        """Run what follows ``%pctx learn``.

        Raises:
            UsageError: There is no such command or tool, or its type cannot be learnt; the message says why.
            PctxError: The call failed.
        """
        if not line:
            raise UsageError(f"The name of a tool is missing\nUsage: {USAGE}")
        if line.split(maxsplit=1)[:1] == ["--forget"]:
            self._forget(line.replace(",", " ").split()[1:])
            return None
        if (several := _NAMESPACE.fullmatch(line)) is not None:
            return self._sample(several[1] or several[2])
        if line.isidentifier() and any(path.startswith(f"{line}.") for path in self._listed()):
            return self._sample(line, is_asked=True)
        path, _, arguments = line.partition(" ")
        path, bracket, rest = path.partition("(")
        if bracket or not _PATH.fullmatch(path):
            raise UsageError(
                f"Cannot learn {path + bracket + rest!r}: it is not the name of a tool or a namespace\nUsage: {USAGE}"
            )
        self._call(self._described(path), arguments.strip())
        learnt = self._described(path)
        if not observed.comment(learnt.output_schema):
            raise UsageError(
                f"Learnt nothing of {path}: its result was null, empty or too large, or c.Pctx.observe_types is off"
            )
        return self._shown([learnt])

    def _listed(self) -> dict[str, dict[str, Any]]:
        """The engine's list of functions, by full name."""
        entries = self._bridge.do(lambda home: home.client.list_functions(), ANSWER_S, with_tools=True)
        return {entry["name"]: entry for entry in entries}

    def _sample(self, namespace: str, *, is_asked: bool = False) -> Shown | None:
        """Call each tool of a namespace that says that it only reads, and needs no argument.

        Args:
            is_asked: Whether the user is asked first; they may decline.
        """
        entries = self._listed()
        own = [entry for path, entry in entries.items() if path.partition(".")[0] == namespace]
        if not own:
            known = dict.fromkeys(path.partition(".")[0] for path in entries)
            raise UsageError(f"Cannot learn {namespace}: no such namespace{did_you_mean(namespace, known)}")
        fit = [tool_of(entry) for entry in own if entry.get("reads_only") and _takes_nothing(entry["input_schema"])]
        new = [tool for tool in fit if is_untyped(tool.output_schema)][:MOST_SAMPLED]
        if not new:
            raise UsageError(
                f"Nothing to learn of {namespace}: it has no tool that says that it only reads (readOnlyHint), needs "
                f"no argument, and has an unknown result; %pctx learn {namespace}.TOOL {{…}} calls one tool"
            )
        if is_asked and not _agrees(namespace, [tool.path for tool in new]):
            return None
        failed = []
        for tool in new:
            try:
                self._call(tool, "")
            except errors.PctxError as error:
                failed.append(visible.line(f"{tool.path} failed: {error.message}", LONGEST_FAILURE))
        for line in failed:
            print(line)  # noqa: T201  # a magic's output
        found = [self._described(tool.path) for tool in new]
        return self._shown([tool for tool in found if observed.comment(tool.output_schema)])

    def _forget(self, paths: list[str]) -> None:
        if not paths:
            raise UsageError(f"The name of a tool is missing\nUsage: {USAGE}")
        self._bridge.do(lambda home: home.client.forget_types(paths), ANSWER_S, with_tools=True)
        print(f"Forgot what was observed of {', '.join(paths)}")  # noqa: T201  # a magic's output

    def _call(self, tool: Tool, arguments: str) -> None:
        """Call a tool, and nothing else, as a program of a cell does: people may be asked for their consent."""
        if not (is_untyped(tool.output_schema) or observed.comment(tool.output_schema)):
            raise UsageError(f"Nothing to learn of {tool.path}: it declares its result (%pctx details {tool.path})")
        asked = wire.Execute(f"await {tool.path}({arguments});\nnull", tools=[tool.path], keep=False)
        outcome, _ = self._bridge.block_for(asked)
        if isinstance(outcome, Exception):
            raise outcome

    def _described(self, path: str) -> Tool:
        try:
            found = self._bridge.do(lambda home: home.client.get_function_details([path]), ANSWER_S, with_tools=True)
        except errors.ToolNotFound as error:
            raise UsageError(f"{error.message}; %pctx tools lists them") from None
        return tool_of(found[path])

    def _shown(self, tools: Iterable[Tool]) -> Shown:
        from .output import display

        return display.Shown(display.details_of(tools))


def tool_of(entry: dict[str, Any]) -> Tool:
    """Return the tool of an entry in the engine's list of functions, or of its description."""
    path = entry["name"] if "namespace" not in entry else f"{entry['namespace']}.{entry['name']}"
    namespace, _, name = path.partition(".")
    tool = Tool(namespace, name, entry["description"], entry["input_schema"], entry["output_schema"])
    return replace(tool, notebook=entry.get("notebook", ""))


def _agrees(namespace: str, paths: list[str]) -> bool:
    """Ask the user whether to call these tools.

    Raises:
        UsageError: This front end cannot ask.
    """
    try:
        answer = input(f"Call {', '.join(paths)} once? The server says that they only read. [y/N] ")
    except (StdinNotImplementedError, EOFError):
        raise UsageError(
            f"Cannot ask whether to call {', '.join(paths)}: this front end has no input; "
            f"%pctx learn {namespace} --read-only calls them without asking"
        ) from None
    return answer.strip().lower() in ("y", "yes")


def _takes_nothing(schema: object) -> bool:
    """Whether a tool can be called without an argument."""
    return schema is None or (isinstance(schema, dict) and not schema.get("required") and "anyOf" not in schema)
