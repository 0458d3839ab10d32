"""What axe-core finds wrong for people who use a keyboard, a screen reader, or need contrast; in a real browser.

Also what the browser passes to a screen reader of the panel, and of a question.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.upstream.conftest import peer

from .front_end import ROOT, FrontEnd, NotebookPage
from .test_panel import agent, run_row, server_row, show, tool_row, unfold, upstream

AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
PANEL = ["#pctx-panel"]
ELSEWHERE = [".pctx-TimelineOutput", ".pctx-TableOutput", ".pctx-TreeOutput", ".pctx-Status"]

TOOLS = """
%load_ext pctx_jupyter
from pctx_jupyter import tool

@tool(effects=True)
def remove(ids: list[int]) -> str:
    "Removes orders for good."
    return f"removed {ids}"

@tool(share=False)
def fail(why: str) -> str:
    raise ValueError(why)
""".strip()

PROGRAM = """%%pctx
console.log("usual"); console.debug("quiet"); console.warn("careful"); console.error("wrong");
await Deno.jupyter.display({ name: "x", parts: { n: [1, null, true], text: "y".repeat(99) } });
await Notebook.remove({ ids: [1] }); await Notebook.fail({ why: "no way" }).catch(() => 0);
[{ name: "a", amount: 1 }, { name: "b", amount: null }]"""


LEGIBLE = 4.5
"""Contrast that text needs. Source: https://www.w3.org/TR/WCAG22/#contrast-minimum"""


def contrast(text: Locator) -> float:
    """The contrast between a text and its own background, from 1 to 21."""
    return float(
        text.evaluate("""node => {
            const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
            const luminance = colour => {
                context.fillStyle = colour;
                context.fillRect(0, 0, 1, 1);
                const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map(byte => {
                    const part = byte / 255;
                    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const { color, backgroundColor } = getComputedStyle(node);
            const [dark, light] = [luminance(color), luminance(backgroundColor)].sort((a, b) => a - b);
            return (light + 0.05) / (dark + 0.05);
        }""")
    )


class Eyes:
    """Looks at a page, and keeps what is wrong with it."""

    def __init__(self, page: Page) -> None:
        self.page, self.theme = page, ""
        self.wrong: list[str] = []
        page.evaluate(AXE.read_text())
        # JupyterLab's body has no height and hides what overflows: to axe, nothing would be on the screen.
        page.evaluate("document.body.style.height = '100vh'")

    def wear(self, theme: str) -> None:
        """Switch to another theme."""
        self.theme = theme
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme}).then(() => null)",
            f"JupyterLab {theme}",
        )
        is_light = str(theme == "Light").lower()
        self.page.wait_for_function("it => document.body.dataset.jpThemeLight === it", arg=is_light)
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def look(self, at: str, *parts: str) -> None:
        """Look at the panel as it is now, and at other parts of the page."""
        if folder := os.environ.get("PCTX_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{at}, {self.theme}.png")
        legible, wrong = self.page.evaluate(
            """async ours => {
                const found = await axe.run({include: ours.filter(one => document.querySelector(one))});
                const isBad = ({impact}) => impact === 'serious' || impact === 'critical';
                return [
                    found.passes.find(({id}) => id === 'color-contrast').nodes.length,
                    found.violations.filter(isBad).flatMap(({id, nodes}) => nodes.map(({html, any, all, none}) =>
                        `${id}: ${html.slice(0, 300)} ${[...any, ...all, ...none].map(check => check.message)}`))
                ];
            }""",
            [*PANEL, *parts],
        )
        assert legible > 5  # it has seen what there is
        self.wrong += [f"{at}, {self.theme}: {one}" for one in wrong]


TEXTS = ("StaticText", "InlineTextBox", "LabelText", "paragraph", "generic", "none", "image")
"""Roles that add nothing to what is around them."""

STATES = ("level", "expanded", "pressed", "selected", "invalid", "required", "disabled")
"""What a screen reader says of an element besides its role and name."""


