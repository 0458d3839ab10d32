"""MCP servers of others, from npm and PyPI, pinned: each is listed, typed and called. Real processes, no engine."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter.tools import typegen
from pctx_jupyter.tools.tool import Tool
from tests.node import node, script
from tests.upstream import servers
from tests.upstream.conftest import OpenWorld

LONG_S = 60
"""Seconds until a server must be there; some import a lot."""

Entry = Callable[[Path], dict[str, Any]]


def on_node(name: str, package: str, path: str, *arguments: str) -> Entry:
    """A server from npm; ``FOLDER`` in its arguments is the test's."""

    def made(folder: Path) -> dict[str, Any]:
        words = [one.replace("FOLDER", str(folder)) for one in arguments]
        return {"name": name, "command": node(), "args": [script(package, path), *words]}

    return made


def on_python(name: str, module: str, group: str, *arguments: str, **environment: str) -> Entry:
    """A server from PyPI; ``FOLDER`` in its arguments and environment is the test's."""

    def made(folder: Path) -> dict[str, Any]:
        def put(text: str) -> str:
            return text.replace("FOLDER", str(folder))

        return servers.entry(name, module, group, *map(put, arguments), **{k: put(v) for k, v in environment.items()})

    return made


REFERENCE = "@modelcontextprotocol/server-"
CALLS: list[tuple[Entry, int, str, dict[str, Any], str]] = [
    (on_python("time", "mcp_server_time", "current"), 2, "Time.getCurrentTime", {"timezone": "UTC"}, "UTC"),
    (on_python("git", "mcp_server_git", "current"), 12, "Git.gitStatus", {"repo_path": "FOLDER"}, "No commits yet"),
    (
        on_python("fetch", "mcp_server_fetch", "current", "--allow-private-ips"),
        1,
        "Fetch.fetch",
        {"url": "PAGE"},
        "A page",
    ),
    (
        on_python("sqlite", "mcp_server_sqlite", "older", "--db-path", "FOLDER/x.db"),
        6,
        "Sqlite.readQuery",
        {"query": "select 40 + 2 as answer"},
        "42",
    ),
    (
        on_python("calculator", "mcp_server_calculator", "older"),
        1,
        "Calculator.calculate",
        {"expression": "40 + 2"},
        "42",
    ),
    (on_python("arithmetic", "mcp_server_math", "older"), 16, "Arithmetic.sum", {"numbers": [40, 2]}, "42"),
    (
        on_python("shell", "mcp_shell_server", "older", ALLOW_COMMANDS="echo"),
        1,
        "Shell.shellExecute",
        {"command": ["echo", "forty-two"], "directory": "FOLDER"},
        "forty-two",
    ),
    (
        on_python("cli", "cli_mcp_server", "older", ALLOWED_DIR="FOLDER", ALLOWED_COMMANDS="pwd"),
        2,
        "Cli.showSecurityRules",
        {},
        "pwd",
    ),
    (
        on_node("everything", REFERENCE + "everything", "dist/index.js"),
        15,
        "Everything.echo",
        {"message": "forty-two"},
        "forty-two",
    ),
    (on_node("memory", REFERENCE + "memory", "dist/index.js"), 9, "Memory.searchNodes", {"query": "x"}, "entities"),
    (
        on_node("filesystem", REFERENCE + "filesystem", "dist/index.js", "FOLDER"),
        14,
        "Filesystem.listAllowedDirectories",
        {},
        "Allowed directories",
    ),
    (
        on_node("thinking", REFERENCE + "sequential-thinking", "dist/index.js"),
        1,
        "Thinking.sequentialthinking",
        {"thought": "x", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
        "thoughtNumber",
    ),
    (
        on_node("calc", "@coo-quack/calc-mcp", "dist/index.js"),
        21,
        "Calc.base64",
        {"input": "forty-two", "action": "encode"},
        "Zm9ydHktdHdv",
    ),
]


class Page(BaseHTTPRequestHandler):
    """Serves one page, and nothing else: no ``robots.txt``."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/page" else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"A page.")

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page"
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is an empty repository of git."""
    found = tmp_path / "folder"
    subprocess.run(["git", "init", "-q", found], check=True)
    return found


def untyped(tool: Tool) -> list[str]:
    """Where a tool's declaration says ``any``, although its schema says more."""
    code = re.sub(r"/\*.*?\*/", "", typegen.declaration(tool), flags=re.DOTALL)
    if tool.output_schema is None:
        code = code.replace("Promise<any>", "")
    return [line.strip() for line in code.splitlines() if re.search(r"\bany\b", line)]


@pytest.mark.parametrize(
    ("entry", "tools", "path", "arguments", "said"), CALLS, ids=[path.partition(".")[0] for _, _, path, _, _ in CALLS]
)
async def test_a_real_server_is_listed_typed_and_called(
    open_world: OpenWorld,
    folder: Path,
    page: str,
    entry: Entry,
    tools: int,
    path: str,
    arguments: dict[str, Any],
    said: str,
) -> None:
    places = {"FOLDER": str(folder), "PAGE": page}
    given = {name: places.get(value, value) if isinstance(value, str) else value for name, value in arguments.items()}
    async with open_world(entry(folder), connect_timeout_s=LONG_S) as world:
        name = world.upstreams.listed().upstreams[0].name
        await world.until(lambda: world.view(name).state != "connecting")
        view = world.view(name)
        assert (view.state, view.error, view.log[-3:] if view.error else []) == ("ready", None, [])
        assert (view.tools, view.problems) == (tools, [])
        _, offered = world.upstreams.offered(name)
        assert {tool.path: lines for tool in offered if (lines := untyped(tool))} == {}
        assert said in str(await world.call(path, given))


async def test_a_real_server_with_resources_and_prompts_has_them_read(open_world: OpenWorld) -> None:
    async with open_world(on_node("everything", REFERENCE + "everything", "dist/index.js")(Path())) as world:
        await world.until_state("everything")
        listed = await world.call("Everything.listResources")
        assert len(listed["resources"]) == 7 and len(listed["templates"]) == 2
        linked = await world.call("Everything.getResourceLinks", {"count": 2})
        links = [one for one in linked if one["type"] == "resource_link"]
        kinds = [(await world.call("Everything.readResource", link))["contents"][0]["type"] for link in links]
        assert sorted(kinds) == ["blob", "text"]
        got = await world.call("Everything.getPrompt", {"name": "args-prompt", "arguments": {"city": "Paris"}})
        assert got["messages"][0]["content"]["text"] == "What's weather in Paris?"


async def test_why_a_real_server_does_not_start_is_a_line_of_its_stderr(open_world: OpenWorld) -> None:
    """Servers for version 1 of the SDK do not start where version 2 is."""
    entry = servers.entry("math", "mcp_server_math", "older")
    entry["args"][1] = "import sys; sys.modules['mcp.server.fastmcp'] = None; " + entry["args"][1]
    async with open_world(entry, connect_timeout_s=LONG_S) as world:
        view = await world.until_state("math", "down")
        assert "ModuleNotFoundError: import of mcp.server.fastmcp halted" in (view.error or "")
        assert any("Traceback" in line for line in view.log)
