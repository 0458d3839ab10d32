"""``%%pctx`` where people use it: a kernel, a terminal, a script, nbconvert, a server's kernel. Nothing is fake."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from pctx_jupyter.session.trace import MIME

from ..server.process import server_process
from .real_kernel import SOON, START, Cell, RealKernel, attached, open_kernel

FORMS = {"awaited": "", "under %%time": "%%time\n"}
forms = pytest.mark.parametrize("head", FORMS.values(), ids=FORMS.keys())


@forms
def test_a_program_calls_tools_and_its_value_is_shown_and_stored(kernel: RealKernel, head: str) -> None:
    cell = kernel.run(f"{head}%%pctx -o total\nconst n: number = await Notebook.add({{ a: 1, b: 2 }});\nn * 2")
    assert cell.error is None
    assert cell.value == "6"
    assert [bundle["text/plain"] for bundle in cell.shown][-2:] == ["→ total", "6"]
    assert kernel.run("type(total), total").value == "(int, 6)"


def test_rows_go_in_and_come_out_as_lists_of_dicts(kernel: RealKernel) -> None:
    kernel.run("orders = [{'id': 1, 'amount': 2.5}, {'id': 2, 'amount': 4.0}]")
    cell = kernel.run("%%pctx -i orders -o large\norders.filter((o) => o.amount > 3)")
    assert "<table" in cell.shown[-1]["text/html"]
    assert kernel.run("large").value == "[{'id': 2, 'amount': 4}]"


def test_a_letter_that_python_spells_otherwise_names_the_same_variable(kernel: RealKernel) -> None:
    micro = "\N{MICRO SIGN}"  # to Python a Greek letter
    kernel.run(f"{micro} = 3")
    assert f"%%pctx -i {micro}" in kernel.run(f"%%pctx\n{micro}").traceback
    assert kernel.run(f"%%pctx -i {micro} -o {micro}\n{micro} + 1").value == "4"
    assert kernel.run(micro).value == "4"


def test_a_front_end_receives_all_rows_of_a_cut_table(kernel: RealKernel) -> None:
    cell = kernel.run("%%pctx\nArray.from({ length: 10_000 }, (_, id) => ({ id, name: `n${id}` }))")
    table = cell.shown[-1]["application/vnd.pctx.table+json"]
    assert len(table["rows"]) < table["total"] == 10_000
    whole = kernel.ask_comm("pctx.value", {"id": table["id"]})
    assert whole is not None and whole["rows"][-1] == [9999, "n9999"]
    assert kernel.ask_comm("pctx.value", {"id": table["id"], "path": [1, "name"]}) == {"text": "n1"}
    assert kernel.ask_comm("pctx.value", {"id": "unknown"}) is None


@forms
def test_a_quiet_cell_and_an_undefined_value_show_nothing(kernel: RealKernel, head: str) -> None:
    assert kernel.run(f"{head}%%pctx -q -o kept\n7").shown == []
    assert kernel.run("kept").value == "7"
    # The place of a timeline is empty everywhere.
    assert [bundle["text/plain"] for bundle in kernel.run(f"{head}%%pctx\nconsole.log(1); undefined").shown] == [""]


@forms
def test_output_streams_in_order_into_the_cell(kernel: RealKernel, head: str) -> None:
    cell = kernel.run(
        f"{head}%%pctx\nfor (const n of [1, 2]) {{\n  console.log(`program ${{n}}`);\n"
        "  await Notebook.say({ text: `tool ${n}` });\n}\nconsole.error('wrong');"
    )
    assert cell.text().startswith("program 1\ntool 1\nprogram 2\ntool 2\n")
    assert plain(cell.text("stderr")) == "● wrong\n"


def plain(text: str) -> str:
    """A text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("head", ["%%pctx -o found", "%%pctx --no-check -o found"])
