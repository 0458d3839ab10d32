"""The pictures of the docs, taken of a real JupyterLab in its light and its dark theme.

Each run takes all of them in light, so a picture cannot show what does not exist. Where ``PCTX_PICTURES`` names a
folder (``docs/images``), they are written there: ``panel.png`` in light, and ``panel-dark.png`` in dark.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation, TextContent
from playwright.sync_api import Locator, Page, expect

from .front_end import ALL_CELLS, FrontEnd, NotebookPage
from .test_cells import completions, hover_problem, problems
from .test_panel import run_row, show, tool_row

THEMES = ["Light", *(["Dark"] if os.environ.get("PCTX_PICTURES") else [])]
"""The themes of the pictures. What is expected is the same in each; `test_accessibility` looks at colours."""

MARGIN = 4
"""Pixels around what a picture shows."""

WIDTH = 560
"""Pixels that the panel is wide in its pictures."""

TOOLS = '''
%load_ext pctx_jupyter
import asyncio
from dataclasses import dataclass
from pctx_jupyter import tool

@dataclass
class Order:
    id: int
    amount: float

ORDERS = {"PT": [12.5, 40.0], "JP": [7.5], "BR": [99.0, 3.0, 20.0]}

@tool
async def load_orders(country: str) -> list[Order]:
    """Load the orders of one country."""
    if country not in ORDERS:
        raise ValueError(f"there are no orders from {country}")
    await asyncio.sleep(0.1 * len(ORDERS[country]))
    return [Order(number, amount) for number, amount in enumerate(ORDERS[country], 1)]

@tool
async def exchange_rate(currency: str) -> float:
    """Look up the price of one euro."""
    await asyncio.sleep(0.12)
    return {"EUR": 1.0, "JPY": 161.4, "BRL": 6.1}[currency]

@tool(effects=True)
def cancel_orders(ids: list[int], reason: str) -> int:
    """Cancel orders, and send a mail to their customers."""
    return len(ids)
'''.strip()

PROGRAM = """%%pctx -o totals
const markets = { PT: "EUR", JP: "JPY", BR: "BRL" };
const totals = await Promise.all(Object.entries(markets).map(async ([country, currency]) => {
  const orders = await Notebook.loadOrders({ country });
  const rate = await Notebook.exchangeRate({ currency });
  const euros = orders.reduce((sum, order) => sum + order.amount, 0);
  return { country, orders: orders.length, euros, local: Math.round(euros * rate) };
}));
console.log(`${totals.length} markets`);
totals"""

FAILING = """%%pctx
const [portugal, spain] = await Promise.allSettled([
  Notebook.loadOrders({ country: "PT" }),
  Notebook.loadOrders({ country: "ES" }),
]);
console.warn(spain.status);
portugal.status"""

CHART = """%%pctx -i totals
const chart = {
  $schema: "https://vega.github.io/schema/vega-lite/v5.json",
  data: { values: totals },
  mark: "bar",
  encoding: { x: { field: "euros", type: "quantitative" }, y: { field: "country", type: "nominal" } },
};
chart"""

SUMS = """%%pctx
const countries = ["PT", "JP", "BR"];
const lists = await Promise.all(countries.map((country) => Notebook.loadOrders({ country })));
const sum = (list: { amount: number }[]) => list.reduce((all, one) => all + one.amount, 0);
countries.map((country, i) => ({ country, orders: lists[i].length, euros: sum(lists[i]) }))"""

WRONG = """%%pctx
const orders = await Notebook.loadOrders({ country: "PT" });
orders.map((order) => order.amont)"""

TYPED = "%%pctx\nconst orders = await Notebook."

TABLE = '''
import pandas as pd

COUNTRIES = ["PT", "JP", "BR", "PT", "BR"] * 20_000
SALES = pd.DataFrame({"id": range(100_000), "country": COUNTRIES, "amount": [n % 97 + 0.5 for n in range(100_000)]})

@dataclass
class Sale:
    id: int
    country: str
    amount: float

@tool(handle=True)
def load_sales() -> list[Sale]:
    """Load all sales as a frame."""
    return SALES
'''.strip()

FRAME = """%%pctx
export const sales = await Notebook.loadSales();
console.log(await sales.groupBy("country").agg({ amount: "sum" }).rows());
sales"""

COLUMN = '%%pctx\nawait sales.filter((sale) => sale.country.eq("JP").and(sale.'

ROOM = ("\n" * 4,) * 8  # below the list that opens

AGENTS = """const all = await Sales.loadOrders({ country: "BR" });
const ids = all.filter((o) => o.amount < 10).map((o) => o.id);
await Sales.cancelOrders({ ids, reason: "too small" })"""


class Camera:
    """Takes pictures of parts of a page.

    Args:
        page: The page.
        suffix: What the names of its pictures end in.
    """

    def __init__(self, page: Page, suffix: str) -> None:
        self._page, self._suffix = page, suffix

    def take(self, name: str, *parts: Locator, height: float | None = None) -> None:
        """Take a picture of the rectangle around all parts, at most `height` pixels high; without parts, of the page.

        The whole page is taken at twice the density: it is shown smaller than it is.
        """
        taken = self._part(name, parts, height) if parts else self._whole()
        if folder := os.environ.get("PCTX_PICTURES"):
            (Path(folder) / f"{name}{self._suffix}.png").write_bytes(taken)

    def _whole(self) -> bytes:
        size = self._page.viewport_size
        assert size is not None
        # Playwright's own screenshots have the density with which its browser context was opened.
        devtools = self._page.context.new_cdp_session(self._page)
        devtools.send("Emulation.setDeviceMetricsOverride", {**size, "deviceScaleFactor": 2, "mobile": False})
        self._page.wait_for_function("window.devicePixelRatio === 2")
        taken = devtools.send("Page.captureScreenshot", {"format": "png"})["data"]
        devtools.detach()
        return base64.b64decode(taken)

    def _part(self, name: str, parts: Sequence[Locator], height: float | None) -> bytes:
        parts[0].scroll_into_view_if_needed()
        boxes = [box for part in parts if (box := part.bounding_box())]
        assert len(boxes) == len(parts), f"{name}: not all of it is on the page"
        left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
        right = max(box["x"] + box["width"] for box in boxes)
        bottom = max(box["y"] + box["height"] for box in boxes)
        x, y = max(0, left - MARGIN), max(0, top - MARGIN)
        clip = {"x": x, "y": y, "width": right + MARGIN - x, "height": min(bottom + MARGIN - y, height or bottom)}
        return self._page.screenshot(clip=clip, animations="disabled")  # type: ignore[arg-type]  # a TypedDict


def inputs(cell: Locator) -> Locator:
    """The program of a cell, without the frame that marks the current cell."""
    return cell.locator(".jp-Cell-inputWrapper")


def halves(cell: Locator) -> tuple[Locator, Locator]:
    """The program of a cell, and what it shows."""
    return inputs(cell), cell.locator(".jp-Cell-outputWrapper")


def drag(page: Page, edge: tuple[float, float], *, x: float | None = None, y: float | None = None) -> None:
    """Drag an edge to a place, so that what is beside it has more room."""
    page.mouse.move(*edge)
    page.mouse.down()
    page.mouse.move(edge[0] if x is None else x, edge[1] if y is None else y, steps=5)
    page.mouse.up()


def middle(edge: Locator) -> tuple[float, float]:
    box = edge.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def widen(page: Page, panel: Locator, to: float) -> None:
    """Drag the edge of the panel, so that lines of programs have room."""
    box = panel.bounding_box()
    assert box is not None
    drag(page, (box["x"] + box["width"] + 2, 400), x=to)


def claude_code(server: FrontEnd, code: str) -> str:
    """Run a program as an MCP client of that name does; returns the answer."""

    async def run() -> str:
        headers = {"Authorization": f"token {server.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(
                streamable_http_client(f"{server.url}pctx/mcp", http_client=http),
                client_info=Implementation(name="claude-code", title="Claude Code", version="1"),
            ) as client,
        ):
            answer = await client.call_tool("execute", {"code": code})
            return "\n".join(part.text for part in answer.content if isinstance(part, TextContent))

    return asyncio.run(run())


def arrange(page: Page, notebook: NotebookPage, panel: Locator, cell: int) -> None:
    """Show a question in the panel, a cell beside it, and the run that waits below the cell."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page.add_style_tag(content=".Toastify { display: none }")  # a notification would cover the calls
    page.get_by_role("region", name="Guest programs").get_by_role("button", name="Show").click()
    page.evaluate(
        """() => {
          const shell = window.jupyterapp.shell;
          const [run, notebook] = ['.pctx-Run', '.jp-Notebook'].map(
            part => [...shell.widgets('main')].find(tab => tab.node.querySelector(part)));
          shell.add(run, 'main', { mode: 'split-bottom', ref: notebook.id });
        }"""
    )
    widen(page, panel, 360)
    drag(page, middle(page.locator("#jp-main-dock-panel > [data-orientation=vertical]:not(.lm-mod-hidden)")), y=404)
    drag(page, middle(page.get_by_role("separator", name="Height of the details")), y=236)
    notebook.editor(cell + 1).click()
    notebook.cells.nth(cell).evaluate("cell => cell.scrollIntoView({block: 'start'})")
    page.locator(".pctx-List .pctx-mod-question").click()
    page.wait_for_function(
        "() => document.querySelector('.pctx-Run .pctx-Timeline-bar.pctx-is-person')?.offsetWidth > 100",
    )
    page.mouse.move(640, 10)


