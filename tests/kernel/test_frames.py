"""Frames by handle, end to end in a real kernel with an engine of its own: cells, tools, results, life."""

from __future__ import annotations

import base64
import json
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from .real_kernel import RealKernel

TOOLS = """
import asyncio, concurrent.futures, datetime as dt, gc, os, tempfile, weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
import numpy as np, pandas as pd, polars as pl
from pctx_jupyter import tool

big = pd.DataFrame({
    "id": range(2_500),
    "status": ["open", "done"] * 1_250,
    "amount": [float(n) for n in range(2_500)],
})
numbers = np.arange(12, dtype="int32").reshape(3, 4)
column = big["amount"].rename("amount")
(folder := Path(tempfile.mkdtemp())).joinpath("log.txt").write_text("one\\ntwo \u20ac\\n\\nlast")
folder.joinpath("secret.txt").write_text("secret")
log = folder / "log.txt"

class Figure:  # as matplotlib has one, which takes long to import
    __module__ = "matplotlib.figure"
    def savefig(self, out, format, bbox_inches):
        out.write(b"PNG of " + format.encode())

@dataclass
class Model:
    weights: list[float]
    def __repr__(self):
        return "Model(" + "w" * 1000

model = Model([1.0])
figure = Figure()
folder_name = "log"

@tool(handle=True)
def matrix() -> np.ndarray:
    return numbers

@tool(handle=True)
def series() -> pd.Series:
    return column

@tool(handle=True)
def file() -> Path:
    return log

@tool(handle=True)
def fifo() -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"

@tool(handle=True)
def counted(most: int) -> Iterator[int]:
    yield from range(most)

@tool(handle=True)
async def later(most: int) -> AsyncIterator[dict[str, int]]:
    for n in range(most):
        await asyncio.sleep(0)
        yield {"n": n}

@tool(handle=True)
def failing() -> Iterator[int]:
    yield 1
    raise ValueError("no second one")

@tool(handle=True)
def fit() -> Model:
    return model

@tool(handle=True)
def draw() -> Figure | None:
    return figure

@tool(handle=True)
def no_array() -> np.ndarray:
    return [1]

@tool
def predict(model: Model, factor: float, more: list[int] = []) -> float:
    assert model is globals()["model"]
    return model.weights[0] * factor + sum(more)

@tool
def which(array: np.ndarray, path: Path | None = None, anything=None, **rest) -> list[bool]:
    return [array is numbers, path == log, anything is figure, rest == {"x": model}]

names = pl.DataFrame({"status": ["open", "lost"], "label": ["Open", "Lost"]})

@tool(handle=True)
def orders() -> pd.DataFrame:
    return big

@tool(handle=True)
def odd() -> pl.DataFrame:
    numbers = [None, float("nan"), float("inf"), 0.0, -1.5]
    flags = [True, None, False, True, False]
    return pl.DataFrame({"number": numbers, "flag": flags, "day": [dt.date(2024, 2, 29)] * 5, "large": [2**53 + 1] * 5})

@tool(handle=True)
async def labels() -> pl.DataFrame:
    return names

@tool(handle=True)
def maybe(there: bool) -> pd.DataFrame | None:
    return big if there else None

@tool(handle=True)
def wrong() -> pd.DataFrame:
    return [1]

@tool(handle=True)
def unsaid():
    return big.head(2)

@tool
def is_big(frame: pd.DataFrame) -> bool:
    return frame is big

@tool
def kind_of(anything):
    return [type(one).__name__ for one in anything]

@tool
def height(frame: pl.DataFrame) -> int:
    assert isinstance(frame, pl.DataFrame)
    return frame.height
"""


@pytest.fixture(scope="module")
def frames(kernel: RealKernel) -> RealKernel:
    assert kernel.run(TOOLS).error is None
    return kernel


def value(kernel: RealKernel, code: str, line: str = "") -> Any:
    """The value of a program, through ``-o``."""
    cell = kernel.run(f"%%pctx {line} -q -o found\n{code}")
    assert cell.error is None, cell.error
    return json.loads(kernel.run("import json; print(json.dumps(found))").text())


