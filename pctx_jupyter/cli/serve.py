"""``serve``: notebooks run without a browser, and their tools are offered to agents for as long as the command runs.

The kernels are those of a Jupyter server, as if the notebooks were open there: the one that runs here, or one that the
command starts and stops.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..client.kernel import CellFailed, KernelChannel, KernelLost, open_channel
from ..rpc.backoff import BackOff
from .command import Exit, Stop, say
from .servers import Server, ServerCommand, health, open_url, running

TAG = "tools"
"""The tag of the cells that are run, where any cell has it."""
BACK_OFF_S = (1.0, 60.0)
"""Seconds between two runs of a notebook whose kernel dies: the first wait, doubled each time, and the longest."""
ANSWER_S = 60.0
"""Seconds the server may take to answer: it starts a kernel meanwhile."""
START_S = 60.0
"""Seconds a server that this command starts may take until it answers."""
STOP_S = 10.0
"""Seconds it may take to stop, before it is killed."""
PR_SET_PDEATHSIG = 1
"""The number of Linux's option for the signal that a process gets when its parent dies."""
CONNECTED_S = 15.0
"""Seconds after its cells in which a notebook's kernel has to be connected to pctx."""
WATCH_S = 2.0
"""Seconds between two looks whether a kernel is there."""
LOAD = "%load_ext pctx_jupyter"
"""Runs before the first cell, so that a notebook without it offers its tools, too."""


class ServeNotebooks(ServerCommand):
    """``jupyter pctx serve``."""

    takes_words = True

    description = """
        Run notebooks without a browser, and offer their tools to agents until it is interrupted.

        The notebooks are run on the server that runs here, as --port or --url name it; where none runs, it starts one
        and stops it at the end. If any cell of a notebook has the tag "tools", only the cells with this tag are run.
        When a kernel dies, it is started again and the notebook is run again. A cell that fails in the first run ends
        the command with status 1; later, the notebook is run again, with growing waits.
        """
    examples = "jupyter pctx serve report.ipynb\njupyter pctx serve report.ipynb sales.ipynb --port 8888"

    def main(self) -> int:
        """Serve until it is interrupted."""
        if not self.extra_args:
            raise Stop(Exit.USAGE, "Cannot serve: which notebook? jupyter pctx serve report.ipynb")
        if self.port or self.url or running():
            self._run(self.chosen())
        else:
            for name in self.extra_args:
                _find(name)
            with own_server(_root(self.extra_args)) as server:
                self._run(server)
        return Exit.OK

    def _run(self, server: Server) -> None:
        paths = list(dict.fromkeys(_path(server, name) for name in self.extra_args))
        asyncio.run(_serve(server, paths))


async def _serve(server: Server, paths: list[str]) -> None:
    task = asyncio.current_task()
    assert task is not None
    if os.name == "posix":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    notebooks = [ServedNotebook(server, path) for path in paths]
    for notebook in notebooks:
        await notebook.read()
    try:
        for notebook in notebooks:
            await notebook.begin()
        say(
            f"MCP                {server.url}pctx/mcp\n"
            f"Configure a client:  jupyter pctx client-config claude-code --port {server.port}\n"
            "Stop it:             Ctrl-C"
        )
        await asyncio.gather(*(notebook.keep() for notebook in notebooks))
    except asyncio.CancelledError:
        say("Stopping")
        raise KeyboardInterrupt from None
    finally:
        for notebook in notebooks:
            await asyncio.shield(notebook.end())


