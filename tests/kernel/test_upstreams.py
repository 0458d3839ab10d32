"""``%pctx mcp``. Real: a kernel with an engine of its own, and MCP servers that are processes. Options are pure."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from IPython.core.error import UsageError

from pctx_jupyter.kernel.options import UpstreamOptions, upstream_options
from tests.upstream.conftest import PEER, peer
from tests.upstream.http_peer import Stranger, free_port, serving

from ..server.process import server_process
from .real_kernel import RealKernel, attached, open_kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKernel]:
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "pctx.json").write_text(json.dumps({"servers": [peer(name="from file")]}))
    with open_kernel(folder, JUPYTER_CONFIG_DIR=str(folder), JUPYTER_DATA_DIR=str(folder / "data")) as kernel:
        assert kernel.run("%load_ext pctx_jupyter").error is None
        yield kernel


def test_the_first_program_finds_the_servers_of_the_file(kernel: RealKernel) -> None:
    assert kernel.run('%%pctx\nawait FromFile.echo({ text: "hi" })').value == '"hi"'
    assert "from file" in (kernel.run("%pctx mcp").value or "")
    assert "ready; 12 tools as FromFile" in (kernel.run("%pctx mcp list").value or "")


def test_a_server_that_takes_long_to_connect_is_waited_for_and_a_line_says_so(kernel: RealKernel) -> None:
    late = f"import runpy, time; time.sleep(2); runpy.run_path({PEER!r}, run_name='__main__')"
    cell = kernel.run(f"%pctx mcp add --for-now late {shlex.join([sys.executable, '-c', late])}")
    assert "ready; 12 tools as Late" in cell.text()
    assert cell.text("stderr") == "Waiting for late to connect, as long as it may take (connect_timeout_s)\n"
    kernel.run("%pctx mcp remove late")


def test_a_server_is_added_called_and_removed(kernel: RealKernel) -> None:
    command = shlex.join([sys.executable, "-I", PEER])
    added = kernel.run(f"%pctx mcp add --for-now --env A=b more {command}").text()
    assert added.startswith(f"more ({sys.executable} -I") and ("connecting" in added or "ready" in added)
    assert kernel.run('%%pctx\nawait More.env({ text: "A" })').value == '"b"'
    assert "there is more already" in kernel.run(f"%pctx mcp add more {command}").text("stderr")
    assert "more (" in kernel.run("%pctx mcp reconnect more").text()
    assert "more (" in kernel.run("%pctx mcp approve more").text()
    assert "more (" in kernel.run("%pctx mcp trust more").text()
    assert "more (" in kernel.run("%pctx mcp ask more").text()
    assert "env of more is not allowed without asking" in kernel.run("%pctx mcp ask more env").text("stderr")
    assert "brings what it needs" in kernel.run("%pctx mcp sign-in more").text("stderr")
    assert kernel.run("%pctx mcp remove more").text() == "Removed more\n"
    assert "Cannot find an MCP server named 'more'" in kernel.run("%pctx mcp remove more").text("stderr")
    assert "Usage: %pctx mcp" in kernel.run("%pctx mcp frobnicate").text("stderr")


@contextmanager
def serving_beside(app: Stranger, port: int) -> Iterator[None]:
    """Serve an application on a thread of its own."""
    started, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(app, port):
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        ended.set()
        thread.join()


def test_the_host_of_a_sign_in_is_said_before_its_page(kernel: RealKernel) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    issuer = {"authorization_endpoint": "https://login.example/authorize?a=https://other.example/"}
    with serving_beside(Stranger(url, issuer=issuer), port):
        assert "needs sign-in" in kernel.run(f"%pctx mcp add --for-now wiki {url}/mcp").text()
        said = kernel.run("%pctx mcp sign-in wiki").text().splitlines()
        assert said[0] == f"Sign in at login.example; its answer is given to 127.0.0.1:{port}, for wiki. The page:"
        assert said[1].startswith("    https://login.example/authorize?a=https://other.example/")
        assert "Removed" in kernel.run("%pctx mcp remove wiki").text()


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (
            "time mcp-server-time --local-timezone UTC",
            UpstreamOptions("time", ("mcp-server-time", "--local-timezone", "UTC")),
        ),
        (
            "--env A=b=c 'my files' /bin/files",
            UpstreamOptions("my files", ("/bin/files",), environment=(("A", "b=c"),)),
        ),
        (
            "wiki https://w.example.com --bearer ${env:W}",
            UpstreamOptions("wiki", ("https://w.example.com",), "${env:W}"),
        ),
        (
            "--sse --header X-A=b wiki https://w.example.com",
            UpstreamOptions("wiki", ("https://w.example.com",), headers=(("X-A", "b"),), is_sse=True),
        ),
    ],
)
def test_options_of_add_are_read(line: str, options: UpstreamOptions) -> None:
    assert upstream_options(line) == options


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "required: NAME, URL or COMMAND"),
        ("name", "required: URL or COMMAND"),
        ("--env A time mcp-server-time", "it must be NAME=VALUE"),
        ("--env A=b wiki https://w.example.com", "--env is for a command"),
        ("--bearer t time mcp-server-time", "--bearer, --header and --sse are for a URL"),
    ],
)
def test_a_wrong_option_of_add_is_refused_with_the_usage(line: str, said: str) -> None:
    with pytest.raises(UsageError, match="Usage: %pctx mcp add") as refused:
        upstream_options(line)
    assert said in str(refused.value)


def test_the_help_names_the_commands(kernel: RealKernel) -> None:
    shown = kernel.run("%pctx help").value or ""
    assert "%pctx mcp add NAME URL|COMMAND …" in shown and Path(PEER).exists()


def test_a_kernel_of_a_server_adds_one_by_the_unix_socket_and_else_says_what_to_do(tmp_path: Path) -> None:
    option, command = f"--KernelManager.connection_dir={tmp_path}", shlex.join([sys.executable, "-I", PEER])
    with server_process(option) as server, attached(server.start_kernel()) as kernel:
        assert kernel.run("%load_ext pctx_jupyter").error is None
        assert "ready; 12 tools as Time" in kernel.run(f"%pctx mcp add --for-now time {command}").text()
        # As in a container, which has other files than the server.
        assert kernel.run("import os\nos.environ['PCTX_JUPYTER_PIPE'] = ''\n%reload_ext pctx_jupyter").error is None
        assert "ready; 12 tools as Time" in (kernel.run("%pctx mcp").value or "")
        touch = f"/bin/sh -c 'touch {tmp_path}/started'"
        refused = kernel.run(f"%pctx mcp add --env A=s3cr3t more {touch}").text("stderr")
        assert "Cannot add an MCP server: this kernel did not connect by the server's Unix socket" in refused
        assert f"    jupyter pctx mcp add more -- {touch} (and your options)" in refused and "s3cr3t" not in refused
        for line, does in {
            "remove time": "remove an MCP server",
            "trust time": "trust an MCP server",
            "reconnect time": "reconnect to an MCP server",
            "approve time": "approve the tools",
            "sign-in time": "sign in",
        }.items():
            assert f"Cannot {does}" in kernel.run(f"%pctx mcp {line}").text("stderr"), line
        assert "ready; 12 tools as Time" in (kernel.run("%pctx mcp").value or "")
        assert not (tmp_path / "started").exists()