def spoken(page: Page, name: str) -> list[str]:
    """What the browser passes to a screen reader of a region: role, name, description and state of each element."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    known = {node["nodeId"]: node for node in nodes}

    def words(node: dict[str, Any]) -> Iterator[str]:
        role = node.get("role", {}).get("value", "")
        if not node["ignored"] and role not in TEXTS:
            said = [role, *(node.get(part, {}).get("value", "") for part in ("name", "description"))]
            held = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
            states = {state: held[state] for state in STATES if held.get(state) not in (None, False, "false")}
            yield " · ".join([part for part in said if part] + [f"{key} {value}" for key, value in states.items()])
        for child in node.get("childIds", []):
            yield from words(known.get(child, {"ignored": True}))

    regions = (node for node in nodes if node.get("role", {}).get("value") == "region")
    [top] = (node for node in regions if node.get("name", {}).get("value") == name)
    return list(words(top))


def differences(lines: list[str], *patterns: str) -> list[str]:
    """The lines that their patterns do not fit, each pattern after the one before; patterns that have none."""
    found = [
        f"{line!r}, not {pattern!r}"
        for line, pattern in zip(lines, patterns, strict=False)
        if not fnmatchcase(line, pattern)
    ]
    return found + [f"{pattern!r} is missing" for pattern in patterns[len(lines) :]]


PANEL_SPOKEN = (
    "region · pctx: tools and runs",
    "searchbox · Search tools and runs",
    "button · Add server… · Add an MCP server whose tools programs can call",
    "button · Connect… · Copy the configuration of an MCP client for this server",
    "group · Show runs",
    "button · all · pressed true",
    "button · failed",
    "button · agents",
    "tree · Tools and runs",
    "treeitem · NOTEBOOKS 1 · level 1 · expanded True",
    "treeitem · Access this notebook 2 · level 2 · expanded True",
    "treeitem · Notebook.remove effects Removes orders for good. · level 3 · selected True",
    "treeitem · Notebook.fail private *fail(args: * · level 3",
    "treeitem · MCP SERVERS 1 · level 1 · expanded True",
    "treeitem · needs you parrot * · level 2 · expanded True",
)

TOOL_SPOKEN = (
    "region · Chosen tool",
    "heading · Notebook.remove · level 3",
    "group · Signature",
    "button · Insert call",
)

QUESTION_SPOKEN = (
    "region · Call that waits for consent",
    "heading · An agent wants to call Access.remove · level 3",
    "timer",
    "button · access.ipynb ↗ · Open this notebook",
    "group · Arguments (you can edit them)",
    "textbox · ids required · ids is not valid JSON: * · invalid true · required True",
    "status",
    "button · Edit as JSON",
    "button · Allow · Ctrl+Enter · disabled True",
    "button · Deny",
    "button · Allow Access.remove for this program · disabled True",
    "button · Allow Access.remove until its kernel restarts · disabled True",
    "note",
    "group · Program",
    "mark",
)


def test_nothing_that_is_shown_keeps_anybody_out(page: Page, lab: FrontEnd, tmp_path: Path) -> None:
    file = tmp_path / "parrot"
    with upstream(lab, peer("good", file, name="parrot")) as route, ThreadPoolExecutor(1) as threads:
        notebook = NotebookPage(page, lab, lab.write("access.ipynb", TOOLS, PROGRAM))
        notebook.run(0)
        panel = show(page)
        expect(tool_row(panel, notebook, "Notebook.remove")).to_be_visible()
        expect(server_row(panel, "parrot")).to_contain_text("12 tools")
        file.with_suffix(".description").write_text("Says it otherwise.")
        lab.ask(f"{route}/reconnect", "POST", {})
        notebook.run(1)
        calls = notebook.cells.nth(1).locator(".pctx-Timeline")
        calls.locator(".pctx-Timeline-row").filter(has_text="Notebook.fail").click()
        calls.locator("summary").click()
        unfold(server_row(panel, "parrot"))
        withheld = panel.locator(".pctx-mod-withheld")
        expect(withheld).to_be_visible()
        eyes = Eyes(page)

        def look_around() -> None:
            for row, at in (
                (tool_row(panel, notebook, "Notebook.remove"), "a tool"),
                (withheld, "a withheld tool"),
                (run_row(panel, "console.log"), "a run"),
            ):
                row.click()
                expect(panel.locator(".pctx-Detail")).to_be_visible()
                eyes.look(at)
            eyes.look("outputs", *ELSEWHERE)
            panel.get_by_role("tree").focus()
            page.keyboard.press("Home")
            page.keyboard.press("ArrowDown")
            eyes.look("a notebook")
            for _ in range(4):
                page.keyboard.press("ArrowDown")
            eyes.look("a server")
            panel.get_by_role("searchbox").fill("nowhere to be found")
            eyes.look("nothing found")
            panel.get_by_role("searchbox").fill("")

        tool_row(panel, notebook, "Notebook.remove").click()
        assert differences(spoken(page, "pctx: tools and runs"), *PANEL_SPOKEN) == []
        assert differences(spoken(page, "Chosen tool"), *TOOL_SPOKEN) == []
        eyes.wear("Dark")
        look_around()
        code = "// a comment\n" * 2000 + "await Access.remove({ ids: [1] })"
        run = threads.submit(agent, lab, code)
        page.get_by_role("button", name="Review").click()
        detail = page.get_by_role("region", name="Call that waits for consent")
        expect(detail.get_by_role("note")).to_contain_text("The program is too long to be shown whole")
        expect(detail.locator("mark")).to_have_text("await Access.remove({ ids: [1] })")
        detail.get_by_label("ids").fill("{")
        calling = detail.locator("mark")  # axe does not look at it, because most of the program is out of sight
        eyes.look("consent")
        assert contrast(calling) > LEGIBLE
        assert differences(spoken(page, "Call that waits for consent"), *QUESTION_SPOKEN) == []
        eyes.wear("Light")
        eyes.look("consent")
        assert contrast(calling) > LEGIBLE
        detail.get_by_role("button", name="Deny").click()
        with pytest.raises(Exception, match="denied"):
            run.result(timeout=60)
        look_around()
        assert not eyes.wrong, "\n".join(eyes.wrong)
