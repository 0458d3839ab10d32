"""What agents may call: real functions, session and registry; a sandbox that is a function. Nothing of the SDK."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from benchmarks.tokens import estimate
from pctx_jupyter import errors
from pctx_jupyter.agents import runs as module
from pctx_jupyter.agents.answers import AgentAnswer
from pctx_jupyter.agents.functions import INSTRUCTIONS, OFFERED, Functions
from pctx_jupyter.agents.server import _result
from pctx_jupyter.program.result import Display, Emit, Output
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.sandbox_wire import Thrown
from pctx_jupyter.session.bash import Bash, BashJob, BashResult
from pctx_jupyter.session.execution import Job, ProgramStopped, ProgramThrew, ServeCall
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call, ToolHandler
from pctx_jupyter.tools.tool import Tool

from ..fakes import SOON, FakeClock, FakeSandbox

Act = Callable[[Job, ServeCall, Emit], Any]
PIXEL = {"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo="}


async def give_one(call: Call) -> Raw:
    return rpc.raw(1)


def agents(act: Act | None = None, *tools: Tool, serve: ToolHandler = give_one, **settings: Any) -> Functions:
    """The functions of a registry in which a notebook `sales` has tools."""
    chosen = Settings(**settings)
    registry = Registry(FakeSandbox(act), chosen, FakeClock())
    notebook = registry.open("kernel")
    notebook.serve_others = serve
    registry.name_kernel("kernel", "sales")
    for tool in tools:
        notebook.register(tool, give_one)
    return Functions(registry.agents(), chosen)


class Client:
    """One that calls and listens."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.heard: list[str] = []
        self.has_heard = asyncio.Event()

    async def report(self, message: str) -> None:
        self.heard.append(message)
        self.has_heard.set()

    async def call(self, name: str, **arguments: Any) -> AgentAnswer:
        async with asyncio.timeout(SOON):
            return await self.functions.call(name, arguments, self.report)


async def test_a_model_finds_reads_and_calls() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> Raw:
        return await serve("Sales.loadOrders", None)

    client = Client(agents(act, Tool("Notebook", "load_orders", "Loads all orders.")))
    assert "Sales" in client.functions.definitions()[0].description
    assert "loadOrders(args?: any): Promise<any>" in (await client.call("list_functions")).text
    assert (await client.call("search_functions", query="order")).text == "Sales.loadOrders(args?) – Loads all orders"
    assert "declare namespace Sales" in (await client.call("get_function_details", functions=["Sales.*"])).text
    assert await client.call("execute", code="await Sales.loadOrders()") == AgentAnswer("1")


async def test_an_agent_that_reads_files_has_no_other_way_to_find_functions() -> None:
    functions = agents(None, Tool("Notebook", "load_orders"), disclosure="filesystem")
    assert [one.name for one in functions.definitions()] == ["execute_bash", "execute", "wait_execution"]
    bash = functions.definitions()[0]
    assert "namespaces: Sales." in bash.description and bash.reads_only and not bash.may_destroy
    for name in ("list_functions", "search_functions", "get_function_details", "invoke"):
        assert not functions.has(name)


@pytest.mark.parametrize("mode", sorted(OFFERED.keys() - {"filesystem"}))
async def test_other_agents_have_no_commands(mode: str) -> None:
    assert not agents(disclosure=mode).has("execute_bash")


async def test_a_command_is_answered_with_its_exit_code_and_outputs_in_the_budget() -> None:
    jobs: list[BashJob] = []

    async def run(job: BashJob) -> BashResult:
        jobs.append(job)
        return BashResult(3, "line\n" * 10_000, "wrong\n" * 10_000)

    settings = Settings(disclosure="filesystem", mcp_wait_s=7)
    registry = Registry(FakeSandbox(), settings, FakeClock(), bash=Bash(run))
    for functions, seconds in (
        (Functions(registry.agents(), settings), 7),
        (Functions(registry.agents(), settings, hands_over=False), 60),
    ):
        answer = await Client(functions).call("execute_bash", command="ls")
        done = json.loads(answer.text)
        assert not answer.is_error and list(done) == ["exit_code", "stdout", "stderr"] and done["exit_code"] == 3
        assert "left out" in done["stdout"] and "left out" in done["stderr"]
        assert len(done["stdout"] + done["stderr"]) <= settings.max_mcp_characters
        assert (jobs[-1].command, jobs[-1].limits.timeout_s) == ("ls", seconds)
    answer = await Client(functions).call("execute_bash", commands="ls")
    assert answer.is_error and "it takes {command}" in answer.text


