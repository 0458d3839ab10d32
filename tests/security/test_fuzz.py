"""Texts from anywhere, drawn at random: what becomes of them keeps its promises. Pure.

The gate runs a few examples, the same in every run; `make fuzz` runs many, others each time. HTML is read again by
another parser than the one that has made it harmless.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter import errors, visible
from pctx_jupyter.errors import Failure
from pctx_jupyter.kernel.output import display, drawings, sanitizer, timeline
from pctx_jupyter.program.result import Display
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.lines import Lines
from pctx_jupyter.rpc.peer import Peer
from pctx_jupyter.session.trace import CallRecord, ConsoleLine, Trace
from pctx_jupyter.upstream import config
from tests import schemas

from .corpus import payloads

pytestmark = pytest.mark.fuzz

# HTML, Markdown and drawings

TAGS = """
a b i p div span table tr td th ul li svg g rect text math mtext mglyph style script title textarea select option
template noscript iframe form input button img image use foreignObject desc annotation-xml xmp plaintext details summary
""".split()  # noqa: SIM905
NAMES = """
href src style onerror onclick xlink:href class id name srcdoc action formaction background title width d transform
stroke-dasharray fill data-commandlinker-command
""".split()  # noqa: SIM905
VALUES = [
    *("javascript:window.canary=1", "//canary.invalid/x", "/canary", "data:text/html,x", "https://example.com/"),
    *("url(//canary.invalid)", "position:fixed", "color:red", "width:9px;u\\72l(x)", "", "x", "`", "'", '"', ">"),
    *("java\tscript:1", "&#1;javascript:1", "data:image/png;base64,AAAA", "1e-9", "&lt;", "</style>", "--><img src=x>"),
]
names = st.sampled_from(NAMES) | st.text("abo:-'\"<>/= \t\n\0", max_size=5)
quotes = st.sampled_from(['"', "'", "", "`"])
attributes = st.builds(lambda n, q, v: f" {n}={q}{v}{q}", names, quotes, st.sampled_from(VALUES) | schemas.texts)
begins = st.builds(
    lambda name, found, end: f"<{name}{''.join(found)}{end}",
    st.sampled_from(TAGS),
    st.lists(attributes, max_size=3),
    st.sampled_from([">", "/>", "", " >", "\n>", "//>"]),
)
ends = st.builds(lambda name, end: f"</{name}{end}", st.sampled_from(TAGS), st.sampled_from([">", " >", "", " x>"]))
odd = st.sampled_from(
    ["<!--", "-->", "--!>", "<!-->", "<![CDATA[", "]]>", "<?x", "<!DOCTYPE html>", "<", ">", "&", "\0"]
)
pieces = begins | ends | odd | schemas.texts | st.sampled_from(payloads("html"))
soups = st.lists(pieces, max_size=12).map("".join)


class Seen(HTMLParser):
    """Finds what must not stand in HTML that is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in sanitizer._TAGS:
            self.wrong.append(tag)
        for name, value in attrs:
            text = (value or "").lower()
            allowed = {"style", "title", "dir", "lang", "rel"} | {
                known.lower() for known in sanitizer._ATTRIBUTES.get(tag, ())
            }
            is_link = name in ("href", "src") and not text.startswith(("http://", "https://", "mailto:", "data:image/"))
            if name not in allowed or is_link or (name == "style" and ("url" in text or "position" in text)):
                self.wrong.append(f"{tag} {name}={value}")


def made(kind: str, content: Any) -> dict[str, Any]:
    try:
        data = json.dumps({kind: content}).encode()
    except ValueError:
        return {}
    return sanitizer.safe(Display(Raw(data), None))[0]


def inside(bundle: dict[str, Any]) -> str | None:
    """The HTML of a bundle without our frame; None where it has none."""
    html = bundle.get("text/html")
    return None if html is None else html[html.index(">") + 1 : -len("</div>")]


@given(soups)
def test_any_html_becomes_harmless_html_that_stays_as_it_is(soup: str) -> None:
    html = inside(made("text/html", soup))
    if html is not None:
        assert Seen(html).wrong == []
        assert inside(made("text/html", html)) == html
        assert len(html) < 20 * len(soup) + 1_000


