"""What programs display, made safe: bundles in, bundles out. Pure; what a browser makes of them: tests/browser."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from msgspec import Raw

from pctx_jupyter.kernel.output import charts, drawings, sanitizer
from pctx_jupyter.program.result import Display

from .test_display import HOSTILE

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


def safe(data: Any, metadata: Any = None) -> dict[str, Any]:
    described = None if metadata is None else Raw(json.dumps(metadata).encode())
    return sanitizer.safe(Display(Raw(json.dumps(data).encode()), described))[0]


def html(text: str) -> str:
    """What is left of HTML, without the frame around it."""
    shown = safe({"text/html": text})["text/html"]
    found = re.fullmatch(
        r'<div class="mathjax_ignore tex2jax_ignore" style="contain:content;overflow-x:auto">(.*)</div>',
        shown,
        re.DOTALL,
    )
    assert found is not None, shown
    return found[1]


# HTML and Markdown

KEPT = [
    "<h1>Title</h1><p>text <b>bold</b> <code>x</code><br></p>",
    '<table><thead><tr><th scope="col">a</th></tr></thead><tbody><tr><td colspan="2">1</td></tr></tbody></table>',
    '<details open=""><summary>more</summary>inside</details>',
    f'<img src="data:image/png;base64,{PNG}" alt="it" width="10">',
    '<span style="color:red;font-weight:bold">x</span>',
    '<svg viewBox="0 0 9 9" width="9"><path d="M0 0L9 9" stroke="red"></path><text x="1">hi</text></svg>',
    '<progress value="3" max="4"></progress>',
]


@pytest.mark.parametrize("text", KEPT)
def test_harmless_html_stays_as_it_is(text: str) -> None:
    assert html(text) == text


GONE = [
    "<script>alert(1)</script>",
    "<style>body{display:none}</style>",
    "<iframe src='https://x'></iframe>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://x/beacon.png'>",
    "<img srcset='https://x/beacon.png 1x'>",
    "<img src='data:image/svg+xml;base64,PHN2Zy8+'>",
    "<img src=' data:text/html,x'>",
    "<video poster='https://x'><source src='https://x'></video>",
    "<link rel=stylesheet href='https://x'><base href='//x'><meta http-equiv=refresh content='0;url=//x'>",
    "<object data='https://x'></object><embed src='https://x'>",
    "<form action='//x'><input name=a><button>go</button></form>",
    "<p style='background:url(https://x)'>",
    "<p style='background-color:red;background-image:u\\72l(https://x)'>",
    "<p style='position:fixed;top:0;inset:0;z-index:9'>",
    "<p style='color:red;content:\"x\";animation:a 1s'>",
    "<p style='list-style-type:url(https://x)'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='jAvAsCrIpT&colon;alert(1)'>x</a>",
    "<a href='&#1;javascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='da&#9;ta:text/html,x'>x</a><a href='&#1;data:text/html,x'>x</a><a href='http:/logout'>x</a>",
    "<a href='/logout'>x</a><a href='//x'>x</a>",
    "<div id=main class=jp-Dialog data-commandlinker-command=x name=a role=dialog tabindex=0 onclick=x accesskey=a>",
    "<svg onload=alert(1)><script>alert(1)</script><a xlink:href='javascript:1'><text>x</text></a></svg>",
    "<svg><use href='https://x#a'/><image href='https://x'/><foreignObject><p>x</p></foreignObject></svg>",
    "<svg><animate attributeName=href values='javascript:1'/><set attributeName=onload to='alert(1)'/></svg>",
    "<svg><style>@import 'https://x'</style><rect fill='url(https://x)'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<svg></p><style><g title='</style><img src=x onerror=alert(1)>'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<p title='x' background='https://x' ping='https://x' formaction='https://x'>",
]

DANGER = re.compile(
    r"<(?!/?(?:p|a|div|img|svg|rect|text|tspan|g|table)\b)|\bon\w+=|script|url\(|https?:|href=\"(?!$)|data:|position|"
    r"\bid=|class=|name=|data-|animation|import|role=|tabindex|//|\\"
)


@pytest.mark.parametrize("text", GONE)
def test_html_that_runs_loads_covers_or_leads_somewhere_is_left_out(text: str) -> None:
    left = re.sub(r'(?<= )title="[^"]*"', "", html(text))
    assert not DANGER.search(left), left
    assert html(html(text)) == html(text)


REPAIRED = [
    ("<p>a<p>b", "<p>a</p><p>b</p>"),
    ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
    ("<b>a<i>b</b>c</i>", "<b>a<i>b</i></b><i>c</i>"),
    ("1 < 2 & 3 > 2 <3 <- &lt;b&gt; &eacute;", "1 &lt; 2 &amp; 3 &gt; 2 &lt;3 &lt;- &lt;b&gt; \u00e9"),
    ("<!DOCTYPE html><!-- <b> --><?x <i>?>a<![CDATA[b]]>", "?&gt;a"),
    ("<SPAN Title='a \"b\" > c'>x</SPAN>", '<span title="a &quot;b&quot; &gt; c">x</span>'),
    ("<svg><rect width=1 /><text>x</text></svg>", '<svg><rect width="1"></rect><text>x</text></svg>'),
    ("<title>a</title><style>b</style><xmp><b></xmp>c<plaintext>d", "c"),
    ("a<b", "a&lt;b"),
    ('<span "><b title=1>">x</span>', '<span title="1">x</span>'),
    ("<p title='never closed", "&lt;p title='never closed"),
]


@pytest.mark.parametrize(("text", "expected"), REPAIRED)
def test_html_written_by_hand_is_repaired_as_a_browser_does(text: str, expected: str) -> None:
    assert html(text) == expected


OVERLAPPING = {
    "formatting left open in blocks": "".join(f"<b title={n}><div>" for n in range(20_000)) + "</b>" * 20_000,
    "formatting closed in other blocks": "".join(f"<b title={n}><div></b></div>" for n in range(20_000)),
    "paragraphs in formatting": "".join(f"<p><i title={n}>x</p>" for n in range(20_000)),
    "cells in formatting": "".join(f"<b title={n}><table><td></b></table>" for n in range(20_000)),
    "links in links": "<a>" * 20_000,
    "depth": "<div>" * 20_000,
    "closing what is not open": "</p>" * 20_000,
    "references": "&" * 800_000,
}


@pytest.mark.parametrize("kind", OVERLAPPING)
def test_html_that_a_parser_would_multiply_is_not_shown_and_says_why(kind: str) -> None:
    assert safe({"text/html": OVERLAPPING[kind]})["text/plain"].startswith("text/html is not shown: it")


LONG = {
    "text/html": [
        "x" + " " * 2_000_000 + "y",
        "<" * 200_000,
        "<a '" * 500_000,
        "<p " + "a=1 " * 500_000 + ">",
        "<!--" * 500_000,
    ],
    "text/markdown": ["[" * 2_000_000, "![" * 1_000_000, "> x\n" * 500_000, "*a_" * 500_000, "`" * 2_000_000],
    "image/svg+xml": [
        "<!DOCTYPE" * 400_000,
        "<?xml" * 400_000,
        " " * 2_000_000,
        "<!--" * 500_000,
        "<!---->" * 300_000,
        f'<svg xmlns="http://www.w3.org/2000/svg"><style>{"a " * 500_000}</style></svg>',
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in LONG for text in LONG[kind]], ids=lambda x: x[:12])
def test_a_long_text_never_takes_time_that_grows_with_its_square(kind: str, text: str) -> None:
    # Each of them took minutes or hours where it did; the time limit of a test ends it then.
    assert len(str(safe({kind: text}))) < 3 * len(text) + 1_000


def test_a_link_opens_elsewhere_and_tells_nobody_where_it_was() -> None:
    link = '<a href="https://example.com/a" rel="noopener noreferrer nofollow">x</a>'
    assert html('<a href="https://example.com/a" target=_self rel=opener>x</a>') == link


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_hostile_text_does_nothing_in_any_type(text: str) -> None:
    for kind in ("text/html", "text/markdown", "text/plain", "image/svg+xml", "application/javascript"):
        bundle = safe({kind: text, text: text})
        assert set(bundle) <= {"text/plain", "text/html"}
        assert not re.search(
            r"<(?:script|iframe|style|base|meta|form)|<[^>]*\s(?:on\w+|src)=", bundle.get("text/html", "")
        )
        assert not set("\x1b\x9b\x07\x08\x00\r\u202e\u2066\u2028\ud800") & set(bundle["text/plain"])


def test_markdown_becomes_html_and_its_source_is_the_text() -> None:
    bundle = safe(
        {"text/markdown": "# A\n\n| a | b |\n|---|---|\n| **1** | ~~2~~ |\n\n<script>x</script> ![p](https://x/p.png)"}
    )
    assert "<h1>A</h1>" in bundle["text/html"]
    assert "<td><strong>1</strong></td>" in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert '<img alt="p">' in bundle["text/html"]
    assert bundle["text/plain"].startswith("# A\n")
    for text in ("[x](javascript:alert(1))", "[x]: data:text/html,x\n\n[x]", "<javascript:alert(1)>", "[x](/api)"):
        assert "href" not in safe({"text/markdown": text})["text/html"]


def test_html_without_text_of_its_own_is_readable_as_text() -> None:
    table = "<table><tr><th>a</th><th>b</th></tr><tr><td>1 &lt; 2</td><td>3</td></tr></table><script>no</script>"
    assert safe({"text/html": table})["text/plain"] == "a  b\n1 < 2  3"
    assert safe({"text/html": table, "text/plain": "mine"})["text/plain"] == "mine"


# Pictures and drawings


def test_a_picture_has_the_bytes_it_says_and_its_size() -> None:
    for kind, start in (
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("image/jpeg", b"\xff\xd8\xff\xe0"),
        ("image/gif", b"GIF89a"),
    ):
        text = base64.b64encode(start + bytes(20)).decode()
        bundle, metadata = sanitizer.safe(
            Display(
                Raw(json.dumps({kind: text[:8] + "\n" + text[8:]}).encode()),
                Raw(json.dumps({kind: {"width": 20, "height": "x", "isolated": True}}).encode()),
            )
        )
        assert bundle[kind] == text
        assert bundle["text/plain"].startswith(f"[{kind}, ")
        assert metadata == {kind: {"width": 20}}
    for content in ("no base64!", base64.b64encode(b"<svg onload=alert(1)>").decode(), '" onerror="alert(1)', 5, None):
        bundle = safe({"image/png": content})
        assert list(bundle) == ["text/plain"]
        assert bundle["text/plain"].startswith("image/png is not shown: ")


DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><defs><linearGradient id="g"><stop offset="0" '
    'stop-color="red"></stop></linearGradient></defs><style>svg .a{fill:url(#g)}</style>'
    '<g class="a" transform="scale(2)"><rect width="3" fill="url(#g)"></rect><use href="#g"></use>'
    '<text x="1">a &lt; b<tspan dy="1">c</tspan></text></g></svg>'
)


def test_a_harmless_drawing_stays_as_it_is() -> None:
    assert drawings.clean(DRAWING) == DRAWING
    bare = '<svg width="3"><image xlink:href="data:image/png;base64,AAAA"></image></svg>'
    assert drawings.clean(bare) == (
        '<svg xmlns="http://www.w3.org/2000/svg" width="3"><image href="data:image/png;base64,AAAA"></image></svg>'
    )
    made = f'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x.dtd">\n{DRAWING}'
    assert drawings.clean(made) == DRAWING


DRAWN = [
    "<script>alert(1)</script>",
    "<a href='javascript:alert(1)'><rect/></a>",
    "<a xlink:href='javascript:alert(1)'><text>x</text></a>",
    "<image href='https://x/p.png'/>",
    "<image href='data:image/svg+xml,&lt;svg/>'/>",
    "<use href='https://x#a'/>",
    "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></body></foreignObject>",
    "<style>@import 'https://x'; rect { fill: red }</style>",
    "<style>rect { background: u\\72l(https://x) }</style>",
    "<rect style='fill:url(https://x)'/>",
    "<rect fill='url( \"https://x#a\" )'/>",
    "<rect onclick='alert(1)' onload='alert(1)'/>",
    "<animate attributeName='href' to='javascript:1'/><set attributeName='onload' to='alert(1)'/>",
    "<handler>alert(1)</handler><iframe src='https://x'/><video href='https://x'/>",
    "<title><script>alert(1)</script></title><desc>&lt;script&gt;</desc>",
    "<style>&lt;/style>&lt;img src=x onerror=alert(1)></style>",
    "<h:script xmlns:h='http://www.w3.org/1999/xhtml'>alert(1)</h:script>",
    "<![CDATA[<script>alert(1)</script>]]><!-- <script> --><?xml-stylesheet href='https://x'?>",
    "<feImage href='https://x'/><filter id='f'><feImage href='https://x'/></filter><cursor href='https://x'/>",
]


@pytest.mark.parametrize("inside", DRAWN)
def test_a_drawing_neither_runs_nor_loads_anything(inside: str) -> None:
    made = drawings.clean(f"<svg onload='alert(1)' xmlns:xlink='http://www.w3.org/1999/xlink'>{inside}</svg>")
    assert not re.search(
        r"<(?:script|a|iframe|animate|set|foreign|handler|feImage|h:)|\son\w+=|https:|javascript|@import", made
    )
    assert drawings.clean(made) == made
    ElementTree.fromstring(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no drawing",
        "<svg>",
        "<html><svg/></html>",
        "<svg xmlns='http://x'></svg>",
        "<!DOCTYPE svg [<!ENTITY a 'x'>]><svg>&a;</svg>",
        "<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg><text>&a;</text></svg>",
        "<svg>&nbsp;</svg>",
        "<svg>" * 100_000,
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_what_is_no_drawing_is_not_shown_and_says_why(text: str) -> None:
    assert safe({"image/svg+xml": text})["text/plain"].startswith("image/svg+xml is not shown: it ")


def test_a_drawing_that_stands_in_a_page_stays_in_its_place_and_styles_nothing_else() -> None:
    made = drawings.clean(
        "<svg style='position:fixed;inset:0;z-index:9;fill:red'><style>"
        "body, .jp-Cell, * { display: none; position: fixed } svg { stroke: red } "
        "</style><style>a{b}</style><rect style='top:0;animation:x 1s;pointer-events:all'/></svg>"
    )
    assert made == (
        '<svg xmlns="http://www.w3.org/2000/svg" style="fill:red"><style>svg body,svg .jp-Cell,svg *{display:none}'
        "svg{stroke:red}</style><style></style><rect></rect></svg>"
    )


def _chain(element: str, inner: str, levels: int) -> str:
    """Elements of which each refers to the next one more than once."""
    made = "".join(f"<{element} id='a{n}'>{inner.replace('NEXT', f'a{n + 1}')}</{element}>" for n in range(levels))
    return f"<svg>{made}<rect fill='url(#a0)'/></svg>"


REPEATING = [
    _chain("g", "<use href='#NEXT'/>" * 10, 8),
    _chain("mask", "<rect mask='url(#NEXT)'/>" * 2, 30),
    _chain("clipPath", "<rect style='clip-path:url(#NEXT)'/>" * 2, 30),
    _chain("pattern", "<rect fill='url( \"#NEXT\" )'/>" * 2, 30),
    _chain("marker", f"<path d='M0 0{'L1 1' * 20}' marker-mid='url(#NEXT)'/>", 6),
    _chain("g", "<use href='#NEXT'/>", 20_000),
    "<svg><g id='a'><use href='#a'/></g></svg>",
    "<svg>" + "<g filter='blur(9px)'>" * 100 + "</g>" * 100 + "</svg>",
    "<svg><style>path{marker-mid:url(#m)}</style>"
    f"<marker id='m'>{'<g/>' * 500}</marker>" + "<path d='M1 1L2 2'/>" * 500 + "</svg>",
]


@pytest.mark.parametrize("text", REPEATING, ids=range(len(REPEATING)))
def test_a_drawing_that_multiplies_its_parts_is_not_shown_and_says_why(text: str) -> None:
    assert safe({"image/svg+xml": text})["text/plain"].startswith("image/svg+xml is not shown: it repeats its parts")


@pytest.mark.parametrize(("dashes", "is_kept"), [("4 2", True), ("1e-9", False), ("0,3", True), (".01 9", False)])
def test_a_line_has_no_more_dashes_than_a_browser_draws_in_time(dashes: str, is_kept: bool) -> None:
    made = drawings.clean(
        f"<svg><path stroke-dasharray='{dashes}'/><path style='stroke-dasharray:{dashes}'/></svg>"
    ) + html(f"<svg><path stroke-dasharray='{dashes}'></path></svg>")
    assert made.count("dasharray") == (3 if is_kept else 0)


def test_a_drawing_is_cut_at_a_depth() -> None:
    made = drawings.clean("<svg>" + "<g>" * 2_000 + "</g>" * 2_000 + "</svg>")
    assert made.count("<g>") == drawings.MOST_DEPTH


# Charts

BAR = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "title": "Sales",
    "data": {"values": [{"url": "https://x", "href": 1, "n": 2}]},
    "datasets": {"a": [{"url": "x"}]},
    "mark": "bar",
    "encoding": {"x": {"field": "url"}, "tooltip": {"field": "n"}},
    "usermeta": {"embedOptions": {"loader": {"baseURL": "https://x"}}},
}
LITE = "application/vnd.vegalite.v5+json"


def test_a_chart_with_its_data_in_it_is_shown_without_options_of_its_own() -> None:
    shown = Display(
        Raw(json.dumps({LITE: BAR}).encode()), Raw(b'{"%s": {"embed_options": {"tooltip": true}}}' % LITE.encode())
    )
    bundle, metadata = sanitizer.safe(shown)
    assert bundle == {
        LITE: {name: part for name, part in BAR.items() if name != "usermeta"},
        "text/plain": "[chart: Sales]",
    }
    assert metadata == {LITE: {"embed_options": charts.EMBED_OPTIONS}}


@pytest.mark.parametrize(
    "part",
    [
        {"data": {"url": "/api/contents"}},
        {"layer": [{"transform": [{"lookup": "a", "from": {"data": {"url": "/api/contents"}}}]}]},
        {"encoding": {"url": {"field": "a"}}},
        {"encoding": {"href": {"field": "a"}}},
        {"params": [{"name": "a", "bind": {"element": "#main", "input": "range"}}]},
        {"marks": [{"type": "image", "encode": {"update": {"url": {"signal": "'https://x'"}}}}]},
    ],
)
def test_a_chart_that_would_load_something_is_not_shown(part: dict[str, Any]) -> None:
    bundle = safe({LITE: BAR | part})
    assert LITE not in bundle
    assert "is not shown: its " in bundle["text/plain"]


def test_a_chart_that_is_not_shown_is_a_table_of_its_data_that_says_why() -> None:
    bundle = safe({LITE: BAR | {"encoding": {"href": {"field": "<b>"}}}})
    line = f'{LITE} is not shown: its "encoding.href" is not among the members that a chart may have'
    assert "<table" in bundle["text/html"] and "https://x" in bundle["text/html"]
    assert line.replace('"', "&quot;") in bundle["text/html"]
    assert line in bundle["text/plain"] and '"n": 2' in bundle["text/plain"]
    assert list(safe({LITE: {"mark": "image", "data": {"url": "x"}}})) == ["text/plain"]


def test_a_chart_of_vega_is_a_table_of_its_data_that_says_what_is_drawn() -> None:
    vega = "application/vnd.vega.v5+json"
    bundle = safe({vega: {"marks": [], "data": [{"name": "a", "values": [{"n": 2}]}]}})
    assert "only Vega-Lite is drawn" in bundle["text/html"] and "only Vega-Lite is drawn" in bundle["text/plain"]
    assert vega not in bundle


# The rest


def test_a_value_is_shown_as_a_programs_value_is() -> None:
    bundle = safe({"text/plain": "[ { a: 1 } ]", sanitizer.VALUE: [{"a": 1}]})
    assert bundle["text/plain"] == '[{"a": 1}]'
    assert "<table" in bundle["text/html"]
    assert safe({"text/plain": "x", sanitizer.VALUE: []}) == {"text/plain": "[]"}


@pytest.mark.parametrize(
    "kind",
    [
        "application/javascript",
        "application/vnd.jupyter.widget-view+json",
        "application/vnd.plotly.v1+json",
        "application/geo+json",
        "application/pdf",
        "text/latex",
        "text/html; charset=utf-8",
        "TEXT/HTML",
        "<b>",
    ],
)
def test_types_that_are_not_known_to_be_harmless_are_left_out(kind: str) -> None:
    assert safe({kind: "x"}) == {"text/plain": f"{kind} is not shown: a notebook shows no such type of a program's"}
    assert safe({kind: {}, "text/plain": "x"})["text/plain"].startswith("x\n")


@pytest.mark.parametrize("data", [[], 1, None, "x", {}])
def test_what_is_no_bundle_shows_nothing(data: Any) -> None:
    assert safe(data) == {"text/plain": ""}


def test_json_is_shown_by_the_front_end() -> None:
    assert safe({"application/json": {"a": [1]}}) == {"application/json": {"a": [1]}, "text/plain": '{"a": [1]}'}
    assert "application/json" not in safe({"application/json": "text"})


def test_long_text_is_cut() -> None:
    assert len(safe({"text/plain": "x" * 10_000_000})["text/plain"]) < sanitizer.MOST_TEXT + 100
