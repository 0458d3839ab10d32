"""What editors ask of a session. The type checker is a list of answers; it notes what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.program.check import Checked, CheckJob, Diagnostic, Unchecked, Verdict
from pctx_jupyter.program.editor import Completion, Completions, Hover, Parameter, Signature, Signatures
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve, crossed
from pctx_jupyter.session import assist
from pctx_jupyter.session.local_tools import LocalTools
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.session import Session
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.tool import Tool

from ..fakes import SOON, FakeClock, FakeSandbox


@dataclass
class FakeEditor:
    """Answers what it was told to, or raises it."""

    answer: Any = None
    asked: list[tuple[CheckJob, int]] = field(default_factory=list)

    async def complete(self, job: CheckJob, offset: int) -> Completions:
        return await self._answer(job, offset)  # type: ignore[no-any-return]

    hover = signature = complete

    async def check(self, job: CheckJob) -> Verdict:
        return await self._answer(job, -1)  # type: ignore[no-any-return]

    async def _answer(self, job: CheckJob, offset: int) -> Any:
        self.asked.append((job, offset))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def registry(editor: FakeEditor, **settings: Any) -> Registry:
    made = Settings(**settings)
    return Registry(FakeSandbox(), made, FakeClock(), editor.check, editor=editor)  # type: ignore[arg-type]


def session(editor: FakeEditor, **settings: Any) -> Session:
    opened = registry(editor, **settings).open()
    for path in ("sales.load_orders", "math.add"):
        namespace, _, name = path.partition(".")
        opened.register(Tool(namespace, name, "What it does.", None, None), lambda call: None)  # type: ignore[arg-type, return-value]
    return opened


HEAD = "\n%%pctx -i orders --tools Sales.*\r\n"


async def test_offsets_are_those_of_the_cell() -> None:
    editor = FakeEditor(Completions(6, 2, [Completion("loadOrders", "function"), Completion("odd-name", "property")]))
    found = await assist.complete(session(editor), wire.Position(HEAD + "Sales.lo", offset=len(HEAD) + 8))
    ((job, offset),) = editor.asked
    assert (job.code, offset) == ("Sales.lo", 8)
    assert (found.start, found.end) == (len(HEAD) + 6, len(HEAD) + 8)
    assert [(item.label, item.insert_text) for item in found.items] == [("loadOrders", "loadOrders")]
    assert found.items[0].documentation.endswith("\n\nWhat it does.")


async def test_a_completed_tool_names_the_arguments_that_a_call_has_to_have() -> None:
    editor = FakeEditor(Completions(6, 2, [Completion("add", "function", "(args) → number"), Completion("x", "const")]))
    opened = session(editor)
    properties: Any = {"b-c": {"type": "number"}, "a": {"type": "number"}, "d": {"type": "number"}}
    schema = {"type": "object", "properties": properties, "required": ["a", "b-c", "no such one"]}
    opened.register(Tool("sales", "add", "", schema, None), lambda call: None)  # type: ignore[arg-type, return-value]
    found = await assist.complete(opened, wire.Position("Sales.a", offset=7))
    assert [(one.label, one.detail, one.arguments) for one in found.items] == [
        ("add", "(args) → number", ['"b-c"', "a"]),
        ("x", "", None),
    ]


async def test_help_on_a_tool_has_its_arguments_its_result_and_its_types() -> None:
    order = {"type": "object", "title": "Order", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    output = {
        "type": "array",
        "items": {"$ref": "#/$defs/Order"},
        "$defs": {"Order": order},
        "description": "The orders,\nnewest first.",
    }
    arguments = {
        "type": "object",
        "properties": {"status": {"type": "string", "description": "Their status."}, "n": {}},
    }
    editor = FakeEditor(Hover(6, 3, "function Sales.find(args: any): Promise<any>", "Finds orders."))
    opened = session(editor)
    opened.register(Tool("sales", "find", "Finds orders.", arguments, output), lambda call: None)  # type: ignore[arg-type, return-value]
    found = await assist.hover(opened, wire.Position("Sales.find", offset=8))
    assert found.documentation == (
        "Finds orders.\n\nArguments:\n  status: Their status.\n\nReturns: The orders, newest first.\n\n"
        "type Order = { id: number };"
    )
    assert found.text is not None and found.text.endswith(found.documentation)
    editor.answer = Hover(0, 1, "const x: 1", "One.")
    assert (await assist.hover(opened, wire.Position("x", offset=1))).documentation == "One."


async def test_the_options_of_the_magic_line_count() -> None:
    editor = FakeEditor(Completions(0, 0, []))
    opened = session(editor)
    await assist.complete(opened, wire.Position(HEAD, ["mine", "Sales", "class", "a b"], offset=len(HEAD)))
    job = editor.asked[0][0]
    assert list(job.tools) == ["Sales.loadOrders"]
    assert "orders" in job.globals and "mine" in job.globals and "class" not in job.globals and "a b" not in job.globals
    await assist.complete(opened, wire.Position("%%pctx --tools Sal,\n", offset=20))
    assert len(list(editor.asked[1][0].tools)) == 2


async def test_a_constant_is_what_it_was_for_the_last_program() -> None:
    editor = FakeEditor(Checked())
    opened = session(editor)
    await opened.execute("orders", inputs={"orders": Raw(b'[{"number": 1}]')})
    editor.answer = Completions(0, 0, [])
    await assist.complete(opened, wire.Position("%%pctx -i orders\n", offset=17))
    await assist.complete(opened, wire.Position("%%pctx -i others\n", offset=17))
    ran, same, other = (job.globals for job, _ in editor.asked)
    assert ran == same and "number" in same and "any" in other


async def test_an_overtaken_request_has_an_empty_answer() -> None:
    opened = session(FakeEditor(errors.Cancelled("Cancelled: the session has sent a newer request since")))
    place = wire.Position("x", offset=1)
    assert (await assist.complete(opened, place)).items == []
    assert (await assist.hover(opened, place)).text is None
    assert (await assist.signature(opened, place)).signatures == []


async def test_a_busy_checker_says_so() -> None:
    opened = session(FakeEditor(errors.Busy("The type checker is still starting; try again")))
    for ask in (assist.complete, assist.hover, assist.signature):
        with pytest.raises(errors.Busy, match="still starting"):
            await ask(opened, wire.Position("x", offset=1))
    with pytest.raises(errors.Busy, match="It took too long"):
        await assist.diagnostics(session(FakeEditor(Unchecked("It took too long"))), wire.Written("x"))


async def test_an_engine_without_a_type_checker_says_so() -> None:
    opened = Registry(FakeSandbox(), Settings(), FakeClock()).open()
    with pytest.raises(errors.SandboxUnavailable, match="no type checker"):
        await assist.complete(opened, wire.Position("x", offset=1))
    assert (await assist.diagnostics(opened, wire.Written("x"))).diagnostics == []


@pytest.mark.parametrize("code", ["\U0001f600\r\nab", "é\nab", "a\n\nab"])
async def test_diagnostics_are_where_they_are_in_the_cell(code: str) -> None:
    line = code.count("\n") + 1
    found = Diagnostic("Wrong", 2304, "error", line, 2, line, 3)
    beyond = Diagnostic("Wrong", 2304, "warning", line, 3, line + 1, 9)
    answer = await assist.diagnostics(session(FakeEditor(Checked((found, beyond)))), wire.Written(HEAD + code))
    end = len((HEAD + code).encode("utf-16-le")) // 2
    assert [(d.start, d.end, d.severity) for d in answer.diagnostics] == [
        (end - 1, end, "error"),
        (end, end, "warning"),
    ]


@pytest.mark.parametrize("source", ["%%pctx --no-check\nx", "%%pctx\n \n", ""])
async def test_nothing_is_wrong_where_nothing_is_checked(source: str) -> None:
    editor = FakeEditor(errors.Busy("must not be asked"))
    assert (await assist.diagnostics(session(editor), wire.Written(source))).diagnostics == []
    assert (await assist.diagnostics(session(editor, typecheck=False), wire.Written("x"))).diagnostics == []
    assert editor.asked == []


@pytest.mark.parametrize("offset", [-1, 3])
async def test_an_offset_outside_of_the_source_is_refused(offset: int) -> None:
    with pytest.raises(errors.InvalidParams, match="ends at 2"):
        await assist.hover(session(FakeEditor()), wire.Position("\U0001f600", offset=offset))


async def test_a_source_that_is_too_large_is_refused() -> None:
    with pytest.raises(errors.InvalidParams, match="more than 10 bytes"):
        await assist.diagnostics(session(FakeEditor(), max_program_bytes=10), wire.Written("é" * 6))


async def test_a_client_asks_the_same() -> None:
    """Over the wire, with every method."""
    editor = FakeEditor()
    sessions = registry(editor)

    async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
        return crossed(
            lambda send: Channel(send, serve=serve, on_notification=on_notification, name="client", max_bytes=1 << 20),
            lambda send: LocalTools(sessions, Settings(), send, kernel_id="k1").channel,
        )[0]

    async with asyncio.timeout(SOON), PctxClient(connect=connect, reconnect=False) as client:
        assert sessions.of_kernel("k1") is next(iter(sessions)) and sessions.of_kernel("k2") is None
        await client.register_tool("sales", "load_orders", lambda arguments: [])
        editor.answer = Completions(0, 1, [Completion("Sales", "module")])
        assert (await client.complete("S", 1)).items[0].label == "Sales"
        editor.answer = Hover(0, 1, "const S: 1", "One.")
        assert (await client.hover("S", 1)).text == "const S: 1\n\nOne."
        editor.answer = Signatures([Signature("f(a: 1)", "", [Parameter("a: 1", "")])], 0, 0)
        assert (await client.signature("f(", 2)).signatures[0].parameters[0].text == "a: 1"
        editor.answer = Checked((Diagnostic("Wrong", 2304, "error", 1, 1, 1, 2),))
        assert (await client.diagnostics("S")).diagnostics[0].message == "Wrong"
        assert "namespace Sales" in await client.declarations()
