"""The panel, in a real browser, with a real server and its kernels."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from pctx_jupyter.client import PctxClient
from pctx_jupyter.hosts.tokens import TOKEN_VARIABLE, mint_token
from tests.upstream.conftest import peer

from .conftest import Errors
from .front_end import PATIENCE_MS, FrontEnd, NotebookPage, front_end

TOOLS = """
%load_ext pctx_jupyter
from pctx_jupyter import tool

@tool
def load_orders(status: str) -> list[str]:
    "Loads the orders of one status."
    return [status]

@tool
def hello() -> str:
    "Greets."
    return "hello"
""".strip()


@pytest.fixture
def page(kept_page: Page) -> Page:
    """JupyterLab stays loaded from test to test."""
    return kept_page


def show(page: Page) -> Locator:
    """Open the panel."""
    page.evaluate("window.jupyterapp.commands.execute('pctx:show-panel').then(() => null)")
    panel = page.locator("#pctx-panel")
    expect(panel).to_be_visible()
    return panel


def run_row(panel: Locator, text: str) -> Locator:
    """The latest run with that title."""
    return panel.locator(".pctx-mod-run").filter(has_text=text).first


def tool_row(panel: Locator, notebook: NotebookPage, path: str) -> Locator:
    """The row of a notebook's tool: other notebooks may have one of that name, too."""
    return panel.locator(f'[id="pctx-tool%20{notebook.kernel_id}%20{path}"]')


def kernel_row(panel: Locator, notebook: NotebookPage) -> Locator:
    """The row of a notebook."""
    return panel.locator(f'[id="pctx-kernel%20{notebook.kernel_id}"]')


def prepare(page: Page, server: FrontEnd, name: str, *cells: str) -> tuple[NotebookPage, Locator]:
    """Open a notebook with tools that pctx knows, and the panel."""
    notebook = NotebookPage(page, server, server.write(name, TOOLS, *cells))
    notebook.run(0)
    for index, cell in enumerate(cells):
        if cell.startswith("%%pctx"):
            notebook.run(index + 1)
    return notebook, show(page)


def test_tools_are_shown_and_a_call_of_one_is_inserted(page: Page, lab: FrontEnd) -> None:
    notebook, panel = prepare(page, lab, "orders.ipynb", "%%pctx\nawait Notebook.hello()\n")
    expect(tool_row(panel, notebook, "Notebook.loadOrders")).to_be_visible()
    tool_row(panel, notebook, "Notebook.loadOrders").click()
    detail = panel.get_by_role("region", name="Chosen tool")
    expect(detail).to_contain_text("loadOrders(args: { status: string }): Promise<string[]>")
    notebook.edit(1)
    detail.get_by_role("button", name="Insert call").click()
    notebook.expect_source(1, "%%pctx\nawait Notebook.hello()\nawait Notebook.loadOrders({ status:  })")
    notebook.expect_focus(1)
    page.keyboard.type('"open"')
    notebook.expect_source(1, ends='await Notebook.loadOrders({ status: "open" })')


def test_in_a_narrow_panel_names_have_the_room(fresh_page: Page, lab: FrontEnd) -> None:
    page = fresh_page
    long = "find_the_customers_of_the_north_that_have_not_paid_for_{}_months"
    many = "for n in range(2):\n    f = lambda: n\n    f.__name__ = f'{}'\n    tool(f)".format(long.format("{n}"))
    notebook, panel = prepare(page, lab, "a long name of a notebook.ipynb", many)
    notebook.run(1)
    expect(tool_row(panel, notebook, "Notebook.loadOrders")).to_be_visible()
    page.set_viewport_size({"width": 500, "height": 800})
    end = panel.get_by_text("idFor1Months", exact=True)
    expect(end).to_be_visible()
    expect(panel.get_by_role("treeitem", name=re.compile("NorthThatHaveNotPaidFor1Months"))).to_be_visible()
    edges = [part.evaluate("part => part.getBoundingClientRect().right") for part in (end, panel)]
    assert edges[0] <= edges[1], "the end of a name stays in sight: the names begin alike"
    family = "node => getComputedStyle(node).fontFamily"
    assert panel.get_by_role("tree").evaluate(family) == panel.evaluate(family)
    kernel_row(panel, notebook).click()
    room = "row => row.querySelector('.pctx-Row-title').clientWidth / row.clientWidth"
    assert kernel_row(panel, notebook).evaluate(room) > 0.5
    head = panel.locator(".pctx-Detail h3")
    lines = "head => head.getClientRects().length && head.clientHeight / parseFloat(getComputedStyle(head).fontSize)"
    assert head.evaluate(lines) < 4, "it breaks between words, in two lines at most"