def error(kernel: RealKernel, code: str, line: str = "") -> str:
    cell = kernel.run(f"%%pctx {line} -q\n{code}")
    assert cell.error is not None
    return cell.text("stderr") + cell.traceback


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await (await Notebook.orders()).count()", 2500),
        ("(await Notebook.orders()).columns", ["id", "status", "amount"]),
        ("await (await Notebook.orders()).rows(1, 3).then((rows) => rows.map((r) => r.id))", [1, 2]),
        ("await (await Notebook.orders()).head(1)", [{"id": 0, "status": "open", "amount": 0.0}]),
        ("(await (await Notebook.orders()).sample(3, 1)).length", 3),
        (
            """
            const open = (await Notebook.orders()).filter((r) => r.status.eq("open").and(r.amount.gt(2490)));
            const twice = open.withColumns({ twice: (r) => r.amount.mul(2) }).select("twice");
            await twice.sortBy("twice", "descending").rows()
            """,
            [{"twice": 4996.0}, {"twice": 4992.0}, {"twice": 4988.0}, {"twice": 4984.0}],
        ),
        (
            "await (await Notebook.orders()).groupBy('status').agg({ amount: 'sum', n: 'count' }).rows()",
            [
                {"status": "done", "amount": 1562500.0, "n": 1250},
                {"status": "open", "amount": 1561250.0, "n": 1250},
            ],
        ),
        (
            "const a = await (await Notebook.orders()).column('amount'); [a instanceof Float64Array, a.length, a[7]]",
            [True, 2500, 7.0],
        ),
        ("const a = await (await Notebook.orders()).column('id', 'bigint'); [a.length, `${a[2499]}`]", [2500, "2499"]),
        ("`${await (await Notebook.odd()).column('number')}`", "NaN,NaN,Infinity,0,-1.5"),
        (
            "`${await (await Notebook.odd()).filter((r) => r.number.gt(5e9)).select('number').column('number')}`",
            "Infinity",
        ),
        ("await (await Notebook.odd()).column('flag')", [True, None, False, True, False]),
        ("(await (await Notebook.odd()).column('day'))[0]", "2024-02-29"),
        ("(await (await Notebook.odd()).filter((r) => r.number.gt(1).not()).column('number')).length", 4),
        ("(await (await Notebook.odd()).filter((r) => r.day.eq('1999-01-01')).column('number')).length", 0),
        ("(await (await Notebook.orders()).column('status')).slice(0, 2)", ["open", "done"]),
        ("let n = 0; for await (const row of await Notebook.orders()) n += row.id; n", 3123750),
        ("await (await Notebook.orders()).agg({ n: 'count', most: ['id', 'max'] })", {"n": 2500, "most": 2499}),
        ("(await (await Notebook.orders()).describe()).map((c) => c.missing)", [0, 0, 0]),
        ("await (await Notebook.orders()).schema()", {"id": "Int64", "status": "String", "amount": "Float64"}),
        ("await Notebook.maybe({ there: false })", None),
        ("(await Notebook.maybe({ there: true }))?.columns.length", 3),
        ("await (await Notebook.labels()).rows(0, 1)", [{"status": "open", "label": "Open"}]),
        ("await Notebook.isBig({ frame: await Notebook.orders() })", True),
        ("await Notebook.isBig({ frame: (await Notebook.orders()).filter((r) => r.id.gt(1)) })", False),
        (
            "const o = await Notebook.orders(); await Notebook.kindOf({ anything: [o, [], o.select('id')] })",
            ["DataFrame", "list", "DataFrame"],
        ),
        ("await Notebook.height({ frame: (await Notebook.orders()).filter((r) => r.id.lt(3)) })", 3),
        (
            """
            const few = (await Notebook.orders()).filter((r) => r.id.lt(5));
            const found = await few.sql<{ label: string; most: number }>(
                "select label, max(id) as most from frame join names using (status) group by label",
                { names: await Notebook.labels() },
            );
            (await found.rows()).map((row) => [row.label, row.most])
            """,
            [["Open", 4]],
        ),
    ],
)
def test_program_asks_a_frame_and_gets_what_it_asks_for(frames: RealKernel, code: str, expected: Any) -> None:
    assert value(frames, code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("const m = await Notebook.matrix(); [m.shape, m.dtype, m.type]", [[3, 4], "int32", "numpy.ndarray"]),
        ("const v: Float64Array = await (await Notebook.matrix()).values(1, 2); [...v]", [4, 5, 6, 7]),
        ("`${await (await Notebook.matrix()).values(2, undefined, 'bigint')}`", "8,9,10,11"),
        ("(await (await Notebook.matrix()).values(5)).length", 0),
        (
            "const m = await Notebook.matrix(); [await m.agg('sum'), await m.agg('mean'), await m.agg('count')]",
            [66, 5.5, 12],
        ),
        (
            "const s = await Notebook.series(); [s.columns, await s.agg({ amount: 'max' })]",
            [["amount"], {"amount": 2499}],
        ),
        ("const f = await Notebook.file(); [f.name, f.size, await f.text(0, 3)]", ["log.txt", 17, "one"]),
        ("[...await (await Notebook.file()).bytes(8, 11)]", [0xE2, 0x82, 0xAC]),
        (
            "const lines = []; for await (const line of await Notebook.file()) lines.push(line); lines",
            ["one", "two \u20ac", "", "last"],
        ),
        ("let sum = 0; for await (const n of await Notebook.counted({ most: 3000 })) sum += n; sum", 4498500),
        (
            "const all = await Notebook.counted({most: 3}); [await all.take(2), await all.take(2), await all.take(2)]",
            [[0, 1], [2], []],
        ),
        (
            "const all = await Notebook.later({ most: 3 }); const [a] = await all.take(1); [a.n, await all.take(9)]",
            [0, [{"n": 1}, {"n": 2}]],
        ),
        ("const m = await Notebook.fit(); await Notebook.predict({ model: m, factor: 3, more: [1, 2] })", 6),
        (
            """
            const array = await Notebook.matrix(), path = await Notebook.file(), anything = await Notebook.draw();
            await Notebook.which({ array, path, anything, x: await Notebook.fit() })
            """,
            [True, True, True, True],
        ),
        ("await Notebook.which({ array: [1], path: 'log.txt' })", [False, False, False, False]),
    ],
)
def test_program_uses_what_is_no_table_by_handle(frames: RealKernel, code: str, expected: Any) -> None:
    assert value(frames, code) == expected


