"""Charts in a real browser: everyday ones are drawn, hostile ones do nothing, in notebooks trusted and not.

Real: browser, JupyterLab, kernel, sandbox, and what draws the charts. The corpus is that of `tests/security`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Dialog, Page, Request, expect

from ..security.charts import HARMLESS, HOSTILE, OUTSIDE, REFUSED_IN_VEGA, WITHOUT_PICTURE, Spec
from .conftest import Errors
from .front_end import ALL_CELLS, FrontEnd, NotebookPage

LITE = "application/vnd.vegalite.v5+json"
VEGA = "application/vnd.vega.v5+json"

OUTPUTS_A_CELL = 45
"""JupyterLab shows the first 50 outputs of a cell."""

HOSTILE_OPTIONS = {
    "embed_options": {
        "defaultStyle": "@import 'http://outside.example/style.css'",
        "config": "http://outside.example/config.json",
        "patch": "http://outside.example/patch.json",
        "bind": "body",
        "actions": {"source": True, "editor": True},
        "sourceHeader": "<script>window.hit = 1</script>",
        "editorUrl": "javascript:window.hit=1",
        "renderer": "svg",
    }
}
"""Options by which a notebook's file could have a chart drawn otherwise."""

POKE = """() => {
  for (const drawn of document.querySelectorAll('.jp-OutputArea canvas, .jp-OutputArea svg')) {
    const box = drawn.getBoundingClientRect();
    for (const part of [0.3, 0.5, 0.7]) {
      const at = { bubbles: true, clientX: box.x + part * box.width, clientY: box.y + part * box.height, view: window };
      for (const type of ['over', 'move', 'down', 'up', 'out']) {
        drawn.dispatchEvent(new PointerEvent('pointer' + type, at));
        drawn.dispatchEvent(new MouseEvent('mouse' + type, at));
      }
      drawn.dispatchEvent(new MouseEvent('click', at));
      drawn.dispatchEvent(new MouseEvent('dblclick', at));
    }
  }
}"""
"""Point at every chart, and click it."""

STRANGE = """() => [...document.querySelectorAll('.jp-OutputArea-output *')].filter(element =>
  [...element.attributes].some(one => one.name.startsWith('on') || /outside\\.example|javascript:/.test(one.value))
  || (element.tagName === 'INPUT' && !element.matches('.pctx-Table [type=search]:not([onchange])'))
  || ['SELECT', 'SCRIPT', 'IFRAME', 'OBJECT', 'EMBED', 'LINK', 'IMAGE'].includes(element.tagName)
  || (element.tagName === 'FORM' && element.outerHTML !== '<form class="vega-bindings"></form>')
).map(element => element.outerHTML.slice(0, 200))"""
"""Elements with handlers, and those that no chart makes; each has an empty form, for the inputs that none may have.
The field that filters the rows of a table of ours is no chart's."""


class Watch:
    """What a page did that it must not do."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: list[str] = []
        page.on("request", self._request)
        page.on("dialog", self._dialog)
        page.context.on("page", lambda other: self.seen.append(f"window: {other.url}"))
        self._address = ""

    def begin(self) -> None:
        """Remember where the page is."""
        self._address = self.page.url

    def assert_nothing(self) -> None:
        """Point at every chart, then look for what they did."""
        self.page.evaluate(POKE)
        self.page.wait_for_function(
            "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 100, true)))"
        )
        assert self.page.evaluate("window.hit") is None
        assert self.page.evaluate(STRANGE) == []
        assert self.seen == []
        assert self.page.url == self._address

    def _dialog(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":  # JupyterLab's own, when the test leaves
            self.seen.append(f"dialog: {dialog.message}")
        dialog.accept()

    def _request(self, request: Request) -> None:
        if "outside.example" in request.url or request.url.endswith("/api/contents") or "VEGA" in request.url:
            self.seen.append(f"request: {request.url}")


@pytest.fixture(params=["JupyterLab Light", "JupyterLab Dark"])
def themed(lab: FrontEnd, page: Page, request: pytest.FixtureRequest) -> Iterator[FrontEnd]:
    """A JupyterLab of each theme that draws every cell of a notebook, in sight or not."""
    with lab.chosen(themes={"theme": request.param}, tracker=ALL_CELLS):
        yield lab
        assert page.evaluate("document.body.dataset.jpThemeName") == request.param


def stored(server: FrontEnd, name: str, charts: list[tuple[str, Spec, Spec]]) -> str:
    """A notebook from elsewhere, whose cells have charts as outputs; nobody trusts it."""
    outputs = [
        nbformat.v4.new_output("display_data", {kind: spec, "text/plain": "a chart"}, metadata={kind: metadata})
        for kind, spec, metadata in charts
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("'x'", outputs=outputs[start : start + OUTPUTS_A_CELL])
            for start in range(0, len(outputs), OUTPUTS_A_CELL)
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, server.root / name)
    return name


def program(charts: list[tuple[str, Spec]]) -> str:
    """A program that a tool's answer made show charts."""
    listed = json.dumps(json.dumps(charts))
    return (
        f"%%pctx\nfor (const [type, spec] of JSON.parse({listed})) "
        "await Deno.jupyter.display({ [type]: spec }, { raw: true });"
    )


