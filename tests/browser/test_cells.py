"""Editing of ``%%pctx`` cells, in a real browser, with a real server and its kernel."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as TakesTooLong

from .conftest import Errors
from .front_end import PATIENCE_MS, FrontEnd, NotebookPage, front_end

LOAD_ORDERS = re.compile(r"^loadOrders\(.*\) → ")
"""The tool with its type, in a list of completions."""

PYTHON, PCTX = "text/x-ipython", "text/x-pctx"

TOOLS = '''
%load_ext pctx_jupyter
from dataclasses import dataclass
from typing import Literal
from pctx_jupyter import tool

@dataclass
class Order:
    id: int
    amount: float

customers = ["Ann"]

@tool
def load_orders(status: Literal["pending", "paid"], limit: int = 10) -> list[Order]:
    """Load <b>orders</b> of one status.

    Args:
        status: Which <img src=x onerror="document.title='broken'"> orders.
    """
    return []
'''


@pytest.fixture
def page(kept_page: Page) -> Page:
    """JupyterLab stays loaded from test to test."""
    return kept_page


@pytest.fixture
def notebook(page: Page, lab: FrontEnd, request: pytest.FixtureRequest) -> NotebookPage:
    """A notebook whose kernel has a tool, and an empty cell 1."""
    opened = NotebookPage(page, lab, lab.write(f"{request.node.name[:40]}.ipynb", TOOLS, "", "1 + 1"))
    opened.run(0)
    return opened


def completions(page: Page) -> Locator:
    return page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-match")


def problems(notebook: NotebookPage, index: int) -> Locator:
    return notebook.editor(index).locator(".cm-lintRange-error")


def hover_problem(notebook: NotebookPage, index: int) -> Locator:
    """Hold the mouse over a cell's first problem, and return what is shown for it.

    An underline that is drawn again closes what is shown for it, until the mouse moves.
    """
    shown = notebook.page.locator(".cm-tooltip-lint, .cm-tooltip:has(.cm-diagnostic)").first
    for _ in range(5):
        notebook.page.mouse.move(0, 0)
        problems(notebook, index).first.hover()
        with suppress(TakesTooLong):
            shown.wait_for(timeout=PATIENCE_MS / 10)
            break
    return shown


def click_fix(notebook: NotebookPage, index: int, name: str) -> None:
    """Click a fix that is shown for a cell's first problem under the mouse."""
    for _ in range(5):
        with suppress(TakesTooLong):
            hover_problem(notebook, index).get_by_role("button", name=name).click(timeout=PATIENCE_MS / 10)
            return
    raise AssertionError(f"No {name!r} is shown.")


def colour(notebook: NotebookPage, index: int, text: str) -> str:
    return str(
        notebook.editor(index)
        .locator("span", has_text=text)
        .last.evaluate("(node, text) => node.textContent === text ? getComputedStyle(node).color : ''", text)
    )


def test_the_language_follows_the_first_line_as_it_changes(page: Page, lab: FrontEnd) -> None:
    name = lab.write("language.ipynb", "%%pctx -i rows\nconst n: number = rows.length", "import json", "")
    notebook = NotebookPage(page, lab, name)
    notebook.wait_for_mime_type(1, PYTHON)  # as its kernel says
    notebook.wait_for_mime_type(0, PCTX)
    notebook.wait_for_mime_type(2, PYTHON)
    for index, word in ((0, "const"), (1, "import")):
        expect(notebook.editor(index).locator("span", has_text=re.compile(f"^{word}$"))).to_have_count(1)
    assert colour(notebook, 0, "const") == colour(notebook, 1, "import") != ""
    notebook.edit(2, "%%pctx")
    notebook.wait_for_mime_type(2, PCTX)
    notebook.replace(2, "%%time")
    notebook.wait_for_mime_type(2, PYTHON)
    notebook.replace(1, "%%pctx\nlet x = `${1}`")
    notebook.wait_for_mime_type(1, PCTX)
    page.keyboard.press("Control+z")
    notebook.wait_for_mime_type(1, PYTHON)


