"""The state of the engine over plain HTTP, for JupyterLab's panel: kernels, their tools, and the latest executions.

Users of the server see all of it; a kernel's own token opens nothing here. ``openapi.yaml`` specifies the routes.
`changes` notifies of changes.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from jupyter_core.utils import ensure_async
from msgspec import UNSET, Raw, UnsetType
from tornado import web

from .. import errors
from ..agents import clients as mcp_clients
from ..errors import Failure
from ..history.file import HistoryFile, HistoryUnavailable, PastRun
from ..rpc import wire
from ..rpc.environment import LOOPBACK
from ..session.consent import ConsentReply, Question
from ..session.registry import Registry
from ..session.remembered import Permission
from ..session.session import Session, Sharing
from ..session.trace import History, StoppedBy, Trace, TraceState, refused_call
from ..tools import typegen
from ..tools.arguments import ArgumentProblem
from ..tools.calls import AskedBy
from ..tools.tool import Tool
from .base import PctxHandler
from .rest import ErrorBody

MOST_TITLE = 120
"""Characters of an execution's title, and of its error in a list."""
MOST_TOOLS = 500
"""Tools in one answer: writing their signatures takes a turn of the loop that all share."""
MOST_DESCRIPTION = 1_000
"""Characters of a tool's description in a list."""
MOST_PAST = 100
"""Past runs in one answer."""
NO_QUESTION = "Cannot answer: the call does not wait any more"
"""The error for a question that has an answer, or whose time is up."""


class ToolState(msgspec.Struct):
    """One tool. `path` is its name in its own notebook, `shared_as` the one that others see, if they may see it.

    `arguments` are those that a call has to have, as names in TypeScript.
    """

    path: str
    shared_as: str | None
    signature: str
    description: str
    effects: bool | None
    arguments: list[str]


class KernelState(msgspec.Struct, omit_defaults=True):
    """One kernel, or a service: a client that is no kernel and offers its tools to others.

    `name` is the namespace that others see, or the name of the service; `path` its notebook. A service's `kernel_id` is
    its own id.

    `has_namesake`: another notebook has the same file name, so that only the path tells them apart.

    `version` changes with its tools. A kernel that is not `connected` was, and may come back. `tools` are only there
    where one kernel is asked for: 500 at most, the first of them number `start`.
    """

    kernel_id: str
    name: str | None
    path: str | None
    connected: bool
    sharing: Sharing
    tool_count: int
    version: str
    kind: Literal["kernel", "service"] = "kernel"
    has_namesake: bool = False
    start: int = 0
    tools: list[ToolState] | None = None


class Kernels(msgspec.Struct):
    """The kernels that are, or were, connected."""

    kernels: list[KernelState]


class ExecutionState(msgspec.Struct):
    """One execution, in few words.

    `title` is its first line of code, `error` the beginning of what went wrong, `agent` the name that an agent's client
    gives itself. `refused` is the decision that ended it: ``denied``, ``unanswered`` or ``forbidden``; null: none did.
    `stopped_by` is what ended a stopped one; null: it was not stopped.
    `called` is the number of calls of tools that notebooks offer, by the id of the notebook's kernel.
    `ordinal` counts the executions of this server, from 1 on: where one is missing, an execution is listed no longer.
    0: it is unknown.
    """

    id: str
    title: str
    asked_by: AskedBy
    notebook: str | None
    kernel_id: str | None
    state: TraceState
    started_at: float
    duration_s: float | None
    calls: int
    failed_calls: int
    error: str | None
    agent: str = ""
    refused: str | None = None
    stopped_by: StoppedBy | None = None
    called: dict[str, int] = {}
    ordinal: int = 0


class Executions(msgspec.Struct):
    """The latest executions, the last one first."""

    executions: list[ExecutionState]