def test_of_two_notebooks_with_one_file_name_each_shows_its_path(fresh_page: Page, lab: FrontEnd) -> None:
    page = fresh_page
    for folder in ("north", "south"):
        Path(lab.root, folder).mkdir(exist_ok=True)
    for folder in ("north", "south"):
        page.goto("about:blank")  # then only the second one is open
        NotebookPage(page, lab, lab.write(f"{folder}/twins.ipynb", TOOLS)).run(0)
    panel = show(page)
    for name, folder in (("Twins", "north"), ("Twins2", "south")):
        row = panel.locator(".pctx-mod-kernel").filter(has_text=f"{folder}/twins.ipynb")
        expect(row).to_contain_text(f"{name} {folder}")
    panel.get_by_role("button", name="open").click()  # of the one that is not in front
    expect(page.get_by_role("tab", name="twins.ipynb")).to_have_count(2)
    expect(panel.locator(".pctx-mod-kernel").filter(has_text="this notebook")).to_contain_text("Twins north")


def test_a_run_is_shown_with_its_calls_and_inserted_as_a_cell(fresh_page: Page, lab: FrontEnd) -> None:
    page = fresh_page
    code = "const o = await Notebook.loadOrders({ status: 'open' })\no.length"
    notebook, panel = prepare(page, lab, "runs.ipynb", f"%%pctx\n{code}")
    expect(run_row(panel, "const o = await")).to_contain_text("[2]")
    run_row(panel, "const o = await").click()
    detail = panel.get_by_role("region", name="Chosen run")
    line = panel.get_by_role("separator")
    expect(detail.locator(".pctx-Timeline-row")).to_contain_text("Notebook.loadOrders")  # it grows until all is there
    before, at = detail.bounding_box(), line.bounding_box()
    assert before is not None and at is not None
    page.mouse.move(at["x"] + 50, at["y"] + 2)
    page.mouse.down()
    page.mouse.move(at["x"] + 50, at["y"] - 98, steps=3)
    page.mouse.up()
    after = detail.bounding_box()
    assert after is not None and abs(after["height"] - before["height"] - 100) < 10
    call = detail.locator(".pctx-Timeline-row").filter(has_text="Notebook.loadOrders")
    call.click()
    expect(detail.locator(".pctx-Timeline-details")).to_contain_text('"status": "open"')
    ends = "ticks => ticks.map(tick => tick.getBoundingClientRect().right)"
    box = panel.bounding_box()
    assert box is not None
    assert max(detail.locator(".pctx-Timeline-tick").evaluate_all(ends)) <= box["x"] + box["width"]
    call.press("Home")
    expect(detail.locator(".pctx-Timeline-row").first).to_be_focused()
    detail.get_by_role("button", name="Insert as cell").click()
    expect(notebook.cells).to_have_count(3)
    notebook.expect_source(2, f"%%pctx\n{code}")


def test_a_run_opens_as_a_tab_with_its_program_in_colours_its_calls_and_its_value(page: Page, lab: FrontEnd) -> None:
    code = "const orders = await Notebook.loadOrders({ status: 'open' })\norders"
    notebook, panel = prepare(page, lab, "run tab.ipynb", f"%%pctx\n{code}")
    run_row(panel, "const orders = await").dblclick()
    tab = page.get_by_role("region", name="Run", exact=True)
    expect(tab.get_by_role("group", name="Program")).to_contain_text(code)
    colours = "node => new Set([...node.querySelectorAll('span')].map(span => getComputedStyle(span).color)).size"
    expect(tab.locator("code span").first).to_be_visible()
    assert tab.get_by_role("group", name="Program").evaluate(colours) > 1
    expect(tab.locator(".pctx-Timeline-row").filter(has_text="Notebook.loadOrders")).to_be_visible()
    expect(tab.get_by_role("group", name="Value")).to_contain_text('"open"')
    run_row(panel, "const orders = await").click()
    panel.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("tab", name="const orders = await")).to_have_count(1)
    tab.get_by_role("button", name="Insert as cell").click()
    expect(notebook.cells).to_have_count(3)
    expect(notebook.cells.nth(2)).to_be_visible()
    notebook.expect_source(2, f"%%pctx\n{code}")