async def test_how_long_the_first_list_may_be_is_a_setting() -> None:
    tool = Tool("Notebook", "load_orders", "Loads all orders.")
    text = (await Client(agents(None, tool, max_listing_tokens=0)).call("list_functions")).text
    assert text.endswith("Sales\nloadOrders(args?)")


async def test_a_namespace_can_be_listed_alone() -> None:
    client = Client(agents(None, Tool("Notebook", "load_orders")))
    assert "loadOrders" in (await client.call("list_functions", namespace="Sales")).text
    answer = await client.call("list_functions", namespace="Slaes")
    assert answer.is_error
    assert answer.text == "Cannot list Slaes: no such namespace (did you mean Sales?); there are: Sales"


async def test_the_error_of_a_namespace_that_there_is_not_names_some_of_many() -> None:
    registry, functions = two_notebooks()
    for number in range(60):
        registry.upstreams.add(Tool(f"Space{number}", "load"), give_one)
    answer = await Client(functions).call("list_functions", namespace="Nope")
    assert answer.text.startswith("Cannot list Nope: no such namespace; there are: Sales (a/sales.ipynb), ")
    assert answer.text.endswith(", Space51 and 12 more")


@pytest.mark.parametrize("mode", OFFERED)
async def test_the_descriptions_of_each_way_fit_the_budget_of_tokens(mode: str) -> None:
    functions = agents(None, *(Tool(f"Namespace{n}", "load") for n in range(30)), disclosure=mode)
    listed = [
        {"name": one.name, "description": one.description, "inputSchema": one.input_schema}
        for one in functions.definitions()
    ]
    assert {one["name"] for one in listed} == set(OFFERED[mode])
    assert estimate(json.dumps(listed, separators=(",", ":"), ensure_ascii=False) + INSTRUCTIONS) <= 450


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("execute", {}, "missing required field `code`; it takes {code, timeout_s?, state?}"),
        ("execute", {"code": 5}, "Expected `str`, got `int` - at `$.code`"),
        ("execute", {"code": "1", "timeout": 5}, "unknown field `timeout`"),
        ("execute", {"code": "1", "timeout_s": -1}, "must be above 0"),
        ("execute", {"code": "1", "timeout_s": 100_000}, "at most 600 here"),
        ("execute", {"code": "1", "timeout_s": 600.5}, "Pctx.max_timeout_s"),
        ("execute", {"code": "x" * 2_000_000}, "Pctx.max_program_bytes"),
        (
            "list_functions",
            {"detail": "everything"},
            "Invalid enum value 'everything' - at `$.detail`; it takes {detail?: names | signatures | descriptions, na",
        ),
        ("search_functions", {"query": "x", "k": 10_000}, "<= 50"),
        ("get_function_details", {"functions": 5}, "Expected `str | array`"),
        ("get_function_details", {"functions": []}, "length >= 1"),
        ("get_function_details", {"functions": ["x"] * 9_999}, "length <= 200"),
        ("wait_execution", {"handle": "guessed"}, "no such execution"),
    ],
)
async def test_wrong_arguments_are_answered_with_what_is_right(name: str, arguments: dict[str, Any], said: str) -> None:
    answer = await Client(agents()).call(name, **arguments)
    assert answer.is_error and said in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("functions", ["Sales.loadOrders", ["Sales.loadOrders"], ["Sales.loadOrders"] * 3])
async def test_one_function_may_be_named_without_a_list_and_more_than_once(functions: object) -> None:
    text = (await Client(agents(None, ORDERS)).call("get_function_details", functions=functions)).text
    assert text.count("function loadOrders(") == 1
    missing = (await Client(agents()).call("get_function_details", functions=["Nope.x"] * 3)).text
    assert missing.count("no such tool") == 1 and "search_functions" in missing


