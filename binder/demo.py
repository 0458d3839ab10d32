"""Run a notebook of this folder in a kernel of a real Jupyter server and print every cell with its output.

``python binder/demo.py [NOTEBOOK]``, the tour if none is named. Starts a server with the extension on a free port,
opens the notebook in it as a browser would (a session of its own, messages over the kernel's WebSocket), prints what
each cell says, stops the server, and tells how to open it in JupyterLab. Exits with 1 when a cell fails that the
notebook does not expect to fail (the tag ``raises-exception``).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import textwrap
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from websockets.asyncio.client import ClientConnection, connect

HERE = Path(__file__).parent
TOUR = "tour.ipynb"
START_S = 60
"""Seconds a server may take to come up on a slow machine."""
CELL_S = 120
"""Seconds one cell may take."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Server:
    """A running Jupyter server and the token that opens it."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def ask(self, path: str, body: object = None) -> Any:
        """GET, or POST a JSON body; returns the answer."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a Jupyter server on a free port of this machine; stop it, whatever happens, on the way out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_urlsafe(24)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
                *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={HERE}"),
            ],
            env=os.environ | {"JUPYTER_TOKEN": token},  # not on the command line, where other users could read it
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            server = Server(f"http://127.0.0.1:{port}", token)
            asyncio.run(until_up(server, process))
            yield server
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            process.terminate()
            process.wait(30)


async def until_up(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Wait until the extension answers its health check."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                return await asyncio.to_thread(lambda: server.ask("/pctx/health"))
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    raise RuntimeError("The Jupyter server ended at its start") from None
                await asyncio.sleep(0.1)


async def outputs(kernel: ClientConnection, session: str, code: str) -> AsyncIterator[dict[str, Any]]:
    """Run one cell; yields the messages of its output until the kernel is idle again."""
    id = uuid.uuid4().hex
    header = {"msg_id": id, "msg_type": "execute_request", "session": session, "username": "", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await kernel.send(json.dumps(message))
    async with asyncio.timeout(CELL_S):
        async for frame in kernel:
            heard = json.loads(frame)
            if heard["channel"] != "iopub" or heard["parent_header"].get("msg_id") != id:
                continue
            if heard["msg_type"] == "status" and heard["content"]["execution_state"] == "idle":
                return
            yield heard


class Shown:
    """What a cell shows in the end: an output that is updated stays where it was, with what it says last."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._places: dict[str, int] = {}

    def add(self, message: dict[str, Any]) -> None:
        """Take one message of output in."""
        id = message["content"].get("transient", {}).get("display_id")
        if message["msg_type"] == "update_display_data":
            if id in self._places:
                self._texts[self._places[id]] = text_of(message)
            return
        if id is not None:
            self._places[id] = len(self._texts)
        self._texts.append(text_of(message))

    def __str__(self) -> str:
        return "".join(self._texts)


def text_of(message: dict[str, Any]) -> str:
    """What a terminal shows of one message of output."""
    content = message["content"]
    match message["msg_type"]:
        case "stream":
            return str(content["text"])
        case "execute_result" | "display_data" | "update_display_data":
            return content["data"].get("text/plain", "") + "\n"
        case "error":
            return COLOUR.sub("", "\n".join(content["traceback"])) + "\n"
    return ""


async def run_notebook(server: Server, name: str) -> bool:
    """Run every cell of a notebook and print it; True when all went as the notebook expects."""
    opened = server.ask(
        "/api/sessions",
        {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}},
    )
    session = uuid.uuid4().hex
    url = f"{server.url.replace('http', 'ws', 1)}/api/kernels/{opened['kernel']['id']}/channels?session_id={session}"
    ok = True
    async with connect(
        url, additional_headers={"Authorization": f"token {server.token}"}, max_size=None, proxy=None
    ) as kernel:
        for cell in nbformat.read(HERE / name, as_version=4).cells:
            if cell.cell_type == "markdown":
                print("\n" + textwrap.indent(cell.source, "  ") + "\n")
                continue
            print(textwrap.indent(cell.source, "│ ", lambda line: True))
            failed, shown = False, Shown()
            async for message in outputs(kernel, session, cell.source):
                shown.add(message)
                failed |= message["msg_type"] == "error"
            print(textwrap.indent(str(shown), "  "), flush=True)
            if failed != ("raises-exception" in cell.metadata.get("tags", [])):
                print("  ^ this cell " + ("failed" if failed else "should have failed"))
                ok = False
    return ok


def main() -> int:
    """Run the demo; returns the exit status."""
    name = sys.argv[1] if len(sys.argv) > 1 else TOUR
    with running_server() as server:
        ok = asyncio.run(run_notebook(server, name))
    if ok:
        print(f"That was binder/{name}, run in a kernel of a Jupyter server with pctx.")
        print("Open it in JupyterLab and change a cell:  make lab")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
