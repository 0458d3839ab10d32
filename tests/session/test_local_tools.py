"""One client's methods, over a channel crossed in memory; the sandbox is a function."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.result import Display, Emit, Output
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc.channel import Channel, Serve, crossed, refuse_all
from pctx_jupyter.rpc.room import UNSENT_BYTES, Room
from pctx_jupyter.session.execution import AGENT, CLIENT, Job, ServeCall
from pctx_jupyter.session.local_tools import MAX_UNSENT_BYTES, LocalTools
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.turns import OF_ONE
from pctx_jupyter.settings import Settings

from ..fakes import SOON, FakeClock, FakeSandbox, read

SETTINGS = Settings(max_message_bytes=100_000)


class Client:
    """A client's end of a door, and what it heard."""

    def __init__(self, registry: Registry, serve: Serve = refuse_all, **more: Any) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.channel, _ = crossed(
            lambda send: Channel(
                send, serve=serve, on_notification=self._receive, name="client", max_bytes=SETTINGS.max_message_bytes
            ),
            lambda send: LocalTools(registry, SETTINGS, send, **more).channel,
        )

    def _receive(self, notification: rpc.Notification) -> None:
        self.heard.append((notification.method, read(notification.params)))

    async def ask(self, method: str, **params: Any) -> Any:
        async with asyncio.timeout(SOON):
            return read(await self.channel.call(method, params))


class Place:
    """A program's place, which it gives up and takes again."""

    is_taken = True

    def give_up(self, *, always: bool) -> bool:
        assert not always, "a wait for a turn is bounded here"
        self.is_taken = False
        return True

    async def take(self) -> None:
        self.is_taken = True


async def call_tool(job: Job, serve: ServeCall, emit: Emit) -> object:
    """A program that prints, then calls Math.double with its input n."""
    emit(Output("stdout", "hello\n"))
    return await serve("Math.double", rpc.raw({"n": read(job.inputs["n"])}))


def registry(sandbox: FakeSandbox) -> Registry:
    return Registry(sandbox, SETTINGS, FakeClock())


async def doubled(request: rpc.Request) -> object:
    asked = read(request.params)
    assert (request.method, asked["name"]) == ("execute_tool", "math.double")
    return asked["arguments"]["n"] * 2


async def test_the_first_frame_names_the_session() -> None:
    sessions = registry(FakeSandbox())
    client = Client(sessions)
    await client.ask("list_functions")
    assert client.heard[0] == ("session_created", {"session_id": next(iter(sessions)).id})


async def test_a_program_calls_a_tool_of_the_connection_that_runs_it() -> None:
    client = Client(registry(FakeSandbox(call_tool)), serve=doubled)
    assert await client.ask("register_tool", namespace="math", name="double") == {"success": True}
    answer = await client.ask("execute", code="…", inputs={"n": 21})
    assert {k: answer[k] for k in ("value", "stdout", "stderr", "success")} == {
        "value": 42,
        "stdout": "hello\n",
        "stderr": "",
        "success": True,
    }
    assert [method for method, _ in client.heard] == ["session_created"]


async def test_a_flood_of_registrations_by_one_client_leaves_what_a_session_may_have() -> None:
    sessions = Registry(FakeSandbox(), Settings(max_tools=50, max_tools_bytes=100_000), FakeClock())
    client = Client(sessions)
    refused: list[str] = []
    for n in range(10_000):
        try:
            await client.channel.call("register_tool", {"namespace": f"n{n % 10}", "name": f"t{n}"})
        except errors.InvalidParams as error:
            refused.append(error.message)
    (session,) = sessions
    assert len(session.catalog) == 50 and len(refused) == 9_950 and "Pctx.max_tools" in refused[-1]
    assert len({id(offer.serve) for offer in session.catalog.offers()}) == 1, "each tool has a method of its own"
    await client.ask("unregister_tool", namespace="n0", name="t0")
    large = {"description": "x" * 99_000}
    with pytest.raises(errors.InvalidParams, match=r"Pctx\.max_tools_bytes"):
        await client.ask("register_tool", namespace="n", name="large", **large)


