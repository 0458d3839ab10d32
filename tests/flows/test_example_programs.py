"""What lies in examples/, run as a reader would run it; the service is run by `test_services`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ..frameworks.environment import INSTALL_S, site_packages
from ..server.process import server_process

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SOON = 170
"""Seconds after which an example counts as a hang: three kernels, on a busy machine."""


def run(folder: Path, *command: str, **environment: str) -> str:
    """Run a program with folders of its own for Jupyter; returns what it printed."""
    folders = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    quiet = {"IPYTHONDIR": str(folder / "ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PCTX_")}
    done = subprocess.run(
        [sys.executable, *command],
        env={**inherited, **folders, **quiet, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_batch_runs_a_notebook_for_each_region(tmp_path: Path) -> None:
    lines = run(tmp_path, str(EXAMPLES / "batch.py"), "reports").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"region": "north", "orders": 2, "total": 52.5, "most": 40},
        {"region": "south", "orders": 2, "total": 37.5, "most": 30},
        {"region": "east", "orders": 1, "total": 99, "most": 99},
    ]
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"north.ipynb", "south.ipynb", "east.ipynb"}


def test_the_original_clients_example_runs_at_a_server(tmp_path: Path) -> None:
    with server_process() as server:
        said = run(tmp_path, str(EXAMPLES / "original.py"), PCTX_URL=server.url, PCTX_TOKEN=server.token)
    first, functions, squares, added = said.splitlines()
    assert first == "42 True" and "execute" in functions and squares == "[1, 4, 9]" and added == "8"


@pytest.mark.timeout(INSTALL_S + SOON)
def test_an_agent_answers_from_a_data_frame_and_two_mcp_servers(tmp_path: Path) -> None:
    target = tmp_path / "agent.ipynb"
    command = ["-m", "papermill", str(EXAMPLES / "agent.ipynb"), str(target), "--no-progress-bar"]
    run(tmp_path, *command, PYTHONPATH=site_packages())
    last = nbformat.read(target, as_version=4).cells[-1]
    said = "".join(output.text for output in last.outputs if output.output_type == "stream")
    for found in ("Ada", "5", "Kaito", "1.5", "Ana", "18:30"):
        assert found in said, said
    shown = [output.data for output in last.outputs if output.output_type == "display_data"]
    (trace,) = (data["application/vnd.pctx.trace+json"] for data in shown)
    called = {call["tool"].split(".")[0] for call in trace["calls"]}
    assert called == {"Git", "Notebook", "Time"} and trace["state"] == "ok"


def test_every_example_is_run_and_named_in_the_documentation() -> None:
    pages = "".join(page.read_text("utf-8") for page in (EXAMPLES.parent / "docs").rglob("*.md"))
    here = "".join(
        Path(__file__).with_name(name).read_text("utf-8") for name in (Path(__file__).name, "test_services.py")
    )
    for example in EXAMPLES.iterdir():
        assert f"examples/{example.name}" in pages, example.name
        assert example.name in here or example.name == "report.ipynb", example.name
