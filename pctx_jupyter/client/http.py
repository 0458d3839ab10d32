"""The original's client of an MCP endpoint: a call is one POST, its answer one JSON text. No handshake, no stream.

It knows three functions and how the original wrote their results. It is for programs written for it; a model's client
speaks MCP itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .. import errors, processes
from ..rpc import headers as request_headers
from ..rpc.environment import without_secrets

if TYPE_CHECKING:
    import httpx2


class McpClient:
    """Runs programs as an agent would, with the tools that notebooks and upstream servers offer to agents.

    Args:
        base_url: The endpoint: ``http://localhost:8888/pctx/mcp``.
        timeout: Seconds an answer may take.
        token: The server's token.
        headers: Sent with each request, besides.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float = 30.0,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.base_url, self.timeout = base_url, timeout
        self.client: httpx2.AsyncClient | None = None
        """What requests go through; None while not connected."""
        self._headers = authorization(token) | dict(headers or {})
        self._ids = count(1)

    async def connect(self) -> None:
        """Make ready to ask; nothing is asked yet.

        Raises:
            CannotConnect: A header cannot be sent.
        """
        import httpx2  # it takes a while, and few need it

        request_headers.check(self._headers, self._shown())
        if self.client is None:
            accept = {"Accept": "application/json"}
            self.client = httpx2.AsyncClient(headers=accept | self._headers, timeout=self.timeout, trust_env=False)

    async def close(self) -> None:
        """Close its connections; does nothing the second time."""
        client, self.client = self.client, None
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def list_functions(self) -> list[dict[str, Any]]:
        """List what can be called, these three included: ``{name, description, input_schema, output_schema}`` each.

        Raises:
            ConnectionLost: The server was not reached, refused, or did not answer in time.
        """
        found: list[dict[str, Any]] = (await self._call("list_functions", {}))["functions"]
        return found

    async def get_function_details(self, functions: list[str]) -> dict[str, dict[str, Any]]:
        """Describe functions by full name.

        Raises:
            ToolError: A function is unknown.
            ConnectionLost: The server was not reached, refused, or did not answer in time.
        """
        found: dict[str, dict[str, Any]] = await self._call("get_function_details", {"functions": functions})
        return found

    async def execute(self, code: str) -> dict[str, Any]:
        """Run one program; cancelling this stops it.

        Returns:
            ``{success: true, output, stdout, stderr}``: `output` is the program's value.

        Raises:
            ExecutionError: It failed; the message says how and where.
            ConnectionLost: The server was not reached, refused, or did not answer in time. The program may have run.
        """
        ended: dict[str, Any] = await self._call("execute", {"code": code})
        if not ended.get("success"):
            said = str(ended.get("stderr") or ended.get("output") or "the program failed, without a message")
            error = errors.ExecutionError(said)
            error.stdout, error.stderr = str(ended.get("stdout") or ""), str(ended.get("stderr") or "")
            raise error
        return ended

    async def _call(self, tool: str, arguments: dict[str, Any]) -> Any:
        """Call one of the three; returns what its text stands for."""
        params = {"name": tool, "arguments": arguments}
        answer = await self._post({"jsonrpc": "2.0", "id": next(self._ids), "method": "tools/call", "params": params})
        if refusal := answer.get("error"):
            raise _failure(tool, f"Cannot call {tool}: {refusal.get('message')}")
        try:
            text = answer["result"]["content"][0]["text"]
        except (KeyError, IndexError, TypeError):
            raise self._unfit() from None
        try:
            said = json.loads(text)
        except ValueError:
            said = {"error": text} if answer["result"].get("isError") else None
        if not isinstance(said, dict):
            raise self._unfit()
        if "error" in said and answer["result"].get("isError"):
            raise _failure(tool, str(said["error"]))
        return said

    async def _post(self, message: dict[str, Any]) -> dict[str, Any]:
        import httpx2

        if self.client is None:
            raise errors.CannotConnect("Cannot ask: this client is not connected; use it in `async with`")
        try:
            response = await self.client.post(self.base_url, json=message)
            answer = response.json() if response.status_code == HTTPStatus.OK else None
        except httpx2.TimeoutException:
            raise errors.ConnectionLost(
                f"Cannot wait for {self._shown()}: no answer within {self.timeout:g} s (timeout)"
            ) from None
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
            raise errors.CannotConnect(
                f"Cannot connect to {self._shown()}: a URL looks like http://localhost:8888/pctx/mcp"
            ) from None
        except httpx2.HTTPError as error:
            raise errors.CannotConnect(f"Cannot connect to {self._shown()}: {_why(error)}") from None
        except ValueError:
            raise self._unfit() from None
        if isinstance(answer, dict):
            return answer
        if response.status_code == HTTPStatus.OK:
            raise self._unfit()
        raise errors.CannotConnect(
            f"Cannot connect to {self._shown()}: {_refusal(response.status_code)}", http_status=response.status_code
        )

    def _unfit(self) -> errors.PctxError:
        return errors.CannotConnect(f"Cannot understand {self._shown()}: what answers there is no MCP endpoint of pctx")

    def _shown(self) -> str:
        return without_secrets(self.base_url) or "this address"


def authorization(token: str | None) -> dict[str, str]:
    """The header that lets in with a server's token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _failure(tool: str, message: str) -> errors.PctxError:
    return errors.ExecutionError(message) if tool == "execute" else errors.ToolError(message)


def _why(error: Exception) -> str:
    """Describe why a request failed: what is short here, or what the other end did."""
    at: BaseException | None = error
    while at is not None:
        if (short := processes.lack(at)) is not None:
            return short
        at = at.__cause__ or at.__context__
    return f"{str(error) or type(error).__name__}; is the server running there?"


def _refusal(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return f'the server refused it ({status}); pass its token as token="…" (jupyter server list shows it)'
        case HTTPStatus.NOT_FOUND:
            return "the server has no such address (404); it looks like http://localhost:8888/pctx/mcp"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"the server answered with HTTP status {status}; try again, or read the server's log"
    return f"no MCP endpoint is served there (HTTP status {status}); it looks like http://localhost:8888/pctx/mcp"