@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("const f = (x: number) => { return x }\n[1, 2].map(f)", "[1, 2]"),
        ("const rows = [1, 2] as any\n[rows.length]", "[2]"),
        ("let i = 0\ni++\n`i is ${i}`", "'i is 1'"),
        ("const a = 1, b = 2\n{ a, b: [b] }", "{'a': 1, 'b': [2]}"),
        ("const rows = [" + "1,\n" * 40_000 + "]\nconst f = () => { return 1 }\n(rows.length)", "40000"),
    ],
)
def test_the_value_of_a_program_without_semicolons_arrives(
    kernel: RealKernel, head: str, code: str, value: str
) -> None:
    assert kernel.run(f"{head}\n{code}").error is None
    assert kernel.run("found").value == value


def test_what_a_cell_without_semicolons_keeps_is_found_later(kernel: RealKernel) -> None:
    cell = kernel.run("%%pctx --keep\nconst half = (x: number) => { return x / 2 }\n(1 + 2)")
    assert (cell.error, cell.text("stderr")) == (None, "")
    assert kernel.run("%%pctx\nhalf(3)").value == "1.5"


def test_a_name_that_only_the_notebook_has_is_said_to_be_there(kernel: RealKernel) -> None:
    kernel.run("df = [1, 2]\ndef load(): pass")
    for head in ("%%pctx", "%%pctx --no-check"):
        assert "pass it in with %%pctx -i df" in kernel.run(f"{head}\ndf.length").traceback
        assert "%pctx register load" in kernel.run(f"{head}\nawait load()").traceback
        assert "const x = …" in kernel.run(f"{head}\nx = 5").traceback
        assert "console.log(…)" in kernel.run(f"{head}\nprint(5)").traceback
    assert "-i elsewhere" not in kernel.run("%%pctx\nelsewhere.length").traceback


def test_calls_that_nobody_awaits_end_before_the_cell_and_are_said(kernel: RealKernel) -> None:
    cell = kernel.run("%%pctx\n[1, 2].forEach(async (n) => { await Notebook.say({ text: `tool ${n}` }) })")
    assert cell.text() == "tool 1\ntool 2\n"
    assert "2 tool calls not awaited: Notebook.say (2 times)" in plain(cell.text("stderr"))


PRINTS = "%%pctx\nconsole.log('a'); console.debug('b'); console.warn('c'); console.error('d')"


def test_warnings_errors_and_debugging_have_colours_where_somebody_sees_them(kernel: RealKernel) -> None:
    cell = kernel.run(PRINTS)
    out, err = cell.text().split("\n"), cell.text("stderr").split("\n")
    assert [plain(line) for line in (*out, *err)] == ["a", "b", "", "▲ c", "● d", ""]
    looks = [re.sub(r"[a-d]", "", line) for line in (*out[:2], *err[:2])]
    assert looks[0] == "" and len(set(looks)) == 4


@pytest.mark.parametrize("head", ["%colors nocolor\n", "import os; os.environ['NO_COLOR'] = '1'\n"])
def test_whoever_wants_no_colours_gets_what_was_printed(kernel: RealKernel, head: str) -> None:
    kernel.run(head)
    cell = kernel.run(PRINTS)
    kernel.run("%colors neutral\nimport os; os.environ.pop('NO_COLOR', None)")
    assert (cell.text(), cell.text("stderr")) == ("a\nb\n", "c\nd\n")


