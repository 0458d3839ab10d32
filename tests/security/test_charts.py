"""Charts by allow-list: what is drawn, what is refused, and that Python and TypeScript agree. Real: both checks.

That nothing of it runs or loads in a page is a test of its own: `tests/browser/test_charts.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pctx_jupyter.kernel.output import charts, formulas

from .charts import HARMLESS, HOSTILE, REFUSED_IN_VEGA, WITHOUT_PICTURE, calculated, chart

ROOT = Path(__file__).parent.parent.parent
LAB = ROOT / "labextension"
LITE = charts.LITE[-1]
VEGA = charts.TYPES[0]

HARNESS = """
import { createInterface } from 'node:readline';
import { clean } from %s;
for await (const line of createInterface({ input: process.stdin })) {
  const [type, spec] = JSON.parse(line);
  let made;
  try {
    made = { drawn: clean(type, spec) };
  } catch (error) {
    made = { refused: error.message };
  }
  console.log(JSON.stringify(made));
}
"""


class TypeScript:
    """The check of the JupyterLab extension, in Node."""

    def __init__(self, script: Path) -> None:
        node = shutil.which("node")
        assert node is not None
        self.process = subprocess.Popen([node, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def __call__(self, kind: str, spec: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([kind, spec]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline(), parse_int=float)

    def stop(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TypeScript]:
    """The extension's check, bundled as its own tests are."""
    esbuild = LAB / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists() or shutil.which("node") is None:
        reason = "the extension's packages or Node are missing: python hatch_build.py jlpm install"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("charts")
    source, script = folder / "harness.mjs", folder / "bundled.mjs"
    source.write_text(HARNESS % json.dumps(str(LAB / "src" / "charts" / "check.ts")))
    options = ["--bundle", "--platform=node", "--format=esm", "--log-level=warning", f"--outfile={script}"]
    subprocess.run([esbuild, source, *options], check=True, cwd=LAB)
    running = TypeScript(script)
    yield running
    running.stop()


def python(kind: str, spec: Any) -> Any:
    try:
        return {"drawn": charts.clean(kind, spec)}
    except charts.ChartRefused as error:
        return {"refused": str(error)}


def test_the_list_is_one() -> None:
    ours = ROOT / "pctx_jupyter" / "kernel" / "output" / "charts.json"
    theirs = LAB / "src" / "charts" / "charts.json"
    assert theirs.read_text() == ours.read_text(), f"copy {ours} to {theirs}"


def test_the_corpus_is_large_enough() -> None:
    assert min(len(HARMLESS), len(HOSTILE)) >= 40


@pytest.mark.parametrize("name", HARMLESS)
def test_everyday_chart_is_drawn_as_it_is(name: str, typescript: TypeScript) -> None:
    spec = HARMLESS[name]
    made = charts.clean(LITE, spec)
    if spec.get("width") == "container":  # the one word that a number stands for
        spec = spec | {"width": 600}
    assert without_expressions(made) == without_expressions({k: v for k, v in spec.items() if k != "usermeta"})
    assert charts.clean(LITE, made) == made
    assert typescript(LITE, HARMLESS[name]) == {"drawn": made}


@pytest.mark.parametrize("name", WITHOUT_PICTURE)
def test_chart_without_picture_is_drawn(name: str, typescript: TypeScript) -> None:
    made = charts.clean(LITE, WITHOUT_PICTURE[name])
    assert typescript(LITE, WITHOUT_PICTURE[name]) == {"drawn": made}


def test_a_chart_as_large_as_its_container_gets_a_size(typescript: TypeScript) -> None:
    # The container has the size of the chart: the chart would have none.
    spec = chart(width="container", height="container")
    made = charts.clean(LITE, spec)
    assert (made["width"], made["height"]) == (600, 300)
    assert typescript(LITE, spec) == {"drawn": made}


@pytest.mark.parametrize("member", ["width", "height"])
def test_a_chart_without_width_or_height_is_refused(member: str, typescript: TypeScript) -> None:
    made = python(LITE, chart(**{member: 0}))
    assert "refused" in made
    assert typescript(LITE, chart(**{member: 0})) == made


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_chart_is_refused(name: str, typescript: TypeScript) -> None:
    with pytest.raises(charts.ChartRefused) as error:
        charts.clean(LITE, HOSTILE[name])
    assert error.value.path
    assert typescript(LITE, HOSTILE[name]) == {"refused": str(error.value)}


