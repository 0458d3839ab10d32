"""Programs of others that call a notebook's tools. Nothing is fake: server, kernels, sandboxes, interrupts."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.sync.client import connect

from pctx_jupyter import errors
from pctx_jupyter.session.trace import NOTICE

from ..kernel.real_kernel import SOON, RealKernel, attached
from ..server.process import ServerProcess, server_process
from .agent import Agent
from .test_examples import examples

TOOLS = """
%load_ext pctx_jupyter
import asyncio, os, time
from pctx_jupyter import tool

called = []

@tool
def load(n: int) -> int:
    print(f"loads {n}")
    called.append(n)
    return 2 * n

@tool
async def load_later(n: int) -> int:
    await asyncio.sleep(0)
    return 3 * n

@tool
def fail() -> None:
    raise LookupError("no such order")

@tool
def hang(path: str) -> None:
    os.mkdir(path)
    while True: time.sleep(0.01)

@tool
async def hang_later(path: str) -> None:
    os.mkdir(path)
    await asyncio.sleep(600)

@tool(share=False)
def password() -> str:
    return "secret"

def quiet() -> int:
    return 1

%pctx register quiet --no-share
"""


FRAMES = """
import pandas as pd

@tool(handle=True)
def orders() -> pd.DataFrame:
    return pd.DataFrame({"id": range(100), "status": "open", "amount": [float(n) for n in range(100)]})

@tool
def height(frame: pd.DataFrame) -> int:
    return len(frame)
