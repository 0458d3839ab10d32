"""Escapes untrusted text: as text for a terminal, as markup for a page.

Names, descriptions, values, errors and stacks come from programs, tools and servers. Everything in them is treated as
text: never as markup or as a command to a terminal, and it is never invisible. `Markup` is a type of its own, so a type
checker ensures that only the results of `escape` and `tag` reach a page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import NewType

from ...visible import HIDING, WITHOUT_WIDTH

Markup = NewType("Markup", str)
"""HTML that is safe to show."""

NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
"""Classes without which MathJax makes formulas of what stands between dollars, with links to anywhere.

JupyterLab has MathJax 3 or newer, pages that nbconvert exports have MathJax 2: each knows one of them.
"""

_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor moves
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, device commands
    r"|\x1b[ -/]*[0-~]"
)
"""Commands to a terminal."""

_hidden = re.compile(f"[{HIDING}]")
_invisible = re.compile(f"[{HIDING}{WITHOUT_WIDTH}]")
"""In a name also what takes no room, or looks like a space. Elsewhere such characters join letters and emoji."""


def visible(text: str, *, is_name: bool = False) -> str:
    r"""Return text that shows all that is in it: what would hide or turn text is spelled, as ``\u202e``.

    Tabs and line feeds stay. In a name, characters that take no room are spelled as well.
    """
    return (_invisible if is_name else _hidden).sub(_spelled, text)


def without_commands(text: str) -> str:
    """Return text without commands to a terminal, and with line feeds alone ending lines."""
    return _TERMINAL.sub("", text).replace("\r\n", "\n")


def escape(text: str, *, is_name: bool = False) -> Markup:
    """Make markup that shows the text as it is; what `visible` spells stands out."""
    found = html.escape(text)
    spell = _invisible if is_name else _hidden
    return Markup(spell.sub(lambda one: f'<span class="pctx-hidden">{_spelled(one)}</span>', found))


def tag(name: str, *content: Markup, kind: str = "", attributes: str = "") -> Markup:
    """Make an element; `kind` is its class, without our prefix."""
    shown = f' class="pctx-{kind}"' if kind else ""
    return Markup(f"<{name}{shown}{' ' + attributes if attributes else ''}>{''.join(content)}</{name}>")


def join(parts: Iterable[Markup]) -> Markup:
    """Put pieces of markup one after the other."""
    return Markup("".join(parts))


def page(*content: Markup, style: str = "") -> Markup:
    """Make one output: its style, `style` beside that of all outputs, and its content."""
    return Markup(f"<style>{STYLE}{style}</style>{tag('div', *content, kind=f'out {NO_FORMULAS}')}")


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\u{{{code:x}}}"


STYLE = re.sub(
    r"\s*\n\s*",
    "",
    """
.pctx-out{font-size:var(--jp-code-font-size,13px);line-height:1.5;color:var(--jp-content-font-color1,inherit);
max-width:100%;overflow-x:auto}
.pctx-out .pctx-code,.pctx-out .pctx-tree,.pctx-out .pctx-table td,.pctx-out .pctx-hidden{
font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace)}
.pctx-out pre.pctx-code{margin:4px 0;padding:6px 10px;white-space:pre-wrap;overflow-wrap:anywhere;color:inherit;
background:rgba(128,128,128,.1);border-left:2px solid rgba(128,128,128,.35);font-size:inherit;line-height:1.4}
.pctx-out pre.pctx-frame{white-space:pre;overflow-x:auto;overflow-wrap:normal}
.pctx-out .pctx-head{font-weight:600;margin:0 0 2px;white-space:pre-wrap;overflow-wrap:anywhere}
.pctx-out .pctx-wrong{color:var(--jp-error-color1,#e04848)}
.pctx-out .pctx-text{margin:0 0 4px;white-space:pre-wrap;overflow-wrap:anywhere}
.pctx-out .pctx-dim{color:var(--jp-content-font-color2,#7a7a7a)}
.pctx-out .pctx-key{color:var(--jp-mirror-editor-property-color,#3182c4)}
.pctx-out .pctx-string{color:var(--jp-mirror-editor-string-color,#c8643a);overflow-wrap:anywhere;white-space:pre-wrap}
.pctx-out .pctx-number{color:var(--jp-mirror-editor-number-color,#22936a)}
.pctx-out .pctx-word{color:var(--jp-mirror-editor-keyword-color,#3d963d)}
.pctx-out .pctx-hidden{color:var(--jp-error-color1,#e04848);border:1px solid currentColor;border-radius:2px;
padding:0 2px;font-size:85%}
.pctx-out .pctx-tree details>div,.pctx-out .pctx-tree .pctx-leaf{margin-left:1.3em}
.pctx-out .pctx-tree details>summary{cursor:pointer;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.pctx-out .pctx-tree>details>div details{margin-left:0}
.pctx-out details>summary{cursor:pointer}
.pctx-out table.pctx-table{border-collapse:collapse;border:none;font-size:inherit;margin:2px 0;table-layout:auto}
.pctx-out .pctx-table th,.pctx-out .pctx-table td{border:none;
border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.3));
padding:3px 12px 3px 6px;text-align:left;vertical-align:top;max-width:44em;overflow-wrap:anywhere}
.pctx-out .pctx-table thead th{font-weight:600;border-bottom:1px solid var(--jp-border-color1,rgba(128,128,128,.6));
white-space:nowrap}
.pctx-out .pctx-table tbody th{font-weight:400}
.pctx-out .pctx-table td.pctx-right,.pctx-out .pctx-table th.pctx-right{text-align:right;white-space:nowrap}
.pctx-out .pctx-table td.pctx-prose{font-family:var(--jp-content-font-family,sans-serif);min-width:16em}
.pctx-out .pctx-note{margin:4px 0 0;color:var(--jp-content-font-color2,#7a7a7a)}
""",
)
"""How outputs look: JupyterLab's own colours, light or dark; elsewhere colours that are legible on both."""
