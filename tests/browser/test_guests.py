"""What a notebook shows of programs of agents that call its tools. Real: browser, JupyterLab, kernel, sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from ..flows.agent import Agent
from .front_end import FrontEnd, NotebookPage
from .test_panel import run_row, show

TOOLS = """
%load_ext pctx_jupyter
from pctx_jupyter import tool

@tool
def load(n: int) -> int:
    print(f"loads {n}")
    return 2 * n
"""

HOSTILE = "// <img src=x onerror=alert(1)>\nawait SalesReport.load({ n: 21 })"


def agent_of(lab: FrontEnd) -> Agent:
    return Agent(lab.url, {"Authorization": f"token {lab.token}"})


def bar_of(page: Page) -> Locator:
    """The bar of the notebook in front."""
    return page.get_by_role("region", name="Guest programs in this notebook")


def reload(notebook: NotebookPage) -> None:
    """Save the notebook, so that the browser does not ask, and load the page again."""
    page = notebook.page
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save').then(() => null)")
    page.reload()
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell .cm-content")
    notebook.wait_for_kernel()


@contextmanager
def activity_in(lab: FrontEnd, place: str) -> Iterator[None]:
    """Pages that are opened meanwhile have this setting."""
    folder = lab.folder / "settings" / "pctx-jupyter"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "panel.jupyterlab-settings"
    file.write_text(json.dumps({"agentActivity": place}))
    try:
        yield
    finally:
        file.unlink()


def test_an_agents_programs_are_shown_in_a_bar_that_survives_a_reload_and_not_in_outputs(
    page: Page, lab: FrontEnd
) -> None:
    notebook = NotebookPage(page, lab, lab.write("bar.ipynb", TOOLS, "'the last cell'"))
    notebook.run(0)
    notebook.run(1)
    agent = agent_of(lab)
    for _ in range(2):
        assert agent.begin("// <img src=x onerror=alert(1)>\nawait Bar.load({ n: 21 })").result() == 42
    bar = bar_of(page)
    expect(bar).to_contain_text("An agent ran 2 programs here · 2 calls")
    output = notebook.cells.nth(1).locator(".jp-OutputArea")
    expect(output).to_contain_text("loads 21")
    expect(output).not_to_contain_text("a program here")
    toolbar, content = (
        page.locator(part).bounding_box() for part in (".jp-NotebookPanel-toolbar", ".jp-NotebookPanel-notebook")
    )
    box = bar.bounding_box()
    assert toolbar and content and box
    assert toolbar["y"] + toolbar["height"] <= box["y"] + 1 and box["y"] + box["height"] <= content["y"] + 1
    reload(notebook)
    expect(bar).to_contain_text("An agent ran 2 programs here")
    bar.get_by_role("button", name="Show").click()
    expect(page.get_by_role("region", name="Run", exact=True)).to_contain_text("Bar.load")
    page.get_by_role("tab", name="bar.ipynb").click()
    bar.get_by_role("button", name="Insert as cell").click()
    expect(notebook.cells).to_have_count(3)
    page.set_viewport_size({"width": 500, "height": 800})
    text = bar.locator(".pctx-Bar-text")
    assert text.evaluate("text => text.clientWidth / text.closest('.pctx-Bar').clientWidth") > 0.3
    expect(bar.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1280, "height": 800})
    bar.get_by_role("button", name="Close").click()
    expect(bar).to_be_hidden()
    reload(notebook)
    assert agent.begin("await Bar.load({ n: 2 })").result() == 4
    expect(bar).to_contain_text("An agent ran 1 program here · 1 call")
    with activity_in(lab, "nothing"):
        reload(notebook)
        notebook.run(2)
        assert agent.begin("/* unseen */ await Bar.load({ n: 3 })").result() == 6
        expect(run_row(show(page), "/* unseen */")).to_be_visible()
        expect(bar).to_be_hidden()
        last = notebook.cells.nth(2).locator(".jp-OutputArea")
        expect(last).to_contain_text("loads 3")
        expect(last).not_to_contain_text("this notebook's tools")


def test_an_agents_program_is_shown_below_the_last_cell_if_the_settings_say_so_and_is_not_saved(
    page: Page, lab: FrontEnd
) -> None:
    with activity_in(lab, "output"):
        name = lab.write("sales report.ipynb", TOOLS, "'the last cell'", "%pctx insert 1")
        notebook = NotebookPage(page, lab, name)
        notebook.run(0)
        notebook.run(1)
        running = agent_of(lab).begin(HOSTILE)
        output = notebook.cells.nth(1).locator(".jp-OutputArea")
        expect(output).to_contain_text("An agent ran a program here · done in")
        assert running.result() == 42
        expect(output).to_contain_text("loads 21")
        expect(output).to_contain_text("1 call")
        expect(bar_of(page)).to_be_hidden()
        output.get_by_text("The program", exact=True).click()
        expect(output.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
        notebook.run(2)
        notebook.expect_source(3, f"%%pctx\n{HOSTILE}")
        notebook.run(3)
        expect(notebook.cells.nth(3).locator(".jp-OutputArea")).to_contain_text("42")
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save').then(() => null)")
        saved = (lab.root / name).read_text()
        assert "loads 21" in saved and "a program here" not in saved
