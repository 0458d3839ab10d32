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


def page(*content: Markup, style: str | None = None) -> Markup:
    """Make one output: its content, and `style` for front ends without our extension; None: `STYLE`."""
    style = STYLE if style is None else style
    return in_one_line(Markup(f"<style>{style}</style>{tag('div', *content, kind=f'out {NO_FORMULAS}')}"))


def in_one_line(markup: Markup) -> Markup:
    """Return markup whose line breaks are character references, which show the same.

    nbconvert writes markup into Markdown, where it ends at an empty line, or with its first element: what followed
    would be read as Markdown, and would load pictures.
    """
    return Markup(markup.replace("\r", "&#13;").replace("\n", "&#10;"))


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\u{{{code:x}}}"


STYLE = (
    ".pctx-tree,.pctx-out pre,.pctx-out td{font-family:monospace;white-space:pre-wrap}"
    ".pctx-tree div{margin-left:1em}"
    ".pctx-out td,.pctx-out th{padding:4px;text-align:left!important}"
    ".pctx-out .pctx-right{text-align:right!important}"
    ".pctx-dim{opacity:.7}"
    ".pctx-wrong,.pctx-hidden{color:#d33}"
)
"""How outputs look where our extension does not run, such as in VS Code and on pages that nbconvert exports.

It is saved with each output, so it has 300 bytes at most. In JupyterLab the extension's `values.css` has all rules, and
each of them is more specific than these. So an output looks the same where JupyterLab removes this style: in notebooks
that are not trusted, and for others who edit the same notebook.
"""
