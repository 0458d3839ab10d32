"""JupyterLab: from a keystroke to what it shows, a large notebook with and without the extension, and a large timeline.

Measured by the page itself, in a real browser. What a page computes is measured as processor time of its main thread,
during which nobody can type. Needs Chromium; says so and has no rows where there is
none.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.browser import chromium
from tests.browser.front_end import FrontEnd, NotebookPage, front_end

from .measure import Row

TIMES = 10
OPENINGS = 7
REST_MS = 500
"""Milliseconds between two measurements, in which what the last one began ends."""
TOOL = """%load_ext pctx_jupyter
from pctx_jupyter import tool
@tool
def load_orders(status: str) -> list[int]:
    return []"""
CELLS = [f"%%pctx\nconst n{i} = {i};\nn{i} + 1" if i % 2 else f"n{i} = {i}\nprint(n{i})" for i in range(200)]

CALLS = 2000
"""Calls of a large timeline: as many as a front end reads of one."""

DRAW = """async count => {
    const cell = window.jupyterapp.shell.currentWidget.content.widgets[0];
    const calls = Array.from({ length: count }, (_, n) => ({
        call: n + 1, tool: `Notebook.t${n % 3}`, started_s: n / 1000, ended_s: n / 1000 + 0.01,
        arguments: `{"n":${n}}`, argument_bytes: 10, result: `${n}`, result_bytes: 4
    }));
    const output = moment => ({ output_type: 'display_data', metadata: {}, data: { 'application/vnd.pctx.trace+json':
        { id: 'e', state: 'running', duration_s: 3 + moment, calls_in_all: count, calls } } });
    window.drawAgain = async moment => {
        cell.model.outputs.set(0, output(moment));
        await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
    };
    cell.model.outputs.clear();
    cell.model.outputs.add(output(0));
    await new Promise(resolve => {
        const isDrawn = () => cell.node.querySelector('.pctx-Timeline-row') !== null;
        const look = () => isDrawn() ? setTimeout(resolve) : requestAnimationFrame(look);
        requestAnimationFrame(look);
    });
}"""

UNTIL_SHOWN = """selector => { window.shown = new Promise(resolve => document.addEventListener('keydown', () => {
    const pressed = performance.now();
    const isShown = () => document.querySelector(selector) !== null;
    const look = () => isShown() ? resolve(performance.now() - pressed) : requestAnimationFrame(look);
    requestAnimationFrame(look);
}, { capture: true, once: true })); }"""

OPEN = """async path => {
    const { commands, shell } = window.jupyterapp;
    const begun = performance.now();
    const panel = await commands.execute('docmanager:open', { path, kernelPreference: { shouldStart: false } });
    await panel.context.ready;
    await panel.revealed;
    await new Promise(resolve => {
        const look = () => panel.content.widgets.length >= 200 ? setTimeout(resolve) : requestAnimationFrame(look);
        requestAnimationFrame(look);
    });
    const took = performance.now() - begun;
    panel.dispose();
    return took;
}"""


async def rows() -> list[Row]:
    path = chromium.find()
    if path is None:
        print(f"browser: no rows, for want of {chromium.NAMES[0]}", file=sys.stderr)
        return []
    return await asyncio.to_thread(_measured, path)


def _measured(path: str) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as folder,
        front_end("lab", Path(folder) / "with") as ours,
        front_end("lab", Path(folder) / "without", has_extension=False) as base,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=chromium.FLAGS)
        notebook = NotebookPage(browser.new_page(), ours, ours.write("typed.ipynb", TOOL, ""))
        notebook.run(0)
        listed, underlined = _listed_ms(notebook), _underlined_ms(notebook)
        drawn, again = _drawn_ms(NotebookPage(browser.new_page(), ours, ours.write("drawn.ipynb", "1")))
        opened, alone = _opened_ms(browser, ours, base)
        browser.close()
    return [
        Row("JupyterLab: a key to the list of a tool's names", listed, 150),
        Row("JupyterLab: the last key to the underline", underlined, 400),
        Row("JupyterLab: draw a timeline of 2,000 calls (processor)", drawn, 100),
        Row("JupyterLab: draw it again while it runs (processor)", again, 50),
        Row("JupyterLab: open 200 cells, half of them %%pctx", opened, 1.05 * alone, alone, "without the extension"),
    ]


def _listed_ms(notebook: NotebookPage) -> float:
    took = []
    for _ in range(TIMES):
        notebook.replace(1, "%%pctx\nawait Notebook")
        notebook.page.wait_for_timeout(REST_MS)
        took.append(_shown_ms(notebook.page, ".", ".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item"))
        notebook.page.keyboard.press("Escape")
    return median(took)


def _underlined_ms(notebook: NotebookPage) -> float:
    took = []
    for _ in range(TIMES):
        notebook.replace(1, "%%pctx\nconst n = 1; ")
        notebook.page.wait_for_selector(".cm-lintRange-error", state="detached")
        notebook.page.wait_for_timeout(REST_MS)
        took.append(_shown_ms(notebook.page, "q", ".cm-lintRange-error"))
    return median(took)


def _shown_ms(page: Page, key: str, selector: str) -> float:
    """Milliseconds from a key to the first frame in which a selector finds something."""
    page.evaluate(UNTIL_SHOWN, selector)
    page.keyboard.press(key)
    page.wait_for_selector(selector, state="attached")  # gives up, as the promise does not
    return float(page.evaluate("window.shown"))


def _drawn_ms(notebook: NotebookPage) -> tuple[float, float]:
    """For the first time, and with another moment of the run."""
    page = notebook.page
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    first, again = [], []
    for number in range(TIMES):
        page.wait_for_timeout(REST_MS)
        before = _computed_ms(session)
        page.evaluate(DRAW, CALLS)
        drawn = _computed_ms(session)
        page.evaluate("moment => window.drawAgain(moment)", number + 1)
        first.append(drawn - before)
        again.append(_computed_ms(session) - drawn)
    return median(first), median(again)


def _computed_ms(session: CDPSession) -> float:
    """Milliseconds that the page's main thread has computed."""
    found = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return 1000 * float(found["TaskDuration"])


def _opened_ms(browser: Browser, ours: FrontEnd, base: FrontEnd) -> tuple[float, float]:
    """With and without, in turns."""
    pages: list[tuple[Page, list[float]]] = []
    for server in (ours, base):
        page = browser.new_page()
        NotebookPage(page, server, server.write("first.ipynb", "1"))
        server.write("many.ipynb", *CELLS)
        pages.append((page, []))
    for number in range(OPENINGS + 1):
        for page, took in pages:
            page.bring_to_front()
            spent = float(page.evaluate(OPEN, "many.ipynb"))
            if number > 0:  # the first one loads what all need
                took.append(spent)
    (_, with_ours), (_, without) = pages
    return median(with_ours), median(without)
