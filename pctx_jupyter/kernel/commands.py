"""The commands of ``%pctx``: they register tools by name, and show tools, runs and the engine."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from .. import errors
from ..nearest import did_you_mean
from ..program.cell import OPTIONS
from ..rpc import wire
from ..tools.lookup import is_match
from ..tools.tool import UNTYPED, Tool, is_untyped
from . import options
from .bridge import Bridge
from .functions import tool
from .held import shape_of, size_of
from .home import Home
from .learning import USAGE as LEARN_USAGE
from .learning import LearnCommand, tool_of
from .spelling import as_python

if TYPE_CHECKING:
    from ..history.file import PastRun
    from ..session.session import Sharing
    from ..session.trace import Trace
    from .approvals import ApprovalCommands
    from .output.display import Shown
    from .output.notices import Notices

HOME_S = 30.0
"""Seconds that ``%pctx status`` waits for the engine's home to open."""

OTHERS_S = 2.0
"""Seconds that ``%pctx tools`` waits for tools from elsewhere; the notebook's own are known without waiting."""

ALONE = {"handles", "runs", "status"}
"""The commands after which no word may follow."""

SHARING: dict[str, Sharing | None] = {
    "": None,
    "on": "everyone",
    "agents": "agents",
    "off": "nobody",
}
"""The setting for each word after ``%pctx share``; None: only show it."""

HELP = {
    "Programs": [
        ("%%pctx", "Run the cell as TypeScript; it may call the tools, and its last expression is its value."),
        *((option.summary, option.help) for option in OPTIONS),
    ],
    "Tools": [
        ("@tool", "Above a function: make it a tool (from pctx_jupyter import tool)."),
        (
            options.REGISTER_USAGE,
            "Make tools of functions that the notebook has; --no-share: only this notebook may call them.",
        ),
        ("%pctx unregister TOOL …", "Remove tools."),
        (
            "%pctx tools [TEXT …]",
            "List the tools that programs may call; with words, those that have them.",
        ),
        ("%pctx details TOOL …", "Show the declaration and the description of tools; Sales.*: of all in a namespace."),
        (
            LEARN_USAGE,
            "Call a tool once to learn the type of its result; --read-only: all tools of a server that change nothing.",
        ),
    ],
    "Kept": [
        (
            "%pctx forget [NAME|ID …]",
            "Remove names and frames that earlier programs keep for later ones; without a name, all of them.",
        ),
        ("%pctx handles", "List the frames and other objects that later programs may use, with their ids."),
    ],
    "Past": [
        (
            options.HISTORY_USAGE,
            "List past runs; with a number, insert the program of that run as a cell.",
        ),
    ],
    "Guests": [
        (
            "%pctx share [on|agents|off]",
            "Set who may call the tools: agents and notebooks, agents, only this notebook.",
        ),
        ("%pctx runs", "List the latest guest programs: those of agents and other notebooks that called the tools."),
        ("%pctx insert N", "Insert a guest program as a cell."),
        (
            "%pctx approvals",
            "List the calls that wait for your consent, and the tools that are allowed without asking.",
        ),
    ],
    "MCP servers": [
        ("%pctx mcp", "List the MCP servers whose tools programs may call."),
        ("%pctx mcp add NAME URL|COMMAND …", "Add one; --bearer, --header, --env, --sse, --for-now."),
        ("%pctx mcp remove NAME", "Remove one. In place of remove: reconnect, trust, approve, ask, sign-in."),
    ],
    "Engine": [
        ("%pctx status", "Show where programs run, why, and the state of that engine."),
        ("%pctx help [COMMAND]", "Show this help, or that of one command."),
    ],
}
"""What ``%pctx help`` shows."""


def help_in_text() -> str:
    """Return the help as plain text, for ``%pctx?``."""
    return "\n\n".join(
        "\n".join([title, *(f"  {usage}\n      {meaning}" for usage, meaning in rows)]) for title, rows in HELP.items()
    )


