"""Sends the calls of programs to one MCP server, and turns its results into JSON.

A call is sent once. It is repeated only where the server says that the first one never ran.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from mcp import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
)
from msgspec import Raw
from pydantic import Discriminator, Tag, TypeAdapter

from .. import errors
from ..foreign import CLOSED, EVENT_TOO_LARGE, LOST, NEVER_RAN
from ..rpc import nonfinite
from ..rpc.jsonrpc import Json
from ..tools.catalog import Call
from . import values
from .config import ServerConfig
from .connection import UpstreamConnection
from .listing import Listing
from .secrets import Redactor


def _kind(value: Any) -> str:
    of_dict = value.get("resultType") if isinstance(value, dict) else getattr(value, "result_type", None)
    return "asks" if of_dict == "input_required" else "ends"


RESULT: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    Annotated[
        Annotated[CallToolResult, Tag("ends")] | Annotated[InputRequiredResult, Tag("asks")], Discriminator(_kind)
    ]
)


class ToolCaller:
    """The calls of one server.

    Args:
        connection: Where they are sent.
        listing: The tools as programs know them.
        redactor: Takes secrets out of results.
    """

    def __init__(
        self, server: ServerConfig, connection: UpstreamConnection, listing: Listing, redactor: Redactor
    ) -> None:
        self._server, self._connection, self._listing, self._redactor = server, connection, listing, redactor

    async def call(self, name: str, call: Call) -> Raw:
        """Call one tool.

        Args:
            name: The server's own name of the tool.

        Raises:
            ToolFailed: The tool failed, or could not be called; the message says whether it may have run.
        """
        arguments = _arguments(call)
        limit_s = self._server.call_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                result = await self._send(name, arguments, call)
        except TimeoutError:
            raise errors.ToolFailed(
                f"Tool {call.tool.path} timed out after {limit_s:g} s (call_timeout_s of the upstream "
                f"{self._server.name}); it may or may not have run",
                name="TimeoutError",
            ) from None
        if isinstance(result, InputRequiredResult):
            raise errors.ToolFailed(f"Cannot finish {call.tool.path}: it asks its user something, and there is nobody")
        if result.is_error:
            raise errors.ToolFailed(self._redactor.clean(values.error_of(result))[: values.MOST_ERROR])
        return nonfinite.taken(
            Raw(self._redactor.clean_json(bytes(values.value_of(result, has_text_lists=self._server.has_text_lists))))
        )

    async def _send(self, name: str, arguments: dict[str, Any], call: Call) -> CallToolResult | InputRequiredResult:
        path, server, connection = call.tool.path, self._server.name, self._connection

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            amount = f"{progress:g} of {total:g}" if total else f"{progress:g}"
            call.note(connection.transport.line(f"{message} ({amount})" if message else amount, 200))

        for is_last in (False, True):
            client = await connection.client_for(call)
            arguments = self._listing.filled(name, arguments)
            request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
            if self._listing.differs(name, call.tool.first):
                raise errors.ToolFailed(
                    f"Cannot call {path}: the tool has changed since the program called it; read what it does now, "
                    "then call it again"
                )
            try:
                return await client.session.send_request(request, RESULT, progress_callback=on_progress)
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
                raise self._failure(error, path) from None
            except ValueError:  # of the SDK's types, or of a value too deep for them
                raise errors.ToolFailed(
                    f"Cannot read the result of {path}: {server} answered what the protocol does not allow; the "
                    "tool has run"
                ) from None
        raise AssertionError("the last attempt returns or raises")

    def _failure(self, error: MCPError, path: str) -> errors.ToolFailed:
        too_large = self._connection.transport.too_large
        if too_large in error.message or EVENT_TOO_LARGE in error.message:
            return errors.ToolFailed(f"Cannot read the result of {path}: {too_large}; the tool may have run")
        if error.message.startswith(LOST):
            return errors.ToolFailed(
                f"Cannot finish {path}: the connection to {self._server.name} was lost; it may or may not have run",
                name="ConnectionLost",
            )
        message = self._redactor.clean(error.message)[: values.MOST_ERROR]
        return errors.ToolFailed(message, name="McpError", details=self._details(error.data))

    def _details(self, data: Any) -> Json:
        """What a JSON-RPC error has as `data`, for the program; None where it is too large or no JSON."""
        try:
            written = self._redactor.clean_json(msgspec.json.encode(data))
            return msgspec.json.decode(written) if len(written) <= values.MOST_ERROR else None
        except (TypeError, ValueError, RecursionError):
            return None


def _arguments(call: Call) -> dict[str, Any]:
    if call.arguments is not None and (found := nonfinite.first_place(call.arguments)) is not None:
        path, number = found
        raise errors.ToolFailed(
            f"Cannot call {call.tool.path}: arguments{path} is {number}, which JSON does not have, and MCP servers "
            "take JSON; pass null, or a text",
            name="TypeError",
        )
    try:
        read = None if call.arguments is None else msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        read = ()
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise errors.ToolFailed(
            f"Cannot call {call.tool.path}: it takes one object of named arguments", name="TypeError"
        )
    return read
