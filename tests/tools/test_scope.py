"""Who may call whose tools, and under which names: real sessions and registry, a sandbox that is a function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.check import Checked, CheckJob
from pctx_jupyter.program.result import Emit
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import wire
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.local_tools import LocalTools
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.session import Session
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.catalog import Catalog
from pctx_jupyter.tools.scope import WHOLE, Changes, Layer, Scope
from pctx_jupyter.tools.shared_tools import AT_ONCE
from pctx_jupyter.tools.tool import Tool

from ..fakes import FakeClock, FakeSandbox, read


def registry(sandbox: FakeSandbox | None = None) -> Registry:
    return Registry(sandbox or FakeSandbox(), Settings(), FakeClock())


async def answer(call: Call) -> Raw:
    return rpc.raw(call.tool.registered_path)


def notebook(of: Registry, kernel_id: str, name: str, *tools: Tool) -> Session:
    session = of.open(kernel_id)
    session.serve_others = answer
    of.name_kernel(kernel_id, name)
    for tool in tools:
        session.register(tool, answer)
    return session


def paths(session: Session) -> list[str]:
    return [tool.path for tool in session.scope.listed()]


def test_agents_see_a_notebooks_tools_under_its_name() -> None:
    one = registry()
    notebook(one, "k1", "sales report", Tool("Notebook", "load_orders"))
    assert paths(one.agents()) == ["SalesReport.loadOrders"]


async def test_paths_and_patterns_of_any_length_and_number_are_refused_at_once() -> None:
    session = notebook(registry(), "k1", "sales", *(Tool("Notebook", f"load{number}") for number in range(500)))
    scope, long = session.scope, "." * 1_000_000  # to look at what is before each dot takes minutes
    with pytest.raises(errors.ToolNotFound):
        scope.find(long)
    for pattern in (long, f"{long}*", "*a" * 1_000_000):
        with pytest.raises(errors.ToolNotFound, match="matches no tool"):
            await scope.matching([pattern])
    every = [tool.path for tool in scope]
    assert [tool.path for tool in await scope.matching(every * 200)] == every
    with pytest.raises(errors.InvalidParams, match="300 patterns, and there may be 200"):
        await scope.matching([f"{path}*" for path in every[:300]] * 2)
    asked, turns = asyncio.ensure_future(scope.matching([f"{'*' * number}load*" for number in range(1, 201)])), 0
    while not asked.done():
        await asyncio.sleep(0)
        turns += 1
        if turns == 1:
            session.unregister("Notebook.load0")
    assert turns > 2
    assert [tool.path for tool in asked.result()] == [path for path in every if not path.endswith(".load0")]


def test_two_notebooks_of_one_name_are_told_apart_by_a_number() -> None:
    one = registry()
    first = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    second = notebook(one, "k2", "Sales", Tool("Notebook", "load"))
    assert (first.name, second.name) == ("Sales", "Sales2")
    assert paths(one.agents()) == ["Sales.load", "Sales2.load"]


class Servers:
    """Upstream servers that have names, and nothing else yet."""

    def __init__(self, *namespaces: str) -> None:
        self.taken = set(namespaces)

    def namespaces(self) -> set[str]:
        return self.taken


def test_a_server_has_its_name_before_it_has_listed_a_tool() -> None:
    one = registry()
    one.servers = Servers("Time")  # type: ignore[assignment]  # all that naming asks of them
    assert notebook(one, "k1", "time").name == "Time2"


def test_a_notebook_makes_way_for_a_server_that_comes_to_have_its_name() -> None:
    one = registry()
    session = notebook(one, "k1", "time", Tool("Notebook", "load"))
    other = notebook(one, "k2", "sales", Tool("Notebook", "load"))
    one.servers = Servers("Time")  # type: ignore[assignment]  # all that naming asks of them
    one.make_way()
    assert (session.name, other.name) == ("Time2", "Sales")
    assert paths(one.agents()) == ["Time2.load", "Sales.load"]


def test_a_kernel_keeps_its_name_when_its_connection_is_a_new_one() -> None:
    one = registry()
    first = notebook(one, "k1", "sales")
    notebook(one, "k2", "sales")
    one.close(first)
    again = one.open("k1")
    assert again.name == "Sales"
    assert one.name_kernel("k1", "sales") == "Sales"


def test_a_renamed_notebook_is_known_by_its_new_name() -> None:
    one = registry()
    notebook(one, "k1", "Untitled", Tool("Notebook", "load"))
    assert paths(one.agents()) == ["Untitled.load"]
    one.name_kernel("k1", "sales report")
    assert paths(one.agents()) == ["SalesReport.load"]


def test_a_number_in_a_notebooks_name_is_part_of_it() -> None:
    one = registry()
    notebook(one, "k1", "Sales2025")
    assert one.name_kernel("k1", "Sales2026") == "Sales2026"
    notebook(one, "k2", "Sales2026")
    assert one.name_kernel("k2", "Sales2026") == "Sales20262"


def test_with_whom_a_kernel_shares_outlives_its_connection_but_not_the_kernel() -> None:
    one = registry()
    one.share(notebook(one, "k1", "sales", Tool("Notebook", "load")), "nobody")
    one.close(one.of_kernel("k1"))  # type: ignore[arg-type]  # it is there
    notebook(one, "k1", "sales", Tool("Notebook", "load"))
    assert paths(one.agents()) == []
    one.forget_kernel("k1")
    assert one.open("k1").sharing == "agents"


def test_a_name_is_free_again_when_its_kernel_is_forgotten() -> None:
    one = registry()
    one.close(notebook(one, "k1", "sales"))
    one.forget_kernel("k1")
    assert notebook(one, "k2", "sales").name == "Sales"


@pytest.mark.parametrize("name", ["Notebook", "console", "then", "🎉", "", "a" * 500, "__proto__"])
def test_any_notebook_gets_a_name_that_a_program_can_write(name: str) -> None:
    one = registry()
    notebook(one, "k1", name, Tool("Notebook", "load"))
    [path] = paths(one.agents())
    assert path.endswith(".load") and not path.startswith("Notebook.")


def test_a_notebook_sees_its_own_tools_by_both_names_and_lists_them_by_one() -> None:
    one = registry()
    own = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    assert paths(own) == ["Notebook.load"]
    assert own.scope.find("Sales.load").tool.path == "Sales.load"


def test_a_notebook_sees_anothers_tools_only_when_they_are_shared_with_everyone() -> None:
    one = registry()
    owner = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    other = notebook(one, "k2", "plots", Tool("Notebook", "draw"))
    assert paths(other) == ["Notebook.draw"]
    owner.share("everyone")
    assert paths(other) == ["Notebook.draw", "Sales.load"]
    assert paths(owner) == ["Notebook.load"]


def test_what_is_shared_with_nobody_no_agent_sees() -> None:
    one = registry()
    owner = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    owner.share("nobody")
    assert paths(one.agents()) == []
    with pytest.raises(errors.ToolNotFound):
        one.agents().scope.find("Sales.load")


def test_a_tool_that_is_not_to_be_shared_is_its_own_notebooks_alone() -> None:
    one = registry()
    owner = notebook(one, "k1", "sales", Tool("Notebook", "load"), Tool("Notebook", "password", share=False))
    owner.share("everyone")
    assert paths(one.agents()) == ["Sales.load"]
    assert owner.scope.find("Sales.password").tool.registered_name == "password"


def test_a_client_that_is_no_kernel_sees_its_own_tools_and_nobody_sees_them() -> None:
    one = registry()
    notebook(one, "k1", "sales", Tool("Notebook", "load")).share("everyone")
    client = one.open()
    client.register(Tool("math", "add"), answer)
    assert paths(client) == ["Math.add"]
    assert paths(one.agents()) == ["Sales.load"]


def test_everyone_sees_the_upstream_servers_tools_and_their_own_come_first() -> None:
    one = registry()
    one.upstreams.add(Tool("git", "log"), answer)
    one.upstreams.add(Tool("Notebook", "load", description="theirs"), answer)
    own = notebook(one, "k1", "sales", Tool("Notebook", "load", description="own"))
    assert paths(own) == ["Notebook.load", "Git.log"]
    assert own.scope.find("Notebook.load").tool.description == "own"
    assert "Git.log" in paths(one.agents())
    assert "Git.log" in paths(one.open())


def test_tools_of_two_namespaces_with_one_name_keep_apart_under_the_notebooks_name() -> None:
    one = registry()
    notebook(one, "k1", "sales", Tool("Notebook", "load"), Tool("archive", "load"), Tool("archive", "list"))
    assert paths(one.agents()) == ["Sales.load", "Sales.archiveLoad", "Sales.list"]


def test_a_scope_is_made_anew_only_when_something_has_changed() -> None:
    one = registry()
    owner = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    scope = one.agents().scope
    version, [tool] = scope.version, scope.listed()
    assert scope.version == version
    owner.register(Tool("Notebook", "save"), answer)
    assert scope.version != version
    assert scope.listed()[0] is tool  # texts are kept by identity


async def test_an_agents_program_calls_a_tool_under_the_name_its_owner_gave_it() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        return read(await serve("SalesReport.loadOrders", None))

    one = registry(FakeSandbox(act))
    notebook(one, "k1", "sales report", Tool("Notebook", "load_orders"))
    result = await one.agents().execute("…")
    assert read(result.value) == "Notebook.load_orders"


async def test_agents_keep_nothing_between_programs() -> None:
    sandbox = FakeSandbox()
    one = registry(sandbox)
    result = await one.agents().execute("export const a = 1", keep=True)
    assert (result.kept, result.unkept) == ((), {})
    assert sandbox.jobs[0].program.kept is None


async def test_a_notebooks_own_name_is_declared_only_where_it_is_written() -> None:
    asked: list[CheckJob] = []

    async def check(job: CheckJob) -> Checked:
        asked.append(job)
        return Checked()

    one = Registry(FakeSandbox(), Settings(), FakeClock(), check)
    own = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    await own.execute("Notebook.load()")
    await own.execute("Sales.load()")
    assert ["Sales" in "".join(job.declarations) for job in asked] == [False, True]


class Owner:
    """The client of a notebook's door: hears requests, and answers them when told to."""

    def __init__(self, of: Registry, kernel_id: str, name: str) -> None:
        self.heard: list[rpc.Request | rpc.Notification] = []
        self.door = LocalTools(of, Settings(), self._take, kernel_id=kernel_id)
        of.name_kernel(kernel_id, name)

    def _take(self, frame: bytes) -> None:
        message = rpc.decode(frame)
        if isinstance(message, rpc.Request):
            self.heard.append(message)
            asked = wire.read(message.params, wire.ExecuteTool, message.method)
            note = wire.CallNote(asked.execution_id, asked.call, "waits: a cell runs")
            self.door.channel.feed(rpc.encode(rpc.Notification(wire.CALL_NOTE, rpc.raw(note))))
            self.door.channel.feed(rpc.encode(rpc.Response(message.id, rpc.raw(7))))
        elif isinstance(message, rpc.Notification):
            self.heard.append(message)

    def said(self, method: str) -> list[Raw | None]:
        return [message.params for message in self.heard if message.method == method]


