"""What a cell shows: bundles built from values. All is real but the front end, for which an HTML parser stands."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from IPython.core.formatters import DisplayFormatter
from markdown_it import MarkdownIt
from msgspec import Raw
from nbconvert import MarkdownExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

from pctx_jupyter.errors import Failure
from pctx_jupyter.kernel.output import branches, display, sortable, timeline, tree, whole
from pctx_jupyter.kernel.output.markup import STYLE, escape, visible, without_commands
from pctx_jupyter.kernel.output.sanitizer import safe
from pctx_jupyter.program.diagnostics import code_frame
from pctx_jupyter.program.result import Display
from pctx_jupyter.session.trace import CallRecord, CheckRecord, Trace
from pctx_jupyter.tools.tool import Tool

ALLOWED_TAGS = {"style", "div", "span", "pre", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "br"}
ALLOWED_ATTRIBUTES = {"class", "open", "title"}

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<math><mtext></math><style>@import 'http://x'</style>",
    "</style><base href=//x>",
    "</pre></div></td><form action=//x>",
    "<meta http-equiv=refresh content='0;url=//x'>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "&lt;script&gt;",
    "[x](javascript:alert(1)) ![y](http://x/y.png) $\\href{javascript:1}{x}$",
    "\x1b]8;;http://x\x07link\x1b]8;;\x07\x1b[31mred\x1b[2J\x1b]0;title\x07",
    "over\rwritten\x08\x00\x7f\x9b31m",
    "user\u202egnp.exe \u2066x\u2069 \u200bzero \ufeff \u2028",
    "\ud800half",
    "x" * 50_000,
    "\n" * 5_000,
    "\n\n![x](http://x/y.png)\n\n[x](http://x)\n\r\n\r![x](http://x/y.png)\n",
]


CHART = "application/vnd.vegalite.v5+json"


class Seen(HTMLParser):
    """Collects what a browser would make of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.styles: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def seen(bundle: display.Bundle) -> Seen:
    found = Seen(bundle["text/html"])
    assert found.tags <= ALLOWED_TAGS
    assert found.attributes <= ALLOWED_ATTRIBUTES
    assert found.styles == [STYLE]
    assert found.open == []
    return found


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def shown(value: object) -> display.Bundle:
    return display.result(raw(value))


def tool(name: str = "load_orders", description: str = "Load orders.", **schemas: object) -> Tool:
    return Tool("Notebook", name, description, **schemas)  # type: ignore[arg-type]


