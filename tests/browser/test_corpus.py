"""What strangers may write, wherever a front end shows it: it does nothing. Real: browser, JupyterLab, kernel, sandbox.

The payloads are those of `tests/security/payloads.txt`, many to a page. Beside each payload stands harmless text, which
must be seen: a page that shows nothing at all would pass otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect

from tests.security.corpus import Watch, batches, hostile_tables, hostile_traces, payloads
from tests.upstream.conftest import peer

from .conftest import Errors
from .front_end import ALL_CELLS, FrontEnd, NotebookPage
from .test_panel import agent, run_row, server_row, show, tool_row, unfold, upstream

OUTPUTS = ".jp-OutputArea"
EVERYWHERE = f"{OUTPUTS}, #pctx-panel, .jp-Dialog, .Toastify, .cm-tooltip, .jp-Completer, #jp-bottom-panel"
TOOLS = """%load_ext pctx_jupyter
from pctx_jupyter import tool

@tool
def fail(message: str) -> None:
    raise ValueError(message)
"""
SEEN = "<p>seen</p>"
"""Harmless HTML, which stands before each payload: some of them swallow what follows."""


def program(items: tuple[str, ...], body: str) -> str:
    return f"%%pctx\nconst {{ display }} = Deno.jupyter;\nfor (const text of {json.dumps(items)}) {{\n{body}\n}}"


def programs() -> list[str]:
    """Cells that show each payload in each way that a program has."""
    of_type = "  await display({ [%s]: %s }, { raw: true });"
    shown = [program(part, of_type % ("'text/html'", f"{SEEN!r} + text")) for part in batches(payloads("html"), 45)]
    shown += [program(part, of_type % ("'image/svg+xml'", "text")) for part in batches(payloads("svg"), 45)]
    shown += [
        program(part, of_type % ("'text/markdown'", r"'seen\n\n' + text")) for part in batches(payloads("markdown"), 45)
    ]
    told = "  console.log(text); console.warn(text);\n  try { await Notebook.fail({ message: text }) } catch {}\n"
    for part in batches(payloads("text"), 10):  # each makes four outputs
        shown.append(program(part, told + "  await display([{ [text]: text }]); await display({ [text]: [text] });"))
    for kind in ("text/latex", "text/plain", "application/javascript"):
        shown += [program(part, of_type % (f"{kind!r}", "text")) for part in batches(payloads("text"), 45)]
    shown.append(f"%%pctx\nthrow new Error({json.dumps(payloads('text'))}.join(' '))")
    shown.append(f"%%pctx\n{json.dumps(payloads('html'))}.map((html, number) => ({{ number, html }}))")
    return shown


@pytest.fixture(scope="module", autouse=True)
def all_cells(running_lab: FrontEnd) -> Iterator[None]:
    """Pages that hold all cells of a notebook: what JupyterLab took out of the page could not be checked."""
    with running_lab.chosen(tracker=ALL_CELLS):
        yield


@pytest.fixture(scope="module")
def shown(all_cells: None, running_lab: FrontEnd, browser: Any) -> Any:
    """A notebook whose cells have shown the whole corpus, as its file is afterwards; and what the live page did."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    watch = Watch(page, running_lab.url, running_lab.url.replace("http", "ws"))
    cells = programs()
    opened = NotebookPage(page, running_lab, running_lab.write("corpus.ipynb", TOOLS, *cells))
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => null)")
    # The last cell but one fails, and the last one does not run then.
    opened.run(len(cells))
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save').then(() => null)")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    yield page, watch, running_lab.root / "corpus.ipynb"
    page.goto("about:blank")
    context.close()
    running_lab.stop_kernels()


def scrolled(page: Page) -> None:
    """Have each cell drawn: those that are not in sight are drawn later, or never."""
    page.evaluate(
        "async () => { const notebook = window.jupyterapp.shell.currentWidget.content;"
        " for (let i = 0; i < notebook.widgets.length; i++) {"
        "   await notebook.scrollToItem(i); await new Promise(done => setTimeout(done, 50)); } }"
    )


