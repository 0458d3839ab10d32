"""What cells show, in a real browser: the timeline of a run, charts and pictures, and nothing that runs or loads."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec import Raw
from playwright.sync_api import Locator, Page, Request, expect

from pctx_jupyter.kernel.output import display

from .front_end import FrontEnd, NotebookPage

TOOLS = """%load_ext pctx_jupyter
import asyncio, os
from pctx_jupyter import tool

@tool
def add(a: int, b: int) -> int:
    return a + b

@tool
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds

@tool
def fail(message: str) -> None:
    raise ValueError(message)

@tool
async def wait() -> str:
    while not os.path.exists("gate"):
        await asyncio.sleep(0.02)
    return "waited"
"""


@pytest.fixture
def page(kept_page: Page) -> Page:
    """JupyterLab stays loaded from test to test."""
    return kept_page


@pytest.fixture(params=["lab", "notebook7"])
def place(request: pytest.FixtureRequest) -> tuple[Page, FrontEnd]:
    """A page and its server: JupyterLab, and Notebook 7 in a page of its own."""
    page = request.getfixturevalue("page" if request.param == "lab" else "fresh_page")
    return page, request.getfixturevalue(request.param)


def notebook(page: Page, server: FrontEnd, name: str, *programs: str) -> NotebookPage:
    """A notebook with the tools, whose further cells are programs."""
    file = server.write(f"{name}.ipynb", TOOLS, *(f"%%pctx\n{program}" for program in programs))
    opened = NotebookPage(page, server, file)
    opened.run(0)
    return opened


def result(value: Any) -> dict[str, Any]:
    """What a cell shows of a program's value."""
    return display.result(Raw(json.dumps(value).encode()))


def timeline(opened: NotebookPage, index: int = 1) -> Locator:
    return opened.cells.nth(index).locator(".pctx-Timeline")


def test_a_run_is_a_timeline_whose_calls_unfold(place: tuple[Page, FrontEnd]) -> None:
    page, server = place
    opened = notebook(
        page,
        server,
        "timeline",
        "console.log('hello'); console.warn('careful');\nawait Promise.all([Notebook.nap({ seconds: 0.1 }), "
        "Notebook.nap({ seconds: 0.2 })]);\ntry { await Notebook.fail({ message: 'no <b>way</b>' }) } catch {}\n"
        "await Notebook.add({ a: 1, b: 2 })",
    )
    opened.run(1)
    shown = timeline(opened)
    head = shown.locator(".pctx-Timeline-fold")
    expect(head).to_contain_text("4 calls")
    expect(head).to_contain_text("1 failed")
    expect(head).to_contain_text(re.compile(r"nap 2 \(mean [\d.]+ m?s, up to 2 at once\)"))
    expect(shown.locator(".pctx-Timeline-check")).to_contain_text(re.compile("^✓ "))
    rows = shown.locator(".pctx-Timeline-row")
    expect(rows).to_have_count(3)  # consecutive calls of one tool are one
    expect(rows.nth(0)).to_contain_text("Notebook.nap × 2")
    rows.nth(0).click()
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_have_attribute("title", re.compile(r"^started .*, took [\d.]+ m?s$"))
    expect(rows.nth(1)).to_contain_text("0.1")  # the argument that tells it from the other one
    expect(rows.nth(3)).to_have_attribute("aria-label", re.compile("^Notebook.fail, .*failed$"))
    rows.nth(3).click()
    expect(shown.locator(".pctx-Timeline-details")).to_contain_text("no <b>way</b>")
    # Arrow keys lead through the rows, and leave the notebook where it is.
    page.keyboard.press("ArrowDown")
    expect(rows.nth(4)).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows.nth(4)).to_have_attribute("aria-expanded", "true")
    expect(shown.locator(".pctx-Timeline-details").nth(1)).to_contain_text('"a": 1')
    page.keyboard.press("Home")
    expect(rows.nth(0)).to_be_focused()
    expect(rows).to_have_count(5)
    shown.locator("summary").click()
    expect(shown.locator(".pctx-Timeline-line.pctx-is-warn")).to_contain_text("careful")
    expect(opened.cells.nth(1).locator(".jp-OutputArea-executeResult")).to_contain_text("3")


