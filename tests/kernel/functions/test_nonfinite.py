"""NaN, the infinities and large integers between cells and programs. Everything is real: kernel, Deno, engine."""

# ruff: noqa: E501
# A case stands on one line where that shows it best.
from __future__ import annotations

import pytest

from ..real_kernel import RealKernel

SETUP = """
import math
from dataclasses import dataclass
import numpy as np, pandas as pd, polars as pl, pydantic
from pctx_jupyter import tool

@dataclass
class Fit:
    slope: float
    errors: list[float]

class Model(pydantic.BaseModel):
    score: float
    note: float | None = None

nan, inf = float("nan"), float("inf")

@tool
def number(which: str) -> float:
    return {"nan": nan, "inf": inf, "-inf": -inf}[which]

@tool
def fit() -> Fit:
    return Fit(nan, [1.5, inf])

@tool
def scores() -> list[Model]:
    return [Model(score=nan), Model(score=1)]

@tool
def column() -> pd.DataFrame:
    return pd.DataFrame({"a": [1.5, None, inf]})

@tool
def same(x: float) -> float:
    seen.append(x)
    return x

@tool
def same_fit(x: Fit) -> Fit:
    seen.append(x)
    return x

@tool
def anything(x):
    seen.append(x)
    return x

seen = []
"""


@pytest.fixture(scope="module")
def cells(kernel: RealKernel) -> RealKernel:
    assert kernel.run(SETUP).error is None
    return kernel


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ('Number.isNaN(await Notebook.number({ which: "nan" }))', "true"),
        ('(await Notebook.number({ which: "inf" })) + 1', "Infinity"),
        ('[1, await Notebook.number({ which: "-inf" })]', "[1, -Infinity]"),
        ("await Notebook.fit()", '{"slope": NaN, "errors": [1.5, Infinity]}'),
        ("await Notebook.same_fit({ x: await Notebook.fit() })", '{"slope": NaN, "errors": [1.5, Infinity]}'),
        ("(await Notebook.scores()).map((one) => one.score + 1)", "[NaN, 2]"),
        ("await Notebook.same({ x: NaN })", "NaN"),
        ("await Notebook.anything({ x: [NaN, '#NaN', '##', { '#NaN': -1 / 0 }] })", '[NaN, "#NaN", "##", {"#NaN": -Infinity}]'),
        ("await Notebook.anything({ x: { '$pctx.nonfinite': '#NaN' } })", '{"$pctx.nonfinite": "#NaN"}'),
        ("({ '$pctx.nonfinite': '#NaN' })", '{"$pctx.nonfinite": "#NaN"}'),
        ("({ '$pctx.nonfinite': NaN })", '{"$pctx.nonfinite": NaN}'),
        ("(await Notebook.column()).map((row) => row.a)", "[1.5, null, Infinity]"),
        ("new Float32Array([NaN, 1])", "[NaN, 1]"),
        ("new Map([['a', NaN]])", '{"a": NaN}'),
        ("Object(NaN)", "NaN"),
        ("NaN", "NaN"),
    ],
)  # fmt: skip
def test_a_number_that_json_lacks_is_the_same_number_on_both_sides(cells: RealKernel, program: str, value: str) -> None:
    cell = cells.run(f"%%pctx -o got\n{program}")
    assert (cell.error, cell.value) == (None, value), cell.traceback
    assert cells.run("%%pctx -i got\ngot").value == value


def test_python_receives_the_float(cells: RealKernel) -> None:
    cells.run("seen.clear()")
    cells.run(
        "%%pctx\nawait Notebook.same({ x: NaN }); await Notebook.same_fit({ x: { slope: -Infinity, errors: [] } })"
    )
    assert cells.run("seen").value == "[nan, Fit(slope=-inf, errors=[])]"


def test_inputs_are_typed_as_numbers_and_stay_them(cells: RealKernel) -> None:
    cells.run("data = {'x': nan, 'list': [1.0, inf], 'array': np.array([nan, 2.0])}")
    cell = cells.run(
        "%%pctx -i data\nconst x: number = data.x; const list: number[] = data.list;\n"
        "[Number.isNaN(x), list[1], data.array.filter((n) => !Number.isNaN(n))]"
    )
    assert (cell.error, cell.value) == (None, "[true, Infinity, [2]]"), cell.traceback