def every_sink(text: str) -> dict[str, display.Bundle]:
    hostile = tool(
        description=text,
        input_schema={"type": "object", "properties": {text: {"type": "string", "description": text, "default": text}}},
        output_schema={"enum": [text]},
    )
    failed = Failure(text, text, 1, 1, text, text)
    return {
        "string": display.result(raw(text), text + "\n"),
        "value": display.result(raw([[text]]), [[text]]),
        "key": display.result(raw({text: [text]}), {text: [text]}),
        "table": display.result(raw([{text: text}]), [{text: text}]),
        "failure": display.failure(failed, text),
        "failure without frame": display.failure(Failure(text, text, stack=text)),
        "catalog": display.catalog([hostile]),
        "details": display.details(hostile),
        "status": display.status({text: text}),
        "help": display.help({text: [(text, text)]}),
        "frame": display.frame({"rows": 1, "columns": {text: text}, "first": [{text: text}]}, "here") or {},
        "empty frame": display.frame({"rows": 0, "columns": {text: text}, "first": []}, "here") or {},
        "array": display.handle({"kind": "array", "shape": [9], "dtype": text, "first": [text]}),
        "file": display.handle({"kind": "file", "name": text, "size": 1}),
        "object": display.handle({"text": text, "type": text}),
        "object of a type alone": display.handle({"type": text}),
        "chart": safe(Display(raw({CHART: {"title": text, "mark": "bar", "data": {"values": [{"a": 1}]}}})))[0],
    }


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_hostile_text_is_text_in_every_sink(text: str) -> None:
    for name, bundle in every_sink(text).items():
        if "text/html" in bundle:
            html = seen(bundle)
            assert not set("\x1b\x9b\x07\x08\x00\r\u202e\u2066\u2028\ufeff") & set(html.text), name
            assert len(bundle["text/html"].encode()) <= display.MOST_HTML, name
        assert not set("\x1b\x9b\x07\x08\x00\r\u202e\u2066\u2028\ud800") & set(bundle["text/plain"]), name
        for content in bundle.values():
            (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()


@pytest.mark.parametrize("text", [HOSTILE[11], HOSTILE[-1]], ids=["line", "lines"])
def test_hostile_text_is_text_in_markdown_that_nbconvert_exports(text: str) -> None:
    html = {"text/html": f"<p>seen</p><pre>{text}</pre>"}
    shown = [
        *every_sink(text).values(),
        *(safe(Display(raw(one)))[0] for one in (html, {"text/markdown": f"~~~\n{text}"})),
    ]
    outputs = [new_output("display_data", data=bundle) for bundle in shown if "text/html" in bundle]
    written, _ = MarkdownExporter().from_notebook_node(new_notebook(cells=[new_code_cell("", outputs=outputs)]))
    page = MarkdownIt("commonmark", {"html": True}).render(written)
    assert len(outputs) > 10 and "seen" in page and not re.search("<img|<a ", page)


def test_text_is_shown_word_for_word_in_html() -> None:
    for text in HOSTILE[:12]:
        assert text in seen(display.failure(Failure("Error", text))).text
        assert text in seen(display.result(raw(text), text + "\n")).text


def test_hidden_characters_are_spelled_and_stand_out() -> None:
    assert visible("a\u202eb\u200b\U000e0041\x00") == "a\\u202eb\u200b\\u{e0041}\\u0000"
    assert visible("a\u200bb\u2800", is_name=True) == "a\\u200bb\\u2800"
    assert escape("a\u202e<") == 'a<span class="pctx-hidden">\\u202e</span>&lt;'
    assert visible("👩‍👧 تست\tنیم‌فاصله\n") == "👩‍👧 تست\tنیم‌فاصله\n"
    assert without_commands("\x1b[1;31mred\x1b[0m\x1b]0;t\x07\x1b]8;;u\x1b\\link\x1bc\r\n") == "redlink\n"


# Results


SCALARS = [(42, "42"), (1.5, "1.5"), (None, "null"), (True, "true"), ("word", '"word"'), ([], "[]"), ({}, "{}")]


@pytest.mark.parametrize(("value", "text"), SCALARS)
def test_value_without_parts_is_its_json_and_no_markup(value: object, text: str) -> None:
    assert shown(value) == {"text/plain": text}


def test_small_value_stays_on_one_line_and_a_larger_one_is_indented() -> None:
    assert shown({"a": [1, {"b": None}]})["text/plain"] == '{"a": [1, {"b": null}]}'
    assert shown({"name": "x" * 60, "orders": [{"id": 1, "n": "y" * 40}, {"id": 2, "n": "é"}]})["text/plain"] == (
        f'{{\n  "name": "{"x" * 60}",\n  "orders": [{{"id": 1, "n": "' + "y" * 40 + '"}, {"id": 2, "n": "é"}]\n}'
    )


def test_what_is_shown_whole_is_json() -> None:
    value = {"rows": [{"id": number, "text": "x" * 30, "deep": {"a": [number]}} for number in range(8)], "n": -3e-9}
    assert json.loads(shown(value)["text/plain"]) == value


def test_what_is_cut_says_its_size() -> None:
    bundle = shown(list(range(100_000)))
    assert bundle["text/plain"].endswith("  … 99,941 more\n]\n(100,000 items, 688.9 kB of JSON, shown in part)")
    assert "100,000 items, 688.9 kB of JSON, shown in part" in seen(bundle).text
    assert len(bundle["text/plain"].split("\n")) <= tree.TEXT_LINES + 3
    assert shown("x" * 5000)["text/plain"].endswith('x"… (5,000 characters)\n(5.0 kB of JSON, shown in part)')


def test_text_is_cut_at_every_level() -> None:
    value = {f"key{n}": {f"inner{m}": ["x" * 90] * 50 for m in range(50)} for n in range(50)}
    text = shown(value)["text/plain"]
    assert len(text.split("\n")) < 100
    assert "more" in text


def test_depth_and_width_are_bounded() -> None:
    value: object = "end"
    for _ in range(400):
        value = {"a": [value]}
    bundle = display.result(raw(1), value)
    assert "[…]" in bundle["text/plain"] or "{…}" in bundle["text/plain"]
    assert "shown in part" in bundle["text/plain"]
    seen(bundle)
    for big in ([["x" * 900] * 50] * 500, {str(n): {"a": "y" * 999} for n in range(5000)}, ["z" * 10_000_000]):
        bundle = display.result(raw(1), big)
        assert len(bundle["text/html"].encode()) <= display.MOST_HTML
        assert len(bundle["text/plain"]) < 100_000
        seen(bundle)


def test_huge_integer_is_named_by_its_bits() -> None:
    assert "an integer of 33,220 bits" in display.result(raw(1), [10**10_000])["text/plain"]


def test_tree_opens_and_closes() -> None:
    bundle = shown({"name": "Ann", "tags": ["a", "b"], "orders": [{"lines": [{"sku": "x" * 80}]}] * 3})
    html = seen(bundle)
    assert {"details", "summary"} <= html.tags
    assert "tags: [2]" in html.text
    assert 'name: "Ann"' in html.text
    assert bundle["text/html"].count("<details open>") == 2


def test_rows_are_a_table_with_a_count() -> None:
    rows = [{"id": n, "name": "Ann", "tags": ["x"] if n % 2 else None} for n in range(300)]
    bundle = shown(rows)
    html = seen(bundle)
    assert "table" in html.tags
    assert "first 20 of 300 rows × 3 columns" in html.text
    assert bundle["text/html"].count("<tr>") == 21
    assert '["x"]' in html.text
    assert "300 items" in bundle["text/plain"]


def test_rows_are_data_too_for_front_ends_that_draw_tables() -> None:
    rows = [{"id": 2**53 + 1, "name": "x" * 300, "tags": [1, 2], "ok": True}, {"id": 1, "name": None}]
    assert shown(rows)[sortable.MIME] == {
        "columns": ["id", "name", "tags", "ok"],
        "rows": [["9007199254740993", "x" * 300, {"json": "[1, 2]"}, True], [1, None, {}, {}]],
        "total": 2,
    }
    assert shown([{"id": 1}])[sortable.MIME]["total"] == 1


def test_a_cut_table_has_a_round_number_of_rows_and_is_kept_whole() -> None:
    rows = [{"id": n, "text": "é" * 100} for n in range(10_000)]
    many = shown(rows)[sortable.MIME]
    assert (many["total"], len(many["rows"])) == (10_000, 100)
    assert len(json.dumps(many)) <= 100_000
    kept = whole.rows(many["id"])
    assert kept is not None and kept["rows"] == [[n, "é" * 100] for n in range(10_000)]


def test_cut_texts_are_whole_in_the_kept_table() -> None:
    table = shown([{"text": "x" * 501}])[sortable.MIME]
    assert table["rows"] == [["x" * 500 + "…"]] and table["cut"] is True
    kept = whole.rows(table["id"])
    assert kept is not None and kept["rows"] == [["x" * 501]]


def test_kept_tables_are_bounded_and_the_oldest_is_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "MOST_BYTES", 25)
    first, second, third = (whole.keep(raw([{"a": n}])) for n in range(3))  # ten bytes each
    assert whole.rows(first) is None
    assert whole.rows(second) and whole.rows(third)
    assert whole.keep(raw([{"a": "x" * 30}])) is None
    for unknown in (None, "", "x", 1, ["x"]):
        assert whole.rows(unknown) is None
    whole.forget()
    assert whole.rows(third) is None


