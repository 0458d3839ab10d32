"""``jupyter pctx mcp serve``: the official client starts the command, as a desktop application does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.types import CallToolResult

from ..server.process import ServerProcess
from .conftest import Pctx, command, folders


@asynccontextmanager
async def started(home: Path, *options: str, mode: str = "auto", token: str | None = None) -> AsyncIterator[Client]:
    """A client that has started the command, with a token in its environment."""
    program, *arguments = command("mcp", "serve", "--stdio", *options)
    environment = os.environ | folders(home) | ({} if token is None else {"JUPYTER_TOKEN": token})
    async with Client(StdioServerParameters(command=program, args=arguments, env=environment), mode=mode) as client:
        yield client


def text(result: CallToolResult) -> str:
    return "".join(getattr(content, "text", "") for content in result.content)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_runs_programs_on_an_engine_of_the_commands_own(tmp_path: Path, mode: str) -> None:
    async with started(tmp_path, "--Pctx.max_check_s=20", mode=mode) as client:
        assert "execute" in {tool.name for tool in (await client.list_tools()).tools}
        assert "42" in text(await client.call_tool("execute", {"code": "6 * 7"}))


async def test_a_client_runs_programs_on_the_server_that_runs(server: ServerProcess) -> None:
    async with started(server.folder) as client:
        assert "execute" in {tool.name for tool in (await client.list_tools()).tools}
        assert "42" in text(await client.call_tool("execute", {"code": "6 * 7"}))


async def test_a_client_elsewhere_runs_programs_on_a_server_by_its_address(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with started(tmp_path, "--url", server.url, token=server.token) as client:
        assert "42" in text(await client.call_tool("execute", {"code": "6 * 7"}))


def test_a_client_that_hangs_up_ends_it(pctx: Pctx, with_server: Pctx) -> None:
    done = pctx("mcp", "serve")
    assert (done.returncode, done.stdout) == (0, "") and "engine of its own" in done.stderr
    done = with_server("mcp", "serve")
    assert (done.returncode, done.stdout) == (0, "") and "passing on" in done.stderr
    assert "engine of its own" in with_server("mcp", "serve", "--embedded").stderr


def test_it_does_not_guess_where_it_shall_serve(pctx: Pctx) -> None:
    assert pctx("mcp", "serve", "--server").returncode == 3
    assert pctx("mcp", "serve", "--port", "1").returncode == 3
    assert pctx("mcp", "serve", "--embedded", "--port", "1").returncode == 2
    done = pctx("mcp")
    assert done.returncode == 2 and "serve" in done.stdout
    assert "there are init, add" in pctx("mcp", "sevre").stderr
