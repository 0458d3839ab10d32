"""A real browser, and real front ends with this checkout's extension in them.

Where no browser is found and none may be installed, these tests are skipped; on CI (the variable ``CI``) they fail.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from . import chromium
from .front_end import PATIENCE_MS, ROOT, FrontEnd, front_end, leave_all

expect.set_options(timeout=PATIENCE_MS)  # as long as actions wait; Playwright's own 5 s are short on a busy machine

FOREIGN_ERRORS = (
    "reading 'schema'",  # Notebook 7, of its own settings
    "reading 'last_modified'",  # Notebook 7.2, of a checkpoint that is not there
    "_cellToolbarOverlapsContents",  # JupyterLab 4.2, of a view that is closed
    "[yjs#509]",  # two copies of a library that JupyterLab shares
    "/lsp/status",  # JupyterLab 4.7, of an extension that is not installed
)
"""What front ends log about themselves."""

FAILED = pytest.StashKey[bool]()
"""Whether a test has failed."""


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """No event loop of pytest-jupyter's: Playwright has one running while these tests do."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """No server in this process either."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The machine's Chromium; Debian's is installed where that may be done."""
    path = chromium.find() or chromium.install()
    if path is None:
        reason = f"no browser: install one of {', '.join(chromium.NAMES)}, or set CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=chromium.FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def extension() -> None:
    """This checkout's extension, built anew if it is older than its sources."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    build.make()


@pytest.fixture(scope="package")
def running_lab(extension: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """JupyterLab, started once."""
    with front_end("lab", tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="package")
def running_notebook7(extension: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """Notebook 7, started once."""
    with front_end("notebook", tmp_path_factory.mktemp("notebook")) as running:
        yield running


@pytest.fixture
def lab(running_lab: FrontEnd) -> Iterator[FrontEnd]:
    """JupyterLab, without kernels of other tests."""
    yield running_lab
    running_lab.stop_kernels()


@pytest.fixture
def notebook7(running_notebook7: FrontEnd) -> Iterator[FrontEnd]:
    """Notebook 7, without kernels of other tests."""
    yield running_notebook7
    running_notebook7.stop_kernels()


class Errors(list[str]):
    """What a page logged as an error; a test that provokes some clears it."""


@pytest.fixture
def errors() -> Iterator[Errors]:
    """Errors of the page; those that are left when a test ends fail it."""
    logged = Errors()
    yield logged
    assert logged == []


@pytest.fixture
def fresh_page(browser: Browser, errors: Errors) -> Iterator[Page]:
    """A page of a browser that knows nothing yet."""
    with _open_page(browser, lambda: errors) as page:
        yield page


@pytest.fixture
def page(fresh_page: Page) -> Page:
    """The page of a test. Where a module has `kept_page` in its place, `fresh_page` remains for single tests."""
    return fresh_page


@pytest.fixture
def other_page(browser: Browser, errors: Errors) -> Iterator[Page]:
    """A page of another browser, as of somebody else."""
    with _open_page(browser, lambda: errors) as page:
        yield page


@pytest.fixture(scope="package")
def keeper(browser: Browser) -> Iterator[Keeper]:
    """The page that most tests share."""
    with ExitStack() as stack:
        yield Keeper(browser, stack)


@pytest.fixture
def kept_page(lab: FrontEnd, keeper: Keeper, errors: Errors, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in which JupyterLab stays loaded from test to test: it needs five seconds of a processor to load.

    It begins without documents, dialogs and notices; the panel remembers what was chosen. A test that changes the
    theme, the settings or the size of the page, or listens to dialogs, takes `fresh_page`. A test that fails ends the
    page.
    """
    yield keeper.lend(errors)
    keeper.take_back(is_usable=not request.node.stash.get(FAILED, False))


class Keeper:
    """Lends one page to many tests, and puts it in order between them.

    Args:
        browser: Where the page is opened.
        stack: Closes the page.
    """

    def __init__(self, browser: Browser, stack: ExitStack) -> None:
        self._browser, self._stack = browser, stack
        self._page: Page | None = None
        self._errors = Errors()

    def lend(self, errors: Errors) -> Page:
        """Return the page, and add what it logs to these errors."""
        self._errors = errors
        if self._page is None:
            self._page = self._stack.enter_context(_open_page(self._browser, lambda: self._errors))
        return self._page

    def take_back(self, *, is_usable: bool) -> None:
        """Close what a test has opened; close the page if it cannot be used again."""
        assert self._page is not None
        self._errors = Errors()  # what a front end says when documents are closed is not the test's
        if is_usable and not self._page.is_closed() and leave_all(self._page):
            return
        self._stack.close()
        self._page = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    """The last sight of its pages, while their kernels run, goes to the folder that PCTX_SCREENSHOTS names."""
    try:
        yield
    except BaseException:
        item.stash[FAILED] = True
        raise
    finally:
        if folder := os.environ.get("PCTX_SCREENSHOTS"):
            pages = {"": item.funcargs.get("page"), "-other": item.funcargs.get("other_page")}
            for which, page in pages.items():
                if page is not None and not page.is_closed():
                    page.screenshot(path=Path(folder) / f"{item.name}{which}.png")


@contextmanager
def _open_page(browser: Browser, errors: Callable[[], Errors]) -> Iterator[Page]:
    with ExitStack() as stack:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        stack.callback(context.close)
        page = context.new_page()
        page.on("console", lambda message: _on_console(errors(), message))
        page.on("pageerror", lambda error: _add(errors(), f"pageerror: {error.stack or error}"))
        yield page
        if not page.is_closed():
            page.goto("about:blank")  # what a front end says when its server goes is not the test's


def _on_console(errors: Errors, message: ConsoleMessage) -> None:
    if message.type == "error":
        _add(errors, f"{message.text} ({message.location.get('url', '')})")


def _add(errors: Errors, text: str) -> None:
    if not any(foreign in text for foreign in FOREIGN_ERRORS):
        errors.append(text)