async def test_an_owner_is_told_of_somebody_elses_program_and_its_calls_say_whose_they_are() -> None:
    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        await serve("Sales.load", Raw(b"{}"))
        return read(await serve("Sales.load", Raw(b"{}")))

    one = registry(FakeSandbox(act))
    owner = Owner(one, "k1", "sales")
    owner.door.session.register(Tool("Notebook", "load"), owner.door._call_client)
    result = await one.agents().execute("the code")
    assert read(result.value) == 7
    asked = [wire.read(params, wire.ExecuteTool, "") for params in owner.said(wire.EXECUTE_TOOL)]
    assert [(a.name, a.asked_by, a.call, a.call_s) for a in asked] == [
        ("Notebook.load", "agent", 1, 30.0),
        ("Notebook.load", "agent", 2, 30.0),
    ]
    began, ended = [wire.read(params, wire.GuestNotice, "") for params in owner.said(wire.GUEST)]
    assert (began.state, began.code, began.asked_by) == ("began", "the code", "agent")
    assert (ended.state, ended.execution_id) == ("ended", began.execution_id)
    assert read(ended.trace)["state"] == "ok"
    assert asked[0].execution_id == began.execution_id
    [trace] = one.history
    assert (trace.notebook, trace.asked_by, trace.calls_in_all) == (None, "agent", 2)