class PastRuns(msgspec.Struct):
    """Past runs, the latest first.

    Where a history is not `is_kept`, there are none (`Pctx.history`). `lost` of the server's runs could not be written;
    `trouble` says why, while that lasts.
    """

    runs: list[PastRun]
    is_kept: bool = True
    lost: int = 0
    trouble: str | None = None


class Stopped(msgspec.Struct):
    """Result of ``stop``."""

    stopped: bool = True


def tools_of(registry: Registry, session: Session, start: int) -> Iterator[ToolState]:
    """The tools of a session from number `start` on, in the order in which they were registered."""
    if (service := registry.services.of(session)) is not None:
        served = {offer.tool.first.path: offer.tool for offer in registry.served_by(service, session).offers()}
        for tool in islice(session.catalog, start, start + MOST_TOOLS):
            yield state_of(tool, served[tool.path].path if tool.path in served else None)
        return
    shared: Iterator[Tool] = iter(())
    if session.name is not None and session.serve_others is not None:
        shared = iter(session.shared.under(session.name, session.serve_others, is_own=False))
    both = ((tool, next(shared, None) if tool.share else None) for tool in session.catalog)
    for tool, as_others_see in islice(both, start, start + MOST_TOOLS):
        yield state_of(tool, as_others_see.path if as_others_see is not None else None)


def state_of(tool: Tool, shared_as: str | None) -> ToolState:
    """A tool, as a list shows it."""
    description = tool.description.strip().partition("\n\n")[0][:MOST_DESCRIPTION]
    return ToolState(tool.path, shared_as, typegen.signature(tool), description, tool.effects, typegen.required(tool))


def start_of(handler: PctxHandler) -> int:
    """The number of the first tool that is asked for."""
    start = handler.get_query_argument("start", "0")
    if not (start.isascii() and start.isdecimal() and len(start) < 10):
        raise web.HTTPError(HTTPStatus.BAD_REQUEST, "Cannot show these tools: start must be a number from 0 on")
    return int(start)


def listed(registry: Registry) -> list[str]:
    """The ids of the kernels and services that people are shown.

    A service that is not connected is one of them where a person has decided on it, so that they can take that back.
    """
    known = (registry.services.get(id) for id in registry.services.ids)
    shown = [one.id for one in known if one is not None and (one.session is not None or one.limit != "everyone")]
    return [*registry.kernels, *shown]


def kernel_of(
    registry: Registry,
    kernel_id: str,
    paths: dict[str, str],
    namesakes: Container[str],
    start: int | None = None,
) -> KernelState:
    """Return a kernel's state, with its tools from number `start` on; one that is not connected has none.

    Args:
        registry: What knows its session.
        kernel_id: The kernel, or the id of a service.
        paths: The paths of notebooks, by kernel.
        namesakes: The kernels whose notebooks have the file name of another one.
        start: The number of the first tool to list; None: no tools are listed.
    """
    service = registry.services.get(kernel_id)
    session = registry.of_kernel(kernel_id) if service is None else service.session
    return KernelState(
        kernel_id,
        registry.name_of(kernel_id) if service is None else service.title,
        paths.get(kernel_id),
        connected=session is not None,
        sharing=registry.sharing_of(kernel_id) if service is None else service.sharing,
        tool_count=len(session.catalog) if session is not None else 0,
        version=f"{session.version}.{registry.types_version}" if session is not None else "",
        kind="kernel" if service is None else "service",
        has_namesake=kernel_id in namesakes,
        start=start or 0,
        tools=None if start is None else list(tools_of(registry, session, start)) if session is not None else [],
    )


def execution_of(trace: Trace, history: History) -> ExecutionState:
    """A trace, in few words, and what the history knows of it besides."""
    title = next((line.strip() for line in trace.code.splitlines() if line.strip()), "")
    error = None if trace.error is None else Failure(trace.error.name, trace.error.message).text()
    return ExecutionState(
        trace.id,
        title[:MOST_TITLE],
        trace.asked_by,
        trace.notebook,
        trace.kernel_id,
        trace.state,
        trace.started_at,
        trace.duration_s,
        trace.calls_in_all,
        trace.failed_calls,
        error and error.partition("\n")[0][:MOST_TITLE],
        trace.agent,
        refused.decision if (refused := refused_call(trace)) is not None else None,
        trace.stopped_by,
        history.called(trace.id),
        history.ordinal(trace.id),
    )


