"""What a client may say and what it hears, frame by frame. A real server, real sandboxes, bare connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest

from pctx_jupyter.server.running import RunningEngine
from tests.fakes import SOON

from .wires import Wire, eventually

Connect = Callable[..., AbstractAsyncContextManager[Wire]]


async def test_the_first_frame_names_an_unguessable_session(wire: Connect) -> None:
    async with wire() as one, wire("pctx/local-tools") as other:
        assert len(one.session_id) >= 22 and one.session_id != other.session_id


async def test_every_method_answers_in_its_documented_shape(wire: Connect) -> None:
    async with wire() as it:
        schema = {"type": "object", "properties": {"a": {"type": "number"}}}
        await it.offer("math.add_all", description="Adds.", input_schema=schema, output_schema={"type": "number"})
        listed = {"name": "Math.addAll", "description": "Adds.", "input_schema": schema}
        listed["output_schema"] = {"type": "number"}
        assert (await it.ask("list_functions"))["result"] == {"functions": [listed]}
        details = listed | {"name": "addAll", "namespace": "Math"}
        for name in ("Math.addAll", "math.add_all"):
            assert (await it.ask("get_function_details", {"functions": [name]}))["result"] == {name: details}
        result = (await it.ask("execute", {"code": "console.log(1); console.error(2); 3"}))["result"]
        assert {k: result[k] for k in ("value", "stdout", "stderr", "success")} == {
            "value": 3,
            "stdout": "1\n",
            "stderr": "2\n",
            "success": True,
        }
        gone = await it.ask("unregister_tool", {"namespace": "math", "name": "add_all"})
        assert gone["result"] == {"success": True}
        assert (await it.ask("list_functions"))["result"] == {"functions": []}


async def test_a_program_calls_a_tool_of_the_connection_that_asked_for_it(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("math.add")
        await it.say(id=1, method="execute", params={"code": "const n = await math.add({ a: 1 }); n + 1"})
        call = await it.receive()
        assert call["method"] == "execute_tool"
        assert call["params"]["name"] == "math.add" and call["params"]["arguments"] == {"a": 1}
        assert await it.is_fine()  # the connection serves others meanwhile
        await it.say(id=call["id"], result=41)
        answer = await it.receive()
        assert answer["id"] == 1 and answer["result"]["value"] == 42


async def test_a_failing_tool_is_an_error_the_program_can_catch(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("math.add")
        code = "try { await Math.add() } catch (e) { [e.name, e.message] }"
        await it.say(
            id=1, method="execute", params={"code": f"export default async () => {{ {code.replace('[', 'return [')} }}"}
        )
        call = await it.receive()
        assert "arguments" not in call["params"]
        await it.say(id=call["id"], error={"code": -32002, "message": "no luck", "data": {"name": "ValueError"}})
        assert (await it.receive())["result"]["value"] == ["ValueError", "no luck"]


@pytest.mark.parametrize(
    ("method", "params", "code", "hint"),
    [
        ("register_tool", {"namespace": "math", "name": "add"}, -32000, "math.add"),
        ("execute", {"code": "throw new Error('oh')"}, -32002, "Error: oh"),
        ("execute", {"code": "const = 1"}, -32002, "SyntaxError"),
        ("execute", {"code": "for (;;);", "timeout_s": 0.2}, -32003, "0.2 s"),
        ("execute", {"code": "1", "tools": ["Nobody.*"]}, -32001, "Nobody.*"),
        ("unregister_tool", {"namespace": "no", "name": "body"}, -32001, "no.body"),
        ("get_function_details", {"functions": ["Math.ad"]}, -32001, "did you mean Math.add?"),
        ("no_such_method", {}, -32601, "no_such_method"),
        ("rpc.discover", None, -32601, "rpc.discover"),
        ("execute", {}, -32602, "code"),
        ("execute", None, -32602, ""),
        ("execute", ["1"], -32602, ""),
        ("execute", "1", -32602, ""),
        ("execute", {"code": 1}, -32602, "code"),
        ("execute", {"code": "1", "timeout_s": -1}, -32602, "timeout_s"),
        ("execute", {"code": "1", "timeout_s": "soon"}, -32602, "timeout_s"),
        ("execute", {"code": "1", "tools": "Math.*"}, -32602, "tools"),
        ("execute", {"code": "1", "inputs": {"no name": 1}}, -32602, "no name"),
        ("register_tool", {"namespace": "math"}, -32602, "name"),
        ("register_tool", {"namespace": "", "name": "x"}, -32602, ""),
        ("register_tool", {"namespace": "a", "name": "b", "input_schema": []}, -32602, "input_schema"),
        ("register_tool", {"namespace": "a", "name": "b", "description": "x" * (1 << 20)}, -32602, "1,048,576 bytes"),
        ("get_function_details", {"functions": "Math.add"}, -32602, "functions"),
    ],
)
async def test_a_request_that_cannot_be_served_is_refused_with_its_code(
    wire: Connect, method: str, params: object, code: int, hint: str
) -> None:
    async with wire() as it:
        await it.offer("math.add")
        answer = await it.ask(method, params)
        assert answer["id"] == 1 and answer["error"]["code"] == code
        assert hint in answer["error"]["message"] and "Traceback" not in str(answer)
        assert await it.is_fine()


async def test_unknown_fields_are_ignored(wire: Connect) -> None:
    async with wire() as it:
        answer = await it.ask("execute", {"code": "1", "from_the_future": True})
        assert answer["result"]["value"] == 1


@pytest.mark.parametrize(
    ("frame", "code", "id"),
    [
        ("", -32700, None),
        ("{", -32700, None),
        ('{"jsonrpc": "2.0", "id": 1, "method": "list_functions", "params": {"a": NaN}}', -32700, 1),
        ('{"jsonrpc": "2.0", "id": 1, "method": "list_functions", "params": {"a": "\\ud800"}}', -32700, 1),
        ("\ufeff{}", -32700, None),
        ("[" * 100_000, -32700, None),
        ("null", -32600, None),
        ("7", -32600, None),
        ('"text"', -32600, None),
        ("[]", -32600, None),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "list_functions"}]', -32600, None),
        ("[1, [2, [3]]]", -32600, None),
        ("{}", -32600, None),
        ('{"jsonrpc": "1.0", "id": 7, "method": "list_functions"}', -32600, 7),
        ('{"id": 7, "method": "list_functions"}', -32600, 7),
        ('{"jsonrpc": "2.0", "id": 7}', -32600, 7),
        ('{"jsonrpc": "2.0", "id": 7, "method": 1}', -32600, 7),
        ('{"jsonrpc": "2.0", "id": 7, "method": "list_functions", "result": 1}', -32600, 7),
        ('{"jsonrpc": "2.0", "id": 7, "result": 1, "error": {"code": 1, "message": ""}}', -32600, 7),
        ('{"jsonrpc": "2.0", "id": 7, "error": "oh"}', -32600, 7),
    ],
)
async def test_a_frame_that_is_no_message_is_refused_and_the_connection_kept(
    wire: Connect, frame: str, code: int, id: object
) -> None:
    async with wire() as it:
        await it.send(frame)
        answer = await it.receive()
        assert answer["error"]["code"] == code and answer["id"] == id
        assert await it.is_fine()


async def test_a_batch_of_ten_thousand_is_refused_whole(wire: Connect) -> None:
    async with wire() as it:
        await it.send(json.dumps([{"jsonrpc": "2.0", "id": n, "method": "list_functions"} for n in range(10_000)]))
        assert (await it.receive())["error"]["code"] == -32600
        assert await it.is_fine()


@pytest.mark.parametrize("id", ["", "x" * 1_000_000, "\0\u2028\U0001f40d", 0, -1, 2**53 + 1, 2**63 - 1])
async def test_a_legal_id_comes_back_as_it_was(wire: Connect, id: object) -> None:
    async with wire() as it:
        answer = await it.ask("list_functions", id=id)
        assert answer["id"] == id and "result" in answer


@pytest.mark.parametrize("id", ["null", "true", "1.0", "1.5", "[]", "{}", "1e400"])
async def test_any_other_id_is_refused(wire: Connect, id: str) -> None:
    async with wire() as it:
        await it.send(f'{{"jsonrpc": "2.0", "id": {id}, "method": "list_functions"}}')
        answer = await it.receive()
        assert answer["id"] is None and answer["error"]["code"] in (-32600, -32700)
        assert await it.is_fine()


async def test_an_id_may_not_be_used_twice_at_once(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("a.b")
        await it.say(id=1, method="execute", params={"code": "await a.b()"})
        call = await it.receive()
        assert (await it.ask("list_functions", id=1))["error"]["code"] == -32600
        await it.say(id=call["id"], result="done")
        answer = await it.receive()
        assert answer["id"] == 1 and answer["result"]["value"] == "done"


async def test_answers_to_nothing_are_ignored(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("a.b")
        await it.say(id=1, method="execute", params={"code": "await a.b()"})
        call = await it.receive()
        for id in (f"{call['id']}0", 1, 999, -1, "1", "pctx:", "", None, True, 1.0):
            await it.say(id=id, result="forged")
            await it.say(id=id, error={"code": 1, "message": "forged"})
        # Those whose id is none (null, true, 1.0) are said to be no messages; the others nobody waits for.
        heard = [await it.receive() for _ in range(4)]
        assert all(message["id"] is None and message["error"]["code"] == -32600 for message in heard)
        await it.say(id=call["id"], result="real")
        await it.say(id=call["id"], result="twice")
        assert (await it.receive())["result"]["value"] == "real"
        assert await it.is_fine()


async def test_a_request_of_the_server_never_has_the_id_of_a_request_of_the_client(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("a.b")
        asked: list[Any] = [*range(1, 11), *map(str, range(1, 11))]
        for id in asked:
            await it.say(id=id, method="execute", params={"code": "await a.b()"})
        answers, calls = {}, []
        while len(answers) < len(asked):
            message = await it.receive()
            if "method" in message:
                calls.append(message["id"])
                await it.say(id=message["id"], result="done")
            else:
                answers[repr(message["id"])] = message["result"]["value"]
        assert answers == {repr(id): "done" for id in asked}
        assert len(set(calls)) == len(asked) and not set(calls) & set(asked)
        assert all(isinstance(id, str) for id in calls)


async def test_only_the_session_that_was_asked_can_answer(wire: Connect) -> None:
    async with wire() as asked, wire() as other:
        await asked.offer("a.b")
        await asked.say(id=1, method="execute", params={"code": "await a.b()"})
        call = await asked.receive()
        await other.say(id=call["id"], result="forged")
        assert await other.is_fine()
        await asked.say(id=call["id"], result="real")
        assert (await asked.receive())["result"]["value"] == "real"


async def test_no_session_sees_anothers_tools(wire: Connect) -> None:
    async with wire() as one, wire() as other:
        await one.offer("a.b")
        assert (await other.ask("list_functions"))["result"] == {"functions": []}
        answer = await other.ask("execute", {"code": "typeof A + typeof a", "typecheck": False})
        assert answer["result"]["value"] == "undefinedundefined"
        answer = await other.ask("execute", {"code": 'await CALLABLE_TOOLS.execute("A.b", {})'})
        assert answer["error"]["code"] == -32002
        await other.offer("a.b")


async def test_twenty_executions_with_colliding_ids_get_their_own_answers(wire: Connect) -> None:
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(wire()) for _ in range(4)]
        for number, it in enumerate(wires):
            await it.offer("who.am_i")
            for id in range(5):
                code = f"const it = await Who.amI({{ id: {id} }}); [it.session, it.id, {number}, {id}]"
                await it.say(id=id, method="execute", params={"code": code})

        async def serve(number: int, it: Wire) -> dict[int, Any]:
            answers: dict[int, Any] = {}
            while len(answers) < 5:
                message = await it.receive()
                if message.get("method") == "execute_tool":
                    asked = message["params"]["arguments"]["id"]
                    await it.say(id=message["id"], result={"session": number, "id": asked})
                else:
                    answers[message["id"]] = message["result"]["value"]
            return answers

        heard = await asyncio.gather(*(serve(number, it) for number, it in enumerate(wires)))
        assert heard == [{id: [number, id, number, id] for id in range(5)} for number in range(4)]


async def test_output_and_events_come_in_order_before_the_answer(wire: Connect) -> None:
    async with wire() as it:
        await it.offer("a.b")
        params = {"code": "console.log('one'); await a.b(); console.error('two')", "events": True, "execution_id": "e"}
        await it.say(id=1, method="execute", params=params)
        heard = []
        while "result" not in (message := await it.receive()):
            if message["method"] == "execute_tool":
                await it.say(id=message["id"], result=None)
                heard.append("call")
            else:
                assert message["params"]["execution_id"] == "e"
                heard.append(message["params"].get("text") or message["params"]["type"])
        assert heard == ["one\n", "call_started", "call", "call_ended", "two\n"]
        assert message["result"]["execution_id"] == "e" and message["result"]["stdout"] == "one\n"


async def test_a_withdrawn_execution_stops_and_is_never_answered(wire: Connect, running: RunningEngine) -> None:
    async with wire() as it:
        await it.offer("a.b")
        await it.say(id=1, method="execute", params={"code": "await a.b(); for (;;);"})
        call = await it.receive()
        await it.say(method="$/cancel", params={"id": 1})
        withdrawn = await it.receive()  # its tool call is withdrawn in turn
        assert withdrawn["method"] == "$/cancel" and withdrawn["params"] == {"id": call["id"]}
        await it.say(id=call["id"], result="too late")
        assert await it.is_fine()
        engine = await running.get()
        await eventually(lambda: engine.status()["executions"] == 0)


async def test_a_client_that_leaves_takes_its_tools_and_its_programs_along(
    wire: Connect, running: RunningEngine
) -> None:
    engine = await running.get()
    async with wire() as stays:
        async with wire() as leaves:
            await leaves.offer("a.b")
            for id in range(3):
                await leaves.say(id=id, method="execute", params={"code": "await a.b()"})
            for _ in range(3):
                assert (await leaves.receive())["method"] == "execute_tool"
            assert engine.status()["executions"] == 3 and engine.status()["tools"] == 1
        await eventually(lambda: engine.status()["executions"] == 0)
        assert engine.status()["tools"] == 0 and engine.status()["sessions"] == 1
        assert await stays.is_fine()


async def test_a_client_cut_off_without_a_word_is_noticed_at_once(wire: Connect, running: RunningEngine) -> None:
    engine = await running.get()
    async with wire() as it:
        await it.offer("a.b")
        await it.say(id=1, method="execute", params={"code": "await a.b()"})
        await it.receive()
        it.connection.transport.abort()
        await eventually(lambda: engine.status()["executions"] == 0 and engine.status()["sessions"] == 0)


async def test_hostile_names_do_no_harm(wire: Connect) -> None:
    names = ["__proto__", "constructor", "toString", "class", "a'b\"c", "a\nb", "*/", "${x}", "\U0001f40d", "a.b", ""]
    async with wire() as it, asyncio.timeout(2 * SOON):
        for namespace in names:
            for name in names:
                answer = await it.ask("register_tool", {"namespace": namespace, "name": name})
                assert "result" in answer or answer["error"]["code"] in (-32602, -32000), answer
        assert (await it.ask("execute", {"code": "[({} as any).polluted, 1 + 1]"}))["result"]["value"] == [None, 2]
