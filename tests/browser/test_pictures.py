"""The pictures of the docs, taken of a real JupyterLab in its light and its dark theme.

Each run takes all of them, so a picture cannot show what does not exist. Where ``PCTX_PICTURES`` names a folder
(``docs/images``), they are written there: ``panel.png`` in light, ``panel-dark.png`` in dark.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .front_end import ALL_CELLS, PATIENCE_MS, FrontEnd, NotebookPage
from .test_cells import completions, problems
from .test_panel import agent, run_row, show, tool_row

pytestmark = pytest.mark.timeout(300)  # the first test waits for a browser, a build and a front end

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
        """Take a picture of the rectangle around all parts, at most `height` pixels high."""
        parts[0].scroll_into_view_if_needed()
        boxes = [box for part in parts if (box := part.bounding_box())]
        assert len(boxes) == len(parts), f"{name}: not all of it is on the page"
        left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
        right = max(box["x"] + box["width"] for box in boxes)
        bottom = max(box["y"] + box["height"] for box in boxes)
        x, y = max(0, left - MARGIN), max(0, top - MARGIN)
        clip = {"x": x, "y": y, "width": right + MARGIN - x, "height": min(bottom + MARGIN - y, height or bottom)}
        taken = self._page.screenshot(clip=clip, animations="disabled")  # type: ignore[arg-type]  # a TypedDict
        if folder := os.environ.get("PCTX_PICTURES"):
            (Path(folder) / f"{name}{self._suffix}.png").write_bytes(taken)


def inputs(cell: Locator) -> Locator:
    """The program of a cell, without the frame that marks the current cell."""
    return cell.locator(".jp-Cell-inputWrapper")


def halves(cell: Locator) -> tuple[Locator, Locator]:
    """The program of a cell, and what it shows."""
    return inputs(cell), cell.locator(".jp-Cell-outputWrapper")


def widen(page: Page, panel: Locator) -> None:
    """Drag the edge of the panel, so that lines of programs have room."""
    page.set_viewport_size({"width": 1280, "height": 1000})
    box = panel.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] + 2, 400)
    page.mouse.down()
    page.mouse.move(box["x"] + WIDTH, 400, steps=5)
    page.mouse.up()


@pytest.fixture(params=["Light", "Dark"])
def camera(lab: FrontEnd, page: Page, request: pytest.FixtureRequest) -> Iterator[Camera]:
    """A camera in front of a JupyterLab of each theme."""
    with lab.chosen(themes={"theme": f"JupyterLab {request.param}"}, tracker=ALL_CELLS):
        yield Camera(page, "" if request.param == "Light" else "-dark")


def test_every_picture_of_the_docs_is_taken_of_what_users_see(page: Page, lab: FrontEnd, camera: Camera) -> None:
    page.set_viewport_size({"width": 1280, "height": 1400})
    name = lab.write("sales.ipynb", TOOLS, PROGRAM, FAILING, CHART, WRONG, "", TABLE, FRAME, "", *ROOM)
    notebook = NotebookPage(page, lab, name)
    cells = [notebook.cells.nth(index) for index in range(9)]
    notebook.run(0)

    notebook.run(1)  # the first program waits for the type checker to start
    notebook.run(1)
    expect(cells[1].locator(".pctx-Timeline-fold")).to_contain_text("6 calls", timeout=PATIENCE_MS)
    expect(cells[1].locator("table")).to_be_visible(timeout=PATIENCE_MS)
    camera.take("cell", *halves(cells[1]))

    notebook.run(2)
    expect(cells[2]).to_contain_text('"fulfilled"', timeout=PATIENCE_MS)
    calls = cells[2].locator(".pctx-Timeline")
    calls.locator(".pctx-Timeline-row").first.click()
    calls.locator(".pctx-Timeline-row").nth(2).click()
    expect(calls.locator(".pctx-Timeline-details")).to_contain_text("there are no orders from ES", timeout=PATIENCE_MS)
    calls.locator("summary").click()
    camera.take("timeline", calls)

    notebook.run(3)
    expect(cells[3].locator("canvas, svg.marks")).to_be_visible(timeout=PATIENCE_MS)
    camera.take("chart", *halves(cells[3]))

    notebook.edit(4)
    expect(problems(notebook, 4)).to_have_text("amont", timeout=PATIENCE_MS)
    problems(notebook, 4).hover()
    lint = page.locator(".cm-tooltip-lint")
    expect(lint).to_contain_text("amount", timeout=PATIENCE_MS)
    camera.take("problem", inputs(cells[4]), lint)
    page.mouse.move(1200, 20)

    notebook.edit(5, TYPED[:-1])
    cells[5].evaluate("cell => cell.scrollIntoView({block: 'start'})")
    page.keyboard.type(TYPED[-1])
    expect(completions(page)).to_have_count(3, timeout=PATIENCE_MS)
    camera.take("completion", inputs(cells[5]), page.locator(".jp-Completer"))
    page.keyboard.press("Escape")

    notebook.run(6)
    notebook.run(7)
    frame = cells[7].locator("table")
    expect(frame.locator("thead th")).to_have_text(["id", "country", "amount"], timeout=PATIENCE_MS)
    expect(frame.locator("tbody tr")).to_have_count(3)
    expect(cells[7]).to_contain_text("Frame of 100,000 rows × 3 columns, in the notebook: id Int64, country String")
    camera.take("frame", *halves(cells[7]))
    notebook.edit(8, COLUMN[:-1])
    cells[8].evaluate("cell => cell.scrollIntoView({block: 'start'})")
    page.keyboard.type(COLUMN[-1])
    expect(completions(page)).to_have_count(3, timeout=PATIENCE_MS)
    camera.take("columns", inputs(cells[8]), page.locator(".jp-Completer"))
    page.keyboard.press("Escape")

    panel = show(page)
    widen(page, panel)
    handle = panel.locator(".pctx-mod-handle")
    handle.click(timeout=PATIENCE_MS)
    expect(handle).to_contain_text("kept as sales")
    held = panel.get_by_role("region", name="Chosen handle")
    expect(held).to_contain_text("100,000 rows × 3 columns")
    camera.take("handles", panel)
    tool = tool_row(panel, notebook, "Notebook.exchangeRate")
    tool.click(timeout=PATIENCE_MS)
    expect(panel.get_by_role("region", name="Chosen tool")).to_contain_text("Promise<number>", timeout=PATIENCE_MS)
    expect(run_row(panel, "const markets")).to_be_visible(timeout=PATIENCE_MS)
    camera.take("panel", panel)

    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(agent, lab, AGENTS)
        page.get_by_role("button", name="Review").click(timeout=PATIENCE_MS)
        question = page.get_by_role("region", name="Call that waits for consent")
        expect(question.locator("mark")).to_have_text(re.compile("cancelOrders"), timeout=PATIENCE_MS)
        camera.take("approval", question)
        question.get_by_role("button", name="Allow", exact=True).click()
        assert run.result(timeout=60) == 1

    handle.click()
    held.get_by_role("button", name="Forget").click()
    expect(handle).to_have_count(0, timeout=PATIENCE_MS)
