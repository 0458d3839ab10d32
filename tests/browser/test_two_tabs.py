"""One notebook in two browsers: each sees what it should, and neither disturbs the other.

Real: two browser contexts, which share nothing, JupyterLab, its server and kernel; and real-time collaboration where
jupyter-collaboration is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from .front_end import FrontEnd, NotebookPage, front_end
from .test_cells import PCTX, click_fix, completions, problems
from .test_panel import TOOLS, run_row, show
from .test_results import timeline

PROGRAM = "%%pctx\nawait Notebook.loadOrders({ status: 'paid' })"


def test_a_notebook_in_two_browsers_works_in_both_and_goes_on_when_one_is_closed(
    page: Page, other_page: Page, lab: FrontEnd
) -> None:
    name = lab.write("two.ipynb", TOOLS, PROGRAM, "")
    first = NotebookPage(page, lab, name)
    first.run(0)
    second = NotebookPage(other_page, lab, name)
    assert second.kernel_id == first.kernel_id
    panels = [show(page), show(other_page)]
    for notebook, code in ((first, "/* one's */"), (second, "/* the other's */")):
        notebook.edit(1, f" {code}")
        notebook.run(1)
        notebook.wait_for_mime_type(1, PCTX)
        expect(notebook.editor(1).locator("span", has_text="await").last).to_be_visible()
        expect(timeline(notebook)).to_contain_text("1 call")
        for panel in panels:
            expect(run_row(panel, code)).to_be_visible()
        notebook.edit(2, "%%pctx\nawait Notebook.loadOrder();\n")
        expect(problems(notebook, 2)).to_have_text(["loadOrder"])
        notebook.type_trigger("Notebook.")
        notebook.page.keyboard.type("lo")
        expect(completions(notebook.page)).to_have_text([re.compile(r"^loadOrders\(")])
        notebook.page.keyboard.press("Escape")
    page.close()
    second.edit(1, " /* alone */")
    second.run(1)
    expect(run_row(panels[1], "/* alone */")).to_be_visible()
    second.edit(2, ".x; Notebook.hello")
    second.page.keyboard.type("(")
    expect(other_page.locator(".pctx-Signature")).to_contain_text("hello")


@pytest.fixture(scope="module")
def shared_lab(extension: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """JupyterLab with real-time collaboration."""
    pytest.importorskip("jupyter_server_ydoc", reason="jupyter-collaboration is not installed")
    with front_end("lab", tmp_path_factory.mktemp("shared"), has_collaboration=True) as running:
        yield running


def test_a_cell_that_two_edit_together_is_coloured_and_checked_in_both(
    page: Page, other_page: Page, shared_lab: FrontEnd
) -> None:
    name = shared_lab.write("shared.ipynb", TOOLS, "")
    first, second = NotebookPage(page, shared_lab, name), NotebookPage(other_page, shared_lab, name)
    first.run(0)
    first.edit(1, "%%pctx\nconst all = await Notebook.loadOrder({ status: 'paid' });\n")
    for notebook in (first, second):
        notebook.wait_for_mime_type(1, PCTX)
        expect(notebook.editor(1).locator("span", has_text="const")).to_be_visible()
        expect(problems(notebook, 1)).to_have_text(["loadOrder"])
    second.edit(1)
    first.edit(1)
    page.keyboard.type("Notebook.")
    other_page.keyboard.type("// theirs")  # at the same place
    expect(second.editor(1)).to_contain_text("Notebook.")
    expect(first.editor(1)).to_contain_text("// theirs")
    click_fix(second, 1, "Change to loadOrders")
    expect(first.editor(1)).to_contain_text("Notebook.loadOrders(")
    first.replace(1, PROGRAM)
    for notebook in (first, second):
        expect(problems(notebook, 1)).to_have_count(0)
    first.run(1)
    for notebook in (first, second):
        expect(timeline(notebook)).to_contain_text("1 call")
    second.replace(1, "1 + 1")
    first.wait_for_mime_type(1, second.mime_type(1))
    assert first.mime_type(1) != PCTX
    other_page.close()
    first.replace(1, "%%pctx\nawait Notebook.hell()")
    expect(problems(first, 1)).to_have_text(["hell"])