def test_a_run_is_stopped(page: Page, lab: FrontEnd) -> None:
    notebook, panel = prepare(page, lab, "stop.ipynb", "")
    notebook.replace(1, "%%pctx\nfor (;;) { /* for ever */ }")
    page.keyboard.press("Control+Enter")
    running = run_row(panel, "for (;;)")
    running.click()
    panel.get_by_role("button", name="Stop", exact=True).click()
    outputs = notebook.cells.nth(1).locator(".jp-OutputArea")
    expect(outputs).to_contain_text("Stopped. No call was made.")
    expect(outputs.locator("[data-mime-type$=stderr], [data-mime-type*=error]")).to_have_count(0)
    expect(running.get_by_label("stopped by you")).to_be_visible()


REMOVE = """
%load_ext pctx_jupyter
from typing import Literal
from pctx_jupyter import tool

@tool(effects=True)
def remove_orders(ids: list[int], reason: Literal["paid", "lost"] = "lost", most: int = 10) -> str:
    "Removes orders for good."
    return f"removed {ids} {reason} {most}"
""".strip()


def agent(server: FrontEnd, code: str) -> Any:
    """Run an agent's program."""

    async def run() -> Any:
        url = server.url.replace("http:", "ws:") + "pctx/agents"
        async with PctxClient(url, headers={"Authorization": f"token {server.token}"}) as client:
            return (await client.execute_code(code))["value"]

    return asyncio.run(run())


def test_an_agents_call_waits_until_somebody_consents(page: Page, lab: FrontEnd) -> None:
    notebook = NotebookPage(page, lab, lab.write("consent.ipynb", REMOVE, ""))
    notebook.run(0)
    notebook.edit(1)
    with ThreadPoolExecutor(1) as threads:
        code = "const ids = [1, 2];\nawait Consent.removeOrders({ ids })"
        run = threads.submit(agent, lab, code)
        notice = page.locator(".Toastify__toast").filter(has_text="An agent wants to call Consent.removeOrders")
        expect(notice).to_be_visible()
        page.keyboard.type("typed on")  # the keyboard stays where it was
        notebook.expect_source(1, "typed on")
        notice.get_by_role("button", name="Review").click()
        expect(notice).to_have_count(0)  # the panel asks, and has the time that is left
        detail = page.get_by_role("region", name="Call that waits for consent")
        expect(detail).to_contain_text("Removes orders for good.")
        expect(detail.get_by_role("button", name="consent.ipynb ↗")).to_be_visible()
        expect(detail.locator("mark")).to_have_text("await Consent.removeOrders({ ids })")
        ids = detail.get_by_label("ids")
        expect(ids).to_be_focused()
        expect(detail.get_by_role("timer")).to_contain_text("left, then denied")
        expect(page.locator(".pctx-Status")).to_contain_text("1 waits for you")
        ids.fill("[2")
        allow = detail.get_by_role("button", name="Allow", exact=True)
        expect(allow).to_be_disabled()
        ids.fill("[2]")
        detail.get_by_label("most").fill("ten")
        expect(detail.get_by_role("status")).to_contain_text("most must be integer, not string")
        changed = detail.get_by_role("button", name="Allow as changed")
        expect(changed).to_be_disabled()
        expect(detail.get_by_label("most")).to_have_attribute("aria-invalid", "true")
        detail.get_by_label("most").fill("5")
        detail.get_by_label("reason").select_option("paid")
        expect(changed).to_be_enabled()
        detail.get_by_role("button", name="Edit as JSON").click()
        text = detail.get_by_role("textbox", name="Arguments (you can edit them)")
        assert json.loads(text.input_value()) == {"ids": [2], "reason": "paid", "most": 5}
        detail.get_by_role("button", name="Edit in a form").click()
        ids.focus()
        page.keyboard.press("Control+Enter")
        assert run.result(timeout=60) == "removed [2] paid 5"
        expect(detail).to_have_count(0)
        notebook.expect_focus(1)  # again
        page.keyboard.type(" and on")
        notebook.expect_source(1, "typed on and on")
    run_row(show(page), "const ids").click()
    expect(page.get_by_role("region", name="Chosen run")).to_contain_text("allowed as changed")