async def test_numbers_and_truth_values_may_be_texts() -> None:
    found = await Client(agents(None, ORDERS)).call("search_functions", query="orders", k="1")
    assert not found.is_error and "loadOrders" in found.text
    assert (await Client(agents(lambda *_: 1)).call("execute", code="1", timeout_s="5")).text == "1"
    assert "no such execution" in (await Client(agents()).call("wait_execution", handle="x", stop="true")).text


async def test_what_was_printed_comes_before_the_result() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> int:
        emit(Output("stdout", "one\n"))
        emit(Output("stderr", "two\n"))
        return 3

    answer = await Client(agents(act)).call("execute", code="3")
    assert answer == AgentAnswer("console:\none\ntwo\nresult:\n3")


async def test_a_program_without_a_value_answers_what_it_printed() -> None:
    answer = await Client(agents(lambda job, serve, emit: emit(Output("stdout", "hello\n")))).call("execute", code="")
    assert answer == AgentAnswer("hello")


async def test_a_program_that_fails_says_why_and_what_it_printed() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        emit(Output("stdout", "so far\n"))
        raise ProgramStopped("LimitExceeded", "Too much")

    answer = await Client(agents(act)).call("execute", code="")
    assert answer == AgentAnswer(
        "Program stopped, 0 calls made.\nLimitExceeded: Too much\n\nconsole:\nso far", is_error=True
    )


ORDERS = Tool("Notebook", "load_orders", "Loads all orders.")
REPORT = Tool("Notebook", "send_report", "Sends a report.", effects=True)


async def test_a_program_that_does_not_begin_says_that_it_has_not_run() -> None:
    answer = await Client(agents()).call("execute", code="x" * 2_000_000)
    assert answer.text.startswith("Program not run, 0 calls made.\nCannot")


async def test_a_program_that_fails_says_what_its_calls_did() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        for _ in range(2):
            await serve("Sales.loadOrders", None)
        await serve("Sales.sendReport", None)
        raise ProgramThrew(Thrown("TypeError", "no rows"))

    client = Client(agents(act, ORDERS, REPORT, policy=()))
    first = (await client.call("execute", code="")).text.splitlines()[0]
    assert first == "Program failed after 3 calls (Sales.loadOrders 2 times, Sales.sendReport done)."


async def test_a_program_that_is_stopped_says_which_call_was_under_way_and_in_which_line() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        await serve("Sales.loadOrders", None, "    at program.ts:1:1")
        try:
            async with asyncio.timeout(0.01):
                await serve("Sales.sendReport", None, "    at program.ts:2:7")
        except TimeoutError:
            raise errors.ExecutionTimeout(0.01) from None

    async def serve_others(call: Call) -> Raw:
        if call.tool.tool_name == "sendReport":
            await asyncio.Event().wait()
        return rpc.raw(1)

    functions = agents(act, ORDERS, REPORT, policy=(), serve=serve_others)
    text = (await Client(functions).call("execute", code="await Sales.loadOrders()\nawait Sales.sendReport()")).text
    assert "after 2 calls (Sales.loadOrders done, Sales.sendReport under way)" in text
    assert "Under way: Sales.sendReport, called in line 2; whether it took effect is unknown." in text


async def test_a_call_that_is_not_sent_is_said_even_where_the_program_caught_the_refusal() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> int:
        with contextlib.suppress(errors.ToolFailed):
            await serve("Sales.sendReport", None)
        return 1

    text = (await Client(agents(act, REPORT)).call("execute", code="1")).text
    assert text == "Not sent: Sales.sendReport. Tell the user; do not retry.\n1"


