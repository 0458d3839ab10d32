"""Front ends that are neither a notebook nor a browser run ``%%pctx`` cells. Terminal, kernel and sandbox are real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pexpect

START = 90
"""Seconds after which a kernel that has not started counts as a hang, on a busy machine."""

TOOL = """
from pctx_jupyter import tool

@tool
def double(n: int) -> int:
    return 2 * n
"""


def environment(folder: Path) -> dict[str, str]:
    """Folders of their own for all that Jupyter and IPython read and write."""
    folders = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    kernel = {"IPYTHONDIR": str(folder / "ipython"), "TERM": "dumb", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return {**os.environ, **folders, **kernel}


def test_papermill_runs_a_notebook_with_its_parameters(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_code_cell("start = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(f"%load_ext pctx_jupyter\n{TOOL}"),
        nbformat.v4.new_code_cell("%%pctx -i start -o found\nconsole.log('so');\nawait Notebook.double({ n: start })"),
        nbformat.v4.new_code_cell("found"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    source, result = tmp_path / "source.ipynb", tmp_path / "result.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), source)
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(source), str(result), "-p", "start", "21", "--no-progress-bar"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=START,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *_, program, found = nbformat.read(result, as_version=4).cells
    assert "so\n" in "".join(output.get("text", "") for output in program.outputs)
    assert [output["data"]["text/plain"] for output in found.outputs] == ["42"]


@contextmanager
def console(folder: Path) -> Iterator[Any]:
    """``jupyter console`` in a terminal, at its first prompt."""
    # The terminal is a dumb one: what comes is plain text, and cells may still have several lines.
    terminal = pexpect.spawn(
        sys.executable, ["-m", "jupyter_console"], env=environment(folder), cwd=folder, encoding="utf-8", timeout=START
    )
    try:
        terminal.expect(r"In \[1\]: ")
        yield terminal
    finally:
        terminal.close(force=True)


ENTER, RUN = "\r", "\x1b\r"
"""What is typed for a further line, and to run a cell of several."""


def test_a_console_runs_a_cell_and_shows_its_value_and_its_errors(tmp_path: Path) -> None:
    with console(tmp_path) as terminal:
        terminal.send("%load_ext pctx_jupyter" + ENTER)
        terminal.expect(r"In \[2\]: ")
        terminal.send("from pctx_jupyter import tool; double = tool(lambda n: 2 * n, name='double')" + ENTER)
        terminal.expect(r"In \[3\]: ")
        terminal.send("%%pctx" + ENTER + "await Notebook.double({ n: 21 })" + RUN)
        terminal.expect(r"Out.*42\r\n")
        terminal.expect(r"In \[4\]: ")
        terminal.send("%%pctx" + ENTER + "throw new RangeError('far' + 1)" + RUN)
        terminal.expect("RangeError.*far1")
        terminal.expect(r"In \[5\]: ")


def test_plain_ipython_runs_a_cell_ends_without_a_word_and_keeps_its_last_run(tmp_path: Path) -> None:
    cells = "%load_ext pctx_jupyter\nget_ipython().run_cell_magic('pctx', '', 'console.log(6 * 7)')"
    (tmp_path / "cells.ipy").write_text(cells)
    started = [sys.executable, "-m", "IPython", "--colors=NoColor", "cells.ipy"]
    done = subprocess.run(
        started, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=START, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "42" in done.stdout
    past = subprocess.run(
        [sys.executable, "-m", "pctx_jupyter", "history"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=START,
        check=False,
    )
    assert "console.log(6 * 7)" in past.stdout, past.stderr
