"""Files of MCP clients, as their own documentation has them: each is used as it is, or says why it is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.session import access
from pctx_jupyter.settings import Places, Settings
from pctx_jupyter.tools.catalog import Catalog
from pctx_jupyter.upstream import config
from pctx_jupyter.upstream.addresses import check_url, read_url, shown_url
from pctx_jupyter.upstream.all import open_upstreams
from pctx_jupyter.upstream.config import Address, CommandLine, OAuth
from pctx_jupyter.upstream.secrets import SecretText

from .conftest import PEER, OpenWorld, World, peer

T = SecretText

FILES: dict[str, tuple[str, dict[str, CommandLine | Address]]] = {
    "Claude Code, .mcp.json": (
        """{"mcpServers": {
            "api-server": {"type": "http", "url": "${API_BASE_URL:-https://api.example.com}/mcp",
                           "headers": {"Authorization": "Bearer ${API_KEY}"}},
            "database-tools": {"command": "${CLAUDE_PROJECT_DIR:-.}/servers/db-server",
                               "args": ["--config", "${CLAUDE_PROJECT_DIR}/config.json"],
                               "env": {"DB_URL": "${DB_URL}"}, "timeout": 600000}}}""",
        {
            "api-server": Address(
                T("${API_BASE_URL:-https://api.example.com}/mcp"),
                "http",
                {"Authorization": T("Bearer ${API_KEY}")},
                None,
            ),
            "database-tools": CommandLine(
                "${CLAUDE_PROJECT_DIR:-.}/servers/db-server",
                ("--config", "${CLAUDE_PROJECT_DIR}/config.json"),
                {"DB_URL": T("${DB_URL}")},
            ),
        },
    ),
    "Claude Desktop, claude_desktop_config.json": (
        """{"globalShortcut": "", "mcpServers": {"filesystem": {"command": "npx",
            "args": ["-y", "@modelcontextprotocol/server-filesystem", "~/Desktop"]}}}""",
        {"filesystem": CommandLine("npx", ("-y", "@modelcontextprotocol/server-filesystem", "~/Desktop"))},
    ),
    "VS Code, .vscode/mcp.json": (
        """{
            // the token is asked for
            "inputs": [{"type": "promptString", "id": "key", "description": "API key", "password": true}],
            "servers": {
                "docs": {"type": "http", "url": "https://docs.example.com/mcp"},
                "own": {"type": "stdio", "command": "python", "args": ["${workspaceFolder}/server.py", "--port", 8080],
                        "env": {"PORT": 8080, "DEBUG": true, "LEFT_OUT": null, "RATE": 0.5},
                        "cwd": "${workspaceFolder}",},
            },
        }""",
        {
            "docs": Address(T("https://docs.example.com/mcp")),
            "own": CommandLine(
                "python",
                ("${workspaceFolder}/server.py", "--port", "8080"),
                {"PORT": T("8080"), "DEBUG": T("true"), "RATE": T("0.5")},
                "${workspaceFolder}",
            ),
        },
    ),
    "VS Code, settings.json": (
        """{"editor.fontSize": 12, /* servers */ "mcp": {"inputs": [], "servers": {"time": {"command": "uvx",
            "args": ["mcp-server-time", "--url=http://a.example//b", "/* no comment */"]}}}}""",
        {"time": CommandLine("uvx", ("mcp-server-time", "--url=http://a.example//b", "/* no comment */"))},
    ),
    "Cursor, .cursor/mcp.json": (
        """{"mcpServers": {
            "local-server": {"command": "python", "args": ["${workspaceFolder}/tools/mcp_server.py"],
                             "env": {"API_KEY": "${env:API_KEY}", "HOME_DIR": "${userHome}"}},
            "remote-server": {"url": "https://api.example.com/mcp", "headers": {"X-Key": "${env:MY_SERVICE_TOKEN}"}},
            "oauth-server": {"url": "https://oauth.example.com/mcp", "auth": {"CLIENT_ID": "c",
                             "CLIENT_SECRET": "${env:MCP_CLIENT_SECRET}", "scopes": ["read", "write"]}},
            "old": {"url": "http://localhost:3000/sse"}}}""",
        {
            "local-server": CommandLine(
                "python",
                ("${workspaceFolder}/tools/mcp_server.py",),
                {"API_KEY": T("${env:API_KEY}"), "HOME_DIR": T("${userHome}")},
            ),
            "remote-server": Address(
                T("https://api.example.com/mcp"), "http", {"X-Key": T("${env:MY_SERVICE_TOKEN}")}, OAuth()
            ),
            "oauth-server": Address(
                T("https://oauth.example.com/mcp"),
                "http",
                {},
                OAuth("c", T("${env:MCP_CLIENT_SECRET}"), "read write"),
            ),
            "old": Address(T("http://localhost:3000/sse"), "sse"),
        },
    ),
    "Gemini, .gemini/settings.json": (
        """{"theme": "Dracula", "mcp": {"excluded": ["off"]}, "mcpServers": {
            "pythonTools": {"command": "python", "args": ["-m", "my_mcp_server", "--port", "8080"],
                            "cwd": "./mcp-servers/python",
                            "env": {"DATABASE_URL": "$DB_CONNECTION_STRING", "API_KEY": "${EXTERNAL_API_KEY}"},
                            // "excludeTools": ["dangerous_tool"],
                            "timeout": 15000, "trust": false},
            "httpServer": {"httpUrl": "http://localhost:3000/mcp", "headers": {"Authorization": "Bearer $TOKEN"}},
            "signingIn": {"httpUrl": "https://x.example/mcp", "oauth": {"enabled": true, "clientId": "c"}},
            "off": {"command": "off"}}}""",
        {
            "pythonTools": CommandLine(
                "python",
                ("-m", "my_mcp_server", "--port", "8080"),
                {"DATABASE_URL": T("$DB_CONNECTION_STRING"), "API_KEY": T("${EXTERNAL_API_KEY}")},
                "./mcp-servers/python",
            ),
            "httpServer": Address(T("http://localhost:3000/mcp"), "http", {"Authorization": T("Bearer $TOKEN")}, None),
            "signingIn": Address(T("https://x.example/mcp"), "http", {}, OAuth("c")),
        },
    ),
    "Qwen, .qwen/settings.json": (
        """{"mcp": {"allowed": ["web"]}, "mcpServers": {"web": {"httpUrl": "$BASE/mcp"}, "no": {"command": "no"}}}""",
        {"web": Address(T("$BASE/mcp"))},
    ),
    "Zed, settings.json": (
        """{"context_servers": {
            "mine": {"source": "custom", "command": "some-command", "args": ["arg-1"], "env": {}},
            "older": {"command": {"path": "some-command", "args": ["arg-2"], "env": {"A": "b"}}, "settings": {}},
            "remote": {"url": "https://remote.example/mcp", "headers": {"Authorization": "Bearer t"}},
            "off": {"source": "custom", "enabled": false, "command": "off"},
        }}""",
        {
            "mine": CommandLine("some-command", ("arg-1",)),
            "older": CommandLine("some-command", ("arg-2",), {"A": T("b")}),
            "remote": Address(T("https://remote.example/mcp"), "http", {"Authorization": T("Bearer t")}, None),
        },
    ),
    "Jupyter AI, mcp_settings.json": (
        """{"mcp_servers": [
            {"name": "tools", "command": "uvx", "args": ["x"], "env": [{"name": "KEY", "value": "${KEY}"}]},
            {"type": "sse", "name": "old", "url": "http://127.0.0.1:9/events",
             "headers": [{"name": "A", "value": "b"}]}]}""",
        {
            "tools": CommandLine("uvx", ("x",), {"KEY": T("${KEY}")}),
            "old": Address(T("http://127.0.0.1:9/events"), "sse", {"A": T("b")}),
        },
    ),
}


@pytest.mark.parametrize("client", FILES)
def test_the_file_of_a_client_is_used_as_it_is(client: str) -> None:
    text, servers = FILES[client]
    found = config.parse(text.encode(), "it.json")
    assert found.problems == ()
    assert {server.name: server.way for server in found.servers} == servers
    for server in found.servers:
        config.check_sendable(server)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (
            {"command": "a", "env": {"KEY": "${input:key}"}},
            r"^the variable KEY of it cannot be used: \$\{input:key\} is",
        ),
        ({"command": "a", "args": ["${file:x}"]}, r"^argument 1 of it .* \$\{file:x\} stands for nothing known here"),
        ({"command": "${config:a}"}, "^the command of it cannot be used"),
        ({"command": "a", "cwd": "${x y}"}, "^cwd of it cannot be used"),
        ({"url": "https://x.example/${input:a}"}, "^the url of it cannot be used"),
        ({"url": "${config:a}/mcp"}, "^the url of it cannot be used"),
        ({"url": "https://x.example", "headers": {"A": "${input:a}"}}, "^the header A of it cannot be used"),
        ({"url": "https://x.example", "auth": {"type": "oauth", "client_id": "${input:a}"}}, "^client_id of it"),
        (
            {"command": "a", "envFile": ".env"},
            "^it cannot be used: envFile is not read here; write its variables in env",
        ),
        ({"url": "https://x.example", "headersHelper": "/opt/h"}, "^it cannot be used: headersHelper is not run here"),
    ],
)
def test_what_works_in_its_client_alone_is_refused_with_the_place_and_the_way_out(
    entry: dict[str, Any], why: str
) -> None:
    server = config.server_of({"name": "it", **entry})
    assert server is not None
    with pytest.raises(errors.InvalidParams, match=why):
        config.check_sendable(server)


def test_an_extension_of_zed_is_refused_in_words() -> None:
    found = config.parse(b'{"context_servers": {"postgres": {"source": "extension", "settings": {}}}}', "settings.json")
    why = "it is an extension of Zed, which only Zed can start; write its command or url"
    assert found.problems == (f"settings.json, context_servers.postgres: {why}",)


@pytest.mark.parametrize("text", ['"\\"' * 500_000, '"\\"' * 500_000 + "\\", "/* " * 500_000, "{," + " " * 1_000_000])
def test_a_long_file_without_an_end_is_refused_at_once(text: str) -> None:
    with pytest.raises(errors.InvalidParams, match="it is no JSON"):  # to look at each part again takes hours
        config.parse(text.encode(), "mcp.json")


def test_a_workspace_is_where_the_file_is_or_above_an_editors_folder() -> None:
    folders = {path: config.workspace_of(path) for path in ("/w/.mcp.json", "/w/.vscode/mcp.json", "/w/x/pctx.json")}
    assert folders == {"/w/.mcp.json": "/w", "/w/.vscode/mcp.json": "/w", "/w/x/pctx.json": "/w/x"}


@pytest.mark.parametrize(
    ("written", "url", "hidden", "shown"),
    [
        ("${PCTX_BASE}/mcp", "https://api.example.com:8443/mcp", [], "${PCTX_BASE}/mcp"),
        ("$PCTX_BASE/mcp", "https://api.example.com:8443/mcp", [], "$PCTX_BASE/mcp"),
        (
            "${PCTX_NO:-https://u:p4ssword@x.example}/m",
            "https://u:p4ssword@x.example/m",
            [],
            "${PCTX_NO:-https://x.example}/m",
        ),
        ("${PCTX_WITH}", "https://u:p4ssword@x.example/s3cret", ["u", "p4ssword", "/s3cret"], "${PCTX_WITH}"),
        (
            "https://${PCTX_HOST}:${PCTX_PORT}/m?k=${PCTX_KEY}",
            "https://x.example:99/m?k=s3cr3t",
            ["s3cr3t"],
            "https://${PCTX_HOST}:${PCTX_PORT}/m",
        ),
        ("https://x.example${PCTX_PATH}", "https://x.example/a/b", ["/a/b"], "https://x.example${PCTX_PATH}"),
        ("https://u:${PCTX_KEY}@x.example/", "https://u:s3cr3t@x.example/", ["s3cr3t"], "https://x.example/"),
    ],
)
async def test_a_variable_may_be_an_address_or_a_part_of_it(
    monkeypatch: pytest.MonkeyPatch, written: str, url: str, hidden: list[str], shown: str
) -> None:
    for name, value in {
        "BASE": "https://api.example.com:8443",
        "WITH": "https://u:p4ssword@x.example/s3cret",
        "HOST": "x.example",
        "PORT": "99",
        "KEY": "s3cr3t",
        "PATH": "/a/b",
    }.items():
        monkeypatch.setenv(f"PCTX_{name}", value)
    way = config.server_of({"name": "it", "url": written})
    assert way is not None and isinstance(way.way, Address)
    assert await read_url(T(written), "") == (url, hidden, True)
    assert shown_url(T(written)) == shown


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("https://x.example${PCTX_KEY}/mcp", "@evil.example"),
        ("https://u:${PCTX_KEY}@x.example/", "a@evil.example/"),
        ("https://u:${PCTX_KEY}@x.example/", "a/b"),
        ("https://x.example/${PCTX_KEY}", "a b"),
        ("https://x.example/${PCTX_KEY}", "a\nb"),
        ("${PCTX_KEY}/mcp", "no address"),
        ("${PCTX_KEY}/mcp", "javascript:alert(1)"),
        ("${PCTX_KEY}/mcp", "file:///etc"),
        ("https://x.example:${PCTX_KEY}/mcp", "99999"),
    ],
)
async def test_a_variable_that_makes_another_address_of_a_url_is_found(
    monkeypatch: pytest.MonkeyPatch, written: str, value: str
) -> None:
    monkeypatch.setenv("PCTX_KEY", value)
    _, _, leads_as_written = await read_url(T(written), "")
    assert not leads_as_written


@pytest.mark.parametrize("url", ["${A}", "$A/x", "https://\ue000/", "javascript:x"])
def test_what_a_stranger_names_refers_to_nothing(url: str) -> None:
    with pytest.raises(errors.InvalidParams, match="url is invalid"):
        check_url(url)


def test_a_variable_in_a_url_counts_as_code_for_kernels_that_may_not_run_any() -> None:
    assert not access.runs_code({"name": "it", "url": "https://x.example"})
    for value in ("$SECRET", "Bearer $SECRET", "${SECRET}", "${env:SECRET}"):
        assert access.runs_code({"name": "it", "url": "https://x.example", "headers": {"X": value}})
    assert access.runs_code({"name": "it", "httpUrl": "$SECRET"})


async def test_variables_reach_the_process_and_its_errors_stay_readable(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PCTX_PYTHON", sys.executable)
    monkeypatch.setenv("PCTX_TEST_SECRET", "s3cr3t-canary")
    entry = {
        "name": "it",
        "command": "${PCTX_PYTHON}",
        "args": ["-I", PEER, "${PCTX_MANNER:-good}"],
        "cwd": "${workspaceFolder}",
        "env": {"API_KEY": "$PCTX_TEST_SECRET", "FOLDER": "${workspaceFolder}/a", "AT_HOME": "~/b", "N": 5, "B": False},
    }
    asking = peer("deaf", env={"API_KEY": "${input:key}"})
    async with open_world(entry, asking) as world:
        await world.until_state("it")
        values = [await world.call("It.env", {"text": name}) for name in ("API_KEY", "FOLDER", "AT_HOME", "N", "B")]
        assert values == ["***", f"{tmp_path}/a", f"{Path.home()}/b", 5, False]
        down = await world.until_state("deaf", "down")
        assert down.error is not None and down.error.startswith(
            "the variable API_KEY of deaf cannot be used: ${input:key} is asked for in an editor"
        )
        assert down.retry_s is None


async def test_another_clients_file_is_read_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".vscode" / "mcp.json"
    file.parent.mkdir()
    server = {"command": sys.executable, "args": ["-I", PEER, "good"], "env": {"FOLDER": "${workspaceFolder}"}}
    file.write_text("// mine\n" + json.dumps({"servers": {"it": server}}))
    catalog = Catalog()
    async with open_upstreams(Settings(upstreams=str(file)), Places(), catalog, lambda _: None) as upstreams:
        world = World(upstreams, catalog, file)
        await world.until_state("it")
        assert await world.call("It.env", {"text": "FOLDER"}) == str(tmp_path)
        with pytest.raises(errors.InvalidParams, match=r"Cannot change .*mcp\.json: its comments would be lost"):
            await upstreams.add({"name": "other", "command": "x"}, persist=True)


def test_a_server_is_added_and_removed_in_an_editors_words() -> None:
    before = b'{"servers": {"a": {"command": "x"}}}'
    added = config.with_entry(before, {"name": "b", "url": "http://b"}, "mcp.json")
    assert json.loads(added) == {"servers": {"a": {"command": "x"}, "b": {"url": "http://b"}}}
    for key in ("servers", "mcpServers", "context_servers"):
        left = config.without_entry(json.dumps({key: {"a": {"command": "x"}, "b": {}}}).encode(), "a", "x.json")
        assert left is not None and json.loads(left) == {key: {"b": {}}}