@forms
def test_output_comes_while_the_program_runs(kernel: RealKernel, head: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    kernel.run(f"@tool\ndef opened() -> None:\n    open({str(gate)!r}).close()  # until somebody writes to it")
    cell = kernel.run(
        f"{head}%%pctx\nconsole.log('waiting'); await Notebook.opened(); 'done'",
        when=("waiting", lambda: gate.open("w").close()),
    )
    assert cell.value is not None and "done" in cell.value


@forms
def test_what_a_program_displays_is_shown_in_order_and_harmless(kernel: RealKernel, head: str) -> None:
    cell = kernel.run(
        f"{head}%%pctx\nconst {{ html, md, display }} = Deno.jupyter;\nconsole.log('one');\n"
        "await display(html`<b onclick='x()'>two</b><script>x()</script>`);\nconsole.error('three');\n"
        "await display(md`**four**`, { display_id: 'it' });\n"
        "await display([{ a: 1 }], { display_id: 'it', update: true });\nhtml`<i>five</i>`"
    )
    kinds = [output["msg_type"] for output in cell.outputs if "CPU times" not in output["content"].get("text", "")]
    assert cell.shown[0][MIME] == {"state": "reserved"}
    assert kinds[1:] == ["stream", "display_data", "stream", "display_data", "update_display_data", "execute_result"]
    _, two, four, five = cell.shown
    assert "<b>two</b></div>" in two["text/html"]
    assert ("<strong>four</strong>" in four["text/html"], four["text/plain"]) == (True, "**four**")
    assert ("<i>five</i>" in five["text/html"], five["text/plain"]) == (True, "five")
    first, updated = (output["content"] for output in cell.outputs[4:6])
    assert first["transient"] == updated["transient"] == {"display_id": "pctx:it"}
    assert "<table" in updated["data"]["text/html"]


def test_a_chart_is_the_value_of_a_cell_and_its_data_can_be_stored(kernel: RealKernel) -> None:
    schema = "https://vega.github.io/schema/vega-lite/v5.json"
    code = f"({{ $schema: {schema!r}, mark: 'bar', data: {{ values: [{{ a: 1 }}] }} }})"
    cell = kernel.run(f"%%pctx -o chart\n{code}")
    assert cell.shown[-1]["application/vnd.vegalite.v5+json"]["mark"] == "bar"
    assert kernel.run("chart['data']").value == "{'values': [{'a': 1}]}"
    assert kernel.run(f"%%pctx --quiet\n{code}").shown == []


def drawn(cell: Cell) -> list[dict[str, Any]]:
    """The drawings of a cell's timeline, in order."""
    bundles = [output["content"].get("data", {}) for output in cell.outputs]
    return [bundle for bundle in bundles if MIME in bundle and bundle[MIME]["state"] != "reserved"]


@forms
def test_a_timeline_is_above_all_output_of_its_run(kernel: RealKernel, head: str) -> None:
    kernel.run("@tool\ndef prints() -> None:\n    print('from the tool', flush=True)")
    cell = kernel.run(f"{head}%%pctx\nfor (let i = 0; i < 50; i++) console.log(i); await Notebook.prints(); undefined")
    assert cell.outputs[0]["msg_type"] == "display_data" and MIME in cell.outputs[0]["content"]["data"]
    assert drawn(cell)[-1][MIME]["calls_in_all"] == 1
    cell = kernel.run(f"{head}%%pctx\nawait Notebook.prints(); undefined")
    assert cell.outputs[0]["msg_type"] == "display_data" and MIME in cell.outputs[0]["content"]["data"]


@forms
def test_a_run_that_calls_tools_shows_its_timeline_before_its_value(kernel: RealKernel, head: str) -> None:
    cell = kernel.run(f"{head}%%pctx\nconsole.log('one'); await Notebook.add({{ a: 1, b: 2 }})")
    kinds = [output["msg_type"] for output in cell.outputs if "CPU times" not in output["content"].get("text", "")]
    assert list(dict.fromkeys(kinds)) == ["display_data", "stream", "update_display_data", "execute_result"]
    assert cell.shown[0] == {MIME: {"state": "reserved"}, "text/html": "", "text/plain": ""}
    trace = drawn(cell)[-1][MIME]
    assert (trace["state"], trace["code"], [call["tool"] for call in trace["calls"]]) == ("ok", "", ["Notebook.add"])
    assert drawn(cell)[-1]["text/plain"].startswith("1 call · add · ")


@forms
def test_the_timeline_grows_while_a_tool_keeps_the_kernel_busy(kernel: RealKernel, head: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    kernel.run(f"@tool\ndef opened() -> None:\n    open({str(gate)!r}).close()  # until somebody writes to it")
    cell = kernel.run(
        f"{head}%%pctx\nawait Notebook.opened(); await Notebook.add({{ a: 1, b: 2 }}); undefined",
        when=("running …", lambda: gate.open("w").close()),
    )
    shown = [o["content"] for o in cell.outputs if MIME in o["content"].get("data", {})]
    assert len({content["transient"]["display_id"] for content in shown}) == 1
    traces = [bundle[MIME] for bundle in drawn(cell)]
    assert traces[0]["state"] == "running" and traces[-1]["state"] == "ok"
    assert "ended_s" not in traces[0]["calls"][0]
    assert len(traces[-1]["calls"]) == 2


def test_no_timeline_is_shown_of_a_run_without_calls_nor_where_nobody_wants_one(kernel: RealKernel) -> None:
    call = "await Notebook.add({ a: 1, b: 2 })"
    assert kernel.run("%%pctx\n1 + 2").shown == [{"text/plain": "3"}]
    assert kernel.run(f"%%pctx --no-timeline\n{call}").shown == [{"text/plain": "3"}]
    assert kernel.run(f"%%pctx --quiet\n{call}").outputs == []


@forms
def test_a_run_that_fails_or_is_interrupted_shows_how_far_it_came(
    kernel: RealKernel, head: str, tmp_path: Path
) -> None:
    cell = kernel.run(f"{head}%%pctx\nawait Notebook.fail({{ message: 'no' }})")
    assert cell.error is not None
    failed = drawn(cell)[-1][MIME]
    assert (failed["state"], failed["calls"][0]["error"]) == ("failed", "no")
    kernel.run("@tool\nasync def forever() -> None:\n    await asyncio.sleep(600)")
    cell = kernel.run(
        f"{head}%%pctx\nawait Notebook.forever()", when=("running …", lambda: kernel.manager.interrupt_kernel())
    )
    assert cell.error == "KeyboardInterrupt"
    # The last trace comes when the sandbox has ended, which may be after the cell.
    deadline = time.monotonic() + SOON
    while "ended_s" not in drawn(cell)[-1][MIME]["calls"][0]:
        assert time.monotonic() < deadline, "the last trace never came"
        kernel.run("await asyncio.sleep(0.1)")
        cell.outputs += kernel.elsewhere
        kernel.elsewhere.clear()
    last = drawn(cell)[-1]
    assert (last[MIME]["state"], last[MIME]["asked_by"]) == ("stopped", "cell")
    assert "stopped by you" in last["text/plain"]


@forms
def test_what_tools_display_lands_in_the_cell_that_called_them(kernel: RealKernel, head: str) -> None:
    kernel.run("from IPython.display import HTML\n@tool\ndef draw() -> None:\n    display(HTML('<b>plot</b>'))")
    first = kernel.run(f"{head}%%pctx\nawait Notebook.draw()")
    assert [bundle["text/html"] for bundle in first.shown if MIME not in bundle] == ["<b>plot</b>"]


def test_a_late_print_of_a_tools_task_lands_in_its_own_cell(kernel: RealKernel) -> None:
    kernel.run(
        "late = asyncio.Event()\n@tool\nasync def leave_a_task() -> None:\n"
        "    async def later():\n        await late.wait()\n        print('late')\n"
        "    globals()['task'] = asyncio.create_task(later())"
    )
    first = kernel.start("%%pctx\nawait Notebook.leaveATask()")
    kernel.end(first)
    kernel.elsewhere.clear()
    second = kernel.run("print('second')\nlate.set()\nawait task")
    assert second.text() == "second\n"
    late = [m for m in kernel.elsewhere if m["msg_type"] == "stream"]
    assert [(m["parent_header"]["msg_id"], m["content"]["text"]) for m in late] == [(first, "late\n")]


@forms
def test_async_tools_overlap(kernel: RealKernel, head: str) -> None:
    kernel.run(
        "waiting = {}\n@tool\nasync def meet(me: str, other: str) -> str:\n"
        "    '''Each lets the other one go.'''\n"
        "    mine = waiting[me] = asyncio.get_running_loop().create_future()\n"
        "    while other not in waiting:\n        await asyncio.sleep(0.01)\n"
        "    waiting[other].set_result(f'met by {me}')\n    return await mine"
    )
    cell = kernel.run(
        f"{head}%%pctx --timeout {SOON // 2}\n"
        "await Promise.all([Notebook.meet({ me: 'a', other: 'b' }), Notebook.meet({ me: 'b', other: 'a' })])"
    )
    assert cell.error is None
    assert cell.value is not None and json.loads(cell.value.replace("'", '"')) == ["met by b", "met by a"]


def test_async_tools_run_on_the_kernels_loop(kernel: RealKernel) -> None:
    kernel.run("lock = asyncio.Lock()\nawait lock.acquire()\nloop = asyncio.get_running_loop()")
    kernel.run("@tool\nasync def same() -> bool:\n    return asyncio.get_running_loop() is loop")
    assert kernel.run("%%pctx\nawait Notebook.same()").value == "true"
    assert kernel.run("%%time\n%%pctx\nawait Notebook.same()").value == "false"


@forms
def test_a_tool_runs_a_program_of_its_own_and_endless_recursion_is_an_error(kernel: RealKernel, head: str) -> None:
    kernel.run(
        "@tool\ndef nested(n: int) -> object:\n    names = get_ipython()\n"
        "    names.run_cell_magic('pctx', '--no-check -q -o inner', f'await Notebook.add({{a: {n}, b: 1}})')\n"
        "    return names.user_ns['inner']\n"
        "@tool\ndef again() -> None:\n    get_ipython().run_cell_magic('pctx', '--no-check', 'await Notebook.again()')"
    )
    cell = kernel.run(f"{head}%%pctx\nawait Promise.all([Notebook.nested({{ n: 1 }}), Notebook.nested({{ n: 2 }})])")
    assert cell.value is not None and json.loads(cell.value) == [2, 3]
    cell = kernel.run(f"{head}%%pctx\nawait Notebook.again()")
    assert cell.error == "ProgramFailed"
    assert "programs already wait for one another" in cell.traceback
    assert kernel.works()


@forms
def test_an_uncaught_tool_error_shows_the_typescript_line_and_the_python_frames(kernel: RealKernel, head: str) -> None:
    cell = kernel.run(f"{head}%%pctx\nconst who = 'ann';\nawait Notebook.fail({{ message: `no ${{who}}` }});")
    assert cell.error == "ProgramFailed"
    assert "LookupError: no ann" in cell.traceback
    assert "> 2 | await Notebook.fail" in cell.traceback
    assert "in fail" in cell.traceback and "raise LookupError(message)" in cell.traceback
    assert "pctx_jupyter" not in cell.traceback


def test_a_caught_tool_error_is_no_error(kernel: RealKernel) -> None:
    cell = kernel.run(
        "%%pctx\ntry { await Notebook.fail({ message: 'no' }) } catch (error) { `${error.name}: ${error.message}` }\n"
        "let said = ''; try { await Notebook.fail({ message: 'no' }) } "
        "catch (error) { said = `${error.name}: ${error.message}` }\nsaid"
    )
    assert cell.error is None and cell.value is not None and "LookupError: no" in cell.value


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%%pctx --timout 3\n1", "There is no option --timout (did you mean --timeout?)"),
        ("%%pctx --timeout soon\n1", "not a number of seconds"),
        ("%%pctx -i ordrs\n1", "the notebook has no such name (did you mean orders?)"),
        ("%%pctx -i tool\n1", "Cannot pass in tool: function is not JSON"),
        ("%%pctx -o 3x\n1", "'3x' is not a name"),
        ("%pctx detials add", "did you mean details?"),
        ("%pctx details Notebook.ad", "did you mean Notebook.add?"),
        ("%pctx details Sales.*", "Cannot describe Sales.*: no such tool here; %pctx tools lists them"),
        ("%pctx tools nothing of it", "No tool has 'nothing of it' in its name or description"),
        ("%pctx 1 + 1", "A program goes below a line %%pctx"),
        ("%pctx status now", "Cannot use 'now': %pctx status takes nothing more"),
        ("%pctx help shares", "did you mean share?"),
        ("%pctx register nothere", "the notebook has no nothere"),
        ("%pctx register fractions.gcd", "the notebook has no fractions; import fractions first"),
        ("%pctx register", "the following arguments are required: FUNCTION"),
        ("%pctx unregister", "Usage: %pctx unregister"),
        ("%pctx learn", "The name of a tool is missing"),
        ("%pctx learn Sales.total", "no such tool in this session; %pctx tools lists them"),
        ("%pctx approvals alow 1", "has no command 'alow' (did you mean allow?)"),
        ("%pctx approvals allow", "The ID is missing"),
        ("%pctx mcp ad", "%pctx mcp has no command 'ad' (did you mean add?)"),
        ("%pctx mcp remove", "The name of a server is missing"),
        ("%pctx mcp add", "the following arguments are required: NAME, URL or COMMAND\n"),
    ],
)
def test_a_mistake_in_a_line_is_one_usage_error_with_the_way_out(kernel: RealKernel, code: str, said: str) -> None:
    kernel.run("orders = [1]")
    cell = kernel.run(code)
    assert cell.error == "UsageError"
    assert said in cell.text("stderr")
    assert cell.traceback == ""