def test_always_allowed_is_listed_and_revoked_and_a_denial_says_who_denied(fresh_page: Page, lab: FrontEnd) -> None:
    page = fresh_page
    notebook = NotebookPage(page, lab, lab.write("always.ipynb", REMOVE, ""))
    notebook.run(0)
    panel = show(page)
    code = "await Always.removeOrders({ ids: [1] })"
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(agent, lab, code)
        question = panel.get_by_role("region", name="Call that waits for consent")
        question.get_by_role("button", name="until its kernel restarts").click()
        assert run.result(timeout=60) == "removed [1] lost 10"
        row = panel.locator(".pctx-mod-permission")
        expect(row).to_contain_text("Always.removeOrders")
        row.click()
        panel.get_by_role("button", name="Revoke").click()
        expect(row).to_have_count(0)
        run = threads.submit(agent, lab, f"{code}.catch(() => 'no').then(() => {{ throw new Error('x') }})")
        notice = page.locator(".Toastify__toast").filter(has_text="Always.removeOrders")
        notice.get_by_role("button", name="Deny").click()
        assert run.exception(timeout=60) is not None
        expect(notice).to_have_count(0)
        run = threads.submit(agent, lab, code)
        notice.get_by_role("button", name="Deny").click()
        assert "a person denied it" in str(run.exception(timeout=60))
    expect(run_row(panel, code).first.get_by_label("denied by you")).to_be_visible()


def test_the_panel_takes_the_focus_and_escape_gives_it_back(page: Page, lab: FrontEnd) -> None:
    notebook = NotebookPage(page, lab, lab.write("focus.ipynb", "a = 1", ""))
    notebook.edit(1)
    page.keyboard.press("Control+Alt+u")
    expect(page.locator("#pctx-panel").get_by_role("tree")).to_be_focused()
    page.keyboard.press("Escape")
    notebook.expect_focus(1)
    page.keyboard.type("b = 2")
    notebook.expect_source(1, "b = 2")


def test_a_server_is_added_and_removed(page: Page, lab: FrontEnd) -> None:
    NotebookPage(page, lab, lab.write("servers.ipynb", "1"))
    panel = show(page)
    panel.get_by_role("button", name="Add server…").click()
    dialog = page.locator(".jp-Dialog")
    address = dialog.get_by_label("URL or command")
    address.fill('ls "unclosed')
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This quotation mark is not closed")
    assert address.input_value() == 'ls "unclosed'
    address.fill(f"{sys.executable} -c \"import sys; print('no disk', file=sys.stderr); sys.exit(3)\"")
    test = dialog.get_by_role("button", name="Test")
    test.click()
    expect(dialog.get_by_label("The last lines of its log")).to_have_text("no disk")
    address.fill(f"{sys.executable} -m mcp_server_time --local-timezone UTC")
    dialog.get_by_label("Name", exact=True).fill("clock")
    test.click()
    expect(dialog.get_by_role("status")).to_have_text("It works: 2 tools.")
    expect(panel.locator(".pctx-Row.pctx-mod-server")).to_have_count(0)
    dialog.get_by_role("button", name="Add").click()
    server = panel.locator(".pctx-Row.pctx-mod-server").filter(has_text="clock")
    expect(server).to_contain_text("2 tools")
    expect(server.get_by_label("ready")).to_be_visible()
    expect(server).to_have_attribute("aria-selected", "true")
    expect(offered_row(panel, "clock", "Clock.getCurrentTime")).to_be_visible()
    detail = panel.get_by_role("region", name="Chosen server")
    expect(detail).to_contain_text("namespace Clock")
    detail.get_by_role("button", name="Remove").click()
    page.locator(".jp-Dialog").get_by_role("button", name="Remove").click()
    expect(server).to_have_count(0)


