"""An agent's calls from a cell, without any framework: awaited, blocking, on other threads, interrupted."""

from __future__ import annotations

import json
from typing import Any

from pctx_jupyter.session.trace import MIME

from .real_kernel import RealKernel

ORDERS = """
import asyncio, concurrent.futures, threading, time
from pctx_jupyter import tool
from pctx_jupyter.agents import agent_tools

THREADS = []

@tool
def load_orders() -> list[float]:
    '''Load the totals of all orders.'''
    THREADS.append(threading.current_thread() is threading.main_thread())
    print("loading")
    return [40, 2.5]

@tool
async def load_slowly() -> int:
    await asyncio.sleep(0.01)
    return 1

@tool
def sleep_long() -> None:
    print("sleeping", flush=True)
    time.sleep(60)

@tool(share=False)
def password() -> str:
    return "secret"

@tool(effects=True)
def pay(amount: float) -> None:
    print("paid")

SUM = {"code": "const totals = await Notebook.loadOrders(); await Notebook.loadSlowly(); totals[0] + totals[1]"}
functions = agent_tools("buyer")
THREADS.clear()
"""

LOOP = '{"code": "console.log(1); await Notebook.loadSlowly(); for (;;) { await 0 }", "timeout_s": 50}'


def ready(kernel: RealKernel) -> RealKernel:
    assert kernel.run(ORDERS).error is None
    return kernel


def test_an_awaited_call_runs_the_tools_on_the_main_thread_and_shows_them_in_the_cell(kernel: RealKernel) -> None:
    cell = ready(kernel).run("answer = await functions.call('execute', SUM); print(answer.text, THREADS)")
    assert cell.error is None, cell.traceback
    assert cell.text() == "loading\n42.5 [True]\n"
    assert len(cell.shown) == 1  # the place of the timeline, which is drawn there from then on
    bundles = [output["content"].get("data", {}) for output in cell.outputs]
    trace: Any = [bundle[MIME] for bundle in bundles if MIME in bundle][-1]
    assert "Notebook.loadOrders" in [call["tool"] for call in trace["calls"]] and trace["asked_by"] == "agent"


def test_a_blocking_call_runs_the_tools_on_the_thread_that_blocks(kernel: RealKernel) -> None:
    ready(kernel)
    cell = kernel.run("print(functions.call_and_block('execute', SUM).text, THREADS)")
    assert cell.text() == "loading\n42.5 [True]\n", cell.traceback
    cell = kernel.run(
        "THREADS.clear(); print((await asyncio.to_thread(functions.call_and_block, 'execute', SUM)).text)"
    )
    assert "42.5" in cell.text(), cell.traceback
    assert kernel.run("THREADS").value == "[False]"


def test_many_calls_at_once_are_all_answered_and_their_tools_run_one_at_a_time(kernel: RealKernel) -> None:
    ready(kernel)
    kernel.run(
        """
AT_ONCE, MOST = 0, 0

@tool
def count() -> int:
    global AT_ONCE, MOST
    AT_ONCE += 1
    MOST = max(MOST, AT_ONCE)
    time.sleep(0.02)
    AT_ONCE -= 1
    return 1

COUNT = {"code": "await Notebook.count() + await Notebook.count()"}
"""
    )
    awaited = "[a.text for a in await asyncio.gather(*(functions.call('execute', COUNT) for _ in range(4)))], MOST"
    assert kernel.run(awaited).value == "(['2', '2', '2', '2'], 1)"
    blocking = """
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(lambda _: functions.call_and_block("execute", COUNT).text, range(4)))
answers, MOST
"""
    assert kernel.run(blocking).value == "(['2', '2', '2', '2'], 1)"


def test_a_private_tool_is_hidden_and_one_with_effects_needs_consent(kernel: RealKernel) -> None:
    ready(kernel)
    listed = kernel.run("print((await functions.call('list_functions')).text)").text()
    assert "loadOrders" in listed and "pay(args: { amount: number })" in listed and "@consent" in listed
    assert "password" not in listed
    hidden = kernel.run("a = await functions.call('execute', {'code': 'await Notebook.password()'}); print(a)")
    assert "is_error=True" in hidden.text() and "password" in hidden.text() and "secret" not in hidden.text()
    asked = kernel.run("a = await functions.call('execute', {'code': 'await Notebook.pay({amount: 1})'}); print(a)")
    assert "is_error=True" in asked.text() and "needs a person's consent" in asked.text()
    assert "paid" not in asked.text()
    own = kernel.run("%%pctx\nawait Notebook.pay({ amount: 1 })")
    assert own.error is None and own.text() == "paid\n"