def complete(page: Page, notebook: NotebookPage, cell: int, text: str) -> None:
    """Write a program, whose last character opens three suggestions."""
    notebook.edit(cell, text[:-1])
    notebook.cells.nth(cell).evaluate("cell => cell.scrollIntoView({block: 'start'})")
    notebook.wait_for_completer()
    page.keyboard.type(text[-1])
    expect(completions(page)).to_have_count(3)


@pytest.fixture(params=THEMES)
def camera(lab: FrontEnd, page: Page, request: pytest.FixtureRequest) -> Iterator[Camera]:
    """A camera in front of a JupyterLab of each theme."""
    with lab.chosen(themes={"theme": f"JupyterLab {request.param}"}, tracker=ALL_CELLS):
        yield Camera(page, "" if request.param == "Light" else "-dark")


def test_every_picture_of_the_docs_is_taken_of_what_users_see(page: Page, lab: FrontEnd, camera: Camera) -> None:
    page.set_viewport_size({"width": 1280, "height": 1400})
    name = lab.write("sales.ipynb", TOOLS, PROGRAM, FAILING, CHART, WRONG, "", TABLE, FRAME, "", *ROOM, SUMS, "")
    notebook = NotebookPage(page, lab, name)
    cells = [notebook.cells.nth(index) for index in range(9)]
    notebook.run(0)

    notebook.run(1)  # the first program waits for the type checker to start
    notebook.run(1)
    expect(cells[1].locator(".pctx-Timeline-fold")).to_contain_text("6 calls")
    expect(cells[1].locator("table")).to_be_visible()
    camera.take("cell", *halves(cells[1]))

    notebook.run(2)
    expect(cells[2]).to_contain_text('"fulfilled"')
    calls = cells[2].locator(".pctx-Timeline")
    calls.locator(".pctx-Timeline-row").first.click()
    calls.locator(".pctx-Timeline-row").nth(2).click()
    expect(calls.locator(".pctx-Timeline-details")).to_contain_text("there are no orders from ES")
    calls.locator("summary").click()
    camera.take("timeline", calls)

    notebook.run(3)
    expect(cells[3].locator("canvas, svg.marks")).to_be_visible()
    camera.take("chart", *halves(cells[3]))

    notebook.edit(4)
    expect(problems(notebook, 4)).to_have_text("amont")
    lint = hover_problem(notebook, 4)
    expect(lint).to_contain_text("amount")
    camera.take("problem", inputs(cells[4]), lint)
    page.mouse.move(1200, 20)

    complete(page, notebook, 5, TYPED)
    camera.take("completion", inputs(cells[5]), page.locator(".jp-Completer"))
    page.keyboard.press("Escape")

    notebook.run(6)
    notebook.run(7)
    frame = cells[7].locator("table")
    expect(frame.locator("thead th")).to_have_text(["id", "country", "amount"])
    expect(frame.locator("tbody tr")).to_have_count(3)
    expect(cells[7]).to_contain_text("Frame of 100,000 rows × 3 columns, in the notebook: id Int64, country String")
    expect(problems(notebook, 7)).to_have_count(0)  # the tool was defined a moment ago
    camera.take("frame", *halves(cells[7]))
    complete(page, notebook, 8, COLUMN)
    camera.take("columns", inputs(cells[8]), page.locator(".jp-Completer"))
    page.keyboard.press("Escape")

    panel = show(page)
    page.set_viewport_size({"width": 1280, "height": 1000})
    widen(page, panel, WIDTH)
    handle = panel.locator(".pctx-mod-handle")
    handle.click()
    expect(handle).to_contain_text("kept as sales")
    held = panel.get_by_role("region", name="Chosen handle")
    expect(held).to_contain_text("100,000 rows × 3 columns")
    camera.take("handles", panel)
    tool = tool_row(panel, notebook, "Notebook.exchangeRate")
    tool.click()
    expect(panel.get_by_role("region", name="Chosen tool")).to_contain_text("Promise<number>")
    expect(run_row(panel, "const markets")).to_be_visible()
    camera.take("panel", panel)

    handle.click()
    held.get_by_role("button", name="Forget").click()
    expect(handle).to_have_count(0)

    sums = 9 + len(ROOM)
    notebook.run(sums)
    expect(notebook.cells.nth(sums).locator("table")).to_be_visible()
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(claude_code, lab, AGENTS)
        page.get_by_role("button", name="Review").click()
        question = page.get_by_role("region", name="Call that waits for consent")
        expect(question.locator("mark")).to_have_text(re.compile("cancelOrders"))
        camera.take("approval", question)
        arrange(page, notebook, panel, sums)
        camera.take("overview")
        question.get_by_role("button", name="Allow", exact=True).click()
        assert "1" in run.result(timeout=60)