async def test_a_refused_call_that_ends_the_program_was_not_sent() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        try:
            await serve("Sales.sendReport", None)
        except errors.ToolFailed as error:
            raise ProgramThrew(Thrown("Denied", error.message)) from None

    answer = await Client(agents(act, REPORT, policy=("deny agent *",))).call("execute", code="1")
    assert answer.text.startswith("Program failed after 1 call (Sales.sendReport not sent).\nDenied: ")
    assert answer.text.endswith("Tell the user; do not retry.")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("no such\ncity", "no such city"),
        (
            "Traceback (most recent call last):\n" + '  File "a.py", line 1\n' * 99 + "KeyError: 'Oslo'\n",
            "KeyError: 'Oslo'",
        ),
    ],
)
async def test_calls_that_failed_are_said_though_the_program_ended_well(error: str, said: str) -> None:
    async def fail(call: Call) -> Raw:
        raise errors.ToolFailed(error)

    async def act(job: Job, serve: ServeCall, emit: Emit) -> int:
        for _ in range(2):
            with contextlib.suppress(errors.ToolFailed):
                await serve("Sales.loadOrders", None)
        return 1

    text = (await Client(agents(act, ORDERS, serve=fail)).call("execute", code="1")).text
    assert text == f"Warning: 2 of 2 calls failed: Sales.loadOrders 2 times (Sales.loadOrders: {said})\n1"


@pytest.mark.parametrize(
    ("code", "value", "warning"),
    [
        ("const total = 5;", None, "Warning: no result: the program ends with a declaration of total"),
        ("for (const x of xs) f(x);", None, "no result: the program ends with a for statement"),
        ("await f();\nconst b = 1;", 3, "the result is that of line 1: the program ends with a declaration of b"),
    ],
)
async def test_a_lost_value_is_one_line_of_warning(code: str, value: object, warning: str) -> None:
    first, _, rest = (await Client(agents(lambda *_: value)).call("execute", code=code)).text.partition("\n")
    assert warning in first and rest == ("null" if value is None else "3")


async def test_a_program_that_prints_is_not_told_to_have_no_result() -> None:
    client = Client(agents(lambda job, serve, emit: emit(Output("stdout", "hello\n"))))
    assert (await client.call("execute", code="const a = 1; for (;;) {}")).text == "hello"


async def test_tools_that_need_consent_are_marked_wherever_they_are_read() -> None:
    client = Client(agents(None, ORDERS, REPORT))
    for detail in ("names", "signatures", "descriptions"):
        text = (await client.call("list_functions", detail=detail)).text
        assert "@consent: a person is asked before the call." in text, detail
        marked = (
            r"@consent[^\n]*\n \*/\n function sendReport" if detail == "signatures" else r"sendReport[^\n]* @consent$"
        )
        assert text.count("@consent") == 2 and re.search(marked, text), detail
    found = (await client.call("search_functions", query="report")).text
    assert "@consent\n@consent: a person is asked" in found
    declared = (await client.call("get_function_details", functions=["Sales.*"])).text
    assert declared.count("@consent: a person is asked before each call") == 1


async def test_a_namespace_whose_tools_all_need_consent_is_marked_once() -> None:
    client = Client(agents(None, REPORT, Tool("Notebook", "pay", effects=True)))
    text = (await client.call("list_functions")).text
    assert "// Sales @consent\n" in text and text.count("@consent") == 2


async def test_the_limits_are_stated_and_all_descriptions_are_short() -> None:
    definitions = {known.name: known for known in agents().definitions()}
    text = definitions["execute"].description
    for limit in ("timeout_s: 60, at most 600", "After 40 s", "64 at once", "16,000 characters", "Nothing is kept"):
        assert limit in text
    assert definitions["execute"].input_schema["properties"]["timeout_s"]["maximum"] == 600  # type: ignore[call-overload,index]
    assert '{"handle": "…"}' in definitions["wait_execution"].description


async def test_an_error_of_ours_is_no_news_for_a_model() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        raise RuntimeError("secret of the host")

    answer = await Client(agents(act)).call("execute", code="")
    assert answer == AgentAnswer("Internal error", is_error=True)


async def test_images_are_taken_out_of_a_value() -> None:
    answer = await Client(agents(lambda *_: {"plot": PIXEL, "n": 1})).call("execute", code="")
    assert answer.text == '{"plot":"[image 1]","n":1}'
    assert [(image.mime_type, image.data) for image in answer.images] == [("image/png", PIXEL["data"])]


@pytest.mark.parametrize("digits", [5_000, 50_000])
async def test_a_number_that_python_does_not_read_is_shown_as_text(digits: int) -> None:
    value = b"[" + b"7" * digits + b"]"
    answer = await Client(agents(lambda *_: Raw(value))).call("execute", code="")
    assert answer.text.startswith("[7777") and not answer.is_error
    assert (answer.text == value.decode()) == (digits == 5_000)


