"""What tools have returned, and what programs know of it: a sandbox that is a function, shapes in a real file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.check import MAY_BE_INCOMPLETE, Checked, CheckJob, Diagnostic, Unchecked, Verdict
from pctx_jupyter.program.result import CallEnded, CallNoted, Emit, Event, Output, TypesChecked, ValuesKept
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.rpc import nonfinite
from pctx_jupyter.session import observations as module
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.observations import KeptShape, Observations
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.session import Session
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools import observed, typegen
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool
from pctx_jupyter.upstream.shapes import MOST_TOOLS, ShapeFile

from ..fakes import FakeClock, FakeSandbox, read

NUMBER = {"type": "number"}


class Shop:
    """A session with tools that return what they are given, and programs that call them.

    Attributes:
        registry: Of the session.
        changes: How often a type has changed.
    """

    def __init__(self, path: str = "", check: Any = None) -> None:
        self.clock, self.changes = FakeClock(), 0
        self.registry = Registry(FakeSandbox(self._call), Settings(), FakeClock(), check)
        self.observations = Observations(ShapeFile(path), self.clock, lambda: 5.0, self._count)
        self.registry.observations = self.observations
        self.session: Session = self.registry.open()
        self.heard: list[Event] = []
        self.results: list[Any] = []

    def _count(self) -> None:
        self.changes += 1

    def offer(self, name: str = "load", **more: Any) -> Tool:
        """Offer a tool as a client does."""
        code_hash = more.pop("code_hash", "")
        tool = self.registry.watched(Tool("sales", name, **more), code_hash)

        async def serve(call: Call) -> Raw:
            value = read(call.arguments)
            if isinstance(value, str) and value == "fail":
                raise errors.ToolFailed("no")
            return value if isinstance(value, Raw) else nonfinite.encode(value)

        self.session.register(tool, serve, replace=True)
        return self.session.catalog.find(tool.path).tool

    async def _call(self, job: Job, serve: ServeCall, emit: Emit) -> object:
        for result in self.results:
            with suppress(errors.ToolFailed):
                await serve("Sales.load", rpc.raw(result))
            await asyncio.sleep(0)
        return None

    async def returns(self, *results: Any, typecheck: bool = True) -> list[str]:
        """Run a program whose calls return these values; returns what its trace says of them."""
        self.results, self.heard = list(results), []
        await self.session.execute("…", emit=self.heard.append, typecheck=typecheck)
        return [event.note for event in self.heard if isinstance(event, CallNoted)]

    @property
    def printed(self) -> list[Output]:
        """What the last program was told, and printed."""
        return [event for event in self.heard if isinstance(event, Output)]

    @property
    def declared(self) -> str:
        return typegen.declarations(self.session.scope.listed(), aliases=False)


@asynccontextmanager
async def shop(path: Path | str = "") -> AsyncIterator[Shop]:
    one = Shop(str(path))
    yield one
    await one.observations.close()


async def test_a_tool_without_a_return_type_has_one_after_its_first_call() -> None:
    async with shop() as one:
        one.offer()
        assert "load(args?: any): Promise<any>;" in one.declared
        await one.returns([{"id": 1, "city": "Graz"}])
        assert one.declared == (
            "declare namespace Sales {\n  /** Observed in 1 call; may be incomplete. */\n"
            "  function load(args?: any): Promise<{ id: number; city: string }[]>;\n}\n"
        )
        assert one.changes == 1


async def test_description_stays_before_what_was_observed() -> None:
    async with shop() as one:
        tool = one.offer(description="Loads orders.")
        await one.returns(1, 2)
        assert " * Loads orders.\n   * Observed in 2 calls; may be incomplete.\n" in one.declared
        assert typegen.signature(tool) == "load(args?: any): Promise<number> /* observed */"


@pytest.mark.parametrize("schema", [NUMBER, {"type": "object"}, False])
async def test_a_tool_that_declares_its_result_is_not_observed(schema: Any) -> None:
    async with shop() as one:
        tool = one.offer(output_schema=schema)
        await one.returns(1)
        assert tool.observed is None and tool.result_schema == schema


async def test_results_that_are_not_what_their_tool_declares_are_said_once_a_run_and_passed_on() -> None:
    async with shop() as one:
        one.offer(output_schema={"type": "array", "items": {"properties": {"total": NUMBER}}})
        for _ in range(2):
            assert await one.returns([{"total": 1}], "fail", [{"total": "2"}], None) == []
            text = (
                'Warning: Sales.load does not return what it declares: result[0].total: expected number, got "2"; '
                "the program received it unchanged\n"
            )
            assert one.printed == [Output("stderr", text, "warn")]
        assert [event.result for event in one.heard if isinstance(event, CallEnded)][2:] == ['[{"total":"2"}]', "null"]
        assert next(iter(one.registry.history)).console[0].text == text


@pytest.mark.parametrize(
    ("result", "checked"),
    [("x", True), ("x" * module.MOST_BYTES, False), ({"$pctx.frame": {"id": "1"}}, False)],
)
async def test_nothing_is_said_of_what_fits_is_large_is_handed_or_was_checked(result: Any, checked: bool) -> None:
    async with shop() as one:
        one.offer(output_schema=NUMBER, checked=checked)
        await one.returns(result)
        assert one.printed == []


@pytest.mark.parametrize("schema", [None, True, {}])
async def test_a_tool_that_declares_that_its_result_may_be_anything_is_observed(schema: Any) -> None:
    async with shop() as one:
        one.offer(output_schema=schema)
        await one.returns(1)
        assert "Promise<number>" in one.declared


async def test_a_call_that_disagrees_widens_the_type_and_its_trace_says_so() -> None:
    async with shop() as one:
        one.offer()
        assert await one.returns({"id": 1, "total": 2}) == []
        assert await one.returns({"id": 1, "total": 2}) == []
        said = "widened the observed type: .total may be null, .note is new"
        assert await one.returns({"id": 1, "total": None, "note": "x"}) == [said]
        [trace] = [trace for trace in one.registry.history if trace.calls[0].note]
        assert trace.calls[0].note == said
        assert "{ id: number; total: number | null; note?: string }" in one.declared
        assert "Observed in 3 calls" in one.declared


async def test_note_about_many_places_names_some() -> None:
    async with shop() as one:
        one.offer()
        await one.returns({"no": "x"})
        [note] = await one.returns(dict.fromkeys(("id", "tax", "net", "sum", "vat"), 1))
        assert note == "widened the observed type: .no may be missing, .id is new, .tax is new, and 3 more"


async def test_the_program_has_its_answer_before_the_result_is_looked_at() -> None:
    seen: list[int] = []

    async def act(job: Job, serve: ServeCall, emit: Emit) -> object:
        await serve("Sales.load", rpc.raw([1]))
        seen.append(one.observations.version)
        await asyncio.sleep(0)
        seen.append(one.observations.version)
        return None

    one = Shop()
    one.session._run = FakeSandbox(act)
    one.offer()
    await one.session.execute("…", emit=one.heard.append)
    assert seen == [0, 1]
    assert [type(event) for event in one.heard][-1] is CallEnded


async def test_a_call_that_fails_is_not_observed() -> None:
    async with shop() as one:
        one.offer()
        await one.returns("fail")
        assert "Promise<any>" in one.declared and one.changes == 0


@pytest.mark.parametrize("result", [float("nan"), [float("inf"), 1.5], {"$pctx.nonfinite": 1}])
async def test_numbers_that_json_does_not_have_are_numbers(result: Any) -> None:
    tool = Observations(ShapeFile(""), FakeClock()).of("key", "of")
    asyncio.get_running_loop()
    tool.take(nonfinite.encode(result))
    written = observed.schema(tool.shape, 1)
    assert written is not None and "string" not in json.dumps(written)


async def test_a_result_that_cannot_be_read_does_not_disturb_its_program(caplog: pytest.LogCaptureFixture) -> None:
    async with shop() as one:
        one.offer()
        deep = Raw(b"[" * 100_000 + b"]" * 100_000)

        async def serve(call: Call) -> Raw:
            return deep

        one.session.catalog.add(one.session.catalog.find("Sales.load").tool, serve, replace=True)
        assert await one.returns(1) == []
        assert "cannot be read" in caplog.text and "Promise<any>" in one.declared


@pytest.mark.parametrize(
    "result", [{"$pctx.frame": {"id": "a", "columns": []}}, {"$pctx.call": {"frame": "a", "steps": []}}]
)
async def test_frames_and_operations_on_them_are_not_observed(result: Any) -> None:
    async with shop() as one:
        one.offer()
        await one.returns(result)
        assert "Promise<any>" in one.declared


async def test_a_large_result_is_not_looked_at() -> None:
    async with shop() as one:
        one.offer()
        await one.returns(["x" * module.MOST_BYTES])
        assert "Promise<any>" in one.declared


async def test_after_the_first_calls_a_look_takes_a_small_part_of_the_time() -> None:
    clock = FakeClock()

    def ticking() -> float:
        clock.now += 0.5
        return clock.now

    tool = Observations(ShapeFile(""), ticking).of("key", "of")
    for _ in range(module.ALWAYS + 50):
        tool.take(Raw(b"1"))
    assert tool.calls == module.ALWAYS
    clock.now += module.SHARE
    assert tool.take(Raw(b"null")) == ["it may be null"]


async def test_shapes_outlast_the_engine_and_are_shared(tmp_path: Path) -> None:
    file = tmp_path / "observed.json"
    async with shop(file) as one:
        one.offer()
        await one.returns({"id": 1})
    async with shop(file) as one, shop(file) as other:
        one.offer(), other.offer()
        assert "{ id: number }" in one.declared
        await one.returns({"id": None})
        await other.returns({"id": "x"})
        await one.observations.close()
        await other.observations.close()
        one.observations.refresh()
        assert one.declared == other.declared
        assert "Observed in 3 calls" in one.declared and "{ id: number | string | null }" in one.declared
    assert file.stat().st_mode & 0o077 == 0


async def test_a_refresh_reads_nothing_for_tools_without_a_kept_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path / "observed.json") as one:
        tools = [one.offer(f"t{n}") for n in range(50)]
        asked: list[str] = []
        looked_up = ShapeFile.get
        monkeypatch.setattr(ShapeFile, "get", lambda file, key: [looked_up(file, key), asked.append(key)][0])
        one.observations.refresh()
        assert asked == [] and len(tools) == 50
        one.offer("another")
        assert len(asked) == 1


async def test_what_is_new_is_kept_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_S", 0.01)
    file = tmp_path / "observed.json"
    async with shop(file) as one:
        one.offer()
        await one.returns({"id": 1})
        async with asyncio.timeout(5):
            while not file.exists():
                await asyncio.sleep(0.01)
        assert '"id"' in file.read_text()


async def test_no_value_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "observed.json"
    async with shop(file) as one:
        one.offer()
        await one.returns({"name": "Ada Lovelace", "by_mail": {"ada@example.org": {"born": 1815}}, "tags": ["secret"]})
    kept = file.read_text()
    assert "name" in kept and "born" in kept
    assert not any(value in kept for value in ("Ada", "ada@", "1815", "secret"))


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"code_hash": "a"}, {"code_hash": "b"}),
        ({"description": "Loads."}, {"description": "Loads orders."}),
        ({"input_schema": {"type": "object"}}, {"input_schema": {"type": "object", "required": ["id"]}}),
    ],
)
async def test_another_function_of_the_same_name_is_another_tool(was: Any, now: Any, tmp_path: Path) -> None:
    async with shop(tmp_path / "observed.json") as one:
        one.offer(**was)
        await one.returns(1)
        one.offer(**now)
        assert "Promise<any>" in one.declared
        one.offer(**was)
        assert "Promise<number>" in one.declared


async def test_the_same_code_with_another_description_is_the_same_tool() -> None:
    async with shop() as one:
        one.offer(code_hash="a", description="Loads.")
        await one.returns(1)
        one.offer(code_hash="a", description="Loads orders.")
        assert "Promise<number>" in one.declared


async def test_what_a_server_describes_otherwise_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "observed.json"
    async with shop(file) as one:
        tool = one.observations.watched(Tool("github", "list"), ["github", "list"], {"description": "1"})
        assert tool.observed is not None
        tool.observed.take(Raw(b"1"))
        again = one.observations.watched(Tool("github", "list"), ["github", "list"], {"description": "1"})
        assert again.observed is tool.observed
        changed = one.observations.watched(Tool("github", "list"), ["github", "list"], {"description": "2"})
        assert changed.observed is not None and changed.observed.schema is None
        changed.observed.take(Raw(b'"x"'))
    async with shop(file) as one:
        kept = one.observations.watched(Tool("github", "list"), ["github", "list"], {"description": "2"})
        assert kept.result_schema == {"type": "string", observed.OBSERVED: 1}


async def test_a_person_can_have_it_forgotten(tmp_path: Path) -> None:
    async with shop(tmp_path / "observed.json") as one:
        tool = one.offer()
        await one.returns(1)
        await one.observations.close()
        await one.observations.forget([tool])
        assert "Promise<any>" in one.declared
    async with shop(tmp_path / "observed.json") as one:
        one.offer()
        assert "Promise<any>" in one.declared


def test_file_keeps_the_latest_shapes(tmp_path: Path) -> None:
    path = str(tmp_path / "observed.json")
    kept = ShapeFile(path)
    kept.add({f"{n}": KeptShape("of", observed.shape_of(n), 1, at=float(n)) for n in range(MOST_TOOLS + 10)})
    assert (kept.get("9"), ShapeFile(path).get("9")) == (None, None)
    assert kept.get("10") is not None


def test_file_that_cannot_be_read_counts_as_nothing(tmp_path: Path) -> None:
    file = tmp_path / "observed.json"
    file.write_text("nonsense")
    kept = ShapeFile(str(file))
    assert kept.get("a") is None and "types are observed again" in str(kept.trouble)
    kept.add({"a": KeptShape("of", observed.shape_of(1), 1)})
    assert ShapeFile(str(file)).get("a") == KeptShape("of", observed.shape_of(1), 1)


async def test_a_renamed_tool_has_the_same_type() -> None:
    async with shop() as one:
        tool = one.offer()
        other = tool.renamed("Report", "load")
        await one.returns(1)
        assert other.result_schema == tool.result_schema != None  # noqa: E711


# ── Warnings, not errors ────────────────────────────────────────────────────────────────────────────────────────────


def wrong(text: str, line: int = 1) -> Diagnostic:
    return Diagnostic(text, 2339, "error", line, 1, line, 5)


class Checks:
    """A `Check` that finds one thing wrong with observed types, and another with any."""

    def __init__(self, observed: Verdict, plain: Verdict) -> None:
        self.jobs: list[CheckJob] = []
        self._observed, self._plain = observed, plain

    async def __call__(self, job: CheckJob) -> Verdict:
        self.jobs.append(job)
        is_observed = "number" in "".join((*job.texts, job.globals))
        return self._observed if is_observed else self._plain


async def checked(observed: Verdict, plain: Verdict) -> tuple[Shop, Checks]:
    check = Checks(observed, plain)
    one = Shop(check=check)
    one.offer()
    await one.returns(1, typecheck=False)
    check.jobs.clear()
    return one, check


async def test_what_is_wrong_only_with_observed_types_is_a_warning() -> None:
    one, check = await checked(Checked((wrong("no such field"),)), Checked())
    await one.returns()
    assert len(check.jobs) == 2
    [event] = [event for event in one.heard if isinstance(event, TypesChecked)]
    assert (event.outcome, [d.severity for d in event.diagnostics]) == ("passed", ["warning"])
    said = f"line 1, column 1: no such field {MAY_BE_INCOMPLETE}"
    assert event.message == said
    assert Output("stderr", f"Warning: {said}\n", "warn") in one.heard
    newest = next(iter(one.registry.history))
    assert newest.check is not None and newest.check.message == said


async def test_what_is_wrong_with_any_as_well_is_an_error() -> None:
    both = wrong("no such field"), wrong("not a number", 2)
    one, _ = await checked(Checked(both), Checked((wrong("not a number", 2),)))
    with pytest.raises(errors.TypesWrong, match=r"^TypeError: not a number$|not a number") as refused:
        await one.returns()
    assert "no such field" not in str(refused.value)


async def test_a_program_that_is_right_is_checked_once() -> None:
    one, check = await checked(Checked(), Checked((wrong("never"),)))
    await one.returns()
    assert len(check.jobs) == 1


async def test_a_program_that_is_wrong_without_observed_types_is_checked_once() -> None:
    check = Checks(Checked(), Checked((wrong("always"),)))
    one = Shop(check=check)
    one.offer()
    with pytest.raises(errors.TypesWrong):
        await one.returns()
    assert len(check.jobs) == 1


async def test_a_program_runs_unchecked_where_the_second_check_fails() -> None:
    one, _ = await checked(Checked((wrong("no such field"),)), Unchecked("It took too long."))
    assert (await one.session.execute("1")).unchecked == "It took too long."


async def test_what_is_kept_of_observed_types_is_a_warning_in_later_programs() -> None:
    def act(job: Job, serve: ServeCall, emit: Emit) -> None:
        if job.program.kept is not None:
            emit(ValuesKept({"a": Raw(b"5")}, {}))

    one, check = await checked(Checked((), kept="const a: number;"), Checked((), kept="const a: any;"))
    one.session._run = FakeSandbox(act)
    await one.session.execute("export const a = await Sales.load()")
    assert len(check.jobs) == 2, "right, but what it keeps is needed twice"
    check._observed = Checked((wrong("a has no such field"),))
    check.jobs.clear()
    await one.session.execute("a.b", emit=one.heard.append)
    with_types, without = check.jobs
    assert "const a: number;" in with_types.globals and "const a: any;" in without.globals


async def test_forgetting_a_type_between_two_checks_harms_nothing() -> None:
    one, check = await checked(Checked((wrong("no such field"),)), Checked())
    await one.observations.forget([one.session.catalog.find("Sales.load").tool])
    await one.returns()
    assert len(check.jobs) == 1