class Commands:
    """The commands of one shell.

    Args:
        shell: The shell whose names they use.
        bridge: The connection to its engine.
        notices: The guest programs that called its tools; None: there can be none.
    """

    def __init__(self, shell: InteractiveShell, bridge: Bridge, notices: Notices | None) -> None:
        self._shell, self._bridge, self._notices = shell, bridge, notices
        self._asked: ApprovalCommands | None = None
        self._commands: dict[str, Callable[[str], Shown | None]] = {
            "register": self._register,
            "unregister": self._unregister,
            "tools": self._tools,
            "details": self._details,
            "learn": self._learn,
            "forget": self._forget,
            "handles": self._handles,
            "history": self._history,
            "share": self._share,
            "runs": self._runs,
            "insert": self._insert,
            "approvals": self._approvals,
            "mcp": self._mcp,
            "status": self._status,
            "help": self._help,
        }

    def run(self, line: str) -> Shown | None:
        """Run the command in a line after ``%pctx``; an empty line shows the help.

        Raises:
            UsageError: There is no such command, or it failed; the message says what to do.
        """
        name, _, rest = line.strip().partition(" ")
        command = self._commands.get(name or "help")
        if command is None:
            raise UsageError(
                f"%pctx has no command {name[:100]!r}{did_you_mean(name, self._commands)}; it has "
                f"{', '.join(self._commands)}. A program goes below a line %%pctx"
            )
        if rest.strip() and name in ALONE:
            raise UsageError(f"Cannot use {rest.strip()[:100]!r}: %pctx {name} takes nothing more")
        try:
            return command(rest.strip())
        except errors.PctxError as error:
            raise UsageError(error.message) from None

    def _register(self, line: str) -> None:
        given = options.register_options(line)
        functions = [(name, self._named(name)) for name in given.functions]
        made = [
            # A lambda has no name of its own: it gets the name in the command.
            tool.define(
                function,
                name=name.rpartition(".")[2] if getattr(function, "__name__", None) == "<lambda>" else None,
                namespace=given.namespace,
                share=given.share,
            )
            for name, function in functions
        ]
        said = f"Registered {', '.join(one.path for one in made)}"
        if vague := [one.path for one in made if isinstance(one.input_schema, dict) and UNTYPED in one.input_schema]:
            said += f"; parts of {', '.join(vague)} are any: %pctx details {vague[0]} says why"
        print(said)  # noqa: T201  # a magic's output

    def _unregister(self, line: str) -> None:
        gone: dict[str, tool.PythonTool] = {}
        for name in _words(line, "%pctx unregister TOOL …"):
            matching = [one for one in tool.defined() if is_match(one.tool, name)]
            gone |= {one.path: one for one in matching or [self._tool(name, "unregister")]}
        for one in gone.values():
            tool.forget(one.path)
        print(f"Unregistered {', '.join(gone)}")  # noqa: T201  # a magic's output

    def _tools(self, line: str) -> Shown:
        from .output import display

        own, others = self._listed()
        if line:
            words = line.lower().replace(",", " ").split()
            listed, own, others = [*own, *others], _with(words, own), _with(words, others)
            if not own and not others:
                raise UsageError(f"No tool has {line[:100]!r} in its name or description; there are {len(listed):,}")
        return display.Shown(display.catalog(own, others))

    def _details(self, line: str) -> Shown:
        from .output import display

        found: dict[str, Tool] = {}
        for name in _words(line, "%pctx details TOOL …"):
            for path in self._matching(name) if "*" in name else [name]:
                one = self._described(path)
                found[one.path] = one
        return display.Shown(display.details_of(found.values()))

    def _listed(self) -> tuple[list[Tool], list[Tool]]:
        """The notebook's own tools, and those of others."""
        own = [one.tool for one in tool.defined()]
        return own, self._of_others({one.path for one in own})

    def _matching(self, pattern: str) -> list[str]:
        """The paths of the tools that match a pattern; raises UsageError if there is none."""
        own, others = self._listed()
        found = [one.path for one in (*own, *others) if is_match(one, pattern)]
        if not found:
            raise UsageError(f"Cannot describe {pattern}: no such tool here; %pctx tools lists them")
        return found

    def _learn(self, line: str) -> Shown | None:
        try:
            return LearnCommand(self._bridge).run(line)
        except TimeoutError:
            raise UsageError(f"Cannot learn: the engine has not answered within {HOME_S:g} s; try again") from None

    def _forget(self, line: str) -> None:
        words, handles = line.replace(",", " ").split(), self._bridge.handles
        gone = [word for word in words if handles.drop(word)]
        names = [word for word in words if word not in gone]
        if names or not words:
            try:
                gone += self._bridge.do(lambda home: home.client.forget(names), HOME_S)
            except TimeoutError:
                raise UsageError(f"Cannot forget: the engine is not open after {HOME_S:g} s; try again") from None
            handles.forget(names or None)
        print(f"Forgot {', '.join(gone)}" if gone else "Nothing was kept")  # noqa: T201  # a magic's output

    def _handles(self, line: str) -> Shown:
        from .output import display

        found = list(self._bridge.handles.held())
        if not found:
            return display.Shown(
                {"text/plain": "No frame outlives its program: export one, or let an agent ask for one"}
            )
        now = self._bridge.handles.now()
        rows = [
            (
                (one := held.handle).id,
                one.label,
                one.kind,
                " × ".join(f"{length:,}" for length in shape_of(one)),
                display.size(size_of(one)) if size_of(one) else "",
                held.why,
                f"{(now - one.since) / 60:,.0f} min",
                "" if held.left_s is None else f"{held.left_s / 60:,.0f} min",
            )
            for held in found
        ]
        return display.Shown(display.table(("Id", "Of", "Kind", "Shape", "Size", "Held", "For", "Left"), rows))

    def _share(self, line: str) -> None:
        if line not in SHARING:
            raise UsageError(
                f"%pctx share has no {line!r}{did_you_mean(line, SHARING)}\nUsage: %pctx share [on|agents|off]"
            )
        to = SHARING[line]
        try:
            shared = self._bridge.do(lambda home: home.client.share(to), HOME_S, with_tools=True)
        except TimeoutError:
            raise UsageError(f"Cannot share: the engine is not open after {HOME_S:g} s; try again") from None
        print(_shared(shared))  # noqa: T201  # a magic's output

    def _runs(self, line: str) -> Shown:
        from .output import display

        runs = self._notices.runs if self._notices is not None else []
        if not runs:
            return display.Shown({"text/plain": "No guest program has called this notebook's tools yet"})
        heads = ("Run", "Began", "Whose", "Called", "State", "Program")
        rows = [(f"{run.number}", run.began, run.owner, run.called, run.state, _first_line(run.code)) for run in runs]
        return display.Shown(display.table(heads, rows))

    def _insert(self, line: str) -> None:
        runs = {f"{run.number}": run for run in (self._notices.runs if self._notices is not None else [])}
        if line not in runs:
            raise UsageError(f"Cannot insert run {line!r}: it is not among the latest; %pctx runs lists them")
        self._shell.set_next_input(f"%%pctx\n{runs[line].code}")

    def _history(self, line: str) -> Shown | None:
        from ..history.file import HistoryFile, none_found, usual_path
        from .output import display

        asked = options.history_options(line)
        file = HistoryFile(usual_path())
        if asked.number is not None:
            self._insert_past(asked.number, file.get(asked.number))
            return None
        runs = file.search(asked.text, failed=asked.failed, agent=asked.agent, most=asked.most)
        if not runs:
            return display.Shown({"text/plain": none_found(asked.text, asked.failed, asked.agent)})
        heads = ("Run", "Began", "Whose", "State", "Seconds", "Tokens", "Plain", "Called", "Program")
        return display.Shown(display.table(heads, map(_past_row, runs)))

    def _insert_past(self, number: int, trace: Trace | None) -> None:
        if trace is None:
            raise UsageError(f"Cannot insert run {number}: the history has no such run; %pctx history lists some")
        if not trace.code:
            raise UsageError(f"Cannot insert run {number}: its code was not kept (Pctx.history_code)")
        if trace.code_cut:
            print(f"Only the beginning of run {number} was kept: {len(trace.code):,} characters")  # noqa: T201  # a magic's output
        self._shell.set_next_input(f"%%pctx\n{trace.code}")

    def _of_others(self, own: set[str]) -> list[Tool]:
        """The tools from elsewhere that programs may call; none if the engine does not answer at once."""
        try:
            found = self._bridge.do(lambda home: home.client.list_functions(), OTHERS_S, with_tools=True)
        except (TimeoutError, errors.PctxError):
            return []
        return [tool_of(entry) for entry in found if entry["name"] not in own | {f"{tool.FRAMES}.query"}]

    def _status(self, line: str) -> Shown:
        from .output import display

        try:
            facts = self._bridge.do(_facts, HOME_S)
        except TimeoutError:
            facts = {"Engine": f"still opening after {HOME_S:g} s"}
        return display.Shown(display.status(facts | {"Tools": len(tool.defined())}))

    def _mcp(self, line: str) -> Shown | None:
        from .upstreams import UpstreamCommands

        try:
            return UpstreamCommands(self._bridge).run(line)
        except TimeoutError:
            raise UsageError(f"Cannot ask: the engine has not answered within {HOME_S:g} s; try again") from None

    def _approvals(self, line: str) -> None:
        from .approvals import ApprovalCommands

        if self._asked is None:
            self._asked = ApprovalCommands(self._bridge)
        try:
            self._asked.run(line)
        except TimeoutError:
            raise UsageError(f"Cannot ask: the engine has not answered within {HOME_S:g} s; try again") from None

    def _help(self, line: str) -> Shown:
        from .output import display

        if not line:
            return display.Shown(display.help(HELP))
        if line not in self._commands:
            raise UsageError(f"%pctx has no command {line[:100]!r}{did_you_mean(line, self._commands)}")
        fit = {title: [one for one in rows if line in one[0].split()] for title, rows in HELP.items()}
        return display.Shown(display.help({title: rows for title, rows in fit.items() if rows}))

    def _named(self, name: str) -> Any:
        """The value of a name of the notebook or of Python: ``load``, ``sales.load``, ``len``."""
        first, *rest = map(as_python, name.split("."))
        names = vars(builtins) | self._shell.user_ns
        if first not in names:
            hint = did_you_mean(first, (key for key, value in names.items() if callable(value) and key[:1] != "_"))
            way_out = f"; import {first} first" if rest and _is_module(first) else hint
            raise UsageError(f"Cannot register {name}: the notebook has no {first}{way_out}")
        found = names[first]
        for part in rest:
            if not hasattr(found, part):
                raise UsageError(f"Cannot register {name}: {first} has no {part}")
            found, first = getattr(found, part), f"{first}.{part}"
        return found

    def _described(self, name: str) -> Tool:
        """The tool of a name: of this notebook, or from elsewhere if programs may call it."""
        try:
            own = self._tool(name, "describe").tool
        except UsageError:
            others = self._of_others({one.path for one in tool.defined()})
            found = next((one for one in others if one.path == name), None)
            if found is None:
                raise
            return found
        if not is_untyped(own.output_schema):
            return own
        try:  # the engine knows what it has returned
            known = self._bridge.do(
                lambda home: home.client.get_function_details([own.path]), OTHERS_S, with_tools=True
            )
        except (TimeoutError, errors.PctxError):
            return own
        return replace(own, output_schema=known[own.path]["output_schema"])

    def _tool(self, name: str, action: str) -> tool.PythonTool:
        """The tool of a name, with or without its namespace, in either spelling."""
        known = tool.defined()
        for one in known:
            declared = one.tool
            if name in (declared.path, declared.registered_path):
                return one
        short = [one for one in known if name in (one.name, one.tool.tool_name)]
        if len(short) == 1:
            return short[0]
        hint = did_you_mean(name, (one.path for one in short or known))
        raise UsageError(f"Cannot {action} {name}: no such tool here{hint}; %pctx tools lists them")