async def test_sounds_are_taken_out_of_a_value_as_sounds() -> None:
    sound = {"type": "audio", "mimeType": "audio/wav", "data": "UklGRg=="}
    answer = await Client(agents(lambda *_: {"a": 1, "$content": [sound, PIXEL]})).call("execute", code="")
    assert answer.text == '{"a":1,"$content":["[audio 1]","[image 2]"]}'
    assert [one.type for one in _result(answer).content] == ["text", "audio", "image"]


async def test_too_large_an_image_is_described() -> None:
    answer = await Client(agents(lambda *_: PIXEL | {"data": "A" * 3_000_000})).call("execute", code="")
    assert answer.images == () and "2,250,000 bytes: too large" in answer.text


async def test_images_of_any_size_are_no_base64_in_the_text() -> None:
    photos = [PIXEL | {"data": "A" * 3_000_000}] * 2
    answer = await Client(agents(lambda *_: {"photos": photos, "n": 1})).call("execute", code="")
    described = "[image/png of 2,250,000 bytes: too large, or one too many, to be shown]"
    assert answer.text == f'{{"photos":["{described}","{described}"],"n":1}}'


async def test_an_agent_sees_the_images_a_program_displays_and_reads_the_rest() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        emit(Display(rpc.raw({"text/plain": "a table"})))
        emit(Display(rpc.raw({"text/html": "<b>"})))
        for data in ("b2xk", "bmV3"):
            emit(Display(rpc.raw({"image/png": data, "text/plain": "plot"}), display_id="plot", update=data == "bmV3"))

    answer = await Client(agents(act)).call("execute", code="")
    assert answer.text == "a table\n[displayed: text/html]\n[image 1]"
    assert [image.data for image in answer.images] == ["bmV3"]


async def test_a_large_result_is_cut_and_says_how_to_narrow_it() -> None:
    client = Client(agents(lambda *_: list(range(100_000)), max_mcp_characters=2_000))
    text = (await client.call("execute", code="")).text
    assert len(text) <= 2_000 and "of 100,000 items" in text and "filter" in text


async def test_a_client_hears_what_a_program_prints_and_calls_while_it_runs() -> None:
    go_on = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        emit(Output("stdout", "working\n"))
        await serve("Sales.loadOrders", Raw(b'{"a":1}'))
        await go_on.wait()

    client = Client(agents(act, Tool("Notebook", "load_orders")))
    asked = asyncio.create_task(client.call("execute", code="await Sales.loadOrders()"))
    async with asyncio.timeout(SOON):
        await client.has_heard.wait()
    go_on.set()
    assert not (await asked).is_error
    assert "working" in client.heard[0] and 'Sales.loadOrders({"a":1})' in "\n".join(client.heard)


async def test_a_silent_program_is_reported_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    go_on = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        await go_on.wait()

    client = Client(agents(act))
    asked = asyncio.create_task(client.call("execute", code=""))
    async with asyncio.timeout(SOON):
        await client.has_heard.wait()
    go_on.set()
    await asked
    assert client.heard[0].startswith("running for ")


async def test_a_thousand_lines_are_not_a_thousand_reports() -> None:
    go_on = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        for at in range(1_000):
            emit(Output("stdout", f"line {at} {'x' * 5_000}\n"))
        await go_on.wait()

    client = Client(agents(act))
    asked = asyncio.create_task(client.call("execute", code=""))
    async with asyncio.timeout(SOON):
        await client.has_heard.wait()
    go_on.set()
    await asked
    assert len(client.heard) < 5 and max(map(len, client.heard)) <= module.REPORT


async def test_a_long_program_is_collected_by_its_handle() -> None:
    go_on = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> int:
        emit(Output("stdout", "first\n"))
        await go_on.wait()
        emit(Output("stdout", "second\n"))
        return 7

    client = Client(agents(act, mcp_wait_s=0.01))
    answer = await client.call("execute", code="")
    handle = answer.text.split('"')[3]
    assert answer.text.startswith("Still running") and answer.text.endswith("console:\nfirst") and not answer.is_error
    again = await client.call("wait_execution", handle=handle)
    assert again.text.startswith("Still running") and "first" not in again.text
    go_on.set()
    await client.functions.runs.get(handle).over()
    assert await client.call("wait_execution", handle=handle) == AgentAnswer("console:\nsecond\nresult:\n7")
    assert await client.call("wait_execution", handle=handle) == AgentAnswer("console:\nsecond\nresult:\n7")