@contextmanager
def upstream(server: FrontEnd, entry: dict[str, Any]) -> Iterator[str]:
    """Add an MCP server, and remove it at the end; yields the path of its routes."""
    server.ask("pctx/api/upstreams", "POST", {"server": entry, "persist": False})
    path = f"pctx/api/upstreams/{entry['name']}"
    yield path
    server.ask(path, "DELETE")


def server_row(panel: Locator, name: str) -> Locator:
    """The row of an MCP server."""
    return panel.locator(f'[id="pctx-server%20{name}"]')


def unfold(row: Locator) -> None:
    """Open a row that is folded; a click beside the triangle only chooses it."""
    row.click()
    expect(row).to_have_attribute("aria-expanded", "false")
    row.locator(".pctx-Twisty").click()
    expect(row).to_have_attribute("aria-expanded", "true")


def offered_row(panel: Locator, name: str, path: str) -> Locator:
    """The row of a tool of an MCP server."""
    return panel.locator(f'[id="pctx-tool%20server%20{name}%20{path}"]')


def test_a_servers_tools_are_listed_inserted_and_approved(page: Page, lab: FrontEnd, tmp_path: Path) -> None:
    file = tmp_path / "parrot"
    with upstream(lab, peer("good", file, name="parrot")) as route:
        notebook = NotebookPage(page, lab, lab.write("parrot.ipynb", "%%pctx\n"))
        panel = show(page)
        server, echo = server_row(panel, "parrot"), offered_row(panel, "parrot", "Parrot.echo")
        expect(server).to_contain_text("12 tools")
        expect(echo).to_have_count(0)
        unfold(server)
        echo.click()
        detail = panel.get_by_role("region", name="Chosen tool")
        expect(detail).to_contain_text("echo(args?: { text?: string }): Promise<any>")
        notebook.edit(0)
        detail.get_by_role("button", name="Insert call").click()
        notebook.expect_source(0, "%%pctx\nawait Parrot.echo()")

        file.with_suffix(".description").write_text("Says it otherwise.")
        lab.ask(f"{route}/reconnect", "POST", {})
        withheld = panel.locator(".pctx-mod-withheld")
        expect(withheld).to_contain_text("Changed: description")
        expect(echo).to_have_count(0)
        withheld.click()
        expect(detail).to_contain_text("Says it otherwise.")
        detail.get_by_role("button", name="Approve as changed").click()
        expect(withheld).to_have_count(0)
        expect(echo).to_contain_text("Says it otherwise.")


def test_a_silent_tool_of_a_server_is_allowed_for_good_and_asked_for_again(page: Page, lab: FrontEnd) -> None:
    with upstream(lab, peer("good", name="silent")), ThreadPoolExecutor(1) as threads:
        NotebookPage(page, lab, lab.write("silent.ipynb", "1"))
        panel = show(page)
        server, pid = server_row(panel, "silent"), offered_row(panel, "silent", "Silent.pid")
        expect(server).to_contain_text("12 tools")
        unfold(server)
        expect(pid).to_contain_text("effects unknown")
        for how in ("Allow Silent.pid until the tool changes", "Allow"):
            run = threads.submit(agent, lab, "await Silent.pid()")
            # Its row may be out of sight, above the chosen tool.
            notice = page.locator(".Toastify__toast").filter(has_text="Silent.pid")
            notice.get_by_role("button", name="Review").click()
            question = panel.get_by_role("region", name="Call that waits for consent")
            expect(question).to_contain_text("It does not say whether it changes something.")
            question.get_by_role("button", name=how, exact=True).click()
            assert isinstance(run.result(timeout=60), int)
            if how != "Allow":
                assert isinstance(threads.submit(agent, lab, "await Silent.pid()").result(timeout=60), int)
                expect(pid).to_contain_text("allowed")
                pid.click()
                detail = panel.get_by_role("region", name="Chosen tool")
                expect(detail).to_contain_text("It is called without asking.")
                detail.get_by_role("button", name="Ask again").click()
                expect(detail).not_to_contain_text("It is called without asking.")
        server.click()
        expect(panel.get_by_role("button", name="Ask again")).to_have_count(0)
        panel.get_by_role("button", name="Allow its tools…").click()
        page.locator(".jp-Dialog").get_by_role("button", name="Allow", exact=True).click()
        everything = panel.get_by_text("12 tools are called without asking.")
        expect(everything).to_be_visible()
        panel.get_by_role("button", name="Ask again").click()
        expect(everything).to_have_count(0)


