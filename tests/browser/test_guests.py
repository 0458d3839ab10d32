"""What a notebook shows of an agent's program that calls its tools. Real: browser, JupyterLab, kernel, sandbox."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from ..flows.agent import Agent
from .front_end import PATIENCE_MS, FrontEnd, NotebookPage

pytestmark = pytest.mark.timeout(300)  # the first test waits for a browser, a build and a front end

TOOLS = """
%load_ext pctx_jupyter
from pctx_jupyter import tool

@tool
def load(n: int) -> int:
    print(f"loads {n}")
    return 2 * n
"""

HOSTILE = "// <img src=x onerror=alert(1)>\nawait SalesReport.load({ n: 21 })"


def test_an_agents_program_is_shown_below_the_last_cell_and_can_be_made_a_cell(page: Page, lab: FrontEnd) -> None:
    notebook = NotebookPage(page, lab, lab.write("sales report.ipynb", TOOLS, "'the last cell'", "%pctx insert 1"))
    notebook.run(0)
    notebook.run(1)
    agent = Agent(lab.url, {"Authorization": f"token {lab.token}"})
    running = agent.begin(HOSTILE)
    output = notebook.cells.nth(1).locator(".jp-OutputArea")
    expect(output).to_contain_text("An agent's program called this notebook's tools · done in", timeout=PATIENCE_MS)
    assert running.result() == 42
    expect(output).to_contain_text("loads 21")
    expect(output).to_contain_text("1 call")
    output.get_by_text("The program", exact=True).click()
    expect(output.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    notebook.run(2)
    assert notebook.source(3) == f"%%pctx\n{HOSTILE}"
    notebook.run(3)
    expect(notebook.cells.nth(3).locator(".jp-OutputArea")).to_contain_text("42")