def check_outputs(page: Page, watch: Watch, path: Path) -> None:
    """All of the file's outputs are there, and none of them does anything."""
    saved = nbformat.read(path, as_version=4)
    outputs = [output for cell in saved.cells for output in cell.get("outputs", [])]
    of_html = [one for one in outputs if "seen" in "".join(one.get("data", {}).get("text/html", ""))]
    assert len(of_html) >= len(payloads("markdown")) + len(payloads("html"))
    scrolled(page)
    assert page.locator(".jp-TrimmedOutputs").count() == 0  # what is beyond 50 outputs would not be tried
    watch.check(OUTPUTS)
    watch.check_chrome()
    seen = page.locator(".jp-OutputArea p", has_text="seen")
    assert seen.count() >= len(payloads("markdown")) + len(payloads("html"))


def test_nothing_that_a_program_shows_does_anything(shown: Any) -> None:
    page, watch, path = shown
    check_outputs(page, watch, path)
    parts = batches(payloads("text"), 10)
    folds = page.locator(".jp-OutputArea .pctx-Timeline-fold")
    expect(folds).to_have_count(len(parts))
    page.evaluate("document.querySelectorAll('.pctx-Timeline-row.pctx-is-group').forEach(one => one.click())")
    drawn = len(payloads("text"))
    calls = ".pctx-Timeline-row:not(.pctx-is-group)"
    expect(page.locator(f".jp-OutputArea {calls}")).to_have_count(drawn)
    page.evaluate("calls => document.querySelectorAll(calls).forEach(one => one.click())", calls)
    page.evaluate("document.querySelectorAll('.jp-OutputArea details').forEach(one => { one.open = true })")
    expect(page.locator(".pctx-Timeline-details")).to_have_count(drawn)
    watch.check(OUTPUTS)


@pytest.mark.parametrize("trust", ["trusted", "untrusted"])
def test_nothing_that_a_notebook_kept_does_anything(
    page: Page, lab: FrontEnd, shown: Any, trust: str, errors: Errors
) -> None:
    _, _, path = shown
    name = path.name
    if trust == "untrusted":
        saved = nbformat.read(path, as_version=4)
        saved.metadata["changed"] = True  # what its signature does not know
        name = "corpus-untrusted.ipynb"
        nbformat.write(saved, lab.root / name)
    watch = Watch(page, lab.url, lab.url.replace("http", "ws"))
    NotebookPage(page, lab, name)
    cells = "[...window.jupyterapp.shell.currentWidget.content.model.cells]"
    is_trusted = page.evaluate(f"{cells}.some(cell => cell.trusted && cell.outputs?.length)")
    assert is_trusted == (trust == "trusted")
    check_outputs(page, watch, path)


def test_nothing_does_anything_in_an_exported_page(page: Page, shown: Any, tmp_path: Path, errors: Errors) -> None:
    _, _, path = shown
    exported, _ = HTMLExporter().from_filename(str(path))
    (tmp_path / "corpus.html").write_text(exported)
    ours = "https://cdnjs.cloudflare.com/", "https://cdn.jsdelivr.net/", "https://unpkg.com/"  # nbconvert's own scripts
    page.route("https://**", lambda route: route.abort())
    watch = Watch(page, "file:", *ours)
    page.goto(f"file://{tmp_path}/corpus.html")
    watch.check(OUTPUTS)
    assert page.locator(".jp-OutputArea p", has_text="seen").count() >= len(payloads("html"))
    assert page.locator(".jp-OutputArea img").count() >= 10
    page.goto("about:blank")
    errors.clear()  # what it says of scripts that it cannot load


