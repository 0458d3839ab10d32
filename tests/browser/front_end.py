"""JupyterLab or Notebook 7 as a process of its own, with this checkout's extension, and a notebook as a page shows it.

Nothing is fake but the user: the server, its kernels and the built extension are real. The base URL has a character
that must be escaped, so whoever forgets prefix or escaping fails at once.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import nbformat
from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).parent.parent.parent
START_S = 60
STOP_S = 20
POLL_S = 0.1
PATIENCE_MS = 30_000
"""What turns a page that hangs into a failure."""

App = Literal["lab", "notebook"]

MODULES: dict[App, str] = {"lab": "jupyterlab", "notebook": "notebook"}


PLUGINS = {"themes": "apputils-extension/themes", "tracker": "notebook-extension/tracker"}
"""Plugins of JupyterLab whose settings tests choose."""

ALL_CELLS = {"windowingMode": "none"}
"""The notebooks' setting by which all cells are in the page, in sight or not."""

OURS = ["pctx-jupyter"]
COLLABORATION = ["@jupyter/collaboration-extension", "@jupyter/docprovider-extension"]


class FrontEnd:
    """A running server.

    Args:
        app: What it shows.
        folder: Where all its folders are.
        options: More of its command line.
        like: One that has stopped; this one has its address, its token, and its folders.
        has_extension: Whether it has this checkout's extension, or none of ours.
        has_collaboration: Whether several may edit a notebook together, if jupyter-collaboration is installed.

    Attributes:
        url: Its base URL, with a slash at its end.
        root: The folder with its notebooks.
        log: A file with what it logged.
    """

    def __init__(
        self,
        app: App,
        folder: Path,
        *options: str,
        like: FrontEnd | None = None,
        has_extension: bool = True,
        has_collaboration: bool = False,
    ) -> None:
        self.app: App = app
        self.folder = folder if like is None else like.folder
        self.port = _free_port() if like is None else like.port
        self.token = secrets.token_hex(16) if like is None else like.token
        self.url = f"http://127.0.0.1:{self.port}/a%40b/"
        self.root = self.folder / "notebooks"
        self.log = self.folder / "server.log"
        self._prepare([] if has_extension else OURS, [] if has_collaboration else COLLABORATION)
        environment = os.environ | {
            **{f"JUPYTER_{name}_DIR": str(self.folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")},
            **{f"JUPYTERLAB_{name}_DIR": str(self.folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")},
            "IPYTHONDIR": str(self.folder / "ipython"),
            # This checkout's own extension and package, whatever else is installed.
            "JUPYTER_PATH": str(self.folder / "share"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        command = [
            *(sys.executable, "-m", MODULES[app], "--no-browser", "--allow-root", f"--ServerApp.port={self.port}"),
            *("--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", "--ServerApp.base_url=/a%40b/"),
            *(f"--ServerApp.root_dir={self.root}", f"--IdentityProvider.token={self.token}", "--LabApp.news_url="),
            "--ServerApp.jpserver_extensions=pctx_jupyter=True",
            *(f"--ServerApp.jpserver_extensions=jupyter_server_{x}={has_collaboration}" for x in ("fileid", "ydoc")),
            *("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"),
            "--Pctx.max_check_s=20",  # on a busy machine the type checker may take long to start
            *options,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_it_answers()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and its kernels."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, by)
        try:
            self.process.wait(STOP_S)
        finally:
            self.process.kill()
            self.process.wait()

    def write(self, name: str, *sources: str) -> str:
        """Write a notebook with code cells; returns its name."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in sources],
            metadata={
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                "language_info": {"name": "python"},
            },
        )
        nbformat.write(notebook, self.root / name)
        return name

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Ask one of its routes; the answer is JSON, or nothing."""
        headers = {"Authorization": f"token {self.token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers=headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=START_S) as answer:
            return json.loads(answer.read() or "null")

    @contextmanager
    def chosen(self, **settings: dict[str, Any]) -> Iterator[None]:
        """Pages that are opened meanwhile have these settings of JupyterLab, by plugin: ``themes={"theme": …}``."""
        files = {PLUGINS[name]: chosen for name, chosen in settings.items()}
        for name, chosen in files.items():
            file = self.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(chosen))
        try:
            yield
        finally:
            for name in files:
                (self.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings").unlink()

    def stop_kernels(self) -> None:
        """Stop the kernels of all notebooks and consoles."""
        for session in self.ask("api/sessions"):
            self.ask(f"api/sessions/{session['id']}", "DELETE")

    def _prepare(self, *left_out: list[str]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        extensions = self.folder / "share" / "labextensions"
        extensions.mkdir(parents=True, exist_ok=True)
        ours = extensions / "pctx-jupyter"
        if not ours.exists():
            ours.symlink_to(ROOT / "pctx_jupyter" / "labextension")
        # Whether it is here, or installed.
        disabled = self.folder / "config" / "labconfig" / "page_config.json"
        disabled.parent.mkdir(parents=True, exist_ok=True)
        disabled.write_text(json.dumps({"disabledExtensions": dict.fromkeys(itertools.chain(*left_out), True)}))
        news = self.folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        news.parent.mkdir(parents=True, exist_ok=True)
        news.write_text('{"fetchNews": "false", "checkForUpdates": false}')

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.ask("api/status")
            except OSError as error:
                is_up = isinstance(error, urllib.error.HTTPError)
                if is_up or self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    self.process.wait()
                    raise RuntimeError(f"The front end did not start: {error}\n{self.log.read_text()}") from None
                time.sleep(POLL_S)
            else:
                return


@contextmanager
def front_end(
    app: App,
    folder: Path,
    *options: str,
    like: FrontEnd | None = None,
    has_extension: bool = True,
    has_collaboration: bool = False,
) -> Iterator[FrontEnd]:
    """Start a front end, and stop it on the way out."""
    running = FrontEnd(
        app, folder, *options, like=like, has_extension=has_extension, has_collaboration=has_collaboration
    )
    try:
        yield running
    finally:
        running.stop()


CLOSE_ALL = """() => {
    const { shell } = window.jupyterapp;
    for (const widget of [...shell.widgets('main')]) widget.dispose();  // it does not ask whether to save
    shell.activateById('filebrowser');
    document.querySelectorAll('.Toastify__close-button').forEach(button => button.click());
}"""


def leave_all(page: Page) -> bool:
    """Close all documents and notices of JupyterLab, and the panel; returns whether JupyterLab is in the page."""
    if page.evaluate("window.jupyterapp?.name") != "JupyterLab":
        return False
    while page.locator(".jp-Dialog").count():
        page.keyboard.press("Escape")
        page.wait_for_timeout(POLL_S * 1000)
    page.mouse.move(0, 0)
    search = page.locator("#pctx-panel [type=search]")
    if search.count() and search.is_visible():
        search.fill("")
    page.evaluate(CLOSE_ALL)
    expect(page.locator(".jp-NotebookPanel, .Toastify__toast")).to_have_count(0)
    return True


class NotebookPage:
    """A notebook, open in a page.

    Where the page has the server's JupyterLab, the notebook is opened in it.

    Args:
        page: The browser's page.
        server: Whose notebook it is.
        name: The notebook's file.
    """

    def __init__(self, page: Page, server: FrontEnd, name: str) -> None:
        self.page, self.server, self.name = page, server, name
        self.cells = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
        if page.url.startswith(f"{server.url}lab"):
            page.evaluate(_OPEN, name)
        else:
            path = f"lab/tree/{name}" if server.app == "lab" else f"notebooks/{name}"
            page.goto(f"{server.url}{path}?token={server.token}&reset")
            page.wait_for_selector("#jupyterlab-splash", state="detached")
        page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell .cm-content")
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until its kernel is connected and idle. What the page shows comes too early: a run would be lost."""
        self.page.wait_for_function(
            f"() => {{ const kernel = {_CONTEXT}?.session?.kernel;"
            " return kernel?.connectionStatus === 'connected' && kernel.status === 'idle'; }",
        )

    @property
    def kernel_id(self) -> str:
        """The kernel's id."""
        return str(self.page.evaluate(f"{_CONTEXT}.session.kernel.id"))

    def editor(self, index: int) -> Locator:
        """The text of a code cell."""
        return self.cells.nth(index).locator(".jp-InputArea-editor .cm-content")

    def focus(self, index: int) -> None:
        """Click into a cell, and wait until it gets the keys."""
        self.editor(index).click()
        self.expect_focus(index)

    def expect_focus(self, index: int) -> None:
        """Wait until a cell gets the keys; what moves the focus there may take a moment."""
        expect(self.editor(index)).to_be_focused()

    def edit(self, index: int, text: str = "") -> None:
        """Put the cursor to the end of a cell, and insert a text in one go."""
        self.focus(index)
        self.page.keyboard.press("Control+End")
        if text:
            self.page.keyboard.insert_text(text)
        if text.startswith("%%pctx"):  # the first time it takes a moment until the language is there
            self.page.wait_for_selector(".cm-content[data-language=pctx]")

    def replace(self, index: int, text: str) -> None:
        """Put a text in place of a cell's."""
        self.focus(index)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    def source(self, index: int) -> str:
        """A cell's text."""
        return str(self.page.evaluate(f"index => {_CELLS}[index].model.sharedModel.getSource()", index))

    def expect_source(self, index: int, whole: str | None = None, *, has: str = "", ends: str = "") -> None:
        """Wait until a cell's text is that, or has a part, or ends so; what changes it may take a moment."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not (has in (text := self.source(index)) and text.endswith(ends) and whole in (None, text)):
            if time.monotonic() > deadline:
                raise AssertionError(f"Cell {index} is {text!r}, not {whole or has or ends!r}.")
            self.page.wait_for_timeout(100)

    def wait_for_completer(self) -> None:
        """Wait until the list of completions follows the cell with the cursor. There must be text before the cursor."""
        self.page.locator(".jp-mod-completer-enabled:has(.cm-focused)").wait_for()

    def ask_for_completions(self) -> None:
        """Press Tab behind the text at the cursor. Without a completer, Tab would indent the line."""
        self.wait_for_completer()
        self.page.keyboard.press("Tab")

    def type_trigger(self, text: str) -> None:
        """Type a text whose last character opens the list of completions, which must follow the cell by then."""
        self.page.keyboard.type(text[:-1])
        self.wait_for_completer()
        self.page.keyboard.type(text[-1])

    def run(self, index: int) -> None:
        """Run a cell and wait until its kernel is idle again."""
        self.focus(index)
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            f"index => {{ const cell = {_CELLS}[index].model;"
            " return cell.executionCount !== null && cell.executionState !== 'running'; }",
            arg=index,
        )
        self.wait_for_kernel()

    def mime_type(self, index: int) -> str:
        """What a cell's text is, to the front end."""
        return str(self.page.evaluate(f"index => {_CELLS}[index].model.mimeType", index))

    def wait_for_mime_type(self, index: int, mime_type: str) -> None:
        """Wait until a cell's text is that, to the front end."""
        self.page.wait_for_function(
            f"([index, type]) => {_CELLS}[index].model.mimeType === type", arg=[index, mime_type]
        )


_CONTEXT = "window.jupyterapp?.shell.currentWidget?.sessionContext"
_OPEN = "path => window.jupyterapp.commands.execute('docmanager:open', { path }).then(() => null)"
_CELLS = "window.jupyterapp.shell.currentWidget.content.widgets"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