@given(st.lists(st.sampled_from(payloads("markdown")) | st.sampled_from(["\n", "\n\n", " "]) | pieces, max_size=8))
def test_any_markdown_becomes_harmless_html(parts: list[str]) -> None:
    html = inside(made("text/markdown", "".join(parts)))
    if html is not None:
        assert Seen(html).wrong == []


ELEMENTS = sorted(drawings._ELEMENTS | {"script", "foreignObject", "image", "animate", "set", "iframe", "h:script"})
VALID = [name for name in sorted(drawings._ATTRIBUTES) if ":" not in name] + ["href", "onload", "onclick"]
drawn_attributes = st.dictionaries(
    st.sampled_from(VALID), st.sampled_from([*VALUES, "url(#a)", "#a", "a", "1"]), max_size=4
)


def _element(name: str, given: dict[str, str], inner: list[str]) -> str:
    from xml.sax.saxutils import quoteattr

    prefix = ' xmlns:h="http://www.w3.org/1999/xhtml"' if name.startswith("h:") else ""
    written = "".join(f" {key}={quoteattr(value)}" for key, value in given.items())
    return f"<{name}{prefix}{written}>{''.join(inner)}</{name}>"


css = st.sampled_from(
    ["*{fill:red}", "body{display:none}", "a{b:url(//x)}", "@import 'x';", "svg,.a>b{position:fixed;fill:red}"]
)
elements = st.recursive(
    st.builds(_element, st.sampled_from(ELEMENTS), drawn_attributes, st.just([])) | css.map("<style>{}</style>".format),
    lambda inner: st.builds(_element, st.sampled_from(ELEMENTS), drawn_attributes, st.lists(inner, max_size=4)),
    max_leaves=12,
)


@given(
    st.builds(_element, st.just("svg"), drawn_attributes, st.lists(elements, max_size=5))
    | soups
    | st.sampled_from(payloads("svg"))
)
def test_any_drawing_is_refused_or_becomes_a_harmless_one_that_stays_as_it_is(text: str) -> None:
    try:
        cleaned = drawings.clean(text)
    except ValueError:
        return
    for element in ElementTree.fromstring(cleaned).iter():
        assert str(element.tag).removeprefix(f"{{{drawings.SVG}}}") in drawings._ELEMENTS
        for name, value in element.attrib.items():
            assert name in drawings._ATTRIBUTES | {"href"}
            assert not re.search(r"url\(\s*['\"]?(?!#)", value.lower())
            assert name != "href" or value.startswith(("#", "data:image/png;base64,"))
            assert name != "style" or "position" not in value
    assert drawings.clean(cleaned) == cleaned


# Values, errors and timelines


@given(schemas.values | st.lists(st.dictionaries(schemas.texts, schemas.values, max_size=4), max_size=4))
def test_any_value_is_shown_with_no_markup_of_its_own(value: Any) -> None:
    try:
        raw = Raw(msgspec.json.encode(value))
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, ValueError):
        return  # halves of pairs are no JSON here
    bundle = display.result(raw)
    assert set(Marked(bundle.get("text/html", "")).tags) <= OWN


OWN = {"style", "div", "span", "pre", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "br"}