class ServedNotebook:
    """One notebook, its kernel on a server, and what it offers.

    Args:
        server: The server.
        path: The notebook, below the server's folder.
    """

    def __init__(self, server: Server, path: str) -> None:
        self._server, self.path = server, path
        self._session: dict[str, Any] | None = None

    async def read(self) -> None:
        """Check that there is such a notebook, and that it is not open.

        Raises:
            Stop: Says what is wrong.
        """
        await self._cells()
        for session in await self._ask("GET", "api/sessions"):
            if session.get("path") == self.path:
                raise Stop(
                    Exit.USAGE,
                    f"Cannot serve {self.path}: it is open on {self._server.url} and has a kernel; its tools are "
                    "offered from there once it has loaded pctx. Shut that kernel down first to have it served",
                )

    async def begin(self) -> None:
        """Start its kernel, run it, and print what it offers; raises `Stop` if a cell fails."""
        try:
            await self._run()
        except CellFailed as failed:
            raise Stop(Exit.FAILED, f"Cannot serve {self.path}: {failed}") from None
        except (KernelLost, OSError) as lost:
            raise Stop(Exit.FAILED, f"Cannot serve {self.path}: {lost}") from None

    async def keep(self) -> None:
        """Watch its kernel; when it is lost, start it and run the notebook again."""
        back_off, loop = BackOff(*BACK_OFF_S), asyncio.get_running_loop()
        since = loop.time()
        why = await self._lost()
        while True:
            if loop.time() - since > BACK_OFF_S[1]:
                back_off.reset()
            wait_s = back_off.next_s()
            say(f"{self.path}: {why}; it is run again in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)
            since = loop.time()
            try:
                await self._restart()
                await self._run()
            except (CellFailed, KernelLost, OSError, Stop) as failed:
                why = str(failed)
                continue
            why = await self._lost()

    async def end(self) -> None:
        """Shut its kernel down."""
        session, self._session = self._session, None
        if session is not None:
            try:
                await self._ask("DELETE", f"api/sessions/{session['id']}")
            except (OSError, Stop) as error:
                say(f"{self.path}: its kernel cannot be shut down: {error}")

    async def _restart(self) -> None:
        """Restart its kernel, or forget it where the server has it no more."""
        if self._session is not None:
            try:
                await self._ask("POST", f"api/kernels/{self._session['kernel']['id']}/restart", {})
            except Stop:
                session, self._session = self._session, None
                try:
                    await self._ask("DELETE", f"api/sessions/{session['id']}")
                except Stop:
                    return  # the server has forgotten it already

    async def _run(self) -> None:
        cells, kernel = await self._cells()
        if self._session is None:
            name = self.path.rpartition("/")[2]
            asked = {"path": self.path, "name": name, "type": "notebook", "kernel": {"name": kernel}}
            self._session = await self._ask("POST", "api/sessions", asked)
        async with self._channel() as channel:
            await channel.run(LOAD, "the command that loads pctx")
            for number, source in cells:
                await channel.run(source, f"cell {number}")
        await self._say_offer()

    async def _say_offer(self) -> None:
        assert self._session is not None
        route, state = f"pctx/api/kernels/{self._session['kernel']['id']}", None
        for _ in range(int(CONNECTED_S / 0.1)):
            try:
                state = await self._ask("GET", route)
            except Stop:
                state = None
            if state is not None and state["connected"]:
                break
            await asyncio.sleep(0.1)
        else:
            raise KernelLost(f"its kernel has not connected to pctx within {CONNECTED_S:g} s")
        names = [tool["shared_as"] for tool in state["tools"] if tool["shared_as"] is not None]
        to = {"nobody": "nobody", "agents": "agents", "everyone": "agents and notebooks"}[state["sharing"]]
        if not names:
            say(f"{self.path}: it offers no tools; define some with @tool, in cells that are run")
        else:
            count = f"{len(names):,} tools" if len(names) != 1 else "1 tool"
            say(f"{self.path}: {count} offered to {to}: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}")

    async def _lost(self) -> str:
        """Wait until the kernel is lost or restarted; returns why."""
        assert self._session is not None
        route = f"api/kernels/{self._session['kernel']['id']}"
        try:
            async with self._channel() as channel:
                watching = asyncio.create_task(channel.restarted())
                try:
                    while not watching.done():
                        await asyncio.wait([watching], timeout=WATCH_S)
                        await self._ask("GET", route)
                    return watching.result()
                finally:
                    watching.cancel()
        except Stop:
            return "its kernel was shut down"
        except (OSError, KernelLost) as error:
            return str(error) or "the connection to its kernel was lost"

    async def _cells(self) -> tuple[list[tuple[int, str]], str]:
        """The cells to be run, with their numbers, and the name of the notebook's kernel."""
        found = await self._ask("GET", f"api/contents/{quote(self.path)}?content=1")
        content = found.get("content")
        if found.get("type") != "notebook" or not isinstance(content, dict):
            raise Stop(Exit.USAGE, f"Cannot serve {self.path}: it is not a notebook")
        cells = [
            (number, str(cell.get("source", "")), cell.get("metadata", {}).get("tags", []))
            for number, cell in enumerate(content.get("cells", []), 1)
            if cell.get("cell_type") == "code"
        ]
        is_tagged = any(TAG in tags for *_, tags in cells)
        kernel = content.get("metadata", {}).get("kernelspec", {}).get("name") or "python3"
        return [(number, source) for number, source, tags in cells if source and (not is_tagged or TAG in tags)], kernel

    def _channel(self) -> AbstractAsyncContextManager[KernelChannel]:
        assert self._session is not None
        route = f"api/kernels/{self._session['kernel']['id']}/channels"
        return open_channel(f"{self._server.url.replace('http', 'ws', 1)}{route}", self._server.headers)

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        return await asyncio.to_thread(_ask, self._server, method, path, body)


@contextmanager
def own_server(root: Path) -> Iterator[Server]:
    """Start a server for this command alone; stop it, and its kernels, at the end.

    Raises:
        Stop: It does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    server = Server(f"http://127.0.0.1:{port}/", token, root=str(root), is_here=True)
    command = [sys.executable, "-m", "pctx_jupyter", "start", f"--port={port}", "--ServerApp.port_retries=0"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}", "--allow-root", "--log-level=WARN"]
    # A group of its own: Ctrl-C reaches this command alone, which shuts the kernels down first.
    process = subprocess.Popen(
        command,
        env=os.environ | {"JUPYTER_TOKEN": token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_stop_with(os.getpid()) if sys.platform == "linux" else None,  # no thread runs yet
    )
    try:
        _wait_for(process, server)
        say(f"Started a server:    {server.url}")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stop_with(parent: int) -> Callable[[], None]:
    """Return what a child of Linux does before it begins: have itself stopped when its parent dies, however it dies."""
    libc = ctypes.CDLL(None, use_errno=True)  # here: a child must not load anything

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it is dead already
            os._exit(1)

    return prepare


def _wait_for(process: subprocess.Popen[bytes], server: Server) -> None:
    import time

    until = time.monotonic() + START_S
    while health(server).trouble:
        if process.poll() is not None or time.monotonic() > until:
            raise Stop(Exit.UNREACHABLE, "Cannot serve: no server runs here, and one of its own did not start")
        time.sleep(0.1)


def _root(names: list[str]) -> Path:
    """The folder that a server of the command's own serves: the one that holds all notebooks."""
    folders = [str(Path(name).resolve().parent) for name in names]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:
        raise Stop(Exit.USAGE, "Cannot serve: the notebooks are on different drives; serve them separately") from None


def _find(name: str) -> Path:
    """The file of a notebook; raises `Stop` when there is none."""
    file = Path(name).resolve()
    if not file.is_file():
        raise Stop(Exit.USAGE, f"Cannot serve {name}: there is no such notebook")
    return file


def _path(server: Server, name: str) -> str:
    """The path of a notebook below the server's folder."""
    if not (server.is_here and server.root):
        return Path(name).as_posix().lstrip("/")  # as the server elsewhere knows it
    file = _find(name)
    try:
        return file.relative_to(Path(server.root).expanduser().resolve()).as_posix()
    except ValueError:
        raise Stop(
            Exit.USAGE, f"Cannot serve {name}: the server at {server.url} serves {server.root}, and it is not in there"
        ) from None


def _ask(server: Server, method: str, path: str, body: object) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", data=data, headers=server.headers, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        with open_url(request, timeout=ANSWER_S) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            message = _message(error.read())
        code = Exit.USAGE if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST) else Exit.UNREACHABLE
        raise Stop(code, f"Cannot serve: {message or error.reason} ({error.code})") from None


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return ""