def test_a_timeline_grows_and_keeps_what_was_unfolded(page: Page, lab: FrontEnd) -> None:
    opened = notebook(page, lab, "live", "await Notebook.add({ a: 1, b: 2 }); await Notebook.wait()")
    (lab.root / "gate").unlink(missing_ok=True)
    opened.focus(1)
    page.keyboard.press("Control+Enter")
    shown = timeline(opened)
    expect(shown).to_have_class(re.compile("pctx-is-running"))
    rows = shown.locator(".pctx-Timeline-row")
    rows.nth(0).click()
    expect(rows.nth(1)).to_have_class(re.compile("pctx-is-underWay"))
    expect(shown.locator(".pctx-Timeline-fold")).to_contain_text("running …")
    (lab.root / "gate").touch()
    expect(shown).to_have_class(re.compile("pctx-is-ok"))
    expect(rows.nth(0)).to_have_attribute("aria-expanded", "true")
    expect(rows.nth(1)).not_to_have_class(re.compile("pctx-is-underWay"))


def test_a_run_whose_kernel_restarts_is_cut_off(page: Page, lab: FrontEnd) -> None:
    (lab.root / "gate").unlink(missing_ok=True)
    opened = notebook(page, lab, "cut", "await Notebook.wait()")
    opened.focus(1)
    page.keyboard.press("Control+Enter")
    head = timeline(opened).locator(".pctx-Timeline-fold")
    expect(head).to_contain_text("running …")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(head).to_contain_text("cut off · the kernel was restarted")
    # The file has the trace of a run that goes on, and the server knows better; or it does not know the run at all.
    path = lab.root / "cut.ipynb"
    saved = json.loads(path.read_text())
    kept = saved["cells"][1]["outputs"][0]["data"]["application/vnd.pctx.trace+json"]
    assert kept["state"] == "running"
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    data = json.loads(path.read_text())["cells"][1]["outputs"][0]["data"]
    ended = data["application/vnd.pctx.trace+json"]
    assert (ended["state"], ended["stopped_by"]) == ("stopped", "kernel")
    for kind in ("text/html", "text/plain"):
        assert "cut off · the kernel was restarted" in "".join(data[kind]) and "running" not in "".join(data[kind])
    for name, id in (("known", kept["id"]), ("unknown", "no.such-run")):
        kept["id"] = id
        (lab.root / f"cut-{name}.ipynb").write_text(json.dumps(saved))
        again = NotebookPage(page, lab, f"cut-{name}.ipynb")
        head = timeline(again).locator(".pctx-Timeline-fold")
        expect(head).to_contain_text("cut off · the kernel was restarted")
        expect(head).not_to_contain_text("running")


def test_a_run_that_a_person_stops_shows_no_error(page: Page, lab: FrontEnd) -> None:
    (lab.root / "gate").unlink(missing_ok=True)
    opened = notebook(page, lab, "stopped", "await Notebook.add({ a: 1, b: 2 }); await Notebook.wait()")
    opened.focus(1)
    page.keyboard.press("Control+Enter")
    head = timeline(opened).locator(".pctx-Timeline-fold")
    expect(head).to_contain_text("running …")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    expect(head).to_contain_text("stopped by you")
    outputs = opened.cells.nth(1).locator(".jp-OutputArea")
    expect(outputs).to_contain_text("Stopped. 2 calls were made.")
    expect(outputs.locator("[data-mime-type$=stderr], [data-mime-type*=error]")).to_have_count(0)
    expect(head).to_contain_text("2 calls")


