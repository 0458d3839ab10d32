"""The MCP conformance suite against our real handler on a real server, with a server behind it that has all of MCP.

The suite can send no header of ours, so the server asks for no token here.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import node

from .process import ServerProcess, server_process

ROOT = Path(__file__).parent.parent.parent
EXTENSIONS = "--ServerApp.jpserver_extensions=tests.upstream.everything=True"
SUITE_S = 200


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    node.install()
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        with server_process(EXTENSIONS, token="") as server:
            yield server
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


@pytest.mark.timeout(SUITE_S + 150)
@pytest.mark.parametrize(("era", "least"), [("2025-11-25", 80), ("2026-07-28", 145)])
def test_every_scenario_of_an_era_passes(server: ServerProcess, tmp_path: Path, era: str, least: int) -> None:
    script = node.script("@modelcontextprotocol/conformance", "dist/index.js")
    url = server.url.replace("127.0.0.1", "localhost") + "mcp"
    done = subprocess.run(
        [node.node(), script, "server", "--url", url, "--suite", "all", "--spec-version", era, "-o", str(tmp_path)],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")},
        capture_output=True,
        text=True,
        timeout=SUITE_S,
        check=False,
    )
    passed, wrong = 0, []
    for found in tmp_path.rglob("checks.json"):
        for check in json.loads(found.read_text()):
            passed += check["status"] == "SUCCESS"
            if check["status"] in ("FAILURE", "WARNING"):
                wrong.append(f"{found.parent.name}: {check['id']}: {check.get('errorMessage')}")
    assert wrong == [], done.stdout[-4_000:]
    assert passed >= least, done.stdout[-4_000:]