def hostile_trees(texts: list[str]) -> list[Any]:
    deep: Any = 1
    for _ in range(100):  # nbformat cannot write much deeper ones
        deep = [{"deep": deep}]
    notes = [[["a"], text] for text in texts] + [[[], 1e300], [["b"], 7], None, [1], [[{}], "x"]]
    trees: list[Any] = [{"value": {text: [text, {text: None}]}, "texts": [[[text, 1, text], text]]} for text in texts]
    broken = {"value": {"a": 1, "b": "x", "__proto__": [1]}, "texts": notes, "cut": notes, "id": texts[0]}
    return [*trees, broken, {"value": deep}, {"value": list(range(50_000)), "cut": [[[], 10**9]]}]


def foreign_notebook() -> Any:
    """A notebook from anywhere: our own MIME types, and all others, with whatever a file can have."""
    trace, table, tree = (f"application/vnd.pctx.{kind}+json" for kind in ("trace", "table", "tree"))
    texts = payloads("text")
    given = [json.loads(text) for text in payloads("json")]
    bundles = [{kind: one} for kind in (trace, table, tree) for one in given]
    bundles += [{tree: one} for one in hostile_trees(texts)]
    bundles += [{trace: one} for one in hostile_traces(texts)] + [{table: one} for one in hostile_tables(texts)]
    many = {"call": 1, "tool": "x" * 1000, "started_s": 0, "ended_s": 1, "arguments": "[" * 200}
    bundles.append({trace: {"state": "ok", "duration_s": 1, "calls": [many] * 5000}})
    bundles.append({table: {"columns": ["c"] * 200, "rows": [["x" * 50] * 200] * 2000, "total": 1}})
    outputs = [nbformat.v4.new_output("display_data", data=bundle) for bundle in bundles]
    failed = [
        nbformat.v4.new_output("error", ename="ProgramFailed", evalue=text, traceback=[text, "  at line 1, column 1"])
        for text in texts
    ]
    cells = [nbformat.v4.new_code_cell("%%pctx\n1", outputs=list(part)) for part in batches((*outputs, *failed), 45)]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )


def test_a_notebook_from_anywhere_does_nothing_by_our_types(page: Page, lab: FrontEnd, errors: Errors) -> None:
    nbformat.write(foreign_notebook(), lab.root / "foreign.ipynb")
    watch = Watch(page, lab.url, lab.url.replace("http", "ws"))
    opened = NotebookPage(page, lab, "foreign.ipynb")
    scrolled(page)
    for chosen in (
        ".pctx-Timeline-row.pctx-is-group",
        ".pctx-Timeline-row:not(.pctx-is-group)",
        ".pctx-Table th button",
        ".pctx-Tree-fold",
        ".pctx-Tree-parts .pctx-Tree-fold",
        ".pctx-Tree-acts button",
    ):
        page.evaluate("what => [...document.querySelectorAll(what)].slice(0, 400).forEach(one => one.click())", chosen)
    watch.check(OUTPUTS)
    watch.check_chrome()
    assert page.locator(".pctx-Timeline").count() >= len(payloads("text"))
    assert page.locator(".pctx-Table").count() >= len(payloads("text"))
    assert page.locator(".pctx-Table td").count() < 60_000
    assert page.locator(".pctx-Tree").count() >= len(payloads("text"))
    assert page.locator(".pctx-Tree-row").count() < 60_000
    page.locator(".pctx-Place").first.click()
    expect(opened.cells.nth(0)).to_be_attached()
    assert errors == []


DESCRIBED = """
from pctx_jupyter import tool
from typing import Annotated, Literal
from pydantic import Field

def make(number, texts):
    Text = Annotated[str, Field(description=texts[0], title=texts[-1])]

    def one(text: Text = texts[0], kind: str = texts[-1]) -> str:
        raise ValueError("\\n".join(texts))
    one.__name__, one.__doc__ = f"hostile_{number}", "described " + " ".join(texts)
    return tool(one)

for number, texts in enumerate(TEXTS):
    make(number, texts)

def ask(text: str, **more: str) -> str:
    return text
ask.__doc__ = "described " + " ".join(TEXTS[0])
tool(effects=True)(ask)
""".strip()


