"""The original's unified client: an MCP endpoint and a WebSocket together, and tools that are called like methods.

::

    async with PctxUnifiedClient("http://localhost:8888/mcp", "ws://localhost:8888/local-tools", token="…") as client:
        await client.register_local_tool("Math", "add", lambda args: args["a"] + args["b"])
        assert await client.Math.add(a=5, b=3) == 8
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from .. import errors
from ..program import one_call
from ..rpc import jsonrpc as rpc
from ..rpc import nonfinite
from ..tools import names
from .client import PctxClient
from .http import McpClient, authorization
from .offers import Callback, payload_of, value_of

log = logging.getLogger(__name__)

_LONG = re.compile(r"\d{16}")
"""Digits that an integer has which JavaScript may round."""

CallByPath = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls a tool by its full name."""


class Namespace:
    """The tools of one namespace, as methods: ``await client.Math.add(a=5, b=3)``.

    One positional argument is the arguments object itself if it is a dict, and its ``value`` otherwise.
    """

    def __init__(self, name: str, call: CallByPath) -> None:
        self._name, self._call = name, call
        self._tools: set[str] = set()

    def __getattr__(self, tool: str) -> Callable[..., Awaitable[Any]]:
        if tool.startswith("__"):  # Python asks for such names on its own
            raise AttributeError(tool)
        path = f"{self._name}.{tool}"

        async def call(*positional: Any, **named: Any) -> Any:
            return await self._call(path, _arguments(path, positional, named))

        call.__name__ = tool
        return call

    def __dir__(self) -> list[str]:
        return sorted(self._tools)

    def __repr__(self) -> str:
        return f"<namespace {self._name}: {', '.join(sorted(self._tools))}>"