async def test_events_are_told_to_the_client_that_asked_for_them() -> None:
    client = Client(registry(FakeSandbox(call_tool)), serve=doubled)
    await client.ask("register_tool", namespace="math", name="double")
    await client.ask("execute", code="…", inputs={"n": 21}, events=True, execution_id="mine")
    assert [(m, p["execution_id"], p.get("type") or p.get("text")) for m, p in client.heard[1:]] == [
        ("output", "mine", "hello\n"),
        ("event", "mine", "call_started"),
        ("event", "mine", "call_ended"),
    ]


async def test_displays_are_told_in_order_with_output() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        emit(Output("stdout", "one\n"))
        emit(Display(rpc.raw({"text/plain": "two"}), display_id="it", update=True))
        emit(Display(rpc.raw({"text/html": "<b>"}), metadata=rpc.raw({"a": 1}), is_value=True))
        return None

    client = Client(registry(FakeSandbox(act)))
    await client.ask("execute", code="…", events=True, execution_id="mine")
    assert client.heard[1:] == [
        ("output", {"execution_id": "mine", "stream": "stdout", "text": "one\n"}),
        ("display", {"execution_id": "mine", "data": {"text/plain": "two"}, "display_id": "it", "update": True}),
        ("display", {"execution_id": "mine", "data": {"text/html": "<b>"}, "metadata": {"a": 1}, "is_value": True}),
    ]


async def test_who_asks_for_no_calls_hears_the_output_alone() -> None:
    client = Client(registry(FakeSandbox(call_tool)), serve=doubled)
    await client.ask("register_tool", namespace="math", name="double")
    await client.ask("execute", code="…", inputs={"n": 21}, events=True, calls=False, execution_id="mine")
    assert [(m, p["execution_id"], p.get("text")) for m, p in client.heard[1:]] == [("output", "mine", "hello\n")]


async def test_a_client_that_does_not_read_misses_events_and_is_told_how_many() -> None:
    unsent = [MAX_UNSENT_BYTES]

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        emit(Output("stdout", "one\n"))
        unsent[0] += 1
        emit(Output("stdout", "two\n"))
        emit(Display(Raw(b"{}")))
        unsent[0] = 0
        emit(Output("stdout", "three\n"))
        unsent[0] = MAX_UNSENT_BYTES + 1
        emit(Output("stdout", "four\n"))
        return None

    client = Client(registry(FakeSandbox(act)), room=Room(lambda: unsent[0]))
    ran = await client.ask("execute", code="1", events=True, execution_id="mine")
    said = [params["text"] for method, params in client.heard if method == "output"]
    assert (said[0], said[2]) == ("one\n", "three\n") and len(said) == 4
    assert said[1].startswith("… 2 pieces of output were not sent") and said[3].startswith("… 1 pieces")
    assert ran["stdout"] == "one\ntwo\nthree\nfour\n"


async def test_calls_of_a_clients_tools_wait_while_it_does_not_read() -> None:
    unsent, waits = [0], asyncio.Event()
    room = Room(lambda: unsent[0], waits.set)

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        unsent[0] = UNSENT_BYTES
        return await call_tool(job, serve, emit)

    client = Client(registry(FakeSandbox(act)), serve=doubled, room=room)
    await client.ask("register_tool", namespace="math", name="double")
    running = asyncio.create_task(client.ask("execute", code="…", inputs={"n": 21}))
    async with asyncio.timeout(SOON):
        await waits.wait()
    assert client.channel._serving == {}
    unsent[0] = 0
    room.refresh()
    assert (await running)["value"] == 42


async def test_the_objects_that_a_client_holds_are_asked_from_it_once_it_has_said_that_it_holds_some() -> None:
    asked: list[str] = []
    answers: dict[str, object] = {
        "list_handles": {"handles": [{"id": "h1", "label": "orders", "kind": "frame", "held": "run", "shape": [6, 3]}]},
        "forget_handle": {"forgotten": True},
    }

    async def serve(request: rpc.Request) -> object:
        asked.append(request.method)
        return answers[request.method]

    sessions = registry(FakeSandbox(call_tool))
    changes: list[str] = []
    sessions.watchers.add(changes.append)
    client = Client(sessions, serve)
    (session,) = sessions
    assert session.handles is None
    changes.clear()
    client.channel.notify("handles_changed")
    await asyncio.sleep(0)
    assert changes == ["handles"] and asked == []
    assert session.handles is not None
    async with asyncio.timeout(SOON):
        (held,) = (await session.handles.listed()).handles
        assert (held.id, held.shape, held.left_s) == ("h1", [6, 3], None)
        assert await session.handles.forget("h1")
        answers["list_handles"] = {"handles": [{"id": 7}]}
        with pytest.raises(errors.Remote, match="cannot be read"):
            await session.handles.listed()
    client.channel.close()
    with pytest.raises(errors.ConnectionLost):
        await session.handles.listed()