def test_a_program_that_does_not_run_says_so_without_our_frames(kernel: RealKernel) -> None:
    for code, said in (
        ("%%pctx\nwhile (", "SyntaxError"),
        ("%%pctx --timeout 0.5\nfor (;;);", "stopped after 0.5 s"),
        ("%%pctx --tools Nope.*\n1", "Nope.*"),
    ):
        cell = kernel.run(code)
        assert cell.error == "ProgramFailed" and said in cell.traceback and "pctx_jupyter" not in cell.traceback


def test_tools_registered_by_name_come_and_go(kernel: RealKernel) -> None:
    kernel.run("def double(n: int) -> int:\n    '''Twice.'''\n    return 2 * n")
    assert "Registered Sales.double" in kernel.run("%pctx register double -n Sales").text()
    assert kernel.run("%%pctx --tools Sales.*\nawait Sales.double({ n: 4 })").value == "8"
    assert "Sales.double(args: { n: number }): Promise<number>" in (kernel.run("%pctx tools").value or "")
    kernel.run("def double(n: int) -> int:\n    return 3 * n\n%pctx register double -n Sales")
    assert kernel.run("%%pctx\nawait Sales.double({ n: 4 })").value == "12"
    assert "Sales.double" in (kernel.run("%pctx tools sales dou").value or "")
    assert "Notebook." not in (kernel.run("%pctx tools sales dou").value or "")
    assert "function double" in (kernel.run("%pctx details Sales.*").value or "")
    assert "Unregistered Sales.double" in kernel.run("%pctx unregister Sales.*").text()
    assert kernel.run("%%pctx --no-check\nawait Sales.double({ n: 4 })").error == "ProgramFailed"


