"""Sessions and their registry: a fake sandbox that is a function, and a clock that is told the time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Literal
from unittest.mock import AsyncMock, Mock

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.check import Check, Checked, CheckJob, Diagnostic, Unchecked, Verdict
from pctx_jupyter.program.program import Outline
from pctx_jupyter.program.result import CallEnded, CallStarted, Emit, Event, Output, TypesChecked, ValuesKept
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import sandbox_wire
from pctx_jupyter.session.execution import CLIENT, CallMade, CallTimes, Job, ProgramStopped, ProgramThrew, ServeCall
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.session import Session
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools import typegen
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.scope import WHOLE
from pctx_jupyter.tools.tool import Tool

from ..fakes import SOON, FakeClock, FakeSandbox, read


def session(sandbox: FakeSandbox, settings: Settings | None = None, check: Check | None = None) -> Session:
    return Registry(sandbox, settings or Settings(), FakeClock(), check).open()


async def double(call: Call) -> Raw:
    return rpc.raw(2 * read(call.arguments)["n"])


async def test_a_value_comes_back_as_it_was_written() -> None:
    result = await session(FakeSandbox(lambda job, serve, emit: {"a": [1, None]})).execute("1")
    assert read(result.value) == {"a": [1, None]}


async def test_a_program_calls_a_tool_and_every_step_is_told_in_order() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        emit(Output("stdout", "before\n"))
        value = read(await serve("Math.double", Raw(b'{"n": 4}')))
        emit(Output("stderr", "after\n"))
        return value

    heard: list[Event] = []
    one = session(FakeSandbox(act))
    one.register(Tool("math", "double"), double)
    result = await one.execute("…", emit=heard.append)
    assert (read(result.value), result.stdout, result.stderr) == (8, "before\n", "after\n")
    assert [type(event) for event in heard] == [Output, CallStarted, CallEnded, Output]
    assert not one.executions


async def test_a_program_that_waits_for_its_tools_says_so_before_it_runs() -> None:
    async def settle(code: str, on_wait: Callable[[str], None]) -> None:
        on_wait(f"Waiting for {code}")

    heard: list[Event] = []
    sandbox = FakeSandbox(lambda job, serve, emit: emit(Output("stdout", "runs\n")))
    one = session(sandbox)
    one._settle = settle
    await one.execute("it", emit=heard.append)
    assert heard == [Output("stderr", "Waiting for it\n", "warn"), Output("stdout", "runs\n")]


async def test_only_what_is_offered_can_be_called() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        return await serve("Math.double", None)

    one = session(FakeSandbox(act))
    one.register(Tool("math", "double"), double)
    one.register(Tool("math", "halve"), double)
    with pytest.raises(errors.ToolNotFound, match="not offered"):
        await one.execute("…", tools=["Math.halve"])


async def test_a_tool_unregistered_during_an_execution_is_not_found_by_its_next_call() -> None:
    one = session(FakeSandbox())
    called: list[str] = []

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        called.append(read(await serve("Math.double", Raw(b'{"n":1}'))))
        one.catalog.remove("Math.double")
        return await serve("Math.double", Raw(b'{"n":1}'))

    one._run = FakeSandbox(act)
    one.register(Tool("math", "double"), double)
    with pytest.raises(errors.ToolNotFound):
        await one.execute("…")
    assert called == [2]


@pytest.mark.parametrize("arguments", [{"$pctx.frame": {"id": "a#b"}}, {"in": [{"$pctx.frame": {"id": "a#b"}}]}])
async def test_a_frame_goes_to_a_tool_of_a_notebook_only(arguments: object) -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        with pytest.raises(errors.ToolFailed, match=r"a frame stays in its notebook.*pass await frame\.rows\(\)"):
            await serve("Mail.send", Raw(json.dumps(arguments, separators=(",", ":")).encode()))
        return 1

    async def send(call: Call) -> Raw:
        raise AssertionError("a tool of another server was called with a frame")

    one = session(FakeSandbox(act))
    one.register(Tool("Mail", "send"), send)
    assert (await one.execute("await Mail.send({})")).value == Raw(b"1")


async def test_a_failed_call_is_told_with_its_error() -> None:
    async def broken(call: Call) -> Raw:
        raise errors.ToolFailed("no such city", name="KeyError")

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        with pytest.raises(errors.ToolFailed):
            await serve("Weather.now", None)
        return "caught"

    heard: list[Event] = []
    one = session(FakeSandbox(act))
    one.register(Tool("weather", "now"), broken)
    assert read((await one.execute("…", emit=heard.append)).value) == "caught"
    assert [e.error for e in heard if isinstance(e, CallEnded)] == ["no such city"]


async def test_a_program_that_throws_is_a_failure_with_its_output() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        emit(Output("stdout", "so far\n"))
        raise ProgramThrew(sandbox_wire.Thrown("TypeError", "no", "TypeError: no\n    at program.ts:2:3", phase="run"))

    with pytest.raises(errors.ExecutionFailed) as failed:
        await session(FakeSandbox(act)).execute("a\n  b()")
    assert (failed.value.failure.name, failed.value.failure.line, failed.value.failure.column) == ("TypeError", 2, 3)
    assert failed.value.stdout == "so far\n"
    assert "b()" in (failed.value.failure.frame or "")


async def test_a_program_stopped_at_a_limit_names_it() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        raise ProgramStopped("MemoryError", "stopped at memory_mb")

    with pytest.raises(errors.LimitExceeded, match="memory_mb"):
        await session(FakeSandbox(act)).execute("1")


SPLIT = "const f = () => { return 1 }\n[1]"
"""What only the compiler can read: where its last statement begins is a matter of semicolons."""


async def test_a_program_whose_value_is_in_doubt_is_read_by_the_compiler() -> None:
    texts: list[str] = []

    def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        texts.append(job.program.text)
        return 1

    async def read_(session: str, code: str, client: str) -> Outline | None:
        return Outline(last=(code.index("[1]"), len(code)))

    one = Registry(FakeSandbox(act), Settings(), FakeClock(), read=read_).open()
    await one.execute(SPLIT)
    assert texts[0].endswith("\nexport const __pctx_value = await ([1]);")
    checked_ = Checked(outline=Outline(last=(0, 5)))

    async def check(job: CheckJob) -> Verdict:
        return checked_

    await Registry(FakeSandbox(act), Settings(), FakeClock(), check).open().execute("1 + 1; 2")
    assert texts[1] == "export const __pctx_value = await (1 + 1);; 2"


async def test_without_the_compiler_a_program_runs_only_if_its_value_is_not_in_doubt() -> None:
    async def read_(session: str, code: str, client: str) -> Outline | None:
        raise errors.Busy("Cannot start the type checker: no Deno")

    one = Registry(FakeSandbox(lambda *_: 1), Settings(), FakeClock(), read=read_).open()
    assert read((await one.execute("const f = () => { return 1 };\n[1]")).value) == 1
    with pytest.raises(errors.Busy, match=r"in doubt.*no Deno.*end each statement with ;"):
        await one.execute(SPLIT)
    assert not one.executions


def diagnostic(severity: Literal["error", "warning"]) -> Diagnostic:
    return Diagnostic("Property 'lod' does not exist. Did you mean 'load'?", 2551, severity, 1, 7, 1, 10)


class FakeChecker:
    """A `Check` with one verdict; remembers what it was asked."""

    def __init__(self, verdict: Verdict) -> None:
        self.jobs: list[CheckJob] = []
        self._verdict = verdict

    async def __call__(self, job: CheckJob) -> Verdict:
        self.jobs.append(job)
        return self._verdict


def checked_session(sandbox: FakeSandbox, checker: FakeChecker, settings: Settings | None = None) -> Session:
    return Registry(sandbox, settings or Settings(), FakeClock(), checker).open()


async def test_a_program_with_wrong_types_does_not_run() -> None:
    sandbox, checker = FakeSandbox(), FakeChecker(Checked((diagnostic("error"),)))
    with pytest.raises(errors.TypesWrong, match="Did you mean 'load'") as refused:
        await checked_session(sandbox, checker).execute("Sales.lod()")
    assert (refused.value.failure.line, refused.value.failure.column) == (1, 7)
    assert sandbox.jobs == []


async def test_a_program_runs_when_only_warned_of() -> None:
    sandbox, checker = FakeSandbox(), FakeChecker(Checked((diagnostic("warning"),)))
    result = await checked_session(sandbox, checker).execute("'id'; 9007199254740993")
    assert result.unchecked is None and len(sandbox.jobs) == 1
    assert result.stderr.startswith("Warning: line 1, column 7: ")
    assert "line 1, column 7: JavaScript rounds 9007199254740993 to 9007199254740992; pass a text" in result.stderr


async def test_a_program_that_could_not_be_checked_runs_and_its_result_says_why() -> None:
    result = await checked_session(FakeSandbox(), FakeChecker(Unchecked("It took too long."))).execute("1")
    assert result.unchecked == "It took too long."


async def test_a_check_knows_the_offered_tools_and_no_others() -> None:
    checker = FakeChecker(Checked())
    one = checked_session(FakeSandbox(), checker)
    one.register(Tool("math", "double"), double)
    one.register(Tool("sales", "load"), double)
    await one.execute("1", tools=["Math.*"])
    (job,) = checker.jobs
    assert (job.session, job.code, list(job.tools)) == (one.id, "1", ["Math.double"])
    declared = "".join(job.declarations)
    assert "double" in declared and "load" not in declared


async def test_the_loop_goes_on_while_many_tools_are_declared() -> None:
    turns = 0
    checked_at: list[int] = []

    async def check(job: CheckJob) -> Verdict:
        checked_at.append(turns)
        assert job.whole == (typegen.declarations([replace(tool) for tool in tools]),)
        return Checked()

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    one = session(FakeSandbox(), check=check)
    tools = [Tool("math", f"double{number}", input_schema={"type": "object"}) for number in range(1_000)]
    for tool in tools:
        one.register(tool, double)
    turning = asyncio.create_task(turn())
    await one.execute("Math.double()")
    await one.execute("Math.double(2)")
    turning.cancel()
    first, second = checked_at
    assert 0 < first == second, "it turns while they are written, and what is written is at hand at once"


@pytest.mark.parametrize(
    ("setting", "asked", "checks"), [(True, None, 1), (True, False, 0), (False, None, 0), (False, True, 1)]
)
async def test_a_request_may_ask_for_a_check_or_for_none(setting: bool, asked: bool | None, checks: int) -> None:
    checker = FakeChecker(Checked())
    await checked_session(FakeSandbox(), checker, Settings(typecheck=setting)).execute("1", typecheck=asked)
    assert len(checker.jobs) == checks


def test_who_listens_hears_once_of_each_session_that_closes() -> None:
    closed: list[Session] = []
    registry = Registry(FakeSandbox(), Settings(), FakeClock(), on_close=closed.append)
    one = registry.open()
    registry.close(one)
    registry.close(one)
    assert closed == [one]


async def test_what_a_program_leaves_is_there_for_the_next_and_declared() -> None:
    asked: list[CheckJob] = []

    async def check(job: CheckJob) -> Checked:
        asked.append(job)
        return Checked(kept=None if job.keep is False else "const a: number;")

    def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        if job.program.kept is not None:
            emit(ValuesKept({"a": Raw(b"5"), "forged": Raw(b"6")}, {"b": "a Map has\n\u200eno JSON form"}))

    sandbox = FakeSandbox(act)
    one, heard = session(sandbox, check=check), list[Event]()
    result = await one.execute("const a = 5, b = new Map()", keep=True, emit=heard.append)
    assert (result.kept, result.unkept) == (("a",), {"b": "a Map has \\u200eno JSON form"})
    assert [type(event) for event in heard] == [TypesChecked]  # what is left is nobody else's
    await one.execute("a")
    assert [prelude.values for prelude in sandbox.jobs[1].prelude] == [{"a": Raw(b"5")}]
    assert (asked[0].keep, asked[1].keep) == (True, False)
    assert "const a: number;" in asked[1].globals
    one.kept.forget(["a"])
    await one.execute("a")
    assert (sandbox.jobs[2].prelude, asked[2].globals) == ((), "")


async def test_sessions_keep_nothing_for_each_other() -> None:
    sandbox = FakeSandbox()
    registry = Registry(sandbox, Settings(), FakeClock())
    await registry.open().execute("export function f() {}")
    await registry.open().execute("1")
    assert sandbox.jobs[1].prelude == ()


async def test_a_kept_name_that_a_namespace_takes_is_an_error_with_the_way_out() -> None:
    one = session(FakeSandbox())
    await one.execute("export function Math2() {}")
    one.register(Tool("Math2", "double"), double)
    with pytest.raises(errors.InvalidParams, match="%pctx forget Math2"):
        await one.execute("1")


async def test_a_program_is_checked_against_the_types_of_its_inputs() -> None:
    asked: list[CheckJob] = []

    async def check(job: CheckJob) -> Checked:
        asked.append(job)
        return Checked()

    await session(FakeSandbox(), check=check).execute("1", inputs={"rows": Raw(b'[{"id": 1}, {"id": null}]')})
    assert asked[0].globals == "declare const rows: { id: number | null }[];\n"


async def test_a_program_with_too_many_inputs_is_refused_before_any_is_looked_at() -> None:
    async def check(job: CheckJob) -> Checked:
        raise AssertionError("it was checked")

    inputs = {f"n{n}": Raw(b"1") for n in range(1_001)}
    with pytest.raises(errors.InvalidParams, match=r"more than 1,000 inputs; pass one object"):
        await session(FakeSandbox(), check=check).execute("1", inputs=inputs)


async def test_time_limits_are_the_requests_up_to_the_longest() -> None:
    sandbox = FakeSandbox()
    one = session(sandbox, Settings(max_timeout_s=100))
    for asked in (None, 5, 100):
        await one.execute("1", timeout_s=asked)
    assert [job.limits.timeout_s for job in sandbox.jobs] == [60, 5, 100]


@pytest.mark.parametrize("asked", [100.5, 1e9, float("inf")])
async def test_a_time_limit_beyond_the_longest_is_refused_whoever_asks(asked: float) -> None:
    sandbox = FakeSandbox()
    with pytest.raises(errors.InvalidParams, match=r"at most 100 here \(Pctx\.max_timeout_s\)"):
        await session(sandbox, Settings(max_timeout_s=100)).execute("1", timeout_s=asked)
    assert sandbox.jobs == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0},
        {"timeout_s": -1},
        {"timeout_s": float("nan")},
        {"inputs": {"not a name": rpc.NULL}},
        {"inputs": {"await": rpc.NULL}},
        {"inputs": {"Math": rpc.NULL}},
        {"execution_id": ""},
        {"execution_id": "x" * 101},
        {"code": "x" * 2_000_000},
    ],
)
async def test_a_wrong_request_is_refused_and_nothing_runs(wrong: dict[str, object]) -> None:
    sandbox = FakeSandbox()
    one = session(sandbox)
    one.register(Tool("math", "double"), double)
    with pytest.raises(errors.InvalidParams):
        await one.execute(**{"code": "1"} | wrong)  # type: ignore[arg-type]
    assert sandbox.jobs == []


async def test_of_two_executions_with_one_id_one_is_refused_though_both_had_to_wait_for_their_tools() -> None:
    release = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        await release.wait()

    one = session(FakeSandbox(act))
    for at in range(2 * WHOLE):
        one.register(Tool(f"space_{at % 4}", f"tool_{at}"), double)
    code = "Space0.tool0; Space1.tool1; Space2.tool2; Space3.tool3"
    both = [asyncio.ensure_future(one.execute(code, execution_id="mine")) for _ in range(2)]
    (refused,), (running,) = await asyncio.wait(both, timeout=SOON, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(errors.InvalidParams, match="execution_id"):
        refused.result()
    release.set()
    assert (await running).execution_id == "mine"


async def test_an_execution_id_in_use_is_refused() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        started.set()
        await release.wait()
        return 1

    one = session(FakeSandbox(act))
    first = asyncio.ensure_future(one.execute("1", execution_id="mine"))
    await started.wait()
    with pytest.raises(errors.InvalidParams, match="execution_id"):
        await one.execute("1", execution_id="mine")
    release.set()
    assert (await first).execution_id == "mine"


async def test_a_program_more_than_may_wait_is_refused_at_once_and_nothing_is_done_for_it() -> None:
    release, checked = asyncio.Event(), []

    async def check(job: CheckJob) -> Verdict:
        checked.append(job)
        await release.wait()
        return Checked()

    settings = Settings(max_running=2, max_queued_per_session=3)
    registry = Registry(FakeSandbox(lambda *_: 1), settings, FakeClock(), check)
    greedy, other = registry.open(), registry.open()
    queued = [asyncio.ensure_future(greedy.execute("1")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(errors.Busy, match=r"5 of this .* 0 of them are running; 2 may run and 3 may wait"):
        await greedy.execute("1")
    assert len(checked) == 5
    release.set()
    assert (await other.execute("1")).value == Raw(b"1")
    await asyncio.gather(*queued)
    assert (await greedy.execute("1")).value == Raw(b"1")


async def test_each_agent_that_shares_the_session_of_all_agents_has_its_own_queue_and_share() -> None:
    release = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        await release.wait()
        return 1

    sandbox = FakeSandbox(act)
    agents = Registry(sandbox, Settings(max_running=1, max_queued_per_session=1), FakeClock()).agents()

    async def execute(client: str) -> None:
        CLIENT.set(client)
        await agents.execute("1")

    running = [asyncio.create_task(execute(client)) for client in ("one", "one", "other")]
    await asyncio.sleep(0)
    with pytest.raises(errors.Busy, match="2"):
        await asyncio.create_task(execute("one"))
    release.set()
    await asyncio.gather(*running)
    assert len({job.session for job in sandbox.jobs}) == 2
    assert not any(job.is_interactive for job in sandbox.jobs)


async def test_a_cell_is_interactive_and_other_programs_are_not() -> None:
    sandbox = FakeSandbox()
    registry = Registry(sandbox, Settings(), FakeClock())
    for session in (registry.open("k1"), registry.open(), registry.agents()):
        await session.execute("1")
    assert [job.is_interactive for job in sandbox.jobs] == [True, False, False]


def absent_notebook(sandbox: FakeSandbox, check: Check | None = None) -> Registry:
    """A registry that knows a notebook, ``Report``, whose kernel is gone."""
    registry = Registry(sandbox, Settings(), FakeClock(), check)
    registry.name_kernel("k1", "report")
    return registry


async def test_a_name_of_a_notebook_whose_kernel_is_gone_is_explained_by_the_type_check() -> None:
    async def check(job: CheckJob) -> Verdict:
        wrong = [
            Diagnostic(f"Cannot find name '{name}'. Did you mean 'Repost'?", 2304, "error", 1, 1, 1, 7, None, name)
            for name in ("Other", "Report")
        ]
        return Checked(diagnostics=tuple(wrong))

    registry = absent_notebook(FakeSandbox(), check)
    with pytest.raises(errors.TypesWrong) as failed:
        await registry.agents().execute("Other.b(); await Report.load()")
    first, second = failed.value.failure.message.split("\n")
    assert first == "Cannot find name 'Other'. Did you mean 'Repost'?"
    assert "'Report': it is a notebook whose kernel does not answer" in second and "Repost" not in second


async def test_a_tool_that_is_withheld_is_explained_by_the_type_check() -> None:
    async def check(job: CheckJob) -> Verdict:
        message = "Property 'read' does not exist on type 'typeof Files'."
        return Checked(diagnostics=(Diagnostic(message, 2339, "error", 2, 13, 2, 17, None, None),))

    registry = absent_notebook(FakeSandbox(), check)
    registry.servers = Mock(**{"why_missing.side_effect": {"Files.read": "it is withheld"}.get, "settle": AsyncMock()})
    with pytest.raises(errors.TypesWrong, match=r"Cannot find name 'Files\.read': it is withheld"):
        await registry.agents().execute("1\nawait Files.read()")


async def test_a_name_of_a_notebook_whose_kernel_is_gone_is_explained_when_a_program_runs_unchecked() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        raise ProgramThrew(sandbox_wire.Thrown(name="ReferenceError", message="Report is not defined"))

    registry = absent_notebook(FakeSandbox(act))
    with pytest.raises(errors.ExecutionFailed, match=r"Report is not defined: .* kernel does not answer.*%load_ext"):
        await registry.agents().execute("await Report.load()")
    registry.open("k1")
    with pytest.raises(errors.ExecutionFailed, match=r"Report is not defined$"):
        await registry.agents().execute("await Report.load()")


async def test_a_call_of_a_tool_whose_kernel_went_away_during_the_program_says_so() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        registry.close(notebook)
        return await serve("Report.load", None)

    async def load(call: Call) -> Raw:
        raise AssertionError

    registry = absent_notebook(FakeSandbox(act))
    notebook = registry.open("k1")
    notebook.serve_others = load
    notebook.register(Tool("Notebook", "load"), load)
    with pytest.raises(errors.ToolNotFound, match=r"Cannot call Report.load: it is a notebook whose kernel does not"):
        await registry.agents().execute("await Report.load()")


async def test_an_idle_session_expires_and_an_attached_or_busy_one_does_not() -> None:
    clock = FakeClock()
    registry = Registry(FakeSandbox(), Settings(session_idle_s=10), clock)
    idle, attached, used = registry.open(), registry.open(), registry.open()
    attached.is_attached = True
    clock.now += 9
    await used.execute("1")
    clock.now += 1
    assert registry.expire() == [idle]
    assert registry.get(idle.id) is None
    assert set(registry) == {attached, used}


def test_session_ids_are_unguessable() -> None:
    registry = Registry(FakeSandbox(), Settings(), FakeClock())
    ids = {registry.open().id for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) >= 22 for id in ids)


@pytest.mark.parametrize("code", ["list_functions()", "globalThis['list_' + 'functions']()", "eval('1')"])
async def test_a_program_that_can_list_functions_is_sent_their_descriptions(code: str) -> None:
    sandbox = FakeSandbox()
    registry = Registry(sandbox, Settings(typecheck=False), FakeClock())
    session = registry.open()
    schema = {"type": "object"}
    session.register(Tool("math", "add_all", "Adds.", schema), double)
    await session.execute(code)
    await session.execute("1")
    first, second = sandbox.jobs
    listed = [(one.namespace, one.name, one.description) for one in first.functions]
    assert [name for namespace, name, _ in listed if not namespace] == [
        "list_functions",
        "get_function_details",
        "execute",
    ]
    assert listed[-1] == ("Math", "addAll", "Adds.") and first.functions[-1].input_schema == schema
    assert second.functions == ()


async def test_calls_are_observed_whole_and_limited_as_the_request_says() -> None:
    async def call(job: Job, serve: ServeCall, emit: Emit) -> object:
        await serve("Math.double", Raw(b'{"text":"%s"}' % (b"x" * 1_000)))
        try:
            await serve("Math.wait", None)
        except errors.ToolTimeout as error:
            return error.message
        return "no limit"

    async def echo(made: Call) -> Raw:
        assert made.arguments is not None
        return made.arguments

    async def wait(made: Call) -> Raw:
        await asyncio.Event().wait()
        raise AssertionError

    session = Registry(FakeSandbox(call), Settings(typecheck=False), FakeClock()).open()
    session.register(Tool("math", "double"), echo)
    session.register(Tool("math", "wait"), wait)
    seen: list[CallMade] = []
    times = CallTimes(600.0, {"math__wait": 0.01, "nothing": 1.0})
    result = await session.execute("1", call_times=times, observe=seen.append)
    assert bytes(result.value) == b'"Tool `math__wait` timed out after 0.01s; raise its time limit if it needs longer"'
    first, second = seen
    assert first.arguments == first.result and len(bytes(first.result or b"")) > 1_000 and first.error is None
    assert second.result is None and "math__wait" in (second.error or "")