async def test_a_program_that_goes_on_can_be_stopped() -> None:
    client = Client(agents(lambda *_: asyncio.Event().wait(), mcp_wait_s=0.01))
    handle = (await client.call("execute", code="")).text.split('"')[3]
    answer = await client.call("wait_execution", handle=handle, stop=True)
    assert answer == AgentAnswer("Program stopped, 0 calls made.\nThe program was stopped", is_error=True)


async def test_one_who_withdraws_stops_its_program() -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    client = Client(agents(act))
    asked = asyncio.create_task(client.call("execute", code=""))
    async with asyncio.timeout(SOON):
        await began.wait()
        asked.cancel()
        await stopped.wait()
    assert len(client.functions.runs) == 0


async def test_one_who_withdraws_from_waiting_leaves_the_program_alone() -> None:
    go_on = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> int:
        await go_on.wait()
        return 1

    client = Client(agents(act, mcp_wait_s=0.01))
    handle = (await client.call("execute", code="")).text.split('"')[3]
    waiting = asyncio.create_task(client.call("wait_execution", handle=handle))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await client.functions.runs.get(handle).over()
    assert await client.call("wait_execution", handle=handle) == AgentAnswer("1")


async def test_what_is_not_collected_expires() -> None:
    go_on = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        await go_on.wait()

    client = Client(agents(act, mcp_wait_s=0.01, mcp_kept_s=0.01))
    handle = (await client.call("execute", code="")).text.split('"')[3]
    go_on.set()
    async with asyncio.timeout(SOON):
        while len(client.functions.runs):
            await asyncio.sleep(0.005)
    assert "no such execution" in (await client.call("wait_execution", handle=handle)).text


async def test_programs_that_can_be_collected_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    client = Client(agents(lambda *_: asyncio.Event().wait(), mcp_wait_s=0.01))
    handles = [(await client.call("execute", code="")).text.split('"')[3] for _ in range(2)]
    refused = await client.call("execute", code="")
    assert refused.is_error and "2 programs run already" in refused.text
    await client.call("wait_execution", handle=handles[0], stop=True)
    assert not (await client.call("execute", code="")).is_error
    assert "no such execution" in (await client.call("wait_execution", handle=handles[0])).text
    await client.functions.close()


async def test_closing_stops_what_runs_and_leaves_no_task() -> None:
    client = Client(agents(lambda *_: asyncio.Event().wait(), mcp_wait_s=0.01))
    await client.call("execute", code="")
    waiting = asyncio.create_task(client.call("execute", code=""))
    await asyncio.sleep(0)
    await client.functions.close()
    assert "stopped" in (await waiting).text or "Still running" in (await waiting).text
    gc.collect()
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("pctx run")] == []


async def test_notebooks_of_one_file_name_show_their_paths_to_an_agent_and_to_whom_it_asks() -> None:
    chosen = Settings(policy=("ask agent *",), max_approval_s=600.0)
    registry = Registry(FakeSandbox(), chosen, FakeClock())
    for folder in ("a", "b", "other"):
        name = "report" if folder == "other" else "sales"
        notebook = registry.open(folder)
        notebook.serve_others = give_one
        notebook.register(Tool("Notebook", "load", "Loads.", {"type": "object", "properties": {}}), give_one)
        registry.name_kernel(folder, name, f"{folder}/{name}.ipynb")
    functions = Functions(registry.agents(), chosen)

    async def said(name: str, **arguments: Any) -> str:
        answer = await functions.call(name, arguments, report_to_nobody)
        assert isinstance(answer, AgentAnswer)
        return answer.text

    for detail in ("signatures", "descriptions", "names"):
        listed = await said("list_functions", detail=detail)
        assert "a/sales.ipynb" in listed and "b/sales.ipynb" in listed, detail
        assert "report.ipynb" not in listed, "its name says enough"
    found = await said("search_functions", query="load")
    assert "b/sales.ipynb" in found and "report.ipynb" not in found
    assert "b/sales.ipynb" in await said("get_function_details", functions=["Sales2.load"])
    sales2 = registry.agents().scope.find("Sales2.load").tool
    assert (sales2.notebook, registry.agents().scope.find("Report.load").tool.notebook) == ("b/sales.ipynb", "")
    titles = {session.kernel_id: session.title for session in registry if session.kernel_id}
    assert titles == {"a": "Sales (a/sales.ipynb)", "b": "Sales2 (b/sales.ipynb)", "other": "Report"}