def _arguments(path: str, positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    match positional:
        case ():
            return named
        case (dict() as arguments,) if not named:
            return arguments
        case (value,) if not named:
            return {"value": value}
    raise TypeError(f"{path} takes one positional argument or named ones, not both and not several")


class PctxUnifiedClient:
    """Both ways to a server.

    Args:
        mcp_url: Its MCP endpoint: ``http://localhost:8888/mcp``.
        ws_url: Its WebSocket: ``ws://localhost:8888/local-tools``; None: no tools of one's own.
        timeout: Seconds an answer of the endpoint may take.
        token: The server's token.
        headers: Sent to both, besides.

    Attributes:
        mcp_client: The client of the endpoint.
        ws_client: The client of the WebSocket, while connected and if there is one.

    Each namespace is an attribute. Those of tools that came after `connect` are known after `list_functions`.
    """

    def __init__(
        self,
        mcp_url: str,
        ws_url: str | None = None,
        timeout: float = 30.0,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.mcp_url, self.ws_url, self.timeout = mcp_url, ws_url, timeout
        self._headers = authorization(token) | dict(headers or {})
        self.mcp_client = McpClient(mcp_url, timeout, headers=self._headers)
        self.ws_client: PctxClient | None = None
        self._namespaces: dict[str, Namespace] = {}
        self._opened = AsyncExitStack()

    async def connect(self) -> None:
        """Connect to both, and learn which functions there are.

        Raises:
            ConnectionLost: One of them was not reached; then neither stays connected.
        """
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(self.mcp_client)
            if self.ws_url is not None:
                client = PctxClient(self.ws_url, headers=self._headers)
                self.ws_client = await opened.enter_async_context(client)
                opened.callback(self._forget_socket)
            await self.list_functions()
            self._opened = opened.pop_all()

    async def disconnect(self) -> None:
        """Close both; the tools registered here go."""
        await self._opened.aclose()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    # namespaces

    def __getattr__(self, name: str) -> Namespace:
        known = self.__dict__.get("_namespaces", {})
        if name not in known:
            raise AttributeError(f"Namespace {name!r} not found; there are {', '.join(sorted(known)) or 'none yet'}")
        namespace: Namespace = known[name]
        return namespace

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._namespaces]

    def _learn(self, namespace: str, tool: str) -> None:
        known = self._namespaces.setdefault(namespace, Namespace(namespace, self._call_tool))
        known._tools.add(tool)

    async def _call_tool(self, path: str, arguments: dict[str, Any]) -> Any:
        """Call one tool: over the WebSocket if it is one of ours, as an agent otherwise."""
        payload = payload_of(arguments)
        text = nonfinite.readable(payload).decode()
        if _LONG.search(text) is not None and "Infinity" not in text:  # perhaps an integer that JSON.parse would round
            given = one_call.literal(value_of(payload), path)
        elif nonfinite.is_marked(payload):  # with NaN in it, it is an expression of JavaScript only
            given = f"({text})"
        else:
            given = f"JSON.parse({json.dumps(text)})"
        code = f"await CALLABLE_TOOLS.execute({json.dumps(path)}, {given})"
        local = self.ws_client if self._is_local(path) else None
        try:
            if local is not None:
                ended = await local.execute_code(code, typecheck=False)
            else:
                ended = await self.mcp_client.execute(code)
        except errors.ExecutionError as error:
            raise errors.ToolError(f"Tool {path} failed: {error.message}") from error
        for warned in ended["stderr"].splitlines():
            log.warning("%s: %s", path, warned)
        return ended["value"] if local is not None else ended["output"]

    def _is_local(self, path: str) -> bool:
        ours = self.ws_client.tools if self.ws_client is not None else {}
        return path in ours or path in {_canonical(known) for known in ours}

    # the endpoint

    async def list_functions(self) -> list[dict[str, Any]]:
        """List the functions that agents' programs can call.

        Returns:
            ``{name, description, input_schema, output_schema}`` each.

        Raises:
            ConnectionLost: The server was not reached, refused, or did not answer in time.
        """
        found = await self.mcp_client.list_functions()
        for function in found:
            namespace, dot, tool = function["name"].partition(".")
            if dot:
                self._learn(namespace, tool)
        return found

    async def get_function_details(self, functions: list[str]) -> dict[str, dict[str, Any]]:
        """Describe functions by full name.

        Raises:
            ToolError: A function is unknown.
            ConnectionLost: The server was not reached, refused, or did not answer in time.
        """
        return await self.mcp_client.get_function_details(functions)

    async def execute(self, code: str, use_ws: bool = False) -> dict[str, Any]:
        """Run one program.

        Args:
            code: TypeScript.
            use_ws: Whether it finds the tools registered here, over the WebSocket; otherwise it finds agents' tools.

        Returns:
            ``{success, output, stdout, stderr}``; over the WebSocket what `PctxClient.execute_code` gives.

        Raises:
            ExecutionError: It failed.
            ConnectionLost: There is no connection, or not any more.
        """
        return await (self._socket().execute_code(code) if use_ws else self.mcp_client.execute(code))

    # the WebSocket

    async def execute_with_local_tools(self, code: str) -> dict[str, Any]:
        """Run one program that finds the tools registered here: ``execute(code, use_ws=True)``."""
        return await self.execute(code, use_ws=True)

    async def register_local_tool(
        self,
        namespace: str,
        name: str,
        callback: Callback,
        description: str | None = None,
        input_schema: rpc.Json = None,
        output_schema: rpc.Json = None,
    ) -> None:
        """Offer a function to this client's own programs. The arguments are those of `PctxClient.register_tool`."""
        await self._socket().register_tool(namespace, name, callback, description, input_schema, output_schema)
        self._learn(namespace, name)
        canonical, _, tool = _canonical(f"{namespace}.{name}").partition(".")
        self._learn(canonical, tool)

    def list_local_tools(self) -> list[str]:
        """The full names of the tools registered here."""
        return list(self._socket().tools)

    async def list_all_tools(self) -> dict[str, list[dict[str, Any]]]:
        """Both kinds: ``{"mcp": [{name, description, …}], "local": [{name}]}``."""
        ours = self.ws_client.tools if self.ws_client is not None else {}
        return {"mcp": await self.list_functions(), "local": [{"name": name} for name in ours]}

    def _socket(self) -> PctxClient:
        if self.ws_client is None:
            raise errors.CannotConnect("Cannot ask over the WebSocket: this client has none; pass ws_url, and connect")
        return self.ws_client

    def _forget_socket(self) -> None:
        self.ws_client = None


def _canonical(path: str) -> str:
    namespace, _, name = path.rpartition(".")
    return f"{names.namespace_name(namespace)}.{names.tool_name(name)}"
