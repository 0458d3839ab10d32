"""What ``pctx-client`` exports to CrewAI, used without a model: the real framework, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ..server.process import server_process
from .environment import INSTALL_S, python_with

SOON = 120
"""Seconds after which it counts as a hang: the framework alone takes ten to load on a busy machine."""


@pytest.mark.timeout(INSTALL_S + SOON)
def test_each_tool_for_crewai_finds_describes_or_runs(tmp_path: Path) -> None:
    python = python_with("crewai")
    quiet = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "HOME": str(tmp_path)}
    with server_process() as server:
        done = subprocess.run(
            [python, str(Path(__file__).with_name("crewai_agent.py")), f"{server.url}pctx", server.token],
            env={"PATH": os.environ["PATH"], **quiet},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert "namespace Orders" in said["list_functions"] and "Adds up prices" in said["get_function_details"]
    assert "Exit Code: 0" in said["execute_bash"] and "README.md\nfunction" not in said["execute_bash"]
    assert "Orders\nREADME.md\ndeclare namespace Orders" in said["execute_bash"]
    assert "Code Executed Successfully: True" in said["execute_typescript"] and "\n4\n" in said["execute_typescript"]