def two_notebooks(*, tools: int = 1, **settings: Any) -> tuple[Registry, Functions]:
    """A registry with ``a/sales.ipynb`` and ``b/sales.ipynb``, which have the same tools, and what agents may call."""
    chosen = Settings(**settings)
    registry = Registry(FakeSandbox(), chosen, FakeClock())
    for folder in "ab":
        notebook = registry.open(folder)
        notebook.serve_others = give_one
        for number in range(tools):
            notebook.register(Tool("Notebook", f"load{number}"), give_one)
        registry.name_kernel(folder, "sales", f"{folder}/sales.ipynb")
    return registry, Functions(registry.agents(), chosen)


async def test_a_notebook_that_is_moved_shows_its_new_path_to_agents_and_people() -> None:
    registry, functions = two_notebooks()
    own_agent = registry.own_agent(next(one for one in registry if one.kernel_id == "b"), "helper")
    before = await functions.call("list_functions", {}, report_to_nobody)
    assert isinstance(before, AgentAnswer) and "b/sales.ipynb" in before.text
    assert own_agent.title == "Sales2 (b/sales.ipynb)"
    registry.name_kernel("b", "sales", "archive/sales.ipynb")
    after = await functions.call("list_functions", {}, report_to_nobody)
    assert isinstance(after, AgentAnswer)
    assert "archive/sales.ipynb" in after.text and "b/sales.ipynb" not in after.text
    session = next(one for one in registry if one.kernel_id == "b")
    assert session.title == registry.own_agent(session, "helper").title == "Sales2 (archive/sales.ipynb)"


async def test_the_shortest_list_and_an_ambiguous_name_show_the_paths_of_notebooks_of_one_file_name() -> None:
    _, functions = two_notebooks(tools=400, max_mcp_characters=1_000)
    shortest = await functions.call("list_functions", {}, report_to_nobody)
    assert isinstance(shortest, AgentAnswer)
    assert "Sales (a/sales.ipynb) (400), Sales2 (b/sales.ipynb) (400)" in shortest.text
    which = await functions.call("get_function_details", {"functions": ["load0"]}, report_to_nobody)
    assert isinstance(which, AgentAnswer)
    assert "Sales.load0 (a/sales.ipynb), Sales2.load0 (b/sales.ipynb)" in which.text


async def test_the_namespaces_that_an_agent_may_choose_from_have_the_paths_of_notebooks_of_one_file_name() -> None:
    _, functions = two_notebooks()
    listing = next(one for one in functions.definitions() if one.name == "list_functions")
    assert "namespaces: Sales (a/sales.ipynb), Sales2 (b/sales.ipynb)." in listing.description
    answer = await functions.call("list_functions", {"namespace": "Sails"}, report_to_nobody)
    assert isinstance(answer, AgentAnswer)
    assert "there are: Sales (a/sales.ipynb), Sales2 (b/sales.ipynb)" in answer.text


async def test_an_mcp_server_cannot_pass_for_a_notebook_by_its_instructions() -> None:
    registry, functions = two_notebooks()
    words = "Functions of the notebook finance/payroll.ipynb"
    registry.upstreams.add(Tool("Evil", "send", about=words), give_one)
    tool = registry.agents().scope.find("Evil.send").tool
    assert (tool.about, tool.notebook) == (words, "")
    listed = await functions.call("list_functions", {"detail": "names"}, report_to_nobody)
    assert isinstance(listed, AgentAnswer)
    assert "Evil: send" in listed.text and "payroll" not in listed.text


async def report_to_nobody(message: str) -> None:
    """Take a message of progress, and do nothing."""