def test_what_a_cell_keeps_and_displays_has_them_too(cells: RealKernel) -> None:
    assert cells.run("%%pctx --keep\nconst limits = { low: -Infinity, high: NaN };").text("stderr") == ""
    cell = cells.run("%%pctx\nawait Deno.jupyter.display([{ low: limits.low, high: limits.high }]); limits.low")
    assert cell.value == "-Infinity"
    assert next(one["text/plain"] for one in cell.shown if one["text/plain"]) == '[{"low": -Infinity, "high": NaN}]'


def test_the_timeline_and_a_refusal_name_the_number(cells: RealKernel) -> None:
    cells.run("@tool\ndef count(n: int) -> int:\n    return n")
    cell = cells.run("%%pctx\nawait Notebook.count({ n: NaN })")
    assert "arguments.n: expected a finite number, got NaN" in cell.traceback


LARGE = [
    ("[{'id': 2**53 + 1}]", "[0].id is 9007199254740993, beyond 2**53"),
    ("[-(10**400)]", "[0] is -1" + 58 * "0" + "…, beyond 2**53"),
    ("2**70 + 1", " is 1180591620717411303425, beyond 2**53"),
    ("[{'x': float('nan'), 'id': 2**53 + 1}]", "[0].id is 9007199254740993, beyond 2**53"),
    ("[1, {'a b': [2**60 + 1, 2**60 + 3]}]", '[1]["a b"][0] is 1152921504606846977, beyond 2**53'),
    ("pd.DataFrame({'id': [1, 2**62 + 1]})", "[1].id is 4611686018427387905, beyond 2**53"),
    ("__import__('msgspec').Raw(b'[1.5, -1e400]')", "[1] is -1e400, beyond 2**53"),
]


@pytest.mark.parametrize(("value", "place"), LARGE)
def test_a_rounded_integer_of_a_tool_is_named_once(cells: RealKernel, value: str, place: str) -> None:
    cells.run(f"@tool\ndef ids():\n    return {value}")
    cell = cells.run("%%pctx\nawait Notebook.ids(); await Notebook.ids(); 1")
    said = cell.text("stderr")
    assert f"The result of Notebook.ids: value{place}" in said
    assert said.count("beyond 2**53") == 1


@pytest.mark.parametrize(("value", "place"), LARGE)
def test_a_rounded_integer_of_an_input_is_named_once(cells: RealKernel, value: str, place: str) -> None:
    cells.run(f"orders = {value}")
    said = cells.run("%%pctx -i orders\n1").text("stderr")
    assert f"orders{place}" in said
    assert said.count("beyond 2**53") == 1


@pytest.mark.parametrize(
    "value", ["[2**53, 2**60, 1e20, 12345678901234567890.0, 0.1234567890123456]", "'[9007199254740993]'"]
)
def test_an_exact_number_is_not_warned_of(cells: RealKernel, value: str) -> None:
    cells.run(f"value = {value}")
    assert cells.run("%%pctx -i value\nvalue").text("stderr") == ""


def test_a_bigint_is_the_same_integer_in_python(cells: RealKernel) -> None:
    cells.run("seen.clear()")
    cells.run("%%pctx -o big\nawait Notebook.anything({ x: [2n ** 70n] }); [BigInt('9007199254740993'), 1n]")
    assert cells.run("seen, big").value == f"([[{2**70}]], [{2**53 + 1}, 1])"


def test_rows_with_nan_are_a_table_and_json(cells: RealKernel) -> None:
    cell = cells.run("%%pctx\n[{ x: NaN, y: 1 }, { x: 2, y: Infinity }]")
    [shown] = cell.shown
    assert "<td" in shown["text/html"] and "NaN" in shown["text/html"] and "Infinity" in shown["text/html"]
    table = shown["application/vnd.pctx.table+json"]
    assert table["rows"] == [[{"json": "NaN"}, 1], [2, {"json": "Infinity"}]]  # type: ignore[index]


def test_bytes_are_taken_as_base64_or_as_an_array_of_bytes(cells: RealKernel) -> None:
    cells.run("@tool\ndef store(data: bytes) -> bytes:\n    seen.append(data)\n    return data\nseen.clear()")
    cell = cells.run(
        "%%pctx\nconst text: string = await Notebook.store({ data: new Uint8Array([255, 0]) });\n"
        "await Notebook.store({ data: text }); await Notebook.store({ data: new TextEncoder().encode('ab') })"
    )
    assert (cell.error, cell.value) == (None, '"YWI="'), cell.traceback
    assert cells.run("seen").value == r"[b'\xff\x00', b'\xff\x00', b'ab']"
    assert "data: string | Uint8Array" in cells.run("%pctx details Notebook.store").shown[0]["text/plain"]
