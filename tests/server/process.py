"""A Jupyter server as a process of its own, on a free port, with folders of its own; started, healthy, stopped."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.below import below

START_S = 60
"""Seconds a server may take to start on a busy machine."""

OTHERS = ("jupyterlab", "jupyter_lsp", "jupyter_server_fileid", "jupyter_server_ydoc", "notebook_shim")
ALONE = [f"--ServerApp.jpserver_extensions={name}=False" for name in OTHERS]
"""Nobody else's extensions: they take seconds to load."""

POLL_S = 0.05
"""Seconds between two looks at whether it is healthy."""

STOP_S = 20
"""Seconds it may take to stop on a busy machine; on a quiet one it takes less than one."""


class ServerProcess:
    """One running server.

    Args:
        folder: Where all its folders are.
        options: More of its command line.
        like: One that has stopped; this one has its address and its token.
        token: What it asks for; "": nothing. None: one that nobody can guess.
        ip: Where it listens; 127.0.0.1 is always among it.

    Attributes:
        url: Its base URL, ``http://127.0.0.1:port/some/base/``.
        token: Its token.
        folder: Where all its folders are.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        like: ServerProcess | None = None,
        token: str | None = None,
        ip: str = "127.0.0.1",
    ) -> None:
        if like is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port: int = free.getsockname()[1]
        else:
            self.port = like.port
        port = self.port
        self.url = f"http://127.0.0.1:{port}/some/base/"
        self.token: str = token if token is not None else like.token if like is not None else secrets.token_hex(16)
        self.folder = folder
        self._log: list[str] = []
        folders = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={port}"),
                *("--ServerApp.port_retries=0", f"--ServerApp.ip={ip}", "--ServerApp.base_url=/some/base"),
                "--Pctx.max_check_s=20",  # on a busy machine the type checker may take long to start
                *(f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={self.token}", *ALONE, *options),
            ],
            env=os.environ | folders,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait_for_health()

    @property
    def log(self) -> str:
        """What it has logged; complete once it has stopped."""
        if self.process.poll() is not None:
            self._reader.join(STOP_S)
        return "".join(self._log)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask it something over HTTP; returns the JSON it answers with, None where that is nothing."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=self.headers, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=START_S) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def start_kernel(self) -> psutil.Process:
        """Have it start a kernel, as a notebook would."""
        self.ask("POST", "api/kernels", {})
        return self.latest_kernel()

    def open_notebook(self, path: str) -> tuple[dict[str, Any], psutil.Process]:
        """Open a notebook, which need not exist; returns its session and its kernel."""
        asked = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        return self.ask("POST", "api/sessions", asked), self.latest_kernel()

    def latest_kernel(self) -> psutil.Process:
        """The kernel that was started last."""
        return below(lambda command: "ipykernel_launcher" in command, self.process.pid, recursive=False)[-1]

    @property
    def headers(self) -> dict[str, str]:
        """What lets a client in."""
        return {"Authorization": f"token {self.token}"}

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, if it runs still; returns its exit code, or raises `subprocess.TimeoutExpired`."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(STOP_S)
        finally:
            self.process.kill()
            self.process.wait()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self._log.extend(lines)

    def _wait_for_health(self) -> None:
        request = urllib.request.Request(f"{self.url}pctx/health", headers=self.headers)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_S
        while True:
            try:
                with direct.open(request, timeout=START_S):
                    return
            except OSError as error:
                # One that answers, but otherwise, has not got the extension and never will.
                is_up = isinstance(error, urllib.error.HTTPError)
                if is_up or self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    self.process.wait()
                    raise RuntimeError(f"The server did not become healthy: {error}\n{self.log}") from None
            time.sleep(POLL_S)


@contextmanager
def server_process(
    *options: str, like: ServerProcess | None = None, token: str | None = None, ip: str = "127.0.0.1"
) -> Iterator[ServerProcess]:
    """Start a server, and stop it on the way out."""
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder), *options, like=like, token=token, ip=ip)
        try:
            yield server
        finally:
            server.stop()
