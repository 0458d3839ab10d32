"""What programs cost a model, and what plain calls of the same tools do. Fake: the sandbox. Real: all else."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.agents.functions import Functions
from pctx_jupyter.program.result import Emit, Output
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.meter import Meter, in_words
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.session import Session
from pctx_jupyter.session.trace import for_owner
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools import typegen
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool

from ..fakes import FakeClock, FakeSandbox

TOOL = Tool("Shop", "price", "Says a price.", {"type": "object", "properties": {"sku": {"type": "string"}}})
LARGE = {"rows": "x" * 40_000}


def registry(act: Any, **settings: Any) -> Registry:
    return Registry(FakeSandbox(act), Settings(typecheck=False, **settings), FakeClock())


def opened(registry: Registry) -> Session:
    session = registry.open()

    async def serve(call: Call) -> Raw:
        return rpc.raw(LARGE)

    session.register(TOOL, serve)
    return session


async def measured(session: Session, code: str = "x" * 40) -> Meter:
    traces: list[Any] = []
    await session.execute(code, began=lambda execution: traces.append(execution.recorder))
    meter: Meter | None = traces[0].trace.meter
    assert meter is not None
    return meter


async def buys(job: Job, serve: ServeCall, emit: Emit) -> int:
    for _ in range(10):
        await serve("Shop.price", Raw(b'{"sku":"a"}'))
    return 42


async def test_results_that_stay_in_the_program_cost_a_model_nothing_here_and_all_of_them_plainly() -> None:
    meter = await measured(opened(registry(buys)))
    declared = len(typegen.declarations([TOOL], aliases=False).encode())
    defined = len(msgspec.json.encode({"name": "Shop.price", "description": "Says a price.", "inputSchema": None}))
    defined += len(msgspec.json.encode(TOOL.input_schema)) - 4
    assert meter.here == -(-(40 + len("42") + declared) // 4)
    carried = 10 * (len("Shop.price") + len('{"sku":"a"}') + len(msgspec.json.encode(LARGE)))
    assert abs(meter.plain - (carried + defined) / 4) < 10


async def test_a_program_without_calls_is_a_loss() -> None:
    async def adds(job: Job, serve: ServeCall, emit: Emit) -> int:
        return 2

    meter = await measured(opened(registry(adds)), "1+1")
    assert meter == Meter(plain=0, here=1)
    assert in_words(meter.plain, meter.here) == "1 token, 1 more than by plain tool calls (estimated)"


async def test_one_call_whose_result_is_returned_whole_is_a_loss() -> None:
    async def passes_on(job: Job, serve: ServeCall, emit: Emit) -> Any:
        return msgspec.json.decode(await serve("Shop.price", Raw(b'{"sku":"a"}')))

    meter = await measured(opened(registry(passes_on)), "await Shop.price({ sku: 'a' })" * 5)
    assert meter.here > meter.plain > 10_000


async def test_what_is_printed_and_what_goes_wrong_counts_as_read() -> None:
    async def fails(job: Job, serve: ServeCall, emit: Emit) -> None:
        emit(Output("stdout", "y" * 400))
        raise errors.ToolFailed("z" * 400)

    registry_ = registry(fails)
    with pytest.raises(errors.ToolFailed):
        await opened(registry_).execute("x" * 400)
    assert next(iter(registry_.history)).meter == Meter(plain=0, here=300)


async def test_a_session_counts_what_is_read_once_for_several_programs_once_and_the_engine_adds_sessions_up() -> None:
    shared = registry(buys)
    first, second = opened(shared), opened(shared)
    own = await measured(first)
    again = await measured(first)
    assert own == again
    total = first.meter.total
    assert total.runs == 2 and total.here < 2 * own.here and total.plain < 2 * own.plain
    await measured(second)
    assert shared.meter.total.runs == 3
    assert abs(shared.meter.total.here - total.here - second.meter.total.here) <= 1


async def test_agents_pay_for_what_they_ask_about_functions_and_their_answers_are_cut() -> None:
    async def talks(job: Job, serve: ServeCall, emit: Emit) -> str:
        return "x" * 100_000

    shared = registry(talks, max_mcp_characters=4_000, agent_meter=True)

    async def serve(call: Call) -> Raw:
        raise AssertionError

    shared.upstreams.add(TOOL, serve)
    functions = Functions(shared.agents(), Settings(agent_meter=True))

    async def report(message: str) -> None:
        """Drop it."""

    listed: Any = await functions.call("list_functions", {}, report)
    total = shared.agents().meter.total
    assert total.runs == 0 and total.plain == 0 and total.here == -(-(len("{}") + len(listed.text)) // 4)
    answer: Any = await functions.call("execute", {"code": "1"}, report)
    assert answer.text.endswith("1,001 tokens, 1,001 more than by plain tool calls (estimated)")
    after = shared.agents().meter.total
    assert (after.runs, after.plain) == (1, 0) and abs(after.here - total.here - 1_001) <= 1
    before = shared.agents().meter.total.here
    functions.count_listing()
    assert 300 < shared.agents().meter.total.here - before < 600
    await functions.close()


async def test_the_owner_of_a_tool_learns_no_figures_of_a_program_that_calls_others_as_well() -> None:
    shared = registry(buys)
    await asyncio.wait_for(opened(shared).execute("1"), 5)
    trace = next(iter(shared.history))
    assert trace.meter is not None and for_owner(trace, {1}).meter is None


def test_the_words_say_a_gain_a_loss_and_neither() -> None:
    assert in_words(12_900, 3_400) == "3,400 tokens, 9,500 fewer than by plain tool calls (estimated)"
    assert in_words(10, 110) == "110 tokens, 100 more than by plain tool calls (estimated)"
    assert in_words(10, 10) == "10 tokens, as many as by plain tool calls (estimated)"