class ClientConfig(msgspec.Struct):
    """What to paste where, so that an MCP client reaches this server; `text` holds the server's token."""

    client: str
    title: str
    place: str
    text: str


class ClientConfigs(msgspec.Struct):
    """One for each MCP client that is known."""

    clients: list[ClientConfig]


class Questions(msgspec.Struct):
    """The calls that wait for a person's consent, the oldest first."""

    approvals: list[Question]


class Decided(msgspec.Struct, omit_defaults=True):
    """Body of an answer.

    `arguments` are passed in place of the program's own; of a question with a `form`, they are the answer to it.
    ``cancel`` leaves the question undecided, and the call does not go on. `always` allows this tool to the same askers,
    for as long as `lasts` of the question says; `for_program` allows it to the program that calls, until it ends. `by`
    says where a person has answered.
    """

    decision: Literal["allow", "deny", "cancel"]
    arguments: Raw | UnsetType = UNSET
    always: bool = False
    for_program: bool = False
    by: Literal["jupyterlab", "terminal"] = "jupyterlab"


class EditedArguments(msgspec.Struct, omit_defaults=True):
    """Body of a check: arguments that a person wants to pass in place of the program's.

    Without them, the draft of an answer to a form is checked.
    """

    arguments: Raw | UnsetType = UNSET


class CheckedArguments(msgspec.Struct):
    """The arguments that do not fit the tool's schema; none: they can be passed."""

    problems: list[ArgumentProblem]


class RefusedArguments(ErrorBody):
    """Why an answer is refused whose arguments do not fit the tool's schema: the call waits as before."""

    problems: list[ArgumentProblem]


class Permissions(msgspec.Struct):
    """The tools that are allowed without asking, the oldest permission first."""

    permissions: list[Permission]


class Answered(msgspec.Struct):
    """Result of an answer."""

    answered: bool = True


class _State(PctxHandler):
    """What all of these need."""

    async def registry(self) -> Registry:
        """The sessions of this server's engine."""
        return (await self.open_engine()).registry

    async def paths(self) -> dict[str, str]:
        """The notebooks of this server, by kernel."""
        manager: Any = self.session_manager
        found = await ensure_async(manager.list_sessions())
        return {
            one["kernel"]["id"]: str(one["path"]).encode(errors="replace").decode() for one in found if one["kernel"]
        }


class KernelList(_State):
    """``GET pctx/api/kernels``: all of them, without their tools."""

    @web.authenticated
    async def get(self) -> None:
        registry, paths = await self.registry(), await self.paths()
        namesakes = registry.owners.places()
        self.send(Kernels([kernel_of(registry, kernel_id, paths, namesakes) for kernel_id in listed(registry)]))


class Kernel(_State):
    """``GET pctx/api/kernels/{kernel_id}?start=…``: one of them, with some of its tools."""

    @web.authenticated
    async def get(self, kernel_id: str) -> None:
        registry, paths = await self.registry(), await self.paths()
        if kernel_id not in listed(registry):
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "Cannot show this kernel: it is not connected to pctx")
        self.send(kernel_of(registry, kernel_id, paths, registry.owners.places(), start_of(self)))


class KernelSharing(_State):
    """``PUT pctx/api/kernels/{kernel_id}/sharing``: say who may see its tools."""

    @web.authenticated
    async def put(self, kernel_id: str) -> None:
        registry, paths = await self.registry(), await self.paths()
        wanted = self.read_body(wire.Share)
        if wanted is None:
            return
        if kernel_id not in listed(registry):
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "Cannot share its tools: this kernel is not connected to pctx")
        registry.share_kernel(kernel_id, wanted.to)
        self.send(kernel_of(registry, kernel_id, paths, registry.owners.places()))


