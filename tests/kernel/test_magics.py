"""Options, and what the magics do to a shell. Real: IPython's own parsing and transformers. Fake: nothing runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from pctx_jupyter.history.file import HistoryFile
from pctx_jupyter.kernel.functions import tool
from pctx_jupyter.kernel.magics import PctxMagics, load, unload
from pctx_jupyter.kernel.options import (
    CellOptions,
    HistoryOptions,
    RegisterOptions,
    cell_options,
    history_options,
    register_options,
)
from pctx_jupyter.kernel.output.failure import ProgramFailed
from pctx_jupyter.session.trace import ErrorRecord, ToolTally, Trace


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", CellOptions()),
        ("-o total", CellOptions(output="total")),
        (
            "-o \N{MICRO SIGN} -i \N{MICRO SIGN}",
            CellOptions(output="\N{GREEK SMALL LETTER MU}", inputs=("\N{MICRO SIGN}",)),
        ),
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
    assert cell_options(line) is cell_options(line)  # a cell that is run again is not parsed again


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-o", "expected one argument"),
        ("-o class", "'class' is not a name"),
        ("-o a.b", "'a.b' is not a name"),
        ("-o a -o b", "argument -o/--output: 'a' and 'b': give one"),
        ("-t 1 --timeout 2", "1.0 and 2.0: give one"),
        ("-i a-b", "'a-b' is not a name"),
        ("--timeout 0", "'0' is not a number of seconds above 0"),
        ("--timeout nan", "'nan' is not a number"),
        ("--timeout inf", "'inf' is not a number"),
        ("--quie", "There is no option --quie (did you mean --quiet?)"),
        ("stray", "Cannot use 'stray': it belongs to no option"),
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
    with pytest.raises(UsageError, match="required: FUNCTION"):
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


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is that of Unix")
async def test_a_cell_that_can_open_no_file_says_what_is_short(magics: PctxMagics) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    says = r"Cannot run program: this process has .*files open, as many as it may \(ulimit -n\)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        for cell in magics.run("", "1"), asyncio.to_thread(magics.pctx, "", "1"):
            with pytest.raises(ProgramFailed, match=says):
                await cell
        with pytest.raises(ProgramFailed, match=says):
            magics.pctx("status")
        load(magics._shell)  # the first cell says it
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        unload(magics._shell)


def shown(shell: InteractiveShell, command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The text that a command of ``%pctx`` shows."""
    display = shell.run_line_magic("pctx", command)
    if display is None:
        return capsys.readouterr().out
    data = display._repr_mimebundle_()
    return str((data[0] if isinstance(data, tuple) else data)["text/plain"])


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


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", HistoryOptions()),
        ("12", HistoryOptions(12, "12")),
        ("orders 'a b' --failed", HistoryOptions(None, "orders a b", failed=True)),
        ("12 --failed", HistoryOptions(None, "12", failed=True)),
        ("--agent 'Claude Code' -n 5", HistoryOptions(agent="Claude Code", most=5)),
    ],
)
def test_the_options_of_the_history_are_read(line: str, options: HistoryOptions) -> None:
    assert history_options(line) == options


@pytest.mark.parametrize("line", ["-n 0", "-n x", "-n -1", "--fail", "'open"])
def test_a_wrong_option_of_the_history_is_refused_with_the_usage(line: str) -> None:
    with pytest.raises(UsageError, match="Usage: %pctx history"):
        history_options(line)


def test_past_runs_are_listed_and_become_cells_again(
    magics: PctxMagics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    shell, asked = magics.shell, "history <b>bold</b>"
    assert "No program has run yet" in shown(shell, "history", capsys)
    file = HistoryFile(str(tmp_path / "pctx" / "history.sqlite3"))
    known = {"asked_by": "agent", "agent": "Claude", "started_at": 1.0}
    error = ErrorRecord("Error", "<script>")
    file.add(
        [
            Trace(id="a", code="<b>bold</b>\n1", state="failed", error=error, tools=[ToolTally("A.b", 2)], **known),
            Trace(id="b", code="", state="ok", **known),
            Trace(id="c", code="2", code_cut=True, state="ok", **known),
        ]
    )
    file.close()
    text = shown(shell, asked, capsys)
    assert all(part in text for part in ("Claude", "failed: Error: <script>", "A.b × 2", "<b>bold</b>"))
    assert "Claude" not in shown(shell, f"{asked} --agent other", capsys)
    shell.run_line_magic("pctx", "history 1")
    assert shell.rl_next_input == "%%pctx\n<b>bold</b>\n1"
    for number, why in ((2, "its code was not kept"), (7, "the history has no such run")):
        with pytest.raises(UsageError, match=why):
            shell.run_line_magic("pctx", f"history {number}")
    shell.run_line_magic("pctx", "history 3")
    assert "Only the beginning of run 3 was kept: 1 characters" in capsys.readouterr().out


def test_the_question_mark_shows_the_options_and_the_commands(magics: PctxMagics) -> None:
    shown = magics.shell.object_inspect("%pctx")["docstring"]
    assert "--timeout S\n      Stop the program" in shown and "%pctx tools [TEXT …]\n      List the tools" in shown


def test_register_takes_lambdas_by_the_name_they_are_known_by_and_functions_of_python(magics: PctxMagics) -> None:
    magics.shell.user_ns["half"] = lambda n: n / 2
    try:
        magics.shell.run_line_magic("pctx", "register half \N{FULLWIDTH LATIN SMALL LETTER L}en -n Numbers")
        assert [one.path for one in tool.defined()] == ["Numbers.half", "Numbers.len"]
    finally:
        for path in ("Numbers.half", "Numbers.len"):
            tool.forget(path)
    with pytest.raises(UsageError, match=r"the notebook has no lenn \(did you mean len\?\)"):
        magics.shell.run_line_magic("pctx", "register lenn")


def test_a_setting_that_cannot_be_used_is_the_error_of_the_cell_and_no_traceback(
    magics: PctxMagics, caplog: pytest.LogCaptureFixture
) -> None:
    magics.shell.config.Pctx.timeout_s = -1
    with pytest.raises(UsageError, match="Cannot read the configuration: The 'timeout_s' trait"):
        magics.shell.run_line_magic("pctx", "status")
    assert not [one for one in caplog.records if one.exc_info]