async def test_what_keeps_a_call_is_told_to_who_asked_for_the_program() -> None:
    from pctx_jupyter.program.result import CallNoted, Event

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        return read(await serve("Sales.load", None))

    one = registry(FakeSandbox(act))
    owner = Owner(one, "k1", "sales")
    owner.door.session.register(Tool("Notebook", "load"), owner.door._call_client)
    heard: list[Event] = []
    await one.agents().execute("…", emit=heard.append)
    assert [event.note for event in heard if isinstance(event, CallNoted)] == ["waits: a cell runs"]


async def test_only_calls_of_others_wait_without_a_limit_here() -> None:
    sandbox = FakeSandbox()
    one = registry(sandbox)
    owner = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    await one.agents().execute("1")
    await owner.execute("1")
    assert [job.patient for job in sandbox.jobs] == [frozenset({"Sales.load"}), frozenset()]


def test_layers_are_looked_through_once_for_each_change_and_not_for_each_call() -> None:
    changes, looks = Changes(), list[int]()
    catalog = Catalog(changed=changes.count)
    catalog.add(Tool("Sales", "load"), answer)

    def layers() -> list[Layer]:
        looks.append(1)
        return [Layer(catalog)]

    scope = Scope(layers, changes)
    before = scope.revision
    for _ in range(100):
        scope.find("Sales.load")
    assert len(looks) == 1
    changes.count()  # of somebody else
    scope.find("Sales.load")
    assert (len(looks), scope.revision) == (2, before)
    catalog.remove("Sales.load")
    with pytest.raises(errors.ToolNotFound):
        scope.find("Sales.load")
    assert scope.revision > before