def test_thousands_of_calls_are_drawn_at_once_and_typing_goes_on(page: Page, lab: FrontEnd) -> None:
    calls = [
        {
            "call": n,
            "tool": f"A.t{n % 3}",
            "started_s": n / 1000,
            "ended_s": n / 1000 + 0.01,
            "arguments": f'{{"n":{n}}}',
        }
        for n in range(1, 2001)
    ]
    trace = {"id": "e", "state": "ok", "duration_s": 2.1, "calls_in_all": 2000, "calls": calls}
    output = {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.pctx.trace+json": trace}}
    file = lab.write("many.ipynb", "%%pctx\n1", "")
    saved = json.loads((lab.root / file).read_text())
    saved["cells"][0]["outputs"] = [output]
    (lab.root / file).write_text(json.dumps(saved))
    opened = NotebookPage(page, lab, file)
    rows = opened.cells.nth(0).locator(".pctx-Timeline-row")
    expect(rows).to_have_count(100)
    opened.focus(1)
    page.keyboard.type("typed")
    opened.expect_source(1, "typed")
    rows.first.focus()
    page.keyboard.press("End")
    expect(rows).to_have_count(2000)
    expect(rows.last).to_be_focused()


def test_a_timeline_is_copied_as_json_and_stays_in_the_file(page: Page, lab: FrontEnd) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = notebook(page, lab, "copied", "await Notebook.add({ a: 1, b: 2 })")
    opened.run(1)
    timeline(opened).get_by_role("button", name="Copy as JSON").click()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert [call["tool"] for call in copied["calls"]] == ["Notebook.add"]
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    saved = json.loads((lab.root / "copied.ipynb").read_text())
    outputs: list[dict[str, Any]] = saved["cells"][1]["outputs"]
    assert outputs[0]["data"]["application/vnd.pctx.trace+json"] == copied
    assert "<details" in "".join(outputs[0]["data"]["text/html"])


@pytest.mark.parametrize("how", ["runs", "is refused"])
def test_an_error_leads_to_its_line(place: tuple[Page, FrontEnd], how: str) -> None:
    page, server = place
    program = {
        "runs": "const n: number = 1;\n\n  throw new Error('here')",
        "is refused": "const n: number = 1;\n\n  const m: string = n",
    }[how]
    opened = notebook(page, server, f"jump {how[:4]}", program)
    opened.run(1)
    error = opened.cells.nth(1).locator(".jp-OutputArea-output[data-mime-type$=stderr], .jp-RenderedText")
    place = opened.cells.nth(1).get_by_role("link", name=re.compile("^at line 3, column"))
    expect(place).to_have_attribute("title", "Go to line 3")
    text = error.last.text_content() or ""
    expect(place).to_have_css("text-decoration-line", "underline")
    assert f"\n  {place.text_content()}\n" in text  # it is where the error has it, and nothing is added
    column = int((place.text_content() or "").split()[-1])
    expected = f"{(line := program.splitlines()[2])[: column - 1]}/*x*/{line[column - 1 :]}"
    place.focus()
    page.keyboard.press("Enter")
    expect(opened.cells.nth(1).locator(".cm-editor")).to_have_class(re.compile("cm-focused"))
    page.keyboard.insert_text("/*x*/")
    opened.expect_source(1, ends=f"\n{expected}")
    # The cell has changed since; the link leads to the line still, and a Python error has none.
    place.click()
    page.keyboard.insert_text("/*y*/")
    opened.expect_source(1, has="/*y*//*x*/")
    opened.replace(0, "print('at line 1')\nraise ValueError('no\\n  at line 1, column 1\\n')")
    opened.run(0)
    expect(opened.cells.nth(0).locator(".jp-OutputArea")).to_contain_text("ValueError")
    assert opened.cells.nth(0).locator(".pctx-Place").count() == 0


def test_charts_pictures_and_html_are_shown(page: Page, lab: FrontEnd) -> None:
    opened = notebook(
        page,
        lab,
        "displays",
        "const { display, html, md, svg } = Deno.jupyter;\n"
        "await display(html`<table><tr><td>cell</td></tr></table>`); await display(md`# Title`);\n"
        "await display(svg`<svg width='20' height='20'><circle r='9' cx='9' cy='9'/></svg>`);\n"
        "({ $schema: 'https://vega.github.io/schema/vega-lite/v5.json', mark: 'bar', "
        "data: { values: [{ a: 1, b: 2 }] }, encoding: { x: { field: 'a' }, y: { field: 'b' } } })",
    )
    opened.run(1)
    outputs = opened.cells.nth(1).locator(".jp-OutputArea-output:not(.pctx-TimelineOutput)")
    expect(outputs.nth(0).locator("td")).to_have_text("cell")
    expect(outputs.nth(1).locator("h1")).to_have_text("Title")
    expect(outputs.nth(2).locator("img")).to_have_js_property("naturalWidth", 20)
    expect(outputs.nth(3).locator("canvas")).to_be_visible()


HOSTILE = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "<img src='//HOST/beacon.png'><link rel=stylesheet href='//HOST/a.css'>",
    "<svg onload='window.hit = 1'><script>window.hit = 1</script><image href='//HOST/b.png'/></svg>",
    "<svg><style>@import '//HOST/c.css'</style><rect style='fill:url(//HOST/d.svg)'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror='window.hit = 1'></style></mglyph></table></mtext></math>",
    "<svg></p><style><g title='</style><img src=x onerror=window.hit=1>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=window.hit=1>",
    "<noscript><p title='</noscript><img src=x onerror=window.hit=1>'>",
    "<iframe srcdoc='<script>parent.hit = 1</script>'></iframe><iframe src='//HOST/e'></iframe>",
    "<details open ontoggle='window.hit = 1'><summary>x</summary></details>",
    "<style>body { display: none }</style><p style='position:fixed;inset:0;background-image:url(//HOST/f)'>over</p>",
    "<a href='javascript:window.hit=1'>link</a><a href='//HOST/g' ping='//HOST/h'>x</a>",
    "$\\\\href{javascript:window.hit=1}{link}$ $$\\\\require{html}\\\\href{javascript:window.hit=1}{link}$$",
    "[link](javascript:window.hit=1) ![i](//HOST/i.png) <javascript:window.hit=1>",
    "<button data-commandlinker-command='notebook:restart-run-all' class='jp-Dialog'>link</button>",
    "\\u202e\\u001b]8;;http://HOST/j\\u0007link\\u001b]8;;\\u0007\\u001b[2J",
]
"""Texts as a JavaScript template has them."""