def test_a_server_that_came_with_the_folder_starts_once_it_is_trusted(page: Page, lab: FrontEnd) -> None:
    file = lab.root / "pctx.json"
    file.write_text(json.dumps({"servers": [peer("good", name="came-along")]}))
    try:
        NotebookPage(page, lab, lab.write("came.ipynb", "1"))
        panel = show(page)
        server = server_row(panel, "came-along")
        expect(server).to_contain_text("not trusted yet")
        server.click()
        detail = panel.get_by_role("region", name="Chosen server")
        expect(detail).to_contain_text(f"{sys.executable} -I")  # what is trusted can be read first
        detail.get_by_role("button", name="Ignore").click()
        expect(detail).to_have_count(0)
        expect(server).to_contain_text("not trusted yet")
        server.click()
        detail.get_by_role("button", name="Trust and start").click()
        expect(server).to_contain_text("12 tools")
        expect(detail.get_by_role("button", name="Trust and start")).to_have_count(0)
    finally:
        file.unlink()


def test_ten_thousand_tools_of_a_server_are_searched_and_few_are_drawn(page: Page, lab: FrontEnd) -> None:
    with upstream(lab, peer("many")):
        NotebookPage(page, lab, lab.write("crowd.ipynb", "%%pctx\n"))
        panel = show(page)
        expect(server_row(panel, "many")).to_contain_text("10000 tools")
        panel.get_by_role("searchbox").fill("tool9999")
        expect(offered_row(panel, "many", "Many.tool9999")).to_be_visible()
        panel.get_by_role("searchbox").fill("many")
        expect(offered_row(panel, "many", "Many.tool0")).to_be_visible()
        panel.get_by_role("tree").focus()
        page.keyboard.press("End")
        page.keyboard.press("PageUp")
        chosen = panel.locator("[aria-selected=true]")
        expect(chosen).to_contain_text("Many.tool")
        expect(chosen).to_be_in_viewport()
        assert panel.get_by_role("treeitem").count() < 80


def test_sharing_is_switched(page: Page, lab: FrontEnd) -> None:
    notebook, panel = prepare(page, lab, "share.ipynb")
    found = kernel_row(panel, notebook)
    found.click()
    panel.get_by_label("Who may call its tools").select_option("everyone")
    expect(found).to_contain_text("shared")
    kernel = lab.ask(f"pctx/api/kernels/{notebook.kernel_id}")
    assert kernel["sharing"] == "everyone"


def test_the_list_is_used_with_keys_alone(page: Page, lab: FrontEnd) -> None:
    notebook, panel = prepare(page, lab, "keys.ipynb", "%%pctx\n1\n")
    notebook.edit(1)
    panel.get_by_role("searchbox").focus()
    page.keyboard.type("nowhere to be found")
    expect(panel.locator(".pctx-mod-tool")).to_have_count(0)
    page.keyboard.press("Control+a")
    page.keyboard.type("hello greets")
    expect(tool_row(panel, notebook, "Notebook.hello")).to_be_visible()
    page.keyboard.press("ArrowDown")
    tree = panel.get_by_role("tree")
    expect(tree).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    expect(panel.locator("[aria-selected=true]")).to_contain_text("Notebooks")
    page.keyboard.press("ArrowDown")
    expect(panel.locator("[aria-selected=true]")).to_have_attribute("aria-level", "2")
    page.keyboard.press("ArrowRight")
    chosen = panel.locator("[aria-selected=true]")
    expect(chosen).to_contain_text("Notebook.hello")
    expect(tree).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "")


