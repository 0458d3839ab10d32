"""``jupyter pctx serve report.ipynb``: the command, its server and its kernels are processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pctx_jupyter import errors

from ..below import below
from ..flows.agent import Agent
from ..server.process import server_process
from .conftest import Pctx, command, folders

SOON_S = 60
"""Seconds a kernel may take to start and run its cells on a busy machine."""

TOOL = "from pctx_jupyter import tool\n\n@tool\ndef load(n: int) -> int:\n    return 2 * n"


def write(file: Path, *cells: str | tuple[str, str]) -> Path:
    """Write a notebook of these cells; a pair is a cell with its tag."""
    made = []
    for cell in cells:
        source, tags = (cell, []) if isinstance(cell, str) else (cell[0], [cell[1]])
        made.append(
            {
                "cell_type": "code",
                "source": source,
                "metadata": {"tags": tags},
                "outputs": [],
                "execution_count": None,
                "id": f"c{len(made)}",
            }
        )
    file.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return file


class Served:
    """The command while it runs.

    Attributes:
        said: The lines on its standard error.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)

    @property
    def text(self) -> str:
        return "".join(self.said)

    def until(self, holds: Callable[[], object]) -> None:
        until = time.monotonic() + SOON_S
        while not holds():
            assert self.process.poll() is None, self.text
            assert time.monotonic() < until, self.text
            time.sleep(0.05)

    def kernels(self) -> list[psutil.Process]:
        return below(lambda command: "ipykernel_launcher" in " ".join(command), self.process.pid)


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[Served]:
    with subprocess.Popen(
        command("serve", *arguments),
        cwd=home,
        env=os.environ | folders(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Served(process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            finally:
                process.kill()


def test_a_notebook_is_offered_by_a_server_of_the_commands_own_and_nothing_is_left(tmp_path: Path) -> None:
    write(tmp_path / "report.ipynb", TOOL)
    with serving(tmp_path, "report.ipynb") as served:
        served.until(lambda: "Ctrl-C" in served.text)
        assert "report.ipynb: 1 tool offered to agents: Report.load" in served.text
        assert "/pctx/mcp" in served.text and "client-config" in served.text
        everyone = psutil.Process(served.process.pid).children(recursive=True)
        [kernel] = served.kernels()
        kernel.kill()
        served.until(lambda: served.text.count("Report.load") == 2)
        assert "its kernel was restarted; it is run again in" in served.text
        everyone += psutil.Process(served.process.pid).children(recursive=True)
    assert served.process.returncode == 130
    _, alive = psutil.wait_procs(everyone, timeout=10)
    assert alive == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a system does not say that a parent has died")
def test_a_command_that_is_killed_leaves_no_server_and_no_kernel(tmp_path: Path) -> None:
    write(tmp_path / "report.ipynb", TOOL)
    with serving(tmp_path, "report.ipynb") as served:
        served.until(lambda: "Ctrl-C" in served.text)
        everyone = psutil.Process(served.process.pid).children(recursive=True)
        assert len(everyone) >= 2
        served.process.kill()
        _, alive = psutil.wait_procs(everyone, timeout=SOON_S)
        assert alive == []


def test_the_server_that_runs_offers_the_tagged_cells_of_a_notebook(tmp_path: Path) -> None:
    with server_process("--Pctx.warm_sandboxes=1") as server:
        write(server.folder / "report.ipynb", "1 / 0", (TOOL, "tools"))
        agent = Agent(server.url, server.headers)
        with serving(server.folder, "report.ipynb") as served:
            served.until(lambda: "Ctrl-C" in served.text)
            assert agent.run("await Report.load({ n: 21 })") == 42
        assert server.ask("GET", "api/sessions") == []
        with pytest.raises(errors.PctxError, match=r"the kernel of report\.ipynb was shut down"):
            agent.run("await Report.load({ n: 21 })")


def test_a_cell_that_fails_ends_the_command_with_its_traceback(tmp_path: Path) -> None:
    write(tmp_path / "report.ipynb", "a = 1", "1 / 0", TOOL)
    with serving(tmp_path, "report.ipynb") as served:
        assert served.process.wait(SOON_S) == 1
    assert "Cannot serve report.ipynb: cell 2 failed: ZeroDivisionError: division by zero" in served.text
    assert "Traceback" in served.text and "\x1b" not in served.text


def test_what_is_no_notebook_is_refused_in_words(pctx: Pctx, tmp_path: Path) -> None:
    done = pctx("serve", "missing.ipynb")
    assert done.returncode == 2 and "Cannot serve missing.ipynb: there is no such notebook" in done.stderr
    (tmp_path / "notes.txt").write_text("no notebook")
    done = pctx("serve", "notes.txt")
    assert done.returncode == 2 and "Cannot serve notes.txt: it is not a notebook" in done.stderr
    done = pctx("serve")
    assert done.returncode == 2 and "which notebook?" in done.stderr