def test_nothing_that_is_shown_runs_or_loads_anything(page: Page, lab: FrontEnd) -> None:
    asked: list[str] = []

    def on_request(request: Request) -> None:
        if "outside.example" in request.url:
            asked.append(request.url)

    page.on("request", on_request)
    texts = json.dumps(HOSTILE).replace("HOST", "outside.example").replace("\\\\", "\\")
    opened = notebook(
        page,
        lab,
        "hostile",
        f"const {{ display }} = Deno.jupyter;\nfor (const text of {texts}) {{\n"
        "  for (const type of ['text/html', 'text/markdown', 'image/svg+xml', 'text/latex', 'application/javascript',\n"
        "    'text/plain']) await display({ [type]: text }, { raw: true });\n"
        "  await display([{ [text]: text }]); await display({ [text]: [text] });\n"
        "  console.log(text); console.warn(text);\n"
        "  try { await Notebook.fail({ message: text }) } catch {}\n}\n"
        f"({texts})",
        f"throw new Error({texts}.join())",
    )
    opened.run(1)
    opened.run(2)
    shown = timeline(opened)
    for row in shown.locator(".pctx-Timeline-row").all()[:20]:
        row.click()
    shown.locator("summary").click()
    for link in page.locator(".jp-OutputArea a").all():
        assert not (link.get_attribute("href") or "").lower().lstrip().startswith(("javascript:", "data:"))
    assert page.locator(".jp-OutputArea :is(script, iframe, form, object, embed, link, base, meta)").count() == 0
    assert page.evaluate("window.hit") is None
    assert asked == []
    expect(page.locator(".jp-OutputArea mjx-container")).to_have_count(0)