@pytest.mark.parametrize(
    "change",
    [
        lambda one, owner: one.share_kernel("k1", "nobody"),
        lambda one, owner: owner.share("nobody"),
        lambda one, owner: one.close(owner),
        lambda one, owner: one.name_kernel("k1", "other"),
        lambda one, owner: owner.unregister("Notebook.load"),
        lambda one, owner: setattr(owner, "serve_others", None),
    ],
)
def test_whatever_takes_a_tool_from_others_is_noticed_by_their_next_call(
    change: Callable[[Registry, Session], object],
) -> None:
    one = registry()
    owner = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    agents = one.agents()
    agents.scope.find("Sales.load")
    change(one, owner)
    with pytest.raises(errors.ToolNotFound):
        agents.scope.find("Sales.load")


def test_an_upstream_servers_new_tool_is_there_for_the_next_call() -> None:
    one = registry()
    session = one.open()
    assert paths(session) == []
    one.upstreams.add(Tool("github", "search"), answer)
    assert paths(session) == ["Github.search"]


def crowded(of: Registry, *more: Tool) -> Session:
    """Three notebooks with more tools than any program is offered without naming their namespaces."""
    tools = [Tool("Notebook", f"load_{number}") for number in range(WHOLE // 2)]
    for name in ("alpha", "beta", "gamma"):
        notebook(of, name, name, *tools, *more)
    return of.agents()


async def test_of_many_tools_a_program_is_offered_the_namespaces_it_names() -> None:
    sandbox, asked = FakeSandbox(), list[CheckJob]()

    async def check(job: CheckJob) -> Checked:
        asked.append(job)
        return Checked()

    one = Registry(sandbox, Settings(), FakeClock(), check)
    agents = crowded(one)
    await agents.execute("1 + 1")
    await agents.execute("await Beta.load1()")
    assert [set(job.namespaces) for job in sandbox.jobs] == [set(), {"Beta"}]
    assert asked[0].declarations == () and len(asked[1].declarations) == 1
    assert [list(job.namespaces) for job in asked] == [["Alpha", "Beta", "Gamma"], ["Alpha", "Gamma"]]
    assert "declare const Alpha: object;" in asked[1].globals  # an editor completes its name


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("Alpha.load1()", {"Alpha"}),
        ("Gamma?.load1(); [Alpha]", {"Alpha", "Gamma"}),
        ("B\\u0065ta.load1()", {"Beta"}),
        ("B\\u{65}ta.load1()", {"Beta"}),
        ("globalThis['Al' + 'pha'].load1()", {"Alpha", "Beta", "Gamma"}),
        ("CALLABLE_TOOLS.execute(name)", {"Alpha", "Beta", "Gamma"}),
        ("list_functions().length", {"Alpha", "Beta", "Gamma"}),
        ("eval(text)", {"Alpha", "Beta", "Gamma"}),
        ("[].map.constructor(text)()", {"Alpha", "Beta", "Gamma"}),
        ("Alphabet.load1(); alpha; Beta2", set()),
    ],
)
async def test_a_program_reaches_every_namespace_that_it_can_name(code: str, found: set[str]) -> None:
    sandbox = FakeSandbox()
    await crowded(registry(sandbox)).execute(code)
    assert set(sandbox.jobs[0].namespaces) == found


