"""The agent frameworks, installed beside this environment and not in it: they ask for other versions of some packages.

`site_packages` installs what the group ``frameworks`` of ``pyproject.toml`` names, once, below ``build/``.
`python_with` installs another group apart from all else.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parent.parent.parent
INSTALL_S = 600
"""Seconds that installing may take: about 30 on an idle machine."""

NEVER_IMPORTED = {"crewai": {"kubernetes": "99", "lancedb": "0.99", "onnxruntime": "99", "uv": "0.99"}}
"""Packages that a group requires and its tests do not import, by group, with a version that meets the requirement.

They and their own dependencies are 500 MB. An environment has only their metadata, so that pip leaves them out.
"""


def site_packages() -> str:
    """Return the folder with the frameworks, for a kernel's ``PYTHONPATH``; install them first if necessary."""
    environment = _installed("frameworks", beside=True)
    return str(environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages")


def python_with(group: str) -> str:
    """Return the Python of an environment that has a group of ``pyproject.toml``, and nothing of this environment."""
    return str(_installed(group, beside=False) / "bin" / "python")


def _installed(group: str, *, beside: bool) -> Path:
    """Make an environment with a group, unless it is there.

    Args:
        beside: Whether it also has what this environment has.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted: list[str] = project["dependency-groups"][group]
    left_out = NEVER_IMPORTED.get(group, {})
    mark = hashlib.sha256(f"{sys.version}\n{wanted}\n{left_out}".encode()).hexdigest()[:12]
    environment = ROOT / "build" / f"{group}-{mark}"
    folder = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    done = environment / "installed"
    environment.parent.mkdir(exist_ok=True)
    with FileLock(f"{environment}.lock"):
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
            for name, version in left_out.items():
                _pretend(folder, name, version)
            if beside:  # what this environment has is not installed again
                (folder / "parent.pth").write_text(sysconfig.get_path("purelib"))
            pip = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
            subprocess.run([*pip, "install", "--quiet", "--no-compile", *wanted], check=True, timeout=INSTALL_S)
            done.touch()
    return environment


def _pretend(folder: Path, name: str, version: str) -> None:
    """Write the metadata of a package that is not there."""
    metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
