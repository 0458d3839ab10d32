"""Sends the calls of programs to one MCP server, and turns its results into JSON.

A call is sent once. It is repeated only where the server says that the first one never ran, and where the server wants
an answer of a person before it goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Annotated, Any, TypeVar

import msgspec
from mcp import Client, MCPError
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    GetPromptRequest,
    GetPromptRequestParams,
    InputRequiredResult,
    InputResponses,
    ReadResourceRequest,
    ReadResourceRequestParams,
)
from msgspec import Raw
from pydantic import Discriminator, Tag, TypeAdapter

from .. import errors, visible
from ..foreign import CLOSED, EVENT_TOO_LARGE, LOST, NEVER_RAN, NO_ANSWER
from ..rpc import nonfinite
from ..rpc.jsonrpc import Json
from ..session.turns import AT_ONCE, OF_ONE, Turns
from ..tools.calls import Call
from . import features, mending, reading, values
from .config import ServerConfig
from .connection import UpstreamConnection
from .elicitation import Elicitations, OpenCall
from .features import Feature
from .listing import Listing
from .secrets import Redactor

MOST_ROUNDS = 10
"""Times that a server may ask something before it ends one call."""


def _kind(value: Any) -> str:
    of_dict = value.get("resultType") if isinstance(value, dict) else getattr(value, "result_type", None)
    return "asks" if of_dict == "input_required" else "ends"


RESULT: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    Annotated[
        Annotated[CallToolResult, Tag("ends")] | Annotated[InputRequiredResult, Tag("asks")], Discriminator(_kind)
    ]
)
ANY_RESULT: Any = TypeAdapter(
    Annotated[
        Annotated[dict[str, Any], Tag("ends")] | Annotated[InputRequiredResult, Tag("asks")], Discriminator(_kind)
    ]
)

_Ended = TypeVar("_Ended")
Attempt = Callable[[Client, InputResponses | None, str | None], Awaitable[_Ended | InputRequiredResult]]
"""Sends one request, with the answers to what the server asked before, and the state that it wants back."""


class ToolCaller:
    """The calls of one server.

    Args:
        connection: Where they are sent.
        listing: The tools as programs know them.
        redactor: Takes secrets out of results.
        asking: Asks people what the server wants to know.
        most_bytes: Bytes that a list of resources or prompts may have.
    """

    def __init__(
        self,
        server: ServerConfig,
        connection: UpstreamConnection,
        listing: Listing,
        redactor: Redactor,
        asking: Elicitations,
        most_bytes: int,
    ) -> None:
        self._server, self._connection, self._listing, self._redactor = server, connection, listing, redactor
        self._asking, self._most_bytes = asking, most_bytes
        self._turns = Turns()

    async def call(self, name: str, call: Call) -> Raw:
        """Call one tool.

        Args:
            name: The server's own name of the tool.

        Raises:
            ToolFailed: The tool failed, or could not be called; the message says whether it may have run.
            ToolTimeout: It took longer than a call may take.
        """
        arguments = _named_arguments(call)
        async with self._asking.open(call) as opened:

            async def attempt(
                client: Client, answers: InputResponses | None, state: str | None
            ) -> CallToolResult | InputRequiredResult:
                params = CallToolRequestParams(
                    name=name,
                    arguments=self._listing.filled(name, arguments),
                    input_responses=answers,
                    request_state=state,
                )
                if self._listing.differs(name, call.tool.first):
                    raise errors.ToolFailed(
                        f"Cannot call {call.tool.path}: the tool has changed since the program called it; read what it "
                        "does now, then call it again"
                    )
                request = CallToolRequest(params=params)
                return await client.session.send_request(request, RESULT, progress_callback=self._progress(call))

            result = await self._in_time(opened, attempt)
            if result.is_error:
                message = visible.shortened(self._redactor.clean(values.error_of(result)), values.MOST_ERROR)
                raise errors.ToolFailed(message + opened.unasked, details=self._details(result.structured_content))
        return self._cleaned(values.value_of(result, has_text_lists=self._server.has_text_lists))

    async def use(self, feature: Feature, call: Call) -> Raw:
        """Call one of the functions for resources and prompts; raises as `call` does."""
        arguments = _arguments(call)
        async with self._asking.open(call) as opened:
            match feature.name:
                case "listResources":
                    limit = features.limit_of(arguments)
                    value: Any = await self._in_time(opened, lambda client, *_: self._resources(client, call, limit))
                case "readResource":
                    value = await self._read(features.uri_of(arguments), opened)
                case "listPrompts":
                    limit = features.limit_of(arguments)
                    value = await self._in_time(
                        opened, lambda client, *_: self._listed(client, call, reading.PROMPTS, limit)
                    )
                    value = {"prompts": value}
                case "getPrompt":
                    value = await self._prompt(*features.prompt_wanted(arguments), opened)
        return self._cleaned(nonfinite.encode(value))

    async def _resources(self, client: Client, call: Call, limit: int | None) -> dict[str, Any]:
        resources = await self._listed(client, call, reading.RESOURCES, limit)
        try:
            templates = await self._listed(client, call, reading.TEMPLATES, limit)
        except MCPError:
            templates = []  # many servers have resources and do not know of templates
        return {"resources": resources, "templates": templates}

    async def _listed(
        self, client: Client, call: Call, kind: reading.ListKind, limit: int | None
    ) -> list[dict[str, Any]]:
        try:
            return await reading.read_list(client, kind, limit, self._most_bytes)
        except reading.TooMany as error:
            raise errors.ToolFailed(
                f"Cannot list all of them with {call.tool.path}: {error}; list the first ones, as in {{ limit: 1000 }}"
            ) from None

    async def _read(self, uri: str, opened: OpenCall) -> dict[str, Any]:
        async def attempt(client: Client, answers: InputResponses | None, state: str | None) -> Any:
            params = ReadResourceRequestParams(uri=uri, input_responses=answers, request_state=state)
            return await client.session.send_request(ReadResourceRequest(params=params), ANY_RESULT)

        result = await self._in_time(opened, attempt)
        return {"contents": features.contents(mending.entries(result, "contents"), uri)}

    async def _prompt(self, name: str, arguments: dict[str, str], opened: OpenCall) -> dict[str, Any]:
        async def attempt(client: Client, answers: InputResponses | None, state: str | None) -> Any:
            params = GetPromptRequestParams(
                name=name, arguments=arguments, input_responses=answers, request_state=state
            )
            return await client.session.send_request(GetPromptRequest(params=params), ANY_RESULT)

        result = await self._in_time(opened, attempt)
        description = result.get("description")
        said = {"description": description} if isinstance(description, str) else {}
        return {**said, "messages": [features.message(one) for one in result["messages"]]}

    def _progress(self, call: Call) -> ProgressFnT:
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            amount = f"{progress:g} of {total:g}" if total else f"{progress:g}"
            text = f"{message} ({amount})" if message else amount
            call.note(self._connection.transport.line(text, 200))

        return on_progress

    def _cleaned(self, value: Raw) -> Raw:
        return Raw(self._redactor.clean_json(bytes(value)))

    async def _in_time(self, opened: OpenCall, attempt: Attempt[_Ended]) -> _Ended:
        """Send a request when it is its turn, and answer what the server asks, in the time that a call may take.

        The time in which a person is asked does not count.
        """
        call, own_s = opened.call, self._server.call_timeout_s
        limit_s = own_s if own_s is not None or call.asker is None else call.asker.call_s
        has_turn = False
        try:
            time_limit = nullcontext() if limit_s is None else opened.hold.time_limit(limit_s)
            async with time_limit, self._turns.turn(opened.client):
                has_turn = True
                answers: InputResponses | None = None
                state: str | None = None
                for _ in range(MOST_ROUNDS):
                    result = await self._send(call, attempt, answers, state, opened)
                    if not isinstance(result, InputRequiredResult):
                        return result
                    answers, state = await self._asking.answers(result, opened), result.request_state
        except TimeoutError:
            if not has_turn:
                raise errors.ToolFailed(
                    f"Cannot call {call.tool.path}: its turn has not come within {limit_s or 0:g} s, and it was not "
                    f"sent. {self._server.name} is sent {AT_ONCE} calls at once, {OF_ONE} of one client, of which "
                    f"{self._turns.open_of(opened.client)} are open; await fewer calls at once",
                    name="TimeoutError",
                ) from None
            if own_s is None and limit_s is not None:
                raise errors.ToolTimeout(call.tool.path, limit_s) from None
            raise errors.ToolFailed(
                f"Tool {call.tool.path} timed out after {limit_s or 0:g} s (call_timeout_s of the upstream "
                f"{self._server.name}); it may or may not have run",
                name="TimeoutError",
            ) from None
        raise errors.ToolFailed(
            f"Cannot finish {call.tool.path}: {self._server.name} asked its user something {MOST_ROUNDS} times, and "
            "did not go on"
        )

    async def _send(
        self,
        call: Call,
        attempt: Attempt[_Ended],
        answers: InputResponses | None,
        state: str | None,
        opened: OpenCall,
    ) -> _Ended | InputRequiredResult:
        path, server, connection = call.tool.path, self._server.name, self._connection
        for is_last in (False, True):
            client = await connection.client_for(call)
            try:
                return await attempt(client, answers, state)
            except MCPError as error:
                if error.code == INVALID_REQUEST and error.message in NEVER_RAN and not is_last:
                    connection.lose(client)
                    continue
                if error.code == HEADER_MISMATCH and not is_last:
                    # The server refused it unseen, since the tool has changed. List the tools again: the next turn of
                    # the loop refuses a tool that differs from the one that was consented to.
                    await self._listing.read(client)
                    continue
                if error.message == CLOSED:
                    connection.lose(client)
                raise self._failure(error, path, opened.unasked) from None
            except ValueError:  # of the SDK's types, or of a value too deep for them
                raise errors.ToolFailed(
                    f"Cannot read the result of {path}: {server} answered what the protocol does not allow; the "
                    "tool has run"
                ) from None
        raise AssertionError("the last attempt returns or raises")

    def _failure(self, error: MCPError, path: str, unasked: str) -> errors.ToolFailed:
        too_large = self._connection.transport.too_large
        if too_large in error.message or EVENT_TOO_LARGE in error.message:
            return errors.ToolFailed(f"Cannot read the result of {path}: {too_large}; the tool may have run")
        if error.message.startswith(LOST):
            return errors.ToolFailed(
                f"Cannot finish {path}: the connection to {self._server.name} was lost; it may or may not have run",
                name="ConnectionLost",
            )
        if error.message.startswith(NO_ANSWER):
            what = self._connection.transport.line(error.message.partition(";")[0], 200)
            return errors.ToolFailed(
                f"Cannot read the result of {path}: what answered for {self._server.name} is no MCP server ({what}); "
                "the tool may or may not have run"
            )
        message = visible.shortened(self._redactor.clean(error.message), values.MOST_ERROR)
        return errors.ToolFailed(message + unasked, name="McpError", details=self._details(error.data))

    def _details(self, data: Any) -> Json:
        """What an error has beside its text, for the program; None where that is too large or no JSON."""
        try:
            written = self._redactor.clean_json(msgspec.json.encode(data))
            return msgspec.json.decode(written) if len(written) <= values.MOST_ERROR else None
        except (TypeError, ValueError, RecursionError):
            return None


def _arguments(call: Call) -> Json:
    """What a program passes; raises ToolFailed if it holds a number that JSON does not have."""
    if call.arguments is not None and (found := nonfinite.first_place(call.arguments)) is not None:
        path, number = found
        raise errors.ToolFailed(
            f"Cannot call {call.tool.path}: arguments{path} is {number}, which JSON does not have, and MCP servers "
            "take JSON; pass null, or a text",
            name="TypeError",
        )
    try:
        read: Json = None if call.arguments is None else msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        read = False
    return read


def _named_arguments(call: Call) -> dict[str, Any]:
    read = _arguments(call)
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise errors.ToolFailed(
            f"Cannot call {call.tool.path}: it takes one object of named arguments", name="TypeError"
        )
    return read
