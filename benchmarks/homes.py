"""A real Jupyter server and real kernels to measure in: started for a part, stopped at its end."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_runtime_dir

from pctx_jupyter.session.trace import MIME


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its port, its token, and the process itself."""

    port: int
    token: str
    process: subprocess.Popen[bytes]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def ask(self, path: str, body: bytes | None = None) -> Any:
        """GET, or POST a body; returns the JSON of the answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers=self.headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def answers(self, path: str) -> bool:
        try:
            self.ask(path)
        except (urllib.error.URLError, ConnectionError):
            return False
        return True


@asynccontextmanager
async def running_server(*, with_pctx: bool = True) -> AsyncIterator[Server]:
    """A Jupyter server on a free port, with or without the extension."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory() as root:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
                *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}"),
                f"--ServerApp.jpserver_extensions=pctx_jupyter={with_pctx}",
            ],
            env=os.environ | {"JUPYTER_TOKEN": token},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server = Server(port, token, process)
        try:
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(server.answers, "/pctx/health" if with_pctx else "/api/status"):
                    await asyncio.sleep(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(20)


class Kernel:
    """A real kernel, asked as a front end asks it."""

    def __init__(self, client: AsyncKernelClient) -> None:
        self._client = client

    async def run(self, code: str) -> str:
        """Run one cell to its reply and its idle state; returns the text of what it printed and showed."""
        said: list[str] = []

        def on_message(message: dict[str, object]) -> None:
            content = message["content"]
            assert isinstance(content, dict)
            match message["msg_type"]:
                case "stream":
                    said.append(content["text"])
                case "execute_result" | "display_data" if MIME not in content["data"]:  # no timelines
                    said.append(content["data"].get("text/plain", ""))

        reply = await self._client.execute_interactive(code, timeout=60, output_hook=on_message)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{code!r} failed: {reply['content'].get('evalue')}")
        return "".join(said)


@asynccontextmanager
async def running_kernel(server: Server | None = None, *, load: bool = True) -> AsyncIterator[Kernel]:
    """A kernel, with the magics loaded unless told not to: a server's, whose engine it uses, or one on its own."""
    if server is None:
        manager = AsyncKernelManager(kernel_name="python3")
        await manager.start_kernel()
        client = manager.client()
        stop = manager.shutdown_kernel
    else:
        id = (await asyncio.to_thread(server.ask, "/api/kernels", b"{}"))["id"]
        client = AsyncKernelClient(connection_file=str(Path(jupyter_runtime_dir()) / f"kernel-{id}.json"))
        client.load_connection_file()

        async def stop(now: bool) -> None:
            """The server ends its kernels with itself."""

    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        kernel = Kernel(client)
        if load:
            await kernel.run("%load_ext pctx_jupyter")
        yield kernel
    finally:
        client.stop_channels()
        await stop(now=True)