async def test_a_connection_of_agents_holds_no_objects() -> None:
    sessions = registry(FakeSandbox(call_tool))
    changes: list[str] = []
    client = Client(sessions, as_agent=True)
    sessions.watchers.add(changes.append)
    client.channel.notify("handles_changed")
    await asyncio.sleep(0)
    assert changes == [] and sessions.agents().handles is None


async def test_a_guest_program_whose_call_waits_for_its_turn_has_no_place_until_the_call_ends() -> None:
    place, called, answered = Place(), asyncio.Event(), asyncio.Event()
    seen: list[bool] = []

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        job.hold.place = place
        value = await serve("Sales.load", None)
        seen.append(place.is_taken)
        return read(value)

    async def serve(request: rpc.Request) -> object:
        asked = read(request.params)
        note = {"execution_id": asked["execution_id"], "call": asked["call"], "note": "waits: a cell is running"}
        client.channel.notify("call_note", note)
        seen.append(place.is_taken)
        client.channel.notify("call_note", {**note, "waits": True})
        client.channel.notify("call_note", {**note, "waits": True})
        called.set()
        await answered.wait()
        return 7

    sessions = registry(FakeSandbox(act))
    client = Client(sessions, serve, kernel_id="k")
    sessions.name_kernel("k", "sales")
    await client.ask("register_tool", namespace="notebook", name="load")
    running = asyncio.ensure_future(sessions.agents().execute("1"))
    async with asyncio.timeout(SOON):
        await called.wait()
        await asyncio.sleep(0)
        assert seen == [True] and not place.is_taken
        answered.set()
        assert read((await running).value) == 7
    assert seen == [True, True]


async def test_calls_of_a_guest_client_beyond_its_share_wait_and_those_of_another_do_not() -> None:
    sent: list[str] = []
    answered = asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        is_greedy = job.session.endswith("greedy")
        await asyncio.gather(*(serve("Sales.load", None) for _ in range(OF_ONE + 2 if is_greedy else 1)))
        return 1

    async def serve(request: rpc.Request) -> object:
        sent.append(read(request.params)["whose"])
        await answered.wait()
        return 7

    async def execute(name: str) -> None:
        CLIENT.set(name)
        AGENT.set(name)
        await sessions.agents().execute("1")

    sessions = registry(FakeSandbox(act))
    client = Client(sessions, serve, kernel_id="k")
    sessions.name_kernel("k", "sales")
    await client.ask("register_tool", namespace="notebook", name="load")
    async with asyncio.timeout(SOON):
        running = [asyncio.create_task(execute(name)) for name in ("greedy", "modest")]
        while "modest" not in sent:
            await asyncio.sleep(0)
        assert sent == ["greedy"] * OF_ONE + ["modest"]
        answered.set()
        await asyncio.gather(*running)
    assert sent[OF_ONE + 1 :] == ["greedy"] * 2