def test_rows_with_a_note_say_their_size_and_that_of_the_table_whose_first_rows_they_are() -> None:
    bundle = display.with_note([{"id": 1, "name": "a"}], "of a frame", 1_000)
    assert "first 1 of 1,000 rows × 2 columns" in seen(bundle).text and "of a frame" in seen(bundle).text
    assert bundle[sortable.MIME] == {
        "columns": ["id", "name"],
        "rows": [[1, "a"]],
        "total": 1_000,
        "note": "of a frame",
    }


def test_a_value_with_parts_is_data_too_with_notes_on_what_json_cannot_have() -> None:
    value = {"id": 2**53 + 1, "n": [float("nan"), 1.5, True, None], "text": "x" * 1001, "half": "\ud800"}
    data = display.result(raw(1), value)[branches.MIME]
    assert data.pop("id")  # of the whole value, because a text is cut
    assert data == {
        "value": {"id": None, "n": [None, 1.5, True, None], "text": "x" * 1000, "half": "?"},
        "texts": [[["id"], "9007199254740993"], [["n", 0], "NaN"]],
        "cut": [[["text"], 1001]],
    }
    assert shown({"a": [1, "b"]})[branches.MIME] == {"value": {"a": [1, "b"]}}


def test_the_data_of_a_value_of_any_size_and_depth_is_bounded() -> None:
    deep: object = "end"
    for _ in range(400):
        deep = {"a": [deep]}
    many = [float("nan")] * 100_000
    for big in (
        [["x" * 900] * 50] * 500,
        {str(n): {"é" * 99: "y" * 999} for n in range(5000)},
        [2**70] * 9999,
        many,
        deep,
    ):
        data = display.result(raw(1), big)[branches.MIME]
        assert len(json.dumps(data, ensure_ascii=False).encode()) <= 2 * branches.MOST_JSON
        assert data["cut"] and data["id"]


