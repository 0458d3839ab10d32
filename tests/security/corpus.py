"""What strangers may write, read from `payloads.txt`, and what must never come of it in a page.

Nothing here shows anything: tests put the payloads where a stranger can, and ask `Watch` what the page did.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Frame, Page, Request

HIT, HOST, PATH = "window.canary=1", "canary.invalid", "/canary"
"""Script that leaves a trace, a host that nobody must ask, and a path that nobody must ask for."""


@cache
def payloads(group: str) -> tuple[str, ...]:
    """The payloads of one group of the file, ready to be used."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "payloads.txt").read_text().splitlines():
        if head := re.fullmatch(r"\[(\w+)\]", line):
            found[head[1]] = []
        elif line and not line.startswith("## "):
            found[list(found)[-1]].append(line)
    return tuple(_ready(line) for line in found[group])


def _ready(line: str) -> str:
    line = line.replace("HIT", HIT).replace("HOST", HOST).replace("PATH", PATH)
    line = re.sub(r"\\u\{([0-9a-f]+)\}", lambda one: chr(int(one[1], 16)), line)
    return line.replace("\\n", "\n")


def batches(items: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    """Some payloads at a time: JupyterLab shows the first 50 outputs of a cell."""
    return [items[start : start + size] for start in range(0, len(items), size)]


SCAN = """places => {
  const found = [];
  // JupyterLab makes links of addresses in plain text, of `data:` and files too: browsers open none of these.
  const isAutomatic = one => one.matches('.jp-RenderedText a[target=_blank], .jp-RenderedText a[href*="#line="]');
  // What a program prints is shown as it is; an exported page says of no text whether it was printed.
  const isPrinted = one => one.closest('[data-mime-type$=stdout], [data-mime-type$=stderr]')
    || (one.closest('.jp-RenderedText') && !document.querySelector('.jp-NotebookPanel'));
  const bad = 'script, iframe, frame, object, embed, base, meta, link, form, template, dialog, [srcdoc], [formaction], '
    + '[ping], [srcset], [popover], [data-commandlinker-command], foreignObject, animate, set, mjx-container, .MathJax';
  for (const place of document.querySelectorAll(places)) {
    for (const one of place.querySelectorAll(bad)) found.push(one.outerHTML.slice(0, 200));
    for (const one of place.querySelectorAll('*')) {
      for (const { name, value } of one.attributes) {
        const says = `${name}=${value.slice(0, 100)}`;
        if (/^on/i.test(name)) found.push(says);
        if (/^(xlink:)?href$|^src$|^action$|^background$|^poster$|^data$/i.test(name)
            && !/^(https?:|mailto:|blob:|data:image\\/(png|jpeg|gif|webp|svg\\+xml)[;,]|#)/i.test(value)
            && !(name === 'href' && (value === '' || isAutomatic(one)))) found.push(says);
        if (name === 'style' && /url\\(|fixed|image-set|@import/i.test(value)) found.push(says);
      }
      if (place.matches('.jp-OutputArea') && getComputedStyle(one).position === 'fixed')
        found.push('fixed: ' + one.outerHTML.slice(0, 200));
      const hidden = [...one.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join('');
      const isOwn = isPrinted(one) || one.closest('.jp-RenderedHTML [dir], .cm-editor');
      if (!isOwn && /[\\u202a-\\u202e\\u2066-\\u2069]/.test(hidden))
        found.push('turned: ' + hidden.slice(0, 80));
    }
  }
  if (window.canary !== undefined || Object.prototype.canary !== undefined) found.push('the canary');
  return [...new Set(found)];
}"""
"""What stands in some places of a page and must not: empty, if nothing does."""

CHROME = """() => {
  const places = ['#jp-top-panel', '#jp-menu-panel', '.jp-SideBar.jp-mod-left', '#jp-bottom-panel',
    '.jp-NotebookPanel-toolbar'];
  return places.filter(place => {
    const node = [...document.querySelectorAll(place)].find(one => one.getBoundingClientRect().width > 0);
    if (!node) return false;
    const { left, top, width, height } = node.getBoundingClientRect();
    const there = document.elementFromPoint(left + width / 2, top + height / 2);
    return !node.contains(there);
  });
}"""
"""The parts of JupyterLab's own page that something else covers."""


class Watch:
    """Follows what a page does.

    Args:
        page: The page.
        own: How the addresses begin that the page may ask.
    """

    def __init__(self, page: Page, *own: str) -> None:
        self.page, self.own = page, own
        self.events: list[str] = []
        page.on("request", self._asks)
        page.on("dialog", self._opens)
        page.on("popup", lambda opened: self.events.append(f"a window: {opened.url}"))
        page.on("framenavigated", self._goes)

    def check(self, places: str) -> None:
        """Nothing has happened that must not, and nothing stands in these places that must not."""
        found = [*self.events, *self.page.evaluate(SCAN, places)]
        assert not found, "\n".join(found)

    def check_chrome(self) -> None:
        """Nothing covers JupyterLab's own page."""
        found = self.page.evaluate(CHROME)
        assert not found, f"covered: {found}"

    def _asks(self, request: Request) -> None:
        url = request.url
        is_own = url.startswith((*self.own, "data:", "blob:", "about:"))
        if HOST in url or PATH in urlsplit(url).path or not is_own:
            self.events.append(f"a request: {url[:200]}")

    def _opens(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.events.append(f"a dialog: {dialog.message}")
        dialog.accept()

    def _goes(self, frame: Frame) -> None:
        if not frame.url.startswith((*self.own, "about:")):
            self.events.append(f"a page: {frame.url}")


def hostile_traces(texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Traces with each text wherever a trace has one."""
    return [
        {
            "state": "failed",
            "asked_by": text,
            "duration_s": 2,
            "calls": [
                {"call": 1, "started_s": 0, "ended_s": 1, "argument_bytes": 99, "result_bytes": 99}
                | dict.fromkeys(("tool", "arguments", "result", "error", "note", "decision"), text)
            ],
            "console": [{"at_s": 1, "stream": text, "level": text, "text": text}],
            "check": {"outcome": "failed", "duration_s": 1, "message": text},
            "error": {"name": text, "message": text},
        }
        for text in texts
    ]


def hostile_tables(texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Tables with each text as a head, as a value and as JSON."""
    return [{"columns": [text, text], "rows": [[text, {"json": text}]], "total": 9} for text in texts]
