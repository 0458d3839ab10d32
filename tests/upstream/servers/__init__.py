"""MCP servers of others that run on Python, installed from the lists beside this file when a test first needs them.

A list is installed into a folder of its own, which the server finds by ``PYTHONPATH``. The tests cannot import it, and
it is no part of the package.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
INSTALLED = FOLDER.parents[2] / ".cache" / "servers"
INSTALL_S = 280


def entry(name: str, module: str, group: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """The entry of a server.

    Args:
        name: Its namespace.
        module: Its package, whose `main` starts it.
        group: The list that has it: ``current`` or ``older``.
        arguments, environment: What it is started with.
    """
    command = ["-c", f"import {module} as server; server.main()", *arguments]
    found = {"PYTHONPATH": str(install(group)), **environment}
    return {"name": name, "command": sys.executable, "args": command, "env": found}


def install(group: str) -> Path:
    """Install one of the lists; does nothing when that is there. Returns the folder."""
    wanted, target = (FOLDER / f"{group}.txt").read_bytes(), INSTALLED / group
    stamp = target / ".installed"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / f"{group}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs at the same time share the folder
        if stamp.exists() and stamp.read_bytes() == wanted:
            return target
        options = [
            "--no-deps",
            "--no-compile",
            "--only-binary",
            ":all:",
            "--upgrade",
            "--disable-pip-version-check",
            "-q",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--target", target, "-r", FOLDER / f"{group}.txt"],
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"pip cannot install the servers that the tests talk to: {done.stderr.strip()[-500:]}")
        stamp.write_bytes(wanted)
    return target