def test_a_table_is_sorted_by_its_heads(page: Page, lab: FrontEnd) -> None:
    opened = notebook(page, lab, "table", "[{ id: 10, name: '<b>b</b>' }, { id: 9, name: 'a' }, { id: 30 }]")
    opened.run(1)
    table = opened.cells.nth(1).locator(".pctx-Table")
    ids = table.locator("tbody td:nth-child(2)")
    expect(ids).to_have_text(["10", "9", "30"])
    table.get_by_role("button", name="id").click()
    expect(ids).to_have_text(["9", "10", "30"])
    page.keyboard.press("Enter")
    expect(ids).to_have_text(["30", "10", "9"])
    expect(table.get_by_role("columnheader", name="id")).to_have_attribute("aria-sort", "descending")
    expect(table).to_contain_text("<b>b</b>")


def test_values_look_the_same_in_a_notebook_that_is_not_trusted(page: Page, lab: FrontEnd) -> None:
    value: Any = {"name": "Ann", "n": [1, None]}
    data = result(value)
    outputs = [
        {"output_type": "display_data", "metadata": {}, "data": one}
        for one in (data, {"text/html": data["text/html"], "text/plain": ""})
    ]
    cell = {"cell_type": "code", "execution_count": 1, "id": "one", "metadata": {}, "source": "", "outputs": outputs}
    file = lab.write("untrusted.ipynb", "")
    saved = json.loads((lab.root / file).read_text())
    (lab.root / file).write_text(json.dumps({**saved, "cells": [cell]}))
    opened = NotebookPage(page, lab, file)
    out = opened.cells.nth(0).locator(".jp-OutputArea-output")
    colours = {"key": "property", "string": "string", "number": "number", "word": "keyword"}
    resolved = """(element, name) => {
        element.style.outlineColor = `var(--jp-mirror-editor-${name}-color)`;
        return getComputedStyle(element).outlineColor;
    }"""
    for index, prefix in enumerate(("pctx-Tree-", "pctx-")):  # the data, and the HTML of front ends without it
        for part, variable in colours.items():
            shown = out.nth(index).locator(f".{prefix}{part}").first
            expect(shown).to_have_css("color", shown.evaluate(resolved, variable))
        assert out.nth(index).locator("style").count() == 0