def _shared(shared: wire.Shared) -> str:
    if shared.name is None:
        return "Cannot be shared: programs run in an engine of this kernel (%pctx status says why)"
    match shared.to:
        case "nobody":
            return "Only this notebook may call its tools"
        case "agents":
            return f"Agents may call its tools, as {shared.name}; %pctx share on: notebooks too"
        case "everyone":
            return f"Agents and notebooks may call its tools, as {shared.name}"


def _past_row(run: PastRun) -> tuple[str, ...]:
    began = datetime.fromtimestamp(run.started_at).strftime("%Y-%m-%d %H:%M:%S")  # the person's own time
    whose = run.agent or (run.notebook or "a notebook" if run.asked_by in ("cell", "notebook") else run.asked_by)
    called = ", ".join(f"{tool} × {calls}" if calls > 1 else tool for tool, calls in run.tools.items())
    state = f"{run.state}: {run.error}" if run.error else run.state
    here, plain = ("", "") if run.meter is None else (f"{run.meter.here:,}", f"{run.meter.plain:,}")
    return (f"{run.number}", began, whose, state, f"{run.duration_s:.3f}", here, plain, called, run.title)


def _first_line(code: str) -> str:
    return next((line.strip() for line in code.splitlines() if line.strip()), "")[:60]


