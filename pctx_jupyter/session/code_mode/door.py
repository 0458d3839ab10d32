"""Serves one connection of a session of the session API: programs in, results out, calls of tools in between.

What the client's own parser does not take hangs it, so nothing is sent but results, errors with codes that it knows,
and requests to run a tool. A program that does not end well is a result, too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from ... import errors
from ...rpc import jsonrpc as rpc
from ...rpc import nonfinite, span_context, wire
from ...rpc.channel import Channel, Send
from ...rpc.peer import Dialect
from ...rpc.room import Room
from ...settings import Settings
from ...tools.calls import Call
from ...tools.tool import Tool
from ..execution import CallTimes, Execution
from ..local_tools import Guard, admit
from . import messages
from .fit import FRAME_BYTES, cut_value, fitted, is_readable
from .sessions import MOST_CONNECTIONS, CodeModeSession
from .trace import TraceMaker

LEAST_CALL_S = 1.0
"""Seconds that a request gives to a call of a tool at least."""
MOST_CALL_S = 600.0
"""Seconds that a request gives to a call of a tool at most; both bounds are the original's."""

NOT_FOUND = -32002
"""The code by which clients know that something does not exist."""

CODES = frozenset({NOT_FOUND, -32600, -32601, -32602, -32603, -32700})
"""The codes of errors that clients can read. They drop a message with any other."""

NO_ID = ""
"""The id of an error that belongs to no request. JSON-RPC has null there, which clients cannot read."""


class OriginalDialect(Dialect):
    """What clients of the session API can read."""

    def refusal(self, id: rpc.Id | None, error: errors.PctxError) -> rpc.Refusal:
        """Return an error with one of the codes that the clients know, and with an object or nothing as its `data`."""
        try:
            data = rpc.raw(error.data) if isinstance(error.data, dict) else None
        except errors.NotJson:
            data = None
        if data is not None and not is_readable(data):
            data = None
        return rpc.Refusal(NO_ID if id is None else id, _code(error), error.message, data)


ORIGINAL = OriginalDialect(prefix="pctx:", max_sent_bytes=FRAME_BYTES, cancels=False)