def test_the_status_says_where_programs_run_and_why(kernel: RealKernel) -> None:
    assert kernel.run("%%pctx\n1").value == "1"  # by then Deno's version is known
    status = kernel.run("%pctx status").value or ""
    assert "embedded" in status and "PCTX_JUPYTER_URL is not set" in status and "deno 2" in status
    assert re.search(r"Programs +\d+: [\d,]+ tokens?, .* plain tool calls \(estimated\)", status)
    assert "Agent states  0" in status
    assert re.search(r"Checker +ready (yes|no), requests \d+, starts \d+, memory \d+ MB", status)
    assert all(line.split("  ", 1)[1].strip() for line in status.splitlines())  # no fact is empty


def test_a_kernel_whose_server_is_gone_says_once_that_it_runs_programs_itself(kernel: RealKernel) -> None:
    kernel.run("import os\nos.environ['PCTX_JUPYTER_URL'] = 'http://127.0.0.1:9/'\n%reload_ext pctx_jupyter")
    first, second = kernel.run("%%pctx\n1 + 1"), kernel.run("%%pctx\n1 + 1")
    assert (first.value, second.value) == ("2", "2")
    assert re.fullmatch(r"pctx: programs run in an engine of this kernel: Cannot connect to .*\n", first.text("stderr"))
    assert second.text("stderr") == ""
    assert "Cannot connect to" in (kernel.run("%pctx status").value or "")
    kernel.run("del os.environ['PCTX_JUPYTER_URL']\n%reload_ext pctx_jupyter")