@pytest.mark.parametrize("name", REFUSED_IN_VEGA)
def test_vega_is_refused_and_says_what_is_drawn(name: str, typescript: TypeScript) -> None:
    with pytest.raises(charts.ChartRefused, match="only Vega-Lite is drawn"):
        charts.clean(VEGA, REFUSED_IN_VEGA[name])
    assert typescript(VEGA, REFUSED_IN_VEGA[name]) == python(VEGA, REFUSED_IN_VEGA[name])


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (HOSTILE["an input with a handler"], "params[0].bind"),
        (HOSTILE["a picture in a style called values"], "mark.type"),
        (HOSTILE["a cursor from elsewhere"], "mark.cursor"),
        (HOSTILE["an expression in a date"], "transform[0].filter.equal.year"),
        (chart(config={"style": {"values": {"url": "x"}}}), "config.style.values.url"),
        (
            {"layer": [{"layer": [chart(encoding={"x": {"axis": {"encoding": {}}}})]}]},
            "layer[0].layer[0].encoding.x.axis.encoding",
        ),
        (chart(config={"style": {"signal": {}}}), "config.style.signal"),
        (chart(nonsense=1), "nonsense"),
    ],
)
def test_the_member_that_refused_is_named(spec: Any, path: str) -> None:
    with pytest.raises(charts.ChartRefused) as error:
        charts.clean(LITE, spec)
    assert error.value.path == path


@pytest.mark.parametrize("spec", [None, 1, "x", [], [{}]])
def test_what_is_no_object_is_no_chart(spec: Any, typescript: TypeScript) -> None:
    assert python(LITE, spec) == typescript(LITE, spec) == {"refused": "it is no object"}


def test_depth_and_size_are_bounded(typescript: TypeScript) -> None:
    deep: Any = chart()
    for _ in range(charts.MOST_DEPTH):
        deep = {"layer": [deep]}
    data: Any = 1
    for _ in range(charts.MOST_DEPTH + 1):
        data = [data]
    for spec in (deep, chart() | {"data": {"values": [data]}}, {"layer": [chart()] * 10_000}):
        made = python(LITE, spec)
        assert "refused" in made
        assert typescript(LITE, spec) == made


def test_names_that_javascript_would_not_take_for_names_are_left_out_of_data() -> None:
    spec = chart() | {"data": {"values": [{"__proto__": {"a": 1}, "b": {"__proto__": 1, "c": 2}}]}}
    assert charts.clean(LITE, spec)["data"] == {"values": [{"b": {"c": 2}}]}


# Expressions


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("datum.a", "datum.a"),
        (" datum [ 'a b' ] . c [0]", 'datum["a b"].c[0]'),
        ("1+2*3 - -4", "(1 + (2 * 3)) - (-4)"),
        ("!datum.a||datum.b&&true?'x':\"y\"", '((!datum.a) || (datum.b && true)) ? "x" : "y"'),
        ("a ? b : c ? 1 : 2", "a ? b : (c ? 1 : 2)"),
        ("'\\x41\\u0042\\'\\\\\\n\u2028é'", '"AB\'\\\\\\n\\u2028\\u00e9"'),
        ("if(isValid(datum.a), max(1, .5e3), NaN)", "if(isValid(datum.a), max(1, .5e3), NaN)"),
        ("format(datum.a, '.2f')", 'format(datum.a, ".2f")'),
        ("replace(datum.a, datum.b, 'x')", 'replace(datum.a, "" + datum.b, "x")'),
        ("pad(datum.a, 9, '0')", 'pad(datum.a, 9, "0")'),
        ("[1, datum.a][1]", "[1, datum.a][1]"),
        ("datum.größe", 'datum["gr\\u00f6\\u00dfe"]'),
        ("a.x[0] >>> 1 === 2", "(a.x[0] >>> 1) === 2"),
    ],
)
def test_expression_is_written_anew(source: str, written: str, typescript: TypeScript) -> None:
    spec = calculated(source) | {"params": [{"name": name, "value": 1} for name in "abc"]}
    made = charts.clean(LITE, spec)
    assert made["transform"][0]["calculate"] == written
    assert typescript(LITE, spec) == {"drawn": made}


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 2",
        "1..a",
        "0x10",
        "1a",
        "datum.",
        "datum.1",
        "datum.a(1)",
        "datum[datum.a]",
        "datum[-1]",
        "datum[1.5]",
        "datum['__proto__']",
        "datum.a['const' + 'ructor']",
        "datum['\\u0063onstructor']",
        "'x'.length",
        "'x'['at']",
        "(1).toFixed",
        "[1].map",
        "max.call(1)",
        "max",
        "toString.constructor",
        "event",
        "item.mark",
        "parent",
        "this",
        "window",
        "globalThis",
        "x => x",
        "datum.a = 1",
        "datum.a++",
        "a; b",
        "a, b",
        "new Date()",
        "function () {}",
        "`x`",
        "/x/",
        "{}",
        "[...datum]",
        "delete datum.a",
        "typeof datum",
        "datum instanceof max",
        "'a",
        "'a\nb'",
        "1 /* x */",
        "1 // x",
        "\\u0065vent",
        "data('x')",
        "scale('x', 1)",
        "eval('1')",
        "regexp('a')",
        "test('a', 'b')",
        "sequence(1, 2)",
        "format(1, datum.f)",
        "format(1, '999999d')",
        "pad('x', datum.n)",
        "pad('x', 101)",
        "pad('x', 1e9)",
        "(" * 50 + "1" + ")" * 50,
        "-" * 50 + "1",
        "1" + "+1" * 1_000,
        "'" + "x" * 5_000 + "'",
    ],
)
def test_expression_outside_the_grammar_is_refused(source: str, typescript: TypeScript) -> None:
    made = python(LITE, calculated(source))
    assert made["refused"].startswith('its "transform[0].calculate" is an expression that a chart may not have: ')
    assert typescript(LITE, calculated(source)) == made


