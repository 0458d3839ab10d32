"""``jupyter pctx doctor``: what it finds where things are as they should be, and where they are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pctx_jupyter import restrictions
from pctx_jupyter.cli import doctor

from ..server.process import ServerProcess
from .conftest import PATIENCE_S, Pctx, command, folders

WELL = "--Pctx.max_check_s=20"
"""A busy machine is no trouble."""


def findings(said: str) -> dict[str, dict[str, Any]]:
    return {one["about"]: one for one in json.loads(said)["findings"]}


def configure(home: Path, **state: bool) -> None:
    (home / "config" / "jupyter_server_config.d").mkdir(parents=True)
    text = json.dumps({"ServerApp": {"jpserver_extensions": state}})
    (home / "config" / "jupyter_server_config.d" / "ours.json").write_text(text)


def test_where_all_is_well_it_says_what_there_is(with_server: Pctx, server: ServerProcess) -> None:
    configure(server.folder, pctx_jupyter=True)
    done = with_server("doctor", WELL, "--json")
    assert done.returncode == 0, done.stdout
    found = findings(done.stdout)
    assert found["Programs"]["says"].endswith("6 * 7 is 42")
    assert found["Server extension"]["state"] == "ok"
    assert found[f"Server {server.port}"]["state"] == "ok" and server.url in found[f"Server {server.port}"]["says"]
    assert server.token not in done.stdout
    assert "Programs" in with_server("doctor", WELL).stdout


def test_each_trouble_has_its_cure(pctx: Pctx, tmp_path: Path) -> None:
    configure(tmp_path, pctx_jupyter=False)
    kernel = tmp_path / "data" / "kernels" / "elsewhere"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps({"argv": ["/bin/false", "-m"], "language": "python"}))
    done = pctx("doctor", "--Pctx.deno=/nowhere/deno", "--json")
    assert done.returncode == 3 and done.stderr == ""
    found = findings(done.stdout)
    assert found["Programs"]["state"] == "wrong" and "/nowhere/deno" in found["Programs"]["says"]
    assert found["Server extension"]["state"] == "wrong"
    assert found["Server extension"]["cure"] == "jupyter server extension enable pctx_jupyter"
    assert found["Kernel elsewhere"]["cure"].startswith("/bin/false -m pip install pctx-jupyter")
    shown = pctx("doctor", "--Pctx.deno=/nowhere/deno").stdout
    assert "wrong  Programs" in shown and "→ jupyter server extension enable pctx_jupyter" in shown


def test_an_mcp_server_that_does_not_start_is_a_finding(pctx: Pctx, tmp_path: Path) -> None:
    servers = [{"name": "lost", "command": "/nowhere/server"}, {"name": "odd"}]
    (tmp_path / "pctx.json").write_text(json.dumps({"servers": servers}))
    untrusted = findings(pctx("doctor", WELL, "--json").stdout)["MCP server lost"]
    assert untrusted["state"] == "note" and "jupyter pctx mcp trust lost" in untrusted["says"]
    assert pctx("mcp", "trust").returncode == 0
    done = pctx("doctor", WELL, "--json")
    found = findings(done.stdout)
    assert done.returncode == 3 and found["MCP server lost"]["state"] == "wrong"
    assert "/nowhere/server" in found["MCP server lost"]["says"] and "mcp test lost" in found["MCP server lost"]["cure"]
    assert "servers[1]" in found["MCP servers"]["says"]


def test_a_data_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "trusted.json").mkdir()
    (tmp_path / "tools.json").write_text('{"a": ')
    (tmp_path / "allowed.json").write_text("{}")
    found = {one.about: one.says for one in doctor._state_files(tmp_path)}
    assert found.keys() == {"Data file tools.json", "Data file trusted.json"}
    assert "it is no JSON object; it counts as empty" in found["Data file tools.json"]
    assert "Is a directory; it counts as empty" in found["Data file trusted.json"]
    assert list(doctor._state_files(tmp_path / "none")) == []


def test_a_wrong_configuration_is_a_finding(pctx: Pctx) -> None:
    done = pctx("doctor", "--Pctx.layers=7", "--json")
    assert done.returncode == 3 and "at most 2" in findings(done.stdout)["Configuration"]["says"]


def test_what_an_administrator_demands_is_a_finding_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / restrictions.FILE).write_text('{"max_running": 4, "agents": "off"}')
    monkeypatch.setattr(restrictions, "folders", lambda: [str(tmp_path)])
    (found,) = doctor._restrictions()
    assert found.says == f"agents, max_running in {tmp_path / restrictions.FILE}"


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX systems")
def test_a_limit_that_is_too_low_and_folders_that_cannot_be_used_are_findings(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    lowered = ["/bin/sh", "-c", 'ulimit -n 40; exec "$0" "$@"', *command("doctor", WELL, "--json")]
    odd = {"TMPDIR": str(long), "JUPYTER_DATA_DIR": "/proc/none"}
    environment = os.environ | folders(tmp_path) | odd
    done = subprocess.run(lowered, capture_output=True, cwd=tmp_path, env=environment, timeout=PATIENCE_S, check=False)
    found = findings(done.stdout.decode())
    assert found["Programs"]["says"].endswith("6 * 7 is 42")  # it works, with less
    assert found["Open files"]["state"] == "note" and "40 at most (ulimit -n -H)" in found["Open files"]["says"]
    assert found["Open files"]["cure"] == "raise the limit, or set c.Pctx.max_running = 1"
    assert found["Temporary folder"]["state"] == "note" and "WebSocket" in found["Temporary folder"]["says"]
    assert found["Data folder"]["state"] == "note" and "/proc/none" in found["Data folder"]["says"]
    assert found["Processes"]["state"] in ("ok", "note") and found["Configuration folder"]["state"] == "ok"


def test_without_a_folder_for_temporary_files_the_doctor_says_so(tmp_path: Path) -> None:
    limited = ["/bin/sh", "-c", 'ulimit -f 0; exec "$0" "$@"', *command("doctor", WELL, "--json")]
    environment = os.environ | folders(tmp_path)
    done = subprocess.run(limited, capture_output=True, cwd=tmp_path, env=environment, timeout=PATIENCE_S, check=False)
    found = findings(done.stdout.decode())
    assert done.returncode == 3 and found["Programs"]["state"] == "ok"
    assert found["Temporary folder"]["state"] == "wrong" and "TMPDIR" in found["Temporary folder"]["cure"]