async def test_the_error_of_a_tool_keeps_its_name_and_token() -> None:
    caught: list[errors.ToolFailed] = []

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        try:
            return await serve("Math.double", None)
        except errors.ToolFailed as error:
            caught.append(error)
            raise

    async def broken(request: rpc.Request) -> object:
        raise errors.ToolFailed("division by zero", name="ZeroDivisionError", token="e3")

    client = Client(registry(FakeSandbox(act)), serve=broken)
    await client.ask("register_tool", namespace="math", name="double")
    with pytest.raises(errors.PctxError):
        await client.ask("execute", code="1")
    assert [(e.message, e.name, e.token) for e in caught] == [("division by zero", "ZeroDivisionError", "e3")]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("nonsense", {}, -32601),
        ("register_tool", {}, -32602),
        ("register_tool", {"namespace": 1, "name": "x"}, -32602),
        ("register_tool", {"namespace": "a", "name": ""}, -32602),
        ("register_tool", {"namespace": "a", "name": "x", "input_schema": "text"}, -32602),
        ("register_tool", {"namespace": "a", "name": "x", "effects": "none"}, -32602),
        ("register_tool", {"namespace": "a", "name": "x", "effects": 1}, -32602),
        ("register_tool", {"namespace": "taken", "name": "tool"}, -32000),
        ("unregister_tool", {"namespace": "no", "name": "such"}, -32001),
        ("get_function_details", {"functions": ["No.such"]}, -32001),
        ("execute", {}, -32602),
        ("execute", {"code": None}, -32602),
        ("execute", {"code": "1", "inputs": [1]}, -32602),
        ("execute", {"code": "1", "tools": ["No.*"]}, -32001),
    ],
)
async def test_a_wrong_request_has_its_code(method: str, params: dict[str, Any], code: int) -> None:
    client = Client(registry(FakeSandbox()))
    await client.ask("register_tool", namespace="taken", name="tool")
    with pytest.raises(errors.PctxError) as refused:
        await client.ask(method, **params)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("said", "effects"),
    [
        ({}, False),
        ({"effects": None}, False),
        ({"effects": False}, False),
        ({"effects": True}, True),
        ({"effects": "unknown"}, None),
    ],
)
async def test_a_client_says_whether_its_tool_has_effects(said: dict[str, Any], effects: bool | None) -> None:
    sessions = registry(FakeSandbox())
    client = Client(sessions)
    await client.ask("register_tool", namespace="math", name="double", **said)
    (tool,) = next(iter(sessions)).catalog
    assert tool.effects is effects


async def test_functions_are_listed_and_described_by_their_canonical_names() -> None:
    client = Client(registry(FakeSandbox()))
    schema = {"type": "object"}
    await client.ask("register_tool", namespace="my_math", name="add_all", description="Adds.", input_schema=schema)
    listed = {"name": "MyMath.addAll", "description": "Adds.", "input_schema": schema, "output_schema": None}
    assert await client.ask("list_functions") == {"functions": [listed]}
    details = await client.ask("get_function_details", functions=["my_math.add_all"])
    assert details == {"my_math.add_all": listed | {"name": "addAll", "namespace": "MyMath"}}


async def test_a_request_for_more_than_is_read_in_a_moment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pctx_jupyter.session.local_tools.REQUEST_BYTES", 100)
    client = Client(registry(FakeSandbox()))
    await client.ask("register_tool", namespace="math", name="add", description="x" * 100)
    with pytest.raises(errors.InvalidParams, match="more than 100 bytes; ask for less at once"):
        await client.ask("get_function_details", functions=["x"] * 100)


async def test_a_client_cannot_declare_a_type_as_observed() -> None:
    client = Client(registry(FakeSandbox()))
    await client.ask("register_tool", namespace="math", name="add", output_schema={"type": "number", "x-observed": 7})
    (listed,) = (await client.ask("list_functions"))["functions"]
    assert listed["output_schema"] == {"type": "number"}


async def test_sessions_do_not_see_each_other() -> None:
    sessions = registry(FakeSandbox(call_tool))
    one, other = Client(sessions, serve=doubled), Client(sessions, serve=doubled)
    await one.ask("register_tool", namespace="math", name="double")
    assert await other.ask("list_functions") == {"functions": []}
    with pytest.raises(errors.ToolNotFound):
        await other.ask("execute", code="…", inputs={"n": 1})
    await other.ask("register_tool", namespace="math", name="double")


async def test_a_client_that_goes_takes_its_tools_and_fails_its_callers_at_once() -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        try:
            return await serve("Math.double", None)
        finally:
            stopped.set()

    async def hangs(request: rpc.Request) -> object:
        asked.set()
        await asyncio.Event().wait()
        return None

    sessions = registry(FakeSandbox(act))
    client = Client(sessions, serve=hangs)
    await client.ask("register_tool", namespace="math", name="double")
    running = asyncio.ensure_future(client.ask("execute", code="1"))
    async with asyncio.timeout(SOON):
        await asked.wait()
        client.channel.close()
        await stopped.wait()
        with pytest.raises(errors.ConnectionLost):
            await running
    assert len(sessions) == 0


