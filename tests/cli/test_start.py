"""``jupyter pctx start`` and the command's own help: a real server as a person starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from pctx_jupyter.settings import Limits, Settings

from .conftest import PATIENCE_S, Pctx, call, command, folders


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_a_server_says_where_it_is_serves_a_second_port_and_stops_at_an_interrupt(tmp_path: Path) -> None:
    port, ws_port = free_port(), free_port()
    options = ["--port", str(port), "--ws-port", str(ws_port), "--allow-root", "--ServerApp.base_url=/some/base"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command("start", *options, "--IdentityProvider.token=secret"),
            cwd=tmp_path,
            env=os.environ | folders(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdout is not None
    try:
        with server.stdout as said:
            lines = [said.readline() for _ in range(7)]
        assert lines[1:4] == [
            f"  MCP        http://localhost:{port}/some/base/mcp\n",
            f"  WebSocket  ws://localhost:{ws_port}/some/base/local-tools\n",
            f"  REST       http://localhost:{port}/some/base/pctx/\n",
        ]
        assert "secret" not in "".join(lines)
        for there in (port, ws_port):
            url = f"http://localhost:{there}/some/base/"
            done = call(tmp_path, "run", "-", "--url", url, "--token", "secret", stdin="6 * 7")
            assert done.stdout == "42\n", done.stderr
        assert call(tmp_path, "run", "-", "--server", stdin="1").stdout == "1\n"
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE_S) == 0
    finally:
        server.kill()
        server.wait()
    logged = (tmp_path / "log").read_text()
    assert "Traceback" not in logged and "jupyterlab" not in logged


def test_a_second_port_that_is_taken_ends_it_with_3(pctx: Pctx) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = pctx("start", "--port", str(free_port()), "--allow-root", "--ServerApp.ip=127.0.0.1", "--ws-port", port)
    assert done.returncode == 3 and "Cannot start a server" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help-all"], ["start", "--help-all"], ["run", "--help-all"]])
def test_help_shows_every_setting(pctx: Pctx, arguments: list[str]) -> None:
    shown = pctx(*arguments).stdout
    for field in (*fields(Limits), *fields(Settings)):
        assert field.name == "limits" or f"--Pctx.{field.name}=" in shown


def test_without_a_command_it_says_what_there_is(pctx: Pctx) -> None:
    done = pctx()
    assert done.returncode == 2
    for name in ("run", "check", "types", "start", "client-config"):
        assert f"\n{name}\n" in done.stdout
    assert pctx("--help").returncode == 0
    assert json.loads(pctx("types", "--json").stdout)["functions"] == []
