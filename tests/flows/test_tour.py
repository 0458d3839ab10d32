"""The notebooks, as `make demo` runs the tour: every cell, in a kernel of a real server with folders of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent.parent / "binder" / "demo.py"

SHOWN = {
    "agents.ipynb": (
        "git   ready; 12 tools as Git",
        "function convertTime(",
        "Ada          Begin  2026-03-02 09:30:00+00:00  09:30  18:30",
        "Agents.commitsOf({author}) – List what one author has committed",
        '{"messages":["Add a table"],"asked":true}',
        "Agents.commitsOf, Time.getCurrentTime  done in",
    ),
    "tour.ipynb": (
        "offsets asked for",
        '["Australia/Lord_Howe"]',
        "Did you mean 'longitude'?",
        "ReferenceError: fetch is not defined",
        "stopped after 1 s",
        '["Lisbon", "Tokyo", "New York", "Nairobi", "Sydney"]',
        "Engine      Jupyter server at http://127.0.0.1:",
    ),
    "weather.ipynb": (
        "48 months of 4 years",
        "a chart: millimetres of rain by month and year",
        "  True",
        "623 of 1461 days were wet",
        "(True, ['sun', 'fog', 'rain', 'drizzle', 'snow'])",
        "Frame of 623 rows × 3 columns, in the notebook",
        "623 wet days, and 4426 mm of rain",
        "dry days from",
    ),
}


@pytest.mark.parametrize("notebook", SHOWN)
def test_the_demo_runs_a_whole_notebook_and_says_what_to_do_next(notebook: str, tmp_path: Path) -> None:
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    done = subprocess.run(
        [sys.executable, str(DEMO), notebook],
        env=os.environ | folders | {"IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for shown in (*SHOWN[notebook], "make lab"):
        assert shown in done.stdout, shown
    assert "running …" not in done.stdout  # timelines as they are in the end


def test_every_notebook_is_run() -> None:
    assert {path.name for path in DEMO.parent.glob("*.ipynb")} == set(SHOWN)
