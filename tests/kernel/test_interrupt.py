"""Interrupting a cell in every state, in every form. Real: kernel, interrupt, sandbox. Nothing is fake."""

from __future__ import annotations

import pytest

from .real_kernel import Cell, RealKernel

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
    errors = [output["msg_type"] for output in cell.outputs].count("error")
    assert len([bundle for bundle in cell.shown if bundle["text/plain"].startswith("Stopped.")]) + errors == 1
    assert "pctx_jupyter" not in told_of_stop(cell)
    assert kernel.works()


def told_of_stop(cell: Cell) -> str:
    """What a cell shows of its stop. It is no error, unless another magic around it shows its own."""
    shown = [bundle["text/plain"] for bundle in cell.shown if bundle["text/plain"].startswith("Stopped.")]
    return "\n".join([*shown, *([cell.traceback] if cell.traceback else [])])


def test_an_interrupted_cell_shows_no_error_and_how_many_calls_it_made(kernel: RealKernel, form: str) -> None:
    cell = kernel.run(
        f"{form}%%pctx --no-check\nawait Promise.all([Notebook.waits(), Notebook.waits()])",
        when=("ready", kernel.interrupt),
    )
    if form == "":
        assert cell.traceback == ""
        assert cell.reply["status"] == "error", "the cells after it do not run"
        stop = "update_display_data", "display_data"
        shown = [output["content"]["data"] for output in cell.outputs if output["msg_type"] in stop]
        assert any(bundle["text/plain"].startswith("Stopped. ") for bundle in shown)


def test_an_exception_handler_of_the_user_is_kept(kernel: RealKernel) -> None:
    assert kernel.run(TOOLS).error is None
    assert kernel.run("%unload_ext pctx_jupyter").error is None
    assert kernel.run("get_ipython().custom_exceptions").value == "()"
    kernel.run("get_ipython().set_custom_exc((ZeroDivisionError,), lambda *_, **__: print('own handler'))")
    kernel.run("%load_ext pctx_jupyter")
    assert kernel.run("1 / 0").text() == "own handler\n"
    kernel.run("get_ipython().set_custom_exc((), None)\n%reload_ext pctx_jupyter")
    assert kernel.works()


def test_the_place_in_a_tool_where_the_interrupt_came_is_shown(kernel: RealKernel, form: str) -> None:
    cell = kernel.run(f"{form}%%pctx --no-check\nawait Notebook.blocks()", when=("ready", kernel.interrupt))
    assert "in blocks" in told_of_stop(cell) and "Cell In[" in told_of_stop(cell)


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
