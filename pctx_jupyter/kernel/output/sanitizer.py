"""Sanitizes what programs display: takes an untrusted MIME bundle, and returns one for this notebook's page.

A front end trusts the output of a cell that was run here: it would run its scripts and load its pictures. Programs
have no network, and their displays must not become one. Sanitized content runs no code, and nothing is fetched when it
is shown. Types that are not known to be harmless are left out, and the text says so. Nothing here displays anything.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from ...program.result import Display
from ...rpc import nonfinite
from . import charts, drawings, nesting
from .display import Bundle, Metadata, clean, result, size, with_note
from .markup import NO_FORMULAS, Markup, in_one_line, visible

if TYPE_CHECKING:
    import nh3

VALUE = "application/vnd.pctx.value+json"
"""Any value, which is shown as a program's own value is."""

MOST_TEXT = 50_000
"""Characters of text that one display has."""

MOST_MARKDOWN = 50_000
"""Characters of Markdown that one display has: some texts take time that grows with the square of their length."""

MOST_REFERENCES = 10**11
"""Character references in HTML, times its length: its parser moves the rest of the text for each; some two seconds."""


class Unsafe(Exception):
    """Something is left out; says why.

    Attributes:
        rows: Data that stands in it, which is shown instead.
    """

    def __init__(self, reason: str, rows: list[dict[str, Any]] | None = None) -> None:
        super().__init__(reason)
        self.rows = rows or []


def safe(shown: Display) -> tuple[Bundle, Metadata]:
    """Sanitize a display.

    Returns:
        Content by MIME type, ``text/plain`` always among it, and metadata by MIME type.
    """
    given = _decoded(shown.data)
    described = {} if shown.metadata is None else _decoded(shown.metadata)
    bundle: Bundle = {}
    metadata: Metadata = {}
    left_out: list[str] = []
    for type, content in given.items():
        if type == "text/plain":
            continue
        try:
            bundle |= _made_safe(type, content)
        except Unsafe as error:
            left_out.append(visible(f"{type[:100]} is not shown: {error}", is_name=True))
            if error.rows and not bundle.keys() & {"text/html", "text/plain"}:
                bundle |= with_note(error.rows, left_out[-1])
        else:
            if found := _metadata(type, described.get(type)):
                metadata[type] = found
    own = given.get("text/plain")
    text = _text(own) if isinstance(own, str) and VALUE not in given else bundle.get("text/plain", "")
    bundle["text/plain"] = "\n".join(part for part in (text or visible(_caption(bundle)), *left_out) if part)
    return bundle, metadata


def _decoded(payload: msgspec.Raw) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _made_safe(type: str, content: Any) -> Bundle:
    if type == VALUE:
        payload = msgspec.Raw(msgspec.json.encode(content))
        return result(payload, nonfinite.decode(payload))
    make = _MAKERS.get(type)
    if make is None:
        raise Unsafe("a notebook shows no such type of a program's")
    return make(type, content)


# ── Texts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(content: str) -> str:
    return visible(clean(content, MOST_TEXT))


def _html(type: str, content: Any) -> Bundle:
    cleaned = _clean(_string(content))
    return {"text/html": _framed(cleaned), "text/plain": _text(_without_tags(cleaned))}


def _markdown(type: str, content: Any) -> Bundle:
    from markdown_it import MarkdownIt

    source = _string(content)
    if len(source) > MOST_MARKDOWN:
        source = f"{source[:MOST_MARKDOWN]}\n\n… {len(source) - MOST_MARKDOWN:,} characters left out"
    renderer = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": 20})
    rendered = renderer.enable(["table", "strikethrough"]).render(source)
    return {"text/html": _framed(_clean(rendered)), "text/plain": _text(source)}


def _clean(given: str) -> str:
    try:
        found = nesting.nested(given)
    except nesting.Overlapping as error:
        raise Unsafe(str(error)) from None
    if found.count("&") * len(found) > MOST_REFERENCES:
        raise Unsafe("it has too many character references for its length")
    return _cleaner().clean(found)


def _framed(cleaned: str) -> str:
    """Keep what is shown in its place: nothing of it is drawn outside, and nothing is taken for mathematics.

    MathJax makes links of its own, to anywhere, out of plain text.
    """
    framed = Markup(f'<div class="{NO_FORMULAS}" style="contain:content;overflow-x:auto">{cleaned}</div>')
    return in_one_line(framed)


_CLEANED_TAG = re.compile(r"<(?:[^<>\"]|\"[^\"]*+\")*+>")
"""A tag as the cleaner writes it: each attribute's value is between double quotes."""


def _without_tags(cleaned: str) -> str:
    broken = re.sub(r"(?=</(?:p|div|tr|li|h\d|table|ul|ol|pre)>)|(?=<br>)", "\n", cleaned)
    spaced = re.sub(r"(?=</t[dh]>)", "  ", broken)
    text = html.unescape(_CLEANED_TAG.sub("", spaced))
    # By lines: a regular expression would look at a long run of spaces once for each of them.
    return "\n".join(line for found in text.split("\n") if (line := found.strip()))


def _string(content: Any) -> str:
    if isinstance(content, list) and all(isinstance(line, str) for line in content):
        content = "".join(content)  # as notebook files have it
    if not isinstance(content, str):
        raise Unsafe("it is no text")
    return content


_DRAWN = {"svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan"}
"""Elements of drawings within HTML: shapes and text. What may hold HTML in turn is not among them."""