def test_input_by_handle_has_the_type_of_its_kind(frames: RealKernel) -> None:
    names = "numbers,log,model,figure,column"
    code = """
    const array: NDArray = numbers, file: FileHandle = log, shown: Figure = figure;
    const most: { amount: number | null } = await column.agg({ amount: "max" });
    [array.shape, await file.text(0, 3), shown.type, await Notebook.predict({ model, factor: 2 }), most.amount]
    """
    assert value(frames, code, f"-f {names}") == [[3, 4], "one", "matplotlib.figure.Figure", 2, 2499]
    assert "Property 'shap' does not exist" in error(frames, "numbers.shap", "-f numbers")


def test_values_that_stay_in_the_notebook_are_shown_by_what_they_are(frames: RealKernel) -> None:
    def shown(code: str) -> str:
        return json.dumps(
            [one["content"]["data"] for one in frames.run(f"%%pctx\n{code}").outputs if "data" in one["content"]]
        )

    assert "Array 3 \\u00d7 4 of int32, in the notebook: 0, 1, 2, 3, 4, \\u2026" in shown("await Notebook.matrix()")
    assert "File log.txt, 17 bytes, in the notebook" in shown("await Notebook.file()")
    assert "Model(www" in (text := shown("await Notebook.fit()"))
    assert "w" * 200 not in text
    assert "generator, in the notebook" in shown("await Notebook.counted({ most: 1 })")
    assert "image/png" in shown("await Notebook.draw()")
    among = shown("({ rows: [await Notebook.orders()], part: (await Notebook.orders()).select('id'), n: 1 })")
    assert "Frame of Notebook.orders, 2,500 \\u00d7 3, in the notebook" in among
    assert '"part": "Frame made of Notebook.orders, in the notebook", "n": 1' in among
    assert "Object of Notebook.fit, in the notebook" in shown("[await Notebook.fit(), 1]")
    copied = "JSON.parse(JSON.stringify((await Notebook.orders()).select('id')))"
    assert "Frame made of Notebook.orders, in the notebook" in shown(copied)
    assert "$pctx.frame" in shown("[{ '$pctx.frame': { id: 'x' } }, 1]"), "the notebook does not hold it"
    for forged in ("kind: 'figure', first: 1", "first: 1", "columns: 5"):
        assert "$pctx.frame" in shown(f"({{ '$pctx.frame': {{ id: 'x', {forged} }} }})")


