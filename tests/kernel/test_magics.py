"""Options, and what the magics do to a shell. Real: IPython's own parsing and transformers. Fake: nothing runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from pctx_jupyter.kernel.functions import tool
from pctx_jupyter.kernel.magics import PctxMagics
from pctx_jupyter.kernel.options import CellOptions, RegisterOptions, cell_options, register_options


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", CellOptions()),
        ("-o total", CellOptions(output="total")),
        ("-i a,b -i b, --input c", CellOptions(inputs=("a", "b", "c"))),
        ("-i df, s", CellOptions(inputs=("df", "s"))),
        ("-i df s , t -o x", CellOptions(inputs=("df", "s", "t"), output="x")),
        ("-i df, -q", CellOptions(inputs=("df",), is_quiet=True)),
        ("-f big, other -i s", CellOptions(inputs=("s",), frames=("big", "other"))),
        ("--input=df, s", CellOptions(inputs=("df", "s"))),
        (
            "--tools Sales.*, Notebook.add Math.* -q",
            CellOptions(tools=("Sales.*", "Notebook.add", "Math.*"), is_quiet=True),
        ),
        ("--timeout 2.5", CellOptions(timeout_s=2.5)),
        ("--tools Sales.*,Notebook.add", CellOptions(tools=("Sales.*", "Notebook.add"))),
        ("--no-check --quiet", CellOptions(typecheck=False, is_quiet=True)),
        ("-q -t 1", CellOptions(timeout_s=1.0, is_quiet=True)),
        ("--tools ''", CellOptions(tools=())),
    ],
)
def test_options_are_read(line: str, options: CellOptions) -> None:
    assert cell_options(line) == options


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-o", "expected one argument"),
        ("-o class", "'class' is not a name"),
        ("-o a.b", "'a.b' is not a name"),
        ("-i a-b", "'a-b' is not a name"),
        ("--timeout 0", "'0' is not a number of seconds above 0"),
        ("--timeout nan", "'nan' is not a number"),
        ("--timeout inf", "'inf' is not a number"),
        ("--quie", "unrecognized arguments: --quie"),
        ("stray", "unrecognized arguments: stray"),
        ("-o 'open", "No closing quotation"),
    ],
)
def test_a_wrong_option_is_refused_with_the_usage(line: str, said: str) -> None:
    with pytest.raises(UsageError, match="Usage: %%pctx") as refused:
        cell_options(line)
    assert said in str(refused.value)


def test_register_takes_functions_and_a_namespace() -> None:
    assert register_options("load sales.save -n Sales") == RegisterOptions(("load", "sales.save"), "Sales")
    assert register_options("load --no-share") == RegisterOptions(("load",), share=False)
    for line in ("load, sales.save", "load,sales.save", "load , sales.save,", "load sales.save load"):
        assert register_options(line) == RegisterOptions(("load", "sales.save"))
    assert register_options("load, save -n Sales") == RegisterOptions(("load", "save"), "Sales")
    with pytest.raises(UsageError, match="required: functions"):
        register_options("-n Sales")
    with pytest.raises(UsageError, match="name of a function is missing"):
        register_options(",")


@pytest.fixture
def magics() -> Iterator[PctxMagics]:
    shell = InteractiveShell()
    magics = PctxMagics(shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.append(magics.transform)
    yield magics
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("cell", ["%%pctx\n1 + 1", "\n\n%%pctx\n1 + 1", "%%pctx   \n1 + 1"])
def test_an_outermost_cell_is_awaited(magics: PctxMagics, cell: str) -> None:
    assert magics.shell.transform_cell(cell) == "await get_ipython()._pctx.run('', '1 + 1\\n')\n"


def test_options_and_code_pass_as_they_are(magics: PctxMagics) -> None:
    code = "const s = `$x {y} '''\\n`;\n// \\ %time\n!ls"
    written = magics.shell.transform_cell(f"%%pctx -o a  -q\n{code}")
    found: list[Any] = []

    class Shell:
        class _pctx:  # noqa: N801
            @staticmethod
            async def run(*given: str) -> None:
                found.extend(given)

    exec(f"async def cell():\n    {written}", scope := {"get_ipython": Shell})
    asyncio.run(scope["cell"]())  # type: ignore[arg-type, operator]
    assert found == ["-o a  -q", code + "\n"]


@pytest.mark.parametrize(
    "cell",
    [
        "%%pctxx\n1",
        "%%time\n%%pctx\n1",
        "%pctx status",
        "print(1)\n%%pctx",
        "%%pctx\n",
        "%%pctx\n  \n",
        "'''\n%%pctx\n1'''",
    ],
)
def test_other_cells_are_left_alone(magics: PctxMagics, cell: str) -> None:
    assert "await" not in magics.shell.transform_cell(cell)


def test_a_cell_is_not_awaited_where_awaiting_is_off_or_foreign(magics: PctxMagics) -> None:
    magics.shell.autoawait = False
    assert "await" not in magics.shell.transform_cell("%%pctx\n1")
    magics.shell.autoawait = True
    magics.shell.loop_runner = "sync"
    assert "await" not in magics.shell.transform_cell("%%pctx\n1")


def test_a_cell_within_a_running_cell_is_not_awaited(magics: PctxMagics) -> None:
    magics.shell.run_cell("inner = get_ipython().transform_cell('%%pctx\\n1')")
    assert "await" not in magics.shell.user_ns["inner"]


def test_register_takes_lambdas_by_the_name_they_are_known_by_and_functions_of_python(magics: PctxMagics) -> None:
    magics.shell.user_ns["half"] = lambda n: n / 2
    try:
        magics.shell.run_line_magic("pctx", "register half len -n Numbers")
        assert [one.path for one in tool.defined()] == ["Numbers.half", "Numbers.len"]
    finally:
        for path in ("Numbers.half", "Numbers.len"):
            tool.forget(path)
    with pytest.raises(UsageError, match=r"no such name \(did you mean len\?\)"):
        magics.shell.run_line_magic("pctx", "register lenn")
