"""The command as a process of its own, as a person or a script runs it; its Jupyter folders are its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..server.process import ServerProcess

PATIENCE_S = 50
"""Seconds a command may take on a busy machine."""

Pctx = Callable[..., "subprocess.CompletedProcess[str]"]


def folders(home: Path) -> dict[str, str]:
    """The environment of commands and servers that know one another."""
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    return own | {"JUPYTER_PREFER_ENV_PATH": "0", "JUPYTER_TOKEN": ""}


def command(*arguments: str) -> list[str]:
    """The command line of ``jupyter pctx …``."""
    return [sys.executable, "-m", "pctx_jupyter", *arguments]


def call(
    home: Path,
    *arguments: str,
    stdin: str = "",
    wrap: Callable[..., list[str]] = lambda *words: list(words),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder and wait for its end; `wrap` makes the command line of one that runs it."""
    return subprocess.run(
        wrap(*command(*arguments)),
        input=stdin,
        capture_output=True,
        text=True,
        cwd=home,
        env=os.environ | folders(home) | environment,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def pctx(tmp_path: Path) -> Pctx:
    """Runs the command where there is no server."""
    return lambda *arguments, **options: call(tmp_path, *arguments, **options)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that commands of `with_server` find."""
    server = ServerProcess(tmp_path_factory.mktemp("home"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def with_server(server: ServerProcess) -> Pctx:
    """Runs the command where one server runs."""
    return lambda *arguments, **options: call(server.folder, *arguments, **options)
