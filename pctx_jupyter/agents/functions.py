"""The functions agents are offered: find out what there is, execute a program, collect it later. No SDK, no HTTP.

Their texts are written for models: short, since every conversation pays for them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from .. import errors, processes
from ..nearest import did_you_mean
from ..program import one_call
from ..rpc.jsonrpc import Json
from ..session.policy import Then
from ..session.request import check_timeout
from ..session.session import Session
from ..settings import Settings
from ..tools.scope import WHOLE
from ..tools.tool import Tool
from . import excerpt, listing
from .answers import AgentAnswer, Asking
from .consent import Guarded
from .listing import Detail
from .runs import AgentRun, Asks, Repeats, Report, Runs
from .search import Search
from .states import NEW, OWNER, States

log = logging.getLogger(__name__)

INSTRUCTIONS = "Write one TypeScript program that makes all the calls, rather than many small ones."
"""The description of the server as a whole, for models."""
NAMESPACES = 70
"""Characters of namespaces in a description."""
MOST_FOUND = 50
"""Tools that one search may return."""
MOST_ASKED = 200
"""Names whose details may be asked for at a time."""

_FIND = ("list_functions", "search_functions", "get_function_details")
_RUN = ("execute", "wait_execution")
OFFERED: Mapping[str, tuple[str, ...]] = {
    "catalog": (*_FIND, *_RUN),
    "filesystem": ("execute_bash", *_RUN),
    "sidecar": (*_FIND, *_RUN, "invoke"),
}
"""What agents are offered, by the setting `disclosure`."""

MOST_NAMESPACES = 50
"""Namespaces that an error names."""

STDERR_SHARE = 4
"""What a command prints to stderr may take this part of the budget (a quarter)."""


class _Arguments(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _ListArguments(_Arguments):
    detail: Detail = "signatures"
    namespace: str | None = None


class _SearchArguments(_Arguments):
    query: str
    k: Annotated[int, Meta(ge=1, le=MOST_FOUND)] = 5


class _DetailsArguments(_Arguments):
    functions: Annotated[list[str], Meta(min_length=1, max_length=MOST_ASKED)] | str

    @property
    def paths(self) -> list[str]:
        """The names, each once."""
        return [self.functions] if isinstance(self.functions, str) else list(dict.fromkeys(self.functions))


class _ExecuteArguments(_Arguments):
    code: str
    timeout_s: float | None = None
    state: str | None = None


class _InvokeArguments(_Arguments):
    name: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class _BashArguments(_Arguments):
    command: str


class _WaitArguments(_Arguments):
    handle: str
    stop: bool = False


_A = TypeVar("_A", bound=_Arguments)

_TEXT: Json = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Definition:
    """One function as clients list it.

    `reads_only`: it changes nothing, anywhere. `may_destroy`: it may, by the tools that its programs call; of what is
    not, nothing that was there is lost.
    """

    name: str
    description: str
    properties: dict[str, Json] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    reads_only: bool = True
    may_destroy: bool = False

    @property
    def input_schema(self) -> dict[str, Json]:
        """JSON Schema of its arguments."""
        schema: dict[str, Json] = {"type": "object", "properties": dict(self.properties)}
        return schema | {"required": list(self.required)} if self.required else schema


class Functions:
    """What agents may call.

    Args:
        session: Where their programs run, and whose scope they see.
        settings: Sizes and waits.
        clock: Monotonic seconds.
        hands_over: Whether a program that takes long is handed over to ``wait_execution``; otherwise a call lasts as
            long as its program.

    Attributes:
        states: What agents keep between programs.
    """

    def __init__(
        self,
        session: Session,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        *,
        hands_over: bool = True,
    ) -> None:
        self.session, self._settings, self._hands_over = session, settings, hands_over
        self.states = States(settings, clock)
        self.runs = Runs(settings.mcp_kept_s)
        self._search = Search(session.scope)
        known: dict[str, Callable[[dict[str, Any], Report, Asks], Awaitable[AgentAnswer | Asking]]] = {
            "list_functions": self._list,
            "search_functions": self._find,
            "get_function_details": self._details,
            "execute_bash": self._execute_bash,
            "execute": self._execute,
            "invoke": self._invoke,
            "wait_execution": self._wait,
        }
        offered = OFFERED[settings.disclosure]
        self._functions = {
            name: serve for name, serve in known.items() if name in offered and (hands_over or name != "wait_execution")
        }

    def definitions(self) -> list[Definition]:
        """Return the functions with their descriptions for models, which name the namespaces there are now."""
        settings, limits = self._settings, self._settings.limits
        default_s = min(limits.timeout_s, settings.max_timeout_s)
        kept = "Nothing is kept between programs. "
        with_state: dict[str, Json] = {}
        if settings.max_agent_states:
            kept = f'Nothing is kept between programs but exports, with state: "{NEW}", then its id. '
            with_state = {"state": _TEXT}
        definitions = [
            Definition(
                "list_functions",
                f"List the functions programs can call{self._namespaces()}",
                {"detail": {"enum": ["names", "signatures", "descriptions"]}, "namespace": _TEXT},
            ),
            Definition(
                "search_functions",
                "Find functions by words or names.",
                {"query": _TEXT, "k": {"type": "integer"}},
                ("query",),
            ),
            Definition(
                "get_function_details",
                'TypeScript declarations of functions such as "Ns.name" or "Ns.*".',
                {"functions": {"type": "array", "items": _TEXT}},
                ("functions",),
            ),
            Definition(
                "execute_bash",
                f"Find the functions programs can call{self._namespaces()} Runs bash in /sdk, which cannot be changed: "
                "README.md names them all, Ns/name.d.ts declares one. ls, cat, grep, find, sed, awk, jq, pipes; "
                "no network; only /tmp is writable, and empty again for each command.",
                {"command": _TEXT},
                ("command",),
            ),
            Definition(
                "execute",
                "Run TypeScript, type-checked first, without network, files or packages. Call functions as "
                f"`await Ns.name({{…}})`: calls are cheap, {limits.max_calls_in_flight} at once (Promise.all), "
                f"{limits.max_calls:,} in all. The last expression is the result, console.log is shown, "
                f"{settings.max_mcp_characters:,} characters together: filter and aggregate in code. {kept}"
                f"timeout_s: {default_s:g}, at most {settings.max_timeout_s:g}."
                + (
                    f" After {settings.mcp_wait_s:g} s it goes on and a handle is returned." if self._hands_over else ""
                ),
                {"code": _TEXT, "timeout_s": {"type": "number", "maximum": settings.max_timeout_s}, **with_state},
                ("code",),
                reads_only=False,
                may_destroy=True,
            ),
            Definition(
                "invoke",
                "Call one function by its name; it takes the arguments that get_function_details shows. For several "
                "calls, use execute.",
                {"name": _TEXT, "arguments": {"type": "object"}},
                ("name",),
                reads_only=False,
                may_destroy=True,
            ),
            Definition(
                "wait_execution",
                'Collect or stop an execution: {"handle": "…"}.',
                {"handle": _TEXT, "stop": {"type": "boolean"}},
                ("handle",),
                reads_only=False,
            ),
        ]
        return [one for one in definitions if self.has(one.name)]

    def count_listing(self) -> None:
        """Count for the meter what a model reads of these functions when a client lists them."""
        texts = (one.description + msgspec.json.encode(one.input_schema).decode() for one in self.definitions())
        self.session.meter.read(0, sum(map(len, texts)) + len(INSTRUCTIONS))

    def has(self, name: str) -> bool:
        """Whether there is such a function."""
        return name in self._functions

    async def call(
        self, name: str, arguments: dict[str, Any], report: Report, asks: Asks = None
    ) -> AgentAnswer | Asking:
        """Call one. What goes wrong is an answer, for a model to read; cancelling it stops its program.

        Args:
            name: One that `has` knows.
            report: Receives the progress of the program, at least every five seconds.
            asks: How the client can ask its user for consent. Only one that `Repeats` is asked by the result.
        """
        try:
            answer = await self._functions[name](arguments, report, asks)
            if name not in _RUN and name != "invoke" and isinstance(answer, AgentAnswer):
                self.session.meter.read(len(msgspec.json.encode(arguments)), len(answer.text))
            return answer
        except errors.PctxError as error:
            return AgentAnswer(error.message, is_error=True)
        except Exception as error:
            log.exception("mcp = failed to serve %s", name)
            return AgentAnswer(processes.unforeseen(error), is_error=True)

    async def close(self) -> None:
        """Stop every program, and forget all states."""
        await self.runs.close()
        self.states.clear()

    async def _list(self, arguments: dict[str, Any], report: Report, asks: Asks) -> AgentAnswer:
        asked = _read(arguments, _ListArguments, "list_functions")
        scope = self.session.scope
        if asked.namespace is None:
            await scope.prepare()
            tools = scope.listed()
        else:
            chosen = scope.namespace(asked.namespace)
            tools = [] if chosen is None else list(chosen.listed)
            if chosen is None or asked.namespace != chosen.name:
                tools = [tool for tool in tools if tool.registered_namespace == asked.namespace]
            if not tools:
                raise errors.InvalidParams(self._without(asked.namespace))
        most = self._settings.max_mcp_characters
        guarded = await self._guarded(tools, most)
        first_tokens = self._settings.max_listing_tokens
        return AgentAnswer(
            listing.functions(tools, asked.detail, most=most, guarded=guarded, first_tokens=first_tokens)
        )

    def _without(self, namespace: str) -> str:
        """Say that there is no such namespace, and which ones there are."""
        known = sorted(self.session.scope.namespaces())
        there = ", ".join(self._titled(known[:MOST_NAMESPACES])) or "none"
        more = f" and {len(known) - MOST_NAMESPACES:,} more" if len(known) > MOST_NAMESPACES else ""
        meant = did_you_mean(namespace, known)
        return f"Cannot list {namespace[:100]}: no such namespace{meant}; there are: {there}{more}"

    async def _find(self, arguments: dict[str, Any], report: Report, asks: Asks) -> AgentAnswer:
        asked = _read(arguments, _SearchArguments, "search_functions")
        tools = await self._search.find(asked.query, asked.k)
        in_all = len(self.session.scope.listed())
        return AgentAnswer(listing.found(tools, asked.query, in_all, self.session.guarded(tools)))

    async def _details(self, arguments: dict[str, Any], report: Report, asks: Asks) -> AgentAnswer:
        asked = _read(arguments, _DetailsArguments, "get_function_details")
        if any("*" in path or "." not in path for path in asked.paths):
            await self.session.scope.prepare()
        most, guard = self._settings.max_mcp_characters, self.session.guarded
        return AgentAnswer(await listing.details(self.session.scope, asked.paths, most=most, guard=guard))

    async def _execute_bash(self, arguments: dict[str, Any], report: Report, asks: Asks) -> AgentAnswer:
        asked = _read(arguments, _BashArguments, "execute_bash")
        # Most clients give up soon after mcp_wait_s, and a command cannot be handed over.
        limit_s = min(self._settings.limits.timeout_s, self._settings.mcp_wait_s if self._hands_over else math.inf)
        done = await self.session.run_bash(asked.command, limit_s)
        most = self._settings.max_mcp_characters
        stderr = excerpt.of_text(done.stderr, most // STDERR_SHARE)
        stdout = excerpt.of_text(done.stdout, most - len(stderr))
        answer = {"exit_code": done.exit_code, "stdout": stdout, "stderr": stderr}
        return AgentAnswer(msgspec.json.encode(answer).decode())

    async def _execute(self, arguments: dict[str, Any], report: Report, asks: Asks) -> AgentAnswer | Asking:
        return await self._run(_read(arguments, _ExecuteArguments, "execute"), report, asks)

    async def _invoke(self, arguments: dict[str, Any], report: Report, asks: Asks) -> AgentAnswer | Asking:
        """Run the program of one call. So a call has the checks, the consent and the trace of every other program."""
        asked = _read(arguments, _InvokeArguments, "invoke")
        scope = self.session.scope
        try:
            tool = scope.find(asked.name).tool
        except errors.ToolNotFound:  # perhaps of a server that is not connected yet
            await scope.prepare()
            tool = scope.find(asked.name).tool
        return await self._run(_ExecuteArguments(one_call.program(tool.path, asked.arguments)), report, asks)

    async def _run(self, asked: _ExecuteArguments, report: Report, asks: Asks) -> AgentAnswer | Asking:
        if isinstance(asks, Repeats) and asks.handle is not None:
            run = self.runs.get(asks.handle)
            if not run.is_of(asked.code):
                raise errors.InvalidParams("Cannot go on: the request that is repeated was for another program")
        else:
            check_timeout(asked.timeout_s, self._settings)
            state = None if asked.state is None else self.states.open(asked.state, OWNER.get())
            most = self._settings.max_mcp_characters
            run = self.runs.add(
                AgentRun(self.session, asked.code, asked.timeout_s, most, has_client=asks is not None, state=state)
            )
        try:
            wait_s = self._settings.mcp_wait_s if self._hands_over else math.inf
            questions = await run.follow(report, wait_s, asks)
            if not run.is_over:
                self.runs.keep(run)
        except BaseException:  # cancelled, or too many: its answer cannot be collected
            run.stop()
            raise
        return Asking(run.handle, questions) if questions else run.answer()

    async def _wait(self, arguments: dict[str, Any], report: Report, asks: Asks) -> AgentAnswer | Asking:
        asked = _read(arguments, _WaitArguments, "wait_execution")
        run = self.runs.get(asked.handle)
        if asked.stop:
            run.stop()
            await run.over()
        if not isinstance(asks, Repeats) or asks.handle is None:
            run.rounds = 0
        questions = await run.follow(report, self._settings.mcp_wait_s, asks)
        return Asking(run.handle, questions) if questions else run.answer()

    async def _guarded(self, tools: Sequence[Tool], most: int) -> Guarded:
        """Return what is done with calls of the tools that a list names; other tasks run in between."""
        guarded: dict[str, Then] = {}
        if len(tools) * listing.SHORTEST_NAME > most:  # such a list has only numbers of tools
            return guarded
        for at in range(0, len(tools), WHOLE):
            if at:
                await asyncio.sleep(0)
            guarded |= self.session.guarded(tools[at : at + WHOLE])
        return guarded

    def _namespaces(self) -> str:
        found = sorted(self.session.scope.namespaces())
        if not found:
            return "; there are none now."
        text = ""
        for at, name in enumerate(self._titled(found)):
            if len(text) + len(name) > NAMESPACES:
                return f", namespaces: {text}… {len(found) - at:,} more."
            text += name + ", "
        return f", namespaces: {text.removesuffix(', ')}."

    def _titled(self, namespaces: Iterable[str]) -> Iterator[str]:
        """Yield the names of namespaces, with the path where notebooks have one file name."""
        for name in namespaces:
            yield name + listing.of_notebook(self.session.scope.notebook_of(name))


def _read(arguments: dict[str, Any], kind: type[_A], name: str) -> _A:
    try:
        return msgspec.convert(arguments, kind, strict=False)  # models write numbers as texts
    except msgspec.ValidationError as error:
        takes = ", ".join(map(_shape, msgspec.structs.fields(kind)))
        raise errors.InvalidParams(f"Cannot call {name}: {error}; it takes {{{takes}}}") from None


def _shape(field: msgspec.structs.FieldInfo) -> str:
    name = field.name + ("" if field.required else "?")
    choices = get_args(field.type) if get_origin(field.type) is Literal else ()
    return f"{name}: {' | '.join(choices)}" if choices else name