class HandleList(_State):
    """``GET pctx/api/kernels/{kernel_id}/handles``: the objects that a kernel holds for programs."""

    @web.authenticated
    async def get(self, kernel_id: str) -> None:
        registry = await self.registry()
        if kernel_id not in listed(registry):
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "Cannot list objects: this kernel is not connected to pctx")
        session = registry.of_kernel(kernel_id)
        if session is None or session.handles is None:
            self.send(wire.HeldHandles([]))
            return
        try:
            self.send(await session.handles.listed())
        except errors.PctxError as error:
            self.refuse(error)


class OneHandle(_State):
    """``DELETE pctx/api/kernels/{kernel_id}/handles/{id}``: forget one of these objects."""

    @web.authenticated
    async def delete(self, kernel_id: str, id: str) -> None:
        session = (await self.registry()).of_kernel(kernel_id)
        try:
            was_there = session is not None and session.handles is not None and await session.handles.forget(id)
        except errors.PctxError as error:
            self.refuse(error)
            return
        if not was_there:
            raise web.HTTPError(
                HTTPStatus.NOT_FOUND, "Cannot forget this object: the kernel holds it no longer, or its program runs"
            )
        self.send(wire.Success())


class ExecutionList(_State):
    """``GET pctx/api/executions``: the latest ones, in few words."""

    @web.authenticated
    async def get(self) -> None:
        history = (await self.registry()).history
        self.send(Executions([execution_of(trace, history) for trace in history]))


class ExecutionTrace(_State):
    """``GET pctx/api/executions/{id}``: all that is kept of one, in memory or in the history."""

    @web.authenticated
    async def get(self, id: str) -> None:
        engine = await self.open_engine()
        trace = engine.registry.history.get(id)
        if trace is not None and trace.state == "running":
            # A trace changes with events only; a call that waits reaches to the present.
            trace = msgspec.structs.replace(trace, duration_s=max(0.0, round(time.time() - trace.started_at, 6)))
        if trace is None and engine.history is not None:
            try:
                trace = await engine.history.read(lambda file: file.get(id))
            except HistoryUnavailable as error:
                self.refuse(error)
                return
        if trace is None:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "Cannot show this execution: it is no longer kept")
        self.send(trace)


class PastRunList(_State):
    """``GET pctx/api/history``: the past runs that fit a search, the latest first."""

    @web.authenticated
    async def get(self) -> None:
        history = (await self.open_engine()).history
        if history is None:
            self.send(PastRuns([], is_kept=False))
            return
        most, before = min(self._number("most", MOST_PAST) or 1, MOST_PAST), self._number("before", None)
        text, agent = self.get_query_argument("text", ""), self.get_query_argument("agent", "")
        failed = self.get_query_argument("failed", "") not in ("", "0", "false")
        try:
            runs = await history.read(
                partial(HistoryFile.search, text=text, failed=failed, agent=agent, before=before, most=most)
            )
        except HistoryUnavailable as error:
            self.refuse(error)
            return
        self.send(PastRuns(runs, lost=history.lost, trouble=history.trouble))

    def _number(self, name: str, default: int | None) -> int | None:
        text = self.get_query_argument(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise web.HTTPError(HTTPStatus.BAD_REQUEST, f"Cannot search the history: {name} must be a whole number")
        return int(text)


class ExecutionStop(_State):
    """``POST pctx/api/executions/{id}/stop``: end one that runs."""

    @web.authenticated
    async def post(self, id: str) -> None:
        execution = (await self.registry()).running(id)
        if execution is None or execution.stop is None:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "Cannot stop this execution: it does not run")
        execution.stop("a person stopped it, in JupyterLab or over HTTP")
        self.send(Stopped())