_TAGS = _DRAWN | set(
    """
    a abbr article aside b bdi blockquote br caption center cite code col colgroup dd del details dfn div dl dt em
    figcaption figure footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li mark meter ol p pre progress q rp rt ruby s
    samp section small span strong sub summary sup table tbody td tfoot th thead time tr u ul var wbr
    """.split()  # noqa: SIM905  # reads better
)

_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"style", "title", "dir", "lang"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "align", "valign", "width", "headers"},
    "th": {"colspan", "rowspan", "align", "valign", "width", "headers", "scope"},
    "tr": {"align", "valign"},
    "table": {"width", "border", "cellpadding", "cellspacing"},
    "col": {"span", "width"},
    "colgroup": {"span", "width"},
    "details": {"open"},
    "ol": {"start", "type", "reversed"},
    "li": {"value"},
    "time": {"datetime"},
    "meter": {"value", "min", "max", "low", "high", "optimum"},
    "progress": {"value", "max"},
} | {tag: set(drawings.SHAPE_ATTRIBUTES) for tag in _DRAWN}

_STYLES = set(
    """
    align-content align-items align-self background-color border border-bottom border-bottom-color border-bottom-style
    border-bottom-width border-collapse border-color border-left border-left-color border-left-style border-left-width
    border-radius border-right border-right-color border-right-style border-right-width border-spacing border-style
    border-top border-top-color border-top-style border-top-width border-width box-sizing color column-gap
    display fill flex flex-basis flex-direction flex-grow flex-shrink flex-wrap font font-family font-size font-style
    font-variant font-weight gap grid-column grid-gap grid-row grid-template-columns grid-template-rows height
    justify-content justify-items letter-spacing line-height list-style-type margin margin-bottom margin-left
    margin-right margin-top max-height max-width min-height min-width opacity overflow overflow-wrap overflow-x
    overflow-y padding padding-bottom padding-left padding-right padding-top row-gap stroke stroke-width table-layout
    text-align text-decoration text-indent text-overflow text-transform vertical-align visibility white-space width
    word-break word-spacing
    """.split()  # noqa: SIM905  # reads better
)
"""What a style attribute may set: nothing that loads, moves or covers.

No ``columns``: a browser needs minutes to lay out some dozens of them within one another.
"""

_LOADING = re.compile(r"url|image|src|\\|/\*|@|expression|attr\(|element\(", re.IGNORECASE)
"""What a style or a colour must not have in it: ways to load something, and ways to hide them."""

_LINK = re.compile(r"https?://|mailto:", re.IGNORECASE)
"""How a link has to begin: browsers overlook tabs and control characters in a scheme that is to be kept out."""

_DATA_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")


def _allowed(tag: str, attribute: str, value: str) -> str | None:
    match tag, attribute:
        case "img", "src":
            return value if _DATA_IMAGE.fullmatch(value) else None
        case "a", "href":
            return value if _LINK.match(value) else None
        case _, "title" | "alt" | "href":
            return value
        case _, "stroke-dasharray" if not drawings.is_dash(value):
            return None
    return None if _LOADING.search(value) else value


@cache
def _cleaner() -> nh3.Cleaner:
    import nh3

    return nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=set("script style title template iframe object noscript textarea select math".split()),  # noqa: SIM905
        attributes=_ATTRIBUTES,
        attribute_filter=_allowed,
        filter_style_properties=_STYLES,
        link_rel="noopener noreferrer nofollow",
        url_schemes={"http", "https", "mailto", "data"},
        url_relative="deny",
    )


# ── Pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────

_SIGNATURES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}
"""How the bytes of each kind of picture begin."""


def _picture(type: str, content: Any) -> Bundle:
    text = "".join(_string(content).split())
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Unsafe("it is not the base64 text of an image") from None
    if not data.startswith(_SIGNATURES[type]):
        raise Unsafe("its bytes are of another kind")
    return {type: text}


def _drawing(type: str, content: Any) -> Bundle:
    try:
        return {type: drawings.clean(_string(content))}
    except ValueError as error:
        raise Unsafe(str(error)) from None


def _chart(type: str, content: Any) -> Bundle:
    try:
        return {type: charts.clean(type, content)}
    except charts.ChartRefused as error:
        raise Unsafe(str(error), charts.rows(content)) from None


def _json(type: str, content: Any) -> Bundle:
    if not isinstance(content, (dict, list)):
        raise Unsafe("it is neither an object nor an array")
    return {type: content}


_MAKERS: dict[str, Callable[[str, Any], Bundle]] = {
    "text/html": _html,
    "text/markdown": _markdown,
    "image/svg+xml": _drawing,
    "application/json": _json,
    **dict.fromkeys(_SIGNATURES, _picture),
    **dict.fromkeys(charts.TYPES, _chart),
}


# ── What goes with them ─────────────────────────────────────────────────────────────────────────────────────────────


def _metadata(type: str, given: Any) -> dict[str, Any]:
    if type in charts.TYPES:
        return {"embed_options": charts.EMBED_OPTIONS}
    if not type.startswith("image/") or not isinstance(given, dict):
        return {}
    return {
        name: given[name]
        for name in ("width", "height")
        if isinstance(given.get(name), int | float) and 0 < given[name] <= 10_000
    }


def _caption(bundle: Bundle) -> str:
    """The text for what has none."""
    for kind, content in bundle.items():
        if kind.startswith("image/"):
            return f"[{kind}, {size(len(content))}]"
        if kind in charts.TYPES:
            return charts.caption(content)
        if kind == "application/json":
            return str(result(msgspec.Raw(b""), content)["text/plain"])
    return ""