def test_a_part_of_a_kept_value_is_copied_as_json_and_a_text_as_it_is() -> None:
    id = whole.keep(raw({"a": [{"b": "x\ny"}, 1]}))
    assert whole.text(id, []) == '{\n  "a": [\n    {\n      "b": "x\\ny"\n    },\n    1\n  ]\n}'
    assert whole.text(id, ["a", 0, "b"]) == "x\ny"
    assert whole.text(id, ["a", 1]) == "1"
    for path in (["b"], ["a", 2], ["a", -1], ["a", "0"], [0], ["a", 1, 0], ["a", True]):
        assert whole.text(id, path) is None
    assert whole.text("unknown", []) is None


NUMBERS = [
    (0.1 + 0.2, "0.3"),
    (1234567.891, "1234568"),
    (52.370216123456789, "52.3702"),
    (-0.000123456789, "-0.000123457"),
    (1.5e-9, "1.5e-09"),
    (2.5e20, "2.5e+20"),
    (12345678901234567890, "12345678901234567890"),
    (3.0, "3"),
    (True, "true"),
]


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_numbers_of_a_table_have_six_significant_digits_and_whole_ones_all(value: float, text: str) -> None:
    assert f">{text}</td>" in shown([{"a": value, "b": 1}])["text/html"]


def test_the_digits_that_a_table_leaves_out_are_in_a_title() -> None:
    html = shown([{"a": 52.370216123}, {"a": 1.5}])["text/html"]
    assert 'title="52.370216123">52.3702<' in html and html.count("title=") == 1


NO_TABLES = [
    [1, 2],
    [{"a": 1}, 2],
    [{}],
    [{f"c{n}": n for n in range(201)}],
    [{"a": {"b": 1}, "c": [1]}],
    [[1]],
    {"a": {"b": 1}},
]


@pytest.mark.parametrize("value", NO_TABLES, ids=str)
def test_what_is_not_rows_is_no_table(value: object) -> None:
    assert "table" not in seen(shown(value)).tags


def test_rows_with_different_keys_leave_cells_empty() -> None:
    bundle = shown([{"a": 1}, {"b": "x"}])
    assert "<td></td>" in bundle["text/html"]


def test_the_variable_of_a_value_is_named_in_a_short_quiet_line() -> None:
    bundle = display.stored("total")
    assert bundle["text/plain"] == "→ total"
    assert "pctx-dim" in bundle["text/html"] and len(bundle["text/html"]) < 100