@pytest.mark.parametrize(
    ("deno", "said"),
    [("", "is no executable file; correct it"), ("echo deno 2.3.1", "deno 2.3.1 has known ways out of its sandbox")],
    ids=["absent", "too old"],
)
def test_without_a_fitting_deno_a_cell_says_what_to_do_once(deno: str, said: str, tmp_path: Path) -> None:
    if deno:
        (tmp_path / "deno").write_text(f"#!/bin/sh\n{deno}\n")
        (tmp_path / "deno").chmod(0o755)
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(f"c.Pctx.deno = {str(tmp_path / 'deno')!r}\n")
    with open_kernel(tmp_path) as kernel:
        kernel.run("%load_ext pctx_jupyter")
        cell = kernel.run("%%pctx\n1")
        assert cell.error == "ProgramFailed" and said in cell.traceback
        assert cell.text("stderr") == ""
        assert said in (kernel.run("%pctx status").value or "")


def test_a_cell_under_capture_prints_into_the_capture(kernel: RealKernel) -> None:
    code = "console.log('inside'); await Notebook.say({ text: 'tool' }); console.warn('as it is')"
    cell = kernel.run(f"%%capture kept\n%%pctx\n{code}")
    assert cell.outputs == []
    assert kernel.run("kept.stdout, kept.stderr").value == "('inside\\ntool\\n', 'as it is\\n')"


