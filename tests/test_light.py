"""A kernel whose server has pctx-jupyter: with its few dependencies alone, in a Python that has no others of ours."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

MODULES = {"tree-sitter-typescript": "tree_sitter_typescript", "tree-sitter": "tree_sitter"}
"""Names of modules that are not those of their packages."""

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""

IMPORTING = """
import importlib, pkgutil, pctx_jupyter.kernel, pctx_jupyter.client
for room in (pctx_jupyter.kernel, pctx_jupyter.client):
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
from pctx_jupyter import tool

@tool
def double(n: int) -> int:
    return 2 * n

print("imported")
"""

OPENING = """
import asyncio
from pctx_jupyter import errors
from pctx_jupyter.kernel.home import open_home
from pctx_jupyter.settings import Settings

async def opened():
    async with open_home({}, Settings()):
        pass

try:
    asyncio.run(opened())
except errors.SandboxUnavailable as error:
    print(error)
"""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ]", one, maxsplit=1)[0] for one in requirements}


def test_a_kernel_needs_no_more_than_its_group_of_dependencies() -> None:
    everything, kernel = names(PROJECT["project"]["dependencies"]), names(PROJECT["dependency-groups"]["kernel"])
    assert kernel < everything
    missing = {MODULES.get(name, name.replace("-", "_")) for name in everything - kernel}
    missing -= {"tornado"}  # ipykernel brings it
    script = WITHOUT.format(missing=missing) + IMPORTING
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "imported", done.stderr

    opening = WITHOUT.format(missing=missing) + OPENING
    done = subprocess.run([sys.executable, "-c", opening], capture_output=True, text=True, check=False)
    assert "the kernel's part" in done.stdout and "pip install pctx-jupyter" in done.stdout, done.stderr


def test_the_group_asks_for_the_versions_that_the_package_asks_for_and_the_docs_name_it() -> None:
    group: list[str] = PROJECT["dependency-groups"]["kernel"]
    assert set(group) <= set(PROJECT["project"]["dependencies"])
    page = (ROOT / "docs" / "reference" / "platforms.md").read_text("utf-8")
    listed = next(line for line in page.splitlines() if line.startswith("pip install ipykernel"))
    assert set(listed.split()[2:]) == names(group)