async def _facts(home: Home) -> dict[str, object]:
    facts: dict[str, object] = {"Engine": home.kind if home.url is None else f"{home.kind} at {home.url}"}
    facts["Why"] = home.why
    if home.url is not None and home.client.session_id is not None:
        facts["Sharing"] = _shared(await home.client.share())
    if (meter := home.client.meter) is not None:
        from ..session.meter import in_words

        facts["Programs"] = f"{meter.session_runs:,}: {in_words(meter.session_plain, meter.session_here)}"
    facts["Connection"] = "open" if home.client.session_id is not None else "lost; reconnecting"
    if home.status is not None:
        known = {name: _said(fact) for name, fact in home.status().items() if name not in ("tools", "meter")}
        facts |= {name.capitalize().replace("_", " "): said for name, said in known.items() if said != ""}
    return facts


def _said(fact: object) -> object:
    if isinstance(fact, dict):
        return ", ".join(_member(name, part) for name, part in fact.items() if part not in (None, "", []))
    if isinstance(fact, list):
        return " ".join(str(_said(part)) for part in fact)
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return fact


def _member(name: str, fact: object) -> str:
    if name.endswith("_bytes") and isinstance(fact, int):
        return f"{name.removesuffix('_bytes')} {fact / 1e6:.0f} MB"
    return f"{name.replace('_', ' ')} {_said(fact)}"


def _with(words: Iterable[str], tools: Iterable[Tool]) -> list[Tool]:
    """The tools that have each of the words, in lower case, in their name or description."""
    return [one for one in tools if all(word in f"{one.path} {one.description}".lower() for word in words)]


def _is_module(name: str) -> bool:
    """Whether there is a module of this name to import."""
    try:
        return name.isidentifier() and find_spec(name) is not None
    except ValueError:  # __main__
        return False


def _words(line: str, usage: str) -> list[str]:
    if not (words := line.replace(",", " ").split()):
        raise UsageError(f"A name is missing\nUsage: {usage}")
    return words
