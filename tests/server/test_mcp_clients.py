"""Clients of others on a real server: the official one for TypeScript, and the inspector's command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests import node

from .process import ServerProcess, server_process

RUN_S = 60


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    node.install()
    with server_process() as server:
        yield server


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return subprocess.run(
        [node.node(), script, *arguments], capture_output=True, text=True, timeout=RUN_S, check=False, env=environment
    )


def inspect(server: ServerProcess, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    script = node.script("@modelcontextprotocol/inspector", "clients/launcher/build/index.js")
    header = f"Authorization: Bearer {server.token if token is None else token}"
    return run(script, "--cli", f"{server.url}mcp", "--transport", "http", "--header", header, *arguments)


def test_the_typescript_client_lists_calls_and_hears_progress(server: ServerProcess) -> None:
    code = "console.log('working'); await new Promise((go) => setTimeout(go, 500)); ({ a: [1, 2] })"
    done = run(str(node.FOLDER / "call.mjs"), f"{server.url}mcp", server.token, "execute", json.dumps({"code": code}))
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert "execute" in said["names"] and "working" in said["progress"]
    assert said["result"]["content"] == [{"type": "text", "text": 'console:\nworking\nresult:\n{"a":[1,2]}'}]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_finds_nothing_to_complain_about(server: ServerProcess, era: str) -> None:
    listed = inspect(server, "--protocol-era", era, "--method", "tools/list", "--strict")
    assert listed.returncode == 0, listed.stderr
    assert [tool["name"] for tool in json.loads(listed.stdout)["tools"]][-1] == "wait_execution"
    call = ("--method", "tools/call", "--tool-name", "execute", "--tool-arg", "code=6*7")
    called = inspect(server, "--protocol-era", era, *call)
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["content"] == [{"type": "text", "text": "42"}]


def test_the_inspector_shows_why_it_is_refused(server: ServerProcess) -> None:
    refused = inspect(server, "--method", "tools/list", token="wrong")
    assert refused.returncode != 0 and "Authentication required" in refused.stdout + refused.stderr