FIGURES = """
import matplotlib.figure
import plotly.graph_objects
from pctx_jupyter.agents import agent_tools

@tool(handle=True)
def lines() -> matplotlib.figure.Figure:
    made = matplotlib.figure.Figure(figsize=(2, 1))
    made.subplots().plot([1, 3, 2])
    return made

@tool(handle=True)
def bars() -> plotly.graph_objects.Figure:
    return plotly.graph_objects.Figure(plotly.graph_objects.Bar(x=["a", "b"], y=[1, 2]))
"""


def test_figures_of_matplotlib_and_plotly_are_shown_in_the_cell_exported_and_named_to_an_agent(
    frames: RealKernel,
) -> None:
    assert frames.run(FIGURES).error is None
    shown = {}
    for name in ("lines", "bars"):
        cell = frames.run(f"%%pctx --no-timeline\nawait Notebook.{name}()")
        assert cell.error is None, cell.traceback
        (shown[name],) = (one["content"]["data"] for one in cell.outputs if "data" in one["content"])
    assert base64.b64decode(shown["lines"]["image/png"]).startswith(b"\x89PNG")
    assert shown["bars"]["application/vnd.plotly.v1+json"]["data"][0]["y"] == [1, 2]
    outputs = [nbformat.v4.new_output("display_data", data) for data in shown.values()]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=outputs)])
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert shown["lines"]["image/png"][:100] in page and "Plotly.newPlot(" in page
    for name, kind in (("lines", "matplotlib.figure.Figure"), ("bars", "plotly.graph_objs._figure.Figure")):
        code = json.dumps({"code": f"await Notebook.{name}()"})
        text = frames.run(f"print((await agent_tools('a').call('execute', {code})).text)").text()
        assert f'"kind":"figure","type":"{kind}"' in text
        assert len(text) <= 150, "a token has one character at least"
        id = json.loads(text)["$pctx.frame"]["id"]
        listed = json.dumps([one["content"] for one in frames.run("%pctx handles").outputs])
        assert "for agents and other notebooks, handed to a" in listed
        assert frames.run(f"%pctx forget {id}").text() == f"Forgot {id}\n"


@pytest.mark.parametrize(
    ("code", "stored"),
    [
        ("await (await Notebook.matrix()).save('kept')", "kept is numbers"),
        ("await (await Notebook.orders()).save('kept')", "kept is big"),
        (
            "await (await Notebook.orders()).filter((r) => r.id.lt(2)).save('kept')",
            "type(kept) is pd.DataFrame and len(kept) == 2",
        ),
        ("await (await Notebook.fit()).save('kept')", "kept is model"),
    ],
)
def test_saved_object_is_a_variable_of_the_notebook(frames: RealKernel, code: str, stored: str) -> None:
    assert frames.run("kept = None").error is None
    assert frames.run(f"%%pctx -q\n{code}").error is None
    assert frames.run(f"print({stored})").text() == "True\n"


def test_frames_of_two_libraries_are_joined(frames: RealKernel) -> None:
    code = """
    const joined = (await Notebook.orders()).join(await Notebook.labels(), "status");
    [joined.columns, await joined.count(), await joined.head(1)]
    """
    row = {"id": 0, "status": "open", "amount": 0.0, "label": "Open"}
    assert value(frames, code) == [["id", "status", "amount", "label"], 1250, [row]]


def test_query_ends_with_its_program_and_the_next_one_runs(frames: RealKernel) -> None:
    endless = "select count(*) as n from range(1000000000000)"
    all = "const all = await Notebook.orders();"
    assert value(frames, f"{all} await Promise.race([all.sql('{endless}'), all.count()])") == 2500
    assert value(frames, f"{all} await (await all.sql('select count(*) as n from frame')).rows()") == [{"n": 2500}]


FORGED = json.dumps({"list": [{"$pctx.frame": {"id": "Notebook.orders#x", "columns": ["id"]}}]})
"""Data that an export would turn into a frame, and a later program into calls."""


def test_input_by_handle_has_the_types_of_its_columns(frames: RealKernel) -> None:
    code = "const first: number = (await big.head(1))[0].amount; [first, await big.filter((o) => o.id.lt(5)).count()]"
    assert value(frames, code, "-f big") == [0.0, 5]
    assert "Property 'idd' does not exist" in error(frames, "big.filter((o) => o.idd.lt(5))", "-f big")
    assert "is not assignable" in error(frames, "const text: string = (await big.head(1))[0].id", "-f big")
    assert "Argument of type '5' is not assignable" in error(frames, "big.filter((o) => o.status.eq(5))", "-f big")
    assert "A column is compared by a method" in error(frames, "big.filter((o) => o.id > 5)", "-f big")
    assert "Frame.query" not in (frames.run("%pctx tools").value or "")
    assert value(frames, "await big.count()", "-f big --tools Notebook.orders") == 2500