def test_nothing_that_the_panel_lists_does_anything(page: Page, lab: FrontEnd, tmp_path: Path) -> None:
    parts = batches(payloads("text"), 8)
    described = f"%load_ext pctx_jupyter\nTEXTS = {parts!r}\n{DESCRIBED}"
    comment = " ".join(payloads("text")).replace("*/", "* /").replace("\n", " ").replace("\r", " ")
    run = f"%%pctx\n/* named {comment} */ await Notebook.hostile0()"
    watch = Watch(page, lab.url, lab.url.replace("http", "ws"))
    file = tmp_path / "parrot"
    file.with_suffix(".description").write_text("described " + " ".join(payloads("text")).replace("\0", ""))
    entry = peer("good", file, name="parrot")
    # A reference to a variable is escaped, as in a file.
    entry["args"] += [text.replace("${", "$${") for text in payloads("text") if "\0" not in text]
    with upstream(lab, entry):
        notebook = NotebookPage(page, lab, lab.write("hostile names.ipynb", described, run, "%%pctx\n"))
        notebook.run(0)
        notebook.run(1)
        panel = show(page)
        for number in range(len(parts)):
            row = tool_row(panel, notebook, f"Notebook.hostile{number}")
            row.click()
            expect(panel.get_by_role("region", name="Chosen tool")).to_contain_text("described")
            watch.check(EVERYWHERE)
        run_row(panel, "/* named").click()
        chosen = panel.get_by_role("region", name="Chosen run")
        expect(chosen).to_contain_text("named")
        for kind in (".pctx-is-group", ":not(.pctx-is-group)"):
            for row in chosen.locator(f".pctx-Timeline-row{kind}").all():
                row.click()
        watch.check(EVERYWHERE)
        unfold(server_row(panel, "parrot"))
        expect(panel.get_by_role("region", name="Chosen server")).to_contain_text("peer.py")
        watch.check(EVERYWHERE)
        panel.locator('[id="pctx-tool%20server%20parrot%20Parrot.echo"]').click()
        expect(panel.get_by_role("region", name="Chosen tool")).to_contain_text("described")
        watch.check(EVERYWHERE)
        # What an editor shows of it.
        notebook.edit(2, "await Notebook.hostile1")
        page.keyboard.type("(")
        expect(page.locator(".pctx-Signature")).to_be_visible()
        watch.check(EVERYWHERE)
        watch.check_chrome()


def test_nothing_that_a_person_is_asked_about_does_anything(page: Page, lab: FrontEnd) -> None:
    parts = batches(payloads("text"), 8)
    watch = Watch(page, lab.url, lab.url.replace("http", "ws"))
    notebook = NotebookPage(
        page, lab, lab.write("asked.ipynb", f"%load_ext pctx_jupyter\nTEXTS = {parts!r}\n{DESCRIBED}", "")
    )
    notebook.run(0)
    given = {"text": " ".join(payloads("text")), **{text: text for text in payloads("text")}}
    hidden = "/* \x1b]0; */ const unseen = 1; /* \x07 */"
    asks = "let said = 'allowed';\ntry { await Asked.ask(given) } catch { said = 'denied' }\nsaid"
    code = f"{hidden}\nconst given = {json.dumps(given)};\n{asks}"
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(agent, lab, code)
        notice = page.locator(".Toastify__toast").filter(has_text="An agent wants to call Asked.ask")
        expect(notice).to_be_visible()
        watch.check(EVERYWHERE)
        notice.get_by_role("button", name="Review").click()
        detail = page.get_by_role("region", name="Call that waits for consent")
        expect(detail).to_contain_text("described")
        expect(detail).to_contain_text("const unseen = 1;")
        watch.check(EVERYWHERE)
        detail.get_by_role("button", name="Deny").click()
        assert run.result(timeout=60) == "denied"
    watch.check(EVERYWHERE)
    watch.check_chrome()
