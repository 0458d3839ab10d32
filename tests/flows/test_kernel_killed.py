"""A kernel killed while its program waits for its tool. Nothing is fake: server, kernels, sandboxes."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..kernel.real_kernel import attached
from ..server.process import ServerProcess, server_process

SOON = 20

CELLS = """
%load_ext pctx_jupyter
from pctx_jupyter import tool
import os, time

@tool
def hang(path: str) -> None:
    os.mkdir(path)
    while True: time.sleep(1)
"""


def test_a_kernel_killed_mid_call_leaves_nothing_on_its_server(tmp_path: Path) -> None:
    with server_process("--Pctx.warm_sandboxes=1") as server:
        process = server.start_kernel()
        with attached(process) as kernel, attached(server.start_kernel()) as bystander:
            for one in (kernel, bystander):
                assert one.run(CELLS).error is None
            assert bystander.run("%%pctx\n6 * 7").value == "42"
            called = tmp_path / "called"
            kernel.start(f"%%pctx\nawait Notebook.hang({{ path: {json.dumps(str(called))} }})")
            _until(called.exists)
            assert (_status(server)["sessions"], _status(server)["executions"]) == (2, 1)
            process.kill()
            _until(lambda: _status(server)["executions"] == 0)
            after = _status(server)
            assert (after["sessions"], after["tools"], after["sandbox"]["running"]) == (1, 1, 0)
            assert bystander.run("%%pctx\n6 * 7").value == "42"


def _status(server: ServerProcess) -> dict[str, Any]:
    request = urllib.request.Request(f"{server.url}pctx/api/status", headers=server.headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SOON) as answer:
        status: dict[str, Any] = json.load(answer)
        return status


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2 * SOON
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # what is waited for is in other processes, and tells nobody