def test_a_tool_by_handle_that_does_not_say_what_it_returns_returns_a_frame(frames: RealKernel) -> None:
    assert value(frames, "await (await Notebook.unsaid()).count()") == 2


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        (
            "(await Notebook.orders()).filter((r) => r.amuont.gt(1))",
            "",
            'no column "amuont"; it has id, status, amount',
        ),
        ("await (await Notebook.orders()).select('amuont').count()", "", 'no column "amuont" (did you mean amount?)'),
        ("await Notebook.wrong()", "", "list is not a data frame; return a data frame, or define the tool without"),
        ("await openFrame('Notebook.orders#nothing')", "", "its notebook does not hold it"),
        ("await openFrame('nothing')", "", "its id is a text with a #"),
        (
            "await Notebook.orders({ '$pctx.call': 'drop', frame: { id: 'x', steps: [] } } as any)",
            "",
            "does not hold it",
        ),
        ("await Notebook.orders({ '$pctx.call': 'rows' } as any)", "", "the call is not one that a frame makes"),
        ("await (await Notebook.orders()).rows(-1)", "", "0 or more, not -1"),
        ("1", "-f is_big", "Cannot pass in is_big by handle: function is code, and not a value; -i is_big"),
        ("1", "-f folder_name", "Cannot pass in folder_name by handle: str is no object that stays in the notebook"),
        ("1", "-f folder", "cannot be read (it is not a plain file)"),
        ("await Notebook.noArray()", "", "list is not an array of numpy; change its annotation"),
        ("await Notebook.fifo()", "", "the file fifo cannot be read (it is not a plain file)"),
        ("for await (const n of await Notebook.failing()) n", "", "no second one"),
        ("await (await Notebook.file()).bytes(-1)", "", "0 or more, not -1"),
        ("await (await Notebook.matrix()).values(0, 1, 'text' as any)", "", "it has no operation values with these"),
        ("await (await Notebook.orders()).save('pd')", "", "it is the name of a function, a class or a module"),
        ("await (await Notebook.orders()).save('print')", "", "it is the name of a function, a class or a module"),
        ("await (await Notebook.orders()).save('is_big')", "", "it is the name of a function, a class or a module"),
        ("await (await Notebook.orders()).save('a b')", "", "a variable has letters, digits and _"),
        ("await (await Notebook.orders()).save('lambda')", "", "a variable has letters, digits and _"),
        ("await (await Notebook.orders()).save('__builtins__')", "", "a variable has letters, digits and _"),
        ("await (await Notebook.orders()).join(await Notebook.fit(), 'id')", "", "join needs another frame"),
        ("1", "-f bigg", "did you mean big?"),
    ],
)
def test_what_a_frame_cannot_do_is_refused_with_the_reason(
    frames: RealKernel, code: str, line: str, message: str
) -> None:
    assert message in error(frames, code, line)


def test_data_in_the_form_of_a_handle_chooses_no_tool_that_is_called(frames: RealKernel) -> None:
    frames.run("forged = {'$pctx.frame': {'id': 'Notebook.orders#x', 'columns': ['id']}}")
    message = error(frames, "await forged.rows()", "-i forged")
    assert "Notebook.orders" not in message and "Frame.query" in message
    cell = frames.run(f"%%pctx -q\nexport const forged = JSON.parse('{FORGED}');")
    assert "its only key, $pctx.frame, stands for an object of the notebook" in json.dumps(
        [one["content"] for one in cell.outputs]
    )


def test_integers_that_a_column_rounds_are_warned_of_once(frames: RealKernel) -> None:
    cell = frames.run(
        "%%pctx -q\nconst odd = await Notebook.odd(); for (let i = 0; i < 3; i++) await odd.column('large')"
    )
    assert cell.error is None
    assert cell.text("stderr").count("integers beyond 2**53 are rounded") == 1
    assert 'column(name, "bigint")' in cell.text("stderr")