async def test_an_agents_client_runs_programs_in_the_agents_session_and_has_no_tools_of_its_own() -> None:
    one = registry(FakeSandbox(call_tool))
    notebook, agent = Client(one, doubled), Client(one, as_agent=True)
    next(iter(one)).kernel_id = "k"
    one.name_kernel("k", "Math")
    await notebook.ask("register_tool", namespace="math", name="double")
    assert [tool["name"] for tool in (await agent.ask("list_functions"))["functions"]] == ["Math.double"]
    ran = await agent.ask("execute", code="…", inputs={"n": 4}, execution_id="mine", events=True, agent=" Robot ")
    assert ran["value"] == 8 and [trace.agent for trace in one.history] == ["Robot"]
    assert ("output", {"execution_id": "mine", "stream": "stdout", "text": "hello\n"}) in agent.heard
    for method in ("register_tool", "unregister_tool", "share", "forget", "list_approvals"):
        with pytest.raises(errors.Forbidden, match="connect to local-tools"):
            await agent.ask(method, namespace="a", name="b", to="nobody")
    agent.channel.close()
    assert len(one) == 1 and one.agents().scope.find("Math.double")


async def test_an_agents_client_that_leaves_stops_its_program() -> None:
    stopped = asyncio.Event()

    async def forever(job: Job, serve: ServeCall, emit: Emit) -> object:
        emit(Output("stdout", "on"))
        try:
            return await asyncio.Future()
        finally:
            stopped.set()

    one = registry(FakeSandbox(forever))
    agent = Client(one, as_agent=True)
    asked = asyncio.ensure_future(agent.ask("execute", code="…"))
    while not one.agents().executions:
        await asyncio.sleep(0)
    agent.channel.close()
    async with asyncio.timeout(SOON):
        await stopped.wait()
    with pytest.raises(errors.PctxError):
        await asked
    assert not one.agents().executions


# ── NaN and the infinities ──────────────────────────────────────────────────────────────────────────────────────────

NAN = Raw(b'{"$pctx.nonfinite":{"n":"#NaN","text":"##"}}')


async def pass_on(job: Job, serve: ServeCall, emit: Emit) -> object:
    """A program that displays its input and calls Math.double with it; its value is what it got."""
    emit(Display(Raw(b'{"application/vnd.pctx.value+json":' + bytes(job.inputs["n"]) + b"}")))
    return await serve("Math.double", job.inputs["n"])


async def returned(nonfinite: bool, given: Raw, result: Raw) -> tuple[Any, Any, Any]:
    """What a client sees of a payload: the arguments of its tool, what is displayed, the value of its program."""
    seen = []

    async def serve(request: rpc.Request) -> object:
        seen.append(read(request.params)["arguments"])
        return result

    client = Client(registry(FakeSandbox(pass_on)), serve=serve)
    await client.ask("register_tool", namespace="math", name="double", nonfinite=nonfinite)
    answer = await client.ask(
        "execute", code="…", inputs={"n": given}, execution_id="e", events=True, nonfinite=nonfinite
    )
    [shown] = [params["data"] for method, params in client.heard if method == "display"]
    return seen[0], shown["application/vnd.pctx.value+json"], answer["value"]


async def test_a_client_that_knows_of_the_mark_gets_marked_payloads() -> None:
    marked = read(NAN)
    assert await returned(True, NAN, NAN) == (marked, marked, marked)


async def test_what_another_client_sends_is_data_and_comes_back_as_it_was() -> None:
    sent = {"$pctx.nonfinite": "#NaN"}
    assert await returned(False, rpc.raw(sent), rpc.raw(sent)) == (sent, sent, sent)


async def test_another_client_gets_null_in_the_place_of_such_a_number() -> None:
    async def value(job: Job, serve: ServeCall, emit: Emit) -> object:
        emit(Display(Raw(b'{"text/plain":"x","application/vnd.pctx.value+json":' + bytes(NAN) + b"}")))
        await serve("Math.double", NAN)
        return NAN

    seen = []

    async def serve(request: rpc.Request) -> object:
        seen.append(read(request.params)["arguments"])
        return 1

    client = Client(registry(FakeSandbox(value)), serve=serve)
    await client.ask("register_tool", namespace="math", name="double")
    answer = await client.ask("execute", code="…", execution_id="e", events=True)
    plain = {"n": None, "text": "#"}
    assert (seen, answer["value"]) == ([plain], plain)
    assert [p["data"] for m, p in client.heard if m == "display"] == [
        {"text/plain": "x", "application/vnd.pctx.value+json": plain}
    ]