def test_a_run_from_python_code_works_in_any_cell(kernel: RealKernel) -> None:
    assert kernel.run("get_ipython().run_cell_magic('pctx', '', '1 + 1')").value == "2"
    assert kernel.run("await asyncio.sleep(0)\nget_ipython().run_cell('%%pctx\\n1 + 1').result").value == "2"
    assert kernel.run("%autoawait off\n").error is None
    assert kernel.run("%%pctx\n1 + 1").value == "2"
    assert kernel.run("%autoawait asyncio\n").error is None


def test_a_half_written_cell_is_not_complete(kernel: RealKernel) -> None:
    id = kernel.client.is_complete("%%pctx\nconst a = 1")
    reply = kernel.client.get_shell_msg(timeout=SOON)
    assert reply["parent_header"]["msg_id"] == id and reply["content"]["status"] == "incomplete"


def test_a_forked_child_leaves_the_kernels_engine_alone(kernel: RealKernel) -> None:
    cell = kernel.run(
        "import multiprocessing\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n    print(pool.map(abs, [-1, -2]))"
    )
    assert cell.text() == "[1, 2]\n"
    assert kernel.works()


def test_importing_and_loading_imports_nothing_heavy(bare_kernel: RealKernel) -> None:
    script = (
        "import sys, threading\nimport ipykernel.zmqshell, ipykernel.ipkernel\n"
        "import pctx_jupyter.kernel.magics\n"
        "print([m for m in ('pydantic', 'websockets', 'deno', 'jupyter_server', 'mcp', 'pctx_jupyter.engine') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=START, check=True)
    assert done.stdout.strip() == "[]"


def test_a_kernel_without_a_server_says_that_there_is_nobody_to_share_with(kernel: RealKernel) -> None:
    assert "Cannot be shared: " in kernel.run("%pctx share on").text()
    assert kernel.run("%pctx runs").value == "No guest program has called this notebook's tools yet"
    assert "not among the latest" in kernel.run("%pctx insert 1").text("stderr")


def test_unloading_leaves_nothing_and_reloading_works(kernel: RealKernel) -> None:
    assert kernel.works()
    assert kernel.processes()
    look = (
        "import threading\nip = get_ipython()\n"
        "[t.name for t in threading.enumerate() if t.name.startswith('pctx')], hasattr(ip, '_pctx'), "
        "[k for k in ('line', 'cell') if 'pctx' in ip.magics_manager.magics[k]], "
        "[t for t in ip.input_transformers_cleanup if 'pctx' in repr(t)], "
        "[h for h in ip.kernel.shell_handlers.values() if 'pctx' in repr(h)], "
        "[c for cs in ip.events.callbacks.values() for c in cs if 'pctx' in repr(c)]"
    )
    for _ in range(2):
        assert kernel.run("%unload_ext pctx_jupyter").error is None
        assert kernel.run(look).value == "([], False, [], [], [], [])"
        assert not psutil.wait_procs(kernel.processes(), timeout=SOON)[1]
        assert kernel.run("%load_ext pctx_jupyter").error is None
        assert kernel.run("%reload_ext pctx_jupyter").error is None
        assert kernel.works()
    assert kernel.run("%%pctx\nawait Notebook.add({ a: 1, b: 1 })").value == "2"


@pytest.mark.parametrize("now", [False, True], ids=["asked to", "killed"])
def test_a_restarted_kernel_leaves_no_process(kernel: RealKernel, now: bool) -> None:
    kernel.run("%load_ext pctx_jupyter")
    assert kernel.works()
    if now:
        kernel.start("%%pctx\nfor (;;);")
    children = kernel.processes()
    assert children
    kernel.restart(now=now)
    assert not psutil.wait_procs(children, timeout=SOON)[1]


# other shells

NOTEBOOK = """
from pctx_jupyter import tool

@tool
async def add(a: int, b: int) -> int:
    print("adding")
    return a + b
"""


def _run(*command: str, cwd: Path, typed: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PCTX_")}
    environment |= {"IPYTHONDIR": str(cwd / "ipython"), "JUPYTER_RUNTIME_DIR": str(cwd / "runtime")}
    command = (sys.executable, "-m", *command)
    done = subprocess.run(command, cwd=cwd, env=environment, input=typed, capture_output=True, text=True, timeout=START)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_plain_ipython_runs_a_script(tmp_path: Path) -> None:
    cell = "%%pctx -o three\\nconsole.log('hello'); await Notebook.add({a: 1, b: 2})"
    script = f'%load_ext pctx_jupyter\n{NOTEBOOK}\nget_ipython().run_cell("{cell}")\nprint("got", three)\n'
    (tmp_path / "notebook.ipy").write_text(script)
    assert "hello\nadding\n" in (said := _run("IPython", "notebook.ipy", cwd=tmp_path)) and "got 3" in said


def test_plain_ipython_runs_a_command_line(tmp_path: Path) -> None:
    said = _run("IPython", "--ext=pctx_jupyter", "-c", "%%pctx\nconsole.log('hello'); 1 + 1", cwd=tmp_path)
    assert "hello\n" in said and "2" in said


def test_a_terminal_runs_what_is_typed(tmp_path: Path) -> None:
    cell = "%%pctx -o three\nconsole.log('hello')\nawait Notebook.add({ a: 1, b: 2 })\n\n\n"
    define = f"exec({NOTEBOOK!r})\n"
    typed = f"%load_ext pctx_jupyter\n{define}{cell}%pctx status\nprint('got', three)\n"
    said = _run("IPython", "--simple-prompt", cwd=tmp_path, typed=typed)
    assert "hello\nadding\n" in said and "embedded" in said and "got 3" in said


def test_nbconvert_executes_a_notebook_and_stops_at_a_failing_program(tmp_path: Path) -> None:
    sources = [
        "%load_ext pctx_jupyter",
        NOTEBOOK,
        "%%pctx --no-check\nconsole.warn('w'); await Notebook.add({ a: 1, b: 2 })",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(notebook, tmp_path / "good.ipynb")
    _run("nbconvert", "--to", "notebook", "--execute", "good.ipynb", "--output", "done.ipynb", cwd=tmp_path)
    outputs = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells[-1].outputs
    assert [output.get("text") or output["data"]["text/plain"].split(" · ")[0] for output in outputs] == [
        *("1 call", "w\n", "adding\n", "3")
    ]

    notebook.cells.append(nbformat.v4.new_code_cell("%%pctx\nthrow new RangeError('too far')"))
    nbformat.write(notebook, tmp_path / "bad.ipynb")
    with pytest.raises(AssertionError, match="RangeError: too far"):
        _run("nbconvert", "--to", "notebook", "--execute", "bad.ipynb", cwd=tmp_path)


def test_a_kernel_of_a_server_runs_its_programs_there(tmp_path: Path) -> None:
    option = f"--KernelManager.connection_dir={tmp_path}"
    with server_process(option) as server, attached(server.start_kernel()) as kernel:
        assert kernel.run("%load_ext pctx_jupyter").error is None
        assert kernel.run(NOTEBOOK).error is None
        cell = kernel.run("%%pctx\nconsole.log('hello'); await Notebook.add({ a: 1, b: 2 })")
        assert cell.text() == "hello\nadding\n" and cell.value == "3"
        status = kernel.run("%pctx status").value or ""
        assert server.url.rstrip("/") in status and "it started this kernel" in status
        assert kernel.run("import sys\n'pctx_jupyter.engine' in sys.modules").value == "False"