def test_what_a_model_writes_wrongly_is_answered_to_the_model(kernel: RealKernel) -> None:
    ready(kernel)
    for call, answer in [
        ("'execute', 'no JSON'", "Cannot call execute: its arguments are not one JSON object"),
        ("'execute', '[1]'", "Cannot call execute: its arguments are not one JSON object"),
        ("'execute', {'kode': '1'}", "it takes {code, timeout_s?, state?}"),
        ("'fly'", "Cannot call fly: no such function; there are list_functions, search_functions"),
        ("'wait_execution', {'handle': 'x'}", "no such function"),
    ]:
        cell = kernel.run(f"a = await functions.call({call}); print(a.is_error, a.text)")
        assert cell.text().startswith("True ") and answer in cell.text(), cell.traceback


def interrupted(kernel: RealKernel, code: str, shown: str) -> None:
    """Interrupt a cell once it shows a text, and check that the kernel works afterwards."""
    cell = kernel.run(code, when=(shown, kernel.interrupt))
    assert cell.error in ("KeyboardInterrupt", "CancelledError"), cell.text() + cell.traceback
    assert kernel.works()


def test_an_interrupt_ends_an_awaited_call_in_a_tool_and_in_the_program(kernel: RealKernel) -> None:
    ready(kernel)
    program = '{"code": "await Notebook.sleepLong()"}'
    interrupted(kernel, f"await functions.call('execute', '{program}')", "sleeping")
    interrupted(kernel, f"print('begun', flush=True); await functions.call('execute', '{LOOP}')", "begun")
    assert kernel.run("print((await functions.call('execute', SUM)).text)").text() == "loading\n42.5\n"


def test_an_interrupt_ends_calls_that_block_the_main_thread_or_others(kernel: RealKernel) -> None:
    ready(kernel)
    interrupted(kernel, f"print('begun', flush=True); functions.call_and_block('execute', '{LOOP}')", "begun")
    # An interrupt that comes before a thread's call has begun does not reach it.
    pool = f"""
import threading, time
from pctx_jupyter.kernel import mainthread

def tell():
    while len(mainthread._elsewhere) < 2:
        time.sleep(0.01)
    print("begun", flush=True)

threading.Thread(target=tell).start()
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda _: functions.call_and_block("execute", '{LOOP}'), range(2)))
"""
    interrupted(kernel, pool, "begun")
    assert kernel.run("print(functions.call_and_block('execute', SUM).text)").text() == "loading\n42.5\n"


def test_a_tool_of_an_agent_may_run_a_program_of_its_own(kernel: RealKernel) -> None:
    ready(kernel)
    kernel.run(
        """
@tool
def nested(n: int) -> int:
    return get_ipython().run_cell_magic("pctx", "-q -o nested_value", f"{n} * 2") or nested_value
"""
    )
    for call in ("await functions.call", "functions.call_and_block"):
        cell = kernel.run(f"print(({call}('execute', {{'code': 'await Notebook.nested({{ n: 21 }})'}})).text)")
        assert cell.text() == "42\n", cell.traceback


def test_the_forms_for_plain_function_calling_have_the_descriptions_of_the_endpoint(kernel: RealKernel) -> None:
    ready(kernel)
    code = "import json; print(json.dumps([functions.openai(), functions.openai_responses(), functions.anthropic()]))"
    openai, responses, anthropic = json.loads(kernel.run(code).text())
    names = ["list_functions", "search_functions", "get_function_details", "execute"]
    assert [one["function"]["name"] for one in openai] == [one["name"] for one in responses] == names
    execute: dict[str, Any] = anthropic[-1]
    assert execute["input_schema"]["required"] == ["code"] and "Run TypeScript" in execute["description"]
    assert responses[-1]["parameters"] == openai[-1]["function"]["parameters"] == execute["input_schema"]
    assert "handle" not in execute["description"]  # a call lasts as long as its program