class Marked(HTMLParser):
    """Collects elements, and fails where an attribute is not one of ours."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "td" and (title := given.pop("title", None)) is not None:
            float(title)  # the digits of a number that is shown with fewer
        assert given.keys() <= {"class", "open", "style"}


some_text = schemas.texts | st.sampled_from(payloads("text"))


@given(some_text, some_text, some_text)
def test_any_failure_and_any_timeline_is_shown_with_no_markup_of_its_own(name: str, message: str, frame: str) -> None:
    bundle = display.failure(Failure(name, message, frame=frame, line=1, column=1), message)
    assert set(Marked(bundle["text/html"]).tags) <= OWN
    calls = [
        CallRecord(
            call=1, tool=name, started_s=0.0, ended_s=1.0, arguments=message, result=frame, error=name, note=frame
        )
    ]
    trace = Trace(id="x", code=message, asked_by="cell", started_at=0.0, state="failed", duration_s=1.0, calls=calls)
    trace = msgspec.structs.replace(trace, console=[ConsoleLine(0.5, "stdout", message, None)])
    assert set(Marked(timeline.bundle(trace)["text/html"]).tags) <= OWN


# Frames

ids = st.none() | st.booleans() | st.integers() | st.floats() | schemas.texts | st.lists(st.integers(), max_size=2)
methods = st.sampled_from(["execute", "register_tool", "$/cancel", "call", "output", "run"]) | schemas.texts
frames = (
    st.fixed_dictionaries(
        {},
        optional={
            "jsonrpc": st.sampled_from(["2.0", "1.0", 2]) | schemas.values,
            "id": ids,
            "method": methods | schemas.values,
            "params": schemas.values,
            "result": schemas.values,
            "error": schemas.values
            | st.fixed_dictionaries(
                {"code": st.integers() | schemas.values, "message": schemas.values}, optional={"data": schemas.values}
            ),
        },
    )
    | schemas.values
)
lines = (
    frames.map(lambda frame: json.dumps(frame).encode())
    | st.binary(max_size=40)
    | st.builds(
        lambda frame, at, put: frame[:at] + put + frame[at:],
        frames.map(lambda f: json.dumps(f).encode()),
        st.integers(0, 60),
        st.binary(max_size=3),
    )
)


@given(st.lists(lines, max_size=8))
@example([b'{"jsonrpc":"2.0","id":1e400,"method":"x"}', b"\xff", b"[" * 100_000, b'"\\ud800"'])
def test_no_frame_makes_a_peer_raise_and_each_request_is_owed_one_answer(given_lines: list[bytes]) -> None:
    peer = Peer(max_bytes=1_000_000)
    peer.call("x")
    peer.outgoing()
    for line in given_lines:
        for message in peer.receive(line):
            if isinstance(message, rpc.Refusal):
                assert isinstance(message.error(), errors.PctxError)
            if isinstance(message, rpc.Request):
                peer.answer(message.id, rpc.NULL)
                assert json.loads(peer.outgoing()[-1])["id"] == message.id
        for frame in peer.outgoing():
            assert json.loads(frame)["jsonrpc"] == "2.0"


KINDS = [
    kind
    for kind in vars(wire).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == wire.__name__
]


@given(st.sampled_from(KINDS), st.data())
def test_params_of_any_shape_are_read_or_refused_as_invalid(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(kind)]
    params = data.draw(
        st.dictionaries(st.sampled_from(fields) | schemas.texts, schemas.values, max_size=6) | schemas.values
    )
    try:
        wire.read(Raw(json.dumps(params).encode()), kind, "x")
    except errors.InvalidParams as error:
        assert str(error)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_bytes_of_any_kind_are_cut_into_their_lines(data: bytes, size: int) -> None:
    reader = Lines(most=100)
    found = [line for at in range(0, len(data), size) for line in reader.cut(data[at : at + size])]
    assert found == data.split(b"\n")[:-1]


# Configurations

entries = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("name", "url", "command", "type", "transport", "cwd"), some_text | schemas.values),
        "args": st.lists(some_text, max_size=3) | schemas.values,
        **{
            name: st.dictionaries(some_text, some_text | schemas.values, max_size=2)
            for name in ("env", "headers", "auth")
        },
        **dict.fromkeys(("disabled", "enabled", "timeout", "call_timeout_s", "connect_timeout_s"), schemas.values),
    },
)
listed = st.lists(entries | schemas.values, max_size=3) | st.dictionaries(
    some_text, entries | schemas.values, max_size=3
)
files = st.dictionaries(
    st.sampled_from(["servers", "mcpServers", "mcp_servers", "name"]), listed | schemas.values, max_size=3
)


@given(files | schemas.values)
def test_any_configuration_is_read_or_refused_and_says_so_in_one_line(value: Any) -> None:
    try:
        found = config.parse(json.dumps(value).encode(), "pctx.json")
    except errors.InvalidParams:
        return
    for problem in found.problems:
        assert visible.spelled(problem) == problem
    for server in found.servers:
        assert server.namespace
        assert server.way.shown is not None