class CodeModeDoor:
    """One connection of a session.

    Args:
        session: What it is a connection of.
        settings: The sizes of frames, and the time of programs.
        send: Writes a frame to the client.
        guard: Asked before each request.
        room: The room on the connection to the client; None: there always is.

    Raises:
        Busy: The session has too many connections.

    The owner of the pipe feeds `channel`, and closes it. Then the programs that were asked for on it are stopped.
    """

    def __init__(
        self, session: CodeModeSession, settings: Settings, send: Send, guard: Guard = admit, room: Room | None = None
    ) -> None:
        if len(session.doors) >= MOST_CONNECTIONS:
            raise errors.Busy(f"Cannot connect: this session has {MOST_CONNECTIONS} connections; close some of them")
        self._session, self._settings, self._guard = session, settings, guard
        self.channel = Channel(
            send,
            serve=self._serve,
            name=f"session {session.session.id[:8]}",
            max_bytes=settings.max_message_bytes,
            dialect=ORIGINAL,
            room=room,
        )
        session.doors.add(self)
        session.session.is_attached = True
        self.channel.on_close(self._leave)

    def _leave(self) -> None:
        self._session.doors.discard(self)
        self._session.session.is_attached = bool(self._session.doors)
        self._session.session.touch()

    async def _serve(self, request: rpc.Request) -> object:
        await self._guard()
        if request.method not in (messages.EXECUTE_TYPESCRIPT, messages.EXECUTE_CODE):
            raise errors.MethodNotFound(
                f"Cannot serve {request.method[:100]}: no such method; there is {messages.EXECUTE_TYPESCRIPT}"
            )
        asked = wire.read(request.params, messages.ExecuteTypescript, request.method)
        with span_context.entered(span_context.received(asked.meta)):
            return await self._execute(asked)

    async def _execute(self, asked: messages.ExecuteTypescript) -> messages.TypescriptResult:
        session, id = self._session.session, secrets.token_urlsafe(16)
        maker = TraceMaker(asked.code, session.now, self._is_own)
        running: list[Execution] = []
        output: Raw | None = None
        failed: str | None = None
        self._session.runs[id] = self
        try:
            result = await session.execute(
                asked.code,
                timeout_s=self._settings.max_timeout_s,  # the client has a limit of its own, and leaves
                execution_id=id,
                keep=False,
                call_times=_call_times(asked),
                observe=maker.observe,
                emit=maker.receive,
                began=running.append,
            )
            output = nonfinite.plain(result.value)
        except errors.InvalidParams:
            raise
        except errors.TypesWrong as error:
            failed = "\n".join(maker.wrong) or error.message
        except errors.PctxError as error:
            failed = error.message
        except asyncio.CancelledError:
            if self.channel.is_closed:
                raise
            failed = "Cancelled: the session was closed, or the server stops"
        finally:
            del self._session.runs[id]
        printed = running[0].output() if running else {"stdout": "", "stderr": ""}
        stdout, stderr = (printed[stream].removesuffix("\n") for stream in ("stdout", "stderr"))
        if output is not None and not is_readable(output):
            reason = "it is nested too deeply for this client, or has too long a number"
            output, failed_to_pass = cut_value(reason), f"The value is left out: {reason}; return less, or text"
            stderr = f"{stderr}\n{failed_to_pass}".lstrip("\n")
        if failed is not None:
            stderr = f"{stderr}\n{failed}".lstrip("\n")
        return fitted(messages.TypescriptResult(failed is None, stdout, stderr, output, maker.trace()))

    async def call_tool(self, namespace: str, call: Call) -> Raw:
        """Have the client run one of its tools.

        Args:
            namespace: The tool's, as the client registered it.

        Raises:
            ToolFailed: It fails, its client is gone, or its arguments or result cannot be passed on.
        """
        path = call.tool.path
        arguments = None if call.arguments is None else nonfinite.plain(call.arguments)
        if arguments is not None and bytes(arguments) == b"null":
            arguments = None
        if arguments is not None and not bytes(arguments).lstrip().startswith(b"{"):
            raise errors.ToolFailed(f"Cannot call {path}: it takes one object, such as {{a: 1}}", name="TypeError")
        if arguments is not None and not is_readable(arguments):
            raise errors.ToolFailed(
                f"Cannot call {path}: its arguments are nested too deeply, or have too long a number", name="TypeError"
            )
        asked = messages.ExecuteToolArgs(namespace, call.tool.registered_name, arguments)
        try:
            answer = await self.channel.call(wire.EXECUTE_TOOL, asked)
            return nonfinite.taken(msgspec.json.decode(answer, type=messages.ToolOutput).output)
        except errors.ConnectionLost:
            raise errors.ToolFailed(
                f"Cannot finish {path}: its client went away; it may or may not have run", name="ConnectionLost"
            ) from None
        except errors.MessageTooLarge as error:
            raise errors.ToolFailed(f"Cannot call {path}: {error.message}") from None
        except errors.PctxError as error:
            raise errors.ToolFailed(error.message) from None
        except msgspec.DecodeError:
            raise errors.ToolFailed(f"Cannot finish {path}: its client's answer has no output") from None

    def _is_own(self, tool: Tool) -> bool:
        """Whether a tool is one of the client's."""
        space = self._session.session.catalog.space(tool.namespace_name)
        return space is not None and (offer := space.offers.get(tool.path)) is not None and offer.tool is tool


def _call_times(asked: messages.ExecuteTypescript) -> CallTimes:
    by_tool: Mapping[str, float] = asked.tool_timeout_overrides or {}
    default_s = asked.tool_timeout_secs
    return CallTimes(
        None if default_s is None else _bounded(default_s), {id: _bounded(seconds) for id, seconds in by_tool.items()}
    )


def _bounded(seconds: float) -> float:
    return min(max(seconds, LEAST_CALL_S), MOST_CALL_S)


def _code(error: errors.PctxError) -> int:
    if isinstance(error, errors.ToolNotFound | errors.SessionNotFound | errors.UpstreamNotFound):
        return NOT_FOUND
    if error.code in CODES and not isinstance(error, errors.ToolError | errors.ExecutionError):
        return error.code
    return errors.PctxError.code


__all__ = ["CODES", "ORIGINAL", "CodeModeDoor"]
