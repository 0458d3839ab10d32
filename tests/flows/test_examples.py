"""Every example of the docs, run as a reader would run it: in a real kernel, one after another, page by page.

Blocks of Python and ``%%pctx`` are cells; an ``output`` or ``error`` block after a cell is what it has to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from pctx_jupyter.settings import Limits, Settings

from ..kernel.real_kernel import RealKernel, open_kernel
from ..server.process import server_process

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    "README.md",
    "docs/howto/tools.md",
    "docs/howto/cluster.md",
    "docs/howto/data.md",
    "docs/howto/frames.md",
    "docs/reference/values.md",
    "docs/howto/output.md",
    "docs/howto/keep.md",
    "docs/howto/limits.md",
    "docs/howto/frameworks.md",
    "docs/howto/which-client.md",
]


@dataclass
class Example:
    """A cell of a page, and what it has to say; None: nothing is claimed."""

    code: str
    output: str | None = None
    error: str | None = None


def examples(page: str) -> list[Example]:
    """The examples of a page, in order."""
    found: list[Example] = []
    for language, text in BLOCK.findall((ROOT / page).read_text()):
        match language:
            case "python" | "typescript":
                found.append(Example(text))
            case "output":
                found[-1].output = text.strip()
            case "error":
                found[-1].error = text.strip()
    return found


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKernel]:
    with open_kernel(tmp_path_factory.mktemp("home")) as kernel:
        yield kernel


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_do_what_it_says(page: str, kernel: RealKernel) -> None:
    kernel.run("%reset -f\n%reload_ext pctx_jupyter")
    cells = examples(page)
    assert any(example.output or example.error for example in cells)
    for example in cells:
        cell = kernel.run(example.code)
        said = (cell.text() + (cell.value or "")).strip()
        if example.error is not None:
            assert example.error in cell.traceback, example.code
            continue
        assert cell.error is None, f"{example.code}\n{cell.traceback}"
        if example.output is not None:
            assert said == example.output, example.code


def test_the_client_example_of_the_readme_works(kernel: RealKernel) -> None:
    blocks = [text for language, text in BLOCK.findall((ROOT / "README.md").read_text()) if not language]
    (example,) = (text for text in blocks if text.startswith("from pctx_jupyter import PctxClient"))
    with server_process() as server:
        code = example.replace("ws://localhost:8888/", server.url.replace("http", "ws", 1))
        cell = kernel.run(code.replace("token …", f"token {server.token}"))
    assert cell.error is None, cell.traceback
    assert "42" in cell.text()


@pytest.mark.parametrize("page", ["docs/howto/migrate.md", "docs/howto/pctx-client.md"])
def test_programs_written_for_other_clients_run_as_the_page_says(page: str, kernel: RealKernel) -> None:
    kernel.run("%reset -f")
    with server_process() as server:
        for example in examples(page):
            there, socket = (server.url.replace("http", scheme, 1).removesuffix("/") for scheme in ("http", "ws"))
            code = example.code.replace("http://localhost:8080", there).replace("ws://localhost:8080", socket)
            code = code.replace('"…"', repr(server.token)).replace("token …", f"token {server.token}")
            cell = kernel.run(code)
            assert cell.error is None, f"{code}\n{cell.traceback}"
            assert cell.text().strip() == example.output, code


def test_the_settings_in_examples_exist() -> None:
    known = {field.name for kind in (Limits, Settings) for field in fields(kind)}
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(r"\bPctx\.(\w+)", page.read_text()):
            assert name in known, f"{page.name}: Pctx.{name}"