def test_comments_are_those_of_the_language_under_the_cursor(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nconst a = 1;\n")
    for _ in range(2):
        notebook.page.keyboard.press("ArrowUp")
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("Control+/")
    notebook.expect_source(1, "%%pctx\n// const a = 1;\n")
    notebook.edit(2)
    notebook.page.keyboard.press("Control+/")
    notebook.expect_source(2, "# 1 + 1")


def test_tools_are_completed_as_one_types_after_any_characters(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nconst 名 = '\U0001f600';\n")
    keyboard = notebook.page.keyboard
    notebook.type_trigger("await Notebook.")
    expect(completions(notebook.page)).to_have_text([LOAD_ORDERS])
    keyboard.type("lo")
    expect(notebook.page.locator(".jp-Completer-docpanel")).to_contain_text("of one status")
    keyboard.press("Enter")
    notebook.expect_source(1, ends="await Notebook.loadOrders({ status:  })")
    keyboard.type("'paid'")
    keyboard.press("Tab")  # behind the call: there is no further argument
    keyboard.type(";\nawait Notebook.loadOrders")
    expect(completions(notebook.page)).to_have_text([LOAD_ORDERS])
    keyboard.press("Escape")
    expect(completions(notebook.page)).to_have_count(0)
    keyboard.type("({ ")
    expect(completions(notebook.page)).to_have_text([re.compile(r"^status \("), "limit (number, optional)"])
    keyboard.type("st")
    expect(completions(notebook.page).first).to_have_text(re.compile(r"^status \("))
    keyboard.press("Tab")
    notebook.expect_source(1, ends="loadOrders({ status: 'paid' });\nawait Notebook.loadOrders({ status")


def test_arguments_that_a_call_lacks_are_added_by_a_fix(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrders({ limit: 5 })")
    click_fix(notebook, 1, "Add the missing argument")
    notebook.expect_source(1, has="status: ")
    notebook.expect_focus(1)
    notebook.page.keyboard.type("'paid'")
    notebook.expect_source(1, ends="loadOrders({ limit: 5, status: 'paid' })")


def test_the_magic_line_is_completed_with_options_and_the_notebooks_names(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx")
    notebook.type_trigger(" --ti")
    expect(completions(notebook.page).first).to_have_text("--timeout")
    notebook.page.keyboard.press("Tab")
    notebook.page.keyboard.type(" 5 -i cu")
    expect(completions(notebook.page).first).to_have_text("customers")
    notebook.page.keyboard.press("Enter")
    notebook.expect_source(1, "%%pctx --timeout 5 -i customers")


def test_a_busy_kernel_keeps_nobody_waiting(notebook: NotebookPage) -> None:
    notebook.replace(2, "import time\ntime.sleep(60)")
    notebook.page.keyboard.press("Control+Enter")
    notebook.page.wait_for_selector(".jp-InputPrompt:has-text('[*]:')")
    notebook.edit(1, "%%pctx -i cu")
    notebook.ask_for_completions()
    expect(completions(notebook.page).first).to_have_text("customers")
    notebook.page.keyboard.press("Escape")
    notebook.replace(1, "%%pctx\nawait Notebook.loadOrder()")
    expect(problems(notebook, 1)).to_have_text("loadOrder")
    notebook.page.keyboard.insert_text("\nNotebook.l")
    notebook.ask_for_completions()
    expect(completions(notebook.page)).to_have_text([LOAD_ORDERS])
    notebook.page.keyboard.press("Escape")
    notebook.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    notebook.wait_for_kernel()


def test_pythons_names_stay_out_of_programs_and_ours_out_of_python(notebook: NotebookPage) -> None:
    notebook.replace(2, "%config IPCompleter.use_jedi = False")  # it starts slower than JupyterLab waits
    notebook.run(2)
    notebook.edit(1, "%%pctx\ncust")
    notebook.ask_for_completions()
    notebook.page.keyboard.type("o")
    notebook.page.keyboard.press("Control+a")
    expect(completions(notebook.page)).to_have_count(0)
    notebook.replace(2, "cust")
    notebook.ask_for_completions()
    expect(completions(notebook.page).first).to_have_text("customers")


def test_a_tool_is_explained_under_the_mouse_and_its_html_is_text(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrders({ status: 'paid' })")
    notebook.editor(1).locator("span", has_text="loadOrders").last.hover()
    shown = notebook.page.locator(".pctx-Hover")
    expect(shown).to_contain_text("loadOrders")
    expect(shown).to_contain_text(re.compile(r"Load <b>orders<.?/b> of one status\."))
    expect(shown.locator("b, img")).to_have_count(0)
    notebook.page.mouse.move(0, 0)
    notebook.editor(1).locator("span", has_text="status").last.hover()
    expect(shown).to_contain_text('Which <img src=x onerror="document.title=')
    assert notebook.page.title() != "broken"


def test_a_calls_parameters_are_shown_while_it_is_typed(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrders")
    notebook.page.keyboard.type("(")
    shown = notebook.page.locator(".pctx-Signature")
    expect(shown.locator("b")).to_contain_text("status")
    notebook.page.keyboard.press("Home")
    expect(shown).to_have_count(0)


def test_escape_closes_a_popup_and_stays_in_the_editor(notebook: NotebookPage) -> None:
    page = notebook.page
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrders")
    page.keyboard.type("(")
    shown = page.locator(".pctx-Signature")
    expect(shown.locator("b")).to_contain_text("status")
    count = notebook.cells.count()
    page.keyboard.press("Escape")
    expect(shown).to_have_count(0)
    page.keyboard.type("abdd")  # commands of a notebook: insert cells, delete one
    notebook.expect_source(1, has="%%pctx\nawait Notebook.loadOrders(abdd")
    expect(notebook.cells).to_have_count(count)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".jp-Notebook.jp-mod-editMode")).to_have_count(0)
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrders({ status: 1 });")
    expect(problems(notebook, 1).first).to_be_visible()
    page.keyboard.press("F8")
    bubble = page.locator(".cm-tooltip .cm-diagnostic")
    expect(bubble).to_be_visible()
    notebook.editor(0).click()
    expect(bubble).to_have_count(0)


def test_problems_are_underlined_and_fixed(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nconst all = await Notebook.loadOrder({ status: 'paid' });\nall.map(o => o.amont)")
    expect(problems(notebook, 1)).to_have_text(["loadOrder"])
    click_fix(notebook, 1, "Change to loadOrders")
    notebook.expect_source(1, has="Notebook.loadOrders(")
    expect(problems(notebook, 1)).to_have_text(["amont"])
    notebook.edit(1)
    notebook.page.keyboard.press("Control+.")
    notebook.expect_source(1, ends="o.amount)")
    expect(problems(notebook, 1)).to_have_count(0)
    notebook.edit(1, "\nnope")
    expect(problems(notebook, 1)).to_have_text(["nope"])
    notebook.replace(1, "nope")
    expect(problems(notebook, 1)).to_have_count(0)  # Python again


def test_a_new_tool_takes_its_underline_away(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nawait Notebook.later()")
    expect(problems(notebook, 1)).to_have_text(["later"])
    notebook.replace(2, "@tool\ndef later() -> int:\n    return 1")
    notebook.run(2)
    expect(problems(notebook, 1)).to_have_count(0)
    with notebook.page.expect_request("**/pctx/api/diagnostics*"):  # as after every change, also without a cell
        notebook.server.ask(f"pctx/api/kernels/{notebook.kernel_id}/sharing", "PUT", {"to": "everyone"})


def test_a_cell_is_laid_out_and_its_cursor_stays(notebook: NotebookPage, errors: Errors) -> None:
    notebook.edit(1, "%%pctx  -q\nconst a=[1,2\n]\na.map( x=>x")
    notebook.page.keyboard.insert_text(" )")
    notebook.page.keyboard.press("ArrowLeft")
    notebook.page.keyboard.press("ArrowLeft")
    notebook.page.keyboard.press("Alt+Shift+F")
    expect(notebook.editor(1)).to_contain_text("const a = [1, 2];")
    notebook.expect_source(1, "%%pctx  -q\nconst a = [1, 2];\na.map((x) => x);")
    notebook.page.keyboard.type("+1")
    notebook.expect_source(1, ends="=> x+1);")
    notebook.edit(1, "\nlet = ;")
    notebook.page.keyboard.press("Alt+Shift+F")
    expect(notebook.page.locator(".Toastify__toast")).to_contain_text("Cannot format: ")
    notebook.expect_source(1, ends="\nlet = ;")


def test_a_kernel_without_pctx_is_left_in_peace(page: Page, lab: FrontEnd, errors: Errors) -> None:
    notebook = NotebookPage(page, lab, lab.write("without.ipynb", "1"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/pctx/api/" in request.url else None)
    with page.expect_response("**/pctx/api/diagnostics*"):
        notebook.replace(0, "%%pctx\nawait Notebook.nothing(")
    page.keyboard.type("first.second.third.fourth")
    notebook.wait_for_mime_type(0, PCTX)
    expect(problems(notebook, 0)).to_have_count(0)
    assert 0 < len(asked) < 5


def test_a_kernel_that_restarts_or_dies_breaks_nothing(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrder()")
    expect(problems(notebook, 1)).to_have_count(1)
    context = "window.jupyterapp.shell.currentWidget.sessionContext"
    notebook.page.evaluate(f"{context}.restartKernel()")
    notebook.wait_for_kernel()
    expect(problems(notebook, 1)).to_have_count(0)
    notebook.run(0)
    expect(problems(notebook, 1)).to_have_count(1)
    notebook.page.evaluate(f"{context}.shutdown()")
    expect(problems(notebook, 1)).to_have_count(0)


def test_it_works_in_notebook_7(fresh_page: Page, notebook7: FrontEnd) -> None:
    page = fresh_page
    notebook = NotebookPage(page, notebook7, notebook7.write("seven.ipynb", TOOLS, ""))
    notebook.run(0)
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrder({ status: 'paid' });\n")
    notebook.wait_for_mime_type(1, PCTX)
    expect(problems(notebook, 1)).to_have_text(["loadOrder"])
    notebook.type_trigger("Notebook.")
    expect(completions(page)).to_have_text([LOAD_ORDERS])


COMMANDS = "window.jupyterapp.commands"


def test_it_works_in_a_console(notebook: NotebookPage) -> None:
    page = notebook.page
    page.evaluate(f"{COMMANDS}.execute('notebook:create-console').then(() => null)")
    prompt = page.locator(".jp-CodeConsole-promptCell .cm-content")
    prompt.click()
    page.keyboard.insert_text("%%pctx\nawait Notebook.loadOrder( )")
    expect(page.locator(".jp-CodeConsole .cm-lintRange-error")).to_have_text(["loadOrder"])
    page.keyboard.press("Alt+Shift+F")
    expect(prompt).to_contain_text("loadOrder();")
    page.keyboard.press("Control+End")
    notebook.type_trigger(" Notebook.")
    expect(completions(page)).to_have_text([LOAD_ORDERS])


def test_two_views_of_a_notebook_do_not_disturb_each_other(notebook: NotebookPage) -> None:
    notebook.edit(1, "%%pctx\nawait Notebook.loadOrder()")
    notebook.page.evaluate(f"{COMMANDS}.execute('docmanager:clone').then(() => null)")
    wrong = notebook.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .cm-lintRange-error")
    expect(wrong).to_have_text(["loadOrder", "loadOrder"])
    second = notebook.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").nth(1).locator(".cm-content").nth(1)
    second.click()
    expect(second).to_be_focused()
    notebook.page.keyboard.press("Control+End")
    notebook.type_trigger("; Notebook.")
    expect(completions(notebook.page)).to_have_text([LOAD_ORDERS])
    notebook.page.keyboard.press("Enter")
    notebook.page.keyboard.type("'paid'")
    expect(wrong).to_have_text(["loadOrder", "loadOrder"])
    notebook.page.evaluate(f"{COMMANDS}.execute('application:close').then(() => null)")
    expect(wrong).to_have_text(["loadOrder"])
    notebook.edit(1, ".x")
    expect(wrong).to_have_count(2)


def test_only_cells_on_the_screen_are_looked_at(page: Page, lab: FrontEnd) -> None:
    cells = [f"%%pctx\nconst n{i}: string = {i}" for i in range(200)]
    notebook = NotebookPage(page, lab, lab.write("many.ipynb", TOOLS, *cells))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/diagnostics" in request.url else None)
    notebook.run(0)
    expect(problems(notebook, 1)).to_have_count(1)
    assert len(asked) < 50


def read_what_jupyterlab_says(page: Page) -> None:
    """Have JupyterLab notice that its server is gone, and close the dialog that says so for good: it takes the keys."""
    page.evaluate("window.jupyterapp.serviceManager.sessions.refreshRunning().catch(() => null)")
    dialog = page.locator(".jp-Dialog", has_text="Server Connection Error")
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_a_server_that_goes_and_comes_back_finds_all_as_it_was(
    fresh_page: Page, errors: Errors, tmp_path: Path
) -> None:
    page = fresh_page
    with front_end("lab", tmp_path) as first:
        notebook = NotebookPage(page, first, first.write("gone.ipynb", TOOLS, "%%pctx\nawait Notebook.loadOrder()"))
        notebook.run(0)
        expect(problems(notebook, 1)).to_have_count(1)
        first.stop(signal.SIGKILL)
        read_what_jupyterlab_says(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/pctx/api/comp" in request.url else None)
        notebook.edit(1, "\n")
        page.keyboard.type("first.second.third.fourth.fifth.sixth")
        notebook.expect_source(1, has="fifth.sixth")
        expect(problems(notebook, 1)).to_have_count(0)
        assert len(asked) < 5
        assert not [error for error in errors if error.startswith("pageerror")]
        with front_end("lab", tmp_path, like=first) as second:
            page.goto("about:blank")
            notebook = NotebookPage(page, second, notebook.name)
            notebook.run(0)
            expect(problems(notebook, 1)).to_have_count(1)
            page.goto("about:blank")
    errors.clear()


def test_what_the_user_does_not_want_is_left_out(notebook: NotebookPage) -> None:
    page = notebook.page
    settings = "window.jupyterapp.serviceManager.settings"
    save = f"wanted => {settings}.save('pctx-jupyter:cells', JSON.stringify(wanted))"
    try:
        page.evaluate(save, {"diagnostics": "off", "completeWhileTyping": False, "showParameters": False})
        page.goto("about:blank")
        again = NotebookPage(page, notebook.server, notebook.name)
        again.run(0)
        again.edit(1, "%%pctx\n")
        page.keyboard.type("Notebook.loadOrder(")
        page.keyboard.press("ArrowRight")
        page.keyboard.type(" Notebook.")
        again.ask_for_completions()  # then it is there
        expect(completions(page)).to_have_text([LOAD_ORDERS])
        expect(problems(again, 1)).to_have_count(0)
        expect(page.locator(".pctx-Signature")).to_have_count(0)
    finally:
        page.evaluate(save, {})
        page.goto("about:blank")


COLOURS = "node => { const is = getComputedStyle(node); return [is.color, is.backgroundColor]; }"
"""The colours of a text and of its background."""


def test_what_is_shown_can_be_read_in_every_theme_and_width(fresh_page: Page, lab: FrontEnd) -> None:
    page = fresh_page
    notebook = NotebookPage(page, lab, lab.write("themes.ipynb", TOOLS, ""))
    notebook.run(0)
    notebook.edit(1, "%%pctx -q\nconst all = await Notebook.loadOrder({ status: 'paid' });\n`${all}`")
    for width in (1280, 600):
        page.set_viewport_size({"width": width, "height": 800})
        if width < 1000:
            page.evaluate(f"{COMMANDS}.execute('application:toggle-left-area').then(() => null)")
        for theme in ("JupyterLab Light", "JupyterLab Dark"):
            page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
            page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
            shown = hover_problem(notebook, 1)
            expect(shown).to_contain_text("Did you mean")
            box = shown.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width, (theme, width)
            assert is_readable(*shown.evaluate(COLOURS)), (theme, width)
            assert is_readable(*shown.get_by_role("button").evaluate(COLOURS)), (theme, width)


def is_readable(text: str, background: str) -> bool:
    """Whether two colours differ as much as WCAG asks for (AA, 4.5 : 1)."""

    def light(colour: str) -> float:
        parts = [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]
        red, green, blue = (c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, bright = sorted([light(text), light(background)])
    return (bright + 0.05) / (dark + 0.05) >= 4.5