def test_value_decoded_already_is_not_decoded_again() -> None:
    assert display.result(Raw(b"not read"), [1])["text/plain"] == "[1]"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"rows": 1, "columns": {"a": "Int64"}, "first": [{"a": 1}]}, "Frame of 1 row × 1 column, here: a Int64"),
        ({"rows": 0, "columns": {}, "first": [], "more_columns": 2}, "Frame of 0 rows × 2 columns, here: , and 2 more"),
        ({"id": "x", "columns": ["a"], "steps": []}, None),
        ({"rows": "<b>", "columns": {}, "first": []}, None),
    ],
)
def test_a_frame_is_shown_as_far_as_its_handle_describes_it(body: dict[str, object], text: str | None) -> None:
    shown = display.frame(body, "here")
    assert text in shown["text/plain"] if shown is not None and text is not None else shown is text


@pytest.mark.parametrize(("shape", "shown"), [([1], "1: 5"), ([], "one element: 5"), ([2, 3], "2 × 3: 5, …")])
def test_an_array_says_whether_it_has_more_elements_than_are_shown(shape: list[int], shown: str) -> None:
    said = display.handle({"kind": "array", "shape": shape, "dtype": "i8", "first": [5]})["text/plain"]
    assert said.replace(" of i8, in the notebook", "") == f"Array {shown}"


def test_ipython_shows_the_bundle_and_a_list_the_text() -> None:
    one = display.Shown(shown({"a": [1]}))
    data, _ = DisplayFormatter().format(one)
    assert data == one.bundle
    assert repr([one]) == '[{"a": [1]}]'


# Failures


def test_failure_shows_place_frame_and_python_traceback() -> None:
    code = "const a = 1;\nconsole.log(totl);\na"
    failed = Failure("ReferenceError", "totl is not defined", 2, 13, code_frame(code, 2, 13, 4), stack="at x")
    bundle = display.failure(failed, "Traceback (most recent call last):\n  Cell In[1], line 2\nValueError: no")
    assert bundle["text/plain"] == (
        "ReferenceError: totl is not defined\n"
        "  at line 2, column 13\n\n"
        "  1 | const a = 1;\n"
        "> 2 | console.log(totl);\n"
        "    |             ^^^^\n"
        "  3 | a\n\n"
        "Traceback (most recent call last):\n"
        "  Cell In[1], line 2\n"
        "ValueError: no"
    )
    text = seen(bundle).text
    for part in ("ReferenceError: totl is not defined", "at line 2, column 13", "console.log(totl);", "Cell In[1]"):
        assert part in text


def test_each_further_problem_follows_the_place_and_the_code_of_the_first() -> None:
    message = "no x\nin a type\nline 5, column 2: no y\nline 7, column 1: no z"
    shown = display.failure(Failure("TypeError", message, 3, 12, "> 3 | x"))
    first = "TypeError: no x\nin a type\n  at line 3, column 12\n\n> 3 | x"
    assert shown["text/plain"] == f"{first}\n\nline 5, column 2: no y\nline 7, column 1: no z"
    html = shown["text/html"]
    assert html.index("at line 3") < html.index("&gt; 3") < html.index("line 5, column 2: no y") < html.index("line 7")


def test_failure_without_place_shows_its_stack() -> None:
    bundle = display.failure(Failure("", "boom", stack="at f (program.ts:1:1)"))
    assert bundle["text/plain"] == "boom\n\nat f (program.ts:1:1)"
    assert "at f (program.ts:1:1)" in seen(bundle).text


def test_long_message_keeps_both_ends() -> None:
    text = display.failure(Failure("E", "a" * 9_000 + "b" * 9_000))["text/plain"]
    assert text.startswith("E: aaa")
    assert text.endswith("bbb")
    assert "8,000 characters left out" in text


# Catalogs


ORDERS = {
    "type": "object",
    "properties": {"status": {"type": "string", "description": "Only these."}},
    "additionalProperties": False,
}


def test_catalog_lists_calls_and_first_sentences_by_name() -> None:
    bundle = display.catalog(
        [
            tool("z", "Last.\n\nNot this."),
            tool(input_schema=ORDERS, output_schema={"type": "array", "items": {"type": "number"}}),
        ]
    )
    assert bundle["text/plain"].split("\n")[:2] == [
        "Notebook.loadOrders(args?: { status?: string }): Promise<number[]>",
        "    Load orders.",
    ]
    html = seen(bundle)
    assert "Notebook.loadOrders(args?: { status?: string })" in html.text
    assert "Last." in html.text
    assert "Not this." not in html.text


