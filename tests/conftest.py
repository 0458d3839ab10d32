"""What all tests share: Jupyter's own fixtures and event loop, and draws that are the same in every run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytest_jupyter.jupyter_server"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

# A gate must not fail for what was drawn today, nor for a busy machine. `make fuzz` takes the other profile.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=SLOW)
settings.register_profile("fuzz", max_examples=5_000, deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.load_profile("repeatable")

FIRST = ("browser", "frameworks", "flows", "cli", "agents", "upstream")
"""Folders that begin first: the browser's, which one worker has alone, since two browsers would need both cores; then
those whose tests wait for installations and processes while the browser needs a core."""

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


@pytest.fixture
def typecheck() -> bool:
    """Whether a server or an engine checks programs. A checker's start takes half a second, so a test asks for one.

    It does with ``@pytest.mark.parametrize("typecheck", [True])``.
    """
    return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files: begun last, one of them would keep a core alone."""
    items.sort(key=lambda item: FIRST.index(_folder(item.nodeid)) if _folder(item.nodeid) in FIRST else len(FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker a file at a time in this order, and all files for the browser to one: they share a front end."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/browser" if _folder(nodeid) == "browser" else str(super()._split_scope(nodeid))

    config.option.loadscopereorder = False  # xdist would begin with the files of the most tests
    return Files(config, log) if config.getvalue("dist") == "loadfile" else None


def _folder(nodeid: str) -> str:
    """The folder of `tests` that a test is in; its file's name if it is in none."""
    return nodeid.removeprefix("tests/").split("::")[0].split("/")[0]
