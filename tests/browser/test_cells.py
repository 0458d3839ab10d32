"""Editing of ``%%pctx`` cells, in a real browser, with a real server and its kernel."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .front_end import FrontEnd, NotebookPage

pytestmark = pytest.mark.timeout(300)  # the first test waits for a browser, a build and a front end

PYTHON, PCTX = "text/x-ipython", "text/x-pctx"


def test_the_language_follows_the_first_line_as_it_changes(page: Page, lab: FrontEnd) -> None:
    name = lab.write("language.ipynb", "%%pctx -i rows\nconst n: number = rows.length", "import json", "")
    notebook = NotebookPage(page, lab, name)
    assert [notebook.mime_type(i) for i in range(3)] == [PCTX, PYTHON, PYTHON]
    expect(notebook.editor(0).locator(".cm-keyword, [class*=ͼ]", has_text="const").first).to_be_visible()
    notebook.edit(2, "%%pctx")
    assert notebook.mime_type(2) == PCTX
    notebook.replace(2, "%%time")
    assert notebook.mime_type(2) == PYTHON
    notebook.replace(1, "%%pctx\nlet x = `${1}`")
    assert notebook.mime_type(1) == PCTX
    page.keyboard.press("Control+z")
    assert notebook.mime_type(1) == PYTHON