def test_a_tool_of_a_notebook_with_a_namesake_shows_the_path_in_the_catalog_and_its_details() -> None:
    other = replace(tool("load", "Loads."), notebook="b/sales.ipynb")
    listed = display.catalog([], [other])
    assert "Loads. · b/sales.ipynb" in listed["text/plain"] and "Loads. · b/sales.ipynb" in seen(listed).text
    shown = display.details(other)
    assert "of the notebook b/sales.ipynb" in shown["text/plain"] and "b/sales.ipynb" in seen(shown).text


def test_empty_catalog_says_how_to_fill_it() -> None:
    assert "@tool" in display.catalog([])["text/plain"]


def test_large_catalog_is_cut_with_a_count() -> None:
    bundle = display.catalog(tool(f"tool_{n:05}") for n in range(5_000))
    assert "200 of 5,000 tools" in bundle["text/plain"]
    assert "200 of 5,000 tools" in seen(bundle).text


def test_details_show_the_declaration_and_the_registered_name() -> None:
    bundle = display.details(tool(input_schema=ORDERS))
    for text in (bundle["text/plain"], seen(bundle).text):
        assert "Notebook.loadOrders" in text
        assert "registered as Notebook.load_orders" in text
        assert "function loadOrders(args?: {" in text
        assert "/** Only these. */" in text


def test_status_and_help_are_aligned_text_and_tables() -> None:
    assert display.status({"engine": "embedded", "why": "no server"})["text/plain"] == (
        "engine  embedded\nwhy     no server"
    )
    bundle = display.help({"Cells": [("%%pctx [-o NAME]", "Run it.")], "Lines": [("%pctx tools", "List them.")]})
    assert bundle["text/plain"] == (
        "Cells\n  %%pctx [-o NAME]\n      Run it.\n\nLines\n  %pctx tools\n      List them."
    )
    assert "%%pctx [-o NAME]" in seen(bundle).text


def test_the_style_that_is_saved_with_each_output_is_small_and_loads_nothing() -> None:
    for style in (STYLE, timeline.STYLE):
        assert len(f"<style>{style}</style>") <= 300
        assert not re.search("url|@|<", style)


def test_the_extension_styles_every_class_of_an_output() -> None:
    rules = (Path(__file__).parents[3] / "labextension" / "style" / "values.css").read_text()
    for name, bundle in every_sink("a\u202e\nb").items():
        for found in re.findall(r'class="([^"]*)"', bundle.get("text/html", "")):
            for one in set(found.split()) - {"mathjax_ignore", "tex2jax_ignore"}:
                assert f".{one}" in rules, name


def test_the_outputs_of_a_small_program_take_little_room_in_a_notebooks_file() -> None:
    call = CallRecord(1, "Notebook.add", 0.003, 0.005, arguments='{"a":1,"b":2}', argument_bytes=13, result="3")
    check = CheckRecord("passed", 0.04)
    run = Trace(
        id="e", code="x", asked_by="cell", state="ok", started_at=0.0, duration_s=0.05, calls=[call], check=check
    )
    outputs = [timeline.bundle(run), shown({"total": 3, "parts": [1, 2]})]
    assert len(json.dumps(outputs)) <= 4_000


def test_a_program_that_somebody_is_told_of_is_shown_with_what_terminal_commands_would_hide() -> None:
    shown = display.notice("head", [], "/* \x1b]0; */ await evil(); /* \x07 */ await nice()")["text/html"]
    assert "*/ await evil(); /*" in shown and "await nice()" in shown
    assert "\x1b" not in shown and "\x07" not in shown


@pytest.mark.parametrize("unseen", ["\ufe00", "\u3164", "\U000e0041", "\U000e0100", "\U0001d173"])
def test_a_name_has_nothing_in_it_that_is_not_seen(unseen: str) -> None:
    assert unseen not in visible(f"send{unseen}", is_name=True)
    assert unseen not in escape(f"send{unseen}", is_name=True)


def test_no_output_is_taken_for_formulas_by_any_mathjax() -> None:
    shown = display.result(Raw(b'[{"a":"$x$"}]'))["text/html"]
    assert re.search('<div class="pctx-out mathjax_ignore tex2jax_ignore">', shown)