async def test_patterns_choose_among_many_tools_before_a_program_names_them() -> None:
    sandbox = FakeSandbox()
    agents = crowded(registry(sandbox))
    await agents.execute("Alpha.load1(), Beta.load2()", tools=["Alpha.load1", "Alpha.load?", "*.load2"])
    assert {name: len(tools) for name, tools in sandbox.jobs[0].namespaces.items()} == {"Alpha": 20, "Beta": 2}
    with pytest.raises(errors.ToolNotFound, match="Delta"):
        await agents.execute("1", tools=["Delta.*"])


async def test_what_a_program_keeps_names_tools_for_later_programs() -> None:
    sandbox = FakeSandbox()
    one = registry(sandbox)
    own = notebook(one, "k0", "own", *(Tool(name, f"load_{at}") for name in ("a", "b") for at in range(WHOLE)))
    await own.execute("export function f() { return B.load1() }", keep=True)
    await own.execute("f()")
    assert [set(job.namespaces) for job in sandbox.jobs] == [{"B", "b"}, {"B", "b"}]


async def test_a_name_that_a_namespace_has_is_taken_whether_a_program_names_it_or_not() -> None:
    agents = crowded(registry())
    with pytest.raises(errors.InvalidParams, match="Cannot pass in Alpha"):
        await agents.execute("1", inputs={"Alpha": rpc.NULL})


async def test_a_new_tool_leaves_the_other_namespaces_as_they_were() -> None:
    one = registry()
    agents = crowded(one)
    await agents.scope.prepare()
    before = {name: agents.scope.namespace(name) for name in ("Alpha", "Beta", "Gamma")}
    first = before["Alpha"].tools[0] if before["Alpha"] else None
    owner = next(iter(one))
    owner.register(Tool("Notebook", "new"), answer)
    await agents.execute("Alpha.new()")
    after = {name: agents.scope.namespace(name) for name in before}
    assert [after[name] is before[name] for name in before] == [False, True, True]
    assert after["Alpha"] is not None and after["Alpha"].tools[0] is first  # texts are kept by identity


async def test_other_tasks_run_while_all_namespaces_are_put_together() -> None:
    agents, turns = crowded(registry()).scope, 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await agents.prepare()
    turning.cancel()
    assert turns > 0
    assert len(agents.listed()) == 3 * (WHOLE // 2)


@pytest.mark.parametrize("is_service", [False, True])
async def test_a_large_namespace_may_change_while_it_is_put_together(*, is_service: bool) -> None:
    one = registry()
    owner = one.open(None if is_service else "k1")
    owner.serve_others = answer
    if is_service:
        one.share_service(owner, "everyone", "Alpha")
    else:
        one.name_kernel("k1", "Alpha")
    own = "Alpha" if is_service else "Notebook"
    for number in range(6 * AT_ONCE):
        owner.register(Tool(own, f"load{number}"), answer)
    agents, before = one.agents().scope, one.agents().scope.revision
    preparing, turns = asyncio.ensure_future(agents.prepare()), 0
    while not preparing.done():
        await asyncio.sleep(0)
        turns += 1
        if turns == 1:
            owner.unregister(f"{own}.load0")
        owner.register(Tool(own, "last", f"number {turns}"), answer, replace=True)
    assert agents.revision > before
    found = agents.listed()
    assert [tool.path for tool in found[:2]] == ["Alpha.load1", "Alpha.load2"]
    assert len(found) == 6 * AT_ONCE and found[-1].description == f"number {turns}"
    assert agents.find("Alpha.load7").tool is found[6]


async def test_a_tool_that_comes_during_a_program_is_not_offered_to_it() -> None:
    one = registry(sandbox := FakeSandbox(lambda job, serve, emit: late(job, serve)))

    async def late(job: Job, serve: ServeCall) -> object:
        next(iter(one)).register(Tool("Notebook", "late"), answer)
        with pytest.raises(errors.ToolNotFound, match="not offered to this execution"):
            await serve("Alpha.late", None)
        return read(await serve("Alpha.load1", None))

    await crowded(one).execute("Alpha.load1()")
    assert len(sandbox.jobs) == 1


async def test_a_rule_for_one_name_of_a_tool_holds_for_its_other_names() -> None:
    settings = Settings(policy=("deny cell Sales.*",))
    one = Registry(FakeSandbox(), settings, FakeClock())
    own = notebook(one, "k1", "sales", Tool("Notebook", "load"))
    names = own.scope.names_of(own.scope.find("Notebook.load").tool)
    assert {tool.path for tool in names} == {"Notebook.load", "Sales.load"}
    assert {tool.path for tool in own.scope.names_of(own.scope.find("Sales.load").tool)} == {
        "Notebook.load",
        "Sales.load",
    }
