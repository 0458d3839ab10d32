"""A server that ends and comes back while a client lives on. Real: servers, kernels, sandboxes; nothing is fake."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.rpc.environment import PIPE, TOKEN, URL

from ..kernel.real_kernel import open_kernel
from ..server.process import server_process

WARM = "--Pctx.warm_sandboxes=1"
SOON = 60
"""Seconds after which a wait counts as a hang: servers start and stop meanwhile."""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
async def test_a_client_comes_back_with_its_tools_and_never_asks_twice(by: signal.Signals) -> None:
    called: list[str] = []
    with server_process(WARM) as first:
        async with PctxClient(first.url + "local-tools", headers=first.headers, patience_s=SOON) as client:
            started = asyncio.Event()

            async def hang(arguments: dict[str, object]) -> None:
                called.append("hang")
                started.set()
                await asyncio.Event().wait()

            await client.register_tool("a", "hang", hang)
            await client.register_tool("a", "ping", lambda _: "pong")
            session = client.session_id
            running = asyncio.create_task(client.execute_code("await a.hang()"))
            async with asyncio.timeout(SOON):
                await started.wait()
            await asyncio.to_thread(first.stop, by)
            async with asyncio.timeout(SOON):
                with pytest.raises((errors.Cancelled, errors.ConnectionLost)):
                    await running
            waiting = asyncio.create_task(client.execute_code("await a.ping()"))
            entered = server_process(WARM, like=first)
            await asyncio.to_thread(entered.__enter__)
            try:
                async with asyncio.timeout(SOON):
                    assert (await waiting)["value"] == "pong"
                assert client.session_id not in (None, session)
                assert [tool["name"] for tool in await client.list_functions()] == ["A.hang", "A.ping"]
            finally:
                await asyncio.to_thread(entered.__exit__, None, None, None)
    assert called == ["hang"]


@pytest.mark.parametrize("by", [(URL, TOKEN), (URL, TOKEN, PIPE)], ids=["WebSocket", "pipe"])
def test_a_kernel_whose_server_no_longer_knows_it_runs_its_programs_itself_and_says_so_once(
    tmp_path: Path, by: tuple[str, ...]
) -> None:
    with server_process(WARM) as first:
        known = first.start_kernel().environ()
        # Started by the server it would end with the server; a kernel that a gateway or a cluster keeps does not.
        with open_kernel(tmp_path, **{name: known[name] for name in by}) as kernel:
            kernel.run("%load_ext pctx_jupyter\nfrom pctx_jupyter import tool\n@tool\ndef one() -> int:\n    return 1")
            assert kernel.run("%%pctx\nawait Notebook.one()").value == "1"
            assert first.url.rstrip("/") in (kernel.run("%pctx status").value or "")
            sockets = psutil.Process(first.process.pid).net_connections("unix")
            assert sum(one.laddr == known[PIPE] for one in sockets) == (2 if PIPE in by else 1)  # one of them listens
            first.stop(signal.SIGKILL)
            with server_process(WARM, like=first):
                cells = [kernel.run("%%pctx -o n\nawait Notebook.one()") for _ in range(2)]
                assert [cell.value for cell in cells] == ["1", "1"], cells[0].traceback
                said = cells[0].text("stderr")
                assert said.startswith("pctx: programs run in an engine of this kernel: ") and said.count("\n") == 1
                assert "refused this kernel's own token" in said
                assert cells[1].text("stderr") == ""
                status = kernel.run("%pctx status").value or ""
                assert "embedded" in status and "refused this kernel's own token" in status
                assert known[TOKEN] not in status + said
