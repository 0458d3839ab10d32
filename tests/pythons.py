"""Runs the core's tests on every other supported Python of this machine: ``python -m tests.pythons``.

The core (`ROOMS`) needs neither Deno nor a server, so a Python needs few packages and little time. An interpreter is
found on the PATH or among pyenv's versions. Where there is no other one, this says so and succeeds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / "build" / "pythons"
ROOMS = ["tests/rpc", "tests/tools", "tests/program", "tests/session"]
EXTRAS = ("hypothesis", "jsonschema", "opentelemetry-sdk", "psutil", "pytest", "pytest-jupyter", "pytest-timeout")
"""Packages of the extra ``test`` that these tests need."""

QUESTION = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"


def supported() -> list[str]:
    """The versions of Python that ``pyproject.toml`` names: ``3.12``."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return re.findall(r"Python :: (3\.\d+)$", "\n".join(classifiers), re.MULTILINE)


def interpreters() -> dict[str, str]:
    """Return the path of one interpreter for each supported version other than the running one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found: dict[str, str] = {}
    for version in supported():
        candidates = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
        working = [path for path in candidates if path is not None and _version(path) == f"{version} cpython"]
        if version != own and working:
            found[version] = working[-1]
    return found


def _version(path: str) -> str:
    """What an interpreter says of itself; empty if it does not run, such as a shim without a version behind it."""
    asked = subprocess.run([path, "-c", QUESTION], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def requirements() -> list[str]:
    """The package's dependencies, and those of these tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tests = [one for one in project["optional-dependencies"]["test"] if re.split(r"[\[<>=~]", one)[0] in EXTRAS]
    return [*project["dependencies"], *tests]


def run(version: str, interpreter: str) -> bool:
    """Run the tests on one Python; returns whether they passed."""
    environment = ENVIRONMENTS / version
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--python", python]  # newer than the one that comes with that Python
    subprocess.run([*pip, "install", "--quiet", "--disable-pip-version-check", *requirements()], check=True)
    print(f"Python {version}: {' '.join(ROOMS)}", flush=True)  # a program's output
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ROOMS]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Run the tests on each other Python; returns the exit status."""
    found = interpreters()
    missing = [version for version in supported() if version not in found and not sys.version.startswith(f"{version}.")]
    if missing:
        print(f"Not on this machine: Python {', '.join(missing)}", flush=True)  # a program's output
    failed = [version for version, interpreter in found.items() if not run(version, interpreter)]
    if failed:
        print(f"Failed on Python {', '.join(failed)}", flush=True)  # a program's output
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