def test_a_thousand_tools_of_a_notebook_are_listed_and_few_are_drawn(page: Page, lab: FrontEnd) -> None:
    many = """
def make(number):
    def one(text: str) -> str:
        return text
    one.__name__ = f"many_{number}"
    return one

for number in range(1000):
    tool(make(number))
%pctx tools many_1
"""
    notebook = NotebookPage(page, lab, lab.write("many.ipynb", TOOLS, many.strip()))
    notebook.run(0)
    notebook.run(1)
    panel = show(page)
    expect(kernel_row(panel, notebook)).to_contain_text("1002")
    panel.get_by_role("searchbox").fill("many999")
    expect(tool_row(panel, notebook, "Notebook.many999")).to_be_visible()
    panel.get_by_role("searchbox").fill("many.ipynb")
    expect(tool_row(panel, notebook, "Notebook.many0")).to_be_visible()
    assert panel.get_by_role("treeitem").count() < 80
    panel.get_by_role("tree").focus()
    chosen = panel.locator("[aria-selected=true]")
    page.keyboard.press("End")
    expect(chosen).to_be_in_viewport()
    page.keyboard.press("Home")
    expect(chosen).to_be_in_viewport()
    fast = "key => tree.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    panel.get_by_role("tree").evaluate(f"tree => ['End', 'PageUp'].forEach({fast})")
    expect(chosen).to_be_in_viewport()
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def test_hostile_texts_are_only_text(fresh_page: Page, lab: FrontEnd) -> None:
    page = fresh_page
    hostile = """
@tool(name="evil")
def evil() -> str:
    "<img src=x onerror=alert(1)> \\u202etxt.exe \\x1b[31mred"
    raise ValueError("<script>alert(2)</script>" + "x" * 10_000_000)
""".strip()
    code = "%%pctx\n/* <img src=x onerror=alert(3)> \u202e */ await Notebook.evil()"
    dialogs: list[str] = []

    def meet(dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            dialogs.append(dialog.message)
        dialog.accept()

    page.on("dialog", meet)
    notebook = NotebookPage(page, lab, lab.write("hostile.ipynb", TOOLS, hostile, code))
    for index in range(3):
        notebook.run(index)
    panel = show(page)
    tool_row(panel, notebook, "Notebook.evil").click()
    detail = panel.get_by_role("region", name="Chosen tool")
    expect(detail).to_contain_text("<img src=x onerror=alert(1)>")
    expect(detail).to_contain_text("\\u202etxt.exe")
    panel.get_by_role("searchbox").fill("onerror=alert(3)")
    run_row(panel, "/* <img").click()
    expect(panel.get_by_role("region", name="Chosen run")).to_contain_text("<script>alert(2)</script>")
    assert panel.locator("img, script").count() == 0 and dialogs == []
    assert "\u202e" not in panel.inner_text()


def test_a_new_notebook_has_what_it_needs(page: Page, lab: FrontEnd) -> None:
    NotebookPage(page, lab, lab.write("any.ipynb", "1"))
    page.evaluate("window.jupyterapp.commands.execute('pctx:new-notebook', {cwd: ''}).then(() => null)")
    source = "() => window.jupyterapp.shell.currentWidget.content?.widgets?.map(w => w.model.sharedModel.getSource())"
    page.wait_for_function(
        f"() => JSON.stringify(({source})()) === JSON.stringify(['%load_ext pctx_jupyter', '%%pctx\\n'])",
    )


def test_the_status_bar_leads_to_the_panel(page: Page, lab: FrontEnd) -> None:
    NotebookPage(page, lab, lab.write("status.ipynb", "1"))
    item = page.locator(".pctx-Status")
    expect(item).to_contain_text("pctx")
    item.get_by_role("button").click()
    expect(page.locator("#pctx-panel")).to_be_visible()


def test_a_clients_configuration_is_copied(page: Page, lab: FrontEnd) -> None:
    NotebookPage(page, lab, lab.write("client.ipynb", "1"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel = show(page)
    panel.get_by_role("button", name="Connect…").click()
    dialog = page.locator(".jp-Dialog")
    dialog.locator("select").select_option("Cursor")
    dialog.get_by_role("button", name="Copy").click()
    expect(page.locator(".Toastify__toast")).to_contain_text("copied to the clipboard; add this to")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"{lab.url}pctx/mcp" in copied and lab.token in copied


def test_the_panel_is_in_notebook_7_too(fresh_page: Page, notebook7: FrontEnd) -> None:
    page = fresh_page
    notebook, panel = prepare(page, notebook7, "seven.ipynb", "%%pctx\nawait Notebook.hello()")
    expect(tool_row(panel, notebook, "Notebook.hello")).to_be_visible()
    show(page)  # and stays
    tool_row(panel, notebook, "Notebook.hello").click()
    run_row(panel, "await Notebook.hello()").dblclick()  # there are no tabs
    detail = panel.get_by_role("region", name="Chosen run")
    expect(detail.locator(".pctx-Timeline-row")).to_contain_text("Notebook.hello")
    detail.get_by_role("button", name="Insert as cell").click()
    expect(notebook.cells).to_have_count(3)
    notebook.expect_source(2, "%%pctx\nawait Notebook.hello()")
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    expect(panel).not_to_be_visible()
    show(page)


@contextmanager
def sandbox_host(server: FrontEnd) -> Iterator[None]:
    """A sandbox host of a server, which leaves on the way out."""
    token = mint_token(server.folder / "data" / "pctx" / "sandbox-token")
    command = [sys.executable, "-m", "pctx_jupyter", "sandbox-host", "--url", server.url]
    with subprocess.Popen(command, env=os.environ | {TOKEN_VARIABLE: token}, stderr=subprocess.DEVNULL) as host:
        try:
            yield
        finally:
            host.terminate()


def test_a_server_that_goes_and_returns_is_followed(
    fresh_page: Page, extension: None, tmp_path_factory: pytest.TempPathFactory, errors: Errors
) -> None:
    page = fresh_page
    with front_end("lab", tmp_path_factory.mktemp("gone")) as first:
        notebook, panel = prepare(page, first, "gone.ipynb", "%%pctx\n// before\nawait Notebook.hello()")
        expect(tool_row(panel, notebook, "Notebook.hello")).to_be_visible()
        first.stop()
        expect(panel.get_by_role("status")).to_contain_text("does not answer")
    on_hosts = "--Pctx.sandboxes=hosts"
    with front_end("lab", tmp_path_factory.mktemp("unused"), on_hosts, like=first) as second:
        wrong = panel.get_by_role("status")
        expect(wrong).to_contain_text("no sandbox host is connected", timeout=2 * PATIENCE_MS)
        expect(panel.get_by_text("No notebook has loaded pctx")).to_be_visible()
        # JupyterLab's own dialog, that the server did not answer.
        page.add_locator_handler(page.locator(".jp-Dialog"), lambda: page.keyboard.press("Escape"))
        past = run_row(panel, "// before")
        expect(past).to_have_count(0)  # the new server has run nothing
        panel.get_by_role("searchbox").fill("Notebook.hello before")  # words of its program, in any order
        past.click()
        expect(panel.get_by_role("region", name="Chosen run")).to_contain_text("await Notebook.hello()")
        past.dblclick()
        tab = page.get_by_role("region", name="Run", exact=True)
        expect(tab.locator(".pctx-Timeline-row")).to_contain_text("Notebook.hello")
        shown = page.locator(".pctx-Status [title]")
        expect(shown).to_have_attribute("title", re.compile("0 sandbox hosts, 0 running"))
        with sandbox_host(second):
            expect(shown).to_have_attribute("title", re.compile("1 sandbox host, 0 running"))
            expect(wrong).to_have_count(0)
        expect(shown).to_have_attribute("title", re.compile("0 sandbox hosts, 0 running"))
        page.goto("about:blank")
    errors.clear()  # what JupyterLab says of a server that is away


def test_a_server_without_pctx_gets_a_calm_message(
    fresh_page: Page, extension: None, tmp_path_factory: pytest.TempPathFactory, errors: Errors
) -> None:
    page = fresh_page
    off = "--ServerApp.jpserver_extensions=pctx_jupyter=False"
    with front_end("lab", tmp_path_factory.mktemp("absent"), off) as server:
        NotebookPage(page, server, server.write("absent.ipynb", "1"))
        panel = show(page)
        expect(panel.get_by_role("status")).to_contain_text("This Jupyter server does not have pctx")
        expect(page.locator(".pctx-Status")).not_to_be_visible()
        assert all(re.search("404|pctx", error) for error in errors)
        page.goto("about:blank")
    errors.clear()
