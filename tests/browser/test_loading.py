"""A notebook whose kernel has not loaded pctx, in a real browser. Real: browser, JupyterLab, kernel, sandbox."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from .front_end import FrontEnd, NotebookPage
from .test_panel import show


@pytest.fixture
def page(kept_page: Page) -> Page:
    """JupyterLab stays loaded from test to test."""
    return kept_page


def test_a_kernel_without_pctx_is_loaded_with_one_click_also_after_a_restart(page: Page, lab: FrontEnd) -> None:
    notebook = NotebookPage(page, lab, lab.write("unloaded.ipynb", "'python'", "%%pctx\n40 + 2"))
    line, row = page.locator(".pctx-LoadLine"), show(page).locator(".pctx-mod-unloaded")
    output = notebook.cells.nth(1).locator(".jp-OutputArea")
    of_error = output.get_by_role("button", name="Load pctx")
    for button in (*(one.get_by_role("button", name="Load", exact=True) for one in (line, row)), of_error):
        for place in (notebook.cells.nth(1).locator(line), row):
            expect(place).to_contain_text("This kernel has not loaded pctx.")
        if button == of_error:
            notebook.run(1)
            expect(output).to_contain_text("Cell magic `%%pctx` not found")
        button.click()
        expect(line).to_have_count(0)
        expect(row).to_have_count(0)
        notebook.run(1)
        expect(output).to_contain_text("42")
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    expect(line).to_have_count(1)


def test_a_notebook_without_programs_is_left_alone(page: Page, lab: FrontEnd) -> None:
    notebook = NotebookPage(page, lab, lab.write("python only.ipynb", "'python'"))
    notebook.run(0)
    expect(page.locator(".pctx-LoadLine")).to_have_count(0)


def test_kernels_load_pctx_by_themselves_if_the_settings_say_so(fresh_page: Page, lab: FrontEnd) -> None:
    page = fresh_page
    folder = lab.folder / "settings" / "pctx-jupyter"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "cells.jupyterlab-settings"
    file.write_text('{"loadExtension": true}')
    try:
        notebook = NotebookPage(page, lab, lab.write("loads itself.ipynb", "%%pctx\n40 + 2"))
        while not any(kernel["connected"] for kernel in lab.ask("pctx/api/kernels")["kernels"]):
            page.wait_for_timeout(100)  # it ends at the latest with the test's own timeout
        notebook.run(0)
        expect(notebook.cells.nth(0).locator(".jp-OutputArea")).to_contain_text("42")
    finally:
        file.unlink()


def test_the_notebook_of_the_launchers_card_has_loaded_pctx_and_gets_its_first_tool(page: Page, lab: FrontEnd) -> None:
    NotebookPage(page, lab, lab.write("other.ipynb", "'python'"))
    page.evaluate("void window.jupyterapp.commands.execute('pctx:new-notebook')")
    cells = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
    expect(cells.nth(1).locator(".cm-content")).to_contain_text("%%pctx")
    expect(cells.nth(0).locator(".jp-InputPrompt")).to_contain_text("[1]")
    cells.nth(1).locator(".cm-content").click()
    expect(cells.nth(1).locator(".cm-content")).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("40 + 2")
    page.keyboard.press("Control+Enter")
    expect(cells.nth(1).locator(".jp-OutputArea")).to_contain_text("42")
    panel = show(page)
    example = panel.locator(".pctx-mod-example")
    expect(example).to_contain_text("No tools yet. To make one:")
    expect(example.locator("pre")).to_contain_text("def greet(name: str) -> str:")
    assert example.locator("span, pre").evaluate_all(
        "all => all.every((one) => one.scrollWidth <= one.clientWidth || one.clientWidth === 0)"
    )
    panel.get_by_role("button", name="Insert example").click()
    expect(cells.nth(2).locator(".cm-content")).to_contain_text("from pctx_jupyter import tool")
    in_front = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook:focus-within .jp-CodeCell")
    expect(in_front.nth(2)).to_have_class(re.compile("jp-mod-active"))
    page.keyboard.press("Control+Enter")
    expect(panel.locator(".pctx-mod-tool").filter(has_text="greet")).to_be_visible()
    expect(example).to_have_count(0)
