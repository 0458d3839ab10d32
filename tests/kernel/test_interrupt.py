"""Interrupting a cell in every state, in every form. Real: kernel, interrupt, sandbox. Nothing is fake."""

from __future__ import annotations

import pytest

from .real_kernel import RealKernel

TOOLS = """
@tool
def blocks() -> None:
    print("ready", flush=True)
    time.sleep(60)

@tool
def computes() -> None:
    print("ready", flush=True)
    while True:
        pass

@tool
async def waits() -> None:
    try:
        print("ready", flush=True)  # an interrupt that comes at once is raised right here
        await asyncio.sleep(60)
    finally:
        print("cleaned up")

@tool
async def computes_in_a_coroutine() -> None:
    await asyncio.sleep(0)
    print("ready", flush=True)
    while True:
        pass

@tool
def runs_a_program() -> None:
    get_ipython().run_cell_magic("pctx", "", "console.log('ready'); for (;;);")
"""

SILENT_SERVER = """
import os, socket
silent = socket.create_server(("127.0.0.1", 0))
os.environ["PCTX_JUPYTER_URL"] = "http://127.0.0.1:%d/" % silent.getsockname()[1]
%reload_ext pctx_jupyter

import signal
def tell():
    while getattr(signal.getsignal(signal.SIGINT), "__name__", "") != "_on_sigint":
        time.sleep(0.01)
    print("ready", flush=True)
threading.Thread(target=tell).start()
"""

STATES = {
    "computing": "console.log('ready'); for (;;);",
    "idle": "console.log('ready'); await new Promise(() => {});",
    "in a sync tool that blocks": "await Notebook.blocks()",
    "in a sync tool that computes": "await Notebook.computes()",
    "in an async tool that waits": "await Notebook.waits()",
    "in an async tool that computes": "await Notebook.computesInACoroutine()",
    "in tools of both kinds": "await Promise.all([Notebook.waits(), Notebook.blocks()])",
    "in a nested program": "await Notebook.runsAProgram()",
    "printing": "for (;;) { console.log('ready'); await new Promise((go) => setTimeout(go, 0)); }",
}
"""Programs that come to one state, print ``ready``, and stay there."""


@pytest.fixture(scope="module", params=["awaited", "%%time", "%autoawait off"])
def form(request: pytest.FixtureRequest, kernel: RealKernel) -> str:
    """What stands before ``%%pctx``; sets the kernel up for it."""
    assert kernel.run(TOOLS).error is None
    off = request.param == "%autoawait off"
    assert kernel.run(f"%autoawait {'off' if off else 'asyncio'}").error is None
    return "%%time\n" if request.param == "%%time" else ""


@pytest.mark.parametrize("state", STATES)
def test_an_interrupt_raises_once_and_the_next_cell_works(kernel: RealKernel, form: str, state: str) -> None:
    cell = kernel.run(f"{form}%%pctx --no-check\n{STATES[state]}", when=("ready", kernel.interrupt))
    assert cell.error == "KeyboardInterrupt"
    assert [output["msg_type"] for output in cell.outputs].count("error") == 1
    assert "the program was stopped" in cell.traceback
    assert "pctx_jupyter" not in cell.traceback
    assert kernel.works()


def test_the_traceback_shows_where_in_a_tool_the_interrupt_came(kernel: RealKernel, form: str) -> None:
    cell = kernel.run(f"{form}%%pctx --no-check\nawait Notebook.blocks()", when=("ready", kernel.interrupt))
    assert "in blocks" in cell.traceback and "Cell In[" in cell.traceback


def test_an_async_tool_may_clean_up(kernel: RealKernel, form: str) -> None:
    cell = kernel.run(f"{form}%%pctx --no-check\nawait Notebook.waits()", when=("ready", kernel.interrupt))
    assert "cleaned up" in cell.text()


def test_an_interrupt_before_anything_was_sent_raises_and_the_next_cell_works(kernel: RealKernel, form: str) -> None:
    # A server that accepts connections and says nothing: the engine's home stays half open.
    assert kernel.run(SILENT_SERVER).error is None
    cell = kernel.run(f"{form}%%pctx\n1", when=("ready", kernel.interrupt))
    assert cell.error == "KeyboardInterrupt"
    assert kernel.run("del os.environ['PCTX_JUPYTER_URL']\n%reload_ext pctx_jupyter").error is None
    assert kernel.works()


def test_a_plain_cell_is_interrupted_as_ever(kernel: RealKernel) -> None:
    cell = kernel.run("print('ready', flush=True)\ntime.sleep(60)", when=("ready", kernel.interrupt))
    assert cell.error == "KeyboardInterrupt"
    assert kernel.works()


def test_an_idle_kernel_ignores_interrupts(kernel: RealKernel) -> None:
    assert kernel.works()
    kernel.interrupt()
    assert kernel.works()
