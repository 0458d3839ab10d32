"""Jupyter AI without a front end: a persona whose model is a script answers in a chat by a program that runs here."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pctx_jupyter.client import PctxClient

from ..server.process import server_process
from .environment import INSTALL_S, site_packages

HERE = Path(__file__).parent
SOON = 120
"""Seconds after which it counts as a hang."""

PRINT = ("-m", "pctx_jupyter", "client-config", "jupyter-ai")


def run(*command: str | Path, **environment: str) -> str:
    """Run Python with other variables; returns what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(INSTALL_S + SOON)
async def test_a_persona_of_jupyter_ai_calls_functions_by_the_configuration_that_is_printed_for_it(
    tmp_path: Path,
) -> None:
    frameworks = {"PYTHONPATH": site_packages(), "HOME": str(tmp_path)}
    settings = tmp_path / ".jupyter"
    (settings / "personas").mkdir(parents=True)
    shutil.copy(HERE / "jupyter_ai_persona.py", settings / "personas" / "scripted_persona.py")
    with server_process() as server:
        printed = run(*PRINT, "--url", server.url, JUPYTER_TOKEN=server.token)
        (settings / "mcp_settings.json").write_text(printed)
        address = f"{server.url.replace('http', 'ws', 1)}local-tools"
        async with PctxClient(address, headers=server.headers, name="Shop") as client:
            await client.register_tool("Shop", "orders", lambda _: [40, 2.5], effects=False)
            await client.share("agents")
            message = "(await Shop.orders({})).length"
            said = await asyncio.to_thread(run, HERE / "jupyter_ai_chat.py", tmp_path, message, **frameworks)
    assert said == "2"