class QuestionList(_State):
    """``GET pctx/api/approvals``: the calls that wait for a person's consent."""

    @web.authenticated
    async def get(self) -> None:
        self.send(Questions((await self.registry()).approvals.questions()))


class QuestionAnswer(_State):
    """``POST pctx/api/approvals/{id}``: consent to a call, or deny it."""

    @web.authenticated
    async def post(self, id: str) -> None:
        approvals = (await self.registry()).approvals
        asked = self.read_body(Decided)
        if asked is None:
            return
        where = {"jupyterlab": "JupyterLab", "terminal": "the terminal"}[asked.by]
        if not approvals.may_consent(asked.by):
            raise web.HTTPError(
                HTTPStatus.FORBIDDEN, f"Cannot answer: consent is not given in {where} here (Pctx.consent_by)"
            )
        edited = None if asked.arguments is UNSET else asked.arguments
        if edited is not None and not bytes(edited).lstrip().startswith((b"{", b"null")):
            raise web.HTTPError(HTTPStatus.BAD_REQUEST, "Cannot pass these arguments: they must be an object")
        if asked.decision == "deny":
            answer = ConsentReply.denied(where)
        elif asked.decision == "cancel":
            answer = ConsentReply.dismissed()
        else:
            answer = ConsentReply("allowed" if edited is None else "edited", edited)
        try:
            was_there = approvals.answer(id, answer, for_good=asked.always, for_program=asked.for_program)
        except errors.ArgumentsRefused as error:
            self.set_status(error.status)
            self.send(RefusedArguments(error.message, approvals.problems(id, edited) or []))
            return
        if not was_there:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, NO_QUESTION)
        self.send(Answered())


class ArgumentsCheck(_State):
    """``POST pctx/api/approvals/{id}/check``: say whether a person may pass other arguments, and what is wrong."""

    @web.authenticated
    async def post(self, id: str) -> None:
        approvals = (await self.registry()).approvals
        asked = self.read_body(EditedArguments)
        if asked is None:
            return
        edited = None if asked.arguments is UNSET else asked.arguments
        # A browser logs every 404, and a call that has just been answered is no error of who still types.
        self.send(CheckedArguments(approvals.problems(id, edited) or []))


class PermissionList(_State):
    """``GET pctx/api/permissions``: the tools that are allowed without asking."""

    @web.authenticated
    async def get(self) -> None:
        self.send(Permissions((await self.registry()).permissions()))


class OnePermission(_State):
    """``DELETE pctx/api/permissions/{id}``: take one back."""

    @web.authenticated
    async def delete(self, id: str) -> None:
        if not (await self.registry()).approvals.revoke(id):
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "Cannot revoke this permission: there is none of this id")
        self.send(wire.Success())


class ClientConfigList(PctxHandler):
    """``GET pctx/api/client-config``: what MCP clients need to reach this server."""

    @web.authenticated
    async def get(self) -> None:
        try:
            (await self.open_engine()).admit_agents()
        except errors.Forbidden as error:
            self.refuse(error)
            return
        token: str = getattr(self.identity_provider, "token", "")
        address = urlsplit(f"{self.request.protocol}://{self.request.host}{self.base_url}")
        own_port = self.serverapp.port if self.serverapp is not None else None
        is_local = address.hostname in LOOPBACK and address.port == own_port  # not that of a proxy
        there = mcp_clients.ServerAddress("pctx", address.geturl(), token, is_local=is_local)
        wanted = self.get_query_argument("client", None)
        if wanted is not None and wanted not in mcp_clients.CLIENTS:
            known = ", ".join(mcp_clients.CLIENTS)
            raise web.HTTPError(HTTPStatus.NOT_FOUND, f"Cannot configure this client: the known ones are {known}")
        self.send(
            ClientConfigs(
                [
                    ClientConfig(name, client.title, client.place, client.write(there))
                    for name, client in mcp_clients.CLIENTS.items()
                    if wanted in (None, name)
                ]
            )
        )