# Anything


WORDS = sorted(
    {"datum", "event", "constructor", "url", "href", "bind", "signal", "expr", "__proto__", "a", "x", "year"}
)
PIECES = [
    "datum",
    ".",
    "[",
    "]",
    "(",
    ")",
    "'a'",
    '"b"',
    "1",
    "+",
    "?",
    ":",
    ",",
    "event",
    "constructor",
    "max",
    "format",
    "!",
    "{",
    "\\",
    "é",
    " ",
]
expressions = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.sampled_from(WORDS), expressions, st.just(f"url({HOSTILE})"[:20]),
)  # fmt: skip


def members_of(kinds: dict[str, Any]) -> list[str]:
    named = (kind.get("members", {}).values() for kind in kinds.values())
    return sorted({name for names in named for member in names for name in member.split()} | set(WORDS))


KINDS = json.loads((ROOT / "pctx_jupyter" / "kernel" / "output" / "charts.json").read_text())["kinds"]
MEMBERS = members_of(KINDS)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4)),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something may be put into a chart."""
    yield path
    for key in range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ():
        yield from places(value[key], (*path, key))


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """An everyday chart, or any object, with something put into it."""
    spec = json.loads(json.dumps(HARMLESS[draw(st.sampled_from(sorted(HARMLESS)))]))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(spec))))
        inner = spec
        for key in path[:-1]:
            inner = inner[key]
        target = inner[path[-1]] if path else spec
        if isinstance(target, dict):
            target[draw(st.sampled_from(MEMBERS))] = draw(anything)
        elif path:
            inner[path[-1]] = draw(anything)
    return spec


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(spec=st.one_of(spoilt(), anything))
def test_any_chart_is_refused_or_made_of_the_list(spec: Any, typescript: TypeScript) -> None:
    made = python(LITE, spec)
    assert typescript(LITE, spec) == json.loads(json.dumps(made), parse_int=float)  # JavaScript's numbers
    if "drawn" in made:
        assert charts.clean(LITE, made["drawn"]) == made["drawn"]
        assert_harmless(made["drawn"])


@pytest.mark.fuzz
@given(expressions)
def test_any_expression_is_refused_or_written_so_that_it_is_the_same_again(source: str) -> None:
    words = formulas.Vocabulary({"max": "plain", "format": "format"}, {"true"}, {"a"}, FORMAT)
    try:
        written = formulas.rewritten(source, words)
    except ValueError:
        return
    assert written.isascii()
    assert not {"event", "constructor", "{", "`", "="} & set(without_texts(written))
    assert formulas.rewritten(written, words) == written


FORMAT = re.compile(KINDS["format"]["text"])


def without_texts(written: str) -> list[str]:
    """The tokens of an expression that are no texts."""
    return [token for token in formulas._TOKEN.sub(lambda found: f" {found[0]} ", written).split() if token[0] != '"']


def assert_harmless(part: Any, *, is_data: bool = False) -> None:
    """Look for what must not be there, by names of its own."""
    if isinstance(part, list):
        for item in part:
            assert_harmless(item, is_data=is_data)
    elif isinstance(part, dict) and not is_data:
        assert not part.keys() & {"url", "href", "element", "loader", "usermeta", "signal", "signals", "marks", "src"}
        assert part.get("bind") in (None, "scales", "legend")
        for name in ("cursor", "font", "fill", "stroke", "color", "background"):
            assert "(" not in str(part.get(name) if isinstance(part.get(name), str) else "").replace(
                "rgb(", ""
            ).replace("hsl(", "")
        for name, member in part.items():
            assert_harmless(member, is_data=name in ("values", "datasets"))


def without_expressions(part: Any) -> Any:
    """The same, its expressions left out: they are written anew."""
    if isinstance(part, list):
        return [without_expressions(item) for item in part]
    if isinstance(part, dict):
        hidden = {"expr", "calculate", "labelExpr", "test", "filter"}
        return {name: ... if name in hidden else without_expressions(member) for name, member in part.items()}
    return ... if isinstance(part, str) and ("datum" in part or "&&" in part) else part