def test_a_large_table_is_shown_whole_filtered_and_copied_with_the_kernels_rows(page: Page, lab: FrontEnd) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = notebook(
        page,
        lab,
        "large",
        "Array.from({ length: 5_000 }, (_, id) => ({ id, place: `Europe/Andorra ${id}`, x: id / 7, y: id * 1.5 }))",
    )
    opened.run(1)
    table = opened.cells.nth(1).locator(".pctx-Table")
    rows = table.locator("tbody tr[data-number]")
    expect(table).to_contain_text(re.compile("5,?000 rows × 4 columns"))
    expect(rows).to_have_count(20)
    cell = rows.nth(1).locator("td").nth(2).locator("div")
    expect(cell).to_have_text("0.142857")
    expect(cell).to_have_attribute("title", "0.14285714285714285")
    table.get_by_role("button", name="Show all").click()
    table.locator(".pctx-Table-scroll").evaluate("node => node.scrollTop = node.scrollHeight")
    expect(rows.last.locator("th")).to_have_text("4999")
    assert rows.count() < 200  # the others have not been drawn
    # The points of a column of numbers are below each other.
    places = "nodes => nodes.map(n => n.getBoundingClientRect().right - parseFloat(getComputedStyle(n).paddingRight))"
    table.get_by_role("searchbox").fill("ndorra 499")
    expect(table).to_contain_text(re.compile("11 of 5,?000 rows"))
    texts = table.locator("tbody td:nth-child(5) div")
    ends = [
        round(end - (len(text.partition(".")[1]) + len(text.partition(".")[2])) * width)
        for end, text, width in zip(
            texts.evaluate_all(places),
            texts.all_text_contents(),
            [table.locator("thead td").evaluate("n => parseFloat(getComputedStyle(n).minWidth) / 4")] * 11,
            strict=True,
        )
    ]
    assert max(ends) - min(ends) <= 1
    table.get_by_role("button", name="Copy CSV").click()
    expect(table.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert copied[0].strip() == "id,place,x,y" and copied[-2].startswith("4999,Europe/Andorra 4999,714.1428571428571,")


def test_a_wide_table_keeps_its_first_columns_and_marks_where_more_is_hidden(page: Page, lab: FrontEnd) -> None:
    row = ", ".join(f"column{n}: 'some words of {n}'" for n in range(43))
    opened = notebook(page, lab, "wide", f"[{{ {row} }}]")
    opened.run(1)
    frame = opened.cells.nth(1).locator(".pctx-Table-frame")
    expect(frame).to_have_class("pctx-Table-frame pctx-is-moreRight")
    lefts = "row => [...row.children].slice(0, 2).map(cell => Math.round(cell.getBoundingClientRect().left))"
    row_shown = frame.locator("tbody tr")
    before = row_shown.evaluate(lefts)
    frame.locator(".pctx-Table-scroll").evaluate("node => node.scrollLeft = 300")
    expect(frame).to_have_class("pctx-Table-frame pctx-is-moreLeft pctx-is-moreRight")
    assert row_shown.evaluate(lefts) == before
    heights = {cell.evaluate("node => node.offsetHeight") for cell in frame.locator("tbody td div").all()[:5]}
    assert len(heights) == 1 and heights.pop() < 30  # each text is one line


def test_a_part_of_a_value_and_its_path_are_copied(page: Page, lab: FrontEnd) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = notebook(page, lab, "copy", "({ orders: [{ name: 'Ann', text: 'x'.repeat(5000) }], n: 2n ** 64n })")
    opened.run(1)
    tree = opened.cells.nth(1).locator(".pctx-Tree")
    tree.get_by_role("button", name="0: {2}").click()
    text = tree.locator(".pctx-Tree-row", has_text="text:").last
    expect(text).to_contain_text(re.compile("5,?000 characters"))
    text.hover()
    text.get_by_role("button", name="Copy value").click()
    expect(text).to_contain_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == "x" * 5000  # the file has only the beginning
    text.get_by_role("button", name="Copy path").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('[')")
    assert page.evaluate("navigator.clipboard.readText()") == '["orders"][0]["text"]'


def test_a_warning_has_a_mark_and_no_ground(page: Page, lab: FrontEnd) -> None:
    opened = notebook(page, lab, "levels", "console.warn('careful\\nwith this'); console.error('wrong')")
    opened.run(1)
    out = opened.cells.nth(1).locator(".jp-RenderedText[data-mime-type$=stderr]")
    expect(out).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    expect(out.locator("span").first).to_have_text("▲")
    border = "node => getComputedStyle(node, '::before').borderLeftWidth"
    assert [mark.evaluate(border) for mark in out.locator("pre > span").all()] == ["2px"] * 3
    place = opened.cells.nth(1).locator(".jp-OutputArea-child").first
    expect(place.locator(".pctx-TimelineOutput")).to_have_count(1)
    assert place.bounding_box() is None, "the place of a timeline without calls has no height, nor has its prompt"
