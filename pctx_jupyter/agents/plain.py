"""The original's plain client: posts ``tools/call`` with no handshake, no session and no header of MCP's, and reads the
first text of the result as JSON. Answered without the SDK, in the original's shapes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from .. import errors, processes
from ..rpc import jsonrpc as rpc
from ..rpc import nonfinite, span_context
from ..rpc.jsonrpc import Json
from ..session.execution import CLIENT
from ..session.request import check_timeout
from ..session.session import Session
from ..slices import in_slices
from ..tools.tool import described, detailed
from .answers import AgentAnswer
from .functions import Definition, Functions

log = logging.getLogger(__name__)

METHODS = frozenset({"tools/list", "tools/call"})
"""What such a client asks for; anything else begins a conversation of MCP's own."""
BUILT_IN = frozenset({"list_functions", "get_function_details", "execute"})
"""The functions that the original has, too."""


class _Call(msgspec.Struct):
    name: str
    arguments: dict[str, Any] | None = None
    meta: span_context.Meta = msgspec.field(default=UNSET, name="_meta")


class _Asked(msgspec.Struct):
    functions: list[str]


class _PlainExecute(msgspec.Struct):
    code: str
    timeout_s: float | None = None
    state: str | None = None


class Plain:
    """Answers plain requests.

    Args:
        functions: What it offers beyond what the original has.
    """

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._going: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def close(self) -> None:
        """Stop every program and answer those who wait for them."""
        self._is_closed = True
        going = list(self._going)
        for task in going:
            task.cancel()
        if going:
            await asyncio.wait(going)

    def accepts(self, message: rpc.Message | None) -> rpc.Request | None:
        """The request, if a message is one of such a client."""
        return message if isinstance(message, rpc.Request) and message.method in METHODS else None

    async def answer(self, request: rpc.Request, client: str = "") -> bytes:
        """The JSON-RPC response, encoded; cancelling it stops its program.

        Args:
            client: Whose request it is, for a fair share of the places.
        """
        CLIENT.set(client)
        outcome: dict[str, Json]
        task = asyncio.current_task()
        assert task is not None
        self._going.add(task)
        try:
            outcome = {"result": await self._result(request)}
        except errors.PctxError as error:
            outcome = {"error": {"code": error.code, "message": error.message}}
        except asyncio.CancelledError:
            if not self._is_closed:
                raise
            outcome = {"error": {"code": errors.Cancelled.code, "message": "Cancelled: the server is stopping"}}
        except Exception as error:
            log.exception("mcp = failed to serve a plain client")
            outcome = {"error": {"code": errors.PctxError.code, "message": processes.unforeseen(error)}}
        finally:
            self._going.discard(task)
        return msgspec.json.encode({"jsonrpc": "2.0", "id": request.id, **outcome})

    async def _result(self, request: rpc.Request) -> dict[str, Json]:
        if request.method == "tools/list":
            return {
                "tools": [
                    {"name": known.name, "description": known.description, "inputSchema": known.input_schema}
                    for known in self._functions.definitions()
                ]
            }
        call: _Call = _read(request.params or b"{}", _Call)
        with span_context.entered(span_context.received(call.meta)):
            return await self._answer_call(call)

    async def _answer_call(self, call: _Call) -> dict[str, Json]:
        if call.name not in BUILT_IN:
            if not self._functions.has(call.name):
                raise errors.InvalidParams(f"Unknown tool: {call.name[:100]}")
            answer = await self._functions.call(call.name, call.arguments or {}, _ignore)
            assert isinstance(answer, AgentAnswer), "such a client cannot ask its user"
            return _content(answer.text, is_error=answer.is_error)
        try:
            value = await self._call(call.name, msgspec.json.encode(call.arguments or {}))
        except errors.PctxError as error:
            return _content(msgspec.json.encode({"error": error.message}).decode(), is_error=True)
        text = msgspec.json.encode(value).decode()
        if call.name != "execute":
            self._functions.session.meter.read(len(msgspec.json.encode(call.arguments or {})), len(text))
        return _content(text, is_error=False)

    async def _call(self, name: str, arguments: bytes) -> object:
        session = self._functions.session
        match name:
            case "list_functions":
                functions: list[Mapping[str, object]] = [_described(known) for known in self._built_in()]
                await session.scope.prepare()
                return {"functions": functions + [described(one) async for one in in_slices(session.scope.listed())]}
            case "get_function_details":
                built_in = {known.name: known for known in self._built_in()}
                wanted = dict.fromkeys(_read(arguments, _Asked).functions)
                return {path: self._details(path, built_in) async for path in in_slices(wanted)}
        return await _executed(session, _read(arguments, _PlainExecute))

    def _details(self, path: str, built_in: Mapping[str, Definition]) -> Mapping[str, object]:
        if path in built_in:
            return {**_described(built_in[path]), "namespace": ""}
        return detailed(self._functions.session.scope.find(path).tool)

    def _built_in(self) -> list[Definition]:
        return [known for known in self._functions.definitions() if known.name in BUILT_IN]


async def _executed(session: Session, asked: _PlainExecute) -> dict[str, object]:
    check_timeout(asked.timeout_s, session.settings)
    if asked.state is not None:
        raise errors.InvalidParams(
            "Cannot run program: only clients of MCP have a state between programs; leave out state, or connect by MCP"
        )
    try:
        result = await session.execute(asked.code, timeout_s=asked.timeout_s)
    except errors.ExecutionError as error:
        stderr = f"{error.stderr.rstrip()}\n{error.message}".lstrip()
        return {"success": False, "output": None, "stdout": error.stdout, "stderr": stderr}
    # The value passes through as the JSON that it is.
    return {"success": True, "output": nonfinite.plain(result.value), "stdout": result.stdout, "stderr": result.stderr}


def _described(known: Definition) -> dict[str, Json]:
    return {
        "name": known.name,
        "description": known.description,
        "input_schema": known.input_schema,
        "output_schema": None,
    }


def _content(text: str, *, is_error: bool) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


async def _ignore(message: str) -> None:
    """Drop a report: a plain client receives nothing before its answer."""


def _read(body: bytes | msgspec.Raw, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise errors.InvalidParams(f"Cannot read the call: {error}") from None