def test_result_is_shown_with_its_shape_and_stored_as_the_very_object(frames: RealKernel) -> None:
    cell = frames.run("%%pctx -o same\nawait Notebook.orders()")
    shown = json.dumps([one["content"] for one in cell.outputs])
    assert "Frame of 2,500 rows \\u00d7 3 columns, in the notebook: id Int64, status String, amount Float64" in shown
    assert frames.run("print(same is big)").text() == "True\n"
    frames.run("%%pctx -q -o part\n[(await Notebook.orders()).filter((r) => r.id.lt(2)), 1]")
    assert frames.run("print(type(part[0]).__name__, len(part[0]), part[1])").text() == "DataFrame 2 1\n"


def test_exported_frame_lives_until_it_is_forgotten(frames: RealKernel) -> None:
    assert (
        frames.run("%%pctx -q\nexport const few = (await Notebook.orders()).filter((r) => r.id.lt(2));").error is None
    )
    assert value(frames, "[await few.count(), few.columns]") == [2, ["id", "status", "amount"]]
    listed = json.dumps([one["content"] for one in frames.run("%pctx handles").outputs])
    assert "Notebook.orders" in listed
    assert "kept with few" in listed
    assert frames.run("%pctx forget few").text() == "Forgot few\n"
    assert "No frame outlives its program" in json.dumps([o["content"] for o in frames.run("%pctx handles").outputs])


def test_objects_that_outlive_their_program_are_listed_by_kind_and_can_be_forgotten(frames: RealKernel) -> None:
    code = """
    export const kept = [
      await Notebook.matrix(), await Notebook.file(), await Notebook.fit(), await Notebook.draw(),
      await Notebook.counted({ most: 3 }), await Notebook.series(),
    ];
    """
    assert frames.run(f"%%pctx -q\n{code}").error is None
    listed = json.dumps([one["content"] for one in frames.run("%pctx handles").outputs])
    for shown in (
        "array",
        "3 \\u00d7 4",
        "file",
        "object",
        "figure",
        "items",
        "2,500 \\u00d7 1",
        "kept with kept",
        "0 min",
    ):
        assert shown in listed
    code = """
    const [array, , model, , items] = kept;
    const [first] = await items.take(1);
    [await array.agg("max"), await Notebook.predict({ model, factor: 2 }), first]
    """
    assert value(frames, code) == [11, 2, 0]
    assert frames.run("%pctx forget kept").text() == "Forgot kept\n"


def test_handle_ends_with_its_run_and_the_oldest_of_too_many_is_gone(frames: RealKernel) -> None:
    id = value(frames, "JSON.parse(JSON.stringify(await Notebook.matrix()))['$pctx.frame'].id")
    assert id.startswith("Notebook.matrix#")
    assert "its notebook does not hold it" in error(frames, f"await openFrame('{id}')")
    code = """
    const first = await Notebook.matrix(), others: NDArray[] = [];
    for (let n = 0; n < 1000; n++) others.push(await Notebook.matrix());
    const gone = await first.agg("sum").catch((error) => error.message);
    [await others[0].agg("sum"), gone.includes("does not hold it")]
    """
    assert value(frames, code) == [66, True]


def test_kernel_holds_nothing_of_a_run_that_is_over(frames: RealKernel) -> None:
    assert (
        frames.run(
            """
    class Watched(pd.DataFrame):
        pass

    @tool(handle=True)
    def watched() -> pd.DataFrame:
        made = Watched({"id": range(10)})
        alive.append(weakref.ref(made))
        return made

    @tool(handle=True)
    def unfinished() -> concurrent.futures.Future[int]:
        made = concurrent.futures.Future()
        begun.append(made)
        return made

    alive, begun = [], []
    """.replace("\n    ", "\n")
        ).error
        is None
    )
    code = "for (let i = 0; i < 20; i++) await (await Notebook.watched()).filter((r) => r.id.gt(i)).count(); 1"
    for _ in range(5):
        assert value(frames, code) == 1
    # IPython keeps the error of a cell, and the error its frames.
    failing = f"void (await Notebook.unfinished()).result(); {code[:-1]} throw Error('too late')"
    assert "too late" in error(frames, failing)
    assert frames.run("print([one.cancelled() for one in begun])").text() == "[True]\n"
    assert frames.run("gc.collect(); print(len(alive), sum(one() is not None for one in alive))").text() == "120 0\n"