def test_charts_of_programs_are_drawn_and_hostile_ones_do_nothing(page: Page, themed: FrontEnd) -> None:
    watch = Watch(page)
    harmless = [(LITE, spec) for spec in [*HARMLESS.values(), *WITHOUT_PICTURE.values()]]
    hostile = [(LITE, spec) for spec in HOSTILE.values()] + [(VEGA, spec) for spec in REFUSED_IN_VEGA.values()]
    cells = [
        charts[start : start + OUTPUTS_A_CELL]
        for charts in (harmless, hostile)
        for start in range(0, len(charts), OUTPUTS_A_CELL)
    ]
    opened = NotebookPage(page, themed, themed.write("charts.ipynb", "%load_ext pctx_jupyter", *map(program, cells)))
    watch.begin()
    opened.run(0)
    for index, shown in enumerate(cells, 1):
        opened.run(index)
        outputs = opened.cells.nth(index).locator(".jp-OutputArea-output:not(.pctx-TimelineOutput)")
        expect(outputs).to_have_count(len(shown))
        is_drawn = shown[0] in harmless
        expect(outputs.locator("canvas")).to_have_count(len(shown) if is_drawn else 0)
        if not is_drawn:
            refused = outputs.filter(has_text="is not shown: ")
            expect(refused).to_have_count(len(shown))
    assert page.get_by_text("Javascript Error").count() == page.locator(".jp-TrimmedOutputs").count() == 0
    assert_sizes(opened, len(harmless))
    watch.assert_nothing()


def test_charts_of_a_notebook_from_elsewhere_are_checked_before_they_are_drawn(page: Page, themed: FrontEnd) -> None:
    watch = Watch(page)
    harmless = [*HARMLESS.values(), *WITHOUT_PICTURE.values()]
    hostile = [(LITE, spec, HOSTILE_OPTIONS) for spec in HOSTILE.values()]
    hostile += [(VEGA, spec, HOSTILE_OPTIONS) for spec in REFUSED_IN_VEGA.values()]
    older = ("application/vnd.vegalite.v3+json", "application/vnd.vegalite.v4+json")
    hostile += [(kind, HOSTILE["an input with a handler"], {}) for kind in older]
    charts = [(LITE, spec, HOSTILE_OPTIONS) for spec in harmless] + hostile
    opened = NotebookPage(page, themed, stored(themed, "elsewhere.ipynb", charts))
    watch.begin()
    outputs = opened.cells.locator(".jp-OutputArea-output")
    expect(outputs).to_have_count(len(charts))
    expect(outputs.locator("canvas")).to_have_count(len(harmless))
    expect(outputs.get_by_text("This chart is not drawn: ")).to_have_count(len(hostile))
    assert page.get_by_text("Javascript Error").count() == page.locator(".jp-TrimmedOutputs").count() == 0
    assert outputs.locator("svg.marks").count() == 0  # the options are ours
    assert_sizes(opened, len(harmless))
    watch.assert_nothing()


def test_hostile_charts_that_nothing_checks_are_noticed(page: Page, lab: FrontEnd, errors: Errors) -> None:
    # The control of the two tests above: a chart of the user's own code is drawn as it is.
    watch = Watch(page)
    charts = [{LITE: HOSTILE[name]} for name in ("an input with a handler", "a picture as a mark")]
    given = json.dumps(json.dumps(charts))
    code = f"import json\nfor chart in json.loads({given}):\n    display(chart, raw=True)"
    opened = NotebookPage(page, lab, lab.write("control.ipynb", code))
    watch.begin()
    opened.run(0)
    expect(opened.cells.locator("canvas")).to_have_count(len(charts))
    page.wait_for_function("window.hit > 0")
    with pytest.raises(AssertionError):
        watch.assert_nothing()
    assert "onerror" in page.evaluate(STRANGE)[0]
    assert set(watch.seen) == {f"request: {OUTSIDE}/c.png"}
    errors.clear()  # what it says of pictures that it cannot load


def test_a_refused_chart_of_a_notebook_from_elsewhere_is_a_table_that_says_why(kept_page: Page, lab: FrontEnd) -> None:
    spec = HOSTILE["a link of a mark"] | {"data": {"values": [{"a": "<b>x</b>", "n": [1, {"k": None}]}]}}
    opened = NotebookPage(kept_page, lab, stored(lab, "table.ipynb", [(LITE, spec, {})]))
    shown = opened.cells.nth(0).locator(".pctx-Table")
    expect(shown.locator("tbody td")).to_have_text(["<b>x</b>", '[1,{"k":null}]'])
    expect(shown).to_contain_text('This chart is not drawn: its "mark.href" is not among the members')
    expect(shown).to_contain_text("If you trust its author, trust the notebook.")


def assert_sizes(opened: NotebookPage, count: int) -> None:
    """All charts have a size, but those at the end that cannot have one."""
    drawn = opened.cells.locator("canvas").evaluate_all("all => all.map(one => [one.width, one.height])")
    assert len(drawn) == count
    assert all(width > 5 and height > 5 for width, height in drawn[: len(HARMLESS)])
