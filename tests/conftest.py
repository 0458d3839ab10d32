"""What all tests share: Jupyter's own fixtures and event loop, and draws that are the same in every run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytest_jupyter.jupyter_server"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

# A gate must not fail for what was drawn today, nor for a busy machine. `make fuzz` takes the other profile.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=SLOW)
settings.register_profile("fuzz", max_examples=5_000, deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.load_profile("repeatable")

SLOW = ("flows", "cli", "upstream", "frameworks")
"""Folders whose files take long, the slowest first: begun last, one of them would keep a core alone."""

# What a shell starts in the background ignores interrupts, and so would every kernel and command of these tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def folders_of_jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Folders of their own for what tests, their servers and kernels remember: none of it is the developer's."""
    home = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(home / "data"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(home / "config"))
        patch.setenv("IPYTHONDIR", str(home / "ipython"))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files; a file for the browser alternates with others, as two browsers need both cores."""
    here = Path(__file__).parent
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def folder(file: Path) -> str:
        return file.relative_to(here).parts[0] if file.is_relative_to(here) else ""

    def rank(file: Path) -> int:
        return SLOW.index(folder(file)) if folder(file) in SLOW else len(SLOW)

    browser = [file for file in files if folder(file) == "browser"]
    others = sorted((file for file in files if folder(file) != "browser"), key=rank)  # each folder keeps its order
    turns = zip_longest(browser, others[0::2], others[1::2])
    items[:] = [item for turn in turns for file in turn if file is not None for item in files[file]]