"""


@dataclass
class Notebook:
    """An open notebook."""

    session: dict[str, Any]
    process: psutil.Process
    kernel: RealKernel

    def heard(self, parent: str) -> list[dict[str, Any]]:
        """What has come for a cell that had ended: asks the kernel something, so that all of it is there."""
        # A silent cell counts as none.
        self.kernel.end(self.kernel.client.execute("pass", silent=True))
        return [m for m in self.kernel.elsewhere if m["parent_header"].get("msg_id") == parent]


def until(holds: Callable[[], Any]) -> Any:
    """Wait until something holds; returns what it gives."""
    deadline = time.monotonic() + SOON
    while not (held := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # what is waited for is in other processes, and tells nobody
    return held


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with server_process("--Pctx.warm_sandboxes=1") as server:
        yield server


@pytest.fixture(scope="module")
def agent(server: ServerProcess) -> Agent:
    return Agent(server.url, server.headers)


def opened(server: ServerProcess, path: str) -> Iterator[Notebook]:
    session, process = server.open_notebook(path)
    with attached(process) as kernel:
        assert kernel.run(TOOLS).error is None
        yield Notebook(session, process, kernel)
    server.ask("DELETE", f"api/sessions/{session['id']}")


@pytest.fixture(scope="module")
def sales(server: ServerProcess, agent: Agent) -> Iterator[Notebook]:
    for notebook in opened(server, "reports/sales report.ipynb"):
        until(lambda: "SalesReport.load" in agent.tools())
        yield notebook


@pytest.fixture(scope="module")
def plots(server: ServerProcess) -> Iterator[Notebook]:
    yield from opened(server, "plots.ipynb")


def texts(messages: list[dict[str, Any]], kind: str) -> list[str]:
    return [m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == kind]


def printed(messages: list[dict[str, Any]], stream: str) -> str:
    said = (m["content"] for m in messages if m["msg_type"] == "stream")
    return "".join(content["text"] for content in said if content["name"] == stream)


def test_the_examples_of_the_page_on_sharing_do_what_it_says() -> None:
    with server_process("--Pctx.warm_sandboxes=1") as server:
        _, process = server.open_notebook("reports/sales report.ipynb")
        with attached(process) as kernel:
            for example in examples("docs/howto/share.md"):
                cell = kernel.run(example.code)
                assert cell.error is None, cell.traceback
                if example.output is not None:
                    assert (cell.text() + (cell.value or "")).strip() == example.output, example.code


def test_an_agents_program_calls_a_live_notebooks_functions_though_no_program_ran_there(
    sales: Notebook, agent: Agent
) -> None:
    both = "[await SalesReport.load({ n: 4 }), await SalesReport.loadLater({ n: 4 })]"
    assert agent.run(both) == [8, 12]


def test_what_a_tool_prints_and_raises_for_an_agent_lands_below_the_last_cell_with_a_notice(
    sales: Notebook, agent: Agent
) -> None:
    last = sales.kernel.start("'the last cell'")
    sales.kernel.end(last)
    code = "await SalesReport.load({ n: 5 }); await SalesReport.fail().catch((error) => error.name)"
    assert agent.run(code) == "LookupError"
    heard = sales.heard(last)
    assert "loads 5" in printed(heard, "stdout")
    traceback = printed(heard, "stderr")
    assert "LookupError: no such order" in traceback and "pctx_jupyter" not in traceback
    [began] = texts(heard, "display_data")
    *_, ended = texts(heard, "update_display_data")
    assert began.startswith("An agent is running a program here · running")
    assert ended.startswith("An agent ran a program here · done in")
    assert "2 calls" in ended and all(f"SalesReport.{name}" in ended for name in ("load", "fail"))
    number = ended.partition("%pctx insert ")[2].split()[0]
    assert "An agent" in (sales.kernel.run("%pctx runs").value or "")
    inserted = sales.kernel.run(f"%pctx insert {number}")
    [cell] = inserted.reply["payload"]
    assert cell["text"] == f"%%pctx\n{code}"
    assert sales.kernel.run(cell["text"]).value == '"LookupError"'


def test_a_frame_that_an_agents_program_ends_with_is_there_for_its_later_programs(
    sales: Notebook, agent: Agent
) -> None:
    assert sales.kernel.run(FRAMES).error is None
    until(lambda: "SalesReport.orders" in agent.tools())
    found = agent.run("(await SalesReport.orders()).filter((o) => o.amount.ge(2)).sortBy('amount', 'descending')")
    first = [{"id": n, "status": "open", "amount": float(n)} for n in (99, 98, 97)]
    types = {"id": "Int64", "status": "String", "amount": "Float64"}
    assert found == {"$pctx.frame": {"id": found["$pctx.frame"]["id"], "rows": 98, "columns": types, "first": first}}
    assert len(json.dumps(found)) < 400, "some 100 tokens"
    id = found["$pctx.frame"]["id"]
    assert id.startswith("SalesReport.orders#")
    code = f"const frame = await openFrame('{id}'); [await frame.count(), await SalesReport.height({{ frame }})]"
    assert agent.run(code) == [98, 98]
    column = (
        f"const it = await (await openFrame('{id}')).column('amount'); [it.length, it[0], it instanceof Float64Array]"
    )
    assert agent.run(column) == [98, 99, True]
    with pytest.raises(errors.ExecutionFailed, match="only the programs of the notebook's own cells store variables"):
        agent.run(f"await (await openFrame('{id}')).save('stolen')")
    assert "for agents and other notebooks" in (sales.kernel.run("%pctx handles").value or "")
    assert sales.kernel.run(f"%pctx forget {id}").text() == f"Forgot {id}\n"
    with pytest.raises(errors.ExecutionFailed, match="its notebook does not hold it"):
        agent.run(code)
    for forged in ("SalesReport.orders#", f"SalesReport.load#{id[-5:]}"):
        with pytest.raises(errors.ExecutionFailed, match="does not hold it"):
            agent.run(f"await openFrame('{forged}')")


def test_the_programs_of_an_agent_share_a_notice_until_another_cell_runs(sales: Notebook, agent: Agent) -> None:
    last = sales.kernel.start("'the last cell'")
    sales.kernel.end(last)
    for _ in range(8):
        agent.run("await SalesReport.loadLater({ n: 1 })")
    heard = sales.heard(last)
    assert len(texts(heard, "display_data")) == 1
    shown = texts(heard, "update_display_data")[-1]
    assert shown.startswith("An agent ran 8 programs here · last ")
    assert shown.count("SalesReport.loadLater · done in") == 5
    assert all(m["content"]["metadata"] == {NOTICE: True} for m in heard if m["msg_type"].endswith("display_data"))
    following = sales.kernel.start("'the following cell'")
    sales.kernel.end(following)
    agent.run("await SalesReport.loadLater({ n: 1 })")
    [alone] = texts(sales.heard(following), "display_data")
    assert alone.startswith("An agent is running a program here")


def test_a_notice_stays_below_the_cell_at_which_its_program_began(
    sales: Notebook, agent: Agent, tmp_path: Path
) -> None:
    first = sales.kernel.start("'the first cell'")
    sales.kernel.end(first)
    called = tmp_path / "called"
    running = agent.begin(f"await SalesReport.hangLater({{ path: {json.dumps(str(called))} }}).catch((e) => e.name)")
    until(called.exists)
    second = sales.kernel.start("'the second cell'")
    sales.kernel.end(second)
    sales.process.send_signal(signal.SIGINT)
    assert running.result(SOON) == "KeyboardInterrupt"
    assert "An agent ran a program here" in texts(sales.heard(first), "update_display_data")[-1]
    assert not [m for m in sales.heard(second) if m["msg_type"].endswith("display_data")]


def test_a_front_end_that_shows_an_agents_programs_keeps_them_out_of_the_cells(
    server: ServerProcess, sales: Notebook, agent: Agent
) -> None:
    last = sales.kernel.start("'the last cell'")
    sales.kernel.end(last)
    kernel = sales.session["kernel"]["id"]
    with connect(f"{server.url.replace('http', 'ws', 1)}pctx/api/changes", additional_headers=server.headers) as page:
        page.send("no JSON")
        page.send(json.dumps({"drawn": [kernel]}))
        until(lambda: not _shown(sales, agent, last))
        assert "SalesReport.load" in (sales.kernel.run("%pctx runs").value or "")
        last = sales.kernel.start("'the last cell'")
        sales.kernel.end(last)
        page.send(json.dumps({"drawn": []}))
        until(lambda: _shown(sales, agent, last))
        page.send(json.dumps({"drawn": [kernel]}))
    last = sales.kernel.start("'the last cell'")
    sales.kernel.end(last)
    until(lambda: _shown(sales, agent, last))
    [newest, *_] = server.ask("GET", "pctx/api/executions")["executions"]
    assert newest["called"] == {kernel: 1}


def _shown(notebook: Notebook, agent: Agent, cell: str) -> list[str]:
    """What a cell shows of one more program of an agent."""
    before = len(notebook.heard(cell))
    agent.run("await SalesReport.load({ n: 1 })")
    return [m["msg_type"] for m in notebook.heard(cell)[before:] if m["msg_type"].endswith("display_data")]


def test_a_call_waits_while_a_cell_runs_and_says_so(
    sales: Notebook, agent: Agent, server: ServerProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    for pause in ("time.sleep(0.01)", "await asyncio.sleep(0.01)"):
        sales.kernel.start(f"while not os.path.exists({str(gate)!r}): {pause}\ncalled.append('first')")
        second = sales.kernel.start("called.append('second')")
        until(lambda: sales.kernel.client.get_iopub_msg(timeout=SOON)["msg_type"] == "execute_input")
        running = agent.begin("await SalesReport.load({ n: 6 })")
        until(lambda: "waits: a cell of the notebook is running" in json.dumps(executions(server)))
        until(lambda: server.ask("GET", "pctx/api/status")["sandbox"]["asking"] == 1)  # others have its place
        assert not running.done()
        gate.touch()
        assert running.result(SOON) == 12
        sales.kernel.end(second)
        assert sales.kernel.run("called[-3:]").value == "['first', 6, 'second']"
        gate.unlink()


def executions(server: ServerProcess) -> list[Any]:
    listed = server.ask("GET", "pctx/api/executions")["executions"]
    return [server.ask("GET", f"pctx/api/executions/{one['id']}") for one in listed[:2]]


def test_a_program_that_names_a_notebook_whose_kernel_is_stopped_reads_that_it_does_not_answer() -> None:
    with server_process("--Pctx.warm_sandboxes=1", "--Pctx.ping_s=0.5") as server:
        agent = Agent(server.url, server.headers)
        for notebook in opened(server, "report.ipynb"):
            until(lambda: "Report.load" in agent.tools())
            notebook.process.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(errors.PctxError):  # an idle kernel is not pinged: a call finds out
                    agent.run("await Report.load({ n: 1 })")
                until(lambda: "Report.load" not in agent.tools())
                with pytest.raises(errors.PctxError, match=r"'Report': it is a notebook whose kernel does not answer"):
                    agent.run("await Report.load({ n: 1 })")
            finally:
                notebook.process.send_signal(signal.SIGCONT)
            until(lambda: "Report.load" in agent.tools())
            assert agent.run("await Report.load({ n: 2 })") == 4


def test_a_call_of_a_stopped_kernel_ends_at_the_time_limit_of_a_call_and_not_of_the_program() -> None:
    with server_process("--Pctx.max_call_s=1", "--Pctx.ping_s=600") as server:
        agent = Agent(server.url, server.headers)
        for notebook in opened(server, "report.ipynb"):
            until(lambda: "Report.load" in agent.tools())
            notebook.process.send_signal(signal.SIGSTOP)
            try:
                caught = agent.run("await Report.load({ n: 1 }).catch((e) => e.message)", timeout_s=600)
                assert "Cannot finish Report.load: its kernel did not answer within 1 s" in caught
            finally:
                notebook.process.send_signal(signal.SIGCONT)
            assert agent.run("await Report.load({ n: 2 })") == 4


def test_a_call_that_is_withdrawn_before_its_turn_never_runs(sales: Notebook, agent: Agent, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    busy = sales.kernel.start(f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)")
    with pytest.raises(errors.ExecutionTimeout):
        agent.run("await SalesReport.load({ n: 777 })", timeout_s=1)
    gate.touch()
    sales.kernel.end(busy)
    assert agent.run("await SalesReport.load({ n: 1 })") == 2
    assert sales.kernel.run("777 in called").value == "False"


@pytest.mark.parametrize("tool", ["hang", "hangLater"])
def test_interrupting_an_idle_kernel_interrupts_the_agents_tool_and_the_kernel_goes_on(
    sales: Notebook, agent: Agent, tmp_path: Path, tool: str
) -> None:
    called = tmp_path / "called"
    call = f"SalesReport.{tool}({{ path: {json.dumps(str(called))} }})"
    running = agent.begin(f"await {call}.catch((e) => `${{e.name}}: ${{e.message}}`)")
    until(called.exists)
    sales.process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt: " in running.result(SOON) and "was interrupted in its notebook" in running.result()
    assert sales.kernel.run("6 * 7").value == "42"
    assert agent.run("await SalesReport.load({ n: 1 })") == 2
    sales.process.send_signal(signal.SIGINT)  # nothing is going on: nothing happens
    assert sales.kernel.run("6 * 7").value == "42"


def test_an_interrupt_while_a_cell_runs_is_the_cells_and_no_cell_waits_for_an_agents_asynchronous_tool(
    sales: Notebook, agent: Agent, tmp_path: Path
) -> None:
    called = tmp_path / "called"
    call = f"SalesReport.hangLater({{ path: {json.dumps(str(called))} }})"
    running = agent.begin(f"await {call}.catch((e) => e.name)")
    until(called.exists)
    interrupt = partial(sales.process.send_signal, signal.SIGINT)
    for cell in (
        "time.sleep(60)",
        "await asyncio.sleep(60)",
        "%%pctx\nconsole.log('ready'); await new Promise(() => {})",
    ):
        first = cell if cell.startswith("%%") else f"print('ready', flush=True); {cell}"
        assert sales.kernel.run(first, when=("ready", interrupt)).error in ("KeyboardInterrupt", "CancelledError")
        assert not running.done()
    interrupt()
    assert running.result(SOON) == "KeyboardInterrupt"


def test_a_program_that_comes_back_to_its_own_notebook_by_way_of_another_fails_and_says_why() -> None:
    with server_process("--Pctx.max_call_s=12", "--Pctx.warm_sandboxes=1") as server:
        kernels = [server.open_notebook(path)[1] for path in ("first.ipynb", "second.ipynb")]
        with attached(kernels[0]) as first, attached(kernels[1]) as second:
            for one in (first, second):
                assert one.run(TOOLS + "%pctx share on\n").error is None
            back = "get_ipython().run_cell_magic('pctx', '--no-check', 'await First.load({ n: 1 })')"
            assert second.run(f"@tool\ndef ask() -> None:\n    {back}").error is None
            cell = first.run("%%pctx --no-check\nawait Second.ask()")
            assert "runs no tools for others while a cell of its own waits for a program" in cell.traceback
            assert [one.run("%%pctx\nawait Notebook.load({ n: 1 })").value for one in (first, second)] == ["2", "2"]


def test_tools_that_are_not_shared_are_seen_by_nobody_else(sales: Notebook, agent: Agent) -> None:
    seen = agent.tools()
    assert "SalesReport.load" in seen
    assert "SalesReport.password" not in seen and "SalesReport.quiet" not in seen
    with pytest.raises(errors.ExecutionFailed):
        agent.run("await SalesReport.password()")
    assert sales.kernel.run("%%pctx\nawait Notebook.password()").value == '"secret"'


def test_a_notebook_keeps_its_tools_to_itself_or_shares_them_with_other_notebooks(
    sales: Notebook, plots: Notebook, agent: Agent
) -> None:
    call = "%%pctx\nawait SalesReport.load({ n: 7 })"
    assert plots.kernel.run(call).error == "ProgramFailed"

    assert "Agents and notebooks may call its tools, as SalesReport" in sales.kernel.run("%pctx share on").text()
    assert plots.kernel.run(call).value == "14"
    assert sales.kernel.run(call).value == "14"  # its own, by its own name
    listed = plots.kernel.run("%pctx tools").value or ""
    assert "Notebook.load(" in listed.partition("Of other notebooks and servers")[0]
    assert "SalesReport.load(" in listed.partition("Of other notebooks and servers")[2]
    cell = "%%pctx\nSalesReport.lo"
    plots.kernel.client.complete(cell, len(cell))
    assert {"load", "loadLater"} <= set(plots.kernel.client.get_shell_msg(timeout=SOON)["content"]["matches"])
    assert "Plots" in (sales.kernel.run("%pctx runs").value or "")

    assert "Only this notebook" in sales.kernel.run("%pctx share off").text()
    assert plots.kernel.run(call).error == "ProgramFailed"
    assert not any(tool.startswith("SalesReport.") for tool in agent.tools())

    assert "Agents may call its tools, as SalesReport" in sales.kernel.run("%pctx share agents").text()
    assert "SalesReport.load" in agent.tools()
    assert "as SalesReport" in sales.kernel.run("%pctx share").text()
    assert "as SalesReport" in (sales.kernel.run("%pctx status").value or "")
    assert "did you mean agents" in sales.kernel.run("%pctx share agent").text("stderr")


def test_a_renamed_notebook_is_called_by_its_new_name(sales: Notebook, agent: Agent, server: ServerProcess) -> None:
    path = f"api/sessions/{sales.session['id']}"
    server.ask("PATCH", path, {"path": "yearly.ipynb"})
    assert agent.run("await Yearly.load({ n: 1 })") == 2
    server.ask("PATCH", path, {"path": "reports/sales report.ipynb"})
    assert "SalesReport.load" in agent.tools()


def test_two_notebooks_of_one_name_are_told_apart_and_one_killed_mid_call_says_what_is_known(
    sales: Notebook, agent: Agent, server: ServerProcess, tmp_path: Path
) -> None:
    for other in opened(server, "old/Sales Report.ipynb"):
        until(lambda: "SalesReport2.load" in agent.tools())
        other.kernel.run("@tool\ndef which() -> str:\n    return 'the other'")
        assert agent.run("await SalesReport2.which()") == "the other"
        called = tmp_path / "called"
        running = agent.begin(f"await SalesReport2.hang({{ path: {json.dumps(str(called))} }})")
        until(called.exists)
        other.process.kill()
        why = r"SalesReport2\.hang: its kernel went away; it may or may not have run"
        with pytest.raises(errors.ExecutionFailed, match=why):
            running.result(SOON)
        until(lambda: "SalesReport2.load" not in agent.tools())
        assert agent.run("await SalesReport.load({ n: 1 })") == 2


def test_a_restarted_kernel_offers_its_tools_again_once_its_cells_have_run(
    sales: Notebook, agent: Agent, server: ServerProcess
) -> None:
    kernel_id = sales.session["kernel"]["id"]
    server.ask("POST", f"api/kernels/{kernel_id}/restart", {})
    until(lambda: not any(tool.startswith("SalesReport.") for tool in agent.tools()))
    with attached(server.latest_kernel()) as kernel:
        assert kernel.run(TOOLS).error is None
        until(lambda: "SalesReport.load" in agent.tools())
        assert agent.run("await SalesReport.load({ n: 2 })") == 4
